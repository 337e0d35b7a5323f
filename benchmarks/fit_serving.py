"""Fit the inference constants of accelerators and engines: `python benchmarks/fit_serving.py [options] PATH ...`.

Prints what the constants would be, fitted to the rows of CSV files (or folders of them) that count in the main scores;
writes nothing.

--halves: the workloads are split in two, and each half is predicted with constants of the other.
--only=vllm,sglang: constants of these owners alone; the others stay as their profiles have them.
--first-token: what delays a first token under load (front, burst, in_step), fitted to those rows alone.

Every constant is fitted as the logarithm of its ratio to a start value, held there by a prior; soft-L1 loss over the
logarithms of predicted over measured; sources, engines and accelerators weigh by the square root of their rows.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from planner.accuracy.serving_corpus import ServeCase, ServeCorpus, read_rows
from planner.accuracy.serving_score import APART, predict

Floats = NDArray[np.float64]

FAMILIES = {
    "a100-sxm4-40gb": "a100",
    "a100-sxm4-80gb": "a100",
    "h100-sxm5-80gb": "hopper",
    "h200-sxm-141gb": "hopper",
    "b200-sxm-180gb": "blackwell",
    "gb200-nvl72": "blackwell",
    "rtx-pro-6000-server": "rtx-pro-6000",
    "l40s-48gb": "l40s",
}
"""Accelerators that share one set of shares."""

STARTS: dict[str, dict[str, float]] = {
    "a100": {"memory": 0.84, "kv": 0.82, "tokens": 96},
    "hopper": {"memory": 0.88, "kv": 0.82, "tokens": 96},
    "blackwell": {"memory": 0.82, "kv": 0.8, "tokens": 80},
    "rtx-pro-6000": {"memory": 0.85, "tokens": 64},
    "l40s": {"memory": 0.85},
    "vllm": {"host_request": 1e-5, "host": 2.1e-3, "kernel": 2.5e-6, "collective": 1.4, "quantise": 0.5},
    "vllm-2024": {"host_request": 1e-5, "host": 1.5e-3, "kernel": 5.5e-6, "collective": 1.8},
    "tensorrt-llm": {"host_request": 1e-5, "host": 8e-4, "host_pipeline": 3e-3, "kernel": 2e-6, "collective": 1.8}
    | {"quantise": 0.5},
    "tensorrt-llm-2024": {"host_request": 1e-5, "host": 5e-4, "kernel": 2.5e-6, "collective": 1.8, "quantise": 0.3}
    | {"reserve": 3e9},
    "sglang": {"host_request": 1e-5, "host": 1e-3, "kernel": 2.5e-6, "collective": 1.5, "quantise": 0.5},
    "fastertransformer": {"host": 3e-4, "kernel": 1e-5, "collective": 1.3},
}
"""Start values: operator benchmarks for accelerators, guesses for engines."""

FIRST_TOKEN: dict[str, dict[str, float]] = {
    "vllm": {"front": 0.03, "burst": 0.05, "in_step": 0.5},
    "tensorrt-llm": {"front": 0.03, "burst": 0.05, "in_step": 0.5},
    "tensorrt-llm-2024": {"front": 0.005, "burst": 0.05},
    "sglang": {"front": 0.03, "in_step": 0.1},
}
"""Start values of what delays a first token."""

WIDTHS = {"memory": 0.05, "kv": 0.06, "tokens": 0.7, "collective": 0.3, "reserve": 0.3, "host_request": 0.8}
"""Standard deviations of the priors, of logarithms; 0.7 for what is not named."""

SCALE, ROUNDS, NUDGE = 0.1, 7, 0.02
"""Error at which the loss turns linear, rounds of Gauss-Newton, step of the derivatives."""


def owners(case: ServeCase) -> tuple[str, str]:
    """The accelerator family and the preset whose constants a case depends on."""
    name = case.job.cluster.accelerator.name
    return FAMILIES.get(name, name), case.job.engine.name


def with_constants(case: ServeCase, values: dict[tuple[str, str], float]) -> ServeCase:
    """The case with other constants."""
    family, engine = owners(case)
    accelerator = case.job.cluster.accelerator
    shares = accelerator.inference
    assert shares is not None
    mine = {key: value for (owner, key), value in values.items() if owner == family}
    part = accelerator.model_copy(update={"inference": shares.model_copy(update=mine)})
    preset = case.job.engine.model_copy(update={key: v for (owner, key), v in values.items() if owner == engine})
    cluster = case.job.cluster.model_copy(update={"accelerator": part})
    return replace(case, job=replace(case.job, cluster=cluster, engine=preset))


class Fit:
    """Constants x = log(value / start), fitted to some cases.

    `shares`: misses are (predicted - measured) / measured instead of logarithms, so that users who wait for reasons
    that no constant has weigh no more than a whole.
    """

    def __init__(self, cases: Sequence[ServeCase], starts: dict[str, dict[str, float]], shares: bool = False) -> None:
        self.cases, self.shares = cases, shares
        self.names = [(owner, key) for owner, keys in starts.items() for key in keys]
        self.starts = np.array([starts[owner][key] for owner, key in self.names])
        self.widths = np.array([WIDTHS.get(key, 0.7) for _, key in self.names])
        groups = [(c.source, *owners(c), c.kind) for c in cases]
        counts = Counter(groups)
        weights = np.array([1.0 / np.sqrt(max(counts[g], 4)) for g in groups])
        self.weights = weights * np.sqrt(len(cases) / (weights**2).sum())

    def values(self, x: Floats) -> dict[tuple[str, str], float]:
        """The constants themselves."""
        return dict(zip(self.names, (self.starts * np.exp(x)).tolist(), strict=True))

    def misses(self, x: Floats, rows: Sequence[int]) -> Floats:
        """log(predicted / measured) of some cases, or their relative errors."""
        values = self.values(x)
        found = [predict(with_constants(self.cases[i], values)) for i in rows]
        return np.array([p.error if self.shares else np.log(p.value / p.case.value) for p in found])

    def derivatives(self, x: Floats, base: Floats) -> Floats:
        """By each constant, of the cases that depend on it."""
        found = np.zeros((len(self.cases), len(x)))
        for column, (owner, _) in enumerate(self.names):
            rows = [i for i, case in enumerate(self.cases) if owner in owners(case)]
            nudged = x.copy()
            nudged[column] += NUDGE
            found[rows, column] = (self.misses(nudged, rows) - base[rows]) / NUDGE
        return found

    def solve(self) -> dict[tuple[str, str], float]:
        """Gauss-Newton with reweighting."""
        x = np.zeros(len(self.names))
        for _ in range(ROUNDS):
            base = self.misses(x, range(len(self.cases)))
            weight = self.weights * (1.0 + (base / SCALE) ** 2) ** -0.25 / SCALE
            rows = np.vstack([self.derivatives(x, base) * weight[:, None], np.diag(1.0 / self.widths)])
            step = np.linalg.lstsq(rows, np.concatenate([-base * weight, -x / self.widths]), rcond=None)[0]
            x = x + np.clip(step, -0.5, 0.5)
        return self.values(x)


def read(paths: Sequence[Path], first_token: bool) -> list[ServeCase]:
    """The cases that constants are fitted to: times to first token under load, or all others."""
    corpus = ServeCorpus()
    for path in paths:
        for file in sorted(path.glob("*.csv")) if path.is_dir() else [path]:
            corpus.add(read_rows(file))
    return [case for case in corpus.cases if not case.labels & APART and (case.kind == "ttft") == first_token]


def errors(cases: Sequence[ServeCase], values: dict[tuple[str, str], float]) -> None:
    """Print the mean |error| by what was measured."""
    found = defaultdict(list)
    for case in cases:
        found[case.kind].append(abs(predict(with_constants(case, values)).error))
    print("  ".join(f"{kind} {np.mean(e):.1%} of {len(e)}" for kind, e in sorted(found.items())))


def main(arguments: Sequence[str]) -> None:
    """Fit to everything, or to each half of the workloads in turn."""
    first_token = "--first-token" in arguments
    cases = read([Path(text) for text in arguments if not text.startswith("--")], first_token)
    only = [name for text in arguments if text.startswith("--only=") for name in text[7:].split(",")]
    starts = {k: v for k, v in (FIRST_TOKEN if first_token else STARTS).items() if not only or k in only}
    if "--halves" not in arguments:
        values = Fit(cases, starts, first_token).solve()
        for (owner, key), value in values.items():
            print(f"{owner:<20} {key:<14} {value:.4g}")
        return errors(cases, values)
    for half in (0, 1):
        side = [crc32((case.group or case.id).encode()) % 2 == half for case in cases]
        values = Fit([case for case, mine in zip(cases, side, strict=True) if mine], starts, first_token).solve()
        errors([case for case, mine in zip(cases, side, strict=True) if not mine], values)


if __name__ == "__main__":
    main(sys.argv[1:])
