"""The job: what is trained, on what batch, in which precision, with which optimizer."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from planner.schema.base import Name, Positive, Record, Whole

Method = Literal["full", "lora", "qlora"]
Base = Literal["nf4", "int4", "int8"]
Targets = Literal["all-linear", "attention", "mlp", "no-experts"]
Optimizer = Literal[
    "adam",
    "adam-bf16",
    "adam-bf16-sr",
    "adam-bf16-moments",
    "adam-fp8-moments",
    "adam-8bit",
    "adam-paged",
    "adam-8bit-paged",
    "adafactor",
    "muon",
    "sgd",
    "adam-in-backward",
    "adam-bf16-in-backward",
    "adam-8bit-in-backward",
    "sgd-in-backward",
]
Offload = Literal["none", "optimizer", "parameters", "activations"]
OffloadModule = Literal["attn_norm", "qkv_linear", "core_attn", "attn_proj", "mlp_norm", "expert_fc1", "moe_act"]
OFFLOADED: tuple[str, ...] = get_args(OffloadModule)
LossKernel = Literal["eager", "in-place", "fused", "chunked", "vocab-parallel", "linear"]
Graphs = Literal["none", "partial", "full"]
FlashKernel = Literal["flash1", "flash2", "flash3", "flash4", "cudnn", "triton", "trtllm", "ck"]
AttentionKernel = Literal["flash", "flash1", "flash2", "flash3", "flash4", "cudnn", "triton", "ck", "unfused", "eager"]
ContextKind = Literal["p2p", "a2a", "a2a+p2p", "allgather"]
TowerPart = Literal["trained", "projector", "frozen", "absent"]
STORING = ("unfused", "eager")
"""Kernels that store attention scores."""


Skew = Annotated[float, Field(ge=0.1, le=100.0)]


class Workload(Record):
    """One optimizer step of a training job.

    Attributes:
        seq: tokens per sequence (s); global_batch: sequences per step (B).
        precision: name of the recipe, which says the format of every class of tensor.
        attention: "flash", the kernel that the framework picks on the part, and those by name never store scores
            ("flash1" to "flash4" FlashAttention by version, "cudnn", "triton", AMD's "ck"); "unfused" stores a*s*s of
            them per layer and runs a fused softmax over them (Megatron-LM's kernel), "eager" one PyTorch kernel per
            step.
        context: how context-parallel ranks trade keys and values; None: the fastest that the framework runs.
        method: "full" trains every weight; "lora" freezes the base and trains adapters of `lora_rank`; "qlora" keeps
            the frozen weights of linear layers in the format `base`.
        lora_targets: linear layers that have adapters; "no-experts": all but routed experts.
        quantize_experts: experts are kept in `base` as well, where the framework has them in one tensor; no stage of
            ZeRO shards them then (axolotl-ai-cloud/axolotl docs/expert_quantization.qmd).
        optimizer: what it keeps of every parameter stands in `OPTIMIZERS` (planner/cost/memory.py).
        loss: kernel of the loss over the vocabulary (planner/cost/losses.py); None: the framework's.
        fp8_param_gather: weights are kept and gathered in the format of the products.
        bf16_first, bf16_last: layers at either end whose products stay in 16 bit.
        imbalance: tokens that the fullest rank of experts gets, over their mean (1: balanced routing).
        capacity: tokens that every expert takes over their mean, more are dropped and missing ones padded; None: all.
        graphs: CUDA graphs: "none"; "partial", of parts of a layer (Megatron-LM --cuda-graph-impl transformer_engine);
            "full", of a whole iteration.
        offload: "optimizer" keeps optimizer states in host memory and updates on the CPU; "parameters" the weights of a
            ZeRO-3 shard as well; "activations" what blocks keep for the backward pass, all but two blocks' worth.
        images: of every sequence, whose tokens are among its own; image_size: pixels of their sides, which a tower that
            brings every image to one size has no use for.
        tower: of a vision tower "trained" trains all, "projector" its projector alone, "frozen" nothing; "absent": it
            is not there, the decoder is trained by itself.
        offload_layers: of "activations", layers of every rank that do so (0: all).
        offload_modules: of "activations", modules whose inputs go; none: whole layers.
    """

    seq: Positive
    global_batch: Positive
    precision: Name = "bf16"
    attention: AttentionKernel = "flash"
    context: ContextKind | None = None
    method: Method = "full"
    lora_rank: Positive = 16
    lora_targets: Targets = "all-linear"
    base: Base = "nf4"
    quantize_experts: bool = False
    optimizer: Optimizer = "adam"
    offload: Offload = "none"
    offload_layers: Whole = 0
    offload_modules: tuple[OffloadModule, ...] = ()
    loss: LossKernel | None = None
    fp8_param_gather: bool = False
    bf16_first: Whole = 0
    bf16_last: Whole = 0
    imbalance: Annotated[float, Field(ge=1.0, le=100.0)] = 1.0
    capacity: Skew | None = None
    graphs: Graphs = "none"
    images: Whole = 0
    image_size: Positive = 1024
    tower: TowerPart = "trained"

    @property
    def skew(self) -> float:
        """Rows that the fullest rank of experts computes, over their mean."""
        return self.imbalance if self.capacity is None else self.capacity
