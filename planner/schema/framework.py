"""What a training framework can run and how well its kernels do: one preset per framework generation."""

from typing import Annotated, Literal

from pydantic import Field

from planner.schema.base import Name, Profile, Record, Trust
from planner.schema.hardware import Generation
from planner.schema.quantities import Bytes, Factor, PerItem, Seconds, Share, Used
from planner.schema.workload import ContextKind, FlashKernel

ZeroStage = Literal[0, 1, 2, 3]
DispatcherName = Literal["alltoall", "allgather", "deepep", "hybridep"]
ModuleName = Literal["core_attn", "mla_up_proj", "layernorm", "moe_act", "mlp", "moe", "shared_experts"]
TargetName = Literal[
    "megatron",
    "megatron-core",
    "megatron-bridge",
    "primus",
    "megatron-deepspeed",
    "deepspeed",
    "torchtitan",
    "torchtitan-registry",
    "pytorch",
    "colossalai",
    "accelerate",
    "transformers",
    "verl",
    "automodel",
    "llamafactory",
    "axolotl",
    "trl",
    "torchtune",
    "swift",
]
"""What `planner launch` writes: each is the TARGET of the file of planner/launch that is called so, with _ for -."""


class AttentionChoice(Record):
    """The flash kernel that a stack runs on each generation of accelerators; absent: that of `Efficiency`."""

    ampere: FlashKernel | None = None
    ada: FlashKernel | None = None
    hopper: FlashKernel | None = None
    blackwell: FlashKernel | None = None
    cdna2: FlashKernel | None = None
    cdna3: FlashKernel | None = None
    cdna4: FlashKernel | None = None

    def on(self, generation: Generation | None) -> FlashKernel | None:
        """What it picks there."""
        return getattr(self, generation, None) if generation else None


class Framework(Profile):
    """One preset. Every number is a property of the framework's code, not of a model or a cluster.

    Attributes:
        target: what `planner launch` writes for it; absent: no emitter speaks its language.
        instead: the preset that stands in where a job is relaxed and this one's framework has no option for that.
        counts_head: lays layers over ranks by cost, the LM head counted (nanotron); else the search decides.
        schedules: names of the schedules that it runs, the plainest first; "all" adds every one that trains.
        zero, zero_with_pipeline: what it can run (highest ZeRO stage beside PP > 1).
        uneven_layers: places layer counts that PP does not divide; layouts: is told stage by stage what each holds.
        splits_tower: a vision tower is split over tp where that divides its heads; else every tp rank has all of it.
        hybrid_shard: can keep several copies of the sharded states (HSDP).
        attention: flash kernel that "flash" means, by generation of the accelerator.
        context: ways in which its context-parallel ranks trade keys and values (`planner.cost.context`).
        elementwise: memory traffic of element-wise work over that of ideally fused kernels.
        host_layer: host time to launch one layer's forward kernels (floor of the layer's time).
        host_layer_backward: likewise backward; host_collective: for one collective call in it; host_narrow: over that
            in 16 bit, where products are below.
        expert_wait: time per layer of experts and micro-batch, both passes, in which the device waits: the host reads
            the number of tokens of every expert before it launches products over them; expert_wait_fused: likewise with
            dispatchers that count and permute on the way (DeepEP, HybridEP); expert_wait_graphs: where the rest of the
            layer is in CUDA graphs (nothing is left where the whole iteration is); expert_wait_narrow: added without
            graphs where operands are cast, which is more kernels.
        expert_token: time per token in such a layer of unfused kernels round the router; none with a full graph.
        dispatchers: how tokens reach experts, the plainest first (`planner.cost.dispatch`).
        expert_overlap: of expert traffic beside another micro-batch's computation, on request, the share that is saved;
            the rest slows that computation down; 0: it cannot (`planner.cost.dispatch.hidden`).
        recompute_modules: parts of a layer that can be recomputed by themselves (`planner.cost.recompute`).
        offloads_modules: the inputs of single modules can be moved to the host, instead of whole layers.
        piped_floor, piped_floor_tp: added to the host's floor of a layer's forward and backward together in a pipeline
            over several nodes with tp > 1: piped_floor + tp * piped_floor_tp (nanotron; 0 elsewhere).
        tp_exposed, dp_hidden: share of TP traffic left exposed; share of the last backward that hides DP traffic.
        gathers: collectives per layer in which ZeRO-3 moves its weights (1: flat per layer; 4: one per matrix).
        host_member: host time per rank of such a collective, where its pieces are a list (0: one flat tensor).
        gathers_block: computation waits for every gather, none is prefetched; regathers: recomputing a layer and its
            backward pass each gather its weights.
        reshards: ZeRO-3 gives gathered weights back after a forward pass; else they stay until the backward is through.
        dp_slowdown, fsdp_slowdown: share of hidden traffic that slows compute down: at the end of a step, of FSDP.
        p2p_exposed: share of interleaved point-to-point time left exposed; p2p_blocking: 1F1B waits for each send.
        accumulate: bytes moved per parameter and micro-batch to add into the gradient buffer.
        step: fixed time per optimizer step.
        jitter: share of pipeline time lost to waiting for the slowest rank.
        gradient_bytes: of the resident gradient buffer, per parameter, before sharding.
        fixed_bytes, sharded_bytes: further bytes per parameter that are divided by dp under ZeRO-3 only, or from
            ZeRO-1 on (communication copies, 16-bit shadows); they stay on the device under offload.
        frees_gradients: gradients are freed after each update, so that there are none when a step begins (PyTorch's
            zero_grad); else their buffer stays.
        offloads_gradients: where the optimizer is offloaded gradients follow it, from ZeRO-2 on (DeepSpeed, FSDP).
        host_moved: bytes per parameter that host memory moves around an offloaded update: gradients that arrive, are
            widened and scaled, weights that are cast and leave.
        foreach: the update of all parameters keeps one temporary of a moment's size (PyTorch's foreach Adam).
        upcasts: the update turns 16-bit gradients into fp32 where master weights are; sub_group: parameters that it
            takes at a time (0: all).
        bucket: elements of the buffer that gradients are reduced from under ZeRO-2 and 3, under the latter by way of a
            copy in the order of the ranks (DeepSpeed runtime/comm/coalesced_collectives.py).
        reduced_bytes: or bytes per parameter of the block that is reduced (FSDP: whole gradients, and their copy on the
            wire).
        ends_stay: under ZeRO-3 embedding and head stay gathered in all passes, with their whole gradients in the
            backward (the root unit of PyTorch's FSDP 1).
        logits_bytes: bytes per logit element alive at once in the loss; logits_split: over tp; logits_moved: bytes that
            its passes move each (0: as many).
        adapter_saved: bytes per element of the input that every adapter keeps a copy of (0: it shares the layer's);
            adapter_sharded: further ones from ZeRO-2 on, where each is a sharded unit of its own.
        unfused_gate: tensors that a gated feed-forward keeps beside its product's output where activation and gate are
            kernels of their own: 1 the activation's output.
        linear_gates: the linear loss comes with a kernel for gated feed-forwards that keeps its two inputs alone and
            writes their gradients over them (Liger, by one switch).
        saves_wide: linear layers below 16 bit keep their input in 16 bit and cast it again in the backward pass.
        transposed_weights: weights of narrow products that are read along both sides keep both copies for the step.
        fp32_stream: norms of a quantized base are made fp32 below ZeRO-3 (PEFT utils/other.py
            prepare_model_for_kbit_training), and with them what lies between linear layers, which return their input's
            format (bitsandbytes).
        keeps_cache: recomputed blocks keep the output of their q, k, v product, of which keys and values are a view.
        fused_experts: experts of a layer lie in one tensor (Transformers from 5 on), which loaders below 16 bit pass
            over and whose adapters are multiplied out and added to it in every pass: ranks that gate and up of an
            expert have in one adapter, for each of LoRA's (PEFT: 2 where it is told their names, 1 where it is told the
            tensor's); 0: experts are modules of their own.
        renamed_experts: families of which the adapters' library takes the names that experts had for these tensors, and
            renamed_seeing: with a tower in front; of others only the tensors' own names reach experts.
        module_experts: families whose code comes with their weights, with experts as modules.
        experts_apart: experts run one after the other, not as one grouped product.
        load_bytes: per parameter of the whole model that every rank holds beside its shard while it is loaded (ZeRO-3).
        gathered_inputs: column-parallel products keep what sequence parallelism gathered for them.
        logits_again: bytes per logit that stay of the micro-batch before; logits_parallel: further ones where tp ranks
            have a part of the vocabulary each.
        norm_bytes: further bytes per token and hidden unit that a layer stores (unfused fp32 norms).
        shard_is_master: under ZeRO-3 the sharded fp32 weight is the optimizer's master (PyTorch FSDP), so that no
            16-bit shard is kept beside it.
        usable: share of the reported memory that a run can fill before the allocator fails.
        reserve: memory held by context and communication buffers.
        fragmentation: what the allocator holds and cannot use, as a share of the tensors that come and go.
        tunes: it is a trainer for fine-tuning, whose batches count sequences.
        activation_factor: stored activations over the analytic sum.
    """

    schedules: tuple[str, ...]
    zero: tuple[ZeroStage, ...]
    zero_with_pipeline: ZeroStage
    uneven_layers: bool
    layouts: bool = False
    splits_tower: bool = False
    hybrid_shard: bool = False
    target: TargetName | None = None
    instead: Name | None = None
    counts_head: bool = False
    attention: AttentionChoice = AttentionChoice.model_construct()
    context: tuple[ContextKind, ...] = ("p2p",)
    elementwise: Factor
    host_layer: Seconds
    host_layer_backward: Seconds
    host_collective: Seconds = 0.0
    host_narrow: Factor = 1.0
    expert_wait: Seconds = 0.0
    expert_wait_fused: Seconds = 0.0
    expert_wait_graphs: Seconds = 0.0
    expert_wait_narrow: Seconds = 0.0
    expert_token: Seconds = 0.0
    expert_overlap: Share = 0.0
    dispatchers: tuple[DispatcherName, ...] = ("alltoall",)
    recompute_modules: tuple[ModuleName, ...] = ("core_attn",)
    offloads_modules: bool = False
    piped_floor: Seconds = 0.0
    piped_floor_tp: Seconds = 0.0
    tp_exposed: Share
    dp_hidden: Share
    dp_slowdown: Share = 0.0
    gathers: Annotated[int, Field(ge=1, le=1000)] = 1
    host_member: Seconds = 0.0
    gathers_block: bool = False
    regathers: bool = False
    reshards: bool = True
    fsdp_slowdown: Share
    p2p_blocking: bool
    p2p_exposed: Share
    accumulate: PerItem
    step: Seconds
    jitter: Share
    gradient_bytes: Factor
    fixed_bytes: PerItem = 0.0
    sharded_bytes: PerItem = 0.0
    frees_gradients: bool = False
    offloads_gradients: bool = False
    host_moved: PerItem = 0.0
    foreach: bool = False
    upcasts: bool = False
    sub_group: Annotated[float, Field(ge=0, le=1e13)] = 0.0
    bucket: Annotated[float, Field(ge=0, le=1e11)] = 0.0
    reduced_bytes: PerItem = 0.0
    ends_stay: bool = False
    logits_bytes: Factor
    logits_split: bool = True
    logits_moved: PerItem = 0.0
    norm_bytes: PerItem = 0.0
    adapter_saved: PerItem = 0.0
    adapter_sharded: PerItem = 0.0
    unfused_gate: PerItem = 0.0
    linear_gates: bool = False
    saves_wide: bool = False
    transposed_weights: bool = True
    fp32_stream: bool = False
    keeps_cache: bool = False
    experts_apart: bool = False
    fused_experts: Annotated[int, Field(ge=0, le=2)] = 0
    renamed_experts: tuple[Name, ...] = ()
    renamed_seeing: tuple[Name, ...] = ()
    module_experts: tuple[Name, ...] = ()
    load_bytes: PerItem = 0.0
    gathered_inputs: bool = False
    logits_again: PerItem = 0.0
    logits_parallel: PerItem = 0.0
    activation_factor: Factor
    shard_is_master: bool
    usable: Used
    reserve: Bytes
    fragmentation: Share = 0.1
    tunes: bool = False
    trust: Trust
