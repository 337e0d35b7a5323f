"""What is asked of deployments is answered, refused in words, or cured by something that works."""

from __future__ import annotations

import pytest

from planner.errors import PlannerError
from planner.plan import Plan
from planner.questions.serve import answer, ask_serve
from planner.questions.size_serving import ask_load, size_load
from planner.report.serving import ranking, reasons
from planner.serving.estimate import prefill

MANY = {"input": 1024, "output": 256}


@pytest.mark.parametrize(
    ("rate", "levels"), [("500", {}), ("20", {"tpot": "1s"}), ("40", {"ttft": "500ms", "statistic": "p99"})]
)
def test_a_rate_beyond_the_cluster_has_a_cure(rate: str, levels: dict[str, str]) -> None:
    """The largest rate that is carried: it is, and a quarter more is not."""
    found = answer(ask_serve("llama3.3-70b", "8xH100", rate=rate, **MANY, **levels))
    assert not found.choice.ranked
    (cure,) = [cure.removeprefix("--rate ") for cure in found.cures if cure.startswith("--rate")]
    assert answer(ask_serve("llama3.3-70b", "8xH100", rate=cure, **MANY, **levels)).choice.ranked
    more = f"{1.25 * float(cure):g}"
    assert not answer(ask_serve("llama3.3-70b", "8xH100", rate=more, **MANY, **levels)).choice.ranked


def test_levels_as_cures_hold() -> None:
    """Rounded up, never to a level that nothing keeps."""
    for output in (64, 100, 256, 777):
        asked = {"input": 1024, "output": output, "users": 4}
        found = answer(ask_serve("llama3.1-8b", "1xH100", ttft="1ms", **asked))
        (cure,) = [cure.removeprefix("--ttft ") for cure in found.cures if cure.startswith("--ttft")]
        assert answer(ask_serve("llama3.1-8b", "1xH100", ttft=cure, **asked)).choice.ranked


@pytest.mark.parametrize(("engine", "gpus"), [("tensorrt-llm", "8xMI300X"), ("vllm", "8xgaudi3"), ("sglang", "1xT4")])
def test_an_engine_where_it_does_not_run(engine: str, gpus: str) -> None:
    """The answer says so, and what runs there does not."""
    said = f"low confidence: {engine} is not built for"
    assert any(one.startswith(said) for one in ask_serve("llama3.1-8b", gpus, engine=engine).assumptions)
    assert not any("is not built" in one for one in ask_serve("llama3.1-8b", "8xMI300X").assumptions)


def test_eight_bit_activations() -> None:
    """int8 weights alone are widened, and prompts take what they take in 16 bit; w8a8 has the int8 rate, twice as high
    (A100's datasheet: 624 to 312).
    """
    first = {}
    for weights in ("bf16", "int8", "w8a8"):
        ask = ask_serve("llama3.1-8b", "1xA100", weights=weights, users=1, input=8000, output=16)
        first[weights] = float(prefill(ask.job, Plan(), 1.0))
        said = "(W8A16)" if weights == "int8" else "int8 products (W8A8)"
        assert any(said in one for one in ask.assumptions) == (weights != "bf16")
    assert first["int8"] == pytest.approx(first["bf16"], rel=0.05)
    assert first["w8a8"] < 0.65 * first["bf16"]


@pytest.mark.parametrize(
    ("gpus", "engine", "hint"),
    [
        ("1xB200", "vllm", "--weights fp8"),
        ("1xA100", "trtllm", "int8, or --engine vllm"),
        ("1xMI300X", "sglang", "fp8"),
    ],
)
def test_int8_products_that_an_engine_lacks(gpus: str, engine: str, hint: str) -> None:
    """Blackwell in vLLM (scaled_mm_helper.hpp: "Int8 not supported on SM"), CUDA alone in SGLang, none in PyTorch's
    backend of TensorRT-LLM: refused, and what is named instead is taken.
    """
    with pytest.raises(PlannerError, match="has no int8 products on") as caught:
        ask_serve("llama3.1-8b", gpus, engine=engine, weights="w8a8")
    assert hint in " ".join(caught.value.hint)
    assert ask_serve("llama3.1-8b", gpus, engine=engine, weights="fp8" if "fp8" in hint else "int8")


def test_one_token_has_no_time_per_token() -> None:
    """A bound on it is refused instead of being broken by every deployment."""
    with pytest.raises(PlannerError, match="--output 1 has none"):
        ask_serve("llama3.1-8b", "1xH100", output=1, tpot="20ms")


def test_caches_that_no_engine_keeps() -> None:
    """NVFP4 without fp4 products is refused; fp8 without fp8 products is said to be rare, and is no cure."""
    with pytest.raises(PlannerError, match="no engine keeps an nvfp4 cache on h100"):
        ask_serve("llama3.1-8b", "1xH100", kv="nvfp4")
    said = ask_serve("llama3.1-8b", "1xA100", kv="fp8").assumptions
    assert any("most kernels take no cache in fp8 there" in one for one in said)
    short = answer(ask_serve("llama2-70b", "4xA100-40GB", batch=32, input=1920, output=128))
    assert short.cures and "--kv fp8" not in short.cures


def test_a_prompt_that_is_cached_waits_for_no_whole_steps() -> None:
    """One fresh token shares its step: behind 31 others it waits for little more than a step."""
    alone, many = (
        answer(ask_serve("llama3.1-8b", "1xH100", users=n, input=1024, output=128, prefix=1023)).choice.ranked[0]
        for n in (1, 32)
    )
    assert float(many.ttft - alone.ttft) < 1.2 * float(many.tpot - alone.tpot) + 1e-4


def test_a_model_that_no_change_fits_is_sized() -> None:
    """The next step is a command that answers (exit code 1 before, 0 after)."""
    found = answer(ask_serve("llama3.1-405b", "1xH100"))
    assert not found.choice.ranked and not found.cures
    (line,) = [one for one in reasons(found, 3) if one.startswith("Next")]
    asked = dict(pair.split(" ", 1) for pair in line.split(":")[0].split(" --")[2:])
    loaded = {"users": int(asked["users"]), "weights": asked["weights"], "kv": asked["kv"]}
    assert size_load(ask_load(asked["model"], asked["gpu"], **loaded)).answer is not None


def test_the_first_token_alone_has_no_time_between_tokens() -> None:
    """A prompt that is only read: dashes instead of a time per token."""
    (_, row, *_) = ranking(answer(ask_serve("llama3.1-8b", "1xH100", output=1, users=1)), 1)
    assert row.split().count("-") == 2
