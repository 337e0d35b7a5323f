"""Predicted against measured step time, and what following the first choice costs per sweep, as one SVG of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil, floor, log10

from planner.accuracy.measures import GroupRank
from planner.accuracy.predict import Prediction
from planner.frozen import frozen
from planner.report.page_style import asset, shell
from planner.units import format_seconds

SIDE, LEFT, TOP, BAR, GAP = 560.0, 70.0, 56.0, 13.0, 40.0
"""Side of the square plot, its left and upper margin, height of a bar's line, gap between the panels (px)."""

LEGEND, NAMES, BARS, MOST_BARS = 150.0, 300.0, 220.0, 60
"""Widths of the legend, of the groups' names and of a regret of 100 % (px); groups drawn, worst first."""

BANDS = ((0.25, "band wide"), (0.10, "band"))
"""Shaded deviations from the diagonal."""

COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c510a", "#7b3294",
    "#4d4d4d", "#b2182b", "#1b7837", "#c2a500", "#5e4fa2", "#35978f", "#e7298a", "#666600",
)  # fmt: skip
"""One per source, told apart with the common colour deficiencies as far as sixteen can be."""


@frozen
class Axis:
    """Whole decades of seconds that hold all points."""

    low: int
    high: int

    def at(self, seconds: float) -> float:
        """Distance from the axis' origin in px, on a logarithmic scale."""
        return SIDE * (log10(seconds) - self.low) / (self.high - self.low)


def axis(values: Sequence[float]) -> Axis:
    """The smallest run of whole decades around positive values."""
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    return Axis(low, max(high, low + 1))


def svg(predictions: Sequence[Prediction], groups: Sequence[GroupRank]) -> str:
    """The drawing; it needs nothing else and says on hover which run a point is."""
    timed = [p for p in predictions if p.case.step is not None]
    sources = list(dict.fromkeys(p.case.source for p in timed))
    worst = sorted((g for g in groups if g.regret > 0.0), key=lambda g: -g.regret)[:MOST_BARS]
    width = LEFT + SIDE + LEGEND + (GAP + NAMES + BARS + 70 if worst else GAP)
    height = max(TOP + SIDE + 70, TOP + BAR * len(worst) + 60)
    right = sum(g.regret <= 0.0 for g in groups)
    said = f"{right} of {len(groups)} sweeps that spread by more than 10 %: the layout ranked first is the best"
    body = [*_plot(timed, sources), _text(LEFT, TOP + SIDE + 60, said, 'class="faint"')]
    body += _bars(worst, sources, LEFT + SIDE + LEGEND + GAP) if worst else []
    head = f'<svg class="accuracy" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
    head += f'width="{width:.0f}" height="{height:.0f}" role="img">'
    title = f"<title>Predicted against measured: {len(timed):,} runs, {len(groups)} sweeps</title>"
    page = f'<rect width="{width:.0f}" height="{height:.0f}" fill="var(--page)"/>'
    return "\n".join([head, title, f"<style>{asset('accuracy.css')}</style>", page, *body, "</svg>"]) + "\n"


def html(predictions: Sequence[Prediction], groups: Sequence[GroupRank]) -> str:
    """A page around the drawing."""
    title = "Accuracy of the planner"
    return shell(title, f"<h1>{title}</h1>\n{svg(predictions, groups)}", "svg{max-width:100%;height:auto}")


def _colour(source: str, sources: Sequence[str]) -> str:
    return COLOURS[sources.index(source) % len(COLOURS)] if source in sources else COLOURS[0]


def _text(x: float, y: float, words: str, extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{" " + extra if extra else ""}>{escape(words)}</text>'


def _plot(timed: Sequence[Prediction], sources: Sequence[str]) -> Iterator[str]:
    yield _text(LEFT, 26, "Seconds per step, predicted against measured", 'class="head"')
    yield _text(LEFT, 44, "shaded: within 10 % and 25 % of the diagonal", 'class="faint"')
    if not timed:
        yield _text(LEFT, TOP + 30, "no measured times")
        return
    scale = axis([value for p in timed for value in (p.step, p.case.step or p.step)])
    yield '<clipPath id="plot">' + f'<rect x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}"/></clipPath>'
    yield '<g clip-path="url(#plot)">'
    yield from (_band(scale, share, name) for share, name in BANDS)
    yield f'<path class="diagonal" d="M{LEFT} {TOP + SIDE}L{LEFT + SIDE} {TOP}"/></g>'
    yield from _grid(scale)
    yield from (_point(p, scale, _colour(p.case.source, sources)) for p in timed)
    yield from _legend(timed, sources)


def _band(scale: Axis, share: float, name: str) -> str:
    """Points between measured * (1 - share) and measured * (1 + share)."""
    unit = SIDE / (scale.high - scale.low)
    up, down = unit * log10(1 + share), unit * log10(1 - share)
    x, y = LEFT, TOP + SIDE
    corners = ((x, y - up), (x + SIDE, y - SIDE - up), (x + SIDE, y - SIDE - down), (x, y - down))
    return f'<path class="{name}" d="M' + "L".join(f"{a:.1f} {b:.1f}" for a, b in corners) + 'Z"/>'


def _grid(scale: Axis) -> Iterator[str]:
    for decade in range(scale.low, scale.high + 1):
        at, words = scale.at(10.0**decade), format_seconds(10.0**decade).replace(".00", "").replace(".0", "")
        x, y = LEFT + at, TOP + SIDE - at
        yield f'<path class="line" d="M{x:.1f} {TOP}V{TOP + SIDE}M{LEFT} {y:.1f}H{LEFT + SIDE}"/>'
        yield _text(x, TOP + SIDE + 18, words, 'text-anchor="middle" class="faint"')
        yield _text(LEFT - 8, y + 4, words, 'text-anchor="end" class="faint"')
    yield _text(LEFT + SIDE / 2, TOP + SIDE + 38, "measured", 'text-anchor="middle"')
    turn = f"rotate(-90 16 {TOP + SIDE / 2:.0f})"
    yield _text(16, TOP + SIDE / 2, "predicted", f'text-anchor="middle" transform="{turn}"')


def _point(p: Prediction, scale: Axis, colour: str) -> str:
    measured = p.case.step or p.step
    x, y = LEFT + scale.at(measured), TOP + SIDE - scale.at(p.step)
    plan = p.plan
    said = f"{p.case.id}: measured {format_seconds(measured)}, predicted {format_seconds(p.step)}"
    said += (
        f" ({p.step / measured - 1:+.1%})\ntp={plan.tp} cp={plan.cp} pp={plan.pp} v={plan.v} dp={plan.dp} b={plan.b}"
    )
    said += f" m={plan.m}, {p.case.job.model.name} on {p.case.job.cluster.gpus} {p.case.job.cluster.accelerator.name}"
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"><title>{escape(said)}</title></circle>'


def _legend(timed: Sequence[Prediction], sources: Sequence[str]) -> Iterator[str]:
    for line, name in enumerate(sources):
        x, y = LEFT + SIDE + 18, TOP + 12 + 19 * line
        count = sum(p.case.source == name for p in timed)
        yield f'<circle cx="{x:.1f}" cy="{y - 4:.1f}" r="5" fill="{_colour(name, sources)}"/>'
        yield _text(x + 11, y, f"{name} ({count:,})")


def _bars(worst: Sequence[GroupRank], sources: Sequence[str], x: float) -> Iterator[str]:
    """Regret per sweep, the largest first; a bar of no length is a sweep whose best layout was picked."""
    yield _text(x, 26, "Regret: time of the planner's pick over the best measured", 'class="head"')
    yield _text(x, 44, f"the {len(worst)} sweeps with most, of those that spread by more than 10 %", 'class="faint"')
    for line, group in enumerate(worst):
        y, begin = TOP + BAR * line, x + NAMES
        length = max(BARS * group.regret, 1.0)
        said = f"{group.name}: {group.layouts} layouts, worst/best {group.spread:.2f}, regret {group.regret:.1%}"
        said += "" if group.spearman is None else f", rank correlation {group.spearman:.2f}"
        yield f"<g><title>{escape(said)}</title>"
        yield _text(begin - 6, y + 10, group.name[:46], 'text-anchor="end" font-size="10"')
        colour = _colour(group.source, sources)
        yield f'<rect x="{begin:.1f}" y="{y + 2:.1f}" width="{length:.1f}" height="{BAR - 4:.1f}" fill="{colour}"/>'
        yield _text(begin + length + 5, y + 10, f"{group.regret:.1%}", 'class="faint" font-size="10"') + "</g>"
