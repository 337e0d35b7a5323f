"""Closed forms of pipeline schedules against a replay, operation by operation."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.schedules import SCHEDULES, Work, even
from planner.schedules import uneven as stages_of
from planner.stages import split_layers
from tests.schedules.replay import replay

EXACT = 1e-12
"""Relative; what is left is the order of additions."""

RANKS = range(1, 9)


def times(seed: object) -> tuple[float, float]:
    """A random t_f and t_b."""
    draw = random.Random(str(seed))
    return draw.uniform(0.5, 2.0), draw.uniform(0.5, 4.0)


def batches(name: str, p: int) -> list[int]:
    """Micro-batches that a schedule admits on p ranks."""
    return {"naive": [1], "interleaved": [p, 2 * p, 5 * p]}.get(name, [1, 2, p, p + 1, 3 * p, 17])


SYNCHRONOUS = ("naive", "gpipe", "1f1b", "interleaved")
CASES = [(n, p, v) for n in SYNCHRONOUS for p in RANKS for v in ((2, 3, 4) if n == "interleaved" else (1,))]


@pytest.mark.parametrize(("name", "p", "v"), [c for c in CASES if c[0] != "interleaved" or c[1] > 1])
class TestEvenStages:
    """All schedules, equal stages."""

    def test_time(self, name: str, p: int, v: int) -> None:
        """Exact."""
        f, b = times((name, p, v))
        for m in batches(name, p):
            got = SCHEDULES[name].pipeline_time(even(float(p), f, b), float(m), float(v))
            assert got == pytest.approx(replay(name, [f] * p, [b] * p, m, v)[0], rel=EXACT)

    def test_in_flight(self, name: str, p: int, v: int) -> None:
        """Every rank's peak."""
        for m in batches(name, p):
            held = replay(name, [1.0] * p, [2.0] * p, m, v)[1]
            got = [SCHEDULES[name].in_flight(float(p), float(m), float(v), float(rank)) for rank in range(p)]
            assert got == pytest.approx(held, rel=EXACT)


def uneven(name: str, first: Work, middle: Work, last: Work, p: int, m: int, short: int = 0) -> tuple[float, float]:
    """Closed form and replay of p ranks with their own ends; the `short` ones lack a fifth of the interior's work."""
    less = Work(middle.forward / 5, middle.backward / 5)
    ranks = [first] + [Work(middle.forward - less.forward, middle.backward - less.backward)] * short
    ranks += [middle] * (p - 2 - short) + [last]
    closed = SCHEDULES[name].pipeline_time(stages_of(ranks), float(m), 1.0)
    return closed, replay(name, [w.forward for w in ranks], [w.backward for w in ranks], m)[0]


@pytest.mark.parametrize("p", range(2, 9))
class TestUnevenStages:
    """Ends and interior differ, as embedding and head make them."""

    def test_gpipe(self, p: int) -> None:
        """Exact for any ends, any m, short interior ranks included."""
        for m in (1, p, 2 * p + 1):
            first, middle, last = (Work(*times((p, m, i))) for i in range(3))
            for short in {0, max(0, p - 3)}:
                closed, played = uneven("gpipe", first, middle, last, p, m, short)
                assert closed == pytest.approx(played, rel=EXACT)

    @pytest.mark.parametrize("heavy", [(1.3, 1.0), (1.0, 1.3), (1.2, 1.5), (1.5, 1.2), (2.0, 2.0)])
    def test_1f1b_with_heavy_ends(self, p: int, heavy: tuple[float, float]) -> None:
        """Exact for one heavy end and for both, m >= p."""
        f, b = times((p, heavy))
        first, last = (Work(f * x, b * x) for x in heavy)
        for m in (p, p + 3, 4 * p):
            closed, played = uneven("1f1b", first, Work(f, b), last, p, m)
            assert closed == pytest.approx(played, rel=EXACT)

    def test_1f1b_with_short_ranks(self, p: int) -> None:
        """Layers that pp does not divide leave light ends and light ranks behind the first: within 1 %."""
        f, b = times(p)
        light = Work(0.8 * f, 0.8 * b)
        for short in range(max(0, p - 2)):
            closed, played = uneven("1f1b", light, Work(f, b), light, p, 3 * p, short)
            assert closed == pytest.approx(played, rel=0.01)

    def test_1f1b_with_fewer_micro_batches_than_ranks(self, p: int) -> None:
        """m < p: within 5 % for heavy ends."""
        f, b = times(p)
        for m in range(1, p):
            closed, played = uneven("1f1b", Work(1.2 * f, 1.2 * b), Work(f, b), Work(1.4 * f, 1.4 * b), p, m)
            assert closed == pytest.approx(played, rel=0.05)


@pytest.mark.parametrize("p", range(2, 13))
def test_1f1b_with_layers_that_ranks_do_not_divide(p: int) -> None:
    """Real splits with embedding and head on the ends, m >= p: never above the replay, at most 3 % below."""
    draw = random.Random(p)
    for layers in range(p, 6 * p):
        f, b = times((p, layers))
        split = split_layers(layers, float(p))
        counts = [split.first, *[split.middle - 1] * int(split.short)]
        counts += [split.middle] * (p - 1 - len(counts)) + [split.last]
        assert sum(counts) == layers
        forward, backward = [n * f for n in counts], [n * b for n in counts]
        forward[0], backward[-1] = forward[0] + draw.uniform(0, f), backward[-1] + draw.uniform(0, 2 * b)
        stages = stages_of(list(map(Work, forward, backward)))
        m = draw.choice([p, 2 * p, 5 * p])
        ratio = SCHEDULES["1f1b"].pipeline_time(stages, float(m), 1.0) / replay("1f1b", forward, backward, m)[0]
        assert 0.97 < ratio < 1 + 1e-9, (layers, m)


@pytest.mark.parametrize("p", range(2, 10))
def test_asynchronous_sends_in_1f1b(p: int) -> None:
    """+ 2*c*floor((p-1)(m+p-1)/p), exact for all m and c, however long the hop."""
    for m in range(1, 25):
        f, b = times((p, m))
        for hop in (0.01, 0.3, 2.5):
            extra = SCHEDULES["1f1b"].exposed_p2p(float(p), float(m), 1.0, hop, False, 0.0)
            bare, played = (replay("1f1b", [f] * p, [b] * p, m, hop=c)[0] for c in (0.0, hop))
            assert bare + extra == pytest.approx(played, rel=1e-9)


@pytest.mark.parametrize("p", range(1, 9))
def test_asynchronous_sends_in_gpipe(p: int) -> None:
    """Fill and drain only, any m and c."""
    for m in (1, 2, p, 3 * p):
        for hop in (0.1, 3.0):
            extra = SCHEDULES["gpipe"].exposed_p2p(float(p), float(m), 1.0, hop, False, 0.0)
            bare, played = (replay("gpipe", [1.0] * p, [2.0] * p, m, hop=c)[0] for c in (0.0, hop))
            assert bare + extra == pytest.approx(played, rel=1e-9)


@pytest.mark.parametrize("p", range(2, 8))
@pytest.mark.parametrize("v", [2, 3, 4])
def test_asynchronous_sends_in_interleaved(p: int, v: int) -> None:
    """+ 2*(p*v - 1)*c for c <= min(t_f, t_b)/v, the steady state hidden: `exposed` = 0."""
    for m in (p, 2 * p, 4 * p):
        f, b = times((p, v, m))
        for share in (0.1, 0.5, 1.0):
            hop = share * min(f, b) / v
            extra = SCHEDULES["interleaved"].exposed_p2p(float(p), float(m), float(v), hop, False, 0.0)
            bare, played = (replay("interleaved", [f] * p, [b] * p, m, v, hop=c)[0] for c in (0.0, hop))
            assert bare + extra == pytest.approx(played, rel=1e-9)


def test_sends_of_an_undivided_batch() -> None:
    """There and back."""
    extra = SCHEDULES["naive"].exposed_p2p(4.0, 1.0, 1.0, 0.5, False, 0.0)
    assert extra == pytest.approx(replay("naive", [1.0] * 4, [1.0] * 4, 1, hop=0.5)[0] - 8.0)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("blocking", [False, True])
def test_one_rank_sends_nothing(name: str, blocking: bool) -> None:
    """p = 1."""
    assert SCHEDULES[name].exposed_p2p(1.0, 8.0, 1.0, 1.0, blocking, 0.5) == 0


@pytest.mark.parametrize(
    ("name", "p", "m", "hops"),
    [("1f1b", 4, 8, 19), ("1f1b", 3, 2, 5), ("1f1b", 2, 8, 9), ("gpipe", 4, 8, 34), ("gpipe", 3, 2, 8)],
)
def test_blocking_sends(name: str, p: int, m: int, hops: int) -> None:
    """By hand: 1F1B 2m + 2p - 5, m + 1 for p = 2; GPipe 4m + 2p - 6."""
    assert SCHEDULES[name].exposed_p2p(float(p), float(m), 1.0, 1.0, True, 0.0) == hops


@pytest.mark.parametrize("name", ["gpipe", "1f1b"])
def test_example_of_gpipe(name: str) -> None:
    """p = 4, m = 8, t_f = t_b = 1: 22 slots of which 6 idle: 3/11 of the time, 3/8 of the work (GPipe, section 2.3)."""
    total = SCHEDULES[name].pipeline_time(even(4.0, 1.0, 1.0), 8.0, 1.0)
    assert total == 22
    assert (total - 16) / total == pytest.approx(3 / 11)
    assert (total - 16) / 16 == pytest.approx(3 / 8)


def bubble_fraction(name: str, p: int, m: int, v: int, f: float, b: float) -> float:
    """Idle over total, even stages."""
    total = SCHEDULES[name].pipeline_time(even(float(p), f, b), float(m), float(v))
    return float((total - m * (f + b)) / total)


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(["gpipe", "1f1b", "interleaved"]),
    p=st.integers(1, 64),
    groups=st.integers(1, 32),
    v=st.integers(1, 8),
    f=st.floats(1e-3, 10.0),
    b=st.floats(1e-3, 10.0),
)
def test_bubble_shrinks(name: str, p: int, groups: int, v: int, f: float, b: float) -> None:
    """Neither more micro-batches nor more chunks ever raise it; it lies in 0..1."""
    m = groups * p
    fraction = bubble_fraction(name, p, m, v, f, b)
    assert -1e-12 <= fraction < 1
    assert bubble_fraction(name, p, m + p, v, f, b) <= fraction + 1e-12
    assert bubble_fraction(name, p, m, v + 1, f, b) <= fraction + 1e-12
