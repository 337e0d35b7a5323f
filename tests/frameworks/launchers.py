"""Launchers' own word on what is handed to them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from tests.frameworks.verdict import Verdict, need
from tests.frameworks.worker import worker


def torchrun_accepts(arguments: Sequence[str]) -> Verdict:
    """A torchrun command line, with or without its first word."""
    need("torch")
    words = list(arguments)
    if words and PurePath(words[0]).name == "torchrun":
        words = words[1:]
    return worker("launcher_worker").judge(op="torchrun", arguments=words)


def accelerate_accepts(text: str, arguments: Sequence[str] = (), files: Mapping[str, str] | None = None) -> Verdict:
    """A configuration for `accelerate launch`, with further options, and files that lie beside it."""
    need("torch", "accelerate")
    return worker("launcher_worker").judge(
        op="accelerate", text=text, arguments=list(arguments), files=dict(files or {})
    )


def trainjob_accepts(text: str) -> Verdict:
    """A TrainJob of Kubeflow Trainer; a key that would get lost counts as refused."""
    need("kubeflow_trainer_api")
    return worker("launcher_worker").judge(op="trainjob", text=text)


def skypilot_accepts(text: str) -> Verdict:
    """A task for SkyPilot."""
    need("sky")
    return worker("launcher_worker").judge(op="skypilot", text=text)


def dstack_accepts(text: str) -> Verdict:
    """A configuration for dstack."""
    need("dstack")
    return worker("launcher_worker").judge(op="dstack", text=text)


def bash_accepts(text: str) -> Verdict:
    """A script's syntax."""
    run = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    return Verdict(run.returncode == 0, "" if run.returncode == 0 else "parse", error=run.stderr.strip())
