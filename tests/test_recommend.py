"""Rankings of real jobs: what fits, what does not, and what would."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import groupby
from typing import Any, get_args

import numpy as np
import pytest

from planner.bands import fit_verdict
from planner.cost.runs import at
from planner.errors import NoLegalPlan, PlannerError
from planner.launch.targets import writes
from planner.plan import rows_of
from planner.questions import train
from planner.questions.ask import ask
from planner.questions.numbers import numbered
from planner.questions.pins import grown
from planner.questions.relaxed import RELAXATIONS, relax
from planner.questions.train import (
    Recommendation,
    best,
    caveats,
    problem,
    rank,
    recommend,
    roomiest_first,
    smallest_cluster,
    usable_memory,
)
from planner.schema.workload import Offload, Optimizer
from planner.search import Candidate, search
from planner.training.estimate import estimate
from planner.training.job import Job
from planner.training.moments import peak_memory
from planner.training.rules import first_broken, rules_of
from planner.training.space import Bounds, Range, plans, untried
from tests.jobs import job, library

GIB = 2**30
LLAMA_70B = 70.55e9
"""Parameters (safetensors metadata of meta-llama/Llama-3.1-70B: 70,553,706,496)."""


def llama(on: str, **workload: str) -> Job:
    """Llama 3.1 70B, 1,024 sequences of 4,096 tokens."""
    return job("llama3.1-70b", on, seq=4096, batch=1024, **workload)


@cache
def answer(on: str, exact: bool = False, **workload: str) -> Recommendation:
    """All that `recommend` says of it."""
    return recommend(llama(on, **workload), Bounds(), exact=exact)


@pytest.mark.parametrize("on", ["8x8xA100", "16x8xH100"])
class TestFits:
    """Clusters that are large enough."""

    def test_ranks_without_relaxing(self, on: str) -> None:
        """Ten plans, fastest first, each a different layout, tensor parallelism inside the node."""
        told = answer(on)
        assert told.fits and len(told.ranked) == 10 and told.smallest is None and not told.dropped
        assert [r.step_time for r in told.ranked] == sorted(r.step_time for r in told.ranked)
        for ranked in told.ranked:
            assert ranked.relaxations == () and ranked.plan.tp <= 8
        assert len({(r.plan.tp, r.plan.cp, r.plan.ep, r.plan.pp, r.plan.dp) for r in told.ranked}) == 10

    def test_ranked_plans_are_legal_and_fit(self, on: str) -> None:
        """Below what the driver reports, and the search's memory is the estimate's."""
        told = answer(on)
        for ranked in told.ranked:
            assert first_broken(ranked.job, ranked.plan) is None
            assert ranked.need == float(peak_memory(ranked.job, ranked.plan.floats()).memory.total)
            assert ranked.need <= told.capacity <= llama(on).cluster.accelerator.memory

    def test_throughput_adds_up(self, on: str) -> None:
        """Tokens over seconds; MFU by hand: 6*P + 12*L*s*h FLOPs per token (head in, embedding out)."""
        peak = {"8x8xA100": 64 * 312e12, "16x8xH100": 128 * 989e12}[on]
        for ranked in answer(on).ranked:
            assert ranked.tokens_per_second == pytest.approx(1024 * 4096 / ranked.step_time)
            flops = 6 * (LLAMA_70B - 128256 * 8192) + 12 * 80 * 4096 * 8192
            assert ranked.mfu == pytest.approx(ranked.tokens_per_second * flops / peak, rel=1e-3)
            assert 0.2 < ranked.mfu < 0.7

    def test_misses_do_not_fit(self, on: str) -> None:
        """Nearest misses are too large, the leanest first."""
        told = answer(on)
        needs = [miss.need for miss in told.misses]
        assert needs == sorted(needs) and all(need > told.capacity for need in needs)


def test_more_accelerators_are_never_slower() -> None:
    """Twice the A100s: more tokens per second for the best plan, at most twice as many."""
    small, large = (answer(on).ranked[0].tokens_per_second for on in ("8x8xA100", "16x8xA100"))
    assert small < large <= 2 * small * 1.02


class TestDoesNotFit:
    """70B with Adam on eight A100: 18 bytes per parameter are 1,183 GiB, eight hold 633."""

    def test_smallest_cluster_holds_the_states(self) -> None:
        """Whole nodes; as many bytes as arithmetic asks for, and not twice as many."""
        told = answer("8xA100")
        assert not told.fits and told.smallest is not None and told.smallest % 8 == 0
        assert 18 * LLAMA_70B / told.smallest <= told.capacity
        assert told.smallest <= 2 * 18 * LLAMA_70B / told.capacity
        assert recommend(llama(f"{told.smallest // 8}x8xA100"), Bounds(), top=1).fits
        assert not recommend(llama(f"{told.smallest // 8 - 1}x8xA100"), Bounds(), top=1, exact=True).fits

    def test_relaxations_in_the_documented_order(self) -> None:
        """docs/decisions/0008: one at a time, grouped, fastest first inside a group."""
        told = answer("8xA100")
        documented = ["adam-bf16-moments", "adam-bf16", "adam-8bit", "offload", "lora"]
        assert list(RELAXATIONS) == documented
        groups = [name for name, _ in groupby(ranked.relaxations for ranked in told.ranked)]
        assert groups == [(name,) for name in documented if name not in told.dropped]
        for _, group in groupby(told.ranked, key=lambda ranked: ranked.relaxations):
            times = [ranked.step_time for ranked in group]
            assert times == sorted(times)

    def test_relaxed_plans_fit(self) -> None:
        """Recomputed from the job they run."""
        told = answer("8xA100")
        assert told.ranked
        for ranked in told.ranked:
            assert ranked.job == relax(told.job, ranked.relaxations[0]) != told.job
            assert first_broken(ranked.job, ranked.plan) is None
            assert float(peak_memory(ranked.job, ranked.plan.floats()).memory.total) <= told.capacity

    @pytest.mark.parametrize("name", ["llama3.1-70b", "mixtral-8x22b"])
    def test_relaxations_that_are_searched_together_are_those_searched_alone(self, name: str) -> None:
        """The same plans tried and fitting, and the numbers of each relaxed job by itself, bit for bit."""
        of = job(name, "8xA100", seq=4096, batch=64)
        told = recommend(of, Bounds())
        alone = {key: search(plans(relax(of, key), Bounds()), problem(relax(of, key)), 10) for key in RELAXATIONS}
        assert told.feasible == sum(one.feasible for one in alone.values())
        assert told.plans == sum(one.plans for one in alone.values()) + sum(map(len, plans(of, Bounds())))
        for ranked in told.ranked:
            assert ranked.plan in {candidate.plan for candidate in alone[ranked.relaxations[0]].best}
            assert repr(ranked.estimate) == repr(at(estimate(ranked.job, rows_of([ranked.plan])), 0))

    def test_what_a_framework_has_no_option_for_is_planned_for_one_that_has(self) -> None:
        """Megatron-LM trains all weights with fp32 masters (optimizer_config.py); what it runs stays its own."""
        asked = ask("llama3.1-70b", "8xA100")
        told = recommend(asked.job, asked.bounds)
        on = {ranked.relaxations[0]: ranked.job.framework.name for ranked in told.ranked}
        assert on == {"offload": "megatron-core", "lora": "hf"}
        assert {name: said.rpartition(" on ")[2] for name, said in told.dropped.items() if " on " in said} == {
            "adam-bf16": "hf",
            "adam-8bit": "hf",
        }
        for ranked in told.ranked:
            assert writes(ranked.job, ranked.plan)
            alone = recommend(replace(ranked.job, instead=None), asked.bounds, exact=True)
            assert alone.ranked[0].step_time <= ranked.step_time and alone.fits

    def test_exact_gives_up_nothing(self) -> None:
        """Nothing ranked; the nearest misses and the smallest cluster are still told."""
        told = answer("8xA100", exact=True)
        assert told.ranked == [] and not told.fits and not told.dropped
        assert told.smallest == answer("8xA100").smallest
        assert told.misses and all(miss.need > told.capacity for miss in told.misses)
        assert told.misses[0].need > 18 * LLAMA_70B / 8

    def test_a_relaxation_that_is_not_enough_is_dropped(self) -> None:
        """405B on one node: no optimizer helps, each says by how much or why."""
        told = recommend(job("llama3.1-405b", "8xA100", seq=4096, batch=64), Bounds())
        assert set(told.dropped) == set(RELAXATIONS) and not told.ranked
        assert all("short by" in said or "breaks the rule" in said for said in told.dropped.values())


class TestCures:
    """What lets fine-tuning fit that does not as asked, as options."""

    @pytest.mark.parametrize(
        ("name", "on", "workload", "said"),
        [
            # GLM-4.5-Air: 63.4 GiB with experts in 4 bit (axolotl-ai-cloud/axolotl examples/glm45/README.md)
            ("glm-4.5-air", "1xA100-80GB", {"method": "qlora", "lora_targets": "attention"}, "--quantize-experts"),
            ("gpt-oss-20b", "1xRTX4090", {"method": "lora"}, "--method qlora --quantize-experts"),
            # 151,936 words in fp32 and 32 k boundaries: a fused loss and offloaded checkpoints, as Unsloth has them
            ("qwen3-8b", "1xRTX4090", {"method": "qlora", "seq": 32768}, "--loss linear --offload activations"),
            ("qwen3-8b", "1xRTX4090", {"method": "qlora", "seq": 32768}, "--seq 4096"),
        ],
    )
    def test_options_that_save_a_job_of_one_device(
        self, name: str, on: str, workload: dict[str, Any], said: str
    ) -> None:
        """Each by itself is enough, and nothing else of the job is touched."""
        given = {"seq": 2048, "batch": 4} | workload
        told = recommend(job(name, on, "hf", **given), Bounds(), exact=True)
        assert not told.fits and said in told.cures

    def test_none_of_what_fits_and_of_pretraining(self) -> None:
        """Nothing is searched where nothing is asked for, nor where a search takes seconds."""
        assert recommend(job("qwen3-8b", "1xH100", "hf", seq=2048, batch=4, method="lora"), Bounds()).cures == ()
        assert answer("8xA100").cures == ()


def test_smallest_cluster_between_powers_of_two() -> None:
    """405B: 18 bytes times 405.85e9 (meta-llama/Llama-3.1-405B) need 88 A100; 96 do with room for a sequence."""
    of = job("llama3.1-405b", "8xA100", seq=4096, batch=64)
    assert 18 * 405.85e9 / usable_memory(of) > 87
    assert smallest_cluster(of).gpus in (88, 96)


def test_smallest_cluster_of_a_part_of_a_node() -> None:
    """8B does not fit on one A100, but on its whole node."""
    assert smallest_cluster(job("llama3.1-8b", "1xA100", seq=4096, batch=64)).gpus == 8


def pins(**degrees: int) -> Bounds:
    """Degrees pinned to one value."""
    return Bounds({name: Range(value, value) for name, value in degrees.items()})


class TestPinsThatDoNotFit:
    """Nothing inside the pins fits, something else would."""

    def test_the_smallest_cluster_keeps_the_pins(self) -> None:
        """70B with ZeRO-1 and tp = 8 alone: 6 bytes * 70.55e9 / 8 stay on every rank, 12 / 8 more over all ranks."""
        of, limits = llama("2x8xA100"), pins(tp=8, pp=1, zero=1)
        told = recommend(of, limits, exact=True)
        assert told.smallest is not None and told.smallest % 8 == 0
        need = [(6 + 12 * 8 / gpus) * LLAMA_70B / 8 for gpus in (told.smallest, told.smallest - 8)]
        assert need[0] < told.capacity < need[1] + 16 * GIB
        assert recommend(grown(of, told.smallest), limits, exact=True).fits
        assert not recommend(grown(of, told.smallest - 8), limits, exact=True).fits

    def test_none_is_named_where_pins_fix_the_size(self) -> None:
        """tp * pp * dp is the cluster."""
        told = recommend(llama("8xA100"), pins(tp=8, pp=1, dp=1), exact=True)
        assert told.smallest is None and "8 GPUs" in told.larger.why

    def test_none_is_named_where_no_size_helps(self) -> None:
        """Every rank holds all 18 bytes of every parameter, however many there are."""
        told = recommend(llama("8xA100"), pins(tp=1, pp=1, zero=0), exact=True)
        assert told.smallest is None and "with these pins" in told.larger.why

    def test_pins_in_the_way_are_named(self) -> None:
        """8B with 18 bytes per parameter needs 135 GiB; a higher stage of ZeRO is enough, the degrees stay."""
        told = recommend(job("llama3.1-8b", "8xA100", seq=4096, batch=64), pins(tp=1, pp=1, zero=0), exact=True)
        assert told.loosened is not None and told.loosened.pins == ("--zero 0",)
        plan = told.loosened.ranked.plan
        assert (plan.tp, plan.pp) == (1, 1) and plan.zero > 0 and told.loosened.ranked.need <= told.capacity

    def test_nothing_is_loosened_where_nothing_helps(self) -> None:
        """70B on eight A100, as above."""
        assert recommend(llama("8xA100"), pins(tp=8), exact=True).loosened is None


def test_usable_memory() -> None:
    """79.15 GiB as the driver reports them, times the preset's share."""
    assert usable_memory(llama("8xA100")) == pytest.approx(79.15 * GIB * 0.985)


@pytest.mark.parametrize(
    ("ranges", "says"),
    [
        ({"tp": Range(3, 3)}, "tp=3 does not divide the 64 attention heads"),
        ({"pp": Range(5, 5)}, "8 GPUs"),
        ({"zero": Range(2, 2), "pp": Range(2, 2)}, "ZeRO"),
    ],
)
def test_impossible_options(ranges: dict[str, Range], says: str) -> None:
    """The error is the sentence of a rule."""
    with pytest.raises(NoLegalPlan, match=says):
        recommend(llama("8xA100"), Bounds(ranges=ranges))


def test_caveats_name_what_was_never_measured() -> None:
    """Experts have no published run behind them, context parallelism few; plain training on A100 has."""
    assert caveats(llama("8x8xA100"), Bounds()) == ()
    of = job("mixtral-8x7b", "8x8xA100", seq=4096, batch=512)
    said = " ".join(caveats(of, Bounds(ranges={"cp": Range(1, 8)})))
    assert "balanced routing" in said and "CUDA graphs" in said and "context-parallel" in said


@pytest.mark.parametrize(("seq", "tried"), [(8192, False), (32768, True)])
def test_context_parallelism_is_tried_where_sequences_are_long(seq: int, tried: bool) -> None:
    """Otherwise the answer says that it was not, and with which option it is."""
    of = job("llama3.1-8b", "2x8xH100", seq=seq, batch=32)
    answer = recommend(of, Bounds(), top=50)
    assert any(ranked.plan.cp > 1 for ranked in answer.ranked) == tried
    assert ("context parallelism" in [what for what, _ in answer.untried]) != tried


def test_what_an_option_opens_is_no_longer_named() -> None:
    """Every option that the answer names does what it says."""
    of = job("llama3.1-8b", "2x8xH100", seq=4096, batch=32)
    assert [option.split()[0] for _, option in untried(of, Bounds())] == ["--cp", "--tp", "--dp-replicate", "--offload"]
    wide = Bounds(ranges={name: Range(1) for name in ("cp", "tp", "dp_replicate")})
    assert [option for _, option in untried(of, wide)] == ["--cp-comm allgather", "--offload activations"]
    pinned = of.workload.model_copy(update={"context": "allgather", "offload": "activations"})
    assert untried(replace(of, workload=pinned), wide) == ()
    plans_of = {
        (p.tp, p.cp, p.dp_replicate) for batch in plans(of, wide) for p in (batch[i] for i in range(len(batch)))
    }
    assert all(max(column) > 1 for column in zip(*plans_of, strict=True)) and max(tp for tp, _, _ in plans_of) == 16


def test_a_margin_keeps_memory_free() -> None:
    """A tenth of what is usable; the header says so, and every plan obeys."""
    asked = ask("llama3.1-8b", "8xA100", seq=2048, global_batch=64, margin="10%")
    plain = ask("llama3.1-8b", "8xA100", seq=2048, global_batch=64)
    assert usable_memory(asked.job) == pytest.approx(0.9 * usable_memory(plain.job))
    assert any("10.0% of the usable memory" in said for said in asked.assumptions)
    told = recommend(asked.job, asked.bounds)
    assert told.ranked and all(one.need <= 0.9 * usable_memory(plain.job) for one in told.ranked)


def test_strictly_nothing_is_tight() -> None:
    """The band of the peak counts as used."""
    asked = ask("llama3.1-70b", "64xA100", strict_fit=True)
    plain = ask("llama3.1-70b", "64xA100")
    told = recommend(asked.job, asked.bounds)
    assert told.ranked
    for one in told.ranked:
        assert fit_verdict(one.job, one.need, usable_memory(plain.job)) == "fits"


@pytest.mark.parametrize("text", ["100%", "-1%", "x", "1.5"])
def test_a_margin_is_a_share(text: str) -> None:
    """Below all of it."""
    with pytest.raises(PlannerError, match="no share of the memory"):
        ask("llama3.1-8b", "8xA100", margin=text)


def test_room_decides_between_ties() -> None:
    """A tight plan leads only where it is faster by more than a hundredth."""
    told = answer("8x8xA100")
    first, capacity = told.ranked[0], told.capacity
    quick = Candidate(first.plan, 1.0, capacity / 1.01)
    for step, leads in ((1.009, True), (1.011, False)):
        slow = Candidate(first.plan, step, capacity / 2)
        assert (roomiest_first(first.job, [quick, slow], capacity)[0] is slow) == leads


@pytest.mark.parametrize("preset", library().names("framework"))
def test_rules_ask_for_the_update_only_where_they_say_so(preset: str) -> None:
    """Rungs that differ in optimizer and offload share what every other rule says of a plan."""
    of = job("llama3-8b", "2x8xH100", preset, seq=4096, batch=64)
    batches = [batch[:: max(1, len(batch) // 500)] for batch in (one[:] for one in plans(of, Bounds()))]
    changes = [{"optimizer": name} for name in get_args(Optimizer)] + [{"offload": name} for name in get_args(Offload)]
    for rule in (rule for rule in rules_of(of) if not rule.update):
        for changed in changes:
            other = replace(of, workload=of.workload.model_copy(update=changed))
            for batch in batches:
                assert np.array_equal(rule.holds(of, batch), rule.holds(other, batch)), (rule.name, changed)


@pytest.mark.parametrize("asked", [{}, {"pp": "4", "tp": "1"}, {"gpus": "4xH100"}, {"gpus": "16x8xH100", "pp": "8"}])
def test_the_first_plan_is_first_however_many_are_shown(asked: dict[str, str]) -> None:
    """In any verb: layouts and room decide among the same plans."""
    question = ask(**{"model": "llama3-8b", "gpus": "8xH100"} | asked, seq=8192)
    shown = [recommend(question.job, question.bounds, top).ranked for top in (1, 3, 10)]
    assert [len(plans) for plans in shown] == [1, 3, 10]
    assert [one.plan for one in shown[1]] == [one.plan for one in shown[2][:3]]
    found = best(question.job, question.bounds)
    assert found is not None and found.plan == shown[0][0].plan == shown[2][0].plan


def test_plans_with_layouts_of_their_own_keep_their_numbers() -> None:
    """Plans are priced together only where they have the layout in common as well."""
    found = answer("8x8xA100").ranked
    of = next(one for one in found if (one.plan.pp, one.plan.v, one.plan.layout) == (2, 2, None))
    layout = ("E" + "t" * 10, "t" * 30, "t" * 20, "t" * 20 + "L")
    placed = replace(of.plan, layout=layout, head=0)
    both = numbered([(of.job, (), [Candidate(one, 0.0, 0.0) for one in (placed, of.plan)])])
    alone = [rank(of.job, Candidate(one, 0.0, 0.0)) for one in (placed, of.plan)]
    assert [one.step_time for one in both] == [one.step_time for one in alone]
    assert both[0].step_time != both[1].step_time


def test_the_best_plan_alone_is_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells of a sweep and sizes of a cluster are many: what is not kept is not told in full."""
    counted = []
    monkeypatch.setattr(train, "numbered", lambda groups, _: counted.extend(groups[0][2]) or numbered(groups))
    question = ask("llama3-8b", "2x8xH100", seq=8192, pp="2,4")
    assert best(question.job, question.bounds) is not None and len(counted) == 1
