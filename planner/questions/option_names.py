"""Options by the names that frameworks and engines give them, for the command line and the files of sweeps."""

from __future__ import annotations

from collections.abc import Iterable

from planner.errors import PlannerError

OURS: dict[str, str] = {
    "model": "model-name-or-path model-name model-id pretrained-model-name-or-path",
    "seq": "seq-length seq-len max-seq-length max-seq-len max-length cutoff-len sequence-length sequence-len "
    "encoder-seq-length model-max-length",
    "global-batch": "global-batch-size gbs train-batch-size",
    "micro-batch": "micro-batch-size mbs per-device-train-batch-size train-micro-batch-size-per-gpu local-batch-size "
    "pipeline-parallel-microbatch-size",
    "gradient-accumulation-steps": "grad-accum gradient-accumulation",
    "tp": "tensor-model-parallel-size tensor-parallel-size tensor-parallel-degree tp-size tensor-parallel autotp-size",
    "pp": "pipeline-model-parallel-size pipeline-parallel-size pipeline-parallel-degree pp-size pipeline-parallel",
    "cp": "context-parallel-size context-parallel-degree cp-size context-parallel",
    "ep": "expert-model-parallel-size expert-parallel-size expert-parallel-degree ep-size expert-parallel "
    "moe-expert-parallel-size",
    "etp": "expert-tensor-parallel-size expert-tensor-parallel-degree",
    "dp": "data-parallel-size data-parallel-degree dp-size data-parallel",
    "dp-replicate": "num-distributed-optimizer-instances data-parallel-replicate-degree dp-replicate-size",
    "v": "num-virtual-stages-per-pipeline-rank virtual-pipeline-model-parallel-size vpp vp",
    "zero": "zero-stage",
    "recompute": "recompute-granularity",
    "recompute-layers": "recompute-num-layers",
    "schedule": "pipeline-parallel-schedule",
    "lora-rank": "lora-r lora-dim",
    "lora-targets": "lora-target target-modules lora-target-modules",
    "attention": "attn-implementation attn-impl",
    "precision": "mixed-precision",
    "input": "input-len random-input-len isl",
    "output": "output-len random-output-len osl",
    "users": "max-concurrency concurrency",
    "rate": "request-rate qps",
    "weights": "quantization",
    "kv": "kv-cache-dtype",
}
"""Our option -> what others call it."""

SWITCHES: dict[str, tuple[str, str]] = {
    "bf16": ("precision", "bf16"),
    "fp16": ("precision", "fp16"),
    "sequence-parallel": ("sp", "1"),
    "use-distributed-optimizer": ("zero", "1"),
    "recompute-activations": ("recompute", "selective"),
    "gradient-checkpointing": ("recompute", "full"),
    "optimizer-cpu-offload": ("offload", "optimizer"),
    "use-peft": ("method", "lora"),
    "use-lora": ("method", "lora"),
}
"""Switches of theirs that are an option with a value here."""

_SPECULATIVE = "config model algorithm num-steps num-draft-tokens eagle-topk draft-model-path"
_DRAFTS = (
    "mtp",
    "eagle",
    "speculative",
    "draft-model",
    "num-speculative-tokens",
    *(f"speculative-{name}" for name in _SPECULATIVE.split()),
)
_DRAFTED = (
    "speculation is not modelled: a step gives every request one token. Leave it out; TPOT without what drafting takes "
    "is the said one over the tokens that are accepted in a step"
)
_ADAPTERS = "lora enable-lora lora-modules lora-paths max-loras max-loras-per-batch max-lora-rank"
_LENGTHS = "max-model-len context-length max-total-tokens"
_COPIES = "dp-attention enable-dp-attention enable-attention-dp attn-dp-size attention-dp"
_PRESET = {
    "most": "max-num-seqs max-running-requests max-batch-size",
    "utilisation": "gpu-memory-utilization mem-fraction-static kv-cache-free-gpu-memory-fraction",
    "chunk": "max-num-batched-tokens chunked-prefill-size max-num-tokens",
}

ELSEWHERE: dict[str, str] = {
    **dict.fromkeys(
        ("max-num-seqs", "max-running-requests", "max-batch-size"),
        "it is an upper limit, which is searched: --users says the load, --batch how many must run at once",
    ),
    **dict.fromkeys(("max-model-len", "context-length"), "--input and --output say what a request takes together"),
    **dict.fromkeys(_DRAFTS, _DRAFTED),
    **dict.fromkeys(
        _ADAPTERS.split(), "adapters that are served are not modelled: leave it out (--method lora trains)"
    ),
    **dict.fromkeys(_LENGTHS.split(), "--input and --output say how long requests are"),
    **dict.fromkeys(_COPIES.split(), "attention is copied where --ep exceeds --tp: --tp 1 --ep 8 makes eight copies"),
    **{
        name: f'it is the preset\'s "{key}": --engine mine.yaml, with the lines like: vllm, {key}: ..., source: ...'
        for key, names in _PRESET.items()
        for name in names.split()
    },
    **dict.fromkeys(("eplb", "enable-eplb", "num-redundant-experts"), "spare experts are not modelled: leave it out"),
    **dict.fromkeys(
        ("cache-hit-rate", "prefix-cache-hit-rate"), "--prefix: so many tokens of every --input are cached"
    ),
    "enable-expert-parallel": "--ep: over so many GPUs the experts lie",
    "num-layers-per-virtual-pipeline-stage": "it counts layers; --v counts chunks per rank: layers / (pp x N)",
    "data-parallel-shard-degree": "it is dp over the copies: --dp, and --dp-replicate for the copies",
}
"""Names that are understood and have no single option here, and what to write instead."""

THEIRS: dict[str, str] = {name: ours for ours, names in OURS.items() for name in names.split()}


def plain(name: str) -> str:
    """A name as the tables have it: dashes, no section before it ("parallelism.tensor_parallel_degree")."""
    return name.replace("_", "-").rpartition(".")[2]


def ours(name: str) -> str:
    """Our option for a framework's; another name as it is."""
    return THEIRS.get(plain(name), name)


def ours_of(words: Iterable[str]) -> list[str]:
    """The words of a command with our options in place of the frameworks'; what stands behind "--" as it is.

    Raises:
        PlannerError: a name that has no single option here.
    """
    found: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word[2:].partition("=") if word.startswith("--") else ("", "", "")
        known = plain(name)
        if known in ELSEWHERE:
            raise PlannerError(f"there is no option {word[:80]}", ELSEWHERE[known])
        if word == "--":
            return [*found, word, *rest]
        if known in SWITCHES:
            option, default = SWITCHES[known]
            said = value if equals else rest.pop(0) if rest and rest[0].lower() in ("true", "false") else "true"
            found += [f"--{option}", default] if said.lower() == "true" else []
        else:
            found.append(f"--{THEIRS[known]}{equals}{value}" if known in THEIRS else word)
    return found
