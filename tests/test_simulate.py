"""The replay: clocks, hops, blocking sends, overlapped pairs, memory over time, errors, and plans of the search."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import PlannerError
from planner.plan import Plan
from planner.questions.ask import ask
from planner.questions.train import Ranked, recommend
from planner.schedules import Work
from planner.simulate import Task, Timeline, compare, hops, plan_hops, replay, replay_plan, replay_works
from planner.training.estimate import chunk_works, pipeline_stages


class TestClocks:
    """Makespan and longest stage."""

    def test_two_clocks(self) -> None:
        """GPipe's rank 0 works from the first start to the last end; forward only, every rank takes its own time."""
        assert (replay("gpipe", 4, 8).makespan, replay("gpipe", 4, 8).longest_stage) == (22, 22)
        assert (replay("forward-only", 4, 8).makespan, replay("forward-only", 4, 8).longest_stage) == (11, 8)

    def test_idle_and_busy(self) -> None:
        """They sum to the makespan on every rank."""
        ran = replay("1f1b", 4, 8, backward=2.0)
        assert [ran.busy(rank) + ran.idle(rank) for rank in range(4)] == [33.0] * 4
        assert [ran.idle(rank) for rank in range(4)] == [9.0] * 4

    def test_an_overlapped_pair_works_once(self) -> None:
        """Two tasks with one start and one end."""
        row = (Task(0, "F", 0, 0, 0.0, 2.0), Task(0, "B", 0, 1, 0.0, 2.0), Task(0, "W", 0, 1, 2.0, 3.0))
        assert Timeline("dualpipe", 1, 1, 2, (row,), ((),)).busy(0) == 3.0


class TestTimes:
    """Every rank and every chunk may have its own."""

    def test_gpipe(self) -> None:
        """sum f + (m-1)*max f + sum b + (m-1)*max b, whichever rank is slow."""
        draw = random.Random(0)
        for _ in range(50):
            works = [Work(draw.uniform(1, 2), draw.uniform(1, 4)) for _ in range(draw.randint(1, 8))]
            m = draw.randint(1, 20)
            f, b = [w.forward for w in works], [w.backward for w in works]
            expected = sum(f) + (m - 1) * max(f) + sum(b) + (m - 1) * max(b)
            assert replay_works("gpipe", m, 1, works).makespan == pytest.approx(expected)

    def test_1f1b_with_one_heavy_stage_anywhere(self) -> None:
        """Warm-up, own work and drain of the slowest kind of rank, m >= p."""
        for p in range(2, 8):
            for heavy in range(p):
                t = [1.5 if s == heavy else 1.0 for s in range(p)]
                for m in (p, 3 * p):
                    behind = [sum(t[s + 1 :]) for s in range(p)]
                    wait = [2 * max(0.0, behind[s] - (p - 1 - s) * t[s] / 2) for s in range(p)]
                    # t_f = t_b = t/2
                    expected = max(sum(t[:s]) + m * t[s] + wait[s] for s in range(p))
                    works = [Work(x / 2, x / 2) for x in t]
                    assert replay_works("1f1b", m, 1, works).makespan == pytest.approx(expected)

    def test_per_chunk(self) -> None:
        """Times per rank are spread over its chunks; times per chunk are taken as they are."""
        whole = replay_works("interleaved", 8, 2, [Work(2.0, 4.0)] * 4)
        parts = replay_works("interleaved", 8, 2, [[Work(1.0, 2.0)] * 2] * 4)
        assert whole.tasks == parts.tasks


class TestHops:
    """Sends take their time."""

    def test_where_the_ends_are(self) -> None:
        """Inside a node, across nodes, and the way back of a loop."""
        hop = hops(0.1, 1.0, 4)
        assert [hop(0, 1), hop(3, 4), hop(4, 3), hop(6, 7), hop(7, 0)] == [0.1, 1.0, 1.0, 0.1, 1.0]

    def test_only_boundaries_between_nodes_cost(self) -> None:
        """Forward only: one slow boundary is crossed once."""
        assert replay("forward-only", 8, 16, hop=hops(0.0, 0.5, 4)).makespan == pytest.approx(23.5)

    def test_the_way_back_counts_in_a_loop(self) -> None:
        """p = 4, v = 2: 2(v-1) ways back in fill and drain."""
        ran = replay("interleaved", 4, 8, 2, hop=lambda source, target: 0.25 * (abs(source - target) > 1))
        assert ran.makespan == pytest.approx(19 + 2 * 0.25)

    def test_asynchronous_sends_block_nobody(self) -> None:
        """The last rank of two starts late by one hop and then never waits."""
        ran = replay("forward-only", 2, 10, hop=0.7)
        assert [task.start for task in ran.tasks[1]] == pytest.approx([1.7 + i for i in range(10)])

    def test_blocking_sends_block_both(self) -> None:
        """Sender and receiver meet: rank 0 starts again after the hop."""
        ran = replay("forward-only", 2, 3, hop=0.5, blocking=True)
        assert [task.start for task in ran.tasks[0]] == pytest.approx([0.0, 1.5, 3.0])
        assert [task.start for task in ran.tasks[1]] == pytest.approx([1.5, 3.0, 4.5])

    def test_exchange_with_one_peer_happens_at_once(self) -> None:
        """1F1B on two ranks: m + 1 hops, not 2m (send_forward_recv_backward)."""
        bare, ran = (replay("1f1b", 2, 8, hop=c, blocking=True).makespan for c in (0.0, 0.1))
        assert ran - bare == pytest.approx(0.9)

    def test_orders_that_block_for_ever(self) -> None:
        """Loops need asynchronous sends: an error, not a hang."""
        with pytest.raises(PlannerError, match="interleaved: with blocking sends"):
            replay("interleaved", 4, 8, 2, hop=0.1, blocking=True)


class TestMemory:
    """What is held from when on."""

    def test_over_time(self) -> None:
        """Taken when a forward starts, given back when its backward ends."""
        assert replay("gpipe", 1, 2).held[0] == ((0.0, 1.0), (1.0, 2.0), (3.0, 1.0), (4.0, 0.0))

    def test_split_backward(self) -> None:
        """I gives back what W does not need."""
        (row,) = replay("zb-h1", 1, 1, backward=2.0, weight=1.0, weight_share=0.4).held
        assert row == ((0.0, 1.0), (2.0, 0.4), (3.0, 0.0))

    def test_inference_keeps_nothing(self) -> None:
        """One micro-batch at a time."""
        ran = replay("forward-only", 3, 5)
        assert [ran.peak(rank) for rank in range(3)] == [1.0] * 3
        assert ran.held[0][-1] == (5.0, 0.0)

    def test_chunks_are_parts(self) -> None:
        """A chunk of v = 2 is half a micro-batch; a stage of DualPipe is a whole one."""
        assert replay("interleaved", 4, 8, 2).held[0][0] == (0.0, 0.5)
        assert replay("dualpipe", 4, 8, backward=2.0, weight=1.0).held[0][0] == (0.0, 1.0)


@pytest.mark.parametrize(
    ("name", "p", "m", "v", "said"),
    [
        ("zb-h9", 4, 8, 1, "no schedule is called 'zb-h9'"),
        ("interleaved", 4, 9, 2, "no multiple"),
        ("naive", 4, 2, 1, "undivided"),
        ("dualpipe", 3, 8, 2, "even"),
        ("1f1b", 0, 8, 1, "positive"),
        ("1f1b", 4, 0, 1, "positive"),
        ("1f1b", 4, 8, -1, "positive"),
        ("zb-h1", 4, 8, 1, "weight gradient"),
    ],
)
def test_errors(name: str, p: int, m: int, v: int, said: str) -> None:
    """Each names what is wrong."""
    with pytest.raises(PlannerError, match=said):
        replay(name, p, m, v)


@settings(max_examples=60, deadline=None)
@given(
    p=st.integers(2, 6),
    m=st.integers(1, 16),
    name=st.sampled_from(["gpipe", "1f1b", "forward-only"]),
    seed=st.integers(0, 999),
    hop=st.floats(0.0, 1.0),
)
def test_blocking_is_never_faster(p: int, m: int, name: str, seed: int, hop: float) -> None:
    """Whatever the stages."""
    draw = random.Random(seed)
    works = [Work(draw.uniform(0.5, 2), draw.uniform(0.5, 4)) for _ in range(p)]
    free, bound = (replay_works(name, m, 1, works, hop=hop, blocking=b).makespan for b in (False, True))
    assert bound >= free * (1 - 1e-9)


@pytest.fixture(scope="module")
def ranked() -> list[Ranked]:
    """Ten plans of Llama 70B on 64 A100."""
    question = ask("llama3.1-70b", "8x8xA100-80GB", tp="4")
    return recommend(question.job, question.bounds, top=10).ranked


class TestPlans:
    """Plans of the ranking, replayed with their own stage times."""

    def test_closed_form_and_replay_agree(self, ranked: list[Ranked]) -> None:
        """Within 3 %, the band beyond which a recommendation is flagged."""
        assert ranked
        for one in ranked:
            assert abs(compare(one.job, one.plan).difference) < 0.03

    def test_works_are_those_of_the_closed_form(self, ranked: list[Ranked]) -> None:
        """All chunks together are the pipeline's sums."""
        for one in ranked:
            works, stages = chunk_works(one.job, one.plan), pipeline_stages(one.job, one.plan)
            for of in ("forward", "backward"):
                assert sum(getattr(w, of) for row in works for w in row) == pytest.approx(float(stages.sum(of)))

    def test_timeline(self, ranked: list[Ranked]) -> None:
        """Counts of the plan, head on the last rank, embedding on the first."""
        for one in ranked:
            ran, plan = replay_plan(one.job, one.plan), one.plan
            assert (ran.schedule, ran.p, ran.m, ran.v) == (plan.schedule, plan.pp, plan.m, plan.v)
            assert sum(map(len, ran.tasks)) == 2 * plan.pp * plan.m * plan.v

    def test_hops_are_fast_inside_a_domain_only(self) -> None:
        """tp = 4, dp = 1 on nodes of eight: ranks 0 and 1 share NVLink, 1 and 2 do not."""
        job = ask("llama3.1-70b", "8x8xA100-80GB").job
        hop = plan_hops(job, Plan(tp=4, pp=16, dp=1, m=16))
        assert hop(0, 1) < hop(1, 2) and hop(0, 1) == hop(2, 3)
