"""A timeline as one HTML file that needs nothing else: the drawing, its numbers, what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from planner.report.page_style import shell
from planner.report.panels import Clock, Panel, facts, verdict
from planner.report.timeline_svg import svg

STYLE = """
.drawing{overflow-x:auto;border:1px solid var(--line)} .drawing svg{display:block;height:auto}
.zoom{margin:12px 0 6px} .zoom output{display:inline}
table.numbers th,table.numbers td{text-align:left;padding-right:18px}
"""

SCRIPT = """
(function(){
var svg=document.querySelector("svg.timeline"),said=document.getElementById("zoom"),natural=svg.viewBox.baseVal.width;
function show(width){svg.style.width=width;
said.textContent=Math.round(100*svg.getBoundingClientRect().width/natural)+" %";}
function zoom(factor){var width=svg.getBoundingClientRect().width*factor;
show(Math.min(Math.max(width,200),natural*8)+"px");}
document.getElementById("in").onclick=function(){zoom(1.25);};
document.getElementById("out").onclick=function(){zoom(0.8);};
document.getElementById("fit").onclick=function(){show("100%");};
document.getElementById("full").onclick=function(){show(natural+"px");};
show(natural>svg.parentElement.clientWidth?"100%":natural+"px");
})();
"""

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
        STYLE,
        SCRIPT,
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
