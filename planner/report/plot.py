"""A scatter of points on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH, HEIGHT, MARGIN = 60, 12, 10


def scatter(
    x: Sequence[float], y: Sequence[float], marks: str, across: str, up: str, room: int | None = None
) -> list[str]:
    """Lines of a plot of points, each drawn as its mark, within `room` columns; both axes start at 0.

    Where points share a cell the first one is seen.
    """
    if not x:
        return []
    right, top, width = max(x), max(y), min(WIDTH, (room or WIDTH + MARGIN) - MARGIN)
    grid = [[" "] * width for _ in range(HEIGHT)]
    for px, py, mark in reversed(list(zip(x, y, marks, strict=True))):
        column = min(int(px / right * width), width - 1)
        row = HEIGHT - 1 - min(int(py / top * HEIGHT), HEIGHT - 1)
        grid[row][column] = mark
    labels = [f"{top:8,.0f} ┤"] + ["         │"] * (HEIGHT - 2) + [f"{0:8,.0f} ┤"]
    lines = [f"{up:>9}"] + [label + "".join(cells).rstrip() for label, cells in zip(labels, grid, strict=True)]
    return [*lines, "         └" + "─" * width, f"          0{across:^{width - 10}}{right:8,.0f}"]
