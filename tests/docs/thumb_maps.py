"""docs/rules-of-thumb.md: for each rule what it costs to obey it, job by job, and what the corrected one costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from textwrap import fill
from typing import Any

import numpy as np

from planner.questions.thumbs import THUMBS
from planner.units import GIB
from tests.docs.fields import Deployments, Field, deployments, field, peak

HOLDS = 0.01
"""Cost up to which a rule holds: the share of a step that the ranking takes for a tie."""

BATCHES = (64, 256, 1024)
TRAINING = [
    *(("llama3.1-8b", 8192, f"{nodes}x8xH100") for nodes in (8, 32)),
    *(("llama3.1-70b", 4096, f"{nodes}x8xH100") for nodes in (8, 32, 128)),
    *(("gpt3-175b", 2048, f"{nodes}x8xA100") for nodes in (8, 32, 128)),
    ("llama3.1-405b", 8192, "128x8xH100"),
]
NETWORKS = ("NDR", "8xHDR", "8x100GbE", "100GbE", "25GbE", "10GbE")
DEPTHS = (2, 4, 8, 16)
SERVING = [
    ("llama3.1-8b", "8xH100"),
    ("llama3.1-70b", "8xH100"),
    ("llama3.1-70b", "8xA100"),
    ("llama3.1-70b", "8xL40S"),
    ("llama3.1-70b", "8xA100-40GB-PCIe"),
    ("llama3.1-405b", "2x8xH100"),
    ("llama3.1-405b", "8xH200"),
]
LOADS = {"tp-online": (1, 4), "replicas": (16, 64), "deep-offline": (256, None)}


@dataclass(frozen=True)
class Cell:
    """What a rule costs in one job, and what the corrected one does. silent: it says nothing there."""

    said: float | None
    holds: float | None
    silent: bool = False

    @property
    def words(self) -> str:
        """ "+62% → 0"."""
        return f"{_cost(self.said)} → {'silent' if self.silent else _cost(self.holds)}"


def _cost(value: float | None) -> str:
    return "none" if value is None else "0" if value < 0.005 else f"+{value:.0%}"


@dataclass(frozen=True)
class Map:
    """Costs in jobs: rows by name."""

    columns: tuple[str, ...]
    rows: dict[str, tuple[Cell, ...]]

    @property
    def cells(self) -> list[Cell]:
        """All of them."""
        return [cell for row in self.rows.values() for cell in row]

    def tally(self, corrected: bool) -> tuple[int, int, float, int]:
        """In how many cells it holds, of how many in which it speaks; the highest cost; where no plan obeys it."""
        spoken = [cell for cell in self.cells if not (corrected and cell.silent)]
        costs = [cell.holds if corrected else cell.said for cell in spoken]
        known = [cost for cost in costs if cost is not None]
        return sum(cost < HOLDS for cost in known), len(costs), max(known, default=0.0), len(costs) - len(known)


@cache
def fields() -> dict[tuple[str, int], Field]:
    """The jobs of TRAINING at every batch."""
    return {
        (f"{model}, {gpus}", batch): field(model, gpus, seq=seq, global_batch=batch)
        for model, seq, gpus in TRAINING
        for batch in BATCHES
    }


def full_pipeline(job: Field) -> Cell:
    """m >= 4p."""
    return Cell(
        job.cost((job.pp == 1) | (job.m >= 4 * job.pp)), job.cost(job.full), not (job.full & fitting(job)).any()
    )


def fitting(job: Field) -> Any:
    """Plans that fit."""
    return job.need <= job.capacity


def shallow(job: Field) -> Cell:
    """The fewest stages that fit at any tp."""
    said = job.cost(job.pp == job.pp[fitting(job)].min())
    silent = job.batch < job.gpus or not job.bare.any()
    return Cell(said, None if silent else job.cost(job.fewest(job.tp, job.pp, job.bare)), silent)


def tensor_inside(job: Field) -> Cell:
    """tp = 8."""
    able = job.bare & job.full
    silent = not able.any()
    return Cell(job.cost(job.tp == 8), None if silent else job.cost(job.tp == job.tp[able].min()), silent)


def replica(job: Field) -> Cell:
    """tp 4 to 8 and pp 2 to 8; corrected: tp*pp up to twice its least."""
    said = job.cost((job.tp >= 4) & (job.tp <= 8) & (job.pp >= 2) & (job.pp <= 8))
    able, size = job.bare & job.full, job.tp * job.pp
    if not able.any():
        return Cell(said, None, True)
    least = size[able].min()
    return Cell(said, job.cost((size >= least) & (size <= 2 * least)))


def interleave(job: Field) -> Cell:
    """v > 1 where p <= 8, on networks of 200 Gb/s per GPU and more."""
    many, alone = job.v > 1, job.pp == 1
    corrected = alone | (many == ((job.m < 32 * job.pp) & (job.m % job.pp == 0)))
    return Cell(job.cost(alone | (many == (job.pp <= 8))), job.cost(corrected))


def memory_map() -> Map:
    """GPipe against 1F1B, by memory."""
    jobs = {
        f"{gpus} GPUs, batch {batch:,}": field(
            "llama3.1-70b", f"{gpus // 8}x8xH100", seq=4096, global_batch=batch, framework="any", schedule="1f1b,gpipe"
        )
        for gpus, batch in ((64, 256), (64, 1024), (256, 256), (256, 1024))
    }
    sizes = (40, 80, 141, 192, 288)
    rows = {name: tuple(_schedules(job, size * GIB) for size in sizes) for name, job in jobs.items()}
    return Map(tuple(f"{size} GiB" for size in sizes), rows)


def _schedules(job: Field, capacity: float) -> Cell:
    piped = job.pp > 1
    at = {name: job.best((job.schedule == name) & piped, capacity) for name in ("gpipe", "1f1b")}
    times = {name: np.inf if row is None else float(job.time[row]) for name, row in at.items()}
    least = min(times.values())
    costs = {name: None if time == np.inf else time / least - 1.0 for name, time in times.items()}
    return Cell(costs["gpipe"], costs["1f1b"])


def training_map(cell: Callable[[Field], Cell]) -> Map:
    """A rule over TRAINING and BATCHES."""
    names = dict.fromkeys(name for name, _ in fields())
    rows = {name: tuple(cell(fields()[name, batch]) for batch in BATCHES) for name in names}
    return Map(tuple(f"batch {batch:,}" for batch in BATCHES), rows)


@cache
def served(model: str, gpus: str, users: int | None) -> Deployments:
    """The deployments of a cell."""
    return deployments(model, gpus, users)


def online(job: Deployments) -> Cell:
    """tp alone, over all GPUs; corrected: over the domain, with the fewest stages that fit so."""
    wide = min((int(o.plan.pp) for o in job.holding if o.plan.tp == job.domain), default=0)
    return Cell(
        job.cost(lambda o: bool(o.plan.pp == 1 and o.plan.dp == 1)),
        job.cost(lambda o: bool(o.plan.tp == job.domain and o.plan.pp == wide)),
    )


def replicas(job: Deployments) -> Cell:
    """tp and pp both above 1."""
    return Cell(
        job.cost(lambda o: bool(o.plan.tp > 1 and o.plan.pp > 1)), job.cost(lambda o: bool(o.plan.pp == job.fewest))
    )


def offline(job: Deployments) -> Cell:
    """pp >= 4; corrected: over PCIe only."""
    deep = job.cost(lambda o: bool(o.plan.pp >= 4))
    return Cell(deep, job.cost(lambda o: bool(o.plan.pp == job.fewest)) if job.switched else deep)


def serving_map(rule: str, cell: Callable[[Deployments], Cell]) -> Map:
    """A rule over SERVING and its loads."""
    loads = LOADS[rule]
    rows = {f"{model}, {gpus}": tuple(cell(served(model, gpus, users)) for users in loads) for model, gpus in SERVING}
    return Map(
        tuple("offline" if users is None else "1 user" if users == 1 else f"{users} users" for users in loads), rows
    )


STAGES = {4: (1, 2), 16: (2, 4), 64: (4, 8), 256: (4, 8)}


def depths() -> Map:
    """STAGES by load; corrected: the fewest, over PCIe four and more under the largest load."""
    rows = {}
    for model, gpus in SERVING:
        cells = []
        for users, (low, high) in STAGES.items():
            job = served(model, gpus, users)
            deep = users == max(STAGES) and not job.switched
            corrected = _between(job, 4, 8) if deep else _between(job, job.fewest, job.fewest)
            cells.append(Cell(_between(job, low, high), corrected))
        rows[f"{model}, {gpus}"] = tuple(cells)
    return Map(tuple(f"{users} users" for users in STAGES), rows)


def _between(job: Deployments, low: int, high: int) -> float | None:
    return job.cost(lambda one: bool(low <= one.plan.pp <= high))


@cache
def maps() -> dict[str, Map]:
    """The map of every rule that has one."""
    return {
        "full-pipeline": training_map(full_pipeline),
        "shallow-pipeline": training_map(shallow),
        "tensor-inside": training_map(tensor_inside),
        "replica-size": training_map(replica),
        "interleave": training_map(interleave),
        "early-backward": memory_map(),
        "tp-online": serving_map("tp-online", online),
        "replicas": serving_map("replicas", replicas),
        "depth-by-batch": depths(),
        "deep-offline": serving_map("deep-offline", offline),
    }


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown, numbers to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def networks() -> str:
    """What the best interleaving gains or loses by network and depth, at m = 4p."""
    rows = []
    for network in NETWORKS:
        cells = [_interleaved(depth, 4, network) for depth in DEPTHS]
        rows.append([network, *cells])
    return table(["network", *(f"p = {depth}" for depth in DEPTHS)], rows)


def multiples() -> str:
    """The same by m/p and depth, on NDR."""
    return table(
        ["m/p", *(f"p = {depth}" for depth in DEPTHS)],
        [[f"{times}", *(_interleaved(depth, times, "NDR") for depth in DEPTHS)] for times in (1, 2, 4, 8, 16, 32, 64)],
    )


def _interleaved(depth: int, times: int, network: str) -> str:
    """Time of the fastest with chunks over that of 1F1B, and its chunks: 32 replicas of tp = 8 at most."""
    job = field(
        "llama3.1-70b",
        "32x8xH100",
        network=network,
        seq=4096,
        global_batch=32 * times,
        tp="8",
        pp=str(depth),
        micro_batch="1",
        recompute="none",
        sp="1",
    )
    plain, many = (int(np.argmin(np.where(mask, job.time, np.inf))) for mask in (job.v == 1, job.v > 1))
    return f"{job.time[many] / job.time[plain] - 1.0:+.0%} (v={job.v[many]})"


def bubbles() -> str:
    """Micro-batches per stage that keep the bubble below a share, by chunks: (p-1)/(m*v+p-1) at p = 16."""
    rows = []
    for share in (0.20, 0.10, 0.05):
        most = [15 * (1 / share - 1) / v for v in (1, 2, 4)]
        rows.append([f"{share:.0%}", *(f"{m / 16:.1f}" for m in most)])
    return table(["bubble", "v = 1", "v = 2", "v = 4"], rows)


def peaks() -> str:
    """GiB on the fullest rank of one plan, by m/p and schedule."""
    degrees = {"tp": 8, "pp": 4, "dp": 2}
    chosen = (("gpipe", "GPipe", 1), ("1f1b", "1F1B", 1), ("interleaved", "interleaved, v = 4", 4))
    rows = []
    for times in (1, 2, 4, 8, 16):
        needs = [peak("llama3.1-70b", "8x8xH100", name, **degrees, v=v, m=4 * times) for name, _, v in chosen]
        rows.append([str(times), *(f"{need / GIB:.0f}" for need in needs)])
    return table(["m/p", *(title for _, title, _ in chosen)], rows)


LIMITS = (16, 20, 24, 32, 40, 48, 64, 80, 96, 141, 192, 288)


def curve(name: str) -> str:
    """The best depth under a memory limit, drawn; behind it its tp, what it recomputes and how long a step takes."""
    job = fields()[name, 1024]
    least = float(job.time.min())
    lines = []
    for limit in LIMITS:
        at = job.best(capacity=limit * GIB)
        if at is None:
            lines.append(f"{limit:>4} GiB  nothing fits")
            continue
        deep, again = int(job.pp[at]), " recomputing" if job.recompute_layers[at] else ""
        lines.append(
            f"{limit:>4} GiB  {'█' * deep:<32}  pp={deep:<2} tp={job.tp[at]} {job.time[at] / least:5.2f}{again}"
        )
    return "```text\n" + "\n".join(line.rstrip() for line in lines) + "\n```\n"


EXTRA: dict[str, tuple[tuple[str, Callable[[], str]], ...]] = {
    "full-pipeline": (("Micro-batches per stage, m/p, that a bubble takes at p = 16:", bubbles),),
    "shallow-pipeline": (
        (
            "The best depth under a memory limit, llama3.1-70b on 64 H100, batch 1,024; behind it tp and the time of a "
            "step over that of the fastest plan in any memory:",
            lambda: curve("llama3.1-70b, 8x8xH100"),
        ),
        ("The same of gpt3-175b on 256 A100:", lambda: curve("gpt3-175b, 32x8xA100")),
    ),
    "interleave": (
        (
            "Time of a step with chunks over that without, by network, at m = 4p (llama3.1-70b, 256 H100, tp = 8; 8x: "
            "a port for every GPU, else one for the node):",
            networks,
        ),
        ("The same on NDR by micro-batches per stage:", multiples),
    ),
}


def summary() -> str:
    """All rules with a map in one table."""
    rows = []
    for name, found in maps().items():
        rows.append([f"[{name}](#{name})", *_tally(found.tally(False)), *_tally(found.tally(True))])
    return table(["rule", "holds in", "costs up to", "corrected: holds in", "costs up to"], rows)


def _tally(tally: tuple[int, int, float, int]) -> list[str]:
    holds, cells, most, impossible = tally
    return [f"{holds} of {cells}", f"{most:.0%}" + (f", impossible in {impossible}" if impossible else "")]


INTRODUCTION = """# Rules of thumb, derived

Rules that notes and talks pass on, each held against what the planner computes. A cell is the cost of obeying: the
fastest plan that obeys the rule over the fastest of all, less one; behind the arrow the same of the corrected rule.
`0` is less than half a percent, `none` that no plan that fits obeys, `silent` that the corrected rule says nothing
there. Plans are Megatron-LM's, with ZeRO-1 at most, of every tp, pp, v, dp, micro-batch and recomputation; deployments
are vLLM's, with 1,000 prompt and 250 output tokens. A rule holds where it costs less than 1 %.

`planner recommend` and `planner serve` name the rule that decided their first plan, and what breaking it costs;
`planner help rules` lists the corrected ones. The code makes this page (`PLANNER_REGENERATE=1 pytest tests/docs`).

"""


def page() -> Iterator[str]:
    """The whole page."""
    yield INTRODUCTION
    yield summary()
    for name, thumb in THUMBS.items():
        yield f"\n## {name}\n\n"
        yield fill(f"**Passed on:** {thumb.said}.", 118) + "\n\n"
        yield fill(f"**Holds:** {thumb.holds}.", 118) + "\n\n"
        if name == "recompute":
            yield "GiB on the fullest rank without recomputation (llama3.1-70b, tp = 8, pp = 4, dp = 2, b = 1):\n\n"
            yield peaks()
            continue
        found = maps()[name]
        yield table(["", *found.columns], [[row, *(c.words for c in cells)] for row, cells in found.rows.items()])
        for said, more in EXTRA.get(name, ()):
            yield f"\n{fill(said, 118)}\n\n{more()}"
