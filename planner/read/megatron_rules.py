"""Megatron-LM's own checks on degrees, layers and batches, those included that it meets while building or running."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from planner.frozen import frozen
from planner.plan import divisors
from planner.read.megatron_facts import Facts
from planner.units import whole_number

ARGUMENTS = ("training/arguments.py", "arguments")
CONFIG = ("core/transformer/transformer_config.py", "config")
LAYOUT = "core/transformer/pipeline_parallel_layer_layout.py"
"""Where Megatron-LM finds out, and when: "arguments" (validate_args), "config" (TransformerConfig), "build", "run" (in
the first step)."""


@frozen
class Check:
    """One condition on the options.

    Attributes:
        option: the option that the message is about, for its line in the script.
        says: the sentence; {placeholders} are those of `numbers`. found: like ARGUMENTS.
    """

    name: str
    option: str
    holds: Callable[[Facts], bool]
    says: str
    found: tuple[str, str]

    @property
    def source(self) -> str:
        """The file that looks."""
        return self.found[0]

    @property
    def at(self) -> str:
        """When it does."""
        return self.found[1]

    def message(self, facts: Facts) -> str:
        """The sentence with this run's numbers."""
        return self.says.format_map(numbers(facts))


def numbers(facts: Facts) -> dict[str, Any]:
    """Everything a sentence may name, with the nearest legal values."""
    n = dict(facts.n) | {"world": facts.world, "counted": facts.counted, "stages": len(facts.stages)}
    per_rank = max(facts.layers // facts.pp, 1)
    return n | {
        "layout_layers": "".join(facts.stages).count("t"),
        "model": facts.tp * facts.pp * facts.cp,
        "expert_model": facts.etp * facts.ep * facts.pp,
        "legal_tp": _list([t for t in divisors(facts.heads) if t <= facts.world]),
        "legal_pp": _list(divisors(facts.counted)),
        "legal_v": _list(divisors(per_rank)),
        "legal_ep": _list(divisors(facts.experts or 1)),
        "legal_batch": _list(_multiples(facts.B, facts.b * facts.dp)),
        "legal_interleaved": _list(_multiples(facts.B, facts.b * facts.dp * group(facts))),
        "legal_seq": _list(_multiples(facts.seq, 2 * facts.cp)),
        "legal_world": _list(_multiples(facts.world, facts.tp * facts.pp * facts.cp)),
        "per_rank": per_rank,
        "group": group(facts),
        "middle": facts.layers - facts.first - facts.last,
        "middle_stages": middle_stages(facts),
    }


def _list(values: Any) -> str:
    return ", ".join(str(value) for value in values)


def _multiples(near: int, of: int) -> list[int]:
    """The multiples on both sides of a number."""
    below = near // of * of
    return [x for x in (below, below + of) if x > 0]


def group(facts: Facts) -> int:
    """Micro-batches that go through one chunk before the next: N of interleaving, pp unless said."""
    return facts.options.whole("microbatch-group-size-per-virtual-pipeline-stage") or facts.pp


def middle_stages(facts: Facts) -> int:
    """Stages that are neither of the ends with a count of their own."""
    return facts.pp - bool(facts.first) - bool(facts.last)


def _mechanisms(f: Facts) -> int:
    return bool(f.virtual) + bool(f.per_virtual) + bool(f.stages)


def _virtual_fits(f: Facts) -> bool:
    return f.v == 1 or f.uneven or bool(f.stages) or (f.counted // f.pp) % f.v == 0


def _uneven(f: Facts) -> bool:
    if not f.uneven:
        return True
    stages, middle = middle_stages(f), f.layers - f.first - f.last
    if stages == 0 or middle <= 0:
        return stages == 0 and middle == 0
    shares = [x for x in (f.first, f.last, middle // stages) if x]
    return middle % stages == 0 and all(share % f.v == 0 for share in shares)


def _layout(f: Facts) -> bool:
    if not f.stages:
        return True
    text = "".join(f.stages)
    ends = text.startswith("E") and text.endswith("L") and text.count("E") == text.count("L") == 1
    return len(f.stages) % f.pp == 0 and ends and text.count("t") == f.layers


def _predictions(f: Facts) -> bool:
    if not f.stages:
        return True
    text = "".join(f.stages)
    early = any("m" in stage for stage in f.stages[: -f.pp])
    apart = sum("m" in stage for stage in f.stages) > 1
    return text.count("m") == f.mtp and "t" not in text.partition("m")[2] and not early and not apart


def _interleaved(f: Facts) -> bool:
    n = group(f)
    return f.v == 1 or (f.pp <= n <= f.m and (f.m % n == 0 or f.m % n >= f.pp))


def _hierarchical(f: Facts) -> bool:
    texts = f.options.texts("hierarchical-context-parallel-sizes")
    sizes = [size for text in texts if (size := whole_number(text)) is not None]
    product = 1
    for size in sizes:
        product *= size
    asked = "a2a+p2p" in f.options.texts("cp-comm-type")
    return product == f.cp if sizes else not asked


PARALLEL: tuple[Check, ...] = (
    Check(
        "world",
        "tensor-model-parallel-size",
        lambda f: f.world % (f.tp * f.pp * f.cp) == 0,
        "tp={tp} x pp={pp} x cp={cp} = {model} does not divide the {world} GPUs; nearest: {legal_world} GPUs",
        ARGUMENTS,
    ),
    Check(
        "expert_world",
        "expert-model-parallel-size",
        lambda f: f.world % (f.etp * f.ep * f.pp) == 0,
        "etp={etp} x ep={ep} x pp={pp} = {expert_model} does not divide the {world} GPUs",
        ("core/parallel_state.py", "build"),
    ),
    Check(
        "heads",
        "tensor-model-parallel-size",
        lambda f: f.heads % f.tp == 0,
        "tp={tp} does not divide the {heads} attention heads; legal: {legal_tp}",
        CONFIG,
    ),
    Check(
        "kv_heads",
        "num-query-groups",
        lambda f: f.groups % f.tp == 0 or f.tp % f.groups == 0,
        "tp={tp} neither divides nor is a multiple of the {groups} query groups",
        CONFIG,
    ),
    Check(
        "widths",
        "ffn-hidden-size",
        lambda f: f.ffn % f.tp == 0 and f.hidden % f.tp == 0,
        "tp={tp} does not divide the feed-forward width {ffn} and the hidden size {hidden}",
        ("core/tensor_parallel/layers.py", "build"),
    ),
    Check(
        "sequence_parallel",
        "seq-length",
        lambda f: not f.sp or f.seq % (f.tp * f.cp) == 0,
        "sequence parallelism needs cp*tp = {cp}*{tp} to divide the sequence of {seq}",
        ("core/tensor_parallel/mappings.py", "run"),
    ),
    Check(
        "context_parallel",
        "context-parallel-size",
        lambda f: f.cp == 1 or f.seq % (2 * f.cp) == 0,
        "2*cp = 2*{cp} does not divide the sequence of {seq}; nearest: {legal_seq}",
        ARGUMENTS,
    ),
    Check(
        "hierarchical_context",
        "cp-comm-type",
        _hierarchical,
        "a2a+p2p needs --hierarchical-context-parallel-sizes whose product is cp={cp}",
        ARGUMENTS,
    ),
    Check(
        "context_kinds",
        "cp-comm-type",
        lambda f: f.cp == 1 or len(f.options.texts("cp-comm-type")) in (0, 1, f.layers),
        "--cp-comm-type takes one kind, or one for each of the {layers} layers",
        CONFIG,
    ),
    Check(
        "positions",
        "max-position-embeddings",
        lambda f: f.positions >= f.seq,
        "--max-position-embeddings must be at least --seq-length {seq}, not {positions} (0: not given)",
        ARGUMENTS,
    ),
    Check(
        "one_virtual_option",
        "num-virtual-stages-per-pipeline-rank",
        lambda f: _mechanisms(f) <= 1,
        "virtual stages are given by more than one of --num-virtual-stages-per-pipeline-rank, "
        "--num-layers-per-virtual-pipeline-stage and --pipeline-model-parallel-layout",
        ARGUMENTS,
    ),
    Check(
        "layers",
        "pipeline-model-parallel-size",
        lambda f: f.uneven or bool(f.stages) or f.counted % f.pp == 0,
        "pp={pp} does not divide {counted} layers; legal: {legal_pp}, or uneven ends with "
        "--decoder-first-pipeline-num-layers and --decoder-last-pipeline-num-layers",
        ARGUMENTS,
    ),
    Check(
        "layers_per_virtual",
        "num-layers-per-virtual-pipeline-stage",
        lambda f: not f.per_virtual or (not f.uneven and (f.counted // f.pp) % f.per_virtual == 0),
        "--num-layers-per-virtual-pipeline-stage {per_virtual} does not divide the {per_rank} layers of a rank, "
        "or stands beside uneven ends; legal: {legal_v}",
        ARGUMENTS,
    ),
    Check(
        "virtual_stages",
        "num-virtual-stages-per-pipeline-rank",
        _virtual_fits,
        "v={v} does not divide the {per_rank} layers of a rank; legal: {legal_v}",
        ("core/transformer/transformer_block.py", "build"),
    ),
    Check(
        "virtual_needs_pipeline",
        "pipeline-model-parallel-size",
        lambda f: f.v == 1 or f.pp > (2 if f.has("no-overlap-p2p-communication") else 1),
        "v={v} needs pp > 1, and pp > 2 without overlapped sends; pp={pp}",
        ARGUMENTS,
    ),
    Check(
        "uneven_ends",
        "decoder-first-pipeline-num-layers",
        _uneven,
        "first={first} and last={last} leave {middle} layers for {middle_stages} stages; they must divide evenly, "
        "and each end and stage by v={v}",
        CONFIG,
    ),
    Check(
        "virtual_ends",
        "decoder-last-pipeline-num-layers",
        lambda f: f.v == 1 or not f.uneven or middle_stages(f) > 0,
        "with v={v} Megatron-LM divides by the {middle_stages} stages between both ends: name one end's layers alone",
        ("core/transformer/transformer_layer.py", "build"),
    ),
    Check(
        "one_placement",
        "decoder-first-pipeline-num-layers",
        lambda f: (f.uneven + bool(f.stages) + (f.counted > f.layers)) <= 1,
        "uneven ends, a layout string and --account-for-* exclude one another",
        CONFIG,
    ),
    Check(
        "layout",
        "pipeline-model-parallel-layout",
        _layout,
        "the layout has {stages} stages for pp={pp} and {layout_layers} of {layers} layers; it starts with E, ends "
        "with L, and has a multiple of pp stages",
        (LAYOUT, "arguments"),
    ),
    Check(
        "layout_predictions",
        "mtp-num-layers",
        _predictions,
        "the layout needs {mtp} m, as --mtp-num-layers says, in one of the last pp={pp} stages and behind every t",
        (LAYOUT, "config"),
    ),
    Check(
        "interleaved",
        "global-batch-size",
        _interleaved,
        "interleaving needs pp <= {group} <= m, and m a multiple of {group} or pp or more beyond one; m={m}, pp={pp}; "
        "nearest global batches: {legal_interleaved}",
        ("core/pipeline_parallel/schedules.py", "run"),
    ),
    Check(
        "batch",
        "global-batch-size",
        lambda f: f.m > 0 and f.B % (f.b * f.dp) == 0,
        "b={b} x dp={dp} does not divide the global batch of {B}; nearest: {legal_batch}",
        ("core/num_microbatches_calculator.py", "arguments"),
    ),
    Check(
        "dense",
        "expert-model-parallel-size",
        lambda f: f.ep == 1 or f.experts > 0,
        "no experts without --num-experts: ep must be 1, not {ep}",
        ARGUMENTS,
    ),
    Check(
        "experts",
        "expert-model-parallel-size",
        lambda f: f.experts == 0 or f.experts % f.ep == 0,
        "ep={ep} does not divide the {experts} experts; legal: {legal_ep}",
        ARGUMENTS,
    ),
    Check(
        "experts_need_sp",
        "sequence-parallel",
        lambda f: not f.experts or f.tp == 1 or f.sp,
        "mixture of experts with tp={tp} needs --sequence-parallel",
        ("core/transformer/moe/moe_layer.py", "run"),
    ),
    Check(
        "expert_bias",
        "disable-bias-linear",
        lambda f: not f.experts or f.has("disable-bias-linear") or f.etp == 1,
        "experts with biases need --expert-tensor-parallel-size 1, not {etp}; or --disable-bias-linear",
        CONFIG,
    ),
    Check(
        "one_expert_softmax",
        "moe-router-topk",
        lambda f: not f.experts or f.top_k > 1 or f.has("moe-router-pre-softmax") or f.has("moe-router-score-function"),
        "--moe-router-topk 1 needs --moe-router-pre-softmax",
        CONFIG,
    ),
)
