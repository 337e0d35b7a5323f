"""Search throughput, wall time and memory: run it by hand, `python benchmarks/search.py`.

Each case is one fresh process, timed from its start to its last byte, so that "wall" is what a user waits from a cold
start; plans per second and core come from the search loop alone, on one core.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time

CASES = {
    "70B on 8 x A100": ["-m", "llama70b", "-g", "8xA100"],
    "70B on 64 x A100": ["-m", "llama70b", "-g", "64xA100"],
    "70B on 128 x H100": ["-m", "llama70b", "-g", "16x8xH100"],
    "405B on 16,384 x H100": ["-m", "llama3.1-405b", "-g", "2048x8xH100", "--global-batch", "2048", "--seq", "8192"],
    "405B, batch 16,384": ["-m", "llama3.1-405b", "-g", "2048x8xH100", "--global-batch", "16384", "--seq", "8192"],
    "22B, batch 55,440, any tp": ["-m", "megatron-22b", "-g", "630x8xA100", "--global-batch", "55440", "--tp", "1.."],
}
ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def run(arguments: list[str]) -> tuple[dict[str, float], float]:
    """One search in a fresh process: its `search` record and the wall time."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "planner", "recommend", "--json", "-q", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | ONE_CORE, check=False)
    wall = time.perf_counter() - started
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)["search"], wall


def main() -> None:
    """Print one line per case: best wall time of three, and its search's rate."""
    print(f"{'case':<28} {'plans':>10} {'fit':>9} {'search':>8} {'plans/s':>12} {'wall':>7}")
    for name, arguments in CASES.items():
        search, wall = min((run(arguments) for _ in range(3)), key=lambda pair: pair[1])
        rate = search["plans"] / search["seconds"]
        print(
            f"{name:<28} {search['plans']:>10,} {search['feasible']:>9,} {search['seconds']:>6.2f} s"
            f" {rate:>12,.0f} {wall:>5.2f} s"
        )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"peak memory of the largest process: {peak / 1024:,.0f} MB")


if __name__ == "__main__":
    main()
