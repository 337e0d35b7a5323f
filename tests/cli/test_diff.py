"""`planner diff`: two plans out of saved answers."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from tests.cli.run import Shell

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "docs" / "schemas" / "diff-1.json"


@pytest.fixture
def saved(shell: Shell, tmp_path: Path) -> Path:
    """A ranking of 8B on 8 H100."""
    path = tmp_path / "a.json"
    path.write_text(shell("recommend -m llama3-8b -g 8xH100 --global-batch 64 --json -q").out, encoding="utf-8")
    return path


def test_changes_add_up(shell: Shell, saved: Path) -> None:
    """Parts add up to the whole, in seconds and in bytes; what is listed is what differs."""
    plans = json.loads(saved.read_text(encoding="utf-8"))["plans"]
    found = shell(f"diff {saved} {saved}:3 --json -q").json
    jsonschema.validate(found, json.loads(SCHEMA.read_text(encoding="utf-8")))
    wholes = {"step_time_s": lambda p: p["step_time_s"], "memory_bytes": lambda p: p["memory_bytes"]["total"]}
    for key, whole in wholes.items():
        *parts, total = found[key]
        assert total["name"] == "total" and total["change"] == pytest.approx(whole(plans[2]) - whole(plans[0]))
        assert sum(one["change"] for one in parts) == pytest.approx(total["change"], rel=1e-6, abs=1e-6)
        assert [abs(one["change"]) for one in parts] == sorted((abs(one["change"]) for one in parts), reverse=True)
    assert not found["asked"]
    apart = {one["name"]: (one["first"], one["second"]) for one in found["plan"]}
    for name in ("tp", "pp", "dp", "micro_batch", "zero", "schedule", "recompute"):
        assert apart.get(name, (plans[0][name],) * 2) == (plans[0][name], plans[2][name])


def test_the_other_way_round(shell: Shell, saved: Path) -> None:
    """Signs turn; a plan and itself differ in nothing."""
    there, back = (shell(f"diff {a} {b} --json").json for a, b in ((saved, f"{saved}:2"), (f"{saved}:2", saved)))
    assert there["step_time_s"][-1]["change"] == -back["step_time_s"][-1]["change"]
    assert "The same plan" in shell(f"diff {saved} {saved}").out


def test_of_a_script(shell: Shell, saved: Path, tmp_path: Path) -> None:
    """What check has read beside what recommend ranks; what was asked differs, so nothing is a tie."""
    script = tmp_path / "c.json"
    checked = shell(f"check {ROOT / 'docs/examples/train_13b.sh'} --gpus 2x8xA100 --json -q").out
    script.write_text(checked, encoding="utf-8")
    out = shell(f"diff {script} {saved}").out
    assert "cluster accelerator" in out and "a100-sxm4-80gb" in out and "tie" not in out


@pytest.mark.parametrize(
    "text", ["", "[]", '{"schema": "planner.show/1"}', '{"schema": "planner.x/1", "plans": [{"step_time_parts_s": 1}]}']
)
def test_bad_input(shell: Shell, saved: Path, tmp_path: Path, text: str) -> None:
    """One screen, no traceback; a plan that is not there."""
    path = tmp_path / "b.json"
    path.write_text(text, encoding="utf-8")
    for words in (f"diff {saved} {path}", f"diff {path} {saved}"):
        done = shell(words)
        assert done.code == 2 and done.err.startswith("error: ") and not done.out
    assert "no number 99" in shell(f"diff {saved} {saved}:99").err
