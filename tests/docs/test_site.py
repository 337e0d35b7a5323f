"""The site of docs/: every page is in its navigation, it builds without a warning, and it asks no other host."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.docs.markdown import DOCS

NEEDED = pytest.mark.skipif(
    shutil.which("zensical") is None and not os.environ.get("PLANNER_REQUIRE_DOCS"),
    reason="the extra docs is not installed",
)


def script() -> Any:
    """docs/site.py."""
    spec = importlib.util.spec_from_file_location("docs_site", DOCS / "site.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_in_the_navigation_once() -> None:
    """By way of README.md, or of the README of its folder."""
    site = script()
    listed = list(site.pages(site.navigation(DOCS)))
    assert sorted(listed) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def test_the_gallery_has_a_picture_for_every_command() -> None:
    """No block of it is missed, and none is written twice."""
    text = (DOCS / "gallery.md").read_text(encoding="utf-8")
    files = [file for _, file in script().COMMAND.findall(text)]
    assert len(files) == len(set(files)) == text.count("```sh\n") >= 8


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site with its gallery."""
    out = tmp_path_factory.mktemp("site") / "site"
    script().build(out)
    return out


@NEEDED
def test_it_builds_strictly_with_every_page_and_the_gallery(built: Path) -> None:
    """What zensical warns of would have been an error."""
    site = script()
    pages = {
        page.removesuffix("README.md") + ("index.md" if page.endswith("README.md") else "")
        for page in site.pages(site.navigation(DOCS))
    }
    assert all((built / page.replace(".md", ".html")).exists() for page in pages)
    for file in re.findall(r"gallery/[\w-]+\.\w+", (DOCS / "gallery.md").read_text(encoding="utf-8")):
        assert 10_000 < (built / file).stat().st_size < 1_500_000
        assert file in (built / "gallery.html").read_text(encoding="utf-8")


@NEEDED
def test_it_asks_no_other_host(built: Path) -> None:
    """Fonts, scripts and pictures lie in the folder; links may lead elsewhere."""
    asked = re.compile(r'(?:src=|<link[^>]+href=|url\()"?(https?://[^")\s]+)')
    found = {
        url
        for path in built.rglob("*")
        if path.suffix in (".html", ".css")
        for url in asked.findall(path.read_text(encoding="utf-8"))
    }
    assert not found


@NEEDED
def test_search_finds_what_people_look_for(built: Path) -> None:
    """An option, a key, a rule and an exit code are in the index."""
    index = json.dumps(json.loads((built / "search.json").read_text(encoding="utf-8")))
    assert all(word in index for word in ("measured-step", "step_time_band", "shallow-pipeline", "exit-codes"))
