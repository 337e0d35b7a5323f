"""Megatron-LM's own checks on recomputation, sharding, overlap, precision and the environment."""

from __future__ import annotations

from planner.read.megatron_experts import graphs
from planner.read.megatron_facts import DTYPES, Facts
from planner.read.megatron_pairs import OPTIMIZER
from planner.read.megatron_rules import ARGUMENTS, CONFIG, Check


def _full(f: Facts) -> bool:
    block = f.text("recompute-method") == "block" and f.has("recompute-num-layers")
    return f.granularity != "full" or block or (f.text("recompute-method") == "uniform" and f.recompute_layers > 0)


def _delayed(f: Facts) -> bool:
    return f.text("fp8-recipe", "delayed") == "delayed"


def _connections(f: Facts) -> bool:
    if f.environment is None:
        return True
    value = f.environment.get("CUDA_DEVICE_MAX_CONNECTIONS")
    if f.fsdp or f.has("use-torch-fsdp2"):
        return value != "1"
    return (
        (f.tp == 1 and f.cp == 1) or f.has("overlap-moe-expert-parallel-comm") or value == "1" or f.n.get("arch") == 10
    )


def _comm_overlap(f: Facts) -> bool:
    if not f.has("overlap-moe-expert-parallel-comm"):
        return True
    dispatcher = f.text("moe-token-dispatcher-type", "allgather") in ("alltoall", "flex")
    recompute = f.granularity != "full" and not f.recompute_layers and "moe" not in f.modules
    return f.ep > 1 and dispatcher and recompute and (f.pp == 1 or f.v > 1) and not f.has("moe-shared-expert-overlap")


def _torch_fsdp2(f: Facts) -> bool:
    if not f.has("use-torch-fsdp2"):
        return True
    plain = f.pp == 1 and f.ep == 1 and not f.has("use-distributed-optimizer", "fp16")
    return plain and f.has("no-gradient-accumulation-fusion") and f.has("untie-embeddings-and-output-weights")


def _param_gather(f: Facts) -> bool:
    if not f.has("overlap-param-gather"):
        return True
    sharded = f.has("use-distributed-optimizer") or f.fsdp or f.text("optimizer") == "dist_muon"
    return sharded and f.has("overlap-grad-reduce")


def _with_step(f: Facts) -> bool:
    needs = ("use-distributed-optimizer", "overlap-param-gather")
    return not f.has("overlap-param-gather-with-optimizer-step") or (all(f.has(x) for x in needs) and f.v > 1)


def _selected(f: Facts) -> bool:
    if f.granularity != "selective":
        return True
    if f.has("recompute-method") or f.recompute_layers:
        return False
    grouped, latent = f.has("moe-grouped-gemm"), f.has("multi-latent-attention")
    return ("moe_act" not in f.modules or grouped) and ("mla_up_proj" not in f.modules or latent)


SWITCHES: tuple[Check, ...] = (
    Check(
        "expert_overlap",
        "overlap-moe-expert-parallel-comm",
        _comm_overlap,
        "--overlap-moe-expert-parallel-comm needs ep > 1, the alltoall or flex dispatcher, v > 1 in a pipeline, and "
        "neither full recomputation nor --moe-shared-expert-overlap",
        CONFIG,
    ),
    Check(
        "full_recompute",
        "recompute-granularity",
        _full,
        "--recompute-granularity full needs --recompute-method uniform or block and --recompute-num-layers",
        CONFIG,
    ),
    Check(
        "selective_recompute",
        "recompute-granularity",
        _selected,
        "--recompute-granularity selective takes no --recompute-method and no --recompute-num-layers; moe_act needs "
        "--moe-grouped-gemm, mla_up_proj --multi-latent-attention",
        (f"{CONFIG[0]}, {ARGUMENTS[0]}", "arguments"),
    ),
    Check(
        "delayed_recompute",
        "recompute-modules",
        lambda f: not ({"moe_act", "layernorm"} & set(f.modules) and f.has("fp8-format") and _delayed(f)),
        "--recompute-modules moe_act and layernorm go with every --fp8-recipe but delayed, which is the default",
        CONFIG,
    ),
    Check(
        "graph_recompute",
        "cuda-graph-impl",
        lambda f: graphs(f) != "partial" or (f.granularity != "full" and "moe" not in f.modules),
        "CUDA graphs of parts of a layer go without full recomputation and without --recompute-modules moe",
        CONFIG,
    ),
    Check(
        "graph_nan",
        "cuda-graph-impl",
        lambda f: graphs(f) != "full" or f.has("no-check-for-nan-in-loss-and-grad"),
        "a CUDA graph of the whole iteration needs --no-check-for-nan-in-loss-and-grad",
        ARGUMENTS,
    ),
    Check(
        "distributed_activations",
        "distribute-saved-activations",
        lambda f: not f.has("distribute-saved-activations") or (f.tp > 1 and f.granularity == "full" and not f.sp),
        "--distribute-saved-activations needs tp > 1 and full recomputation, without sequence parallelism",
        (f"{ARGUMENTS[0]}, {CONFIG[0]}", "arguments"),
    ),
    Check(
        "tp_overlap",
        "tp-comm-overlap",
        lambda f: not f.has("tp-comm-overlap") or f.sp,
        "--tp-comm-overlap needs --sequence-parallel and tp > 1",
        ARGUMENTS,
    ),
    Check(
        "param_gather",
        "overlap-param-gather",
        _param_gather,
        "--overlap-param-gather needs --use-distributed-optimizer and --overlap-grad-reduce",
        ARGUMENTS,
    ),
    Check(
        "param_gather_with_step",
        "overlap-param-gather-with-optimizer-step",
        _with_step,
        "--overlap-param-gather-with-optimizer-step needs --overlap-param-gather and v > 1",
        ARGUMENTS,
    ),
    Check(
        "param_gather_precision",
        "fp8-param-gather",
        lambda f: not f.has("fp8-param-gather") or (f.zero > 0 and f.text("optimizer") != "dist_muon"),
        "--fp8-param-gather needs the distributed optimizer or FSDP",
        ARGUMENTS,
    ),
    Check(
        "position_embedding",
        "no-position-embedding",
        lambda f: (
            not f.has("no-position-embedding")
            or f.has("use-rotary-position-embeddings")
            or f.text("position-embedding-type") == "rope"
        ),
        "--no-position-embedding needs --position-embedding-type rope",
        ARGUMENTS,
    ),
    Check(
        "delayed_scaling",
        "first-last-layers-bf16",
        lambda f: not (f.has("first-last-layers-bf16") and f.has("fp8-format")) or not _delayed(f),
        "--first-last-layers-bf16 goes with every --fp8-recipe but delayed, which is the default",
        CONFIG,
    ),
    Check(
        "main_gradients",
        "main-grads-dtype",
        lambda f: (
            f.has("use-precision-aware-optimizer")
            or all(f.text(name, "fp32") == "fp32" for name in ("main-grads-dtype", *DTYPES))
        ),
        "--main-grads-dtype, --main-params-dtype, --exp-avg-dtype and --exp-avg-sq-dtype other than fp32 need "
        "--use-precision-aware-optimizer",
        OPTIMIZER,
    ),
    Check(
        "activation_offload",
        "cpu-offloading-num-layers",
        lambda f: not f.offloaded or (f.pp == 1 and not f.granularity and f.offloaded < f.layers),
        "--cpu-offloading-num-layers {offloaded} needs pp=1, no recomputation, and fewer than the {layers} layers",
        CONFIG,
    ),
    Check(
        "fine_grained_offload",
        "fine-grained-activation-offloading",
        lambda f: not f.has("fine-grained-activation-offloading") or bool(f.away and not f.offloaded),
        "--fine-grained-activation-offloading needs --offload-modules, and no --cpu-offloading-num-layers",
        CONFIG,
    ),
    Check(
        "torch_fsdp2",
        "use-torch-fsdp2",
        _torch_fsdp2,
        "--use-torch-fsdp2 needs pp=1, ep=1, untied embeddings and --no-gradient-accumulation-fusion, and neither fp16 "
        "nor the distributed optimizer",
        ARGUMENTS,
    ),
    Check(
        "megatron_fsdp",
        "use-megatron-fsdp",
        lambda f: not f.fsdp or f.text("ckpt-format") == "fsdp_dtensor",
        "--use-megatron-fsdp needs --ckpt-format fsdp_dtensor",
        ARGUMENTS,
    ),
    Check(
        "connections",
        "tensor-model-parallel-size",
        _connections,
        "the environment must have CUDA_DEVICE_MAX_CONNECTIONS=1 for tp={tp}, cp={cp} before Blackwell, and not 1 with "
        "FSDP",
        ARGUMENTS,
    ),
    Check(
        "embedding_gradient",
        "defer-embedding-wgrad-compute",
        lambda f: (
            not f.has("defer-embedding-wgrad-compute") or (f.pp > 1 and not f.has("no-gradient-accumulation-fusion"))
        ),
        "--defer-embedding-wgrad-compute needs pp > 1 and fused gradient accumulation; pp={pp}",
        ("core/model_parallel_config.py", "config"),
    ),
)


GONE = {
    "no-bias-linear": "disable-bias-linear",
    "encoder-tensor-model-parallel-size": "",
    "encoder-pipeline-model-parallel-size": "",
    "standalone-embedding-stage": "account-for-embedding-in-pipeline-split",
    "no-async-tensor-model-parallel-allreduce": "",
    "checkpoint-num-layers": "recompute-num-layers",
}
"""Options that Megatron-LM once had, and what took their place; "": nothing is needed any more."""
