"""planner show: what the catalogue knows."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from planner.errors import PlannerError, suggest


def show(
    what: Annotated[str, typer.Argument(help="models, accelerators, nodes, links, frameworks, engines or recipes")],
    name: Annotated[str | None, typer.Argument(help="One of them: all its facts, with their source")] = None,
    profiles: Annotated[Path | None, typer.Option("--profiles", help="Directory of your own profiles")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout")] = False,
) -> None:
    """List the profiles of a kind, or print one with everything that is known and where it comes from."""
    from planner.catalog.library import KINDS, open_library

    kinds = {folder: kind for kind, (folder, _, _) in KINDS.items()}
    kind = kinds.get(what, what if what in KINDS else "")
    if not kind:
        near = suggest(what, list(kinds)) or kinds
        raise PlannerError(f"nothing to show by the name {what!r}", [f"did you mean: {', '.join(near)} ?"])
    from planner.cli.screen import show as print_lines
    from planner.report.profiles import listing, record, table

    library = open_library(profiles)
    profile = None if name is None else library.find(kind, name).value
    found = listing(kind, library) if profile is None else record(kind, profile)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        print_lines(table(found, profile) if isinstance(found, dict) else (row["line"] for row in found))
