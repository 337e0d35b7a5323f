"""planner serve and planner validate --serve, as a user sees them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from tests.cli.run import Shell

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
BUSY = "serve --model llama3.1-70b --gpus 8xH100 --input 4000 --output 500 --tpot 30ms --ttft 1s"
FULL = "serve --model llama70b --gpus 4xA100-40GB --batch 32 --input 1920 --output 128"
FAST = "serve --model gpt3-175b --gpus 8xA100 --objective latency"


def test_under_service_levels(shell: Shell) -> None:
    """Header, ranking, the step's parts, what others break, the other answers, the front and definitions."""
    result = shell(BUSY)
    assert result.code == 0
    assert "TTFT ≤ 1.00 s, TPOT ≤ 30.0 ms, mean" in result.out
    assert "Why 1   tp8 pp1 dp1" in result.out and "others' prefills" in result.out
    assert "even with 1 user, above 30.0 ms" in result.out
    assert "short by" in result.out and "weights take" in result.out
    assert "Latency" in result.out and "Offline" in result.out and "Pools" in result.out
    assert "Pareto front" in result.out and "tokens/s/user" in result.out
    assert "TPOT: (end-to-end time - TTFT) / (output tokens - 1)" in result.out
    assert '"H100" means h100-sxm5-80gb' in result.err


def test_a_batch_that_does_not_fit(shell: Shell) -> None:
    """Exit 1, with the reason in tokens and GiB, and what would help."""
    result = shell(FULL)
    assert result.code == 1
    assert "Nothing does what was asked." in result.out
    assert "32 x 2,048 tokens are 65,536 of KV cache" in result.out and "GiB per GPU" in result.out
    assert "Cure    --weights int8" in result.out


def test_lowest_latency(shell: Shell) -> None:
    """GPT-3 175B: TP8 first, the pipelines behind it because each stage is passed in turn."""
    result = shell(FAST)
    assert result.code == 0
    assert "Why 1   tp8 pp1 dp1" in result.out
    assert "each of 2 micro-batches passes" in " ".join(result.out.split())


@pytest.mark.parametrize("command", [BUSY, FULL, FAST, f"{BUSY} --rate 1 --objective fewest --statistic p99"])
def test_json_is_versioned_and_whole(shell: Shell, command: str) -> None:
    """The schema holds, refusals included; nothing but JSON on stdout."""
    result = shell(f"{command} --json -q")
    schema = json.loads((SCHEMAS / "serving-1.json").read_text())
    jsonschema.validate(result.json, schema)
    assert result.json["schema"] == "planner.serving/1" and result.err == ""
    assert result.json["fits_as_requested"] == (result.code == 0)


def test_json_adds_up(shell: Shell) -> None:
    """Parts of a token and of memory sum to their totals; throughput follows from requests."""
    best = shell(f"{BUSY} --json -q").json["deployments"][0]
    assert sum(best["mean_tpot_parts_s"].values()) == pytest.approx(best["tpot_s"])
    memory = best["memory_bytes"]
    assert sum(v for k, v in memory.items() if k != "total") == pytest.approx(memory["total"])
    assert best["tokens_per_s_per_gpu"] == pytest.approx(best["requests_per_s"] * 500 / best["gpus"])
    stay = best["ttft_s"] + 499 * best["tpot_s"]
    assert best["users"] == pytest.approx(best["requests_per_s"] * stay)


@pytest.mark.parametrize("command", [f"{BUSY} --explain", f"explain --serve {BUSY.removeprefix('serve ')}"])
def test_every_number_of_a_deployment(shell: Shell, command: str) -> None:
    """By either name: groups, the formula of the memory, the sources; as JSON by its schema."""
    said = shell(f"{command} --plan 2 -q")
    assert said.code == 0 and said.err == ""
    assert all(group in said.out for group in ("PARAMETERS", "MEMORY", "OPERATORS", "TIME", "THROUGHPUT", "SOURCES"))
    assert "= engine_utilisation * memory - (weights + activations + reserve)" in " ".join(said.out.split())
    told = shell(f"{command} --plan 2 -q --json").json
    jsonschema.validate(told, json.loads((SCHEMAS / "serving-explanation-1.json").read_text()))
    second = shell(f"{BUSY} -q --json").json["deployments"][1]
    values = {line["symbol"]: line["value"] for line in told["lines"]}
    assert values["mean TPOT"] == pytest.approx(second["tpot_s"])
    assert values["tokens per second and GPU"] == pytest.approx(second["tokens_per_s_per_gpu"])


JOB = "serve -m llama3.1-70b -g 8xH100 -q"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (f"{JOB} --tpot 0ms", "must be positive"),
        (f"{JOB} --ttft -1s", "not negative"),
        (f"{JOB} --tpot fast", "is not a quantity"),
        (f"{JOB} --tpot 30", "has no unit"),
        (f"{JOB} --input 0", "--input"),
        (f"{JOB} --output -5", "--output"),
        (f"{JOB} --input 131072 --output 1", "exceed the 131,072 of llama3.1-70b"),
        (f"{JOB} --input 100 --prefix 100", "prefix of 100"),
        (f"{JOB} --users 0", "between 1"),
        (f"{JOB} --batch -1", "between 1"),
        (f"{JOB} --rate 0", "requests per second"),
        (f"{JOB} --rate 1 --users 2", "leave all but one out"),
        (f"{JOB} --statistic p50", "mean, p99"),
        (f"{JOB} --objective best", "most tokens per second"),
        (f"{JOB} --objective fewest", "needs a load"),
        (f"{JOB} --weights fp7", "nvfp4"),
        (f"{JOB} --speculative-num-draft-tokens 4", "speculation is not modelled"),
        (f"{JOB} --speculative_config x", "tokens that are accepted"),
        (f"{JOB} --weights nvfp4 --engine trtllm", "has no fp4"),
        (f"{JOB} --engine vlm", "did you mean: vllm"),
        (f"{JOB} --engine static --rate 1", "--rate"),
        (f"{JOB} --tp 3", "legal: 1, 2, 4, 8"),
        (f"{JOB} --tp 8 --pp 2", "exceed the 8 GPUs"),
        (f"{JOB} --ep 2", "has no experts"),
        (f"{JOB} --top 0", "between 1"),
        (f"{JOB} --explain --launch", "leave one out"),
        (f"{JOB} --explain --plan 99", "no number 99"),
        ("serve -m llama3.1-70b -g 8xA100 -q --weights fp8 -e trtllm", "int8"),
        ("serve -m lama3.1-70b -g 8xH100", "did you mean: llama"),
        ("serve -m llama3.1-70b", "--gpus"),
        ("show engines vlm", "did you mean: vllm"),
        ("validate --serve /nowhere.csv", "/nowhere.csv"),
        ("validate --serve --svg x.svg", "training runs"),
    ],
)
def test_mistakes_are_explained(shell: Shell, command: str, says: str) -> None:
    """One screen on stderr, nothing on stdout, exit code 2."""
    result = shell(command)
    assert result.code == 2, result
    assert says in result.err and result.out == ""
    assert "Traceback" not in result.err and len(result.err.splitlines()) <= 20


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("serve -m llama3.1-70b -g 8xL40S -q --weights fp8", "low confidence with tp > 1"),
        ("serve -m mixtral-8x7b -g 8xH100 -q", "mixtures of experts"),
        ("serve -m llama3.1-8b -g 8xMI300X -q", "no inference runs"),
    ],
)
def test_what_was_not_measured_says_so(shell: Shell, command: str, says: str) -> None:
    """In the notes, and in JSON with them silenced."""
    assert says in shell(command.replace(" -q", "")).err
    assert any(says in sentence for sentence in shell(f"{command} --json").json["assumptions"])


def test_validation_of_the_committed_rows(shell: Shell) -> None:
    """Tables of what counts and of what is scored apart."""
    result = shell("validate --serve -q")
    assert result.code == 0
    assert "TPOT" in result.out and "pairs as measured" in result.out and "scored apart" in result.out
    scores = shell("validate --serve -q --json").json
    assert scores["schema"] == "planner.serving-validation/1" and scores["sizes"]["tpot"]["mean"] <= 0.12


def test_predictions_as_rows(shell: Shell, tmp_path: Path) -> None:
    """One line per measured value."""
    path = tmp_path / "rows.csv"
    assert shell(f"validate --serve -q --rows {path}").code == 0
    lines = path.read_text().splitlines()
    assert lines[0].startswith("id,kind,engine") and len(lines) > 500


@pytest.mark.parametrize(
    ("model", "gpus", "weights"),
    [
        ("deepseek-v3", "8xH200", "weights fp8 (the checkpoint's own), KV"),
        ("gpt-oss-120b", "1xH100", "weights mxfp4 (the checkpoint's own), attention in bf16, KV"),
        (
            "llama3.1-405b-fp8",
            "8xH100",
            "weights fp8 (the checkpoint's own), attention in bf16, 2 of 126 layers in bf16",
        ),
        ("qwen3-32b", "1xH100", "weights bf16, KV"),
        ("deepseek-v3 --weights bf16", "2x8xH200", "weights bf16, KV"),
    ],
)
def test_weights_are_as_published(shell: Shell, model: str, gpus: str, weights: str) -> None:
    """Without --weights what the checkpoint holds, said in the header, on stderr and in JSON; --weights overrides."""
    command = f"serve -m {model} -g {gpus} --input 1000 --output 1000"
    result, answer = shell(command), json.loads(shell(f"{command} --json").out)
    assert result.code == 0 and weights in result.out
    own = "the checkpoint's own" in weights
    assert ("(the checkpoint's own)" in result.err) is own
    assert answer["inputs"]["workload"]["weights_of_checkpoint"] is own


def test_pools_answer_the_load(shell: Shell) -> None:
    """The rate that was asked, with the experts' degree; pinned they are as asked, and none is said to be none."""
    asked = "serve -m deepseek-v3 -g 4x8xH200 --input 4000 --output 500 --rate 2 --ttft 2s -q"
    pools = json.loads(shell(f"{asked} --json").out)["disaggregated"]
    assert pools["requests_per_s"] == 2.0 and pools["gpus_without_pools"] <= pools["gpus"] <= 32
    said = shell(f"{asked} --prefill tp=8,ep=8,dp=2 --decode tp=8,ep=8").out
    assert "2 x prefill tp8 ep8 pp1" in said and "decode tp8 ep8 pp1" in said
    assert "none carry" in shell(f"{asked} --decode dp=40").out
    for wrong in ('--prefill ""', "--prefill tp", "--decode tp=2,tp=4", "--decode tp=x", "--prefill tp=0"):
        assert shell(f"{asked} {wrong}").code == 2
    assert shell("serve -m llama3.1-8b -g 8xH100 --users 8 --prefill tp=1").code == 2


def test_pools_that_are_no_layout(shell: Shell) -> None:
    """Pins that no instance obeys are refused by name; pools that do not fit side by side are said to be none."""
    many = shell("serve -m deepseek-r1 -g 4x8xH200 --prefill tp=16 --decode tp=64")
    assert many.code == 2 and "--decode: no layout is legal: 64 x pp=1 x dp=1 exceed the 32 GPUs" in many.err
    both = shell("serve -m deepseek-r1 -g 8xH200 --prefill tp=8 --decode tp=1,ep=8")
    assert both.code == 0 and "Pools   none as pinned fit 8 GPUs" in both.out


def test_lengths_as_people_write_them(shell: Shell) -> None:
    """Those of a prefix too; what exceeds the context is said once."""
    result = shell("serve -m llama3.1-8b -g 1xH100 --input 8k --prefix 7k")
    assert result.code == 0 and "8,192 prompt (7,168 of them cached)" in result.out
    long = shell("serve -m llama3.1-8b -g 1xH100 --input 131072 --output 1")
    assert long.err.count("exceed") == 1
