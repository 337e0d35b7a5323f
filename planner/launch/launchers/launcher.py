"""What wraps a program: a launcher writes the file that starts it on every node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from planner.frozen import frozen
from planner.launch.program import File, Program, Setup


@frozen
class Options:
    """What the user asked of the launcher.

    Attributes:
        header: comment lines for the top of each text file, without "#".
        embed: one self-contained text, which writes the program's files before it starts it; else they lie beside.
        name: of the job.
        image: container image, where the launcher takes one; None for its default.
    """

    header: tuple[str, ...]
    embed: bool
    name: str = "train"
    image: str | None = None


@frozen
class Launcher:
    """A way to start a program.

    Attributes:
        versions: that the output was checked against.
        files: the files to write, the main one first, without those of the program.
    """

    name: str
    title: str
    versions: str
    files: Callable[[Setup, Program, Options], tuple[File, ...]]


class _Dumper(yaml.SafeDumper):
    """Texts of several lines stand as they are, behind "|"."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def yaml_text(header: tuple[str, ...], document: dict[str, Any]) -> str:
    """A YAML file under comment lines, keys in the order given."""
    comments = "".join(f"# {line}".rstrip() + "\n" for line in header)
    return comments + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120)


IMAGES = {
    "nvidia": "nvcr.io/nvidia/pytorch:25.09-py3",
    "amd": "rocm/pytorch:rocm7.2_ubuntu24.04_py3.12_pytorch_release_2.9.1",
}
"""Public images with PyTorch by vendor. NVIDIA's is Megatron-LM's long-term one (docker/.ngc_version.lts)."""
