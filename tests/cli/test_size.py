"""planner size, compare and ranges of clusters, as a user sees them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.cli.run import Shell

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
MONEY = "size --model llama70b --gpu A100-80GB,H100,H200 --tokens 2e12 --deadline 30d --budget 3M -q"
LORA = "size --model llama70b --method lora --gpu A100-80GB -q"
LOAD = "size --model llama3.1-70b --serve --requests 20/s --input 2000 --output 300 --tpot 40ms --gpu H100,L40S -q"
SMALL = "size -m llama2-7b -g H100 --tokens 1e11 --max-gpus 64 -q"
LATE = f"{SMALL} --deadline 1h --budget 100 --price H100=2.5/h"
SCREEN = 45


def valid(answer: Any, name: str) -> Any:
    """The answer, once the published schema holds."""
    jsonschema.validate(answer, json.loads((SCHEMAS / f"{name}.json").read_text()))
    return answer


def test_time_and_money(shell: Shell) -> None:
    """All answers on one screen: who, how many, how long, how much, where to rent, how it scales, what next."""
    result = shell(MONEY)
    assert result.code == 0 and len(result.out.splitlines()) <= SCREEN
    for word in (
        "fewest",
        "cheapest",
        "fastest",
        "front",
        "on H100",
        "Why",
        "Band",
        "Price",
        "Rent",
        "Scaling",
        "Next",
    ):
        assert f"\n{word}" in result.out, word
    assert "p5en.48xlarge (aws)" in (text := " ".join(result.out.split())) and "SkyPilot catalog v8" in text
    assert "±12%" in result.out and "GPU-hours" in result.out


def test_fewest_that_run_at_all(shell: Shell) -> None:
    """LoRA: three GPUs of one node, because the rules allow three; two are too small, and why is said."""
    result = shell(LORA)
    assert result.code == 0 and len(result.out.splitlines()) <= SCREEN
    assert re.search(r"^fewest +3 ", result.out, re.M) and "2 GPUs are short by" in result.out
    assert "not part of any ranking" in " ".join(result.out.split())


def test_a_load(shell: Shell) -> None:
    """Deployments per GPU, dollars per hour and per million tokens."""
    result = shell(LOAD)
    assert result.code == 0 and len(result.out.splitlines()) <= SCREEN
    assert "H100 *" in result.out and "L40S" in result.out and "$/M tokens out" in result.out
    assert "planner serve --model llama3.1-70b" in result.out
    answer = valid(shell(f"{LOAD} --json").json, "size-serving-1")
    best = answer["answer"]
    assert best["gpu"] == "H100" and best["tokens_per_second"] == pytest.approx(20 * 300)
    assert best["usd_per_million_output_tokens"] == pytest.approx(best["usd_per_hour"] / (6000 * 3600) * 1e6)
    follow = shell(*result.out.split("Next     planner ")[1].split()[:-2], "--objective", "fewest", "-q")
    assert follow.code == 0


@pytest.mark.parametrize("command", [MONEY, LORA, SMALL, LATE, f"{SMALL} --failures 4/1000node-days"])
def test_json_is_versioned_and_whole(shell: Shell, command: str) -> None:
    """The schema holds, also when nothing keeps the limits; nothing but JSON on stdout."""
    result = shell(f"{command} --json")
    answer = valid(result.json, "size-1")
    assert answer["fits_as_requested"] == (result.code == 0) and result.err == ""


def test_json_adds_up(shell: Shell) -> None:
    """time = tokens / speed, GPU-hours = GPUs x hours, cost = hours x price; the band surrounds the time."""
    answer = shell(f"{SMALL} --price H100=2.5/h --json").json
    for p in (answer["answer"], *answer["pareto_front"], *answer["points"]):
        assert p["time_s"] == pytest.approx(1e11 / p["tokens_per_second"])
        assert p["gpu_hours"] == pytest.approx(p["gpus"] * p["time_s"] / 3600)
        assert p["cost_usd"] == pytest.approx(2.5 * p["gpu_hours"])
        assert p["time_low_s"] < p["time_s"] < p["time_high_s"]
        assert p["gpus"] == p["nodes"] * p["gpus_per_node"]


def test_the_size_is_what_recommend_says(shell: Shell) -> None:
    """One problem, many verbs: the same plan and the same step time."""
    mine = shell(f"{LORA} --json").json["answer"]
    theirs = shell(f"recommend --model llama70b --method lora --gpus {mine['spec']} --json -q").json["plans"][0]
    assert theirs["step_time_s"] == mine["step_time_s"] and theirs["tp"] == mine["plan"]["tp"]


def test_impossible_limits(shell: Shell) -> None:
    """Exit 1 with the nearest answers in time and in money."""
    result = shell(LATE)
    assert result.code == 1
    assert "Nothing keeps these limits." in result.out and "needs" in result.out and "k$" in result.out
    answer = shell(f"{LATE} --json").json
    assert answer["answer"] is None and answer["nearest"]["says"] and answer["binding_constraint"] == "deadline"


def test_some_fields(shell: Shell) -> None:
    """What a module needs, as an object or on a line; nulls when nothing fits."""
    base = "size -m llama3-70b -g h100,h200 --seq 8192 -q --fields nodes,gpus,instance"
    assert shell(f"{base} --json").json == {"nodes": 2, "gpus": 16, "instance": "gpu-h200-sxm_8gpu-128vcpu-1600gb"}
    assert shell(base).out == "2\t16\tgpu-h200-sxm_8gpu-128vcpu-1600gb\n"
    none = shell(f"{LATE} --fields gpus --json")
    assert none.code == 1 and none.json == {"gpus": None}
    assert shell(f"{LATE} --fields gpus").out == ""


def test_instance_types_come_whole(shell: Shell) -> None:
    """A node's name is taken by the node, its price by the node too."""
    answer = shell("size -m llama2-7b -g p5.48xlarge --tokens 1e11 --max-gpus 32 -q --json").json
    assert {p["gpus"] for p in answer["points"]} == {8, 16, 24, 32}
    assert answer["answer"]["instance"] == "p5.48xlarge"
    assert answer["answer"]["usd_per_hour"] == pytest.approx(55.04 * answer["answer"]["nodes"])


def test_a_load_on_several_kinds(shell: Shell) -> None:
    """A GPU by the piece, an instance type whole; the cheapest where prices are given."""
    base = "size --serve -m llama3.1-8b --gpu H100,L40S,p5.48xlarge --requests 50/s --input 1000 --output 200 -q"
    found = {d["gpu"]: d for d in shell(f"{base} --json").json["each_gpu"]}
    assert (found["H100"]["gpus"], found["p5.48xlarge"]["gpus"]) == (3, 8)
    assert found["p5.48xlarge"]["usd_per_hour"] == 55.04
    cheap = shell(f"{base} --price H100=2.5/h,L40S=0.5/h --json").json
    assert cheap["answer"]["gpu"] == "L40S" and cheap["fewest"]["gpu"] == "H100"


def test_a_load_with_a_cached_prefix(shell: Shell) -> None:
    """As of `planner serve`: its prompt is not computed again, and the command that follows has it."""
    base = "size --serve -m llama3.1-8b --gpu H100 --requests 50/s --input 2000 --output 200 -q"
    whole, cached = shell(f"{base} --json").json["answer"], shell(f"{base} --prefix 1500 --json").json["answer"]
    assert cached["gpus"] < whole["gpus"]
    said = shell(f"{base} --prefix 1500").out
    assert "(1,500 of them cached)" in said and "--prefix 1500" in said.split("Next")[1]
    assert shell(f"{base} --prefix 2500").code == 2
    assert "about inference" in shell("size -m llama3.1-8b --gpu H100 --prefix 100 -q").err


def test_prices_rank_nothing_unless_asked(shell: Shell) -> None:
    """Shown as information; "cheapest" appears with --price, --budget or --objective cheapest."""
    plain, asked = shell(f"{SMALL} --json").json, shell(f"{SMALL} --objective cheapest --json").json
    assert plain["cheapest"] is None and plain["answer"]["cost_usd"] > 0 and not plain["inputs"]["prices_rank"]
    assert asked["answer"] == asked["cheapest"]


def test_failures(shell: Shell) -> None:
    """Slower by the share that checkpoints and restarts take, and said so."""
    base = "size -m llama3.1-405b -g H100 --tokens 15.6e12 --deadline 100d --global-batch 2048 -q"
    failing = f"{base} --failures 4/1000node-days --checkpoint 60s --restart 5m"
    calm, hard = shell(f"{base} --json").json["answer"], shell(f"{failing} --json").json["answer"]
    assert hard["gpus"] >= calm["gpus"] and 0.85 < hard["effective_share"] < 1 and hard["spare_nodes"] > 10
    assert "Young/Daly" in shell(failing).out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--tokens 1e12 --deadline 0d", "leaves no time"),
        ("--tokens 1e12 --deadline -3d", "not negative"),
        ("--tokens 1e12 --deadline 2020-01-01", "not in the future"),
        ("--tokens 1e12 --deadline 2030-13-01", "is no date"),
        ("--tokens 1e12 --deadline 3fortnights", "none of second"),
        ("--tokens 1e12 --deadline 30", "has no unit"),
        ("--tokens 1e12 --budget 0", "must be positive"),
        ("--tokens 1e12 --budget 3M€", "US dollars"),
        ("--tokens 1e12 --budget -5", "US dollars"),
        ("--tokens 1e12 --price H100=2.5", "GPU and hour"),
        ("--tokens 1e12 --price H100=2.5EUR/h", "not understood"),
        ("--tokens 1e12 --price H100=60/d", "per hour"),
        ("--tokens 1e12 --price H100=0/h", "positive"),
        ("--tokens 1e12 --price A100=2/h", "none of --gpu"),
        ("--tokens 1e12 --price H100=2/h --price h100-sxm5-80gb=3/h", "twice"),
        ("--tokens 0", "no amount"),
        ("--tokens many", "is not a quantity"),
        ("--deadline 30d", "--tokens"),
        ("--budget 3M", "--tokens"),
        ("--objective cheapest", "--tokens"),
        ("--objective best", "fewest GPUs"),
        ("--max-gpus 0", "between 1"),
        ("--gpu ,", "names no GPU"),
        ("--gpu H1000", "did you mean"),
        ("--gpu 8xH100", "without a number"),
        ("--gpu H100:8", "without a number"),
        ("--gpu p5.48xlarge --max-gpus 4", "less than one p5.48xlarge"),
        ("--gpu L4 --tokens 1e12 --budget 1M", "no price is known for L4"),
        ("--tp 3", "legal: 1, 2, 4, 8"),
        ("--failures often", "no rate of failures"),
        ("--failures 0/1000node-days", "no rate of failures"),
        ("--checkpoint 60s", "belong to --failures"),
        ("--tpot 40ms", "--serve"),
        ("--serve --requests 20/s --tokens 1e12", "about training"),
        ("--serve --requests 20/s --seq 100", "about training"),
        ("--serve", "needs a load"),
        ("--fields nothing", "is no field"),
        ("--fields ,", "names no field"),
    ],
)
def test_mistakes_are_explained(shell: Shell, options: str, says: str) -> None:
    """One screen on stderr, nothing on stdout, exit code 2."""
    gpu = "" if "--gpu" in options else " -g H100"
    result = shell(f"size -m llama2-7b{gpu} {'' if '--max-gpus' in options else '--max-gpus 16'} -q {options}")
    assert result.code == 2, result
    assert says in result.err and result.out == ""
    assert "Traceback" not in result.err and len(result.err.splitlines()) <= 20


def test_what_is_missing_is_named(shell: Shell) -> None:
    """No model, no GPU."""
    assert "--model is missing" in shell("size -g H100").err
    assert "--gpu is missing" in shell("size -m llama70b").err


def test_what_does_not_fit(shell: Shell) -> None:
    """By how much, what would cure it; exit 1."""
    result = shell("size -m llama70b -g L4 --max-gpus 16 -q")
    assert result.code == 1 and "short by" in result.out and "cure" in result.out
    assert valid(shell("size -m llama70b -g L4 --max-gpus 16 -q --json").json, "size-1")["does_not_fit"]
    load = shell("size --serve -m llama70b -g L4 --max-gpus 8 --requests 5/s -q")
    assert load.code == 1 and "Not      L4" in load.out


def test_a_range_of_clusters(shell: Shell) -> None:
    """A curve with its plot, as a table and as JSON."""
    command = "recommend --model llama70b --gpus 8xA100..1024xA100 -q"
    result = shell(command)
    assert result.code == 0 and len(result.out.splitlines()) <= SCREEN
    assert "Scaling  pays up to" in result.out and "●" in result.out and "8 GPUs: nothing fits" in result.out
    answer = valid(shell(f"{command} --json").json, "curve-1")
    assert [p["gpus"] for p in answer["curve"]] == sorted(p["gpus"] for p in answer["curve"])
    assert answer["does_not_fit_gpus"] == [8]
    one = shell("recommend --model llama70b --gpus 64xA100 --json -q").json["plans"][0]
    assert next(p for p in answer["curve"] if p["gpus"] == 64)["step_time_s"] == one["step_time_s"]


@pytest.mark.parametrize(
    ("gpus", "says"),
    [
        ("8xA100..16xH100", "no range"),
        ("16xA100..8xA100", "runs backwards"),
        ("8xA100..", "no range of clusters"),
        ("..8xA100", "no range of clusters"),
        ("8xA100..12xA100", "do not fill"),
        ("8xA100..many", "no accelerator or node"),
    ],
)
def test_bad_ranges(shell: Shell, gpus: str, says: str) -> None:
    """The ends of a range are clusters of one kind."""
    result = shell(f"recommend -m llama70b -g {gpus} -q")
    assert result.code == 2 and result.out == ""
    assert says in result.err


def test_side_by_side(shell: Shell) -> None:
    """One column per cluster, prices with their source."""
    command = "compare --model llama70b --gpus 64xA100,64xH100,32xB200 -q"
    result = shell(command)
    assert result.code == 0 and len(result.out.splitlines()) <= SCREEN
    for word in ("64xA100", "64xH100", "32xB200", "step", "tokens/s", "MFU", "memory", "M tokens/$", "SkyPilot"):
        assert word in result.out
    answer = valid(shell(f"{command} --json").json, "comparison-1")
    assert [c["name"] for c in answer["clusters"]] == ["64xA100", "64xH100", "32xB200"]
    unfit = shell("compare -m llama70b -g 8xA100,8xL4 --exact -q")
    assert unfit.code == 1 and "Not      8xA100" in unfit.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("-g 64xA100", "2 to 8 are compared"),
        ("-g 64xA100,64xH1000", "did you mean"),
        ("-g 64xA100,64xH100 --price B200=5/h", "in none of --gpus"),
        ("", "--gpus is missing"),
    ],
)
def test_bad_comparisons(shell: Shell, options: str, says: str) -> None:
    """One screen, exit 2."""
    result = shell(f"compare -m llama70b -q {options}")
    assert result.code == 2 and says in result.err and result.out == ""
