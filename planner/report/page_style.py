"""Style and script of an answer's page, and what SVG drawings share: light and dark, on paper; no network."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.resources import files

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a8f98", "#b8a800", "#7b5ea7", "#4f5b66")
"""Okabe and Ito's colours, told apart by those who see few of them, and three more for rare parts."""


def asset(name: str) -> str:
    """A style or a script, a line of its own below the tag that it stands in."""
    return "\n" + (files("planner.report") / "assets" / name).read_text(encoding="utf-8")


def shell(title: str, body: str, more: str = "", script: str = "") -> str:
    """A whole file: a title that is HTML already, the parts of the page, what it adds to the style, its script."""
    style, run = asset("page.css"), f"<script>{script}</script>\n" if script else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">\n<style>{style}{more}</style>\n</head>\n'
        f"<body>\n<main>\n{body}</main>\n{run}</body>\n</html>\n"
    )


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
