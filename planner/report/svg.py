"""What drawings of plans and of timelines have in common as SVG."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from planner.report.page_style import asset


def drawing(
    kind: str, width: float, height: float, title: str, parts: Iterable[str], standalone: bool, style: str = ""
) -> str:
    """The whole file, in the style of its kind and more; `standalone` adds the XML declaration."""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n' if standalone else ""
    return (
        f'{head}<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" role="img" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">\n<title>{escape(title)}</title>\n'
        f'<style>{asset(f"{kind}.css")}{style}</style>\n<rect class="page" width="100%" height="100%"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def written(x: float, y: float, said: str, name: str = "") -> str:
    """Words at a place, in a class of the style."""
    kind = f' class="{name}"' if name else ""
    return f'<text x="{x:.5g}" y="{y:.5g}"{kind}>{escape(said)}</text>'
