"""One row of measurements -> what the cost models need to predict it, or the reason why they cannot.

A fact that the row leaves open is taken, in this order, from the column, from what its source says of all its rows
(`mapping.SOURCES`), from the catalogue's model of that name, and from the custom of such models; what was taken from
the last two is a label on the case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, get_args

from planner.accuracy.machines import Shelf, find_cluster, find_framework
from planner.accuracy.mapping import SAID, SOURCES, Facts
from planner.accuracy.plans import find_plans
from planner.accuracy.rows import Row, Skipped, Unusable, says, usable, whole
from planner.accuracy.shapes import find_model
from planner.accuracy.values import measured
from planner.catalog.library import open_library
from planner.catalog.recipes import packaged_recipe
from planner.errors import PlannerError, UnknownName
from planner.plan import OnePlan
from planner.schema.formats import COMPUTED, STORED
from planner.schema.framework import Framework
from planner.schema.hardware import Cluster
from planner.schema.model import Model
from planner.schema.recipe import Recipe
from planner.schema.workload import OFFLOADED, FlashKernel, Workload
from planner.training.job import Job, check_formats

PRECISIONS = {"": "bf16", "fp8-delayed": "fp8"}
"""Recipes by the names that rows have for them; a row that states none is taken to run in 16 bit."""


@dataclass(frozen=True)
class Case:
    """A measured run as the cost models see it.

    Attributes:
        id, source, group: of the row; `source` is the family, `group` a sweep in which only the layout changes.
        job, plan: what ran. alternatives: further plans that the row may mean, when it does not say what was
            recomputed; the one that comes nearest is scored, apart from the main score.
        step: measured seconds per step. peak: measured bytes. fit: "fits" or "oom". At most one kind each row.
        tool: what read the memory: "allocated", "reserved", "nvidia-smi" or "" (not said).
        rank: pipeline rank whose memory was read: "first", or "" for the fullest.
        labels: what sets the case apart or was assumed. notes: the row's remarks.
    """

    id: str
    source: str
    job: Job
    plan: OnePlan
    alternatives: tuple[OnePlan, ...] = ()
    step: float | None = None
    peak: float | None = None
    fit: str | None = None
    group: str = ""
    tool: str = ""
    rank: str = ""
    labels: frozenset[str] = frozenset()
    notes: str = ""

    @property
    def main(self) -> bool:
        """Part of the main score: dense, 16 bit, recomputation known, nothing doubtful."""
        return self.labels.isdisjoint(SAID["apart"])

    @cached_property
    def layout(self) -> tuple[object, ...]:
        """What two runs of one source share when they are the same run, measured twice or in two ways."""
        model, workload, cluster = self.job.model, self.job.workload, self.job.cluster
        shape = (model.layers, model.hidden, model.ffn, model.heads, model.kv_heads, model.vocab)
        run = (workload.model_dump_json(), cluster.accelerator.name, cluster.gpus, self.job.framework)
        return (self.source, self.plan, shape, run, kernel_of(self.notes))


def kernel_of(notes: str) -> str:
    """The attention kernel that a row's remarks name."""
    return notes.partition("kernel=")[2].partition(";")[0]


@dataclass(slots=True)
class Corpus:
    """Cases by order of their rows, and the rows left out.

    Attributes:
        jobs: records that several rows share, so that their plans can be evaluated together.
        fuller: ids of rows, and of the row that tells the same run more fully (its `existing_id`).
        told: rows by id, from which a fuller one takes what it leaves open.
    """

    shelf: Shelf = field(default_factory=lambda: Shelf(open_library()))
    cases: list[Case] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    jobs: dict[tuple[object, ...], Job] = field(default_factory=dict)
    seen: set[tuple[object, ...]] = field(default_factory=set)
    fuller: dict[str, str] = field(default_factory=dict)
    told: dict[str, Row] = field(default_factory=dict)

    def add(self, rows: Iterable[Row]) -> None:
        """Read more rows; a figure that came before, in this or another file, is not counted twice."""
        for given in rows:
            older = given.get("existing_id", "").partition(" ")[0]
            row = given | {name: cell for name, cell in self.told.get(older, {}).items() if not given.get(name)}
            self.told[row.get("id", "")] = row
            try:
                self._keep(find_case(self.shelf, row, self.jobs))
            except Unusable as reason:
                self.skipped.append(Skipped(row.get("id", ""), str(reason)))
            else:
                self._supersede(older, row["id"])

    def _supersede(self, older: str, newer: str) -> None:
        """Leave out the row of another file that a fuller one names as the same run."""
        if older:
            self.fuller[older] = newer
            gone = [case.id for case in self.cases if case.id == older]
            self.cases = [case for case in self.cases if case.id != older]
            self.skipped += [Skipped(id, f"the same run is told more fully by {newer}") for id in gone]

    def _keep(self, case: Case) -> None:
        if case.id in self.fuller:
            raise Unusable(f"the same run is told more fully by {self.fuller[case.id]}")
        value = case.step or case.peak or case.fit
        figure = (case.layout, case.tool, f"{value:.4g}" if isinstance(value, float) else value)
        if figure in self.seen:
            raise Unusable("the same figure of the same run came before")
        self.seen.add(figure)
        self.cases.append(case)


def family(identity: str) -> str:
    """Source family of an id: "bloom-017" is of "bloom", "mlperf-gpt3-001" of "mlperf-gpt3", "aao-3" of "aa"."""
    known = next((name for begins, name in SAID["families"] if identity.startswith(begins)), None)
    return known or identity.rpartition("-")[0] or identity


def find_case(shelf: Shelf, row: Row, jobs: dict[tuple[object, ...], Job] | None = None) -> Case:
    """The case of one row.

    Raises:
        Unusable: with the reason.
    """
    if row["metric"].startswith("unusable"):
        raise Unusable(row["metric"].partition(": ")[2])
    source, row = family(row["id"]), _mended(row)
    facts = SOURCES.get(source, Facts())
    row = row | {k: v for k, v in facts.row.items() if row.get(k, "") in ("", "unknown")}
    model, shape_labels = find_model(shelf, row, facts)
    cluster, cluster_labels = find_cluster(shelf, row)
    framework, framework_labels = find_framework(shelf, row)
    framework, stated = _stated(row, framework)
    workload = _workload(row, model, cluster)
    recipe = _narrow_attention(row, workload.precision)
    place = row["gpu"], cluster.nodes, cluster.used, row.get("interconnect", "")
    key = (model, workload, framework.name, recipe is None, stated, *place)
    job = Job(model, cluster, workload, framework, recipe)
    if jobs is not None:
        job = jobs.setdefault(tuple(p.model_dump_json() if isinstance(p, Model | Workload) else p for p in key), job)
    plans, plan_labels = find_plans(row, job, source)
    value = measured(row, job)
    labels = {*facts.labels, *shape_labels, *cluster_labels, *framework_labels, *plan_labels, *_kinds(row, job)}
    case = Case(row["id"], source, job, plans[0], plans[1:], labels=frozenset(labels), notes=row.get("notes", ""))
    return replace(case, group=_group(row), **value)


def _mended(row: Row) -> Row:
    """The row with the cells that its source has otherwise."""
    for begins, cells, right in SAID["mended"]:
        if re.match(begins, row["id"]) and all(row.get(name, "") == value for name, value in cells.items()):
            row = row | right
    return row


def _custom(row: Row, what: str) -> bool:
    """Whether it is so in all published runs of the row's framework."""
    return row.get("framework", "").startswith(tuple(SAID[what]))


def _stated(row: Row, framework: Framework) -> tuple[Framework, str]:
    """The preset with what the row, or the custom of its framework, says of the version that ran; the same as text."""
    half = _custom(row, "half_gradients") or says(row, "notes", ("grad_reduce_in_fp32=false",))
    found = {"gradient_bytes": STORED["bf16"]} if half else {}
    found |= {name: float(row[name]) for name in STATED if row.get(name)}
    for begins, words, name, value in SAID["versions"]:
        if row.get("framework", "").startswith(begins) and words in row.get("notes", ""):
            found[name] = value
    return framework.model_copy(update=found) if found else framework, str(found)


STATED = (
    *("logits_bytes", "gradient_bytes", "fp32_stream", "keeps_cache", "experts_apart", "fused_experts"),
    "linear_gates",
)
"""Columns that are fields of Framework; empty ones are the preset's."""


def _workload(row: Row, model: Model, cluster: Cluster) -> Workload:
    """The job. Sequence: the column, else the model's context (torchtitan's configs train at it)."""
    wanted = _recipe(row, cluster)
    batch = whole(row, "global_batch")
    if batch is None:
        raise Unusable("no global batch")
    fields = {
        "seq": whole(row, "seq_len") or model.context,
        "global_batch": batch,
        "precision": wanted,
        "fp8_param_gather": _narrow_weights(row, wanted),
        "attention": _attention(row),
        "method": row.get("method") or ("lora" if "lora" in f"{row.get('model', '')} {row['id']}".lower() else "full"),
        "loss": _loss(row),
        **{name: row[name] for name in TUNED if row.get(name)},
        **_offload(row),
        "graphs": graphs(row)[0],
        "capacity": capacity(row) if model.moe else None,
    }
    return usable(Workload, fields)


def graphs(row: Row) -> tuple[str, tuple[str, ...]]:
    """The mode of CUDA graphs: the column, else the notes, else none; and a label that says whether it is known."""
    said = row.get("cuda_graphs", "")
    if said in ("none", "partial", "full"):
        return said, ("known-graphs",)
    found = next((mode for words, mode in SAID["graphs"] if says(row, "notes", (words,))), None)
    return found or "none", ("known-graphs",) if found else ("unknown-graphs",)


def capacity(row: Row) -> float | None:
    """Tokens that every expert takes over their mean, where the notes say so; a rank's capacity is another thing."""
    found = re.search(r"MoE capacity factor (\d+(?:\.\d+)?)", row.get("notes", ""))
    return float(found[1]) if found else None


def _loss(row: Row) -> str | None:
    """The loss that the framework's name, or the custom of its published runs, brings along."""
    if says(row, "framework", ("liger",)):
        return "linear"
    return "fused" if _custom(row, "fused_loss") else None


def _offload(row: Row) -> dict[str, Any]:
    """What lives on the host, by the column, else by the notes: the optimizer, activations of layers or of modules."""
    if row.get("offload"):
        return {"offload": row["offload"]}
    if layers := re.search(r"activation offload (\d+) layers", row.get("notes", "")):
        return {"offload": "activations", "offload_layers": layers[1]}
    named = re.search(r"offload_modules=\[(.*?)\]|(\w+) offload\b", row.get("notes", ""))
    if modules := tuple(name for name in OFFLOADED if named and name in named[0]):
        return {"offload": "activations", "offload_modules": modules}
    return {"offload": "optimizer" if says(row, "notes", ("cpu-offloaded adamw",)) else "none"}


TUNED = ("lora_rank", "lora_targets", "base", "optimizer", "loss")
"""Columns of fine-tuning that are fields of Workload; empty ones are its defaults."""


def _recipe(row: Row, cluster: Cluster) -> str:
    """The recipe that a row names; fp16 where the accelerator has no bf16, and the reason where it has neither."""
    said = row.get("precision_recipe") or row.get("precision", "")
    wanted, part = PRECISIONS.get(said, said), cluster.accelerator
    if wanted == "bf16" and part.peak.bf16 is None and part.peak.fp16 is not None:
        return "fp16"
    try:
        check_formats(part, packaged_recipe(wanted))
    except UnknownName:
        raise Unusable(f"precision {wanted[:20]!r} is not modelled") from None
    except PlannerError as error:
        raise Unusable(str(error)) from None
    return wanted


def _narrow_weights(row: Row, recipe: str) -> bool:
    """Whether weights are kept in the products' format: what the row says, else the custom of its framework."""
    if packaged_recipe(recipe).primary is None:
        return False
    custom = _custom(row, "narrow_weights") and recipe != "fp8-blockwise"
    return custom or says(row, "notes", ("fp8 parameters", "fp8_param_gather=true", "fp8 all-gather"))


def _narrow_attention(row: Row, name: str) -> Recipe | None:
    """The recipe with its attention core in 8 bit, where the row says so; None where it does not."""
    said = says(row, "notes", ("fp8 attention", "fp8_dot_product_attention=true"))
    return packaged_recipe(name).model_copy(update={"attention": "fp8"}) if said else None


def _attention(row: Row) -> str:
    """The attention kernel: what `notes` name (Hagemann's sheets do), else flash or Megatron's fused softmax."""
    notes = row.get("notes", "")
    named = next((kernel for words, kernel in SAID["kernels"] if words in notes), None)
    given = row.get("flash_attention", "")
    return named or {"no": "unfused"}.get(given, given if given in get_args(FlashKernel) else "flash")


def _kinds(row: Row, job: Job) -> Iterable[str]:
    """Labels that the row itself calls for: those scored apart, and facts that no field of a job can hold."""
    notes, recipe = row.get("notes", ""), job.recipe
    yield from (() if recipe.wide else {COMPUTED[recipe.products.forward], recipe.name})
    yield from (("moe", *graphs(row)[1]) if job.model.moe else ())
    yield from (("lora",) if job.lora else ())
    yield from (("offload",) if job.workload.offload in ("optimizer", "parameters") else ())
    yield from (("derived",) if "derived" in notes else ())
    yield from (("doubtful",) if says(row, "notes", ("doubtful", "suspect")) or row["id"] in SAID["doubtful"] else ())
    yield from (("assumed-layout",) if "assumed for smaller node counts" in notes else ())
    yield from (("deterministic",) if "deterministic" in notes else ())
    yield from (name for words, name in SAID["remarks"] if words in notes)


def _group(row: Row) -> str:
    """Sweep group, one for each attention kernel: a planner chooses layouts, the kernel is given."""
    name = row.get("sweep_group", "")
    return f"{name} {kernel_of(row.get('notes', ''))}".strip() if name else ""
