"""Megatron-LM's own checks on two options that need, or exclude, one another."""

from __future__ import annotations

from collections.abc import Callable

from planner.cost.recompute import MODULES
from planner.read.megatron_facts import Facts
from planner.read.megatron_rules import ARGUMENTS, CONFIG, Check
from planner.schema.workload import OFFLOADED

SHARED = "moe-shared-expert-intermediate-size"
OPTIMIZER = ("core/optimizer/optimizer_config.py", "build")


def needs(name: str, option: str, other: str, found: tuple[str, str] = ARGUMENTS) -> Check:
    """One switch that does nothing without another."""
    says = f"--{option} needs --{other}"
    return Check(name, option, lambda f: not f.has(option) or f.has(other), says, found)


def apart(name: str, option: str, other: str, found: tuple[str, str] = ARGUMENTS) -> Check:
    """Two options of which one is given."""
    says = f"--{option} and --{other} exclude each other"
    return Check(name, option, lambda f: not (f.has(option) and f.has(other)), says, found)


def with_(name: str, option: str, holds: Callable[[Facts], bool], says: str, found: tuple[str, str] = CONFIG) -> Check:
    """An option that goes with some values of others only."""
    return Check(name, option, lambda f: not f.has(option) or holds(f), f"--{option} {says}", found)


def _dispatched(*kinds: str) -> Callable[[Facts], bool]:
    return lambda f: f.text("moe-token-dispatcher-type", "allgather") in kinds


def _deepep(f: Facts) -> bool:
    return _dispatched("flex")(f) and f.text("moe-flex-dispatcher-backend", "deepep") == "deepep"


def _rope(f: Facts) -> bool:
    return f.has("use-rotary-position-embeddings") or f.text("position-embedding-type") in ("rope", "none", "mrope")


def _grouped(f: Facts) -> bool:
    groups, chosen = f.options.whole("moe-router-num-groups") or 0, f.options.whole("moe-router-group-topk") or 0
    return not chosen or (0 < chosen <= groups and f.experts % groups == 0)


def _lengths(f: Facts) -> bool:
    """Iterations or samples, not both (the learning rate's too)."""
    if f.has("skip-train"):
        return True
    iters, samples = ("train-iters", "lr-decay-iters", "lr-warmup-iters"), ("train-samples", "lr-decay-samples")
    if f.has("train-iters") and f.has(*samples, "lr-warmup-samples"):
        return False
    return not (f.has("train-samples") and f.has(*iters))


def _in_fp32(f: Facts) -> bool:
    return f.text("main-grads-dtype", "fp32") == "fp32" or f.has("fp16")


def _registered(f: Facts) -> bool:
    """NCCL's buffers and graphs of Transformer Engine beside segments that grow."""
    if f.environment is None or f.text("cuda-graph-impl") != "transformer_engine":
        return True
    grows = "expandable_segments:True" in f.environment.get("PYTORCH_CUDA_ALLOC_CONF", "")
    return not grows or f.environment.get("NCCL_GRAPH_REGISTER") == "0"


def _delayed(f: Facts) -> bool:
    return f.has("fp8-format") and f.text("fp8-recipe", "delayed") == "delayed"


def _selective(f: Facts) -> tuple[str, ...]:
    return f.modules if f.granularity == "selective" else ()


NEWER = ("gdn_norm_out", "gdp_in_proj", "gdp_qkv", "mhc", "fused_group_mlp")
"""Modules of architectures that are not read from options."""

PAIRS: tuple[Check, ...] = (
    apart("one_precision", "fp16", "bf16"),
    apart("one_low_precision", "fp8-format", "fp4-format"),
    apart("latent_groups", "multi-latent-attention", "group-query-attention"),
    apart("one_data_source", "mock-data", "data-path"),
    needs("fp4_weights", "fp4-param-gather", "fp4-format"),
    needs("fp8_weights", "fp8-param-gather", "fp8-format", CONFIG),
    needs("optimizer_offload", "optimizer-cpu-offload", "use-precision-aware-optimizer"),
    needs("precision_aware", "use-precision-aware-optimizer", "use-distributed-optimizer", OPTIMIZER),
    needs("fp16_loss", "fp16-lm-cross-entropy", "fp16"),
    needs("saved", "save", "save-interval"),
    needs("padded_experts", "moe-pad-expert-input-to-capacity", "moe-expert-capacity-factor", CONFIG),
    Check(
        "one_length",
        "train-iters",
        _lengths,
        "--train-iters and --train-samples exclude each other, and options of the learning rate that count otherwise",
        ARGUMENTS,
    ),
    with_(
        "aware_of_adam",
        "use-precision-aware-optimizer",
        lambda f: f.text("optimizer", "adam") == "adam",
        "goes with --optimizer adam only",
        OPTIMIZER,
    ),
    with_("wide_gradients", "accumulate-allreduce-grads-in-fp32", _in_fp32, "needs --main-grads-dtype fp32", ARGUMENTS),
    with_(
        "wide_residuals", "fp32-residual-connection", lambda f: f.has("fp16", "bf16"), "needs fp16 or bf16", ARGUMENTS
    ),
    with_("predictions_positions", "mtp-num-layers", _rope, "needs --position-embedding-type rope or none", ARGUMENTS),
    with_(
        "local_attention",
        "attention-backend",
        lambda f: f.text("attention-backend") != "local" or f.text("spec") == "local",
        "local needs --spec local",
        ARGUMENTS,
    ),
    with_(
        "offloaded_weights",
        "optimizer-cpu-offload",
        lambda f: not f.has("fp8-param-gather") or f.text("fp8-recipe", "delayed") == "delayed",
        "beside --fp8-param-gather needs --fp8-recipe delayed",
        ARGUMENTS,
    ),
    with_(
        "whole_graph",
        "cuda-graph-impl",
        lambda f: f.text("cuda-graph-impl") != "full_iteration" or f.has("no-check-for-nan-in-loss-and-grad"),
        "full_iteration needs --no-check-for-nan-in-loss-and-grad",
        ARGUMENTS,
    ),
    with_(
        "graph_memory",
        "cuda-graph-impl",
        _registered,
        "transformer_engine beside PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True needs NCCL_GRAPH_REGISTER=0",
        ARGUMENTS,
    ),
    with_(
        "shared_overlap",
        "moe-shared-expert-overlap",
        lambda f: not f.has(SHARED) or _dispatched("alltoall", "flex")(f),
        "needs the alltoall or flex dispatcher",
    ),
    with_("flexible", "moe-enable-deepep", _dispatched("flex"), "needs --moe-token-dispatcher-type flex"),
    with_(
        "padded_deepep",
        "moe-pad-expert-input-to-capacity",
        lambda f: not _deepep(f),
        "does not go with the DeepEP backend of the flex dispatcher",
    ),
    with_(
        "capacity_balance",
        "moe-expert-capacity-factor",
        lambda f: f.text("moe-router-load-balancing-type") != "sinkhorn",
        "does not go with --moe-router-load-balancing-type sinkhorn",
    ),
    with_(
        "bias_scores",
        "moe-router-enable-expert-bias",
        lambda f: f.text("moe-router-score-function", "softmax") in ("sigmoid", "sqrtsoftplus"),
        "needs --moe-router-score-function sigmoid",
    ),
    with_(
        "padded_routing",
        "moe-router-padding-for-quantization",
        lambda f: f.has("fp8-format", "fp4-format") and _dispatched("alltoall", "flex")(f),
        "needs fp8 or fp4, and the alltoall or flex dispatcher",
    ),
    with_(
        "padded_for_fp8",
        "moe-router-padding-for-fp8",
        lambda f: f.has("fp8-format", "fp4-format") and _dispatched("alltoall", "flex")(f),
        "needs fp8 or fp4, and the alltoall or flex dispatcher",
    ),
    with_(
        "routing_groups",
        "moe-router-group-topk",
        _grouped,
        "needs --moe-router-num-groups of at least as many groups, which divide the {experts} experts",
    ),
    with_(
        "recomputed_modules",
        "recompute-modules",
        lambda f: set(_selective(f)) <= {*MODULES, *NEWER},
        f"takes {', '.join(MODULES)}",
    ),
    with_(
        "recomputed_in_delayed_scaling",
        "recompute-modules",
        lambda f: not (_delayed(f) and {"moe_act", "layernorm"} & set(_selective(f))),
        "of moe_act and layernorm goes with every --fp8-recipe but delayed",
    ),
    with_(
        "recomputed_shared_experts",
        "moe-shared-expert-overlap",
        lambda f: not f.has(SHARED) or "shared_experts" not in _selective(f),
        "does not go with recomputed shared_experts",
    ),
    with_(
        "offloaded_modules",
        "offload-modules",
        lambda f: set(f.away) <= {*OFFLOADED, *NEWER} and ("attn_proj" not in f.away or "core_attn" in f.away),
        f"takes {', '.join(OFFLOADED)}, and attn_proj beside core_attn only",
    ),
)
"""Those that Megatron-LM 0.19 makes; most are older."""
