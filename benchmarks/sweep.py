"""Cells per second of a sweep: `python benchmarks/sweep.py`; with a checkout's path, that one's beside this one's.

The cells are 7B to 32B on 8 to 128 GPUs, and two sizes whose search is short, so that everything around it shows. Each
round is one process on one core, timed in its own CPU seconds without the start; the two checkouts take turns.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

SWEEPS = {
    "7B to 32B on 8 to 128": """\
model: [llama2-7b, llama3.1-8b, llama2-13b, qwen2.5-32b]
gpus: [8xA100, 8xH100, 4x8xA100, 16x8xH100]
global-batch: [256, 512]
""",
    "one layout, many batches": """\
model: [llama3.1-8b, llama3.1-70b]
gpus: [8xH100, 2x8xH100]
global-batch: [128, 256, 512, 1024]
tp: [4, 8]
pp: [1, 2]
""",
}
ROUNDS = 5
PROGRAM = """\
import sys, time
try:
    from planner.questions import sweep
except ImportError:  # an older checkout
    from planner import sweep
read = sweep.read_sweep(sys.argv[1], "benchmark")
run, cells = (read.run, list(read.cells())) if hasattr(read, "run") else (sweep.run_cell, read)
run(cells[0])
began = time.process_time()
for cell in cells:
    run(cell)
print(len(cells) / (time.process_time() - began))
"""
ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def rate(checkout: Path, sweep: str) -> float:
    """Cells per second and core of one round."""
    command = [sys.executable, "-c", PROGRAM, sweep]
    environment = os.environ | ONE_CORE | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=checkout, check=True)
    return float(done.stdout)


def main() -> None:
    """Medians over the rounds; beside another checkout also the median of the ratios, round by round."""
    checkouts = [Path(__file__).parents[1], *map(Path, sys.argv[1:2])]
    for name, sweep in SWEEPS.items():
        rounds = [[rate(checkout, sweep) for checkout in checkouts] for _ in range(ROUNDS)]
        here, *others = (statistics.median(column) for column in zip(*rounds, strict=True))
        line = f"{name:<26} {here:>6.1f} cells/s and core"
        if others:
            ratio = statistics.median(one / other for one, other in rounds)
            line += f", {others[0]:.1f} there, x {ratio:.2f}"
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
