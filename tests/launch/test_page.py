"""docs/launch.md lists every target, launcher and check as they are: PLANNER_REGENERATE=1 writes it anew."""

from __future__ import annotations

import os
import re
from pathlib import Path
from textwrap import fill

from planner.launch.launchers import LAUNCHERS
from planner.launch.program import Target
from planner.launch.targets import TARGETS
from planner.read.megatron_rules import PAIRS, PARALLEL, SWITCHES

PAGE = Path(__file__).parents[2] / "docs" / "launch.md"


def plain(text: str) -> str:
    """A rule's sentence with its placeholders as names."""
    return re.sub(r"\{(\w+)\}", r"*\1*", text)


def target_section(target: Target) -> str:
    """Heading, versions, what is written, what it cannot express."""
    said = f"`--target {target.name}` writes {target.writes}. Checked against {target.versions}. Not expressed:"
    rows = "".join(item(rule.name, f"{plain(rule.says)} ({rule.source})") for rule in target.rules)
    return f"### {target.title}\n\n{fill(said, 118)}\n\n{rows}\n"


def item(name: str, text: str) -> str:
    """One line of a list, wrapped."""
    return (
        fill(f"- `{name}`: {text}", 118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False) + "\n"
    )


def parts() -> dict[str, str]:
    """What stands between the markers."""
    launchers = "".join(f"| `{x.name}` | {x.title} | {x.versions} |\n" for x in LAUNCHERS.values())
    checks = "".join(
        item(check.name, f"{plain(check.says)} ({check.source}; {check.at})")
        for check in (*PARALLEL, *SWITCHES, *PAIRS)
    )
    return {
        "targets": "".join(map(target_section, TARGETS.values())).rstrip() + "\n",
        "launchers": f"| `--launcher` | | checked against |\n|---|---|---|\n{launchers}",
        "flag-rules": checks,
    }


def filled(text: str) -> str:
    """The page with its marked parts as they are today."""
    for name, content in parts().items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        text = re.sub(pattern, lambda m, c=content: f"{m[1]}{c}{m[2]}", text, flags=re.DOTALL)  # type: ignore[misc]
    return text


def test_page_is_up_to_date() -> None:
    """Every rule and every version that the code has."""
    text = PAGE.read_text(encoding="utf-8")
    if os.environ.get("PLANNER_REGENERATE"):
        PAGE.write_text(filled(text), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == filled(text)
