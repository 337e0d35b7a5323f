"""Megatron-LM's options as a model, a workload and a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from planner.catalog.expressions import rows
from planner.catalog.recipes import recipe_spelled
from planner.errors import PlannerError
from planner.launch.megatron import FUSIONS
from planner.plan import Plan
from planner.read.megatron_experts import capacity, dispatch, graphs, groups, modules
from planner.read.megatron_facts import SAID, Facts, formats, moe_layers, preset, read_facts
from planner.read.megatron_rules import PAIRS, PARALLEL, SWITCHES, Words, named
from planner.read.options import Options, known_options
from planner.read.placement import NO_PLACEMENT, placed
from planner.read.reading import Problem, Reading, did_you_mean
from planner.read.table import table
from planner.schedules import MEGATRON, run_by
from planner.schema.model import Model
from planner.schema.workload import OFFLOADED
from planner.stages import chunk_layers, lettered
from planner.wording import schema_problem

BACKENDS = {"flash": "flash2", "fused": "cudnn", "flash1": "flash1", "triton": "triton"}
"""Attention kernels by --attention-backend: Dao's package and cuDNN (core/transformer/enums.py); "auto" is Transformer
Engine's choice. Megatron-DeepSpeed's switches come under their own names."""

UNNAMED = "script"
"""Name of a model of which only the shape is known."""

UNKNOWN_VOCABULARY = 50257
"""GPT-2's, taken where nothing says."""


def read_megatron(
    options: Options, world: int, environment: Mapping[str, str] | None, vocabulary: int | None = None
) -> Reading:
    """The plan that a Megatron-LM command line asks for, with every check that it fails.

    Raises:
        PlannerError: an option that the plan depends on is missing or no number.
    """
    facts = read_facts(options, world, environment)
    notes: list[str] = []
    model = read_model(facts, vocabulary, notes)
    workload = read_workload(facts, notes)
    if environment is None and (facts.tp > 1 or facts.cp > 1) and facts.zero < 2:
        notes.append("the environment must have CUDA_DEVICE_MAX_CONNECTIONS=1 before Blackwell; flags do not say")
    plan = read_plan(facts, model, notes)
    return Reading(
        "megatron",
        model,
        workload,
        plan,
        problems(facts),
        tuple(notes),
        not_modelled=(*table("megatron").not_modelled(options.everything()), *named(facts)),
        preset=preset(facts),
        recipe=formats(facts),
        given=frozenset(options.given),
    )


def problems(facts: Facts) -> tuple[Problem, ...]:
    """Everything that Megatron-LM would refuse, or fail on later, in the order of its own checks."""
    failed = [check for check in (*PARALLEL, *SWITCHES, *PAIRS) if not check.holds(facts)]
    found = [
        Problem(check.name, check.message(facts), facts.options.line(check.option), f"Megatron-LM {check.source}")
        for check in failed
    ]
    return (*strange_options(facts.options, "megatron"), *found)


def strange_options(options: Options, framework: str) -> tuple[Problem, ...]:
    """Options that the framework's parser does not have: it stops at the first."""
    known = known_options(framework)
    found: list[Problem] = []
    for name, line in options.strange:
        gone = SAID["gone"].get(name[2:])
        if gone is not None:
            hint = f"it is {'--' + gone if gone else 'not needed'} now"
        else:
            hint = did_you_mean(name, known, 0.75, len(found)) or "an option of your own fork?"
        said = f"{name:.80} is no option of {framework}: {hint}"
        found.append(Problem("unknown_option", said, line, "argument parser"))
    return tuple(found)


def read_model(facts: Facts, vocabulary: int | None, notes: list[str]) -> Model:
    """The shape that the options describe.

    Raises:
        PlannerError: numbers that no transformer has.
    """
    fields = {
        "name": UNNAMED,
        "source": "options of the script",
        "family": "script",
        "vocab": vocabulary or _vocabulary(facts, notes),
        **dict(rows(SAID["model"], Words(facts))),
    }
    if facts.experts:
        fields["moe"] = _experts(facts, notes)
    try:
        return Model.model_validate(fields)
    except ValidationError as error:
        raise PlannerError(f"the options describe no model: {schema_problem(error.errors()[0])}") from None


def _vocabulary(facts: Facts, notes: list[str]) -> int:
    """--vocab-size, else what the tokenizer has."""
    stated = facts.options.whole("vocab-size") or facts.options.whole("padded-vocab-size")
    if stated:
        return stated
    kind = facts.text("tokenizer-type")
    sizes: dict[str, int] = SAID["vocabularies"]
    size = sizes.get(kind, UNKNOWN_VOCABULARY)
    known = f"that of {kind}" if kind in sizes else "GPT-2's: nothing says; --model names a model that has it"
    notes.append(f"vocabulary {size:,}, {known}")
    return size


def _experts(facts: Facts, notes: list[str]) -> dict[str, Any]:
    """Experts of the layers that have them: leading dense layers, then one in `every`."""
    pattern = moe_layers(facts.text("moe-layer-freq"), facts.layers)
    dense = pattern.index(1) if 1 in pattern else 0
    rest = pattern[dense:]
    every = rest[1:].index(1) + 1 if 1 in rest[1:] else len(rest)
    if rest != [int(i % every == 0) for i in range(len(rest))]:
        notes.append("--moe-layer-freq is no regular pattern: taken as one MoE layer in each period of its first")
    width = facts.options.whole("moe-ffn-hidden-size") or facts.ffn
    shared = facts.options.whole("moe-shared-expert-intermediate-size") or 0
    if not facts.has("moe-grouped-gemm"):
        notes.append("experts are timed as one product in groups: without --moe-grouped-gemm they run one by one")
    if shared % width:
        notes.append(f"shared experts of width {shared:,} are taken as whole experts of {width:,}")
    return {
        "experts": facts.experts,
        "top_k": facts.top_k,
        "ffn": width,
        "shared_experts": -(-shared // width),
        "dense_layers": dense,
        "every": max(every, 1),
        "router_bias": not facts.has("disable-bias-linear"),
        **groups(facts),
    }


def read_workload(facts: Facts, notes: list[str]) -> dict[str, Any]:
    """Batch, precision, attention kernel, where the optimizer lives."""
    precision = _recipe(facts) or ("fp16" if facts.has("fp16") else "bf16")
    if not facts.has("fp16", "bf16"):
        notes.append("neither --bf16 nor --fp16: an fp32 run, timed and weighed as bf16")
    return {
        "seq": facts.seq,
        "global_batch": facts.B,
        "precision": precision,
        "attention": _attention(facts),
        "context": _context(facts),
        "optimizer": "muon" if facts.text("optimizer").endswith("muon") else "adam",
        **_offload(facts),
        "loss": LOSSES.get(facts.text("cross-entropy-fusion-impl")) if facts.has("cross-entropy-loss-fusion") else None,
        **(_narrow(facts) if precision not in ("bf16", "fp16") else {}),
        "graphs": graphs(facts),
        **capacity(facts, notes),
    }


def _offload(facts: Facts) -> dict[str, Any]:
    """What lives on the host: the optimizer's states, else the activations of so many layers."""
    if facts.has("optimizer-cpu-offload"):
        return {"offload": "optimizer"}
    if facts.away:
        return {"offload": "activations", "offload_modules": tuple(name for name in OFFLOADED if name in facts.away)}
    return {"offload": "activations", "offload_layers": facts.offloaded} if facts.offloaded else {"offload": "none"}


LOSSES = {impl: loss for loss, impl in FUSIONS.items()}
"""The loss by --cross-entropy-fusion-impl; the native fusion has the bytes of the unfused one."""


def _recipe(facts: Facts) -> str | None:
    """The recipe of products below 16 bit, by Megatron's name for it; None where there is none."""
    if not facts.has("fp8-format", "fp4-format"):
        return None
    option = "fp8-recipe" if facts.has("fp8-format") else "fp4-recipe"
    return recipe_spelled("megatron", {option: facts.text(option)})


def _narrow(facts: Facts) -> dict[str, Any]:
    """Where weights are kept in the products' format, and which layers stay in 16 bit (one at each end by default)."""
    ends = {"bf16_first": "num-layers-at-start-in-bf16", "bf16_last": "num-layers-at-end-in-bf16"}
    stay = facts.has("first-last-layers-bf16")
    layers = {name: facts.options.whole(option, 1) or 0 for name, option in ends.items() if stay}
    return layers | {"fp8_param_gather": facts.has("fp8-param-gather", "fp4-param-gather")}


def _context(facts: Facts) -> str | None:
    """How context-parallel ranks trade keys and values: one kind, or one for each layer, of which the first counts."""
    kinds = facts.options.texts("cp-comm-type") or ["p2p"]
    return kinds[0] if facts.cp > 1 else None


def _attention(facts: Facts) -> str:
    """The attention kernel: Transformer Engine picks flash by itself; the local implementation does not."""
    backend = facts.text("attention-backend")
    local = facts.text("transformer-impl") == "local" and not facts.has("use-flash-attn")
    if backend in ("unfused", "local") or (backend == "auto" and local):
        return "unfused"
    version = {"2": "flash2", "3": "flash3"}.get(facts.text("flash-attention-version"), "")
    return version if version and backend in ("flash", "auto") else BACKENDS.get(backend, "flash")


def read_plan(facts: Facts, model: Model, notes: list[str]) -> dict[str, Any]:
    """The fields of Plan."""
    degrees: dict[str, Any] = {name: getattr(facts, name) for name in ("tp", "cp", "pp", "v", "dp", "b", "m", "zero")}
    where = placed(_stages(facts), model, facts.pp, facts.v)
    if not where:
        notes.append(NO_PLACEMENT)
    degrees |= {"head": 0} | where
    degrees |= {"ep": facts.ep, "etp": facts.etp if facts.experts else 1, "sp": int(facts.sp)}
    degrees["dp_replicate"] = facts.instances
    if facts.experts and facts.world // (facts.etp * facts.ep * facts.pp) % facts.instances:
        own = "that do not divide the experts' data parallel ranks, GPUs/(etp*ep*pp)"
        notes.append(f"core/parallel_state.py refuses {facts.instances} optimizer instances {own}")
    degrees["schedule"] = run_by(MEGATRON, facts.v)
    chunk = int(chunk_layers(model.layers, Plan(**degrees)))
    return degrees | _recompute(facts, chunk, notes) | dispatch(facts, notes)


def _stages(facts: Facts) -> tuple[str, ...]:
    """What every stage holds, all ranks' first chunks first, in Megatron's letters."""
    return facts.stages or lettered(_sizes(facts), facts.mtp)


def _sizes(facts: Facts) -> list[int]:
    if facts.uneven:
        stages = facts.pp - bool(facts.first) - bool(facts.last)
        middle = (facts.layers - facts.first - facts.last) // max(stages, 1)
        sizes = [middle] * facts.pp
        sizes[0], sizes[-1] = facts.first or middle, facts.last or middle
        return [size // facts.v for size in sizes] * facts.v
    sizes = [facts.counted // (facts.pp * facts.v)] * (facts.pp * facts.v)
    sizes[0] -= int(facts.has("account-for-embedding-in-pipeline-split"))
    sizes[-1] -= int(facts.has("account-for-loss-in-pipeline-split"))
    return sizes


def _recompute(facts: Facts, chunk: int, notes: list[str]) -> dict[str, Any]:
    """k layers recomputed per chunk, or modules of all of them."""
    if facts.granularity == "full":
        if facts.text("recompute-method") == "uniform" and facts.recompute_layers > 1:
            notes.append("uniform recomputation in groups is weighed as of single layers")
        block = facts.text("recompute-method") == "block"
        if facts.recompute_layers > chunk:
            notes.append(f"--recompute-num-layers {facts.recompute_layers} is all {chunk} layers of a chunk")
        return {"recompute_layers": min(facts.recompute_layers, chunk) if block else chunk}
    return {"modules": modules(facts, notes)}
