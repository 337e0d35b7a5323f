"""The catalogue against the replay of its own operations: times, sends, micro-batches in flight, requirements."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import PlannerError
from planner.schedules import SCHEDULES, Schedule, Work, even, offered, uneven
from planner.schedules.decode import utilisation
from planner.schedules.interleaved import in_flight as interleaved_in_flight
from planner.schedules.interleaved import ops as interleaved_ops
from planner.schedules.ops import BOTH_WAYS, LOOP, VEE, Op, number, one_by_one
from planner.simulate import Timeline, replay, replay_works

EXACT = 1e-9
"""Relative; what is left is the order of additions."""

LOOPS = ("interleaved", "breadth-first", "decode")
REPLAYED = list(SCHEDULES)
RANKED = [name for name, schedule in SCHEDULES.items() if schedule.trains]
SPLIT = [name for name in REPLAYED if SCHEDULES[name].splits]
PAIRED = ("dualpipe", "dualpipe-v")
STEADY = ("pipedream", "2bw")


def chunks(name: str, v: int = 2) -> int:
    """v where the schedule loops, else its own number of chunks."""
    return v if name in LOOPS else SCHEDULES[name].chunks or 1


def legal(name: str, p: int, most: int = 24, v: int = 2) -> list[int]:
    """Numbers of micro-batches that a schedule admits on p ranks."""
    return [m for m in range(1, most) if SCHEDULES[name].broken(p, m, chunks(name, v)) is None]


def closed(name: str, p: int, m: int, v: int, work: Work) -> float:
    """The closed form for even stages."""
    stages = even(float(p), work.forward, work.backward, work.weight)
    return float(SCHEDULES[name].pipeline_time(stages, float(m), float(v)))


def played(name: str, p: int, m: int, v: int, work: Work, hop: float = 0.0, blocking: bool = False) -> Timeline:
    """The replay; pairs start and end as one and hide nothing, as their closed form has it."""
    return replay_works(name, m, v, [work] * p, hop=hop, blocking=blocking, hidden=0.0)


def sent(name: str, p: int, m: int, v: int, hop: float, blocking: bool = False) -> float:
    """The closed form of exposed sends, all that can hide hidden."""
    return float(SCHEDULES[name].exposed_p2p(float(p), float(m), float(v), hop, blocking, 0.0))


def drawn(seed: object, ratio: float = 1.0) -> Work:
    """Random times with t_W <= min(t_f, t_B)."""
    draw = random.Random(str(seed))
    weight = draw.uniform(0.5, 1.0)
    forward, gradient = draw.uniform(1.0, 2.0), draw.uniform(1.0, 2.0)
    return Work(forward, (gradient if ratio else forward) + weight, weight)


class TestEvenStages:
    """Equal ranks."""

    @pytest.mark.parametrize("p", range(1, 9))
    @pytest.mark.parametrize(
        "name",
        [n for n in REPLAYED if SCHEDULES[n].band == 0 and n not in STEADY] + ["zb-h1"],
    )
    def test_time_is_exact(self, name: str, p: int) -> None:
        """Every schedule called exact, and ZB-H1 for t_W <= min(t_f, t_B)."""
        for v in (2, 3, 4) if name in LOOPS else (chunks(name),):
            for m in legal(name, p, v=v):
                work = drawn((name, p, m, v))
                assert closed(name, p, m, v, work) == pytest.approx(played(name, p, m, v, work).makespan, rel=EXACT)

    @pytest.mark.parametrize("name", [n for n in REPLAYED if SCHEDULES[n].band == 0])
    def test_exact_says_so(self, name: str) -> None:
        """What is tested as exact is called that."""
        assert SCHEDULES[name].band == 0

    @pytest.mark.parametrize("p", range(1, 9))
    @pytest.mark.parametrize("name", STEADY)
    def test_steady_state(self, name: str, p: int) -> None:
        """Schedules that never drain: what m more micro-batches add to a replay."""
        for m in (p, 2 * p, 3 * p):
            work = drawn((name, p, m))
            first, second = (played(name, p, n, 1, work).makespan for n in (4 * p, 4 * p + m))
            assert closed(name, p, m, 1, work) == pytest.approx(second - first, rel=EXACT)

    @pytest.mark.parametrize("p", range(1, 9))
    @pytest.mark.parametrize("v", [2, 3, 4])
    @pytest.mark.parametrize("name", REPLAYED)
    def test_in_flight(self, name: str, p: int, v: int) -> None:
        """Every rank's peak, exactly; they go at B, or at W where the backward is split."""
        v = chunks(name, v)
        for m in legal(name, p, v=v):
            ran = played(name, p, m, v, Work(1.0, 2.0, 1.0))
            formula = [SCHEDULES[name].in_flight(float(p), float(m), float(v), float(r)) for r in range(p)]
            found = [ran.peak(rank) for rank in range(p)]
            assert found == pytest.approx(formula, rel=EXACT)

    @pytest.mark.parametrize("name", ["gpipe", "1f1b", "interleaved"])
    @pytest.mark.parametrize("p", [2, 3, 4, 8, 16, 32])
    def test_large(self, name: str, p: int) -> None:
        """p up to 32, m up to 256."""
        v = chunks(name)
        for m in (p, 2 * p, 256 // p * p):
            work = drawn((name, p, m))
            assert closed(name, p, m, v, work) == pytest.approx(played(name, p, m, v, work).makespan, rel=EXACT)


class TestUnevenStages:
    """Every rank has its own times."""

    @pytest.mark.parametrize("name", ["gpipe", "breadth-first", "forward-only", "decode"])
    @pytest.mark.parametrize("p", range(2, 8))
    def test_sweeps_are_exact(self, name: str, p: int) -> None:
        """Ends of their own, m below and above p."""
        v = chunks(name, 3)
        for m in (1, p - 1, p, 2 * p, 20):
            first, middle, last = (drawn((name, p, m, where)) for where in range(3))
            works = [first, *[middle] * (p - 2), last]
            stages, ran = uneven(works), replay_works(name, max(m, 1), v, works)
            time = SCHEDULES[name].pipeline_time(stages, float(max(m, 1)), float(v))
            assert time == pytest.approx(ran.makespan, rel=EXACT)

    @pytest.mark.parametrize("p", range(2, 9))
    def test_interleaved_heavy_last_chunk(self, p: int) -> None:
        """An LM head: m * max t + (sum t - max t)/v."""
        for v in (2, 3):
            for m in (p, 3 * p):
                rows = [[Work(1.0, 2.0)] * v for _ in range(p)]
                rows[-1] = [*rows[-1][:-1], Work(1.5, 3.0)]
                last = Work(v + 0.5, 2 * v + 1.0)
                stages = uneven([*[Work(v, 2 * v)] * (p - 1), last])
                time = SCHEDULES["interleaved"].pipeline_time(stages, float(m), float(v))
                assert time == pytest.approx(replay_works("interleaved", m, v, rows).makespan, rel=EXACT)

    def test_eager_is_never_slower_than_1f1b(self) -> None:
        """More forwards ahead cannot hurt, whatever the stages."""
        for seed in range(60):
            p, m = 2 + seed % 6, 1 + seed % 17
            works = [drawn((seed, rank)) for rank in range(p)]
            slower, faster = (replay_works(name, m, 1, works).makespan for name in ("1f1b", "eager-1f1b"))
            assert faster <= slower * (1 + EXACT)


class TestSends:
    """Point-to-point time."""

    def test_1f1b_asynchronous(self) -> None:
        """1,728 cases: 2*c*floor((p-1)(m+p-1)/p) for any m, c and t_b/t_f from 0.5 to 3."""
        cases = 0
        for p in (1, 2, 3, 4, 5, 6, 8, 12):
            for m in (1, 2, 3, 4, 5, 7, 8, 12, 16):
                for ratio in (0.5, 1.0, 2.0, 3.0):
                    bare = played("1f1b", p, m, 1, Work(1.0, ratio)).makespan
                    for hop in (0.01, 0.1, 0.3, 0.7, 1.0, 2.5):
                        ran = played("1f1b", p, m, 1, Work(1.0, ratio), hop).makespan
                        assert bare + sent("1f1b", p, m, 1, hop) == pytest.approx(ran, rel=EXACT)
                        cases += 1
        assert cases == 1728

    @pytest.mark.parametrize("name", ["gpipe", "eager-1f1b", "forward-only", "naive", "zb-h1"])
    @pytest.mark.parametrize("p", range(1, 9))
    def test_short_hops(self, name: str, p: int) -> None:
        """Exact for hops of up to a tenth of a pass, all m."""
        for m in legal(name, p):
            for hop in (0.001, 0.02, 0.1):
                work = drawn((name, p, m)) if name == "zb-h1" else Work(1.0, 1.5)
                bare, ran = (played(name, p, m, 1, work, c).makespan for c in (0.0, hop))
                assert bare + sent(name, p, m, 1, hop) == pytest.approx(ran, rel=EXACT)

    @pytest.mark.parametrize("p", range(2, 9))
    @pytest.mark.parametrize("v", [2, 3, 4])
    def test_interleaved(self, p: int, v: int) -> None:
        """2(p*v-1)*c for c <= min(t_f, t_b)/v, the steady state hidden."""
        for m in (p, 2 * p, 4 * p):
            work = drawn((p, v, m))
            for share in (0.1, 0.5, 1.0):
                hop = share * min(work.forward, work.backward) / v
                bare, ran = (played("interleaved", p, m, v, work, c).makespan for c in (0.0, hop))
                assert bare + sent("interleaved", p, m, v, hop) == pytest.approx(ran, rel=EXACT)

    @pytest.mark.parametrize("p", range(2, 7))
    def test_breadth_first(self, p: int) -> None:
        """2(p-1)*c where m leaves time for the way round, 2(p*v-1)*c for m <= p."""
        for v in (2, 3):
            for m in (1, p, 2 * p, 4 * p):
                hop = max(m - p, 1) / v / p
                bare, ran = (played("breadth-first", p, m, v, Work(1.0, 1.0), c).makespan for c in (0.0, hop))
                assert bare + sent("breadth-first", p, m, v, hop) == pytest.approx(ran, rel=EXACT)

    @pytest.mark.parametrize("p", range(1, 7))
    def test_decode(self, p: int) -> None:
        """(p*v-1)*c for m <= p; more batches hide all but the fill."""
        for v in (1, 2, 5):
            for m in (1, p, 3 * p):
                hop = max(m - p, 1) / p
                bare, ran = (played("decode", p, m, v, Work(1.0, 1.0), c).makespan for c in (0.0, hop))
                assert bare + sent("decode", p, m, v, hop) == pytest.approx(ran, rel=EXACT)

    @pytest.mark.parametrize("name", STEADY)
    @pytest.mark.parametrize("p", range(2, 8))
    def test_steady_state(self, name: str, p: int) -> None:
        """2*m*c*(p-1)/p for m that p divides: no drain makes sends cheaper."""
        work, hop = drawn((name, p)), 0.2
        ran = [played(name, p, n * p, 1, work, hop).makespan for n in (6, 9)]
        assert closed(name, p, 3 * p, 1, work) + sent(name, p, 3 * p, 1, hop) == pytest.approx(
            ran[1] - ran[0], rel=EXACT
        )

    @pytest.mark.parametrize("name", ["1f1b", "gpipe", "forward-only"])
    @pytest.mark.parametrize("p", range(2, 10))
    def test_blocking(self, name: str, p: int) -> None:
        """Ranks meet for every tensor, m >= 2 and c <= t_f/2."""
        for m in (2, 3, p, 2 * p, 3 * p + 1):
            for hop in (0.01, 0.2, 0.5):
                bare, ran = (played(name, p, m, 1, Work(1.0, 1.7), c, True).makespan for c in (0.0, hop))
                assert bare + sent(name, p, m, 1, hop, True) == pytest.approx(ran, rel=EXACT)

    @pytest.mark.parametrize("p", range(1, 7))
    def test_large_groups_hide_the_way_round(self, p: int) -> None:
        """Interleaved in groups N > p: 2(p-1)*c are left if (N-p)*t_f/v >= p*c, for (v-1)(N-p) more chunks."""
        v, n, m = 2, 2 * p, 4 * p
        hop = (n - p) / v / p
        orders = [interleaved_ops(rank, p, m, v, n) for rank in range(p)]
        bare, ran = (clocked(orders, p, m, v, c) for c in (0.0, hop))
        assert ran - bare == pytest.approx(2 * (p - 1) * hop)
        held = [peak(order) / v for order in orders]
        assert held == [interleaved_in_flight(float(p), float(m), float(v), float(r), float(n)) for r in range(p)]


def clocked(orders: list[list[Op]], p: int, m: int, v: int, hop: float) -> float:
    """Makespan of any orders of F and B over a loop, t_f = t_b = 1 per rank."""
    from planner.schedules.clock import Clock, cells

    grid = cells(LOOP, p, v, lambda rank, chunk: {"F": 1.0 / v, "B": 1.0 / v}, lambda a, b: hop)
    return max(row[-1][1] for row in Clock(orders, grid, m, v).run(None))


def peak(order: list[Op]) -> int:
    """Most forwards without their backward."""
    return int(max(np.cumsum([1 if op.kind == "F" else -1 for op in order])))


class TestPapers:
    """Examples that notes and blogs get wrong."""

    def test_1f1b_of_four_ranks_and_eight_micro_batches(self) -> None:
        """22 slots; the first backward in slots 5, 6, 7, 8 on ranks 3, 2, 1, 0 (Narayanan 2021, figure 4)."""
        ran = replay("1f1b", 4, 8)
        assert ran.makespan == 22
        first = [next(t.start for t in ran.tasks[rank] if t.kind == "B") + 1 for rank in (3, 2, 1, 0)]
        assert first == [5, 6, 7, 8]

    def test_rank_0_of_1f1b(self) -> None:
        """F1-F3, then F4 B1 ... F8 B5, then B6-B8 (Megatron-LM); it idles in slots 5-7."""
        row = replay("1f1b", 4, 8).tasks[0]
        order = [f"{t.kind}{t.micro_batch + 1}" for t in row]
        assert " ".join(order) == "F1 F2 F3 F4 B1 F5 B2 F6 B3 F7 B4 F8 B5 B6 B7 B8"
        assert (row[3].end, row[4].start) == (4, 7)

    @pytest.mark.parametrize("name", ["gpipe", "1f1b", "forward-only"])
    def test_bubble_fraction_is_the_same_forward_only(self, name: str) -> None:
        """3/11 = 27.3 % in training and in inference (GPipe, 2.3); 3/8 is the overhead."""
        ran = replay(name, 4, 8)
        idle, busy = (sum(f(rank) for rank in range(4)) for f in (ran.idle, ran.busy))
        assert idle / (4 * ran.makespan) == pytest.approx(3 / 11)
        assert idle / busy == pytest.approx(3 / 8)

    @pytest.mark.parametrize("n", range(1, 9))
    def test_decoding_is_a_closed_queue(self, n: int) -> None:
        """n batches on 4 ranks keep min(1, n*t/(p*(t+c))) of each rank busy."""
        for hop in (0.0, 0.25):
            slow, fast = (replay("decode", 4, n, tokens, hop=hop).makespan for tokens in (40, 60))
            assert 20 * n / (slow - fast) == pytest.approx(-utilisation(4.0, float(n), 1.0, hop))

    def test_activations_of_gpipe_reside(self) -> None:
        """Backwards in reverse order: ((p-1-i) + (m-1-j))*(t_f + t_b) from F's end to B's start, 30 at p = 4, m = 8."""
        p, m, f, b = 4, 8, 1.0, 2.0
        from planner.schedules.clock import Clock, cells

        order = [Op("F", i, 0) for i in range(m)] + [Op("B", i, 0) for i in reversed(range(m))]
        grid = cells(LOOP, p, 1, lambda rank, chunk: {"F": f, "B": b}, lambda a, c: 0.0)
        spans = Clock([order] * p, grid, m, 1).run(None)
        for i, row in enumerate(spans):
            for j in range(m):
                assert row[2 * m - 1 - j][0] - row[j][1] == pytest.approx(((p - 1 - i) + (m - 1 - j)) * (f + b))
        assert spans[0][-1][0] - spans[0][0][1] == 30

    def test_interleaved_rank_0(self) -> None:
        """Groups of p: F1-F4 of chunk 0, F1-F4 of chunk 1; backwards start with the last chunk (Megatron-LM)."""
        row = [(op.kind, op.micro_batch + 1, op.chunk) for op in interleaved_ops(0, 4, 8, 2)]
        assert row[:8] == [("F", i, c) for c in (0, 1) for i in (1, 2, 3, 4)]
        assert next(op for op in row if op[0] == "B") == ("B", 1, 1)


class TestBands:
    """Closed forms against the replay on random stages that differ."""

    @pytest.mark.parametrize("name", [n for n in RANKED if n not in STEADY])
    @pytest.mark.parametrize("kind", ["even", "last", "noise"])
    def test_bands(self, name: str, kind: str) -> None:
        """Within the record's band: t_B/t_f 0.9-1.8, t_W/t_f 0.5-1.1, as Qi 2024 measured; 2p <= m <= 5p."""
        schedule, draw = SCHEDULES[name], random.Random(f"{name} {kind}")
        for _ in range(25):
            p, v = 2 * draw.randint(1, 6), schedule.usual_chunks
            m = 1 if schedule.undivided else draw.randint(2, 5) * p
            w = draw.uniform(0.5, 1.1)
            whole = Work(1.0, draw.uniform(0.9, 1.8) + w, w)
            share = {"even": [1.0] * p, "last": [1.0] * (p - 1) + [draw.uniform(1.0, 1.5)]}
            scales = share.get(kind) or [draw.uniform(0.85, 1.15) for _ in range(p)]
            works = [Work(s * whole.forward, s * whole.backward, s * w) for s in scales]
            ran = replay_works(name, m, v, works, hidden=0.0)
            found = 100 * (float(schedule.pipeline_time(uneven(works), float(m), float(v))) / ran.makespan - 1)
            assert abs(found) <= max(schedule.band if kind == "even" else schedule.uneven, 1e-6)


class TestRecords:
    """What the catalogue says."""

    def test_names(self) -> None:
        """All of the issue's, under the keys of the presets."""
        assert list(SCHEDULES) == [schedule.name for schedule in SCHEDULES.values()]
        assert {"naive", "gpipe", "1f1b", "interleaved", "pipedream", "2bw", "eager-1f1b", "breadth-first"} <= set(
            SCHEDULES
        )
        assert {"zb-h1", "zb-h2", "zb-v", "v-half", "v-min", *PAIRED, "forward-only", "decode"} <= set(SCHEDULES)

    def test_all_stands_for_those_that_train(self) -> None:
        """Asynchronous ones only where they are asked for; named ones come first."""
        training = {name for name, schedule in SCHEDULES.items() if schedule.trains}
        assert set(offered(["all"], SCHEDULES)) == training
        assert set(offered(["all"])) == training - set(STEADY)
        assert offered(["gpipe", "2bw"], ["zb-v"]) == ("gpipe", "2bw")

    def test_asynchronous_ones_are_marked(self) -> None:
        """They change what the optimizer computes."""
        assert {name for name, schedule in SCHEDULES.items() if schedule.asynchronous} == set(STEADY)

    @pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=list(SCHEDULES))
    def test_facts(self, schedule: Schedule) -> None:
        """Source, formula, frameworks; requirements whose messages can be filled in."""
        assert schedule.title and schedule.source and schedule.formula and schedule.frameworks
        for requirement in schedule.requirements:
            assert requirement.message.format(p=4, m=3, v=1) and requirement.source

    @pytest.mark.parametrize(
        ("name", "versions"), [("pipedream", [4, 3, 2, 1]), ("2bw", [2] * 4), ("1f1b", [1] * 4), ("dualpipe", [2] * 4)]
    )
    def test_weight_versions(self, name: str, versions: list[int]) -> None:
        """p - rank under stashing, two with double buffers; DualPipe holds two stages."""
        assert [SCHEDULES[name].weight_versions(4.0, 8.0, 1.0, float(rank)) for rank in range(4)] == versions

    @pytest.mark.parametrize(
        ("name", "v", "interior", "end"),
        [
            ("naive", 1, 2, 1),
            ("gpipe", 1, 16, 8),
            ("1f1b", 1, 16, 8),
            ("interleaved", 3, 48, 40),
            ("zb-v", 2, 32, 16),
            ("dualpipe-v", 2, 32, 16),
            ("dualpipe", 2, 16, 8),
            ("forward-only", 1, 8, 8),
        ],
    )
    def test_sends(self, name: str, v: int, interior: int, end: int) -> None:
        """Tensors per rank and step, p = 4, m = 8: the wrap-around hop counts, the turn of a V does not."""
        m = 1 if name == "naive" else 8
        assert [SCHEDULES[name].sends(4, m, v, rank) for rank in (1, 0)] == [interior, end]

    def test_all_sends_of_a_loop(self) -> None:
        """2*m*(p*v-1) over the pipeline: (p*v-1)/(p-1) times those of 1F1B, not v times."""
        assert sum(SCHEDULES["interleaved"].sends(4, 8, 2, rank) for rank in range(4)) == 2 * 8 * 7

    @pytest.mark.parametrize(
        ("name", "p", "m", "v", "broken"),
        [
            ("naive", 4, 2, 1, "undivided"),
            ("1f1b", 4, 8, 2, "one_chunk"),
            ("interleaved", 4, 9, 2, "whole_groups"),
            ("interleaved", 4, 8, 1, "several_chunks"),
            ("interleaved", 1, 8, 2, "several_ranks"),
            ("2bw", 4, 3, 1, "enough_batches"),
            ("zb-h2", 4, 6, 1, "enough_batches"),
            ("zb-v", 4, 8, 3, "two_chunks"),
            ("dualpipe", 3, 8, 2, "even_counts"),
            ("dualpipe", 4, 6, 2, "enough_batches"),
            ("dualpipe-v", 4, 7, 2, "enough_batches"),
        ],
    )
    def test_requirements(self, name: str, p: int, m: int, v: int, broken: str) -> None:
        """Each has a name; numbers and arrays take the same path."""
        found = SCHEDULES[name].broken(p, m, v)
        assert found is not None and found.name == broken
        mask = found.holds(np.array([p, p]), np.array([m, m]), np.array([v, v]))
        assert not np.any(mask)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_number_and_a_batch_give_the_same_bits(name: str) -> None:
    """No pow, exp or log: one row of an array is the number."""
    schedule, draw = SCHEDULES[name], random.Random(name)
    rows = [
        (draw.randint(1, 32), draw.randint(1, 99), draw.randint(1, 4), draw.random(), draw.random()) for _ in range(50)
    ]
    p, m, v, f, b = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    batch = schedule.pipeline_time(even(p, f, f + b, b), m, v)
    for k, row in enumerate(rows):
        one = [float(x) for x in row]
        assert batch[k] == schedule.pipeline_time(even(one[0], one[3], one[3] + one[4], one[4]), one[1], one[2])
        for blocking in (False, True):
            hops = schedule.exposed_p2p(p, m, v, f, blocking, 0.3)
            assert hops[k] == schedule.exposed_p2p(one[0], one[1], one[2], one[3], blocking, 0.3)
        assert schedule.in_flight(p, m, v, 0.0 * p)[k] == schedule.in_flight(one[0], one[1], one[2], 0.0)


@pytest.mark.parametrize("name", SPLIT)
def test_the_weight_gradient_is_never_guessed(name: str) -> None:
    """A split backward without its parts is an error, not half of it."""
    with pytest.raises(PlannerError, match="weight gradient"):
        SCHEDULES[name].pipeline_time(even(4.0, 1.0, 2.0), 8.0, 2.0)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from([n for n in REPLAYED if SCHEDULES[n].trains]),
    p=st.integers(1, 8),
    m=st.integers(1, 24),
    v=st.integers(1, 4),
    hop=st.floats(0.0, 2.0),
    seed=st.integers(0, 9999),
)
def test_every_replay_does_all_the_work(name: str, p: int, m: int, v: int, hop: float, seed: int) -> None:
    """Whatever the times: each operation once, ranks never do two at a time, nothing is held at the end."""
    v = chunks(name, v)
    if SCHEDULES[name].broken(p, m, v) is not None:
        return
    works = [drawn((seed, rank)) for rank in range(p)]
    ran = replay_works(name, m, v, works, hop=hop)
    each = 1 if SCHEDULES[name].placement is BOTH_WAYS else v
    for rank, row in enumerate(ran.tasks):
        assert sum(t.kind == "F" for t in row) == m * each == sum(t.kind in "BI" for t in row)
        assert sum(t.kind == "I" for t in row) == sum(t.kind == "W" for t in row)
        assert all(before.end <= after.start + 1e-12 for before, after in pairwise(row))
        assert ran.busy(rank) == pytest.approx(m * works[rank].total)
        assert ran.held[rank][-1][1] == pytest.approx(0.0, abs=1e-9)
    assert ran.longest_stage <= ran.makespan * (1 + EXACT)
    assert ran.makespan >= max(m * work.total for work in works) * (1 - EXACT)


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(["gpipe", "1f1b", "eager-1f1b", "breadth-first", "interleaved", "zb-h1"]),
    p=st.integers(2, 8),
    groups=st.integers(1, 5),
    v=st.integers(2, 4),
    f=st.floats(0.1, 10.0),
    more=st.floats(0.0, 3.0),
    share=st.floats(0.1, 1.0),
)
def test_closed_forms_hold(name: str, p: int, groups: int, v: int, f: float, more: float, share: float) -> None:
    """Random p, m, v and times: exact."""
    m, v = groups * p, chunks(name, v)
    work = Work(f, f * (1 + more + share), f * share)
    assert closed(name, p, m, v, work) == pytest.approx(played(name, p, m, v, work).makespan, rel=EXACT)


def test_words_become_operations() -> None:
    """Counts per kind and chunk; W takes the oldest, of a chunk where one is named."""
    order = number(["F0", "F1", "F0+", "I1", "I0", "W0", "W"])
    assert [(op.kind, op.micro_batch, op.chunk) for op in order] == [
        ("F", 0, 0), ("F", 0, 1), ("F", 1, 0), ("I", 0, 1), ("I", 0, 0), ("W", 0, 0), ("W", 0, 1),
    ]  # fmt: skip
    assert [op.paired for op in order] == [False, False, True, False, False, False, False]


def test_placements() -> None:
    """Loop, V and both ways on three ranks."""
    assert [LOOP.stage(rank, chunk, 3) for chunk in (0, 1) for rank in range(3)] == [0, 1, 2, 3, 4, 5]
    assert [VEE.stage(rank, chunk, 3) for chunk in (0, 1) for rank in range(3)] == [0, 1, 2, 5, 4, 3]
    assert BOTH_WAYS.next(2, 2) == {(0, 0): (1, 0), (1, 1): (0, 1)}
    assert VEE.next(2, 2)[1, 0] == (1, 1)


def test_fewer_micro_batches_than_warm_ups() -> None:
    """All forwards, then all backwards."""
    forwards, backwards = [Op("F", 0, 0)], [Op("B", 0, 0)]
    assert one_by_one(forwards, backwards, 3) == forwards + backwards
