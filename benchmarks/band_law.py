"""The law of bands: half-widths out of residuals of runs that the constants have not seen.

A width is the 80 % quantile of |log(predicted/measured)|, in which a source weighs as the root of the number of its
runs: neither one source with a thousand nor one with a single run decides. Presets with MANY runs of a class have a
width of their own, which is no narrower than the class's where a single source is behind it: such a preset was fitted
to the runs that it is held against.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

COVERAGE = 0.8

MANY = 10
"""Runs without which a preset has no width of its own for times."""


@dataclass(frozen=True)
class Residual:
    """|log(predicted/measured)| of one held-out run of a preset."""

    kind: str
    source: str
    scale: str
    size: float
    preset: str = ""


def quantile(found: Sequence[Residual]) -> float:
    """The COVERAGE quantile; each source weighs as the root of the number of its runs."""
    count = Counter(r.source for r in found)
    ordered = sorted(found, key=lambda r: r.size)
    weight = np.cumsum([count[r.source] ** -0.5 for r in ordered])
    return ordered[min(int(np.searchsorted(weight, COVERAGE * weight[-1])), len(ordered) - 1)].size


def presets_of(found: Sequence[Residual]) -> dict[str, list[Residual]]:
    """Residuals of presets with MANY runs."""
    count = Counter(r.preset for r in found)
    return {name: [r for r in found if r.preset == name] for name, n in sorted(count.items()) if name and n >= MANY}


def alone(found: Sequence[Residual]) -> bool:
    """Whether one source has them all."""
    return len({r.source for r in found}) == 1


def rounded(found: Sequence[Residual]) -> float:
    """The quantile, up to tenths of a per cent."""
    return upward(quantile(found))


def upward(width: float) -> float:
    """To tenths of a per cent."""
    return float(np.ceil(round(width * 1000.0, 6)) / 1000.0)


def earned(found: Sequence[Residual]) -> dict[str, Any]:
    """The width of some residuals, and of presets with MANY of them."""
    width = rounded(found)
    own = {name: (rounded(ones), alone(ones)) for name, ones in presets_of(found).items()}
    return {"width": width, "presets": {name: max(w, width) if one else w for name, (w, one) in own.items()}}


def no_smaller(record: dict[str, Any], others: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A record with widths that are at least those of others, all together and by preset."""
    presets = {name: max(w, *(o["presets"].get(name, 0.0) for o in others)) for name, w in record["presets"].items()}
    return record | {"width": max(record["width"], *(one["width"] for one in others)), "presets": presets}


def inside(found: Sequence[Residual], record: dict[str, Any]) -> list[bool]:
    """Which residuals lie in the widths of a record."""
    return [r.size <= record["presets"].get(r.preset, record["width"]) for r in found]


def left_out(found: Sequence[Residual]) -> list[bool]:
    """Which runs lie inside the widths that the other sources give: held out one by one, those without others apart."""
    kept: list[bool] = []
    for name in sorted({r.source for r in found}):
        rest = [r for r in found if r.source != name]
        if len({r.source for r in rest}) > 1:
            kept += inside([r for r in found if r.source == name], earned(rest))
    return kept
