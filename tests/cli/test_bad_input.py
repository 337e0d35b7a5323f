"""Every mistake gets one screen: what, where, why, next step; exit code 2; no traceback."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.errors import PlannerError
from planner.questions.ask import parse_range
from tests.cli.run import Shell

JOB = "recommend -m llama70b -g 64xA100 -q"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("recommend -m lama70b -g 8xA100", "did you mean: llama"),
        ("recommend -m llama70b -g 8xB100", "did you mean"),
        ("recommend -m llama70b -g 0xA100", "positive"),
        ("recommend -m llama70b -g -8xA100", "8xA100"),
        ("recommend -m llama70b -g 1.5xA100", "8xA100"),
        ("recommend -m llama70b -g 12xA100", "2x8xA100"),
        ("recommend -m llama70b", "--gpus"),
        (f"{JOB} --tp 3", "legal: 1, 2, 4, 8"),
        ("recommend -m llama70b -g 8xA100..64xA100 -q --tp 3", "legal: 1, 2, 4, 8"),
        (f"{JOB} --tp 0", "whole numbers"),
        (f"{JOB} --tp -2", "whole numbers"),
        (f"{JOB} --tp 8..2", "not understood"),
        (f"{JOB} --tp four", "not understood"),
        (f"{JOB} --zero 4", "whole numbers from 0 to 3"),
        (f"{JOB} --global-batch 7 --dp 8", "global batch of 7"),
        (f"{JOB} --global-batch 0", "between 1"),
        (f"{JOB} --seq -1", "between 1"),
        (f"{JOB} --top 0", "between 1"),
        (f"{JOB} --pp 3 --tp 8", "64 GPUs"),
        (f"{JOB} --pp 4 --zero 3", "ZeRO 1 at most"),
        (f"{JOB} --schedule gpipe", "it runs 1f1b, interleaved"),
        (f"{JOB} --schedule zigzag", "known: naive, gpipe"),
        (f"{JOB} --recompute selective", "flash attention"),
        (f"{JOB} --recompute some", "known: none"),
        (f"{JOB} --precision fp64", "fp16"),
        (f"{JOB} --optimizer rmsprop", "adam"),
        (f"{JOB} --framework megatorn", "did you mean: megatron"),
        (f"{JOB} --ep 2", "has no experts: ep and etp must be 1"),
        (f"{JOB} --lora-rank 8", "has no adapters"),
        (f"{JOB} --profiles /nowhere/at/all", "/nowhere/at/all"),
        ("recommend -m llama70b -g 64xA100 --strict", "ambiguous"),
        ("recommend -m gpt2-xl -g 8xV100 --precision bf16", "has no bf16"),
        ("recommend -m gpt2-xl -g 8xV100 --precision fp8", "has no bf16, which fp8 needs"),
        ("recommend -m nowhere.yaml -g 8xA100", "nowhere.yaml"),
        ("explain -m llama70b -g 64xA100 --plan 0", "--plan"),
        (f"{JOB} --optimizer adm", "did you mean: adam"),
        (f"{JOB} --cp-comm a2", "--cp-comm 'a2': must be one of p2p"),
        (f"{JOB} --schedule 1f2b", "did you mean: 1f1b"),
        (f"{JOB} --top 2000", "planner recommend -h says what --top takes"),
        ("recommend -m /etc/hostname -g 8xA100", "mend it there"),
        ("serve -m llama70b -g 8xH100 --statistic p90", "did you mean: p99"),
        ("serve -m llama70b -g 8xH100 --objective ltency", "did you mean: latency"),
        ("size -m llama70b --gpu H100 --tokens 1T --engine sglang", "--engine is about inference"),
        ("size -m llama70b --gpu H100 --tokens 1T --statistic p99", "--statistic is about inference"),
        ("show modles", "did you mean: models"),
        ("show accelerators a1000", "did you mean"),
        ("frobnicate", "there is no command"),
    ],
)
def test_mistakes_are_explained(shell: Shell, command: str, says: str) -> None:
    """One screen on stderr, nothing on stdout, exit code 2."""
    result = shell(command)
    assert result.code == 2, result
    assert says in result.err and result.out == ""
    assert "Traceback" not in result.err and len(result.err.splitlines()) <= 20


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "train.sh",
            "torchrun --nproc_per_node 8 pretrain_gpt.py --num-layers 24 --hidden-size 2048 --bf16 "
            "--num-attention-heads 16 --seq-length 1024 --max-position-embeddings 1024 --micro-batch-size 1 "
            "--global-batch-size 64 --vocab-size 50257\n",
        ),
        (
            "ds.json",
            '{"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 8, "bf16": {"enabled": true}}',
        ),
        ("train.toml", '[model]\nname = "llama3"\nflavor = "8B"\n[training]\nlocal_batch_size = 1\nseq_len = 2048\n'),
    ],
)
def test_a_precision_that_the_part_lacks(shell: Shell, tmp_path: Path, name: str, text: str) -> None:
    """In every format that `check` reads: the part and the precision are named."""
    path = tmp_path / name
    path.write_text(text)
    result = shell("check", str(path), "--gpus", "8xV100", "--model", "gpt2-xl", "-q")
    if name == "train.toml" and result.code != 2:
        assert result.code == 1  # says no precision: fp16 is taken
    else:
        assert result.code == 2 and result.out == ""
        assert "v100-sxm2-16gb has no bf16" in result.err and "it has fp16" in result.err


def test_an_answer_for_a_part_that_lacks_its_precision(shell: Shell, tmp_path: Path) -> None:
    """bf16 on A100, read back for V100."""
    path = tmp_path / "answer.json"
    path.write_text(shell("recommend -m gpt2-xl -g 8xA100 --json -q").out)
    for verb in ("launch", "check"):
        result = shell(verb, str(path), "--gpus", "8xV100", "-q")
        assert result.code == 2 and "has no bf16" in result.err


@pytest.mark.parametrize("text", ["", "a: b: c", "\t- x", "layers: 80", "&a [*a]", "x" * 10**7, "[" * 5000, "\x00\x01"])
def test_garbage_as_a_model_file(shell: Shell, tmp_path: Path, text: str) -> None:
    """A file that is no profile is refused with its name."""
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    result = shell("recommend", "-m", str(path), "-g", "8xA100")
    assert result.code == 2 and "mine.yaml" in result.err and len(result.err) < 2000


@given(st.text(max_size=40))
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_ranges_never_crash(text: str) -> None:
    """Any text is a range or a PlannerError."""
    with contextlib.suppress(PlannerError):
        parse_range("tp", text)


def _run(arguments: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "planner", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


def test_closed_pipe_is_quiet() -> None:
    """`planner ... | head -1` prints no error."""
    command = f"{sys.executable} -m planner show models | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == "" and done.stdout.count("\n") == 1


def test_read_only_directory_and_no_home(tmp_path: Path) -> None:
    """Nothing is written, so nothing has to be writable."""
    tmp_path.chmod(0o500)
    environment = {"PATH": os.environ["PATH"], "NO_COLOR": "1", "TERM": "dumb", "LANG": "C"}
    done = _run(["recommend", "-m", "llama3-8b", "-g", "8xH100", "-q"], cwd=tmp_path, env=environment)
    assert done.returncode == 0 and "llama3-8b" in done.stdout and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["recommend", "--help"], ["serve", "--help"]])
def test_help_does_not_load_numpy(arguments: list[str]) -> None:
    """--help and --version start fast: neither NumPy nor the profiles are touched."""
    code = (
        f"import sys, runpy\nsys.argv = ['planner', *{arguments!r}]\n"
        "try:\n    runpy.run_module('planner', run_name='__main__')\n"
        "except SystemExit as stop:\n    assert not stop.code\nassert 'numpy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_debug_shows_the_traceback() -> None:
    """With --debug an error keeps its traceback."""
    done = _run(["--debug", "recommend", "-m", "nope", "-g", "8xA100"])
    assert "Traceback" in done.stderr


def test_a_bug_exits_70(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not the user's mistake says so."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr("planner.catalog.library.open_library", broken)
    result = shell("show models")
    assert result.code == 70 and "a bug in the planner" in result.err
