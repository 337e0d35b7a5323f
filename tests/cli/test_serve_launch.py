"""planner serve --launch, as a user sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.launch.engines import ENGINES
from tests.cli.run import Shell

ROOT = Path(__file__).parents[2]
BUSY = "serve --model llama3.1-70b --gpus 8xH100 --input 4000 --output 500 --tpot 30ms --ttft 1s --launch"


def test_script_on_stdout(shell: Shell) -> None:
    """A whole script on stdout; notes on stderr; the prediction and the question in its head."""
    result = shell(BUSY)
    assert result.code == 0
    assert result.out.startswith("#!/usr/bin/env bash\n# planner ")
    assert "vLLM: checked against 0.33.0" in result.out and "TTFT" in result.out and "predicted" in result.out
    assert "--tensor-parallel-size 8" in result.out and "vllm bench serve" in result.out
    assert "note: checked against" in result.err and "Pareto" not in result.out


def test_plan_is_that_of_the_ranking(shell: Shell) -> None:
    """--plan 2 is the second row."""
    asked = "serve -m llama3.1-8b -g 8xH100 -e sglang -q"
    rows = shell(f"{asked} --json").json["deployments"]
    for number, row in enumerate(rows[:3], start=1):
        out = shell(f"{asked} --launch --plan {number}").out
        assert f"--tp-size {row['tp']} " in out and f"--pp-size {row['pp']} " in out


def test_the_question_in_the_header_is_a_command(shell: Shell) -> None:
    """It prints the same script."""
    script = shell(f"{BUSY} -q").out
    (asked,) = [line for line in script.splitlines() if line.startswith("# asked: planner ")]
    assert shell(asked.removeprefix("# asked: planner ") + " -q").out == script


def test_files(shell: Shell, tmp_path: Path) -> None:
    """Server, benchmark and configuration, each whole."""
    place = tmp_path / "job"
    result = shell(f"{BUSY} -e tensorrt-llm --weights fp8 --out {place}")
    assert result.code == 0 and result.out == ""
    assert sorted(path.name for path in place.iterdir()) == ["bench.sh", "serve.sh", "trtllm.yaml"]
    assert "--config trtllm.yaml" in (place / "serve.sh").read_text()
    assert f"wrote {place / 'bench.sh'}" in result.err


def test_the_screen_says_what_comes_next(shell: Shell) -> None:
    """Where there are flags to write."""
    asked = "serve -m llama3.1-8b -g 8xH100 -q"
    assert "--launch --plan N" in shell(asked).out
    assert "--launch" not in shell(f"{asked} -e static").out


def test_nothing_fits(shell: Shell) -> None:
    """Exit 1 and nothing on stdout."""
    result = shell("serve -m llama70b -g 4xA100-40GB --batch 32 --input 1920 --output 128 --launch")
    assert result.code == 1 and result.out == "" and "without --launch says why" in result.err


JOB = "serve -m llama3.1-70b -g 8xH100 -q"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (f"{JOB} --plan 2", "--launch"),
        (f"{JOB} --out x", "--launch"),
        (f"{JOB} --launch --json", "leave one out"),
        (f"{JOB} --launch --plan 0", "between 1 and 1000"),
        (f"{JOB} --launch --plan 99", "no number 99"),
        (f"{JOB} --launch --out {__file__}", "is a file"),
        (f"{JOB} --launch -e static", "--engine vllm, --engine sglang, --engine tensorrt-llm"),
        ("serve -m llama3.1-70b -g 8xA100 -q --kv fp8 --launch", "--kv bf16"),
        ("serve -m llama3.1-8b -g 8xMI300X -q -e trtllm --launch", "rule: built_for"),
        ("serve -m mixtral-8x7b -g 8xH100 -q --tp 8 --ep 4 --launch", "rule: vllm_experts"),
    ],
)
def test_mistakes_are_explained(shell: Shell, command: str, says: str) -> None:
    """One screen on stderr, nothing on stdout, exit code 2."""
    result = shell(command)
    assert result.code == 2, result
    assert says in result.err and result.out == ""
    assert len(result.err.splitlines()) <= 20


def test_a_row_is_written_as_a_layout_that_the_engine_runs(shell: Shell) -> None:
    """tp = 8 with experts over 8, 4 or 2 ranks is one row; vLLM knows over all ranks, or split."""
    result = shell("serve -m mixtral-8x7b -g 8xH100 -q --tp 8 --ep 2,4,8 --launch")
    assert result.code == 0 and "ep=8" in result.out


def test_refusal_names_the_best_that_runs(shell: Shell) -> None:
    """Its number in the same ranking, which then is written."""
    asked = "serve -m mixtral-8x7b -g 8xH100 -q --tp 2,4,8 --ep 2,8 --launch"
    tried = (shell(f"{asked} --plan {number}") for number in range(1, 9))
    refused = next(result for result in tried if result.code == 2)
    number = refused.err.split("--plan ")[1].split()[0]
    assert shell(f"{asked} --plan {number}").code == 0


def test_rules_are_documented() -> None:
    """docs/serving.md names each."""
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    assert not [r.name for target in ENGINES.values() for r in target.rules if f"`{r.name}`" not in page]
