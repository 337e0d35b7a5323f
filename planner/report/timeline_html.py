"""A timeline as one HTML file that needs nothing else: the drawing, its numbers, what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from planner.report.page_style import asset, shell
from planner.report.panels import Clock, Panel, facts, verdict
from planner.report.timeline_svg import svg

MEANING = (
    "Bubble fraction is idle time over all of the time; bubble overhead is idle time over work. Both are summed over "
    "ranks and never compared with one another. Makespan runs from the first start to the last end; the longest stage "
    "is the longest that one rank takes from its own first start to its own last end. Activations are counted in "
    "micro-batches of a whole rank."
)


def page(panels: Sequence[Panel], clock: Clock) -> str:
    """The whole file."""
    title = escape("Pipeline timeline: " + ", ".join(panel.title for panel in panels))
    best = f"<p>{escape(verdict(panels).capitalize())}.</p>\n" if len(panels) > 1 else ""
    buttons = "".join(
        f'<button type="button" id="{name}">{text}</button> '
        for name, text in (("in", "+"), ("out", "−"), ("fit", "fit"), ("full", "full size"))
    )
    return shell(
        title,
        f"<h1>{title}</h1>\n{table(panels, clock)}{best}"
        f'<div class="zoom">{buttons}<output id="zoom"></output></div>\n'
        f'<div class="drawing">\n{svg(panels, clock, standalone=False)}</div>\n<p class="faint">{MEANING}</p>\n',
        asset("zoom.css"),
        asset("zoom.js"),
    )


def table(panels: Sequence[Panel], clock: Clock) -> str:
    """A row of numbers per panel."""
    names = ["schedule", *(name for name, _ in facts(panels[0], clock))]
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(t)}</td>' for t in (p.title, *(t for _, t in facts(p, clock))))}</tr>\n"
        for p in panels
    )
    caption = "<caption>Numbers of every schedule</caption>"
    return f'<div class="scroll"><table class="numbers">{caption}\n<tr>{head}</tr>\n{rows}</table></div>\n'
