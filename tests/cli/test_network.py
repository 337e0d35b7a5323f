"""--network: every command that takes a cluster puts another network under it, and says how far it is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.run import Result
from tests.cli.run import run as run_words

GBIT = 1e9 / 8
JOB = ("-m", "llama3.1-8b", "-g", "4x8xA100-80GB", "--tp", "8", "--pp", "1", "--zero", "1")
SLOW = ("--network", "25GbE")


def run(*words: str, stdin: str = "") -> Result:
    """One command."""
    return run_words(words, stdin.encode())


def rate(answer: str) -> float:
    """Bytes per second and accelerator of an answer's network."""
    found = json.loads(answer)["inputs"]["cluster"]["network_bytes_per_s"]
    assert isinstance(found, float)
    return found


def test_recommend_is_slower_on_a_slower_network() -> None:
    steps = [json.loads(run("recommend", *JOB, *more, "--json").out)["plans"][0]["step_time_s"] for more in ((), SLOW)]
    assert steps[0] < steps[1]


@pytest.mark.parametrize("command", ["recommend", "explain"])
def test_the_network_is_in_the_answer(command: str) -> None:
    found = run(command, *JOB, *SLOW, "--json")
    assert rate(found.out) == pytest.approx(25 * GBIT / 8)
    assert "--network 25GbE: ethernet, 1 port of 25 Gb/s per node" in found.err


def test_an_assumed_network_is_not_called_measured() -> None:
    """The band of a plan on a network that no run of the corpus used is wide, and says so."""
    plain, slow = (run("recommend", *JOB, *more).out for more in ((), SLOW))
    assert "a100-sxm4-80gb and megatron-core measured" in plain
    assert "measured, " not in slow
    assert "over a network without measured runs (ethernet)" in " ".join(slow.split())


def test_a_network_survives_the_way_through_a_pipe(tmp_path: Path) -> None:
    answer = run("recommend", *JOB, *SLOW, "--json").out
    script = run("launch", stdin=answer)
    assert "--gpus 4xdgx-a100-80gb@25GbE" in script.out
    again = run("check", "-", "--json", stdin=script.out)
    assert rate(again.out) == pytest.approx(25 * GBIT / 8)
    other = run("check", "-", "--network", "HDR", "--json", stdin=script.out)
    assert rate(other.out) == pytest.approx(200 * GBIT)


def test_serve_compare_size_and_curve_take_it() -> None:
    load = ("--input", "1000", "--output", "100", "--users", "8")
    served = run("serve", "-m", "llama3.1-8b", "-g", "2x8xA100", *load, *SLOW, "--json")
    assert rate(served.out) == pytest.approx(25 * GBIT / 8)
    for line in (
        ("compare", "-m", "llama3.1-8b", "-g", "2x8xA100,2x8xH100"),
        ("size", "-m", "llama3.1-8b", "--gpu", "A100", "--max-gpus", "16"),
        ("recommend", "-m", "llama3.1-8b", "-g", "8xA100..16xA100"),
    ):
        found = run(*line, *SLOW)
        assert found.code == 0
        assert "--network 25GbE: ethernet" in found.err


def test_a_sweep_varies_it(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text("model: llama3.1-8b\ngpus: 2x8xA100-80GB\nnetwork: [25GbE, HDR]\ntp: 8\npp: 1\n")
    cells = [json.loads(line) for line in run("sweep", str(file), "-q").out.splitlines()]
    slow, fast = (next(c["step_time_s"] for c in cells if c["network"] == name) for name in ("25GbE", "HDR"))
    assert fast < slow


def test_a_wrong_name_is_suggested() -> None:
    found = run("recommend", *JOB, "--network", "infiniban")
    assert found.code == 2
    assert "did you mean: infiniband" in found.err
