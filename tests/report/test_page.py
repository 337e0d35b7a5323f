"""The page of an answer: what is in it, from documents alone, and driven in a real browser."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Mapping
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from planner.api import recommend, serve
from planner.errors import PlannerError
from planner.questions.layout_map import DEGREES, paired, places
from planner.report.page import page
from planner.report.page_extras import extras
from planner.report.page_map import front
from planner.report.page_rows import SERVING, TRAINING
from planner.report.whatif import maps, sensitivities, why_not
from planner.training.space import Bounds
from tests.cli.run import run
from tests.report.drive import LOADED, driven
from tests.report.test_browser import browse, chromium

__all__ = ["chromium"]

LARGEST = 1_500_000
VOID = {"meta", "br", "input"}


class Tags(HTMLParser):
    """Every tag is closed in its order, every id is there once, every link leads somewhere in the page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opened, with what it refers to."""
        given = dict(attrs)
        assert not {"src", "onclick", "onload"} & given.keys()
        self.ids += [given["id"]] if given.get("id") else []
        self.targets += [str(given["href"])] if "href" in given else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opened and closed: in drawings."""

    def handle_endtag(self, tag: str) -> None:
        """Closed."""
        assert self.open.pop() == tag


def read(html: str) -> Tags:
    """The tags of a page that is well formed."""
    tags = Tags()
    tags.feed(html)
    assert not tags.open
    return tags


@pytest.fixture(scope="module")
def ranked() -> tuple[Mapping[str, Any], dict[str, Any]]:
    """An answer and what the page draws besides."""
    answer = recommend("llama70b", "4x8xH100", top=12)
    return answer.document, extras(answer.found, Bounds())


@pytest.fixture(scope="module")
def html(ranked: tuple[Mapping[str, Any], dict[str, Any]]) -> str:
    """Its page."""
    return page(ranked[0], **ranked[1])


def test_is_one_file(html: str) -> None:
    """Small, well formed, without a network."""
    tags = read(html)
    assert len(html.encode()) < LARGEST
    assert len(set(tags.ids)) == len(tags.ids)
    assert all(target.startswith("#") and target[1:] in tags.ids for target in tags.targets)
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)[^<]*\"", html)


def test_says_what_the_answer_says(ranked: tuple[Mapping[str, Any], dict[str, Any]], html: str) -> None:
    """Every plan with its exact step time and memory; every dead cell with its reason; every formula."""
    document, more = ranked
    for plan in document["plans"]:
        row = re.search(rf'<tr id="row-{plan["rank"]}">.*?</tr>', html)
        assert row and f'data-v="{plan["step_time_s"]!r}"' in row[0]
        assert f'data-v="{plan["memory_bytes"]["total"]!r}"' in row[0]
    for one in more["maps"]:
        for cell in one["cells"]:
            assert escape(f"{one['down']} {cell['at'][0]} {one['across']} {cell['at'][1]}: {cell['why']}") in html
    assert all(escape(line["formula"]) in html for line in more["lines"])
    assert all(json.dumps(said)[1:-1] in html for said in more["why"]["says"].values())
    assert all(one["what"] in html for one in more["changes"]) and 'class="picture"' in html


def test_words_are_escaped(ranked: tuple[Mapping[str, Any], dict[str, Any]]) -> None:
    """A name is text, whatever is in it."""
    document = json.loads(json.dumps(ranked[0]))
    document["inputs"]["model"]["name"] = "<script>alert(1)</script>"
    assert "<script>alert" not in page(document)


def test_the_map_agrees_with_the_ranking() -> None:
    """The fastest cell is the fastest plan; every pair is there once; what is dead says why."""
    answer = recommend("llama3-8b", "8xA100", global_batch=64).found
    every = places(answer.job, Bounds())
    cells = paired(answer.job, every, "tp", "pp")
    fastest = min(one.step_time for one in answer.ranked)
    assert min(one.found.cost for one in every if one.found and not one.short) == fastest
    assert min(one.found.cost for one in cells.values() if one.found and not one.short) == fastest
    legal = [one for one in cells.values() if one.found]
    assert all(one.found.need > answer.capacity if one.short else one.found.need <= answer.capacity for one in legal)
    assert all(one.why for one in cells.values() if not one.found)
    assert {pair for pair in cells if 8 % (pair[0] * pair[1])} == {
        pair for pair, one in cells.items() if "does not divide" in one.why
    }
    (only,) = maps(answer.job, answer.ranked[0], every)
    assert [tuple(cell["at"]) for cell in only["cells"]] == sorted(cells)


def test_other_degrees_are_priced_as_if_pinned() -> None:
    """The price in the box is that of a ranking with these degrees pinned; a miss is the nearest miss of it."""
    answer = recommend("mixtral-8x7b", "2x8xH100", global_batch=128).found
    every = places(answer.job, Bounds())
    rng = random.Random(5)
    for one in rng.sample([one for one in every if one.found], 3):
        pins = {name: str(value) for name, value in zip(DEGREES, one.degrees, strict=True)}
        alone = recommend("mixtral-8x7b", "2x8xH100", global_batch=128, exact=True, **pins).found
        if one.short:
            assert not alone.fits and one.found.need == min(near.need for near in alone.misses)
        else:
            assert one.found.cost == pytest.approx(min(each.step_time for each in alone.ranked), rel=6e-3)


def test_what_no_rule_allows_names_the_rule() -> None:
    """The rule's own sentence with its numbers, of one degree or of a combination."""
    answer = recommend("deepseek-v3", "32x8xH100", global_batch=64).found
    told = why_not(answer.job, answer.ranked[0], places(answer.job, Bounds()))
    assert told["alone"]["pp"][64] == "pp*v = 64*1 stages exceed the 61 layers"
    assert "tp=256 does not divide the 128 attention heads" in told["alone"]["tp"][256]
    assert all(said.startswith(("Fits: ", "Does not fit: short by ", "No: ")) for said in told["says"].values())
    assert told["says"]["1,1,1,1,1"].startswith("No: 256 replicas are more than the 64 sequences")


def test_what_the_answer_rests_on() -> None:
    """Slower hardware is slower, never by more than it is; a larger batch takes longer and hides more."""
    answer = recommend("llama70b", "8x8xA100").found
    rows = {one["what"]: one for one in sensitivities(answer.ranked[0], places(answer.job, Bounds()))}
    for said in ("network at half its rate", "link inside the node at half its rate"):
        assert -0.5 < rows[said]["plan"]["change"] < 0.0
    assert -0.1 <= rows["kernels 10% slower"]["plan"]["change"] < -0.05
    assert 0.05 < rows["kernels 10% faster"]["plan"]["change"] <= 0.1
    small, large = (rows[f"{name} the batch"]["plan"] for name in ("half", "twice"))
    assert small["change"] < 0.0 < large["change"]
    assert small["step_time_s"] < answer.ranked[0].step_time < large["step_time_s"]
    assert all(one["best"]["change"] >= one["plan"]["change"] for one in rows.values())


def test_front() -> None:
    """By hand: of four plans two are beaten; what serves is better when higher."""
    train = [{"step_time_s": t, "memory_bytes": {"total": m}} for t, m in ((1, 9), (2, 9), (3, 5), (4, 6))]
    assert front(TRAINING, train) == [train[0], train[2]]
    served = [{"tpot_s": t, "tokens_per_s_per_gpu": x} for t, x in ((1, 5), (2, 4), (3, 9))]
    assert front(SERVING, served) == [served[0], served[2]]


def test_other_answers() -> None:
    """Deployments have a page; what is no answer has none; a job that fits nowhere says so."""
    deployed = page(serve("llama3-8b", "2xH100", input=1000, output=200, users=8).document)
    read(deployed)
    assert "tokens/s/GPU" in deployed
    nothing = recommend("llama70b", "1xA100", exact=True)
    read(page(nothing.document, **extras(nothing.found, Bounds())))
    with pytest.raises(PlannerError):
        page({"schema": "planner.else/1"})


@pytest.mark.parametrize(("width", "scheme"), [(360, 1), (360, 0), (1600, 1), (1600, 0)])
def test_works(chromium: str, tmp_path: Path, html: str, width: int, scheme: int) -> None:
    """No console message; sorts, filters, opens; fits a phone and a wide screen; readable on both grounds."""
    (found,) = driven(chromium, tmp_path, [html], width, scheme)
    assert found["bad"] == []
    assert found["did"] > 600 and found["width"] == width and found["dark"] == (scheme == 0)


SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "train_13b.sh"
OTHERS = {
    "serve": "serve -m llama3-8b -g 2xH100 --input 1000 --output 200 --users 8",
    "size": "size -m llama3-8b --gpu H100,A100-80GB --tokens 1T --max-gpus 16",
    "load": "size -m llama3-8b --gpu H100 --serve --requests 20/s --input 1000 --output 200 --ttft 1s",
    "compare": "compare -m llama3-8b -g 8xA100,8xH100 --global-batch 64",
    "curve": "recommend -m llama3-8b -g 8xH100..32xH100",
    "check": f"check {SCRIPT} --gpus 2x8xA100",
    "explain": "explain -m mixtral-8x7b -g 2x8xH100 --global-batch 64 --ep 8 --pp 2",
    "short": "recommend -m llama70b -g 8xA100",
    "nothing": "recommend -m llama70b -g 1xA100 --exact",
    "sweep": "sweep {sweep} -j 1",
    "diff": "diff {saved} 2",
}
"""An answer of every kind beside the plain ranking, and what its verb is called with."""


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Their pages."""
    folder = tmp_path_factory.mktemp("pages")
    asked = folder / "s.yaml"
    asked.write_text("model: [llama3-8b, llama3-70b]\ngpus: 8xH100\nglobal-batch: [64, 128]\n", encoding="utf-8")
    saved = folder / "a.json"
    saved.write_text(run(["recommend", "-m", "llama70b", "-g", "8x8xA100", "--json", "-q"]).out, encoding="utf-8")
    for name, command in OTHERS.items():
        done = run([*command.format(sweep=asked, saved=saved).split(), "-q", "--html", str(folder / f"{name}.html")])
        assert done.code in (0, 1), done.err
    return [(folder / f"{name}.html").read_text(encoding="utf-8") for name in OTHERS]


@pytest.mark.parametrize(("width", "scheme"), [(360, 0), (1600, 1)])
def test_other_answers_work(chromium: str, tmp_path: Path, others: list[str], width: int, scheme: int) -> None:
    """The same of the pages of all verbs."""
    for name, html, found in zip(OTHERS, others, driven(chromium, tmp_path, others, width, scheme), strict=True):
        assert (name, found["bad"]) == (name, []) and found["did"] > 40 and found["width"] == width
        assert len(read(html).ids) == len(set(read(html).ids))


def test_the_largest_opens_at_once(chromium: str, tmp_path: Path) -> None:
    """Two million plans, a thousand of them asked for: small, and there in less than a second (the best of three)."""
    page_of, command = tmp_path / "x.html", "recommend -m llama3.1-405b -g 2048x8xH100 --cp 1..64 --tp 1..64 --top 1000"
    assert run([*command.split(), "-q", "--html", str(page_of)]).code == 0
    text = page_of.read_text(encoding="utf-8")
    assert len(text.encode()) < LARGEST and "The first 200 of 1,000" in text
    page_of.write_text(text.replace("</body>", LOADED + "</body>"), encoding="utf-8")
    took = (re.search(r'data-took="([^"]*)"', browse(chromium, page_of, "--dump-dom").stdout) for _ in range(3))
    assert any(found and float(found[1]) < 1000.0 for found in took)


def test_can_be_looked_at(chromium: str, tmp_path: Path, html: str) -> None:
    """More on it than a blank page; PLANNER_SCREENSHOTS keeps it."""
    path, shot = tmp_path / "page.html", tmp_path / "page.png"
    path.write_text(html, encoding="utf-8")
    browse(chromium, path, f"--screenshot={shot}")
    assert shot.stat().st_size > 40_000
    if os.environ.get("PLANNER_SCREENSHOTS"):
        shutil.copy(shot, Path(os.environ["PLANNER_SCREENSHOTS"]) / "page.png")
