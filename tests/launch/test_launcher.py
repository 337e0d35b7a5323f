"""What all launchers share."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from planner.errors import PlannerError
from planner.launch import accelerate, deepspeed, megatron_deepspeed, pytorch, torchtitan
from planner.launch.launchers import LAUNCHERS, Options
from planner.launch.launchers.launcher import yaml_text
from planner.launch.launchers.manifests import called
from planner.launch.program import File, Setup, Target
from tests import jobs
from tests.launch.drawn import dense, setup

TARGETS = {m.TARGET.name: m.TARGET for m in (accelerate, deepspeed, megatron_deepspeed, pytorch, torchtitan)}
HEADER = ("planner launch", "a plan of 'quotes' and $variables")


def wanted(nodes: int) -> Setup:
    """ZeRO-3 runs everywhere."""
    return setup(dense(), f"{nodes}x8xA100", zero=3, b=2, batch=64)


def files(launcher: str, target: Target, nodes: int = 2, embed: bool = True) -> tuple[File, ...]:
    """What a launcher writes for a target."""
    one = wanted(nodes)
    return LAUNCHERS[launcher].files(one, target.program(one), Options(HEADER, embed))


def shells(text: str) -> list[str]:
    """The shell scripts in a file: itself, or the texts of several lines in a YAML file."""
    return [text] if text.startswith("#!") else list(_texts(yaml.safe_load(text)))


def _texts(node: object) -> list[str]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    own = [node] if isinstance(node, str) and "\n" in node else []
    return own + [text for child in children for text in _texts(child)]


@pytest.mark.parametrize("embed", [True, False], ids=["embedded", "beside"])
@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_bash_reads_every_script(launcher: str, target: str, nodes: int, embed: bool) -> None:
    """`bash -n`; the header on top, the same bytes twice."""
    if (launcher, target) == ("deepspeed", "accelerate"):
        pytest.skip("refused, see test_launcher_deepspeed.py")
    main, *_ = files(launcher, TARGETS[target], nodes, embed)
    assert main == files(launcher, TARGETS[target], nodes, embed)[0]
    assert "# a plan of 'quotes' and $variables\n" in main.text
    scripts = shells(main.text)
    assert scripts
    for script in scripts:
        done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_embedded_files_come_out_whole(launcher: str, tmp_path: Path) -> None:
    """The here-documents, run for real, write the program's files byte by byte."""
    program = pytorch.TARGET.program(wanted(1))
    (script, *_) = shells(files(launcher, pytorch.TARGET, nodes=1)[0].text)
    start = script.index("cat > ")
    end = script.index("\nEND_OF_FILE\n") + len("\nEND_OF_FILE\n")
    subprocess.run(["bash"], input=script[start:end], text=True, cwd=tmp_path, check=True)
    for file in program.files:
        assert (tmp_path / file.name).read_text(encoding="utf-8") == file.text


def test_yaml_text() -> None:
    """Long texts stand as they are."""
    text = yaml_text(("one",), {"run": "a\nb\n", "name": "train", "count": 2})
    assert text == "# one\nrun: |\n  a\n  b\nname: train\ncount: 2\n"


def test_unknown_accelerators() -> None:
    """The error says what to do."""
    accelerator = jobs.cluster("8xA100").accelerator
    assert called(accelerator, {accelerator.name: "A"}, "L") == "A"
    with pytest.raises(PlannerError, match="L has no name for a100") as error:
        called(accelerator, {"other": "B"}, "L")
    assert "choose --launcher torchrun or slurm" in error.value.hint[1]
