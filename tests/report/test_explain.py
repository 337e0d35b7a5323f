"""Every line of an explanation is a formula that gives its number."""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from planner.catalog.library import open_library
from planner.cost.dispatch import DISPATCHERS
from planner.formula import fact, formula, tracing, written
from planner.plan import Plan
from planner.questions.train import Ranked
from planner.report.explain import Line, explanation
from planner.report.explain_serving import explanation as of_deployment
from planner.report.profiles import record, table
from planner.serving.job import ServeJob, at_batch
from planner.serving.options import Option, evaluate, full, per_gpu
from planner.training.estimate import estimate
from planner.training.job import Job
from tests.jobs import job
from tests.serving.jobs import serve_job

NAMESPACE = {name: getattr(math, name) for name in ("ceil", "floor", "sqrt", "log2", "inf")}
NAMESPACE |= {"max": max, "min": min, "__builtins__": {}}

MODELS = (
    "llama3.1-8b",
    "gpt2-xl",
    "mixtral-8x7b",
    "qwen3-30b-a3b",
    "deepseek-v3",
    "gemma3-27b",
    "mistral-7b",
)
"""Dense, with learned positions, of experts, with latent attention, windowed in part and throughout."""

SEEING = ("qwen2.5-vl-7b", "qwen3-vl-30b-a3b", "gemma3-4b")
"""Of those with a vision tower."""


def value(line: Line) -> float:
    """What the printed formula gives for the printed variables."""
    return float(eval(line.formula, dict(NAMESPACE), {k: v.value for k, v in line.variables.items()}))


def ranked(of: Job, plan: Plan) -> Ranked:
    """A plan as a ranking has it."""
    return Ranked(of, plan, (), estimate(of, plan), 0.0, 0.0)


def lines(of: Job, plan: Plan) -> list[Line]:
    """The explanation of a plan."""
    return explanation(ranked(of, plan))


def test_facts_of_profiles_have_their_units() -> None:
    """A bandwidth reads as one, and says so in JSON."""
    found = lines(job("llama3.1-8b", "8xA100", seq=4096, batch=32), Plan(dp=8, m=4))
    units = {name: variable.unit for line in found for name, variable in line.variables.items()}
    assert (units["bandwidth"], units["efficiency_kernel"]) == ("bytes/s", "s")
    assert any("bandwidth = 2.04 TB/s" in line.numbers for line in found)


def test_every_quantity_of_a_profile_is_shown_with_its_unit() -> None:
    """A time that a link loses, and one that a preset has not."""
    for kind, name, line in (("link", "efa-playbook", "stall 610 ms"), ("framework", "hf", "piped_floor 0 s")):
        profile = open_library().find(kind, name).value
        assert line in [" ".join(one.split()) for one in table(record(kind, profile), profile)]


def drawn(seed: int, models: tuple[str, ...] = MODELS) -> tuple[Job, Plan]:
    """A random job and a plan for it."""
    pick = random.Random(seed)
    method = pick.choice(("full", "full", "lora"))
    workload: dict[str, Any] = {
        "method": method,
        "attention": pick.choice(("flash", "unfused")),
        "optimizer": pick.choice(("adam", "adam-bf16", "adam-8bit")),
        "offload": pick.choice(("none", "none", "optimizer")) if method == "full" else "none",
    }
    preset = pick.choice(("megatron-core", "torchtitan", "deepspeed", "deepspeed-zero3-2021", "nanotron"))
    cluster = pick.choice(("8xA100", "4x8xH100", "8x8xMI300X", "4x4xV100"))
    if "V100" in cluster:
        workload["precision"] = "fp16"
    if "H100" in cluster:
        workload["precision"] = pick.choice(("bf16", "fp8", "fp8-current", "fp8-blockwise"))
        if workload["precision"] != "bf16":
            workload |= {"fp8_param_gather": pick.choice((False, True)), "bf16_first": pick.choice((0, 1))}
    name = pick.choice(models)
    if models is SEEING:
        workload |= {"images": pick.choice((0, 1, 2)), "image_size": pick.choice((224, 512))}
        workload["tower"] = pick.choice(("trained", "projector", "frozen"))
    of = job(name, cluster, preset, seq=2048 * pick.choice((1, 2, 4)), batch=256, **workload)
    tp, pp, cp = (pick.choice((1, 1, 2, 4)) for _ in range(3))
    left = max(of.cluster.gpus // (tp * pp * cp), 1)
    spread = [(ep, etp) for ep in (1, 2, 4) for etp in (1, 2, 4) if left * cp * tp % (ep * etp) == 0]
    ep, etp = pick.choice(spread) if of.model.moe else (1, 1)
    copies = pick.choice([n for n in (1, 2) if left % n == 0])
    schedule = pick.choice(("1f1b", "gpipe", "interleaved")) if pp > 1 else "1f1b"
    v, layers = 2 if schedule == "interleaved" else 1, pick.choice((0, 0, 1, 3))
    split = {"tp": tp, "cp": cp, "ep": ep, "etp": etp, "pp": pp, "v": v, "dp": left, "dp_replicate": copies}
    batch = {"b": pick.choice((1, 2)), "m": pick.choice((1, 2, 4)) * pp, "sp": pick.choice((0, 1)) if tp > 1 else 0}
    zero = pick.choice((0, 1, 2, 3))
    return of, Plan(
        **split,
        **batch,
        zero=zero,
        recompute_layers=layers,
        schedule=schedule,
        modules=pick.choice(((), ("core_attn",), ("mla_up_proj", "layernorm", "moe_act"), ("mlp", "moe"))),
        dispatcher=pick.choice(DISPATCHERS),
        overlap=pick.choice((False, True)),
    )


def checked(found: list[Line]) -> dict[tuple[str, str], float]:
    """Values by group and symbol, once every line was held to its formula and every variable to its own line."""
    for line in found:
        assert value(line) == pytest.approx(line.value, rel=1e-6, abs=1e-15), line
    known = {line.name: line.value for line in found}
    assert len(known) == len(found)
    for name, variable in ((n, v) for line in found for n, v in line.variables.items() if n in known):
        assert variable.value == known[name], name
    return {(line.group, line.symbol): line.value for line in found}


@pytest.mark.parametrize("seed", range(300))
def test_every_formula_gives_its_number(seed: int) -> None:
    """Of 300 random plans; the step, the peak and their parts are those of the estimate."""
    of, plan = drawn(seed)
    now = estimate(of, plan)
    values = checked(lines(of, plan))
    assert values["time", "step"] == pytest.approx(float(now.time.total), rel=1e-12)
    assert values["memory", f"peak, rank {int(now.rank)}"] == pytest.approx(float(now.memory.total), rel=1e-12)


@pytest.mark.parametrize("seed", range(60))
def test_every_formula_of_a_tower_gives_its_number(seed: int) -> None:
    """The same of 60 jobs whose model sees, with and without images, trained in whole, in part or not at all."""
    of, plan = drawn(seed, SEEING)
    now, found = estimate(of, plan), lines(of, plan)
    values = checked(found)
    assert values["time", "step"] == pytest.approx(float(now.time.total), rel=1e-12)
    assert values["memory", f"peak, rank {int(now.rank)}"] == pytest.approx(float(now.memory.total), rel=1e-12)
    timed = any(symbol.startswith("vision") for group, symbol in values if group == "operators")
    assert timed <= (of.workload.images > 0)
    assert timed or not of.workload.images or plan.pp > 1


SERVED = (*MODELS, "gpt-oss-120b", "nemotron-3-nano-30b-a3b", "deepseek-v3.2", "qwen3-next-80b-a3b", "kimi-k2")
"""Also with sinks, states, sparse attention, linear attention, narrow checkpoints."""


def drawn_deployment(seed: int, models: tuple[str, ...] = SERVED) -> tuple[ServeJob, Option, str]:
    """A random deployment under a random load, as `serve` evaluates it."""
    pick = random.Random(seed)
    cluster = pick.choice(("8xH100", "2x8xH200", "8xB200", "4xA100-40GB", "4xL40S", "4x8xMI300X"))
    engine = pick.choice(("vllm", "sglang", "tensorrt-llm", "vllm-2024", "static", "fastertransformer"))
    objective = pick.choice(("throughput", "latency", "offline"))
    on_part = {"8xB200": ("bf16", "fp8", "nvfp4"), "4xA100-40GB": ("bf16", "int4")}.get(cluster, ("bf16", "fp8"))
    workload: dict[str, Any] = {"input": pick.choice((100, 4000)), "output": pick.choice((2, 700))}
    workload |= {"prefix": pick.choice((0, 0, 50)), "statistic": pick.choice(("mean", "p99"))}
    workload |= {"weights": pick.choice(on_part), "kv": "bf16"}
    of = serve_job(pick.choice([name for name in models if name != "gpt2-xl"]), cluster, engine, **workload)
    tp, ep, pp, dp = (pick.choice((1, 1, 2, 4)) for _ in range(4))
    plan = Plan(tp=tp, ep=ep if of.model.moe else 1, pp=pp, dp=dp)
    if objective == "offline":
        return of, full(of, plan), objective
    if objective == "throughput" and of.engine.scheduler == "continuous" and pick.random() < 0.5:
        of = replace(of, workload=of.workload.model_copy(update={"rate": pick.choice((0.5, 20.0))}))
    return of, evaluate(of, at_batch(plan, float(pick.choice((1, 7, 300))))), objective


@pytest.mark.parametrize("seed", range(90))
def test_every_formula_of_a_deployment_gives_its_number(seed: int) -> None:
    """Of 90 random deployments, ten with a vision tower; memory, times and throughput are those of the ranking."""
    of, option, objective = drawn_deployment(seed, SERVED if seed < 80 else SEEING)
    values = checked(of_deployment(of, option, objective))
    told = {
        ("memory", "held by the fullest rank"): option.memory.total,
        ("memory", "usable memory"): option.capacity,
        ("memory", "most requests"): option.most,
        ("memory", "KV tokens"): option.kv_tokens,
        ("time", "mean TPOT"): option.served.tpot,
        ("time", "mean TTFT"): option.served.ttft,
        ("throughput", "requests per second"): option.served.requests,
        ("throughput", "tokens per second and GPU"): per_gpu(option, of.workload.output),
        ("throughput", "tokens per second and user"): option.per_user,
    }
    if of.workload.statistic == "p99":
        told |= {("time", "TPOT"): option.tpot, ("time", "TTFT"): option.ttft}
    for key, number in told.items():
        if key in values or float(number) > 0.0:
            assert values[key] == pytest.approx(float(number), rel=1e-9), key


def said(of: Job, plan: Plan) -> dict[tuple[str, str], Line]:
    """Lines by group and symbol."""
    return {(line.group, line.symbol): line for line in lines(of, plan)}


def shape(line: Line) -> dict[str, float]:
    """Variables of a line."""
    return {name: variable.value for name, variable in line.variables.items()}


@pytest.fixture(scope="module")
def readme() -> dict[tuple[str, str], Line]:
    """Llama 3.1 70B on 64 A100."""
    of = job("llama3.1-70b", "8x8xA100", seq=8192, batch=512)
    return said(of, Plan(tp=4, pp=4, dp=4, m=128, zero=1, sp=1, recompute_layers=3))


def test_the_update_divides_by_the_shard_and_the_efficiency(readme: dict[tuple[str, str], Line]) -> None:
    """4 + 4 + 2 * 12 + 2 bytes of 20 layers and the embedding's rows, over dp = 4, at 0.8 of 2,039 GB/s."""
    layer = (8192 * 8192 * 2 + 2 * 8192 * 1024 + 3 * 8192 * 28672) / 4 + 2 * 8192
    held = 20 * layer + 128512 / 4 * 8192 + 8192
    line = readme["time", "optimizer"]
    assert line.value == pytest.approx(34 * held / 4 / (2039e9 * 0.8), rel=1e-9)
    assert {"dp", "bandwidth", "efficiency_memory"} <= set(line.variables)


def test_an_update_on_the_host_is_not_told_as_one_on_the_device() -> None:
    """Gradients go down and weights come up over the host link; the CPU's bandwidth is assumed."""
    of = job("llama3.1-8b", "8xA100", seq=8192, batch=64, offload="optimizer")
    line = said(of, Plan(tp=1, pp=1, dp=8, m=8, zero=1))["time", "optimizer"]
    assert {"host_rate", "host_bandwidth", "used"} <= set(line.variables) and "bandwidth" not in line.variables
    assert line.trust == "assumed"


def mixtral(**degrees: int) -> dict[tuple[str, str], Line]:
    """Mixtral 8x7B on 16 A100."""
    of = job("mixtral-8x7b", "2x8xA100", seq=4096, batch=64)
    return said(of, Plan(**({"tp": 2, "dp": 8, "ep": 4, "etp": 2, "m": 8, "zero": 1} | degrees)))


def test_traffic_of_experts_is_in_the_tp_line() -> None:
    """Two all-reduces: of b*s*h behind attention, of the k*etp/tp*b*s*h rows that experts met over etp."""
    lines = mixtral()
    whole = lines["operators", "attention experts layer forward work TP traffic"]
    calls = [line for (_, symbol), line in lines.items() if re.search(r"(^|layer )e?tp all reduce$", symbol)]
    assert sorted(shape(line)["bytes"] for line in calls) == [2 * 4096 * 4096, 4 * 4096 * 4096]
    assert sum("tp_all_reduce" in name for name in whole.variables) == 2


def test_states_of_experts_are_divided_by_their_own_ranks() -> None:
    """dp*cp = 8 ranks share the dense states, edp = 2 those of experts."""
    lines = mixtral()
    expert = 32 * 8 * 3 * 4096 * 14336 / (4 * 2)
    attention = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024) / 2
    rest = 32 * (4096 * 8 + 2 * 4096) + 2 * 32000 / 2 * 4096 + 4096
    line = next(line for (group, symbol), line in lines.items() if group == "memory" and "optimizer" in symbol)
    assert line.value == pytest.approx(12 * ((attention + rest) / 8 + expert / 2), rel=1e-9)
    assert line.trust == "exact"


def test_a_certain_zero_a_choice_and_a_shared_term_are_written_as_they_are() -> None:
    """What is not there is not written; of a choice, the branch that holds; precedence is kept."""
    x, y, none = fact(3.0, "x"), fact(2.0, "y"), fact(0.0, "none")

    def told(value: float) -> str:
        return written(value, lambda one: one.origin.name)

    assert told(x - (y - 1.0)) == "x - (y - 1)" and told(x / (y * x)) == "x / (y * x)"
    assert told((x + none * y) * 1.0) == "x" and told(np.where(x > y, x * y, y)) == "x * y"
    assert told(np.maximum(np.float64(2.0) * x, y)) == "max(2 * x, y)" and x * none == 0.0
    assert type(np.array([1.0, 2.0]) * x) is np.ndarray
    assert np.where(np.array([True, False]), x, y).tolist() == [3.0, 2.0]
    assert told(np.sqrt(x) + np.ceil(x / y)) == "sqrt(x) + ceil(x / y)"


def test_a_named_function_is_itself_outside_of_an_explanation() -> None:
    """And a line with its arguments inside."""

    @formula("area", "Euclid", "m^2")
    def area(width: float, height: float) -> float:
        return width * height

    assert type(area(2.0, 3.0)) is float
    with tracing() as trace:
        found = area(fact(2.0, "w") + 1.0, fact(3.0, "h"))
    assert trace.results == [found] and found == 9.0
    assert written(found, lambda one: one.origin.name) == "width * h"
