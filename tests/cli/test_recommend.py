"""planner recommend and explain, as a user sees them."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from tests.cli.run import Shell, run

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
GIB = 2**30


def test_ranking_on_a_screen(shell: Shell) -> None:
    """Header with every default, ranked rows, reasons, next step; assumptions on stderr only."""
    result = shell("recommend --model llama70b --gpus 64xA100")
    assert result.code == 0
    assert "llama3.1-70b · 70.6 B parameters" in result.out
    assert "64 × a100-sxm4-80gb" in result.out
    assert len(re.findall(r"^ *\d+ +\d", result.out, flags=re.M)) >= 10
    assert "Why 1" in result.out and "planner explain --plan 1 --model llama70b --gpus 64xA100" in result.out
    assert '"llama70b" means llama3.1-70b' in result.err and "note" not in result.out


def test_piped_output_is_neither_cropped_nor_coloured(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe of 40 columns still gets every figure."""
    monkeypatch.setenv("COLUMNS", "40")
    out = shell("recommend -m llama70b -g 64xA100").out
    assert "…" not in out and "\x1b" not in out and "fullest rank" in out


def test_job_that_does_not_fit(shell: Shell) -> None:
    """Says so, by how much, where it would, and what runs instead; --exact makes it exit 1."""
    result = shell("recommend --model llama70b --gpus 8xA100")
    assert result.code == 0
    assert "Does not fit as asked" in result.out and "short by" in result.out and "fits on" in result.out
    assert "not with adam-bf16: short by" in result.out and "lora, hf" in result.out
    exact = shell("recommend --model llama70b --gpus 8xA100 --exact")
    assert exact.code == 1 and "Does not fit as asked" in exact.out and "lora" not in exact.out


def test_json_holds_the_promised_keys_and_its_schema(shell: Shell) -> None:
    """The recommendation validates against the published schema, and its parts add up."""
    answer = shell("recommend -m llama3.1-405b -g 2048x8xH100 --global-batch 2048 --seq 8192 --json").json
    jsonschema.validate(answer, json.loads((SCHEMAS / "recommendation-1.json").read_text()))
    assert answer["schema"] == "planner.recommendation/1"
    assert answer["search"]["plans"] > answer["search"]["feasible"] > 0
    for plan in answer["plans"]:
        assert plan["tp"] * plan["cp"] * plan["pp"] * plan["dp"] == 16384
        assert plan["micro_batch"] * plan["micro_batches"] * plan["dp"] == 2048
        parts = plan["memory_bytes"]
        assert sum(v for k, v in parts.items() if k != "total") == pytest.approx(parts["total"])
        assert sum(plan["step_time_parts_s"].values()) == pytest.approx(plan["step_time_s"])
        assert plan["tokens_per_second"] == pytest.approx(2048 * 8192 / plan["step_time_s"])
        assert parts["total"] <= answer["usable_memory_bytes"]
    steps = [plan["step_time_s"] for plan in answer["plans"]]
    assert steps == sorted(steps)


def test_json_when_nothing_fits(shell: Shell) -> None:
    """Exit 1, still JSON, with the binding constraint and the nearest miss."""
    result = shell("recommend -m llama70b -g 8xA100 --exact --json -q")
    assert (result.code, result.err) == (1, "")
    answer = result.json
    jsonschema.validate(answer, json.loads((SCHEMAS / "recommendation-1.json").read_text()))
    miss = answer["nearest_misses"][0]
    assert answer["plans"] == [] and not answer["fits_as_requested"]
    assert miss["short_by_bytes"] > 50 * GIB and miss["binding_constraint"] == "memory.optimizer"
    assert answer["smallest_cluster_gpus"] * 79.15 * GIB > 18 * 70.55e9


def test_relaxed_plans_say_what_they_relax(shell: Shell) -> None:
    """Every plan names its relaxation, in the documented order, and the preset that runs it."""
    plans = shell("recommend -m llama70b -g 8xA100 --json").json["plans"]
    seen = [(plan["relaxations"][0], plan["framework"]) for plan in plans]
    assert list(dict.fromkeys(seen)) == [("offload", "megatron-core"), ("lora", "hf")]


def test_every_relaxed_plan_is_launched(shell: Shell) -> None:
    """By its number as by the answer, for the framework that its numbers are for."""
    asked = "-m llama70b -g 8xA100"
    plans = shell(f"recommend {asked} --json")
    for number, plan in enumerate(plans.json["plans"], start=1):
        by_number = shell(f"launch {asked} --plan {number} -q")
        piped = run(["launch", "--plan", str(number), "-q"], plans.out.encode())
        same = f"--framework {plan['framework']} "
        assert by_number.code == piped.code == 0 and same in by_number.out and same in piped.out


def test_same_question_same_answer(shell: Shell) -> None:
    """Deterministic but for the seconds it took."""
    first, second = (shell("recommend -m llama70b -g 8x8xH100 --json").json for _ in range(2))
    first["search"]["seconds"] = second["search"]["seconds"] = 0
    assert first == second


@pytest.mark.parametrize(
    ("options", "holds"),
    [
        ("--tp 4", lambda p: p["tp"] == 4),
        ("--pp 2..8", lambda p: 2 <= p["pp"] <= 8),
        ("--zero 1", lambda p: p["zero"] == 1),
        ("--dp 2,4", lambda p: p["dp"] in (2, 4)),
        ("--micro-batch ..1", lambda p: p["micro_batch"] == 1),
        ("--recompute full", lambda p: p["recompute"] == "full"),
        ("--schedule 1f1b", lambda p: p["schedule"] == "1f1b"),
        ("--v 2..", lambda p: p["v"] >= 2),
        ("--framework torchtitan", lambda p: p["zero"] == 3),
    ],
)
def test_options_pin_and_bound(shell: Shell, options: str, holds: object) -> None:
    """What an option admits is all that comes back."""
    result = shell(f"recommend -m llama70b -g 64xA100 --json -q {options}")
    assert result.code == 0 and result.json["plans"]
    assert all(holds(plan) for plan in result.json["plans"])  # type: ignore[operator]


def test_explain_shows_formula_numbers_and_source(shell: Shell) -> None:
    """Every line of the explanation has its three parts, and the plan is the one recommend ranks there."""
    ranked = shell("recommend -m llama70b -g 64xA100 --json -q").json["plans"][1]
    told = shell("explain -m llama70b -g 64xA100 --plan 2 --json -q").json
    jsonschema.validate(told, json.loads((SCHEMAS / "explanation-1.json").read_text()))
    assert told["plan"]["step_time_s"] == ranked["step_time_s"]
    values = {line["symbol"]: line["value"] for line in told["lines"]}
    assert values["step"] == ranked["step_time_s"] and values["MFU"] == ranked["mfu"]
    assert all(line["formula"] and line["source"] and line["trust"] for line in told["lines"])
    functions = {name: getattr(math, name) for name in ("floor", "ceil", "sqrt", "log2")} | {"max": max, "min": min}
    for line in told["lines"]:
        variables = {name: one["value"] for name, one in line["variables"].items()}
        assert eval(line["formula"], functions, variables) == pytest.approx(line["value"], rel=1e-6, abs=1e-15)
    text = shell("explain -m llama70b -g 64xA100 --plan 2 -q").out
    assert "MEMORY" in text and "bubble fraction" in text and "Korthikanti" in text


@pytest.mark.parametrize(
    ("preset", "said"),
    [
        ("megatron-core", "- framework_dp_hidden * rank"),
        ("torchtitan", "framework_fsdp_slowdown * min("),
        ("deepspeed-zero3-2021", "framework_gathers * "),
    ],
)
def test_explain_says_what_hides_gradient_traffic(shell: Shell, preset: str, said: str) -> None:
    """By ZeRO stage and by what the framework's code does."""
    text = shell(f"explain -m gpt3-175b -g 192x8xA100 --framework {preset} --global-batch 1536 --seq 2048 -q").out
    assert said in re.sub(r"\s+", " ", text)


def test_explain_a_pinned_plan_that_does_not_fit(shell: Shell) -> None:
    """The nearest miss is explained, with exit code 1."""
    result = shell("explain -m llama70b -g 8xA100 --exact --tp 8")
    assert result.code == 1 and "does not fit: short by" in result.out


def test_fp16_on_a_v100(shell: Shell) -> None:
    """An accelerator without bf16 is planned in fp16."""
    answer = shell("recommend -m gpt2-xl -g 8xV100 --json").json
    assert answer["inputs"]["workload"]["precision"] == "fp16"


@pytest.mark.parametrize("verb", ["recommend", "explain", "timeline"])
def test_a_script_without_exact_is_warned(shell: Shell, verb: str) -> None:
    """Exit 0 for a relaxed plan is said on stderr; --exact makes it 1, and a fit needs no warning."""
    pinned = f"{verb} --model llama3-8b -g 8xA100 --zero 0 --tp 1 --pp 1"
    assert (relaxed := shell(pinned)).code == 0 and "--exact makes that exit 1" in relaxed.err
    exact = shell(f"{pinned} --exact")
    assert exact.code == 1 and "makes that exit 1" not in exact.err and "short by" in exact.out + exact.err
    assert "makes that exit 1" not in shell(f"{verb} --model llama3-8b -g 8xA100").err


def test_a_relaxed_plan_that_its_framework_cannot_run_is_no_mistake(shell: Shell) -> None:
    """Megatron-DeepSpeed has no 16-bit Adam, and no preset stands in: nothing is written, exit 1."""
    result = shell("launch --model llama3-8b -g 8xA100 --zero 0 --tp 1 --pp 1 -f megatron-deepspeed")
    assert result.code == 1 and result.out == "" and "does not fit as asked" in result.err


def test_no_number_of_gpus_is_no_last_word_where_cp_was_not_tried(shell: Shell) -> None:
    """That nothing holds the job is said of what was tried; what would open more stands beside it."""
    pinned = "recommend -m llama70b -g 8xA100 --tp 8 --pp 1 --dp 1 --exact -q"
    said = " ".join(shell(pinned).out.split())
    assert "no number of a100-sxm4-80gb" in said and "context parallelism was not tried (--cp" in said
    assert "was not tried" not in " ".join(shell(f"{pinned} --cp 1").out.split())


def test_a_ranking_imports_no_target_but_its_own() -> None:
    """Whether a relaxed plan can be written is asked of one target, by its table; other targets and their tables,
    readers and serving stay on disk."""
    words = ["planner", *["recommend", "-m", "llama70b", "-g", "8xA100", "-q"]]
    code = (
        "import sys; opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        f"from planner.cli.app import main; sys.argv = {words}\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "rooms = tuple(f'planner.{room}.' for room in ('launch', 'read', 'serving'))\n"
        "print(*(name for name in sys.modules if name.startswith(rooms)), file=sys.stderr)\n"
        "tables = (path.replace(chr(92), '/') for path in opened if path.endswith('.yaml'))\n"
        "print(*(path for path in tables if 'planner/launch/' in path or 'planner/read/' in path), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "offload" in done.stdout
    modules, tables = (line.split() for line in done.stderr.splitlines())
    assert set(modules) == {
        f"planner.launch.{name}" for name in ("described", "megatron", "megatron_layout", "program", "targets")
    }
    assert [path.rpartition("planner/")[2] for path in tables] == ["launch/tables/megatron.yaml"]
