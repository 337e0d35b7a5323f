"""The site of these pages, with search and a gallery of answers, in a folder that needs no network.

    pip install '.[docs]' && python docs/site.py site && python -m http.server -d site

The order of pages is that of README.md; what zensical warns of is an error (docs/decisions/0014-site.md).
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

DOCS = Path(__file__).parent
LINK = re.compile(r"^(?: *)- \[([^\]]+)\]\(([\w/.-]+\.md)\)", re.MULTILINE)
COMMAND = re.compile(r"^```sh\nplanner ([^\n]* (gallery/[\w-]+\.(?:html|svg))[^\n]*)\n```\n", re.MULTILINE)

SETTINGS = """
[project]
site_name = "planner"
site_description = "Ranks parallel plans, of training and of inference, for a real model on a real cluster"
docs_dir = "docs"
site_dir = "site"
use_directory_urls = false
nav = {nav}

[project.theme]
font = false
features = ["content.code.copy", "navigation.indexes", "navigation.top", "search.highlight", "toc.follow"]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"
toggle.icon = "lucide/sun"
toggle.name = "Dark"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
toggle.icon = "lucide/moon"
toggle.name = "Light"
"""


def navigation(docs: Path) -> list[dict[str, Any]]:
    """Sections of README.md with the pages that they link to; a folder's own README brings its other pages along."""
    text = (docs / "README.md").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = [{"Documentation": "README.md"}]
    seen = {"README.md"}
    for title, body in re.findall(r"^\*\*(.+?)\*\*:.*?$(.*?)(?=^\*\*|\Z)", text, re.MULTILINE | re.DOTALL):
        listed = {page for _, page in LINK.findall(body)}
        entries = []
        for name, page in LINK.findall(body):
            entries += [] if page in seen else [{name: _with_folder(docs, page, seen | (listed - {page}))}]
            seen |= set(pages(entries))
        found.append({title: entries})
    return found


def _with_folder(docs: Path, page: str, seen: set[str]) -> str | list[str]:
    if not page.endswith("/README.md"):
        return page
    others = (str(path.relative_to(docs)) for path in sorted((docs / page).parent.glob("*.md")))
    return [page, *(other for other in others if other not in seen and other != page)]


def pages(entries: Any) -> Iterator[str]:
    """All pages of a navigation."""
    if isinstance(entries, str):
        yield entries
    else:
        for entry in entries.values() if isinstance(entries, dict) else entries:
            yield from pages(entry)


def gallery(docs: Path) -> None:
    """Run the commands of gallery.md, and link what they write below them."""
    page = docs / "gallery.md"
    text = page.read_text(encoding="utf-8")
    (docs / "gallery").mkdir(exist_ok=True)
    for command, _ in COMMAND.findall(text):
        done = subprocess.run(
            [sys.executable, "-m", "planner", *shlex.split(command)], cwd=docs, stdout=subprocess.DEVNULL
        )
        if done.returncode not in (0, 1):
            raise SystemExit(f"planner {command} ended with {done.returncode}")
    page.write_text(COMMAND.sub(lambda m: f"{m[0]}\n[Open it]({m[2]})\n", text), encoding="utf-8")


def build(out: Path, drawn: bool = True) -> None:
    """The site in a folder; without the gallery's pages unless they are `drawn`."""
    with TemporaryDirectory() as folder:
        docs = Path(folder) / "docs"
        shutil.copytree(DOCS, docs, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        if drawn:
            gallery(docs)
        nav = json.dumps(navigation(docs)).replace('": ', '" = ')
        settings = Path(folder) / "zensical.toml"
        settings.write_text(SETTINGS.replace("{nav}", nav), encoding="utf-8")
        subprocess.run(["zensical", "build", "--strict", "-f", str(settings)], cwd=folder, check=True)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(Path(folder) / "site", out)


if __name__ == "__main__":
    build(Path(sys.argv[1] if len(sys.argv) > 1 else "site"))
