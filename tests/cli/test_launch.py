"""planner launch, as a user sees it."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

from planner.launch.launchers import LAUNCHERS
from planner.launch.targets import TARGETS
from tests.cli.run import Shell

ASKED = "-m llama3-8b -g 2x8xA100 --global-batch 64"


def test_default_is_a_torchrun_script_for_megatron(shell: Shell) -> None:
    """Header, environment, one flag per line, arguments of the user last; what stays with the user is on stderr."""
    found = shell(f"launch {ASKED}")
    assert found.code == 0
    lines = found.out.splitlines()
    assert lines[0] == "#!/usr/bin/env bash" and lines[-1].strip() == '"$@"'
    assert "  --num-layers 32 \\" in lines and any(line.startswith("# planner-options:") for line in lines)
    assert "mock data" in found.err and "checked against megatron-core" in found.err


def test_same_input_same_bytes(shell: Shell) -> None:
    """No date, no chance."""
    assert shell(f"launch {ASKED} -q").out == shell(f"launch {ASKED} -q").out


def test_plan_of_a_json_answer(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """recommend --json | launch --plan 2 writes what launch --plan 2 writes."""
    answer = shell(f"recommend {ASKED} --json").out
    direct = shell(f"launch {ASKED} --plan 2 --launcher none -q").out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(answer.encode())))
    assert shell("launch --plan 2 --launcher none -q").out == direct


@pytest.mark.parametrize("verb", ["explain", "timeline"])
def test_every_verb_takes_an_answer(shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str) -> None:
    """From stdin, named - or not, and from a file: what the verb says of the same question; but no other question."""
    asked = f"{ASKED} --pp 2"
    path, direct = tmp_path / "answer.json", shell(f"{verb} {asked} --plan 2 -q").out
    path.write_text(shell(f"recommend {asked} --json").out)
    for words in (verb, f"{verb} -", f"{verb} {path}"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
        assert shell(f"{words} --plan 2 -q").out == direct
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
        refused = shell(f"{words} --seq 2048 -q")
        assert refused.code == 2 and "--seq is of a question" in refused.err and refused.out == ""


def test_a_layout_goes_with_the_plan_that_it_is_timed_with(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where layers lie is part of a plan: in the table, in JSON, in the script, and in what JSON is launched as."""
    asked = "-m llama3-8b -g 8xH100 --pp 4 --tp 1 --v 4 --seq 8192 -q"
    answer = shell(f"recommend {asked} --json")
    layout = answer.json["plans"][0]["layout"]
    assert f"Layers  1: {layout}" in shell(f"recommend {asked}").out
    written = shell(f"launch {asked}").out
    assert f"--pipeline-model-parallel-layout '{layout}'" in written
    for text, code in ((answer.out, 0), (answer.out.replace(layout, layout.replace("t|", "|", 1)), 2)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        told = shell("launch - -q")
        assert told.code == code and (f"--pipeline-model-parallel-layout '{layout}'" in told.out) == (code == 0)
    assert "rule: layout" in told.err


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_every_target_is_written_or_refused(shell: Shell, target: str) -> None:
    """What it cannot express is named with its rule and the nearest plan that it can."""
    found = shell(f"launch {ASKED} --target {target} -q")
    if found.code == 2:
        assert "rule: " in found.err and found.out == ""
        assert "nearest plan that" in found.err or "no plan of this job" in found.err
    else:
        assert found.code == 0 and found.out


@pytest.mark.parametrize("launcher", sorted(LAUNCHERS))
def test_every_launcher(shell: Shell, launcher: str) -> None:
    """One text on stdout, or files in a directory."""
    found = shell(f"launch {ASKED} --launcher {launcher} -q")
    assert found.code == 0 and "pretrain_gpt.py" in found.out


def test_files_are_written_whole(shell: Shell, tmp_path: Path) -> None:
    """--dry-run lists, --out writes the same."""
    place = tmp_path / "job"
    listed = shell(f"launch {ASKED} -f deepspeed --out {place} --dry-run -q").out
    assert not place.exists() and "ds_config.json" in listed and "run.sh" in listed
    assert shell(f"launch {ASKED} -f deepspeed --out {place} -q").out == ""
    assert json.loads((place / "ds_config.json").read_text())["train_batch_size"] == 64
    assert "ds_config.json" in (place / "run.sh").read_text() and sorted(os.listdir(place)) == sorted(
        Path(line.split("  ")[0]).name for line in listed.splitlines()
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (f"{ASKED} --target megatrn", "did you mean: megatron"),
        (f"{ASKED} --launcher slrum", "did you mean: slurm"),
        (f"{ASKED} --json", "no JSON"),
        (f"{ASKED} --plan 0", "--plan must be between 1 and 1000"),
        (f"{ASKED} --plan 999", "no number 999"),
        (f"{ASKED} -f nanotron", "nothing is written for the preset nanotron"),
        (f"answer.json {ASKED}", "exclude each other"),
        ("-m llama3-8b", "--gpus is missing"),
        ("nowhere.json", "nowhere.json: no such file"),
        (f"{ASKED} --out {__file__}", "is a file"),
        (f"{ASKED} --optimizer adam-8bit", "fp32 master weights"),
    ],
)
def test_bad_input(shell: Shell, options: str, says: str) -> None:
    """One screen, exit 2, nothing on stdout."""
    found = shell(f"launch {options} -q")
    assert found.code == 2 and says in found.err and found.out == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "nothing came on stdin"),
        ("[]", "no object"),
        ("{", "is no JSON"),
        ('{"schema": "planner.validation/1"}', "is none of a plan"),
        ('{"schema": "planner.serving/1"}', "planner serve ... --launch"),
        ('{"schema": "planner.recommendation/1", "plans": []}', "no whole answer"),
        ('{"schema": "planner.recommendation/2", "planner_version": "9.0"}', "read it with planner 9.0"),
    ],
)
def test_bad_answers(shell: Shell, monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    """What is wrong with the JSON."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    found = shell("launch -q")
    assert found.code == 2 and says in found.err and len(found.err.splitlines()) > 1


@pytest.mark.parametrize("target", [name for name in TARGETS if name not in ("automodel", "torchtune")])
def test_every_target_has_a_preset_whose_plans_it_runs(shell: Shell, target: str) -> None:
    """Without --framework; those two keep no master weights, which --optimizer says."""
    assert shell(f"launch -m llama3.1-8b -g 8xH100 --seq 8192 --target {target} --dry-run -q").code == 0


@pytest.mark.parametrize(("target", "says"), [("torchtitan", "fp8-current, fp8-rowwise"), ("trl", "bf16\n")])
def test_a_recipe_without_a_name_is_refused_with_those_that_have_one(shell: Shell, target: str, says: str) -> None:
    """The next step, where no other plan of the same recipe can be written."""
    found = shell(f"launch -m llama3-8b -g 8xH100 --seq 4096 --precision fp8 --target {target} -q")
    assert found.code == 2 and "recipes that it has: --precision bf16" in found.err and says in found.err
