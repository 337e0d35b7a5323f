"""`recommend --tokens`: days, GPU-hours and money of a whole run."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from tests.cli.run import Shell

JOB = "-m llama3-8b -g 4x8xH100 --global-batch 512"
SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "recommendation-1.json"


def test_adds_up(shell: Shell) -> None:
    """Time is tokens over speed, GPU-hours are its hours times 32; money is hours at the price; the schema holds."""
    found = shell(f"recommend {JOB} --tokens 15T --json -q").json
    jsonschema.validate(found, json.loads(SCHEMA.read_text(encoding="utf-8")))
    run = found["run"]
    assert run["tokens"] == 15e12 and len(run["plans"]) == len(found["plans"])
    for one, plan in zip(run["plans"], found["plans"], strict=True):
        assert one["time_s"] == pytest.approx(15e12 / plan["tokens_per_second"])
        assert one["gpu_hours"] == pytest.approx(one["time_s"] / 3600 * 32)
        assert one["cost_usd"] == pytest.approx(one["time_s"] / 3600 * run["usd_per_hour"])
        assert one["time_low_s"] < one["time_s"] < one["time_high_s"]
    price = run["price"]
    assert run["usd_per_hour"] == pytest.approx(price["instances"] * price["usd_per_hour_each"])


def test_agrees_with_size(shell: Shell) -> None:
    """The other way round: the cluster of 32 takes as long there."""
    sized = shell("size -m llama3-8b --gpu H100 --global-batch 512 --tokens 15T --max-gpus 32 --json -q").json
    (same,) = [p for p in sized["points"] if p["gpus"] == 32]
    asked = shell(f"recommend {JOB} --tokens 15T --json -q").json["run"]["plans"][0]
    assert asked["time_s"] == pytest.approx(same["time_s"], rel=0.02)


def test_words(shell: Shell) -> None:
    """Said once, and no part of the next commands; a cluster without a price has days only."""
    out = shell(f"recommend {JOB} --tokens 300B -q").out
    assert "300 B tokens with plan 1" in " ".join(out.split()) and "Price" in out and "--tokens" not in out
    assert "no price known" in shell("recommend -m llama3-8b -g 8xMI355X --tokens 300B -q").out
    assert shell(f"recommend {JOB} --tokens much -q").code == 2
    assert "run" not in shell(f"recommend {JOB} --json -q").json
