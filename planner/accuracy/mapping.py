"""What a row leaves unsaid and its source makes plain: tables of names and facts, one line each with its reason.

Nothing here is a constant of the cost model: a line says which profile a name means, or which fact a source states
outside the row.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

from planner.frozen import frozen

FAMILIES: tuple[tuple[str, str], ...] = (
    ("aao-", "aa"),
    ("tro-", "tr3m"),
    ("tto-", "tt"),
    ("pro-", "primus"),
    ("vt-s", "vt-single"),
    ("vt-m", "vt-multi"),
)
"""Ids by how they begin, and the source family they belong to; every other family is the id up to its last dash."""

FRAMEWORKS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Megatron-LM 2020", "", ("megatron-2020", "megatron-2021", "megatron-core")),
    ("DeepSpeed ZeRO-3 in Megatron", "", ("deepspeed-zero3-2021", "megatron-deepspeed")),
    ("Megatron-DeepSpeed", "vTrain", ("megatron-deepspeed",)),
    ("Megatron-DeepSpeed", "", ("bigscience", "megatron-deepspeed")),
    ("LargeScale", "", ("megatron-deepspeed",)),
    ("DeepSpeed 0.19.2 + HF + Liger", "", ("hf", "megatron-deepspeed")),
    ("DeepSpeed", "", ("megatron-deepspeed",)),
    ("AA-Scaling", "RMS kernel", ("aa-scaling-fused", "aa-scaling", "megatron-deepspeed")),
    ("AA-Scaling", "", ("aa-scaling", "megatron-deepspeed")),
    ("NeMo AutoModel", "", ("nemo-automodel", "torchtitan")),
    ("NeMo Automodel", "", ("nemo-automodel", "torchtitan")),
    ("NeMo", "tag v25.05", ("nemo-25.05", "megatron-core-tuned")),
    ("NeMo", "", ("megatron-core-tuned", "megatron-core")),
    ("Megatron-Bridge", "", ("megatron-core-tuned", "megatron-core")),
    ("Megatron-LM 0.", "", ("megatron-core-te", "megatron-core")),
    ("Megatron-LM", "", ("megatron-core",)),
    ("Megatron", "", ("megatron-core",)),
    ("MegaScale", "", ("megatron-core-tuned", "megatron-core")),
    ("Primus", "baseline;", ("primus-unfused",)),
    ("Primus", "+ loss fusion;", ("primus-unfused",)),
    ("Primus", "+ DeepEP;", ("primus-unfused",)),
    ("Primus", "", ("primus", "megatron-core")),
    ("OneFlow", "", ("oneflow", "megatron-core")),
    ("PyTorch FSDP (Composer)", "", ("llm-foundry", "torchtitan")),
    ("fms-fsdp", "", ("torchtitan",)),
    ("Transformers + DeepSpeed", "", ("hf",)),
    ("litgpt", "", ("litgpt", "hf-fsdp")),
    ("HF Trainer", "", ("hf-fsdp", "torchtitan")),
    ("torchtitan", "no compile", ("torchtitan-eager", "torchtitan")),
    ("torchtitan", "compile", ("torchtitan",)),
    ("torchtitan", "same + AsyncTP", ("torchtitan",)),
    ("torchtitan", "", ("torchtitan-eager", "torchtitan")),
    ("InternEvo", "", ("internevo", "megatron-core")),
    ("nanotron", "", ("nanotron", "megatron-core")),
    ("MaxText", "", ("maxtext", "torchtitan")),
)
"""(how `framework` begins, what `notes` or `source` contain, presets): the first line that fits; of its presets the
first that exists. A later one is a stand-in and labels the case `preset:<wanted>`."""

NARROW_WEIGHTS = ("Megatron-Bridge", "NeMo")
"""How `framework` begins where published runs keep weights in the products' format, blockwise scaling apart, and all
layers alike (NVIDIA-NeMo/Megatron-Bridge training/mixed_precision.py, perf_recipes/_common.py)."""

HALF_GRADIENTS = ("Megatron-Bridge",)
"""How `framework` begins where published runs keep and reduce gradients in bf16 (grad_reduce_in_fp32 = False in
NVIDIA-NeMo/Megatron-Bridge perf_recipes/_common.py); other rows say so in their notes."""

VERSIONS: tuple[tuple[str, str, str, float | bool], ...] = (
    # torchtitan compiles its loss since 2025 (config/configs.py CompileConfig.components): logits and their gradient
    ("torchtitan", "torchao 0.13", "logits_bytes", 4.0),
    ("torchtitan 2025-06", "", "logits_bytes", 4.0),
    # silu(gate), up + its offset and their product, each a kernel's output (Megatron-LM core/transformer/mlp.py, glu)
    ("Primus", "unfused SwiGLU", "unfused_gate", 3.0),
    # disable_parameter_transpose_cache = True (NVIDIA-NeMo/Megatron-Bridge perf_recipes/llama/h100/llama3.py, SFT)
    ("Megatron-Bridge", "full fine-tuning (SFT)", "transposed_weights", False),
)
"""(how `framework` begins, what `notes` contain, a field of Framework, its value) where a run's settings differ from
the preset's."""

FUSED_LOSS = ("Megatron-Bridge",)
"""How `framework` begins where published runs have Transformer Engine's loss (cross_entropy_fusion_impl = "te" in
NVIDIA-NeMo/Megatron-Bridge recipes), unless the row names another."""

FALLBACK_PRESET = "megatron-core"
"""For frameworks that no line above names."""


@frozen
class Machine:
    """What a GPU name of the corpus means.

    Attributes:
        accelerators: profiles, the first that exists counts.
        changes: facts of the accelerator that differ, when only a later profile exists.
        scaleup: rate per GPU and direction where it differs from the profile's node, in byte/s.
    """

    accelerators: tuple[str, ...]
    changes: dict[str, Any] = field(default_factory=dict)
    scaleup: float | None = None


MACHINES: dict[str, Machine] = {
    "V100-32GB-SXM": Machine(("v100-sxm2-32gb",)),
    "V100-16GB-SXM": Machine(("v100-sxm2-16gb",)),
    "L40S-48GB-PCIe": Machine(("l40s-48gb",)),
    "B200-180GB-SXM": Machine(("b200-sxm-180gb",)),
    # torchtitan's Grand Teton boxes: 96 GB of HBM2e at 2.4 TB/s, capped at 500 W (benchmark page)
    "H100-96GB-SXM-500W": Machine(
        ("h100-sxm-96gb-500w", "h100-sxm5-80gb"), {"bandwidth": 2.4e12, "memory": 95.0 * 2**30}
    ),
    # export versions: NVLink at 400 GB/s both ways together, otherwise the A100 and the H100
    "A800-80GB-SXM": Machine(("a800-sxm4-80gb", "a100-sxm4-80gb"), {}, 200e9),
    "H800-80GB-SXM": Machine(("h800-sxm5-80gb", "h100-sxm5-80gb"), {}, 200e9),
}
"""GPU names that the catalogue does not know by themselves."""

NETWORKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Ultra-Scale Playbook", ("efa-playbook", "efa-v2")),
    ("EFA", ("efa-v2",)),
    ("Omni-Path", ("omni-path", "infiniband-edr")),
    ("RoCE", ("roce",)),
    ("EDR", ("infiniband-edr",)),
    ("HDR", ("infiniband-hdr",)),
    ("XDR", ("infiniband-xdr",)),
    ("NDR", ("infiniband-ndr",)),
    ("RDMA", ("roce",)),
    ("InfiniBand", ("infiniband-hdr",)),
    (" IB", ("infiniband-hdr",)),
)
"""Words of `interconnect` and the link they mean; none of them: the network of the GPU's plain node."""

NODE_RATES: tuple[tuple[str, float], ...] = (
    # four Omni-Path adapters of 100 Gb/s per converged node: IDRIS, description of Jean Zay
    ("Jean Zay", 400e9 / 8),
    # eight adapters of 400 Gb/s: AWS p5.48xlarge
    ("p5 EFA", 3200e9 / 8),
)
"""Clusters whose row names them without a rate: bytes per second and node, per direction."""


@frozen
class Facts:
    """What holds for every row of a source and stands in no column.

    Attributes:
        shape: fields of Model. routing: fields of its experts. row: cells that the row leaves empty or "unknown".
        labels: put on every case.
    """

    shape: dict[str, Any] = field(default_factory=dict)
    routing: dict[str, int] = field(default_factory=dict)
    row: dict[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


_GPT: dict[str, Any] = {
    "mlp": "gelu",
    "bias": "all",
    "norm": "layernorm",
    "position": "learned",
    "tied_embeddings": True,
    "dropout": True,
}
_LLAMA: dict[str, Any] = {
    "mlp": "glu",
    "bias": "none",
    "norm": "rmsnorm",
    "position": "rope",
    "tied_embeddings": False,
    "dropout": False,
}

_PRIMUS = {"memory_tool": "nvidia-smi", "memory_unit": "GiB"}
"""All of the device's memory in use, over 1024**3 (AMD-AGI/Primus patches/training_log/print_rank_last_patches.py)."""

_BRIDGE = {"memory_tool": "allocated", "memory_unit": "GB"}
"""PyTorch's peak of allocated bytes over 1e9 (NVIDIA-NeMo/Megatron-Bridge training/utils/train_utils.py report_memory;
skills/nemo-mbridge-perf-activation-recompute: by what is allocated, not by what is reserved)."""

DEFAULT_SHAPES = {"yes": _LLAMA, "no": _GPT, "": _GPT}
"""By `gated_mlp`: gated models follow Llama, the others Megatron's GPT, dropout 0.1 and tied embeddings included."""

_AUTOMODEL = Facts(row={"optimizer": "adam-bf16", "recompute": "full"})
"""Models and their moments are in bf16 (nemo_automodel/components/models: initialize_weights), and every layer is
recomputed in the benchmarks that the tables are of (examples/benchmark/configs at 4448734a, examples/llm_benchmark)."""

SOURCES: dict[str, Facts] = {
    # llm-foundry's MPT: biases, learned positions and tied embeddings add up to the printed parameter counts to the
    # unit (12,853,954,560 for 13b); resid_pdrop and attn_pdrop are 0 in its training yamls
    "mosaic": Facts(shape={"dropout": False}),
    # BLOOM and its trials: ALiBi, norm behind the embedding (Le Scao et al. 2022, section 3.2)
    "bloom": Facts(shape={"position": "alibi"}),
    # with pp = 2, 4 and 8 the readings grow by what the first stage keeps per sequence, not by the logits of the last
    "tr3m": Facts(row={"rank": "first"}),
    "finetune": Facts(labels=("finetune",)),
    "thread": Facts(labels=("threads",)),
    # 59, 32 and 30 GB of ZB-2p, ZB-1p and 1F1B (table 4) fit stored activations with scores and masks, 34 + 5*a*s/h
    # bytes, and nothing smaller: neither recomputation nor flash attention; GPT-2's vocabulary is assumed
    "zb": Facts(
        row={"recompute": "none", "flash_attention": "no", "vocab": "50257", "precision": "fp16"},
        labels=("inferred-recompute", "assumed-vocab"),
    ),
    # NeMo's GPT-3 vocabulary, as in its later tables for the same model
    "nemoa100": Facts(row={"vocab": "51200", "flash_attention": "yes"}, labels=("assumed-vocab",)),
    "mlperf-gpt3": Facts(row={"vocab": "51200", "flash_attention": "yes"}, labels=("assumed-vocab",)),
    # NVIDIA's configurations of Llama 2 70B LoRA graph every layer (docs.nvidia.com/dl-cuda-graph, llama2-70b-lora)
    "mlperf-lora": Facts(row={"cuda_graphs": "partial"}),
    "mlplora": Facts(row={"cuda_graphs": "partial"}),
    # Hagemann et al. ran Megatron's distributed optimizer; their sheets do not say so
    "aa": Facts(row={"zero_stage": "1"}, labels=("assumed-zero",)),
    # TransformerEngine's fused attention on H100; the tables do not name the kernel
    "mlmex": Facts(row={"flash_attention": "yes"}),
    # its cut DeepSeek-V2 and V3 have one dense layer; drop and pad to capacity 1 (docs/b200 of SimuMax v1.2)
    "simumax": Facts(routing={"dense_layers": 1}),
    "automodel": _AUTOMODEL,
    "automodelx": _AUTOMODEL,
    # its "even" routing sends all eight copies of a token to experts of one rank of eight; its configuration has bf16
    # gradients and moments and Transformer Engine's loss (AMD-AGI/Primus examples/megatron/configs/MI355X)
    "primusq": Facts(
        routing={"groups": 8, "top_groups": 1},
        row=_PRIMUS | {"gradient_bytes": "2", "optimizer": "adam-bf16-moments", "loss": "fused"},
    ),
    "primusv2": Facts(row=_PRIMUS),
    "mbskill": Facts(row=_BRIDGE),
    # device memory used, in MB of 2**20 bytes over 1,000 (Megatron-LM training/utils/common_utils.py report_memory):
    # at 189.25 of them a run went out of memory on GB200, which has 189,471 MiB
    "mfsdp": Facts(row={"memory_tool": "nvidia-smi", "memory_unit": "1000 MiB"}),
    # torchtitan runs scaled_dot_product_attention
    "tt": Facts(row={"flash_attention": "yes", "sequence_parallel": "yes"}),
}
"""Facts by source family."""

MENDED: tuple[tuple[str, dict[str, str], dict[str, str]], ...] = (
    # nemotron/launch.sh@v25.04.02 of NVIDIA/dgxc-benchmarking: PP=8 VP=12, as in the releases before and after
    (
        "dgxc-",
        {"model": "nemotron4-340b", "release": "v25.04.02", "vp": ""},
        {"vp": "12", "schedule": "interleaved-1f1b"},
    ),
    # LAYER_CUDA_GRAPH=1 in the configuration of GPT-3 on B200 in MLPerf v4.1: every layer is a CUDA graph
    ("mlperf-gpt3-017", {}, {"cuda_graphs": "partial"}),
    # AMD's configurations of Llama 2 70B LoRA in MLPerf v5.0 and v5.1: MCORE_CUDA_GRAPH=0
    *(("mlplora-", {"gpu": gpu}, {"cuda_graphs": "none"}) for gpu in ("MI300X-192GB", "MI350X-288GB", "MI355X-288GB")),
    # steps of one ablation, each on top of those before: CUDA graphs come with the sixth
    ("dsv3abl-0[1-5]", {}, {"cuda_graphs": "none"}),
    ("dsv3abl-", {"cuda_graphs": ""}, {"cuda_graphs": "partial"}),
    # before its activation is fused: another stack, no other layout
    ("primusq-001", {}, {"sweep_group": ""}),
    # steps of an ablation, too: Transformer Engine's loss comes with the sixth (AMD-AGI/Primus examples/moe_package)
    ("primusv2-0(0[6-9]|10)", {}, {"loss": "fused"}),
)
"""How an id begins (a pattern), cells of its row, and cells that its source has otherwise."""

DOUBTFUL: dict[str, str] = {
    "aa-076": "slower than the same layout at micro-batch 2; allocator near its limit suspected",
    "aa-079": "slower than the same layout at micro-batch 2; allocator near its limit suspected",
    "aa-089": "slower than the same layout at micro-batch 2; allocator near its limit suspected",
    "aa-090": "slower than the same layout at micro-batch 2; allocator near its limit suspected",
    "bloom-036": "65 GB at micro-batch 2, 52 to 56 GB at 4: cannot be right",
    "gpt2v100-006": "one layout, printed with 26 and with 32 GB",
    "gpt2v100-008": "one layout, printed with 26 and with 32 GB",
    "intern-042": "full and no recomputation at the same speed as intern-053: one label is wrong",
    "intern-053": "full and no recomputation at the same speed as intern-042: one label is wrong",
}
"""Rows that contradict their siblings, by id, with the reason."""

APART = (
    "moe",
    "known-graphs",
    "fp8",
    "fp4",
    "lora",
    "finetune",
    "threads",
    "offload",
    "derived",
    "doubtful",
    "assumed-layout",
    "unknown-recompute",
    "deterministic",
)
"""Labels that keep a case out of the main score; each is scored by itself."""
