"""The zero-bubble family: a table of the paper to its printed digits, closed forms against the replay."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from planner.schedules import SCHEDULES, Work, even, v_half
from planner.simulate import Timeline, replay, replay_works

EXACT = 1e-9

TABLE_9_AND_5 = [
    # model, p, m, T_F, T_B, T_W, T_comm in ms (Table 9); bubble rates of 1F1B, ZB-H1, ZB-H2 (Table 5)
    ("1.5B", 8, 24, 18.522, 18.086, 9.337, 0.601, "0.2431", "0.1585", "0.1083"),
    ("1.5B", 8, 32, 18.513, 18.086, 9.331, 0.626, "0.1985", "0.1242", "0.0837"),
    ("1.5B", 8, 64, 18.546, 18.097, 9.321, 0.762, "0.1240", "0.0674", "0.0444"),
    ("6.2B", 8, 24, 29.718, 29.444, 19.927, 0.527, "0.2347", "0.1323", "0.0698"),
    ("6.2B", 8, 32, 29.802, 29.428, 19.53, 0.577, "0.1898", "0.1045", "0.0559"),
    ("6.2B", 8, 64, 29.935, 29.621, 19.388, 0.535, "0.1091", "0.0554", "0.0294"),
    ("14.6B", 16, 48, 11.347, 11.248, 8.132, 0.377, "0.2552", "0.1397", "0.0672"),
    ("14.6B", 16, 64, 11.307, 11.254, 8.101, 0.379, "0.2082", "0.1088", "0.0516"),
    ("14.6B", 16, 128, 11.325, 11.308, 8.109, 0.378, "0.1251", "0.0576", "0.0266"),
    ("28.3B", 32, 96, 10.419, 10.207, 7.715, 0.408, "0.2646", "0.1421", "0.0641"),
    ("28.3B", 32, 128, 10.408, 10.204, 7.703, 0.408, "0.2168", "0.1106", "0.0490"),
    ("28.3B", 32, 256, 10.402, 10.248, 7.698, 0.46, "0.1352", "0.0594", "0.0257"),
]
"""Qi et al. 2024, Zero Bubble Pipeline Parallelism, arXiv:2401.10241, tables 9 (profiled) and 5 (calculated)."""


@pytest.mark.parametrize("row", TABLE_9_AND_5, ids=lambda row: f"{row[0]}-{row[2]}")
def test_table_5_from_table_9(row: tuple[str, int, int, float, float, float, float, str, str, str]) -> None:
    """Bubble rate = 1 - m*(T_F + T_B + T_W) / longest stage, all four printed digits."""
    _, p, m, f, b, w, c, *printed = row
    found = []
    for name in ("1f1b", "zb-h1", "zb-h2"):
        ran = replay(name, p, m, forward=f, backward=b + w, weight=w, hop=c)
        found.append(f"{1 - m * (f + b + w) / ran.longest_stage:.4f}")
    assert found == printed


def cases(count: int, most: float = 1.8, least_weight: float = 0.5, weight: float = 1.1) -> list[tuple[int, Work]]:
    """Random p and times in units of t_f, in the range that the paper's profiles span."""
    draw = random.Random(0)
    drawn = []
    for _ in range(count):
        w = draw.uniform(least_weight, weight)
        drawn.append((draw.randint(2, 16), Work(1.0, draw.uniform(0.9, most) + w, w)))
    return drawn


def deviations(name: str, clock: str, fewest: int = 2) -> list[float]:
    """Closed form over replay, less one, in %; m from fewest*p to 5p."""
    schedule, draw, found = SCHEDULES[name], random.Random(1), []
    form = schedule.pipeline_time if clock == "makespan" else schedule.longest_stage
    assert form is not None
    for p, work in cases(150):
        p += p % 2 if name == "dualpipe" else 0
        m = draw.randint(fewest * p, 5 * p) // 2 * 2
        ran = replay_works(name, m, 0, [work] * p, hidden=0.0)
        stages = even(float(p), work.forward, work.backward, work.weight)
        found.append(100 * (float(form(stages, float(m), 2.0)) / getattr(ran, clock) - 1))
    return found


@pytest.mark.parametrize(
    ("name", "clock", "low", "high"),
    [
        ("zb-h1", "makespan", -1.8, 0.0),
        ("zb-h2", "makespan", 0.0, 0.0),
        ("zb-h2", "longest_stage", -3.0, 0.0),
        ("zb-v", "makespan", -3.5, 0.0),
        ("zb-v", "longest_stage", -3.0, 0.0),
        ("dualpipe", "makespan", -2.0, 2.5),
        ("dualpipe-v", "makespan", -2.0, 2.5),
    ],
)
def test_bands(name: str, clock: str, low: float, high: float) -> None:
    """t_B/t_f 0.9-1.8, t_W/t_f 0.5-1.1, 2p <= m <= 5p: the catalogue's bands; never pessimistic but for DualPipe."""
    found = deviations(name, clock)
    assert low - 1e-6 <= min(found) and max(found) <= high + 1e-6
    assert max(map(abs, found)) <= SCHEDULES[name].band + 1e-6 or clock != "makespan"


@pytest.mark.parametrize("name", ["zb-h1", "zb-h2", "zb-v", "dualpipe", "dualpipe-v"])
@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_equal_times(name: str, weight: float) -> None:
    """t_f = t_B, t_W = t_f or t_f/2: all closed forms are exact, both clocks."""
    for p in (2, 4, 6, 8, 12):
        for m in (2 * p, 3 * p, 20 * p):
            ran = replay(name, p, m, backward=1.0 + weight, weight=weight, hidden=0.0)
            stages, schedule = even(float(p), 1.0, 1.0 + weight, weight), SCHEDULES[name]
            assert schedule.pipeline_time(stages, float(m), 2.0) == pytest.approx(ran.makespan, rel=EXACT)
            longest = schedule.longest_stage or schedule.pipeline_time
            assert longest(stages, float(m), 2.0) == pytest.approx(ran.longest_stage, rel=EXACT)


def test_h2_with_a_barrier() -> None:
    """400 random cases: m*T + (p-1)*max(t_f, t_f + t_B - 2*t_W) exactly, m >= 2p - 1 and t_W <= t_f."""
    draw = random.Random(4)
    for _ in range(400):
        p, f, b = draw.randint(1, 10), draw.uniform(0.3, 2.0), draw.uniform(0.3, 2.0)
        w = draw.uniform(0.2, 1.0) * f
        m = draw.randint(2 * p - 1, 5 * p)
        ran = replay("zb-h2", p, m, forward=f, backward=b + w, weight=w)
        assert ran.makespan == pytest.approx(m * (f + b + w) + (p - 1) * max(f, f + b - 2 * w), rel=EXACT)


def test_h2_gains_nothing_behind_a_barrier() -> None:
    """At equal times its bubble is ZB-H1's; without the barrier it has none."""
    h1, h2 = (replay(name, 8, 32, backward=2.0, weight=1.0) for name in ("zb-h1", "zb-h2"))
    assert h1.makespan == h2.makespan == 32 * 3 + 7
    assert h2.longest_stage == 32 * 3


@pytest.mark.parametrize("share", [0.0, 0.3, 0.43, 0.94, 1.0])
def test_activations_that_wait_for_their_weight_gradient(share: float) -> None:
    """H1: (p-i)*M_B + i*M_W; H2: (2(p-i)-1)*M_B + 2i*M_W, on every rank (Qi 2024, table 2)."""
    for p in (1, 2, 4, 8):
        h1, h2 = (replay(n, p, 3 * p, backward=2.0, weight=1.0, weight_share=share) for n in ("zb-h1", "zb-h2"))
        for i in range(p):
            assert h1.peak(i) == pytest.approx(p - i + i * share)
            assert h2.peak(i) == pytest.approx(2 * (p - i) - 1 + 2 * i * share)


@pytest.mark.parametrize("name", ["zb-v", "dualpipe", "dualpipe-v"])
def test_balanced_schedules_wait_for_no_weight_gradient_at_their_peak(name: str) -> None:
    """Their peak does not depend on M_W up to M_B, on any rank."""
    for share in (0.0, 1.0):
        ran = replay(name, 4, 12, backward=2.0, weight=1.0, weight_share=share)
        assert {ran.peak(rank) for rank in range(4)} == {float(SCHEDULES[name].in_flight(4, 12, 2, 0))}


class TestFewMicroBatches:
    """m <= p (Qi 2024, appendix H)."""

    def test_time(self) -> None:
        """1F1B (m+p-1)*T; zero bubble (m+p-1)(t_f+t_B) + t_W."""
        for p in (2, 3, 5, 8):
            for m in range(1, p + 1):
                f, b, w = 1.0, 1.2, 0.8
                assert replay("1f1b", p, m, forward=f, backward=b + w).makespan == pytest.approx((m + p - 1) * 3.0)
                ran = replay("zb-h1", p, m, forward=f, backward=b + w, weight=w)
                assert ran.makespan == pytest.approx((m + p - 1) * (f + b) + w)


class TestDualPipe:
    """README of deepseek-ai/DualPipe, and what its pairs are worth."""

    def test_readme_formula(self) -> None:
        """(p/2-1)(FB + t_b - 3*t_W) with FB = t_f + t_b; exact at t_B = t_f, where pairs start and end as one."""
        for p in (2, 4, 8, 16):
            for w in (0.3, 0.5, 1.0, 1.2):
                m, f, t_b = 2 * p + 4, 1.0, 1.0 + w
                ran = replay("dualpipe", p, m, forward=f, backward=t_b, weight=w, hidden=0.0)
                bubble = (p / 2 - 1) * (f + t_b + t_b - 3 * w)
                if w <= f:
                    assert ran.makespan == pytest.approx(m * (f + t_b) + bubble)

    def test_pairs_that_hide_nothing(self) -> None:
        """(p-2)*t_f beside ZB-H1's (p-1)*t_f, whatever m: hardly better."""
        for m in (16, 32, 64):
            dual = replay("dualpipe", 8, m, backward=2.0, weight=1.0, hidden=0.0)
            h1 = replay("zb-h1", 8, m, backward=2.0, weight=1.0)
            assert (dual.makespan - 3 * m, h1.makespan - 3 * m) == pytest.approx((6, 7))

    def test_pairs_one_after_the_other(self) -> None:
        """Half of that, (p/2-1)*t_f and (p-1)/2*t_f: the forward's result leaves before the backward is through."""
        for p in (2, 4, 6, 8, 12):
            for m in (2 * p, 4 * p, 8 * p):
                dual, folded = (replay(n, p, m, backward=2.0, weight=1.0).makespan for n in ("dualpipe", "dualpipe-v"))
                assert (dual - 3 * m, folded - 3 * m) == pytest.approx((p / 2 - 1, (p - 1) / 2))

    def test_overlap(self) -> None:
        """A pair that hides all of its shorter half takes as long as the longer one; ranks do both at once."""
        ran = replay("dualpipe", 4, 16, backward=2.0, weight=1.0, hidden=1.0)
        row = ran.tasks[0]
        pairs = [(a, b) for a, b in pairwise(row) if (a.start, a.end) == (b.start, b.end)]
        assert pairs and all((a.kind, b.kind, a.end - a.start) == ("F", "B", 2.0) for a, b in pairs)
        assert ran.makespan < replay("dualpipe", 4, 16, backward=2.0, weight=1.0, hidden=0.0).makespan
        assert ran.busy(0) == pytest.approx(16 * 3 - len(pairs) * 1.0)


class TestSends:
    """Hops at equal times; the counts were found by replay."""

    def extra(self, name: str, p: int, m: int, clock: str = "makespan") -> float:
        """Hops that show on the clock."""
        ran: list[Timeline] = [replay(name, p, m, backward=2.0, weight=1.0, hop=c, hidden=0.0) for c in (0.0, 1 / 64)]
        return float((getattr(ran[1], clock) - getattr(ran[0], clock)) * 64)

    @pytest.mark.parametrize("name", ["zb-h1", "zb-v", "dualpipe", "dualpipe-v"])
    def test_makespan(self, name: str) -> None:
        """Exact for m >= 2p."""
        for p in (2, 4, 6, 8, 12):
            for m in (2 * p, 2 * p + 2, 3 * p, 5 * p, 5 * p + 4):
                formula = SCHEDULES[name].exposed_p2p(float(p), float(m), 2.0, 1.0, False, 0.0)
                assert self.extra(name, p, m) == pytest.approx(float(formula))

    def test_h2(self) -> None:
        """2(p-1) hops on the longest stage, p-1 on the makespan."""
        for p in (2, 4, 8):
            assert self.extra("zb-h2", p, 3 * p, "longest_stage") == pytest.approx(2 * (p - 1))
            assert self.extra("zb-h2", p, 3 * p) == pytest.approx(p - 1)

    def test_building_blocks(self) -> None:
        """V-Half's ends alone, exactly; V-Min pays for every micro-batch, within 2 hops and 2 %; m >= 2p."""
        for p in (2, 3, 4, 5, 6, 8, 9, 13):
            for m in (2 * p, 3 * p + 1, 8 * p):
                half, least = (float(SCHEDULES[n].exposed_p2p(p, m, 2.0, 1.0, False, 0.0)) for n in PUBLISHED)
                assert self.extra("v-half", p, m) == pytest.approx(half)
                assert self.extra("v-min", p, m) == pytest.approx(least, abs=2 + 0.02 * least)

    @pytest.mark.parametrize(("name", "low", "high"), [("v-half", -0.05, 0.02), ("v-min", -0.01, 0.02)])
    def test_building_blocks_of_unequal_times(self, name: str, low: float, high: float) -> None:
        """Hops of a tenth of t_f."""
        draw = random.Random(0)
        for p, work in cases(40):
            p, m = p % 7 + 2, (p % 7 + 2) * draw.choice((2, 3, 5))
            bare, ran = (replay_works(name, m, 0, [work] * p, hop=hop).makespan for hop in (0.0, 0.1))
            formula = float(SCHEDULES[name].exposed_p2p(float(p), float(m), 2.0, 0.1, False, 0.0))
            assert low <= (formula - (ran - bare)) / bare <= high

    def test_zb_v_longest_stage(self) -> None:
        """6p - 8."""
        for p in (2, 3, 4, 8):
            assert self.extra("zb-v", p, 3 * p, "longest_stage") == pytest.approx(6 * p - 8)


PUBLISHED = {
    "v-half": {3: (2.5, 2), 4: (2.5, 3), 5: (5.5, 3), 8: (8.5, 5), 9: (11.5, 5), 12: (14.5, 7), 16: (20.5, 9)},
    "v-min": {4: (5.5, 2), 5: (7.5, 3), 7: (11.5, 3), 8: (13.5, 4), 10: (17.5, 4), 11: (19.5, 5), 16: (29.5, 6)},
}
"""p -> (idle slots of a third of T, micro-batches held): output of the authors' scheduler
(sail-sg/zero-bubble-pipeline-parallelism, scheduler/zbv_greedy.py), m >= 3p; V-Min where 3 does not divide p."""


class TestBuildingBlocks:
    """V-Half and V-Min: the published bounds of memory, and the published scheduler's counts at equal times."""

    @pytest.mark.parametrize("name", PUBLISHED)
    def test_published_counts(self, name: str) -> None:
        """Bubble and peak, for batches shorter and longer than the pattern that is built."""
        for p, (slots, peak) in PUBLISHED[name].items():
            for m in (3 * p, 4 * p + 2, 9 * p + 1):
                ran = replay(name, p, m, backward=2.0, weight=1.0)
                assert ran.makespan - 3 * m == pytest.approx(slots)
                assert max(ran.peak(rank) for rank in range(p)) == peak

    @pytest.mark.parametrize(("name", "share"), [("v-half", 2), ("v-min", 3)])
    def test_a_half_and_a_third_of_1f1b(self, name: str, share: int) -> None:
        """p/2 and p/3 micro-batches and a constant of at most 4/3, on every rank, whatever m (Qi 2024, table 1)."""
        for p in range(2, 14):
            for m in (1, p, 3 * p, 5 * p + 1):
                ran = replay(name, p, m, backward=2.0, weight=1.0)
                assert max(ran.peak(rank) for rank in range(p)) <= p / share + 4 / 3 + 1e-9

    @pytest.mark.parametrize("name", PUBLISHED)
    def test_every_pass_once(self, name: str) -> None:
        """F, I and W of both chunks of every micro-batch, W behind I behind F."""
        for p, m in ((1, 3), (2, 1), (3, 20), (6, 40), (8, 5)):
            for rank in range(p):
                order = [op[:3] for op in SCHEDULES[name].ops(rank, p, m, 2)]
                assert len(order) == len(set(order)) == 6 * m
                at = {op: n for n, op in enumerate(order)}
                for i in range(m):
                    for c in (0, 1):
                        assert at["F", i, c] < at["I", i, c] < at["W", i, c]

    def test_the_block_of_the_paper(self) -> None:
        """V-Half on four ranks: two slots a hop down, one up, and a micro-batch's passes in a period of 22 slots."""
        assert [v_half.block(rank, 4) for rank in range(4)] == [
            (0, 10, 14, 25),
            (2, 9, 16, 24),
            (4, 8, 18, 23),
            (6, 7, 20, 22),
        ]
