"""What the planner said of dense jobs before its middle was rebuilt: drawn plans and the measured runs, by part.

`python -m tests.frozen.record` writes the record anew. That is done for a mended defect only, and the commit names the
rows that change, with the reason.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from planner.accuracy.corpus import Corpus
from planner.accuracy.machines import Shelf
from planner.accuracy.predict import predict
from planner.accuracy.rows import read_folder
from planner.plan import Plan
from planner.stages import layers_per_rank
from planner.training.estimate import estimate
from planner.training.job import Job
from tests.frozen import serving
from tests.jobs import job, library, model

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DRAWN, MEASURED, SERVED = (HERE / f"{name}.json.gz" for name in ("drawn", "measured", "served"))
CORPORA = (ROOT / "benchmarks" / "measured", ROOT.parent / "shared" / "data")
"""Runs that are committed, and those that may lie beside a checkout."""

MODELS = (
    "llama3.1-8b",
    "llama3.1-70b",
    "llama3.1-405b",
    "gpt3-175b",
    "gpt2-xl",
    "qwen2.5-72b",
    "gemma2-9b",
    "bloom-176b",
)
CLUSTERS = ("8xA100", "4x8xA100", "64xH100", "2x8xV100", "128x8xH100", "16xA100-PCIE-40GB", "8x8xMI250X", "32xB200")
PRESETS = ("megatron-core", "megatron-core-tuned", "megatron-deepspeed", "deepspeed-zero3", "torchtitan", "nanotron")
COUNT = 500


LAYOUTS = [(1, 0), (1, 0), (1, 1), (1, 2), *((v, 0) for v in range(2, 9))]
"""(v, head)."""


def placed(layers: int, pp: int, v: int, head: int) -> bool:
    """Whether every rank gets a layer and the chunks hold them all."""
    if pp == 1:
        return v == 1 and not head
    ranks = layers_per_rank(layers, pp, head)
    return sum(ranks) == layers and min(ranks) > 0 and (v == 1 or (pp * v <= layers and -layers % (pp * v) <= 2))


def draw(seed: int) -> dict[str, Any]:
    """One random dense job and plan as plain values; the plan need not be legal."""
    dice = random.Random(seed)

    def power(most: int) -> int:
        return int(2 ** dice.randint(0, most))

    of = dice.choice(MODELS)
    tp, cp, pp, dp = power(3), dice.choice((1, 1, 1, 2, 4)), power(4), power(5)
    v, head = dice.choice([(v, head) for v, head in LAYOUTS if placed(model(of).layers, pp, v, head)])
    b, m = power(2), pp * power(3)
    asked = {
        "of": of,
        "on": dice.choice(CLUSTERS),
        "preset": dice.choice(PRESETS),
        "seq": dice.choice((1024, 2048, 4096, 8192, 32768)),
        "batch": b * m * dp,
        "precision": "fp16",
        "attention": dice.choice(("flash", "flash", "flash1", "unfused", "eager")),
        "method": dice.choice(("full", "full", "full", "lora")),
        "optimizer": dice.choice(("adam", "adam", "adam-bf16", "adam-8bit")),
        "offload": dice.choice(("none", "none", "none", "optimizer")),
    }
    plan: dict[str, Any] = {"tp": tp, "cp": cp, "pp": pp, "v": v, "dp": dp, "b": b, "m": m}
    plan |= {"sp": dice.randint(0, 1) if tp > 1 else 0, "zero": dice.randint(0, 3 if pp == 1 else 1)}
    plan |= {"recompute_layers": dice.choice((0, 0, 1, 2, 100)), "head": head}
    plan |= {"schedule": "interleaved" if v > 1 else dice.choice(("1f1b", "1f1b", "gpipe", "naive"))}
    plan |= {"selective": asked["attention"] in ("unfused", "eager") and dice.random() < 0.5}
    return {"job": asked, "plan": plan}


def drawn(row: dict[str, Any]) -> tuple[Job, Plan]:
    """The job and the plan of a drawn row."""
    plan = {name: value for name, value in row["plan"].items() if name != "selective"}
    return job(**row["job"]), Plan(**plan, modules=("core_attn",) if row["plan"].get("selective") else ())


def said(on: Job, plan: Plan) -> dict[str, float]:
    """Every part of the peak and of the step, by name."""
    result = estimate(on, plan)
    parts = {f"memory.{name}": part for name, part in result.memory.parts.items()}
    parts |= {f"time.{name}": part for name, part in result.time.parts.items()}
    return {name: float(np.asarray(part)) for name, part in parts.items()} | {"rank": float(result.rank)}


def tables() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each file of measured runs that is there: its name, and what is said of its dense 16-bit rows."""
    for folder in CORPORA:
        for table in read_folder(folder)[0] if folder.is_dir() else ():
            corpus = Corpus(Shelf(library()))
            corpus.add(table.rows)
            dense = [case for case in corpus.cases if case.job.model.moe is None]
            yield f"{folder.name}/{table.path.name}", [measured(p) for p in predict(dense)]


def measured(one: Any) -> dict[str, Any]:
    """What is said of one run."""
    return {"id": one.case.id, "step": one.step, "need": one.need, "peak": one.peak, **one.parts}


def keyed(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    """Runs by id and by how often it came before: a row with a time and a peak is two cases."""
    count: Counter[str] = Counter()
    found = {}
    for row in rows:
        found[row["id"], count[row["id"]]] = row
        count[row["id"]] += 1
    return found


def read(path: Path) -> Any:
    """A record as written."""
    return json.loads(gzip.decompress(path.read_bytes()))


def write(path: Path, record: Any) -> None:
    """The same record gives the same bytes."""
    path.write_bytes(gzip.compress(json.dumps(record).encode(), mtime=0))


def close(now: dict[str, Any], then: dict[str, Any], relative: float = 1e-9) -> list[str]:
    """Names of numbers that moved by more than `relative` of the largest in the record."""
    numbers = {name: float(value) for name, value in then.items() if kind(name)}
    scale = {k: max(abs(v) for n, v in numbers.items() if kind(n) == k) for k in map(kind, numbers)}
    return [n for n, v in numbers.items() if not abs(float(now[n]) - v) <= relative * scale[kind(n)]]


def kind(name: str) -> str:
    """Bytes are compared with bytes and seconds with seconds."""
    if name == "id":
        return ""
    return (
        "bytes" if name.startswith("memory.") or name in ("need", "peak") else "rank" if name == "rank" else "seconds"
    )


def main(names: Sequence[str] = ()) -> None:
    """Write the records: all, or those of deployments alone ("served")."""
    write(SERVED, serving.record())
    if "served" in names:
        return
    rows = [draw(seed) for seed in range(COUNT)]
    write(DRAWN, [row | {"said": said(*drawn(row))} for row in rows])
    write(MEASURED, dict(tables()))


if __name__ == "__main__":
    main(sys.argv[1:])
