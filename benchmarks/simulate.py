"""Operations replayed per second on one core: run it by hand, `python benchmarks/simulate.py`.

The time is that of the whole replay: orders of operations, clock, tasks and held activations.
"""

from __future__ import annotations

from time import perf_counter

from planner.simulate import Timeline, replay

CASES: dict[str, dict[str, object]] = {
    "1f1b, 16 ranks, 1,024 micro-batches": {"name": "1f1b", "p": 16, "m": 1024},
    "the same, blocking sends": {"name": "1f1b", "p": 16, "m": 1024, "hop": 0.01, "blocking": True},
    "gpipe, 8 ranks, 2,048 micro-batches": {"name": "gpipe", "p": 8, "m": 2048},
    "interleaved, 16 ranks, v = 4, m = 256": {"name": "interleaved", "p": 16, "m": 256, "v": 4, "hop": 0.01},
    "zb-v, 16 ranks, 512 micro-batches": {"name": "zb-v", "p": 16, "m": 512, "backward": 2.0, "weight": 1.0},
    "dualpipe, 16 ranks, 512, overlapped": {
        "name": "dualpipe", "p": 16, "m": 512, "backward": 2.0, "weight": 1.0, "hidden": 0.5
    },
}  # fmt: skip


def run(options: dict[str, object]) -> tuple[float, int]:
    """Seconds of one replay, and its operations."""
    started = perf_counter()
    timeline: Timeline = replay(**options)  # type: ignore[arg-type]
    return perf_counter() - started, sum(map(len, timeline.tasks))


def main() -> None:
    """Print one line per case: the best of three."""
    print(f"{'case':<40} {'operations':>10} {'seconds':>8} {'operations/s':>13}")
    for name, options in CASES.items():
        seconds, count = min(run(options) for _ in range(3))
        print(f"{name:<40} {count:>10,} {seconds:>8.3f} {count / seconds:>13,.0f}")


if __name__ == "__main__":
    main()
