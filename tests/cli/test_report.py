"""Pages as files: beside an answer, and of a saved one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.run import Shell

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "train_13b.sh"
RECOMMEND = "recommend -m llama3-8b -g 8xH100 --global-batch 64"
SERVE = "serve -m llama3-8b -g 2xH100 --input 1000 --output 200 --users 8"
SIZE = "size -m llama3-8b --gpu H100,A100-80GB --tokens 1T --max-gpus 16 --price H100=2.5/h,A100-80GB=1.5/h"
LOAD = "size -m llama3-8b --gpu H100 --serve --requests 20/s --input 1000 --output 200 --ttft 1s"
CURVE = "recommend -m llama3-8b -g 8xH100..32xH100"
EXPLAIN = "explain -m llama3-8b -g 16xH100 --pp 2 --global-batch 64 --plan 2"
COMPARE = "compare -m llama3-8b -g 8xA100,8xH100 --global-batch 64"


def test_beside_the_answer(shell: Shell, tmp_path: Path) -> None:
    """The answer is the same with a page and without; the page is its own."""
    path = tmp_path / "x.html"
    plain, drawn = shell(f"{RECOMMEND} --json -q").json, shell(f"{RECOMMEND} --json -q --html {path}").json
    for one in (plain, drawn):
        one["search"].pop("seconds")
    assert plain == drawn
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>") and 'id="map"' in text and 'id="formulas"' in text
    assert "wrote" in shell(f"{RECOMMEND} --html {path}").err


def test_next_commands_leave_the_page_alone(shell: Shell, tmp_path: Path) -> None:
    """A page is no part of the problem."""
    assert ".html" not in shell(f"{RECOMMEND} -q --html {tmp_path / 'x.html'}").out


@pytest.mark.parametrize("command", [RECOMMEND, SERVE, COMPARE, SIZE, LOAD, CURVE])
def test_of_a_saved_answer(shell: Shell, tmp_path: Path, command: str) -> None:
    """Written whole, or to stdout."""
    saved, out, beside = tmp_path / "a.json", tmp_path / "a.html", tmp_path / "b.html"
    saved.write_text(shell(f"{command} --json -q --html {beside}").out, encoding="utf-8")
    shown = shell(f"report {saved}")
    assert shown.code == 0 and 'class="sortable"' in shown.out
    if command not in (RECOMMEND, SERVE):
        assert beside.read_text(encoding="utf-8") == shown.out
    assert shell(f"report {saved} --out {out} -q").code == 0
    assert out.read_text(encoding="utf-8") == shown.out


def test_of_a_checked_script(shell: Shell, tmp_path: Path) -> None:
    """As written, the best, every change; that it does not fit."""
    saved = tmp_path / "a.json"
    saved.write_text(shell(f"check {SCRIPT} --gpus 2x8xA100 --json -q").out, encoding="utf-8")
    shown = shell(f"report {saved}").out
    changes = json.loads(saved.read_text(encoding="utf-8"))["changes"]
    assert shown.count('<tr id="row-') == 2 + len(changes) and "Does not fit as asked." in shown
    assert "as written" in shown and "--micro-batch-size 1" in shown


def test_of_a_checked_script_beside_it(shell: Shell, tmp_path: Path) -> None:
    """With the formulas and the picture of the plan as written."""
    page = tmp_path / "a.html"
    assert shell(f"check {SCRIPT} --gpus 2x8xA100 -q --html {page}").code == 1
    text = page.read_text(encoding="utf-8")
    assert 'class="picture"' in text and 'id="f-step"' in text and "as written" in text


def test_of_one_plan(shell: Shell, tmp_path: Path) -> None:
    """The plan that was asked for, its formulas, its picture; the picture as a file of its own; the same when saved."""
    page, drawn, saved = tmp_path / "a.html", tmp_path / "a.svg", tmp_path / "a.json"
    done = shell(f"{EXPLAIN} --json -q --html {page} --picture {drawn}")
    saved.write_text(done.out, encoding="utf-8")
    text, plan = page.read_text(encoding="utf-8"), done.json["plan"]
    assert f'<tr id="row-2"><th scope="row">2</th><td>{plan["tp"]}</td>' in text and 'class="picture"' in text
    svg = drawn.read_text(encoding="utf-8")
    assert svg.startswith("<?xml") and "plan 2" in svg and svg.count('class="in">rank ') == 16
    again = shell(f"report {saved}").out
    assert 'id="f-step"' in again and 'class="picture"' not in again


def test_of_a_sweep(shell: Shell, tmp_path: Path) -> None:
    """Every cell that fits is a row; why the others do not is said; of the file, of the call and of stdin alike."""
    asked, cells, pages = tmp_path / "s.yaml", tmp_path / "c.ndjson", [tmp_path / f"{n}.html" for n in range(3)]
    asked.write_text("model: [llama3-8b, llama3-70b]\ngpus: 8xH100\nglobal-batch: [64, 128]\n", encoding="utf-8")
    assert shell(f"sweep {asked} -q -j 1 --html {pages[0]}").code == 0
    assert shell(f"sweep {asked} -q -j 1 --out {cells}").code == 0
    assert shell(f"sweep {asked} -q -j 1 --out {cells} --html {pages[1]}").code == 0
    assert shell(f"report {cells} -q --out {pages[2]}").code == 0
    texts = [page.read_text(encoding="utf-8") for page in pages]
    assert texts[0] == texts[1] == texts[2]
    assert texts[0].count('<tr id="row-') == 2 and "4 cells, 2 fit" in texts[0]
    assert "llama3-70b on 8xH100: no legal plan fits as asked" in texts[0]


def test_of_a_timeline(shell: Shell, tmp_path: Path) -> None:
    """The page beside the drawing."""
    page = tmp_path / "t.html"
    assert "F1" in shell(f"timeline 1f1b -q --html {page}").out
    assert page.read_text(encoding="utf-8").count('<rect class="box ') == 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no JSON"),
        ("[]", 'has no "schema"'),
        ('{"schema": "planner.recommendation/1"}', "no whole answer"),
        ('{"schema": "planner.recommendation/1", "plans": [{}]}', "no whole answer"),
        ('{"schema": "planner.timeline/1"}', "no answer that has a page"),
        ('{"schema": "planner.recommendation/2", "planner_version": "9.0"}', "read it with planner 9.0"),
    ],
)
def test_bad_input(shell: Shell, tmp_path: Path, text: str, said: str) -> None:
    """What is wrong, and a command that is right."""
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    done = shell(f"report {path}")
    assert done.code == 2 and said in done.err and "Traceback" not in done.err and not done.out


def test_a_page_that_cannot_be_written(shell: Shell, tmp_path: Path) -> None:
    """The option that named the place is in the words."""
    done = shell(f"{RECOMMEND} -q --html {tmp_path}/none/x.html")
    assert done.code == 2 and "--html" in done.err and "--out" not in done.err


def test_costs_nothing_unless_asked() -> None:
    """A plain answer imports nothing of the page."""
    code = (
        "import sys; from planner.cli.app import main; sys.argv = ['planner', *'"
        + RECOMMEND
        + " --json -q'.split()]\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in sys.modules if 'page' in m and m.startswith('planner')], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["plans"] and done.stderr.splitlines()[-1] == "[]"
