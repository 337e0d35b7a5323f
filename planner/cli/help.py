"""planner help: topics that belong to no one command, and the help of each command."""

from __future__ import annotations

from typing import Annotated

import typer

from planner.errors import PlannerError, suggest


def complete(incomplete: str) -> list[str]:
    """Topics that begin so."""
    from planner.report.topics import TOPICS

    return [name for name in TOPICS if name.startswith(incomplete)]


def topics(
    topic: Annotated[str | None, typer.Argument(help="A topic or a command", autocompletion=complete)] = None,
) -> None:
    """Explain a topic: clusters, exit-codes, formats, rules."""
    from planner.cli.commands import HOMES
    from planner.cli.screen import show, width
    from planner.report.grid import prose
    from planner.report.topics import TOPICS

    if topic in HOMES:
        from planner.cli.app import app
        from planner.cli.commands import register
        from planner.cli.usage import run

        words = [topic, "--help"]
        register(app, words)
        run(app, words)
    elif topic is None:
        show(["Topics:", "", *(f"planner help {name:<12}{about}" for name, (about, _) in TOPICS.items())])
        show(["", "Commands: planner -h lists them, planner help COMMAND explains one."])
    elif topic in TOPICS:
        lines = list(TOPICS[topic][1]())
        show(piece for line in lines for piece in (prose([line], width(), 8) or [""]))
    else:
        near = suggest(topic, [*TOPICS, *HOMES]) or TOPICS
        raise PlannerError(f"there is no topic {topic[:80]!r}", f"did you mean: {', '.join(near)} ?")
