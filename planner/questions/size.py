"""From money and time to a cluster: which of several GPUs, and how many of them, for a training run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from time import perf_counter
from typing import TYPE_CHECKING, Any

from planner.catalog.library import Library, open_library, unknown
from planner.errors import NoLegalPlan, PlannerError, meant
from planner.frozen import frozen
from planner.questions.ask import ask
from planner.questions.batch import BATCHES
from planner.questions.given import pythons
from planner.questions.illegal import no_legal_plan
from planner.questions.train import Ranked, caveats
from planner.schema.hardware import Cluster, Node
from planner.sizing import answers
from planner.sizing.answers import OBJECTIVES, Binding, Nearest, Rung
from planner.sizing.limits import Limits, read_budget, read_deadline, read_failures, read_price, read_tokens
from planner.sizing.point import Kind, Point, Run, climb, on, tried

if TYPE_CHECKING:
    from planner.sizing.serving import ServeKind

MOST = 1024
"""GPUs that are tried where neither a deadline nor a budget calls for more and --max-gpus says nothing."""

MOST_LIMITED = 16384
"""GPUs that are tried under a deadline or a budget."""

MOST_KINDS = 12

_COUNT = re.compile(r"^\d+\s*[x×*]\s*\D|:\d+$")


@frozen
class SizeQuestion:
    """A problem with its names resolved.

    Attributes:
        money: whether prices take part; without that they are shown and rank nothing.
    """

    kinds: tuple[Kind, ...]
    run: Run
    limits: Limits
    objective: str
    money: bool
    most: int
    assumptions: tuple[str, ...]


@frozen
class SizeAnswer:
    """Sizes that keep the limits.

    Attributes:
        best: by each objective that is answered; None where no size keeps the limits.
        each: the fewest GPUs of each kind within the limits, in the order asked.
        nearest: what comes nearest when nothing keeps the limits; front: over time, GPUs and, if it counts, money.
        curve: of the kind that answers; pays: its last size before scaling stops to pay.
        points: every size that was tried and fits; misses: the nearest miss of each kind on which nothing does.
        binding: why no size below the answer will do.
    """

    question: SizeQuestion
    best: dict[str, Point | None]
    each: list[Point]
    nearest: Nearest
    front: list[Point]
    curve: list[Rung]
    pays: Point | None
    points: list[Point]
    misses: list[Ranked]
    binding: Binding | None
    seconds: float

    @property
    def answer(self) -> Point | None:
        """The one that the objective names."""
        return self.best[self.question.objective]


@pythons()
def ask_size(
    model: str,
    gpu: str,
    *,
    tokens: str | None = None,
    deadline: str | None = None,
    budget: str | None = None,
    price: Sequence[str] = (),
    objective: str | None = None,
    max_gpus: int | None = None,
    failures: str | None = None,
    checkpoint: str | None = None,
    restart: str | None = None,
    repair: str | None = None,
    today: date | None = None,
    **job: Any,
) -> SizeQuestion:
    """Look up the names and read the limits.

    `gpu` names one or several accelerators or nodes with commas between them; `job` are the options of `ask`. `today`
    is the day from which a deadline that is a date counts.

    Raises:
        PlannerError: whatever is wrong with the question.
    """
    run = Run(read_tokens(tokens), read_failures(failures, checkpoint, restart, repair))
    limits = Limits(read_deadline(deadline, today or date.today()), read_budget(budget))
    _check_limits(run, limits, objective)
    library = open_library(job.get("profiles"), job.get("strict", False))
    names = kind_names(gpu)
    prices = read_prices(price, names, library)
    money = bool(price) or limits.budget is not None or (objective is not None and OBJECTIVES[objective].priced)
    most = _most(max_gpus, limits)
    found = [kind(name, model, library, most, prices.get(name), **job) for name in names]
    kinds = tuple(k for k, _ in found)
    if money:
        check_prices(kinds)
    chosen = objective or ("fastest" if limits.budget and not limits.deadline else "fewest")
    said = dict.fromkeys(s for k, notes in found for s in (*notes, *caveats(k.job, k.bounds)))
    return SizeQuestion(kinds, run, limits, chosen, money, most, (*said, *_said(kinds, run)))


def kind_names(text: str) -> list[str]:
    """Names with commas between them, each once."""
    names = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise PlannerError("--gpu names no GPU", "--gpu H100 or --gpu A100-80GB,H100,p5.48xlarge")
    counted = next((name for name in names if _COUNT.search(name)), None)
    if counted is not None:
        raise PlannerError(f"--gpu {counted!r:.40}: name GPUs without a number", "--gpu H100 --max-gpus 8")
    if len(names) > MOST_KINDS:
        raise PlannerError(f"--gpu takes {MOST_KINDS} names at most, not {len(names)}")
    return names


def _check_limits(run: Run, limits: Limits, objective: str | None) -> None:
    """Refuse limits that mean nothing together."""
    if objective is not None and objective not in OBJECTIVES:
        known = [f"{name:<10}{one.words}" for name, one in OBJECTIVES.items()]
        raise PlannerError(f"--objective {objective!r:.40} is unknown", [*meant(objective, [*OBJECTIVES]), *known])
    for option, value in (("--deadline", limits.deadline), ("--budget", limits.budget)):
        if value is not None and run.tokens is None:
            raise PlannerError(f"{option} needs to know how much is to be trained", f"--tokens 2e12 {option} ...")
    if run.tokens is None and objective is not None and OBJECTIVES[objective].priced:
        raise PlannerError(f"--objective {objective} needs to know how much is to be trained", "--tokens 2e12")


def _most(asked: int | None, limits: Limits) -> int:
    if asked is not None and not 1 <= asked <= 131072:
        raise PlannerError(f"--max-gpus must be between 1 and 131072, not {asked}")
    return asked or (MOST if limits == Limits() else MOST_LIMITED)


def read_prices(texts: Sequence[str], names: Sequence[str], library: Library) -> dict[str, float]:
    """Price by name as typed in --gpu; another spelling of the same profile counts."""
    found: dict[str, float] = {}
    for name, value in map(read_price, (part for text in texts for part in text.split(","))):
        wanted = _profile(name, library)
        same = [n for n in names if n == name or (wanted is not None and _profile(n, library) == wanted)]
        if not same:
            raise PlannerError(f"--price {name!r:.40} is none of --gpu", f"priced can be: {', '.join(names)}")
        if any(n in found for n in same):
            raise PlannerError(f"--price names {name!r:.40} twice")
        found |= dict.fromkeys(same, value)
    return found


def _profile(name: str, library: Library) -> str | None:
    """The accelerator, or else the node, that a name stands for."""
    found = library.lookup("accelerator", name) or library.lookup("node", name)
    return None if found is None else found.value.name


def check_prices(kinds: Sequence[Kind] | Sequence[ServeKind]) -> None:
    """Refuse to rank by money what nobody states a price for."""
    bare = [k.name for k in kinds if k.price is None and all(t.price is None for t in k.types)]
    if bare:
        more = " ".join(f"--price {name}=2.5/h" for name in bare)
        raise PlannerError(f"no price is known for {', '.join(bare)}", f"US dollars per GPU and hour: {more}")


def kind(
    name: str, model: str, library: Library, most: int = MOST, price: float | None = None, **job: Any
) -> tuple[Kind, tuple[str, ...]]:
    """One sort of GPU with everything that its sizes have in common, and what was assumed.

    Raises:
        PlannerError: an unknown name, or a job that this GPU cannot run.
    """
    gpus, whole = smallest(name, library)
    question = ask(model, gpus, library=library, **job)
    given = any(job.get(name) is not None for name in BATCHES)
    types = had_as(name, question.job.cluster, whole, library, most)
    notes = tuple(s for s in question.assumptions if not s.startswith("global batch"))
    return Kind(name, question.job, question.bounds, whole, given, types, price), notes


def smallest(name: str, library: Library) -> tuple[str, bool]:
    """One accelerator, or one whole node, of a name; and whether it is a node."""
    if library.lookup("accelerator", name) is not None:
        return f"{name}:1", False
    if library.lookup("node", name) is None:
        raise unknown(library, ("accelerator", "node"), name)
    return f"1x{name}", True


def had_as(name: str, cluster: Cluster, whole: bool, library: Library, most: int) -> tuple[Node, ...]:
    """Node profiles in which it is to be had; a limit that not even one instance keeps is refused."""
    if (least := cluster.node.count if whole else 1) > most:
        raise PlannerError(f"--max-gpus {most} is less than one {name}", f"--max-gpus {least}")
    return (cluster.node,) if whole else types_of(cluster.accelerator.name, library)


def types_of(accelerator: str, library: Library) -> tuple[Node, ...]:
    """Node profiles of providers that hold this accelerator."""
    nodes = (library.node(name).value for name in library.names("node"))
    return tuple(n for n in nodes if n.accelerator == accelerator and n.provider not in ("generic", "onprem"))


def _said(kinds: Sequence[Kind], run: Run) -> tuple[str, ...]:
    """What the sizes rest on."""
    said = []
    if not all(k.batch for k in kinds):
        said.append("global batch of about 4 M tokens per step at every size; --global-batch sets it")
    if run.tokens is not None and run.failures is None:
        said.append("no failures, no restarts: --failures 4/1000node-days adds them")
    return tuple(said)


def size(question: SizeQuestion) -> SizeAnswer:
    """Try every kind on every rung of the ladder, and answer out of what fits.

    Raises:
        NoLegalPlan: the options leave no plan that obeys the rules on any size.
    """
    started, q = perf_counter(), question
    climbs = [climb(k, q.run, q.most) for k in q.kinds]
    points = [p for one in climbs for p in one]
    misses = [m for k, c in zip(q.kinds, climbs, strict=True) if not c and (m := _miss(k, q.most)) is not None]
    if not points and not misses:
        raise illegal(q.kinds[0], tried(q.kinds[0], q.most)[-1])
    each = answers.fewest_of_each(climbs, q.limits, q.run, q.most)
    best = _best(q, answers.Sizes(points, each, q.limits))
    head = best[q.objective]
    curve = answers.scaling(next((c for c in climbs if c and head is not None and c[0].kind is head.kind), []))
    return SizeAnswer(
        question=q,
        best=best,
        each=each,
        nearest=answers.nearest(points, q.limits),
        front=answers.front(points, q.money),
        curve=curve,
        pays=answers.pays_until(curve),
        points=points,
        misses=misses,
        binding=None if head is None else answers.binding(head, q.run, q.limits),
        seconds=perf_counter() - started,
    )


def _best(question: SizeQuestion, sizes: answers.Sizes) -> dict[str, Point | None]:
    """What each objective chooses that was asked for or is answered beside it."""
    ends, asked = question.run.tokens is not None, question.objective
    answered = {n: one for n, one in OBJECTIVES.items() if n == asked or one.beside(question.money, ends)}
    return {name: one.best(sizes) for name, one in answered.items()}


def _miss(kind: Kind, most: int) -> Ranked | None:
    """The leanest plan on any rung, of a kind on which nothing fits; None when the rules allow none at all."""
    misses = [m for gpus in tried(kind, most) if (m := answers.short(kind, gpus)) is not None]
    return min(misses, key=lambda m: m.need / m.capacity, default=None)


def illegal(kind: Kind, gpus: int) -> NoLegalPlan:
    """The rule that every plan on so many GPUs breaks."""
    return no_legal_plan(on(kind, gpus), kind.bounds)
