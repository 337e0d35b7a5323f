"""Search throughput, wall time and memory: `python benchmarks/search.py`; --write puts it into docs/speed.md.

Each case is one fresh process, timed from its start to its last byte, so that "wall" is what a user waits from a cold
start. The rates come from the search loop for the job as asked, on one core: "plans/s" counts every plan that is
enumerated, "legal/s" those that the rules leave, each of which is scored (memory, and time where it fits).
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


SEARCH = """
import json, sys
from planner import ask
from planner.questions.train import problem
from planner.search import search
from planner.training.space import plans
question = ask(**json.loads(sys.argv[1]))
found = [search(plans(question.job, question.bounds), problem(question.job), 10) for _ in range(3)]
best = min(found, key=lambda outcome: outcome.seconds)
print(json.dumps({name: getattr(best, name) for name in ("plans", "legal", "feasible", "seconds")}))
"""
"""The search alone, best of three in one process."""

NAMES = {"-m": "model", "-g": "gpus", "--global-batch": "global_batch", "--seq": "seq", "--tp": "tp", "--cp": "cp"}


def run(*command: str) -> tuple[str, float]:
    """What a fresh interpreter prints for these arguments, and the seconds from its start to its end."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=os.environ | ONE_CORE, check=False
    )
    wall = time.perf_counter() - started
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    return done.stdout, wall


def asked(arguments: list[str]) -> str:
    """Options of the command line as those of `planner.ask`, in JSON."""
    pairs = zip(arguments[::2], arguments[1::2], strict=True)
    whole = ("--global-batch", "--seq")
    return json.dumps({NAMES[option]: int(text) if option in whole else text for option, text in pairs})


def table() -> str:
    """One line per case: the search's rates, and the best wall time of three."""
    lines = [
        f"{'case':<22} {'plans':>9} {'legal':>9} {'fit':>7} {'search':>7} {'plans/s':>10} {'legal/s':>10} {'wall':>7}"
    ]
    for name, arguments in CASES.items():
        found = json.loads(run("-c", SEARCH, asked(arguments))[0])
        wall = min(run("-m", "planner", "recommend", "--json", "-q", *arguments)[1] for _ in range(3))
        seconds = found["seconds"]
        lines.append(
            f"{name:<22} {found['plans']:>9,} {found['legal']:>9,} {found['feasible']:>7,} {seconds:>5.2f} s"
            f" {found['plans'] / seconds:>10,.0f} {found['legal'] / seconds:>10,.0f} {wall:>5.2f} s"
        )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return "\n".join([*lines, f"peak memory of the largest process: {peak:,.0f} MB", ""])


def main() -> None:
    """Print the table; with --write, put it into docs/speed.md as well."""
    measured = table()
    print(measured, end="")
    if "--write" in sys.argv:
        page = Path(__file__).parents[1] / "docs" / "speed.md"
        block = re.compile(r"(<!-- benchmark -->\n```text\n).*?(```\n<!-- /benchmark -->)", re.S)
        text = page.read_text(encoding="utf-8")
        page.write_text(block.sub(lambda m: m[1] + measured + m[2], text), encoding="utf-8")


if __name__ == "__main__":
    main()
