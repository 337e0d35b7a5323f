"""What people come with (docs/sizing.md, "Who asks what"): one command each, an answer on one screen and in JSON."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from tests.cli.run import Shell

ROOT = Path(__file__).parents[2]
SCREEN = 56

STORIES = [
    ("recommend -m qwen2.5-32b -g 8xA100 --seq 1024 --zero 3 --exact", 0, "recommendation-1", "fullest rank"),
    ("size -m llama3-70b --gpu h100,h200 --seq 8192", 0, "size-1", "no fewer"),
    (
        "size -m llama2-13b --gpu h100 --tokens 300e9 --deadline 21d --budget 250000 --price h100=2.5/h",
        0,
        "size-1",
        "at the price given",
    ),
    (
        "size -m llama2-13b --gpu h100 --tokens 300e9 --deadline 2d --budget 25000 --price h100=2.5/h",
        1,
        "size-1",
        "with time to spare",
    ),
    ("recommend -m llama3-70b -g 16x8xH100 --global-batch 1024 --seq 8192 --top 10", 0, "recommendation-1", "Why 1"),
    (f"check {ROOT}/docs/examples/train_13b.sh --gpus 4x8xH100", 1, "check-1", "legal"),
    (f"check {ROOT}/docs/examples/train_13b.sh --gpus 4x8xH100 --margin 8%", 1, "check-1", "8% kept free"),
    (f"check {ROOT}/docs/examples/train_13b.sh --gpus 4x8xH100 --measured-step 29.4s", 1, "check-1", "suspect"),
    ("recommend -m llama3-8b -g 8xH100 --exact", 0, "recommendation-1", "Band"),
    ("explain -m llama70b -g 64xA100", 0, "explanation-1", "bubble"),
    ("serve -m llama3.1-70b -g 8xH100 --input 8000 --output 500 --users 32 --tpot 40ms", 0, "serving-1", "TPOT"),
]


@pytest.mark.parametrize(("command", "code", "schema", "says"), STORIES, ids=[s[0][:40] for s in STORIES])
def test_one_command_each(shell: Shell, command: str, code: int, schema: str, says: str) -> None:
    """The exit code, what matters on the screen, and JSON that its schema holds."""
    result = shell(f"{command} -q")
    assert result.code == code and result.err == "" and says in result.out
    assert len(result.out.splitlines()) <= SCREEN or command.startswith("explain")
    answer = shell(f"{command} -q --json").json
    jsonschema.validate(answer, json.loads((ROOT / "docs" / "schemas" / f"{schema}.json").read_text()))


@pytest.mark.parametrize("method", ["grpo", "PPO", "dpo"])
def test_what_is_not_there_yet_is_said(shell: Shell, method: str) -> None:
    """Reinforcement learning is no typing mistake."""
    result = shell(f"recommend -m qwen2.5-7b -g 24xH100 --method {method}")
    assert result.code == 2 and "not supported yet" in result.err


def test_mixtures_of_experts_say_how_sure_they_are(shell: Shell) -> None:
    """An answer, the band of such runs, and which of them context parallelism was held against."""
    result = shell("recommend -m qwen3-235b-a22b -g 256xH100 --seq 65536 --top 3")
    assert result.code == 0 and "runs of cp=2 alone" in result.err
    assert "±20%" in result.out and "mixtures of experts" in result.out
