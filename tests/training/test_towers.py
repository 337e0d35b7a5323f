"""Vision towers in training: what the first stage has more than the decoder alone, and what is not trained of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from planner.blocks import operators
from planner.blocks.attention import both_ways
from planner.blocks.counts import parameters, tower_flops
from planner.blocks.operator import Core, Images, Product, Share
from planner.blocks.record import Encoder, Seeing
from planner.cost.operators import core_time
from planner.errors import PlannerError
from planner.plan import INTEGERS, Plan
from planner.schedules.front import in_front
from planner.training.adapters import all_adapters
from planner.training.estimate import Ranks, estimate
from planner.training.job import Job
from planner.training.layer import images, pieces, share_of
from planner.training.layouts import solved
from planner.training.memory import HeldRow, held_kinds, held_rows
from planner.training.moments import stored
from planner.training.throughput import throughput
from planner.training.wire import sent_bytes
from tests.jobs import job, model

PLAN = Plan(tp=2, pp=4, dp=1, b=1, m=8, zero=1).floats()
SEEN = {"images": 2, "image_size": 448}


def seeing(of: str = "qwen2.5-vl-7b", preset: str = "megatron-core", **workload: Any) -> Job:
    """A job whose model has a tower."""
    return job(of, "8xH100", preset, seq=4096, batch=8, **workload)


def of_tower(of: Job, values: tuple[Any, ...]) -> list[tuple[int, Any]]:
    """Values of the tower's kinds, with how many the first stage has."""
    found = of.structure
    return list(zip(found.tower, values[found.ends :], strict=True))


def test_the_first_stage_has_it_and_no_other() -> None:
    """In front of the embedding: 28 windowed layers, 4 that see all, patches and projector."""
    of = seeing(**SEEN)
    assert of.structure.tower == (28, 4, 1, 1)
    first, *others = (row.counts[of.structure.ends :] for row in rows_of(of))
    assert first == (28.0, 4.0, 1.0, 1.0)
    assert all(set(one) == {0.0} for one in others)


def rows_of(of: Job) -> Any:
    """The pipeline's rows."""
    from planner.stages import rows

    return rows(of.structure, PLAN)


def test_the_first_stage_grows_by_the_towers_own_numbers() -> None:
    """Parameters, kept bytes and both passes; the other stages stay as they are to the last bit."""
    of, alone = seeing(**SEEN), seeing(tower="absent")
    held, bare = held_rows(of, PLAN), held_rows(alone, PLAN)
    kinds = of_tower(of, held_kinds(of, PLAN))
    assert held[0].held.dense == bare[0].held.dense + sum(count * one.dense for count, one in kinds)
    assert held[0].held.kept.whole == pytest.approx(
        bare[0].held.kept.whole + sum(count * one.kept.whole for count, one in kinds), rel=1e-15
    )
    assert held[1:] == bare[1:]
    priced, plain = Ranks(of, PLAN).priced, Ranks(alone, PLAN).priced
    more = of_tower(of, pieces(of, PLAN))
    for name in ("forward", "backward"):
        added = sum(count * getattr(one, name).total for count, one in more)
        assert getattr(priced[0], name).total == pytest.approx(getattr(plain[0], name).total + added, rel=1e-14)
    assert priced[1:] == plain[1:]


def test_without_an_image_it_takes_memory_and_no_time() -> None:
    """Weights, gradients and states of its parameters over tp: 18 bytes each in bf16 with fp32 gradients."""
    of, alone = seeing(), seeing(tower="absent")
    plan = replace(PLAN, pp=1.0, dp=4.0, m=2.0, zero=0.0)
    now, bare = estimate(of, plan), estimate(alone, plan)
    assert now.time.total - now.time.optimizer - now.time.dp_comm_exposed == pytest.approx(
        bare.time.total - bare.time.optimizer - bare.time.dp_comm_exposed, rel=1e-12
    )
    assert now.time.forward == bare.time.forward
    own = sum(count * one.dense for count, one in of_tower(of, held_kinds(of, plan)))
    states = now.memory.weights + now.memory.gradients + now.memory.optimizer
    before = bare.memory.weights + bare.memory.gradients + bare.memory.optimizer
    assert states - before == pytest.approx(18.0 * own, rel=1e-9)
    assert now.memory.activations == bare.memory.activations


@pytest.mark.parametrize(("preset", "ranks"), [("megatron-core", 2.0), ("torchtitan", 1.0)])
def test_over_tp(preset: str, ranks: float) -> None:
    """Megatron-Core splits its layers, others copy them; patches lie on every rank."""
    of = seeing(preset=preset, **SEEN)
    assert images(of).ranks(2.0) == ranks
    share = share_of(of, PLAN)
    kind = next(kind for kind in of.structure.kinds if isinstance(kind, Encoder))
    whole = sum(op.weights for op in operators(kind, Share(1.0, 1.0)))
    norms = 2 * 1280 + 1280 + 1280  # two norms, biases of both row-parallel products
    assert sum(op.weights for op in operators(kind, share)) == (whole - norms) / ranks + norms


def test_heads_that_tp_does_not_divide_are_copied() -> None:
    """12 heads of GLM-4.5V on 8 ranks; 4 ranks have 3 each."""
    seen = Images(1.0, 576.0, 12)
    assert (seen.ranks(8.0), seen.ranks(4.0)) == (1.0, 4.0)


def test_every_rank_of_cp_sees_all_images() -> None:
    """What a rank of cp does for the tower is what one without it does."""
    of, split = seeing(**SEEN), replace(PLAN, cp=2.0)
    one = [piece.forward.total for _, piece in of_tower(of, pieces(of, PLAN))]
    assert [piece.forward.total for _, piece in of_tower(of, pieces(of, split))] == one


class TestFrozen:
    """What is not trained has weights and a forward pass."""

    def test_weights_alone(self) -> None:
        """2 bytes a parameter, no gradient, state or activation."""
        of, alone = seeing(tower="frozen", **SEEN), seeing(tower="absent")
        own = sum(
            count * sum(op.weights for op in operators(kind, share_of(of, PLAN)))
            for count, kind in of_tower(of, of.structure.kinds)
        )
        plan = replace(PLAN, pp=1.0, dp=4.0, m=2.0, zero=0.0)
        now, bare = estimate(of, plan).memory, estimate(alone, plan).memory
        assert now.weights - bare.weights == pytest.approx(2.0 * own, rel=1e-9)
        assert (now.gradients, now.optimizer, now.activations) == (bare.gradients, bare.optimizer, bare.activations)

    def test_one_pass(self) -> None:
        """As long as the trained one's forward pass."""
        frozen, trained = (of_tower(one, pieces(one, PLAN)) for one in (seeing(tower="frozen", **SEEN), seeing(**SEEN)))
        for (_, still), (_, moving) in zip(frozen, trained, strict=True):
            assert still.forward == moving.forward
            assert still.backward.total == 0.0 < moving.backward.total

    def test_a_projector_that_is_trained_alone(self) -> None:
        """44.6 M of its 676.6 M parameters have 16 bytes more than their weight."""
        plan = replace(PLAN, tp=1.0, pp=1.0, dp=8.0, m=1.0, zero=0.0)
        some, none = (estimate(seeing(tower=part, **SEEN), plan).memory for part in ("projector", "frozen"))
        own = 5120 * 5120 + 5120 + 5120 * 3584 + 3584 + 1280
        assert some.optimizer - none.optimizer == pytest.approx(12.0 * own, rel=1e-9)
        assert some.gradients - none.gradients == pytest.approx(4.0 * own, rel=1e-9)

    def test_less_is_sent(self) -> None:
        """Over tp forward alone, over dp nothing: no gradient is reduced."""
        plan = replace(PLAN, pp=1.0, dp=4.0, m=2.0)
        frozen, trained = (sent_bytes(seeing(tower=part, **SEEN), plan) for part in ("frozen", "trained"))
        assert frozen["tp"] < trained["tp"]
        bare = sent_bytes(seeing(tower="absent"), plan)
        assert frozen["dp"] == bare["dp"] < trained["dp"]


def test_adapters_of_a_tower() -> None:
    """Rank times inputs and outputs of every linear layer: q, k, v, output, gate, up, down of 32 layers; two products.

    None where the tower is frozen; the decoder's own are those of Qwen2.5 7B.
    """
    frozen, trained = (seeing(method="lora", tower=part) for part in ("frozen", "trained"))
    layer = 3 * 1280 + 3840 + 2 * 1280 + 2 * 1280 + 2 * 3420 + 3420 + 1280
    projector = 2 * 5120 + 5120 + 3584
    assert all_adapters(trained) - all_adapters(frozen) == 16 * (32 * layer + projector)
    assert all_adapters(frozen) == all_adapters(job("qwen2.5-7b", "8xH100", seq=4096, batch=8, method="lora"))


class TestCore:
    """Attention that sees both ways."""

    def test_counts_whole_where_a_causal_one_counts_half(self) -> None:
        """Twice the time of a causal core of the same square, but for the launch."""
        of = seeing(**SEEN)
        acc = of.cluster.accelerator
        both = Core(1.0, 16.0, 1024.0, 1024.0, 2048.0, 80, 80, 16.0, 2048.0)
        causal = replace(both, side=1024.0, computed=1024.0)
        launch = acc.efficiency.kernel
        once, twice = (core_time(acc, "bf16", one, "forward", "flash") - launch for one in (causal, both))
        assert twice == pytest.approx(2.0 * once, rel=1e-12)

    def test_pairs(self) -> None:
        """s*s of all, s*w in windows: half of a square of side 2*s, 2*w."""
        for window, seq, keys in ((None, 1024.0, 1024.0), (64, 1024.0, 64.0), (64, 16.0, 16.0)):
            found, side, tiled = both_ways(window, seq)
            assert found == keys
            assert seq * side / 2 == seq * keys
            assert tiled >= side
        assert both_ways(64, 1024.0)[2] == 256.0


def test_flops_of_a_tower() -> None:
    """By hand: 6 for every weight of a product and patch (4 of what embeds them), 3 passes of whole or windowed cores.

    Qwen2.5-VL, one image of 448 pixels: 32*32 patches, 256 tokens of the decoder.
    """
    of, patches = seeing(images=1, image_size=448), 1024
    layer = 1280 * 3840 + 1280 * 1280 + 3 * 1280 * 3420
    cores = 3 * 4 * 1280 * patches * (28 * 64 + 4 * patches)
    products = 6 * 32 * layer * patches + 4 * 1176 * 1280 * patches
    projector = 6 * 256 * (5120 * 5120 + 5120 * 3584)
    share = Share(1.0, 4096.0, images=images(of))
    assert tower_flops(of.structure, share) == products + cores + projector
    one, other = throughput(of, 1.0)[1], throughput(seeing(tower="absent"), 1.0)[1]
    most = 989e12 * 8
    assert (one - other) * most == pytest.approx(8 * (products + cores + projector), rel=0.01)


def test_parameters_of_the_whole() -> None:
    """676,550,144 of 8,292,166,656 (safetensors metadata of Qwen/Qwen2.5-VL-7B-Instruct, less Qwen2.5 7B)."""
    assert parameters(model("qwen2.5-vl-7b")).tower == 676_550_144
    assert parameters(model("qwen2.5-vl-7b")).total == 8_292_166_656


def test_tokens_and_patches() -> None:
    """Gemma 3 brings images to 896 pixels: 256 tokens (arXiv:2503.19786, 2.1); InternVL and Qwen2.5-VL merge four."""
    gemma, qwen = model("gemma3-4b").tower, model("qwen2.5-vl-7b").tower
    assert gemma is not None and qwen is not None
    assert {gemma.tokens(size) for size in (200, 896, 4000)} == {256}
    assert (qwen.patches(448), qwen.tokens(448), qwen.tokens(10)) == (1024, 256, 1)


@pytest.mark.parametrize(
    ("of", "workload", "words"),
    [
        ("llama3.1-8b", {"images": 1}, "llama3.1-8b has no vision tower"),
        ("qwen2.5-vl-7b", {"images": 1, "tower": "absent"}, "no vision tower"),
        ("qwen2.5-vl-7b", {"images": 20, "image_size": 448}, "5,120 tokens of the 4,096"),
    ],
)
def test_images_that_nothing_sees_are_refused(of: str, workload: dict[str, Any], words: str) -> None:
    """By name and number."""
    with pytest.raises(PlannerError, match=words):
        seeing(of, **workload)


def test_recomputation_runs_its_layers_again() -> None:
    """The same share of them as of the decoder's layers; patches and projector stay, and nothing of a frozen one."""
    again = replace(PLAN, pp=1.0, m=8.0, recompute_layers=28.0)
    of, alone = seeing(**SEEN), seeing(tower="absent")
    layers = [
        (count, piece)
        for (count, piece), kind in zip(
            of_tower(of, pieces(of, again)), of.structure.kinds[of.structure.ends :], strict=True
        )
        if isinstance(kind, Encoder)
    ]
    more = estimate(of, again).time.recompute - estimate(alone, again).time.recompute
    assert more == pytest.approx(8.0 * sum(count * piece.forward.compute for count, piece in layers), rel=1e-9)
    still = estimate(seeing(tower="frozen", **SEEN), again).time.recompute
    assert still == pytest.approx(estimate(alone, again).time.recompute, rel=1e-12)


def test_a_first_chunk_has_more_in_flight() -> None:
    """Interleaved, 4 ranks of 2 chunks: the tower's activations are there 8 times, those of the rank's layers 5.5."""
    plan = Plan(tp=2, pp=4, v=2, b=1, m=16, zero=1, schedule="interleaved").floats()
    of, alone = seeing(**SEEN), seeing(tower="absent")
    own = sum(count * one.kept.whole for count, one in of_tower(of, held_kinds(of, plan)))
    before, now = (_stored(held_rows(one, plan)[0]) for one in (alone, of))
    assert now - before == pytest.approx(8.0 * own, rel=1e-9)
    columns = {name: np.array([getattr(plan, name)] * 2) for name in INTEGERS}
    both = replace(plan, **columns | {"v": np.array([2.0, 4.0])})
    assert np.ravel(_stored(held_rows(of, both)[0]))[0] == now


def _stored(row: HeldRow) -> Any:
    return stored(row, 0.0, (row.flight, row.waiting))


@pytest.mark.parametrize(
    ("name", "v", "most"), [("interleaved", 2, 8), ("interleaved", 4, 8), ("breadth-first", 2, 16), ("v-half", 2, 5)]
)
def test_micro_batches_in_a_first_chunk(name: str, v: int, most: int) -> None:
    """4 ranks, 16 micro-batches, counted in the schedules' drawings; and as many in arrays."""
    assert in_front(name, 4.0, 16.0, float(v)) == most
    ones = np.ones(3)
    assert in_front(name, 4.0 * ones, 16.0 * ones, v * ones).tolist() == [most] * 3


def test_a_split_by_time_spares_the_first_stage() -> None:
    """28 layers on 4 ranks are 7 each; beside a tower that sees 8 images there are fewer on the first."""
    plan = Plan(tp=2, pp=4, dp=1, b=1, m=8, zero=1)
    even = solved(seeing(tower="absent"), plan)
    busy = solved(seeing(images=8, image_size=448), plan)
    assert busy.layout is not None
    first, *others = (stage.count("t") for stage in busy.layout)
    assert first < 6 <= min(others)
    assert even.layout is None or even.layout[0].count("t") >= 6


def test_leaves_have_no_input_gradient() -> None:
    """What embeds patches is the first product: its backward pass is for its weights."""
    of = seeing(**SEEN)
    found = [
        op for kind in of.structure.kinds if isinstance(kind, Seeing) for op in operators(kind, share_of(of, PLAN))
    ]
    assert [op.name for op in found if isinstance(op.work, Product) and op.work.leaf] == ["patch product"]
