"""A timeline as one HTML file that needs nothing else: the drawing, its numbers, what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from planner.report.panels import Clock, Panel, facts, verdict
from planner.report.timeline_svg import svg

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--faint:#5b6470;--line:#d5d9df;--page:#ffffff}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ed;--faint:#9aa4b0;--line:#3a424c;--page:#14171b}}
body{margin:24px;background:var(--page);color:var(--ink);
font:15px/1.45 system-ui,"DejaVu Sans",Helvetica,Arial,sans-serif}
h1{font-size:21px;margin:0 0 12px} p{color:var(--faint);max-width:70em;margin:8px 0}
table{border-collapse:collapse;margin:8px 0 16px} th,td{padding:5px 18px 5px 0;border-bottom:1px solid var(--line)}
th{text-align:left;font-weight:600;white-space:nowrap} td{font-variant-numeric:tabular-nums}
.drawing{overflow-x:auto;border:1px solid var(--line)} .drawing svg{display:block;height:auto}
.zoom{margin:12px 0 6px} button{font:inherit;padding:2px 12px}
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
show(natural+"px");
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
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">\n<style>{STYLE}</style>\n</head>'
        f"\n<body>\n"
        f"<h1>{title}</h1>\n{table(panels, clock)}{best}"
        f'<div class="zoom">{buttons}<output id="zoom"></output></div>\n'
        f'<div class="drawing">\n{svg(panels, clock, standalone=False)}</div>\n<p>{MEANING}</p>\n'
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def table(panels: Sequence[Panel], clock: Clock) -> str:
    """A row of numbers per panel."""
    names = ["schedule", *(name for name, _ in facts(panels[0], clock))]
    head = "".join(f"<th>{name}</th>" for name in names)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(t)}</td>" for t in (p.title, *(t for _, t in facts(p, clock)))) + "</tr>\n"
        for p in panels
    )
    return f"<table>\n<tr>{head}</tr>\n{rows}</table>\n"
