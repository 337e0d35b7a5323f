"""Pieces of shell."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from planner.launch.launchers import shell
from planner.launch.program import File, Program

ALONE = shell.Place(1, 8, "0", "here", "1")
MANY = shell.Place(4, 8, '"$NODE"', '"$FIRST"', "29500")


def test_comments() -> None:
    """No blank behind an empty one."""
    assert shell.comments(["a", ""]) == "# a\n#\n"


def test_variables_are_quoted() -> None:
    """Values never reach the shell as code."""
    program = Program("train.py", (), {"A": "x; rm -rf $HOME"}, ("B",))
    assert shell.variables(program) == "unset B\nexport A='x; rm -rf $HOME'\n"


@pytest.mark.parametrize("text", ["plain\n", "no newline", "$HOME `date` \\ 'x'\n", "END_OF_FILE\nEND_OF_FILE_\n", ""])
def test_here_documents(text: str, tmp_path: Path) -> None:
    """Nothing is expanded, and no line ends the document early."""
    subprocess.run(["bash"], input=shell.here_document(File("a b.txt", text)), text=True, cwd=tmp_path, check=True)
    found = (tmp_path / "a b.txt").read_text()
    assert found == text if text.endswith("\n") else found.removesuffix("\n") == text


def test_one_option_per_line() -> None:
    """Words with blanks are quoted."""
    program = Program("train.py", (("--name", "two words"), ("--on",)))
    assert shell.command(program, ALONE).splitlines() == [
        "torchrun \\",
        "  --standalone \\",
        "  --nnodes 1 \\",
        "  --nproc-per-node 8 \\",
        "  train.py \\",
        "  --name 'two words' \\",
        "  --on \\",
        '  "$@"',
    ]


def test_modules_and_many_nodes() -> None:
    """-m stays a word of its own."""
    text = shell.command(Program("-m torchtitan.train", ()), MANY, more="")
    assert text.splitlines()[1:] == [
        "  --nnodes 4 \\",
        "  --nproc-per-node 8 \\",
        '  --node-rank "$NODE" \\',
        '  --master-addr "$FIRST" \\',
        "  --master-port 29500 \\",
        "  -m torchtitan.train",
    ]


def test_accelerate_starts_itself() -> None:
    """Its options stand before the script."""
    text = shell.command(Program("accelerate launch train.py", (("--config_file", "a.yaml"),)), MANY)
    assert text.splitlines() == [
        "accelerate launch \\",
        "  --config_file a.yaml \\",
        '  --machine_rank "$NODE" \\',
        '  --main_process_ip "$FIRST" \\',
        "  --main_process_port 29500 \\",
        "  train.py \\",
        '  "$@"',
    ]
