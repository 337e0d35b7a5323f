"""The question people ask: rank the plans that fit; when none does, say what would."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from planner.bands import fit_verdict
from planner.blocks.structure import beyond_attention
from planner.cost.dispatch import ONE_COPY
from planner.frozen import frozen
from planner.plan import OnePlan
from planner.questions.cures import cures
from planner.questions.finalists import laid_out, replays
from planner.questions.illegal import no_legal_plan
from planner.questions.numbers import Batches, Shared, Sharing, asked, numbered
from planner.questions.pins import fixes_the_size, flags, grown, keeping, larger, lean, loosened, pinned
from planner.questions.ranked import Ranked as Ranked
from planner.questions.ranked import usable_memory as usable_memory
from planner.questions.relaxed import relaxed
from planner.questions.thumbs import Decided, decided
from planner.schedules import SCHEDULES, offered
from planner.schema.hardware import Cluster
from planner.search import Candidate, Problem, search
from planner.sizing.ladder import joined
from planner.training.job import Job
from planner.training.policies import usual_dispatcher
from planner.training.space import Bounds, plans, searches_context, shards, untried

DISAGREEMENT = 0.03
"""Difference between closed form and replay above which a plan is flagged."""

LARGEST_CLUSTER = 131072
"""Accelerators beyond which the smallest fitting cluster is not searched."""

LISTED = 10
"""Plans among which the first is chosen, however many are shown."""

TIE = 0.01
"""Shares of a step between plans that the room in memory decides."""

FINE = 128
"""Sizes that are tried between two rungs of the ladder."""


@frozen
class Larger:
    """Accelerators of the smallest cluster that will do, inside the pins; or None and why none is named."""

    gpus: int | None = None
    why: str = ""


@frozen
class Loosened:
    """Pins that stood in the way, as typed, and the best plan without them."""

    pins: tuple[str, ...]
    ranked: Ranked


@frozen
class Recommendation:
    """The answer.

    Attributes:
        ranked: plans that run, best first; fits: whether the job fits as asked.
        misses: nearest misses among layouts none of whose plans fit as asked.
        larger: the smallest such cluster that the job fits as asked, when it does not.
        loosened: what fits on these accelerators without some of the pins, when nothing does inside them.
        capacity: bytes that a plan may use per accelerator.
        dropped: relaxations that were not tried, with the reason; cures: options with which fine-tuning would fit.
        untried: what the search left out, with the option that opens it.
        plans, feasible, seconds, broken: what the search did, all relaxations together.
    """

    job: Job
    ranked: list[Ranked]
    fits: bool
    misses: list[Ranked]
    larger: Larger
    loosened: Loosened | None
    capacity: float
    dropped: dict[str, str]
    cures: tuple[str, ...]
    untried: tuple[tuple[str, str], ...]
    plans: int
    feasible: int
    seconds: float
    broken: dict[str, int]

    @property
    def smallest(self) -> int | None:
        """Accelerators of that smallest cluster."""
        return self.larger.gpus

    @property
    def rule(self) -> Decided | None:
        """The rule of thumb that decided the first plan, if one did."""
        return decided(self.ranked[0]) if self.fits and self.ranked else None


def recommend(
    job: Job, bounds: Bounds, top: int = 10, exact: bool = False, tick: Callable[[int], None] | None = None
) -> Recommendation:
    """Rank all plans of a job inside the bounds; relax it in the documented order when none fits, unless `exact`.

    Raises:
        NoLegalPlan: the bounds leave no plan that obeys the rules.
    """
    batches, sharing = Batches(lambda: plans(job, bounds)), Sharing()
    own = asked(job, sharing.of(job))
    outcome = search(batches, own, max(top, LISTED), tick=tick)
    if not outcome.legal:
        raise no_legal_plan(job, bounds)
    ranked = replays(numbered([(job, (), _in_order(job, outcome.best, own, sharing)[:top])], sharing))
    misses = numbered([(job, (), outcome.near[:3])], sharing)
    dropped: dict[str, str] = {}
    smallest, wider, outcomes = Larger(), None, [outcome]
    if not ranked:
        smallest, wider = smallest_cluster(job, bounds), _loosened(job, bounds)
        if not exact:
            ranked, dropped, more = relaxed(job, bounds, batches, sharing, top, tick)
            outcomes += more
    return Recommendation(
        job,
        ranked,
        bool(outcome.feasible),
        misses,
        smallest,
        wider,
        usable_memory(job),
        dropped,
        () if outcome.feasible else cures(job, bounds),
        untried(job, bounds),
        sum(o.plans for o in outcomes),
        sum(o.feasible for o in outcomes),
        sum(o.seconds for o in outcomes),
        outcome.broken,
    )


def roomiest_first(job: Job, found: list[Candidate], capacity: float) -> list[Candidate]:
    """The first plan that fits beyond its band leads where those before it are no more than TIE faster.

    Memory is known to its band, time hardly to TIE: a tight plan that wins by less has not won.
    """
    for one in found:
        if one.cost > (1.0 + TIE) * found[0].cost:
            break
        if fit_verdict(job, one.need, capacity) == "fits":
            return [one, *(other for other in found if other is not one)]
    return found


def best(job: Job, bounds: Bounds) -> Ranked | None:
    """The first plan of the ranking, not replayed; None when none fits as asked or none is legal."""
    sharing = Sharing()
    own = asked(job, sharing.of(job))
    outcome = search(plans(job, bounds), own, LISTED, misses=False)
    return next(iter(numbered([(job, (), _in_order(job, outcome.best, own, sharing)[:1])], sharing)), None)


def _in_order(job: Job, found: list[Candidate], own: Problem, sharing: Sharing) -> list[Candidate]:
    """What a search found, as it is ranked: finalists laid out, and before a tight one what fits as well."""
    return roomiest_first(job, laid_out(job, found, own, sharing.of(job)), own.capacity)


def caveats(job: Job, bounds: Bounds) -> tuple[str, ...]:
    """What no published run in the corpus backs: said wherever the numbers are."""
    part = job.cluster.accelerator
    said = list(job.cluster.doubts)
    if not part.tested:
        said.append(f"{part.name} was never held against measured training runs; times are estimates")
    said.extend(_attention_caveats(job))
    if job.framework.trust == "assumed":
        said.append(f"the preset {job.framework.name} holds assumed constants")
    if job.model.moe is not None:
        said.extend(_expert_caveats(job, bounds))
    if job.model.text_only and job.model.tower is None:
        said.append(f"{job.model.name}: its text decoder only, without the encoders of images or sound before it")
    said.extend(_tower_caveats(job))
    if beyond := beyond_attention(job.model):
        said.append(f"{beyond}: their times were never held against runs")
    if searches_context(job, bounds):
        said.append("context-parallel times were held against measured runs of cp=2 alone")
    if 0 not in bounds["zero"] and not shards(job, bounds):
        said.append("ZeRO has nothing to shard over with dp*cp = 1: every stage is stage 0")
    if job.cluster.gpus > 4096:
        said.append("networks are taken as full bisection; beyond 4,096 GPUs no measured run in the corpus checks that")
    return (*said, *_schedule_caveats(job, bounds))


def caveats_of(job: Job, plan: OnePlan) -> tuple[str, ...]:
    """The same of one plan that somebody has."""
    return caveats(job, Bounds(dispatchers=frozenset({plan.dispatcher})))


def _attention_caveats(job: Job) -> Iterator[str]:
    """An attention kernel that the part has not, or that nobody timed there."""
    part, asked = job.cluster.accelerator, job.workload.attention
    if job.flash and not part.flash:
        yield f"{part.name} has no FlashAttention: what runs there is --attention unfused or eager"
    elif asked in ("flash3", "flash4") and getattr(part.attention, asked) is None:
        yield f"{part.name}: no rate of {asked} is known there; attention is timed as its usual kernel"


def _expert_caveats(job: Job, bounds: Bounds) -> Iterator[str]:
    """What the times of experts rest on, and what the user has to have for them."""
    w = job.workload
    if w.capacity is None and w.imbalance == 1.0:
        yield "experts: balanced routing (natural routing took 8 to 20 % longer); --imbalance says what yours is"
    if w.graphs == "none" and job.framework.expert_wait:
        yield "experts: no CUDA graphs; --cuda-graphs partial or full takes the host's part out of a layer"
    if bounds.dispatchers is None and (used := usual_dispatcher(job)) in ONE_COPY:
        yield f"experts: tokens are sent by {used}, which has to be installed; --dispatcher alltoall needs nothing"


def _tower_caveats(job: Job) -> Iterator[str]:
    """What a vision tower sees, and what is not known of it."""
    of, work = job.model.tower, job.workload
    if of is None:
        return
    if job.model.text_only:
        yield f"{job.model.name}: without the encoder of sound before it"
    if not work.images:
        yield "no image is in the batch (--images): the vision tower takes memory, and no time"
        return
    each = of.tokens(work.image_size)
    size = f"images are brought to {of.image:,}" if of.image else f"images are of {work.image_size:,}"
    taken = f"{work.images * each:,} of the {work.seq:,} tokens of a sequence"
    yield f"{size} pixels a side, {each:,} tokens each, {taken}; videos are not modelled"
    yield "vision towers: their times and activations were never held against runs"


def _schedule_caveats(job: Job, bounds: Bounds) -> Iterator[str]:
    """Schedules that were asked for and are not ranked, and what ranked ones do to the optimizer."""
    asked, framework = bounds.schedules or frozenset(), job.framework
    ranked = offered(framework.schedules, asked)
    left = sorted(asked - set(ranked))
    if left and len(left) < len(asked):
        yield f"not ranked: {', '.join(left)} ({framework.name} does not run them); --framework any does"
    lag = [name for name in ranked if SCHEDULES[name].asynchronous and (not asked or name in asked)]
    if lag:
        yield f"{', '.join(lag)}: asynchronous, gradients are of older weights than those that the optimizer updates"


def rank(job: Job, candidate: Candidate) -> Ranked:
    """All numbers of one plan."""
    return numbered([(job, (), [candidate])])[0]


def problem(job: Job) -> Problem:
    """The search problem of a training job: peak memory against capacity, step time as cost."""
    return asked(job, Shared(job))


def smallest_cluster(job: Job, bounds: Bounds | None = None) -> Larger:
    """Fewest accelerators, in whole nodes of this kind and more than the job's, on which a plan inside the bounds fits.

    Sizes that lie close together are all tried; beyond FINE between two rungs of the ladder, every so many nodes.
    """
    limits, base = bounds or Bounds(), job.cluster
    if fixes_the_size(limits):
        return Larger(None, f"the pinned degrees make {base.gpus:,} GPUs, no more and no fewer")
    if not joined(base) and base.gpus >= base.node.count:
        return Larger(None, f"no network joins several {base.node.name}")
    low = base.gpus
    for gpus in larger(job, limits, LARGEST_CLUSTER):
        if _fits(grown(job, gpus), limits):
            return Larger(next((n for n in _between(base, low, gpus) if _fits(grown(job, n), limits)), gpus), "")
        low = gpus
    pins = " with these pins" if pinned(limits) else ""
    return Larger(None, f"none of those tried up to {LARGEST_CLUSTER:,} holds it{pins}")


def _between(base: Cluster, low: int, high: int) -> range:
    """Whole nodes between two sizes, both left out: FINE of them at most."""
    count = base.node.count
    first, last = low // count + 1, high // count
    return range(first * count, last * count, count * max(1, (last - first) // FINE))


def _fits(job: Job, bounds: Bounds) -> bool:
    """Whether some plan inside the bounds fits."""
    return search(plans(job, lean(bounds)), problem(job), 0, first_fit=True).feasible > 0


def _loosened(job: Job, bounds: Bounds) -> Loosened | None:
    """The best plan without the pins that keep everything from fitting; None when that helps nothing."""
    gone = loosened(bounds, lambda tried: _fits(job, tried))
    found = best(job, keeping(bounds, [n for n in pinned(bounds) if n not in gone])) if gone else None
    return Loosened(flags(bounds, gone), found) if found is not None else None
