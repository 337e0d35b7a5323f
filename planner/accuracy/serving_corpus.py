"""Measured deployments as cases: from rows of names and numbers to a job, a plan, a load and the value measured."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

from planner.accuracy.machines import Shelf, find_cluster
from planner.accuracy.rows import Row, Skipped, Unusable, number, read_csv, whole
from planner.catalog.library import open_library
from planner.catalog.yamlfile import table
from planner.frozen import frozen
from planner.plan import OnePlan, Plan
from planner.schema.engine import Engine
from planner.schema.formats import COMPUTED
from planner.schema.model import Model
from planner.schema.serving import ServeWorkload
from planner.serving.job import ServeJob
from planner.serving.memory import most_running

Kind = Literal["tpot", "ttft", "isolated ttft", "offline", "static", "latency"]

SAID = table("accuracy", "serving_rows.yaml")
"""What rows leave unsaid and their sources make plain, with the reasons."""

COLUMNS = (
    *("id", "source", "model", "gpu", "n_gpus", "tp", "precision_weights", "framework"),
    *("batch_or_concurrency", "input_len", "output_len", "metric", "value"),
)
"""Columns without which a file is not in the format; every other one may be missing."""


@frozen
class ServeCase:
    """One measured value of one deployment.

    Attributes:
        kind: what was measured; load: users, or a rate where `poisson`; None: as many as run, out of `requests`.
        group: rows of one workload under several layouts; labels: why a row is scored apart.
        in_step: all requests have one length.
    """

    id: str
    source: str
    group: str
    kind: Kind
    job: ServeJob
    plan: OnePlan
    load: float | None
    poisson: bool
    value: float
    requests: float
    labels: frozenset[str] = frozenset()
    notes: str = ""
    in_step: bool = False


@dataclass(slots=True)
class ServeCorpus:
    """Cases out of tables."""

    shelf: Shelf = field(default_factory=lambda: Shelf(open_library()))
    cases: list[ServeCase] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def add(self, rows: Iterable[Row]) -> None:
        """Read rows; those that cannot be used are kept with their reason."""
        for row in rows:
            try:
                self.cases.append(case(self.shelf, row))
            except Unusable as error:
                self.skipped.append(Skipped(row.get("id", ""), str(error)))


def read_rows(path: Path) -> tuple[Row, ...]:
    """Rows of a table of measured deployments.

    Raises:
        PlannerError: the file cannot be read, is no CSV, or lacks columns.
    """
    return read_csv(path, COLUMNS)


def case(shelf: Shelf, row: Row) -> ServeCase:
    """The case of one row.

    Raises:
        Unusable: a GPU, model or metric that is not known, a count that is none.
    """
    value = number(row.get("value", ""))
    if value is None or value <= 0:
        raise Unusable("no value")
    model, cluster = _model(shelf, row), find_cluster(shelf, row | {"gpu": SAID["gpus"].get(row["gpu"], row["gpu"])})[0]
    engine, workload = _engine(shelf, row), _workload(row, model)
    job = ServeJob(model, cluster, workload, engine.on(cluster.accelerator))
    if not job.runs(workload.weights):
        raise Unusable(f"{workload.weights} on hardware without it")
    kind, load, poisson = _question(row)
    unit = 1e-3 if row["metric"].endswith("_ms") else 1.0
    plan = _plan(row, model)
    labels = frozenset(_labels(row, job, plan, kind))
    return ServeCase(
        row["id"],
        row["source"],
        row.get("sweep_group", ""),
        kind,
        job,
        plan,
        load,
        poisson,
        value * unit,
        _requests(row, workload),
        labels,
        row.get("notes", ""),
        "aiconfigurator" in row["source"] and not _inferencex(row),
    )


def _model(shelf: Shelf, row: Row) -> Model:
    """The catalogue's model, or a GPT of the row's shape."""
    name = row["model"]
    found: Model | None = shelf.find("model", SAID["models"].get(name, name))
    if found is not None:
        return found
    if not name.startswith("gpt"):
        raise Unusable(f"unknown model {name[:40]!r}")
    layers, hidden, heads = whole(row, "n_layers"), whole(row, "hidden"), whole(row, "n_heads")
    if not layers or not hidden or not heads or hidden % heads:
        raise Unusable("no shape")
    shape: dict[str, Any] = {"layers": layers, "hidden": hidden, "heads": heads, "kv_heads": heads, "ffn": 4 * hidden}
    shape |= {"head_dim": hidden // heads, "name": name}
    base: Model = shelf.find("model", "gpt3-175b")
    return base.model_copy(update=shape | {"parameters": None})


def _engine(shelf: Shelf, row: Row) -> Engine:
    text = row.get("framework", "")
    name = next((preset for begins, preset in SAID["engines"] if text.startswith(begins)), None)
    if name is None:
        raise Unusable(f"unknown engine {text[:40]!r}")
    engine: Engine = shelf.find("engine", name)
    return engine


def _workload(row: Row, model: Model) -> ServeWorkload:
    text, prompt, output = row["precision_weights"], number(row["input_len"].lstrip("~")), whole(row, "output_len", 0)
    if prompt is None or output is None:
        raise Unusable("no lengths")
    weights = {"fp8_block": "fp8"}.get(text, text)
    if model.checkpoint is not None and {text, model.checkpoint.weights} == {"nvfp4", "mxfp4"}:
        weights = model.checkpoint.weights  # tables of benchmarks say "fp4" of both
    if weights not in COMPUTED:
        raise Unusable(f"unknown weights {text[:20]!r}")
    kv = row.get("precision_kv") or _cache_type(row, weights)
    return ServeWorkload.model_validate({"input": int(prompt), "output": max(output, 1), "weights": weights, "kv": kv})


def _cache_type(row: Row, weights: str) -> str:
    """KV format where a row does not say: 8-bit beside 8-bit weights in TensorRT-LLM's checkpoints and in InferenceX.

    Its scripts serve the fp8 checkpoint of Llama 70B in vLLM with `kv-cache-dtype: fp8` (SemiAnalysisAI/InferenceX,
    benchmarks/70b_fp8_h100_slurm.sh at 2a205bb, 70b_fp8_h200_slurm.sh at 409e9a4, 70b_fp8_b200_docker.sh at bb4c7f9).
    """
    framework = row["framework"]
    narrow = weights in ("fp8", "nvfp4") and framework.startswith("trtllm")
    return "fp8" if narrow or (framework == "vllm" and weights == "fp8" and _inferencex(row)) else "bf16"


def _inferencex(row: Row) -> bool:
    """Whether a row of aiconfigurator's sample is a run of InferenceX: those bear its month.

    They draw lengths between 0.8 and 1 of the maximum (`--random-range-ratio`) and send 10 prompts per user; the
    others are of one length, so that users who start together stay in step.
    """
    return "measured 20" in row.get("notes", "")


def _plan(row: Row, model: Model) -> OnePlan:
    tp, pp, ep, gpus = (whole(row, name) or 1 for name in ("tp", "pp", "ep", "n_gpus"))
    if model.moe is not None and ep == 1 and _among("copied", row):
        tp, ep = 1, tp
    replica = max(tp, ep) * pp
    if gpus % replica:
        raise Unusable(f"{gpus} GPUs do not make replicas of {replica}")
    return Plan(tp=tp, ep=ep, pp=pp, dp=gpus // replica)


def _among(runs: str, row: Row) -> bool:
    return any(row["framework"].startswith(begins) and source in row["source"] for begins, source in SAID[runs])


def _question(row: Row) -> tuple[Kind, float | None, bool]:
    """What was measured, under which load, and whether requests came by themselves."""
    metric, text = row["metric"], row["batch_or_concurrency"]
    if text.startswith("qps="):
        achieved = re.search(r"achieved (\d+(?:\.\d+)?) req/s", row.get("notes", ""))
        rate = number(achieved[1] if achieved else text[4:])
        kinds: dict[str, Kind] = {"tpot_ms": "tpot", "ttft_ms": "ttft"}
        if rate is None or metric not in kinds:
            return ("offline", None, False) if metric == "output_tokens_per_sec" else _refuse(metric)
        return kinds[metric], rate, True
    load = number(text)
    if metric == "output_tokens_per_sec" and text == "max":
        return "offline", None, False
    if load is None:
        raise Unusable("no load")
    known: dict[str, Kind] = {"tpot_ms": "tpot", "ttft_ms": "ttft", "total_latency_ms": "latency"}
    if metric == "ttft_ms" and row["output_len"] == "1":
        return "isolated ttft", load, False
    if metric == "output_tokens_per_sec":
        return "static", load, False
    return (known[metric], load, False) if metric in known else _refuse(metric)


def _requests(row: Row, workload: ServeWorkload) -> float:
    """How many requests an offline run had: what its notes say, or what the published table does."""
    said = re.search(r"(\d[\d,]*) requests", row.get("notes", ""))
    if said:
        return float(said[1].replace(",", ""))
    shape = workload.input, workload.output
    listed = {(prompt, output): count for prompt, output, count in SAID["lists"]}
    return float(listed.get(shape, 1500 if sum(shape) > 2500 else 3000))


def _refuse(metric: str) -> NoReturn:
    raise Unusable(f"unknown metric {metric[:40]!r}")


def _labels(row: Row, job: ServeJob, plan: OnePlan, kind: Kind) -> Iterable[str]:
    """Why a row is scored apart."""
    if row.get("verified") != "yes":
        yield "unverified"
    if job.model.moe is not None:
        unclear = plan.tp <= 2 and plan.ep == 1 and _among("unclear", row) and not _inferencex(row)
        yield "unclear layout" if unclear else "moe"
    link = job.cluster.scaleup
    if link is not None and link.kind == "pcie" and max(plan.tp, plan.ep) > 1:
        yield "pcie-tp"
    if link is not None and link.kind == "pcie":
        yield "pcie"
    if any(
        word.lower() in row.get(column, "").lower() and source in row["source"]
        for column, word, source in SAID["traps"]
    ):
        yield "trap"
    if job.cluster.accelerator.inference is None:
        yield "unfitted"
    if float(most_running(job, plan)) < 1.0:
        yield "does not fit"
    if _saturated(row):
        yield "saturated"


def _saturated(row: Row) -> bool:
    """An open load of which less than 85 % was served: a run of 500 requests is over before it is steady."""
    achieved = re.search(r"achieved (\d+(?:\.\d+)?) req/s", row.get("notes", ""))
    asked = number(row["batch_or_concurrency"].removeprefix("qps="))
    return bool(achieved and asked and float(achieved[1]) < 0.85 * asked)
