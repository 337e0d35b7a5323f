"""Every option of Megatron-LM, toggled: what is modelled moves the estimate or the verdict, what is not is named."""

from __future__ import annotations

import pytest

from planner.launch.check import setup_of
from planner.launch.shell import read_arguments
from planner.questions.train import rank
from planner.read.megatron_deepspeed import read_megatron_deepspeed
from planner.read.options import known_options, read_options
from planner.read.reading import Reading
from planner.read.table import UNKNOWN, Group, key, table
from planner.search import Candidate
from tests.jobs import cluster, framework
from tests.launch.test_megatron_checks import MOE, flags, read

MLA = {"multi-latent-attention": "", "num-query-groups": None, "group-query-attention": None}
SELECTIVE = {"recompute-granularity": "selective", "attention-backend": "unfused"}
FULL = {"recompute-granularity": "full", "recompute-method": "uniform", "recompute-num-layers": "1"}
WINDOW = {"window-size": "1024,0"}

STATES = {"use-precision-aware-optimizer": "", "use-distributed-optimizer": ""}
FP8 = {"fp8-format": "hybrid"}
MXFP8 = {"fp8-format": "e4m3", "fp8-recipe": "mxfp8"}
ALONE = {"tensor-model-parallel-size": "1", "pipeline-model-parallel-size": "1", "sequence-parallel": None}
SPREAD = MOE | {"expert-model-parallel-size": "2", "moe-grouped-gemm": "", "moe-token-dispatcher-type": "alltoall"}
WIDE = ALONE | SPREAD | {"num-experts": "32", "expert-model-parallel-size": "32", "moe-ffn-hidden-size": "1024"}
SMALL = ALONE | {"hidden-size": "512", "ffn-hidden-size": "512", "num-attention-heads": "8", "seq-length": "256"}

Changes = dict[str, str | None]

TOGGLES: dict[str, tuple[Changes, str | None]] = {
    "tensor-model-parallel-size": ({}, "2"),
    "context-parallel-size": ({}, "2"),
    "expert-model-parallel-size": (MOE, "2"),
    "expert-tensor-parallel-size": (MOE, "2"),
    "pipeline-model-parallel-size": ({}, "2"),
    "num-distributed-optimizer-instances": ({"use-distributed-optimizer": ""}, "2"),
    "sequence-parallel": ({}, None),
    "num-virtual-stages-per-pipeline-rank": ({}, "2"),
    "num-layers-per-virtual-pipeline-stage": ({}, "4"),
    "pipeline-model-parallel-layout": ({}, "Et*7|t*8|t*8|t*9L"),
    "decoder-first-pipeline-num-layers": ({}, "5"),
    "decoder-last-pipeline-num-layers": ({}, "5"),
    "account-for-embedding-in-pipeline-split": (
        {"num-layers": "30", "account-for-loss-in-pipeline-split": ""},
        "",
    ),
    "account-for-loss-in-pipeline-split": (
        {"num-layers": "30", "account-for-embedding-in-pipeline-split": ""},
        "",
    ),
    "micro-batch-size": ({}, "2"),
    "global-batch-size": ({}, "128"),
    "seq-length": ({}, "2048"),
    "use-distributed-optimizer": ({}, ""),
    "use-torch-fsdp2": ({"pipeline-model-parallel-size": "1", "no-gradient-accumulation-fusion": ""}, ""),
    "use-megatron-fsdp": ({"pipeline-model-parallel-size": "1", "ckpt-format": "fsdp_dtensor"}, ""),
    "data-parallel-sharding-strategy": (
        {"pipeline-model-parallel-size": "1", "ckpt-format": "fsdp_dtensor", "use-megatron-fsdp": ""},
        "optim",
    ),
    "overlap-grad-reduce": ({}, ""),
    "recompute-activations": ({"attention-backend": "unfused"}, ""),
    "recompute-granularity": ({"attention-backend": "unfused"}, "selective"),
    "recompute-method": (FULL | {"recompute-num-layers": "2"}, "block"),
    "recompute-num-layers": (FULL | {"recompute-method": "block"}, "2"),
    "num-layers": ({}, "64"),
    "hidden-size": ({"kv-channels": "128"}, "8192"),
    "ffn-hidden-size": ({}, "8192"),
    "num-attention-heads": ({}, "64"),
    "group-query-attention": ({}, None),
    "num-query-groups": ({}, "4"),
    "kv-channels": ({}, "64"),
    "vocab-size": ({}, "32000"),
    "padded-vocab-size": ({"vocab-size": None}, "32000"),
    "tokenizer-type": ({"vocab-size": None}, "Llama3Tokenizer"),
    "untie-embeddings-and-output-weights": ({"pipeline-model-parallel-size": "1"}, ""),
    "swiglu": ({}, None),
    "quick-geglu": ({"swiglu": None}, ""),
    "overlap-param-gather": ({}, ""),
    "disable-bias-linear": ({}, None),
    "add-qkv-bias": ({}, ""),
    "normalization": ({}, "RMSNorm"),
    "position-embedding-type": ({"use-distributed-optimizer": ""}, "rope"),
    "use-rotary-position-embeddings": ({}, ""),
    "max-position-embeddings": ({}, "8192"),
    "hidden-dropout": ({}, "0.0"),
    "qk-layernorm": ({}, ""),
    "softmax-type": ({}, "learnable"),
    "window-size": ({}, "1024,0"),
    "window-attn-skip-freq": (WINDOW, "2"),
    "mtp-num-layers": ({}, "1"),
    "multi-latent-attention": ({}, ""),
    "q-lora-rank": (MLA, "512"),
    "kv-lora-rank": (MLA, "512"),
    "qk-head-dim": (MLA, "64"),
    "qk-pos-emb-head-dim": (MLA, "32"),
    "v-head-dim": (MLA, "64"),
    "num-experts": (MOE, "16"),
    "moe-router-topk": (MOE, "4"),
    "moe-ffn-hidden-size": (MOE, "7168"),
    "moe-shared-expert-intermediate-size": (MOE, "14336"),
    "moe-layer-freq": (MOE, "2"),
    "fp16": ({"bf16": None}, ""),
    "bf16": ({"fp16": ""}, None),
    "attention-backend": ({}, "unfused"),
    "transformer-impl": ({}, "local"),
    "eval-micro-batch-size": ({}, "7"),
    "use-flash-attn": ({"transformer-impl": "local"}, ""),
    "cpu-offloading-num-layers": ({}, "4"),
    "fine-grained-activation-offloading": ({"offload-modules": "core_attn"}, ""),
    "offload-modules": ({"fine-grained-activation-offloading": ""}, "core_attn"),
    "optimizer-cpu-offload": ({"use-precision-aware-optimizer": "", "use-distributed-optimizer": ""}, ""),
    "main-grads-dtype": ({"use-precision-aware-optimizer": "", "use-distributed-optimizer": ""}, "bf16"),
    "optimizer": ({}, "muon"),
    "exp-avg-dtype": (STATES | {"exp-avg-sq-dtype": "bf16"}, "bf16"),
    "exp-avg-sq-dtype": (STATES | {"exp-avg-dtype": "bf16"}, "bf16"),
    "main-params-dtype": (STATES, "fp16"),
    "cross-entropy-loss-fusion": (ALONE | {"cross-entropy-fusion-impl": "te"}, ""),
    "cross-entropy-fusion-impl": (ALONE | {"cross-entropy-loss-fusion": ""}, "te"),
    "fp8-format": ({}, "hybrid"),
    "fp4-format": ({}, "e2m1"),
    "fp8-recipe": (FP8, "blockwise"),
    "fp4-recipe": ({"fp4-format": "e2m1"}, "custom"),
    "fp8-param-gather": (FP8 | {"use-distributed-optimizer": ""}, ""),
    "fp4-param-gather": ({"fp4-format": "e2m1", "use-distributed-optimizer": ""}, ""),
    "reuse-grad-buf-for-mxfp8-param-ag": (MXFP8 | {"fp8-param-gather": "", "use-distributed-optimizer": ""}, ""),
    "first-last-layers-bf16": (FP8, ""),
    "num-layers-at-start-in-bf16": (FP8 | {"first-last-layers-bf16": ""}, "3"),
    "num-layers-at-end-in-bf16": (FP8 | {"first-last-layers-bf16": ""}, "3"),
    "recompute-modules": ({"recompute-granularity": "selective"}, "mlp"),
    "moe-layer-recompute": (SPREAD, ""),
    "moe-token-dispatcher-type": (SPREAD, "flex"),
    "moe-flex-dispatcher-backend": (MOE | {"moe-token-dispatcher-type": "flex"}, "hybridep"),
    "overlap-moe-expert-parallel-comm": (SPREAD | {"num-virtual-stages-per-pipeline-rank": "2"}, ""),
    "cuda-graph-impl": (SMALL, "full_iteration"),
    "cuda-graph-scope": (MOE | SMALL | {"cuda-graph-impl": "local"}, "full_iteration"),
    "moe-router-num-groups": (WIDE | {"moe-token-dispatcher-type": "flex", "moe-router-group-topk": "1"}, "4"),
    "moe-router-group-topk": (WIDE | {"moe-token-dispatcher-type": "flex", "moe-router-num-groups": "4"}, "1"),
    "moe-expert-capacity-factor": (SPREAD | {"moe-pad-expert-input-to-capacity": ""}, "2.0"),
    "moe-pad-expert-input-to-capacity": (SPREAD | {"moe-expert-capacity-factor": "2.0"}, ""),
    "cp-comm-type": ({"context-parallel-size": "2"}, "a2a"),
    "flash-attention-version": ({}, "2"),
    "grad-reduce-in-bf16": ({}, ""),
    "accumulate-allreduce-grads-in-fp32": ({"bf16": None, "fp16": ""}, ""),
    "microbatch-group-size-per-virtual-pipeline-stage": ({"num-virtual-stages-per-pipeline-rank": "2"}, "3"),
    "hierarchical-context-parallel-sizes": ({"context-parallel-size": "2"}, "3"),
    "moe-router-pre-softmax": (MOE | {"moe-router-topk": "1"}, ""),
    "moe-router-score-function": (MOE | {"moe-router-topk": "1"}, "sigmoid"),
    "ckpt-format": ({"use-megatron-fsdp": "", "pipeline-model-parallel-size": "1"}, "fsdp_dtensor"),
    "use-precision-aware-optimizer": ({"optimizer-cpu-offload": "", "use-distributed-optimizer": ""}, ""),
    "save": ({}, "x"),
    "moe-router-enable-expert-bias": (MOE, ""),
    "no-position-embedding": ({"position-embedding-type": "none"}, ""),
}
"""For every modelled option, and some that may become so: what stands beside it, and the value that it gets; None
takes it away."""

MEGATRON, DEEPSPEED = table("megatron"), table("megatron-deepspeed")


def numbers(reading: Reading) -> tuple[float, float, tuple[str, ...], tuple[str, ...]]:
    """Seconds, bytes, the checks that fail, and what is named."""
    broken = tuple(sorted(p.rule for p in reading.problems))
    setup, _ = setup_of(reading, cluster("4x8xB200"), framework("megatron-core"))
    found = rank(setup.job, Candidate(setup.plan, 0.0, 0.0))
    named = tuple(one.option for one in reading.not_modelled)
    return found.step_time, found.need, broken, named


@pytest.mark.parametrize("option", [o for g in MEGATRON.groups if g.kind == "modelled" for o in g.options])
def test_modelled_moves_the_estimate(option: str) -> None:
    """Or breaks or mends a check."""
    assert option in TOGGLES, f"say in TOGGLES what toggles --{option}"
    beside, value = TOGGLES[option]
    name = option.replace("-", "_")
    named = {n.replace("-", "_"): v for n, v in beside.items()}
    before = flags(**named)
    after = flags(**named | {name: value})
    assert numbers(read(before)) != numbers(read(after))


def not_modelled(groups: tuple[Group, ...]) -> list[tuple[str, Group]]:
    return [(option, group) for group in groups if group.kind == "not_modelled" for option in group.options]


@pytest.mark.parametrize(("option", "group"), not_modelled(MEGATRON.groups), ids=str)
def test_not_modelled_is_named(option: str, group: Group) -> None:
    """With what it touches; not at its default."""
    takes = known_options("megatron")[f"--{option}"] != "0"
    found = read(f"{flags()} --{option} {'7' if takes else ''}").not_modelled
    (one,) = [one for one in found if key(one.option) == key(option)]
    assert (one.touches, one.why) == (group.touches, group.why)
    for default in group.options[option]:
        quiet = read(f"{flags()} --{option} {default.replace(',', ' ')}").not_modelled
        assert option not in [one.option for one in quiet]


@pytest.mark.parametrize("option", [o for g in MEGATRON.groups if g.kind == "without_effect" for o in g.options])
def test_without_effect_is_not_named(option: str) -> None:
    """No word, no change."""
    takes = known_options("megatron")[f"--{option}"]
    text = f"{flags()} --{option} {'7 7 7' if takes == '3' else '7' if takes != '0' else ''}"
    found = read(text)
    assert not found.not_modelled
    assert numbers(found) == BASE


BASE = numbers(read(flags()))


def test_every_option_of_the_parsers_has_a_row() -> None:
    """The lists of planner/launch/options are the parsers' own (tests/frameworks)."""
    for one in (MEGATRON, DEEPSPEED):
        parser = {name[2:] for name in known_options(one.name)}
        assert not {name for name in parser if one.group(name) is None}
        assert not {name for group in one.groups for name in group.options} - parser


@pytest.mark.parametrize(("option", "group"), not_modelled(DEEPSPEED.groups), ids=str)
def test_megatron_deepspeed_names_its_own(option: str, group: Group) -> None:
    """Beside those of Megatron-LM."""
    known = known_options("megatron-deepspeed")
    words = read_arguments(f"{flags(deepspeed='')} --{option} {'7' if known[f'--{option}'] != '0' else ''}").words
    found = read_megatron_deepspeed(read_options(words, known), None, 32, None).not_modelled
    assert (group.touches, group.why) in [(one.touches, one.why) for one in found if key(one.option) == key(option)]


def test_unknown_to_all() -> None:
    """Named beside the check that it fails; a fork's own stays named."""
    found = read(f"{flags()} --my-own-switch").of_fork()
    assert not found.problems
    assert [(one.option, one.why) for one in found.not_modelled] == [("--my-own-switch", UNKNOWN)]


def test_a_mask_of_a_long_sequence_is_named() -> None:
    """Megatron-LM's data loader makes one of s x s bytes: 1 GiB at 32,768 tokens."""
    long = {"seq_length": "32768", "max_position_embeddings": "32768"}
    (one,) = read(flags(**long)).not_modelled
    assert one.option == "--seq-length" and "1.00 GiB" in one.why
    assert not read(flags(**long, no_create_attention_mask_in_dataloader="")).not_modelled
    assert not read(flags(seq_length="16384", max_position_embeddings="16384")).not_modelled
