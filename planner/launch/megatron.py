"""Megatron-LM's arguments: one plan of one model as flags of pretrain_gpt.py.

Names and defaults: NVIDIA/Megatron-LM training/arguments.py and core/transformer/transformer_config.py.
"""

from __future__ import annotations

from planner.cost.dispatch import ONE_COPY
from planner.launch.described import target
from planner.launch.megatron_layout import placement_flags
from planner.launch.program import Flag, Program, Setup, number
from planner.plan import OnePlan
from planner.schema.model import LatentAttention, MixtureOfExperts, Model
from planner.stages import chunk_layers
from planner.training.frameworks.megatron import OPTIMIZERS
from planner.training.job import Job
from planner.training.trade import trade

ITERATIONS = 20
"""Iterations of the emitted run: enough for a median behind the warm-up, which `planner calibrate` reads."""

SHARDING = {2: "optim_grads", 3: "optim_grads_params"}
"""--data-parallel-sharding-strategy of Megatron-FSDP by ZeRO stage."""


def program(setup: Setup) -> Program:
    """pretrain_gpt.py with the flags of one plan, on mock data until the user gives some.

    Overlapped traffic of experts wants several connections, tp and cp else one (core/transformer/moe/README.md).
    """
    plan = setup.plan
    flags = (*shape_flags(setup), *parallel_flags(setup), *recompute_flags(setup), *precision_flags(setup))
    serial = (plan.tp > 1 or plan.cp > 1) and plan.zero < 2
    return Program(
        "pretrain_gpt.py",
        (*flags, *batch_flags(setup), *ON_MOCK_DATA),
        {"CUDA_DEVICE_MAX_CONNECTIONS": "32" if plan.overlap else "1"} if serial else {},
        ("CUDA_DEVICE_MAX_CONNECTIONS",) if plan.zero >= 2 or (plan.overlap and not serial) else (),
        notes=notes(setup.job.model),
    )


MASK = 2**30
"""Bytes of s x s per sequence from which on the data loader is told to make no mask, which flash attention ignores."""

NO_MASK: Flag = ("--no-create-attention-mask-in-dataloader",)


def shape_flags(setup: Setup) -> list[Flag]:
    """The model's shape. Megatron's defaults are GPT-2's: biases, LayerNorm, tied embeddings, dropout 0.1."""
    model = setup.job.model
    flags = [
        *size_flags(model),
        *length_flags(setup),
        number("vocab-size", model.vocab),
        *([number("mtp-num-layers", model.mtp_layers)] if model.mtp_layers else []),
        *attention_flags(model),
        *mlp_flags(model),
    ]
    flags += [("--disable-bias-linear",)] if model.bias != "all" else []
    flags += [("--add-qkv-bias",)] if model.bias == "qkv" else []
    return flags + end_flags(model)


def size_flags(model: Model) -> list[Flag]:
    """Layers, widths and heads."""
    sizes = {"num-layers": model.layers, "hidden-size": model.hidden, "ffn-hidden-size": model.ffn}
    return [number(name, size) for name, size in (sizes | {"num-attention-heads": model.heads}).items()]


def length_flags(setup: Setup) -> list[Flag]:
    """Tokens of a sequence, and positions there are."""
    model, seq = setup.job.model, setup.job.workload.seq
    positions = max(model.context, seq) if model.position == "learned" else seq
    return [number("seq-length", seq), number("max-position-embeddings", positions)]


def end_flags(model: Model) -> list[Flag]:
    """Embeddings that are not tied, dropout that is off."""
    flags: list[Flag] = [] if model.tied_embeddings else [("--untie-embeddings-and-output-weights",)]
    return flags + ([] if model.dropout else [number("attention-dropout", 0.0), number("hidden-dropout", 0.0)])


def attention_flags(model: Model) -> list[Flag]:
    """Heads, norms, sinks, positions; MLA's ranks in place of query groups."""
    flags = latent_flags(model.mla) if model.mla else [number("kv-channels", model.head_dim)]
    if model.mla is None and model.kv_heads != model.heads:
        flags += [("--group-query-attention",), number("num-query-groups", model.kv_heads)]
    if model.window is not None:
        flags.append(number("window-size", f"{model.window},0"))
        flags += [number("window-attn-skip-freq", model.window_every)] if model.window_every else []
    flags += [number("normalization", "RMSNorm")] if model.norm == "rmsnorm" else []
    flags += [("--qk-layernorm",)] if model.qk_norm or model.mla else []
    flags += [number("softmax-type", "learnable")] if model.sinks else []
    positions = {"learned": "learned_absolute", "rope": "rope", "alibi": "none", "none": "none"}
    return [*flags, number("position-embedding-type", positions[model.position])]


def latent_flags(mla: LatentAttention) -> list[Flag]:
    """Multi-latent attention."""
    flags: list[Flag] = [("--multi-latent-attention",)]
    flags += [number("q-lora-rank", mla.q_lora_rank)] if mla.q_lora_rank else []
    ranks = {"kv-lora-rank": mla.kv_lora_rank, "qk-head-dim": mla.qk_nope_dim, "qk-pos-emb-head-dim": mla.qk_rope_dim}
    return [*flags, *(number(name, size) for name, size in (ranks | {"v-head-dim": mla.v_head_dim}).items())]


def mlp_flags(model: Model) -> list[Flag]:
    """The feed-forward part and its experts. Megatron has no plain ReLU; its GELU costs the same."""
    switch = {"glu": "--swiglu", "relu2": "--squared-relu"}.get(model.mlp)
    flags: list[Flag] = [(switch,)] if switch else []
    return flags + (moe_flags(model, model.moe) if model.moe else [])


def moe_flags(model: Model, moe: MixtureOfExperts) -> list[Flag]:
    """Routed and shared experts, and which layers have them."""
    flags = [
        number("num-experts", moe.experts),
        number("moe-router-topk", moe.top_k),
        number("moe-ffn-hidden-size", moe.ffn),
        number("moe-router-load-balancing-type", "aux_loss"),
        number("moe-aux-loss-coeff", 0.01),
        ("--moe-grouped-gemm",),
    ]
    flags += [("--moe-router-pre-softmax",)] if moe.top_k == 1 else []
    if moe.groups > 1:
        flags += [number("moe-router-num-groups", moe.groups), number("moe-router-group-topk", moe.top_groups)]
    if moe.shared_experts:
        flags.append(number("moe-shared-expert-intermediate-size", moe.shared_experts * moe.ffn))
    if moe.dense_layers or moe.every > 1:
        flags.append(number("moe-layer-freq", layer_frequency(model.layers, moe)))
    return flags


def layer_frequency(layers: int, moe: MixtureOfExperts) -> str:
    """Which layers have experts, as the list expression that Megatron evaluates: "([0]*3+[1]*58)"."""
    rest = layers - moe.dense_layers
    if moe.every == 1:
        return f"([0]*{moe.dense_layers}+[1]*{rest})"
    period, left = divmod(rest, moe.every)
    pattern = ",".join(["1"] + ["0"] * (moe.every - 1))
    tail = ",".join((["1"] + ["0"] * (moe.every - 1))[:left])
    head = f"[0]*{moe.dense_layers}+" if moe.dense_layers else ""
    return f"({head}[{pattern}]*{period}" + (f"+[{tail}])" if left else ")")


def parallel_flags(setup: Setup) -> list[Flag]:
    """Degrees, placement of layers, sequence parallelism, sharding of states."""
    plan = setup.plan
    flags = [
        number("tensor-model-parallel-size", plan.tp),
        number("pipeline-model-parallel-size", plan.pp),
        number("context-parallel-size", plan.cp),
        *context_flags(setup),
        *placement_flags(setup.job.model, plan),
    ]
    if setup.job.model.moe:
        flags += [number("expert-model-parallel-size", plan.ep), number("expert-tensor-parallel-size", plan.etp)]
        flags += dispatch_flags(plan) + capacity_flags(setup)
    flags += [("--sequence-parallel",)] if plan.sp else []
    return flags + sharding_flags(setup)


def dispatch_flags(plan: OnePlan) -> list[Flag]:
    """How tokens reach experts; DeepEP and HybridEP are backends of one dispatcher and want fp32 router weights.

    --delay-wgrad-compute, which goes with the overlap, is left to the user: beside an overlapped reduction of gradients
    it needs Transformer Engine 2.8 (core/transformer/transformer_config.py).
    """
    flags = [number("moe-token-dispatcher-type", "flex" if plan.dispatcher in ONE_COPY else plan.dispatcher)]
    if plan.dispatcher in ONE_COPY:
        flags += [number("moe-flex-dispatcher-backend", plan.dispatcher), number("moe-router-dtype", "fp32")]
    return flags + ([("--overlap-moe-expert-parallel-comm",)] if plan.overlap else [])


def capacity_flags(setup: Setup) -> list[Flag]:
    """Every expert's share of tokens, padded."""
    factor = setup.job.workload.capacity
    padded: Flag = ("--moe-pad-expert-input-to-capacity",)
    return [] if factor is None else [number("moe-expert-capacity-factor", factor), padded]


def graph_flags(setup: Setup) -> list[Flag]:
    """CUDA graphs of parts of a layer, or of a whole iteration; what the parser wants beside that up to 0.17.1."""
    graphs = setup.job.workload.graphs
    if graphs == "none":
        return []
    if graphs == "full":
        whole = [number("cuda-graph-impl", "local"), number("cuda-graph-scope", "full_iteration")]
        padded: list[Flag] = [("--moe-pad-experts-for-cuda-graph-inference",)] if setup.plan.ep > 1 else []
        return [*whole, ("--no-check-for-nan-in-loss-and-grad",), *padded]
    parts = ("attn", "moe_router", "moe_preprocess") if setup.job.model.moe else ("attn", "mlp")
    return [number("cuda-graph-impl", "transformer_engine"), ("--cuda-graph-scope", *parts)]


def sharding_flags(setup: Setup) -> list[Flag]:
    """ZeRO-1 is the distributed optimizer, ZeRO-2 and 3 are Megatron-FSDP."""
    stage, offload = setup.plan.zero, setup.job.workload.offload == "optimizer"
    flags: list[Flag] = [("--use-distributed-optimizer",)] if stage or offload else []
    if stage >= 2:
        flags += [("--use-megatron-fsdp",), number("data-parallel-sharding-strategy", SHARDING[stage])]
        flags += [number("ckpt-format", "fsdp_dtensor")]
    if stage:
        flags += [("--overlap-grad-reduce",), ("--overlap-param-gather",)]
    if setup.plan.dp_replicate > 1:
        flags += [number("num-distributed-optimizer-instances", setup.plan.dp_replicate)]
    if offload:
        flags += [("--optimizer-cpu-offload",), ("--use-precision-aware-optimizer",)]
    return flags + _optimizer_flags(setup.job.workload.optimizer, offload)


def _optimizer_flags(name: str, offload: bool) -> list[Flag]:
    """The optimizer's name, or the formats of Adam's moments."""
    options = OPTIMIZERS[name]
    aware = [("--use-precision-aware-optimizer",)] if "exp-avg-dtype" in options and not offload else []
    return [*aware, *(number(option, value) for option, value in options.items())]


def recompute_flags(setup: Setup) -> list[Flag]:
    """Nothing, modules, k layers of each chunk, or every layer."""
    plan = setup.plan
    if plan.recompute_layers == 0:
        chosen = [number("recompute-granularity", "selective"), ("--recompute-modules", *plan.modules)]
        return chosen if plan.modules else []
    full = plan.recompute_layers >= chunk_layers(setup.job.model.layers, plan)
    method, layers = ("uniform", 1) if full else ("block", plan.recompute_layers)
    return [
        number("recompute-granularity", "full"),
        number("recompute-method", method),
        number("recompute-num-layers", layers),
    ]


def precision_flags(setup: Setup) -> list[Flag]:
    """Number format of matrix products, and the attention kernel."""
    recipe = setup.job.recipe
    flags: list[Flag] = [(f"--{recipe.activations}",)]
    flags += [number(option, value) for option, value in (recipe.spelled.megatron or {}).items()]
    flags += [] if setup.plan.b * setup.job.workload.seq**2 < MASK or not setup.job.flash else [NO_MASK]
    flags += [*_narrow_flags(setup.job), number("attention-backend", backend(setup.job)), *graph_flags(setup)]
    return [*flags, *loss_flags(setup.job), *activation_flags(setup.job)]


FUSIONS = {"fused": "te", "vocab-parallel": "native"}
"""--cross-entropy-fusion-impl by loss: Transformer Engine's kernel, which Megatron-LM's own parser refuses from 0.18
on, or Megatron's with its few kernels fused."""


def loss_flags(job: Job) -> list[Flag]:
    """The loss over the vocabulary, where it is not left to Megatron-LM."""
    if job.workload.loss is None:
        return []
    return [("--cross-entropy-loss-fusion",), number("cross-entropy-fusion-impl", FUSIONS[job.workload.loss])]


def activation_flags(job: Job) -> list[Flag]:
    """Layers whose activations lie in host memory, or modules whose inputs do."""
    away, modules = job.workload.offload == "activations", job.workload.offload_modules
    if modules:
        return [("--fine-grained-activation-offloading",), ("--offload-modules", *modules)]
    return [number("cpu-offloading-num-layers", job.offloaded_layers)] if away else []


def _narrow_flags(job: Job) -> list[Flag]:
    """Weights in the products' format, and layers that stay in 16 bit."""
    w, primary = job.workload, job.recipe.primary
    flags: list[Flag] = [(f"--{switch}",) for switch in primary.megatron] if w.fp8_param_gather and primary else []
    if w.bf16_first or w.bf16_last:
        flags += [("--first-last-layers-bf16",), number("num-layers-at-start-in-bf16", w.bf16_first)]
        flags += [number("num-layers-at-end-in-bf16", w.bf16_last)]
    return flags


def context_flags(setup: Setup) -> list[Flag]:
    """How context-parallel ranks trade keys and values, where it is not Megatron-LM's usual ring."""
    found = trade(setup.job, setup.plan)
    if found is None or found.kind == "p2p":
        return []
    flags: list[Flag] = [number("cp-comm-type", found.kind)]
    if found.kind == "a2a+p2p":
        sizes = str(found.inner), str(setup.plan.cp // found.inner)
        flags.append(("--hierarchical-context-parallel-sizes", *sizes))
    return flags


def backend(job: Job) -> str:
    """Megatron-LM's name of an attention kernel: core/transformer/enums.py, AttnBackend; "auto" is its own choice."""
    if not job.flash:
        return "unfused"
    named = {"flash": "auto", "cudnn": "fused", "ck": "fused"}
    return named.get(job.workload.attention, "flash")


def batch_flags(setup: Setup) -> list[Flag]:
    """b and B; m follows."""
    return [number("micro-batch-size", setup.plan.b), number("global-batch-size", setup.job.workload.global_batch)]


SHORT_RUN: tuple[Flag, ...] = (
    *(number("train-iters", ITERATIONS), number("eval-iters", 0), number("log-interval", 1)),
    number("lr", "1.0e-4"),
)
"""So many iterations, each of them printed."""

ON_MOCK_DATA: tuple[Flag, ...] = (("--mock-data",), number("tokenizer-type", "NullTokenizer"), *SHORT_RUN)


def notes(model: Model) -> tuple[str, ...]:
    """What stays with the user."""
    said = ["mock data and 20 iterations, so that the plan can be measured: your data, tokenizer, learning rate and"]
    said[0] += " length go behind the script's name and replace these"
    if model.position == "rope":
        said.append("set --rotary-base (and scaling) as the model was trained: the profile does not hold them")
    if model.position == "alibi":
        said.append("Megatron-LM has no ALiBi; positions are left out, which costs the same")
    return tuple(said)


TARGET = target("megatron", program)
