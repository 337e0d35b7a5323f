"""The documentation says what the code does: examples run, worked lines hold, YAML validates, links lead somewhere.

A worked line is a paragraph with numbers in bold, followed by an HTML comment that starts with "check" and holds one
Python expression per bold number; `str` of its value must be that number. Names in the expressions come from the
pycon blocks of docs/equations/README.md.
"""

from __future__ import annotations

import doctest
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from planner.catalog.library import KINDS, Library, record_of
from planner.catalog.yamlfile import parse_yaml, validate
from planner.schema.hardware import ClusterFile

ROOT = Path(__file__).parents[1]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *(p for p in ROOT.glob("*.md"))])
EQUATIONS = ROOT / "docs" / "equations"
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WORKED = re.compile(r"((?:^[^\n]+\n)+)^<!-- check\n(.*?)^-->$", re.MULTILINE | re.DOTALL)
BOLD = re.compile(r"\*\*(.+?)\*\*", re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
NAMED = re.compile(r"`((?:planner|profiles|docs|tests|benchmarks)/[\w./-]+\.(?:py|yaml|md))(?:::?\w+)?`")
EXAMPLE = re.compile(r"/(my-|tiny-|eager)")


def page_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return [body for found, body in FENCED.findall(page.read_text()) if found == language]


def run_examples(page: Path) -> dict[str, object]:
    """Run the page's pycon blocks as one session; returns its names."""
    session = "\n".join(blocks(page, "pycon"))
    test = doctest.DocTestParser().get_doctest(session, {}, page_id(page), str(page), 0)
    failures: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=failures.append, clear_globs=False)
    assert not failures, "".join(failures)
    return test.globs


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "pycon")], ids=page_id)
def test_examples_run(page: Path) -> None:
    run_examples(page)


@pytest.fixture(scope="module")
def names() -> dict[str, object]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return run_examples(EQUATIONS / "README.md")


@pytest.mark.parametrize("page", [p for p in PAGES if "<!-- check" in p.read_text()], ids=page_id)
def test_worked_lines_hold(page: Path, names: dict[str, object]) -> None:
    text = page.read_text()
    found = WORKED.findall(text)
    assert len(found) == text.count("<!-- check"), "a check without a worked line right above it"
    wrong = []
    for paragraph, expressions in found:
        printed = [" ".join(number.split()) for number in BOLD.findall(paragraph)]
        values = [str(eval(line, dict(names))) for line in expressions.strip().splitlines()]
        if printed != values:
            wrong.append(f"{paragraph}prints {printed}\nis     {values}\n")
    assert not wrong, "\n".join(wrong)


def test_every_equation_has_a_worked_line() -> None:
    for page in [*EQUATIONS.glob("*.md"), ROOT / "docs" / "serving.md", ROOT / "docs" / "sizing.md"]:
        sections = re.split(r"^## ", page.read_text(), flags=re.MULTILINE)[1:]
        bare = [s.splitlines()[0] for s in sections if "```text" in s and "<!-- check" not in s]
        assert not bare, f"{page.name}: {bare}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    relative = [link.partition("#")[0] for link in LINK.findall(text) if "://" not in link and not link.startswith("#")]
    broken = [link for link in relative if not (page.parent / link).exists()]
    missing = [name for name in NAMED.findall(text) if not EXAMPLE.search(name) and not (ROOT / name).exists()]
    assert not broken + missing


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_anchors_exist(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if anchor and "://" not in link and target.suffix == ".md" and target.exists():
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings]
            assert anchor in slugs, f"{link}: none of {slugs}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_lines_are_not_too_long(page: Path) -> None:
    prose = LINK.sub("[]", FENCED.sub("", page.read_text()))  # output keeps its width, and so do targets
    assert not [line for line in prose.splitlines() if len(line) > 120]


YAML_BLOCKS = [(page, text) for page in sorted((ROOT / "docs" / "howto").glob("*.md")) for text in blocks(page, "yaml")]


@pytest.mark.parametrize(("page", "text"), YAML_BLOCKS, ids=[f"{p.stem}-{t.splitlines()[0]}" for p, t in YAML_BLOCKS])
def test_example_profiles_validate(page: Path, text: str, tmp_path: Path) -> None:
    """Each block as the file that its first line names, the others of its page beside it."""
    where = Path(text.splitlines()[0].removeprefix("# "))
    records = {folder: record_of(kind) for kind, (folder, *_) in KINDS.items()}
    record = records.get(where.parent.name, ClusterFile)
    for other in (block for home, block in YAML_BLOCKS if home == page):
        path = tmp_path / other.splitlines()[0].removeprefix("# ")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(other)
    profile = Library((tmp_path,)).read(tmp_path / where, record)
    if record is not ClusterFile:
        assert profile.name == where.stem  # type: ignore[attr-defined]


def test_cluster_of_the_worked_lines_is_a_cluster_file() -> None:
    path = EQUATIONS / "example-cluster.yaml"
    validate(*parse_yaml(path.read_text(), path.name)[:1], ClusterFile, path.name, {})


def test_example_schedule_works() -> None:
    """The Python of docs/howto/add-a-schedule.md, put where it says, is a schedule."""
    (source,) = blocks(ROOT / "docs" / "howto" / "add-a-schedule.md", "python")
    module = ModuleType("planner.schedules.eager")
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, "eager.py", "exec"), module.__dict__)
    finally:
        del sys.modules[module.__name__]
    eager = module.SCHEDULE
    from planner.schedules import SCHEDULES, even

    assert eager.pipeline_time(even(4.0, 1.0, 1.0), 8.0, 1.0) == 22.0
    assert eager.exposed_p2p(4.0, 8.0, 1.0, 0.1, False, 0.0) < SCHEDULES["1f1b"].exposed_p2p(
        4.0, 8.0, 1.0, 0.1, False, 0.0
    )
    assert [eager.in_flight(4.0, 8.0, 1.0, rank) for rank in range(4)] == [7.0, 5.0, 3.0, 1.0]
