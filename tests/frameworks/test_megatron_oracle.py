"""Megatron's own checks accept what is good and refuse what is bad, and count what Megatron builds."""

from __future__ import annotations

from shlex import split as words

import pytest

from tests.frameworks import megatron as theirs
from tests.frameworks.megatron import Layout, MegatronValidator, Refused, Shape

LLAMA_8B = Shape(layers=32, hidden=4096, heads=32, kv_heads=8, ffn=14336, vocab=128256)
LLAMA_70B = Shape(layers=80, hidden=8192, heads=64, kv_heads=8, ffn=28672, vocab=128256)
GPT_2 = Shape(
    layers=12,
    hidden=768,
    heads=12,
    ffn=3072,
    vocab=50257,
    gated=False,
    bias=True,
    norm="LayerNorm",
    tied=True,
    positions=1024,
    position_embedding="learned_absolute",
    divisible_by=1,
)
QWEN_HALF = Shape(layers=24, hidden=896, heads=14, kv_heads=2, ffn=4864, vocab=151936, qkv_bias=True, tied=True)
MIXTRAL = Shape(layers=32, hidden=4096, heads=32, kv_heads=8, ffn=14336, vocab=32000, experts=8, expert_ffn=14336)
QWEN_3 = Shape(layers=36, hidden=4096, heads=32, kv_heads=8, head_dim=128, ffn=12288, vocab=151936, qk_norm=True)
QWEN_3_MOE = Shape(
    layers=48,
    hidden=2048,
    heads=32,
    kv_heads=4,
    head_dim=128,
    ffn=6144,
    vocab=151936,
    qk_norm=True,
    experts=128,
    top_k=8,
    expert_ffn=768,
)

SHAPE = words(
    """
--num-layers 32 --hidden-size 4096 --ffn-hidden-size 14336 --num-attention-heads 32 --group-query-attention
--num-query-groups 8 --seq-length 8192 --max-position-embeddings 8192 --swiglu --normalization RMSNorm
--position-embedding-type rope --untie-embeddings-and-output-weights --disable-bias-linear --vocab-size 128256
--attention-dropout 0 --hidden-dropout 0 --micro-batch-size 1 --global-batch-size 64 --bf16 --lr 1e-4 --train-iters 10
"""
)
SPLIT = words(
    """
--tensor-model-parallel-size 8 --sequence-parallel --pipeline-model-parallel-size 4
--num-virtual-stages-per-pipeline-rank 2 --use-distributed-optimizer
"""
)
EXPERTS = words("--num-experts 8 --moe-router-topk 2 --moe-grouped-gemm --expert-model-parallel-size 4")
ONE = {"CUDA_DEVICE_MAX_CONNECTIONS": "1"}


def test_a_good_set_of_flags(megatron: MegatronValidator) -> None:
    """Every parsed value comes back, derived ones included."""
    verdict = megatron.check([*SHAPE, *SPLIT], 64, ONE)
    assert verdict.ok, verdict.error
    expected = {
        "tensor_model_parallel_size": 8,
        "virtual_pipeline_model_parallel_size": 2,
        "data_parallel_size": 2,
        "num_microbatches": 32,
        "padded_vocab_size": 129024,
        "kv_channels": 128,
        "sequence_parallel": True,
        "use_distributed_optimizer": True,
    }
    assert {name: verdict.args[name] for name in expected} == expected
    assert verdict.config["num_query_groups"] == 8


@pytest.mark.parametrize(
    ("added", "world", "stage", "said"),
    [
        (["--no-such-flag"], 64, "parse", "unrecognized arguments: --no-such-flag"),
        (["--fp8-format", "e3m4"], 64, "parse", "invalid choice"),
        ([], 48, "validate", "not divisible by total_model_size"),
        (["--context-parallel-size", "2", "--seq-length", "8190"], 64, "validate", "seq"),
        (["--num-query-groups", "3"], 64, "config", "num_query_groups (3)"),
        (["--num-attention-heads", "4"], 64, "config", "num_attention_heads (4)"),
        (["--recompute-granularity", "full"], 64, "config", "recompute_method"),
        (["--decoder-first-pipeline-num-layers", "7"], 64, "config", "divisible"),
        (["--optimizer-cpu-offload"], 64, "validate", "precision-aware"),
    ],
)
def test_a_bad_set_of_flags(megatron: MegatronValidator, added: list[str], world: int, stage: str, said: str) -> None:
    """Refused where Megatron refuses it."""
    verdict = megatron.check([*SHAPE, *SPLIT, *added], world, ONE)
    assert verdict.refused(said, stage), verdict


def test_a_batch_that_does_not_divide(megatron: MegatronValidator) -> None:
    """By the check of the evaluation batch, or by the calculator of micro-batches."""
    verdict = megatron.check([*SHAPE, *SPLIT, "--global-batch-size", "63"], 64, ONE)
    assert verdict.refused("(63)")


def test_the_environment_counts(megatron: MegatronValidator) -> None:
    """Hopper wants one connection, Blackwell does not ask; no environment lasts longer than its question."""
    assert megatron.check([*SHAPE, *SPLIT], 64, ONE).ok
    assert megatron.check([*SHAPE, *SPLIT], 64).refused("CUDA_DEVICE_MAX_CONNECTIONS", "validate")
    assert megatron.check([*SHAPE, *SPLIT], 64, arch=10).ok


def test_one_set_leaves_nothing_to_the_next(megatron: MegatronValidator) -> None:
    """Hundreds of sets go through one process."""
    before = megatron.check([*SHAPE, *SPLIT], 64, ONE)
    for added in (["--no-such-flag"], EXPERTS, ["--deterministic-mode"], ["--use-megatron-fsdp"], ["--fp16"]):
        megatron.check([*SHAPE, *SPLIT, *added], 64, ONE)
    assert megatron.check([*SHAPE, *SPLIT], 64, ONE) == before


def test_what_flags_build(megatron: MegatronValidator) -> None:
    """The same counts from flags as from numbers, at both ends of the pipeline and in between."""
    layout = Layout(world=64, tp=8, pp=4, vp=2)
    for rank in (0, 17, 63):
        assert megatron.rank_parameters([*SHAPE, *SPLIT], 64, rank, ONE) == theirs.rank_parameters(
            LLAMA_8B, layout, rank
        )
    assert megatron.layers_per_stage([*SHAPE, *SPLIT], 64, ONE) == [[4, 4]] * 4


def test_what_flags_with_experts_build(megatron: MegatronValidator) -> None:
    """Mixtral's experts over four ranks; experts keep the attention's tensor parallelism unless told otherwise."""
    flags = [*SHAPE, *EXPERTS, "--moe-ffn-hidden-size", "14336", "--vocab-size", "32000"]
    layout = Layout(world=16, ep=4, etp=1)
    assert megatron.rank_parameters(flags, 16, 0) == theirs.rank_parameters(MIXTRAL, layout, 0)
    whole = ["--tensor-model-parallel-size", "2", "--sequence-parallel", *flags]
    assert megatron.check(whole, 16, ONE).args["expert_tensor_parallel_size"] == 2
    with pytest.raises(Refused, match="initialize"):
        megatron.rank_parameters(whole, 4, 0, ONE)


def test_stages_that_only_building_refuses(megatron: MegatronValidator) -> None:
    """Eight layers per rank in three chunks: accepted by every check of arguments."""
    flags = [*SHAPE, *SPLIT, "--num-virtual-stages-per-pipeline-rank", "3"]
    assert megatron.check(flags, 64, ONE).ok
    with pytest.raises(Refused, match="divisible by vp_size"):
        megatron.layers_per_stage(flags, 64, ONE)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (LLAMA_8B, 8030261248),
        (GPT_2, 124439808),
        (QWEN_HALF, 494032768),
        (MIXTRAL, 46702792704),
        (QWEN_3, 8190735360),
        (QWEN_3_MOE, 30532122624),
    ],
)
def test_whole_models(shape: Shape, expected: int) -> None:
    """As their model cards count them."""
    assert theirs.rank_parameters(shape, Layout(world=1), 0) == [expected]


@pytest.mark.parametrize(
    ("shape", "layout", "ends"),
    [
        (LLAMA_8B, Layout(world=64, tp=8, pp=4, vp=2), ([175144960, 109084672], [109084672, 175149056])),
        (
            LLAMA_70B,
            Layout(world=256, tp=8, pp=4, vp=5),
            ([560005120] + [427884544] * 4, [427884544] * 4 + [560013312]),
        ),
    ],
)
def test_a_share_of_a_model(shape: Shape, layout: Layout, ends: tuple[list[int], list[int]]) -> None:
    """First and last rank of two interleaved layouts."""
    assert tuple(theirs.rank_parameters(shape, layout, rank) for rank in (0, layout.world - 1)) == ends


def test_tied_embeddings_are_held_at_both_ends() -> None:
    """Once where there is one stage, twice where there are more."""
    table = 151936 * 896
    held = [theirs.rank_parameters(QWEN_HALF, Layout(world=2, pp=2), rank) for rank in (0, 1)]
    assert sum(held[0] + held[1]) == 494032768 + table


@pytest.mark.parametrize(
    ("layout", "layers"),
    [
        (Layout(world=4, pp=4), [[8]] * 4),
        (Layout(world=4, pp=4, first=7, last=7), [[7], [9], [9], [7]]),
        (Layout(world=4, pp=2, vp=2, first=14, last=18), [[7, 7], [9, 9]]),
        (Layout(world=4, pp=4, stages="Et*7|t*9|t*9|t*7,L"), [[7], [9], [9], [7]]),
        (Layout(world=4, pp=2, vp=2, stages="Et*7|t*9|t*9|t*7,L"), [[7, 9], [9, 7]]),
    ],
)
def test_layers(layout: Layout, layers: list[list[int]]) -> None:
    """Even, with uneven ends, and written out."""
    assert theirs.layers_per_stage(LLAMA_8B, layout) == layers


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        (Layout(world=3, tp=3), "multiple of tensor_model_parallel_size"),
        (Layout(world=5, pp=5), "divisible"),
        (Layout(world=4, pp=4, vp=3), "divisible by vp_size 3"),
        (Layout(world=4, tp=2, pp=4), "initialize: world_size"),
    ],
)
def test_a_layout_that_does_not_fit(layout: Layout, said: str) -> None:
    """Refused by the configuration, by the groups or by the model."""
    with pytest.raises(Refused, match=said):
        theirs.rank_parameters(LLAMA_8B, layout, 0)


def test_who_shares_a_group() -> None:
    """Sixteen ranks; pipeline stages far apart, or near."""
    layout = Layout(world=16, tp=2, cp=2, pp=2)
    assert theirs.rank_groups(layout, "cp")[0] == [0, 2]
    assert theirs.rank_groups(layout, "dp")[:2] == [[0, 4], [1, 5]]
    assert theirs.rank_groups(layout, "pp")[:2] == [[0, 8], [1, 9]]
    assert theirs.rank_groups(Layout(world=16, tp=2, cp=2, pp=2, pp_before_dp=True), "pp")[:2] == [[0, 4], [1, 5]]
    assert theirs.rank_groups(Layout(world=16, tp=2, ep=4, etp=1), "ep", expert=True)[0] == [0, 1, 2, 3]
