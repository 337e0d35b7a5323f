"""Search throughput, wall time and memory: `python benchmarks/search.py`; --write puts the table into the README.

Each case is one fresh process, timed from its start to its last byte, so that "wall" is what a user waits from a cold
start; plans per second and core come from the search loop alone, on one core.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

CASES = {
    "70B on 8 x A100": ["-m", "llama70b", "-g", "8xA100"],
    "70B on 64 x A100": ["-m", "llama70b", "-g", "64xA100"],
    "70B on 128 x H100": ["-m", "llama70b", "-g", "16x8xH100"],
    "405B on 16,384 x H100": ["-m", "llama3.1-405b", "-g", "2048x8xH100", "--global-batch", "2048", "--seq", "8192"],
    "405B, any tp and cp": [
        *("-m", "llama3.1-405b", "-g", "2048x8xH100", "--global-batch", "16384", "--seq", "8192"),
        *("--tp", "1..", "--cp", "1.."),
    ],
    "22B, any tp and cp": [
        *("-m", "megatron-22b", "-g", "630x8xA100", "--global-batch", "55440", "--tp", "1..", "--cp", "1.."),
    ],
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


def table() -> str:
    """One line per case: best wall time of three, and its search's rate."""
    lines = [f"{'case':<24} {'plans':>10} {'fit':>9} {'search':>8} {'plans/s':>12} {'wall':>8}"]
    for name, arguments in CASES.items():
        search, wall = min((run(arguments) for _ in range(3)), key=lambda pair: pair[1])
        rate = search["plans"] / search["seconds"]
        lines.append(
            f"{name:<24} {search['plans']:>10,} {search['feasible']:>9,} {search['seconds']:>6.2f} s"
            f" {rate:>12,.0f} {wall:>6.2f} s"
        )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return "\n".join([*lines, f"peak memory of the largest process: {peak:,.0f} MB", ""])


def main() -> None:
    """Print the table; with --write, put it into the README as well."""
    measured = table()
    print(measured, end="")
    if "--write" in sys.argv:
        readme = Path(__file__).parents[1] / "README.md"
        block = re.compile(r"(<!-- benchmark -->\n```text\n).*?(```\n<!-- /benchmark -->)", re.S)
        text = readme.read_text(encoding="utf-8")
        readme.write_text(block.sub(lambda m: m[1] + measured + m[2], text), encoding="utf-8")


if __name__ == "__main__":
    main()
