"""planner timeline, as a user sees it: drawings, numbers, and every mistake on one screen."""

from __future__ import annotations

import io
import json
import os
import re
import stat
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from planner.schedules import SCHEDULES
from tests.cli.run import Shell

SVG = "{http://www.w3.org/2000/svg}"


def rows(out: str) -> list[str]:
    """What is drawn of every rank."""
    return [match[1] for match in re.finditer(r"^rank \d+ +(\S.*)$", out, flags=re.M)]


def test_1f1b_has_the_papers_slots(shell: Shell) -> None:
    """22 slots of equal width; the first backward of ranks 3, 2, 1, 0 is in slots 5, 6, 7, 8."""
    result = shell("timeline 1f1b --pp 4 -m 8")
    assert result.code == 0 and result.err == ""
    drawn = rows(result.out)
    columns = int(re.search(r"(\d+) columns = 1 slot", result.out)[1])  # type: ignore[index]
    assert [len(row.rstrip("\n").ljust(22 * columns)) for row in drawn] == [22 * columns] * 4
    assert [row.index("B1") // columns + 1 for row in drawn] == [8, 7, 6, 5]
    assert all(row.index("B1") % columns == 0 for row in drawn)
    for said in ("bubble fraction 27.3%", "bubble overhead 37.5%", "makespan 22 slots", "per rank 4 3 2 1"):
        assert said in result.out


def test_bare_name_draws_the_usual_figure(shell: Shell) -> None:
    """Four ranks and eight micro-batches, said so."""
    assert shell("timeline 1f1b").out == shell("timeline 1f1b --pp 4 -m 8").out
    assert "4 ranks × 8 micro-batches" in shell("timeline 1f1b").out


def test_comparison_on_one_scale(shell: Shell) -> None:
    """One under another, one scale, one table, and what is best."""
    out = shell("timeline --compare gpipe,1f1b,interleaved:2 --pp 4 -m 8").out
    assert len(rows(out)) == 12 and out.count("columns = 1 slot") == 1
    for name in ("bubble fraction", "bubble overhead", "makespan", "peak activations per rank"):
        assert name in out
    table = out[out.index("schedule ") :]
    assert re.search(r"^GPipe .*27\.3% .*37\.5% .*22 slots .*8 on every rank$", table, flags=re.M)
    assert re.search(r"^1F1B .*27\.3% .*37\.5% .*22 slots .*4 3 2 1$", table, flags=re.M)
    assert re.search(
        r"^interleaved 1F1B, 2 chunks .*15\.8% .*18\.8% .*19 slots .*5\.5 4\.5 3\.5 2\.5$", table, flags=re.M
    )
    assert "least time: interleaved 1F1B" in table and "fullest rank: 1F1B" in table


def test_issue_comparison_answers_which_schedule(shell: Shell) -> None:
    """GPipe, 1F1B, interleaved and ZB-H1 with the backward in two parts: t_b = 2 t_f for all of them."""
    told = shell("timeline --compare gpipe,1f1b,interleaved:2,zb-h1 --pp 4 -m 8 --json").json
    assert told["inputs"]["backward"] == 2 and told["inputs"]["weight_gradient"] == 1
    assert [drawn["makespan_slots"] for drawn in told["timelines"]] == [33, 33, 28.5, 27]
    assert [drawn["peak_activations_per_rank_micro_batches"][0] for drawn in told["timelines"]] == [8, 4, 5.5, 4]
    out = shell("timeline --compare gpipe,1f1b,interleaved:2,zb-h1 --pp 4 -m 8").out
    assert "t_f = 1, t_b = 2 slots (weight gradient 1)" in out
    assert "least time: ZB-H1; fewest activations on the fullest rank: 1F1B, ZB-H1" in out


@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize("form", ["terminal", "svg", "html", "trace"])
def test_every_schedule_is_drawn_in_every_format(shell: Shell, name: str, form: str) -> None:
    """With its own number of chunks; boxes and events are as many as operations."""
    command = f"timeline {name} --pp 4 -m {1 if name == 'naive' else 8}"
    (numbers,) = shell(f"{command} --json").json["timelines"]
    result = shell(f"{command} --format {form}")
    assert (result.code, result.err) == (0, "") and SCHEDULES[name].title in result.out
    count = {"svg": '<rect class="box ', "html": '<rect class="box ', "trace": '"ph":"X"', "terminal": "\nrank "}[form]
    assert result.out.count(count) == (4 if form == "terminal" else numbers["operations"])
    assert numbers["v"] == (SCHEDULES[name].chunks or 2)


def test_blocking_sends_take_longer(shell: Shell) -> None:
    """By the closed form: (2m + 2p - 5) c."""
    (drawn,) = shell("timeline 1f1b --pp 4 -m 8 --p2p 0.25 --blocking --json").json["timelines"]
    assert drawn["makespan_slots"] == pytest.approx(22 + 19 * 0.25)
    assert "hop 0.25 slots blocking" in shell("timeline 1f1b --p2p 0.25 --blocking").out


def test_times_with_units(shell: Shell) -> None:
    """Seconds in, seconds out; the missing times are in proportion; a hop lengthens the step by the closed form."""
    answer = shell("timeline 1f1b --pp 4 -m 8 --forward 10ms --backward 20ms --p2p 1ms --json").json
    assert answer["schema"] == "planner.timeline/1" and answer["inputs"]["time_unit"] == "s"
    (drawn,) = answer["timelines"]
    assert drawn["makespan_s"] == pytest.approx(11 * 0.030 + 2 * 0.001 * (3 * 11 // 4))
    assert shell("timeline 1f1b --forward 10ms --json").json["inputs"]["backward"] == pytest.approx(0.010)
    assert "makespan 220 ms" in shell("timeline 1f1b --forward 10ms").out


def test_json_numbers(shell: Shell) -> None:
    """Both bubbles, both clocks, idle time and peaks of every rank."""
    (drawn,) = shell("timeline 1f1b --pp 4 -m 8 --json").json["timelines"]
    assert drawn["bubble_fraction"] == pytest.approx(3 / 11) and drawn["bubble_overhead"] == pytest.approx(3 / 8)
    assert drawn["makespan_slots"] == drawn["longest_stage_slots"] == 22
    assert drawn["idle_per_rank_slots"] == [6, 6, 6, 6] and drawn["operations"] == 64
    assert drawn["peak_activations_per_rank_micro_batches"] == [4, 3, 2, 1]


@pytest.mark.parametrize(("suffix", "starts"), [("svg", "<?xml"), ("html", "<!DOCTYPE html>"), ("json", "{")])
def test_files_by_suffix(shell: Shell, tmp_path: Path, suffix: str, starts: str) -> None:
    """--out says what to write; nothing on stdout, a note on stderr, no temporary file left."""
    path = tmp_path / f"drawing.{suffix}"
    result = shell("timeline", "1f1b", "--out", str(path))
    assert (result.code, result.out) == (0, "") and f"wrote {path}" in result.err
    assert path.read_text(encoding="utf-8").startswith(starts) and list(tmp_path.iterdir()) == [path]
    assert shell("timeline", "1f1b", "-q", "-o", str(path)).err == ""


@pytest.mark.parametrize("form", ["svg", "html", "trace"])
def test_formats_on_stdout_equal_the_file(shell: Shell, tmp_path: Path, form: str) -> None:
    """The same text, wherever it goes."""
    path = tmp_path / "drawing"
    shell("timeline", "1f1b", "--format", form, "--out", str(path))
    assert shell(f"timeline 1f1b --format {form}").out == path.read_text(encoding="utf-8")


def test_terminal_drawing_in_a_file(shell: Shell, tmp_path: Path) -> None:
    """Plain text, as in a pipe."""
    path = tmp_path / "drawing.txt"
    shell("timeline", "1f1b", "--out", str(path))
    assert rows(path.read_text(encoding="utf-8")) == [row.rstrip() for row in rows(shell("timeline 1f1b").out)]


def test_json_beside_a_file(shell: Shell, tmp_path: Path) -> None:
    """The drawing goes to the file and the numbers to stdout."""
    path = tmp_path / "drawing.svg"
    assert shell("timeline", "1f1b", "--json", "-q", "-o", str(path)).json["timelines"] and path.exists()


def test_a_file_that_is_replaced_keeps_its_permissions(shell: Shell, tmp_path: Path) -> None:
    """And a new one gets the usual ones."""
    path = tmp_path / "drawing.svg"
    shell("timeline", "1f1b", "-o", str(path))
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    path.chmod(0o640)
    shell("timeline", "1f1b", "-o", str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_failed_write_leaves_the_old_file(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No half-written file, no temporary one."""
    path = tmp_path / "drawing.svg"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("planner.cli.outfile.os.replace", full)
    result = shell("timeline", "1f1b", "-o", str(path))
    assert result.code == 2 and "No space left" in result.err
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("columns", ["40", "60", "80", "200"])
def test_fits_the_width(shell: Shell, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    """No line is longer than the width, at any width; --width wins over COLUMNS."""
    monkeypatch.setenv("COLUMNS", columns)
    out = shell("timeline --compare gpipe,1f1b,interleaved:2 --pp 4 -m 8").out
    assert max(map(len, out.splitlines())) <= int(columns) and "\x1b" not in out
    assert max(map(len, shell("timeline 1f1b -m 32 --width 50").out.splitlines())) <= 50


def test_a_plan_with_its_stage_times(shell: Shell) -> None:
    """The plan that recommend ranks there: its degrees, its seconds."""
    job = "-g 64xA100 --pp 8 --tp 8"
    ranked = shell(f"recommend --model llama70b {job} --json -q").json["plans"][0]
    told = shell(f"timeline --model llama70b {job} --json -q").json
    assert told["inputs"]["plan"]["step_time_s"] == ranked["step_time_s"]
    (drawn,) = told["timelines"]
    assert (drawn["pp"], drawn["micro_batches"], drawn["v"]) == (8, ranked["micro_batches"], ranked["v"])
    parts = ranked["step_time_parts_s"]
    inside = ranked["step_time_s"] - parts["optimizer"] - parts["dp_comm_exposed"]
    assert drawn["makespan_s"] == pytest.approx(inside, rel=0.1)
    out = shell(f"timeline --model llama70b {job}").out
    assert "plan 1: " in out and "llama3.1-70b on 64" in out and "tp 8" in out


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("timeline", "nothing to draw"),
        ("timeline 1f2b", "did you mean: 1f1b"),
        ("timeline --compare gpipe,1f2b", "did you mean: 1f1b"),
        ("timeline --compare gpipe,", "known:"),
        ("timeline 1f1b --compare gpipe", "exclude each other"),
        ("timeline 1f1b --model llama70b --gpus 64xA100", "exclude each other"),
        ("timeline --model llama70b --gpus 64xA100 -m 8", "-m and --model exclude"),
        ("timeline --model llama70b --gpus 64xA100 --p2p 1ms", "--p2p and --model exclude"),
        ("timeline --model llama70b --gpus 64xA100 --compare gpipe", "--compare and --model exclude"),
        ("timeline --model llama70b", "--gpus is missing"),
        ("timeline --gpus 8xA100", "--model is missing"),
        ("timeline 1f1b --tp 4", "--tp is about a plan"),
        ("timeline 1f1b --plan 2", "--plan is about a plan"),
        ("timeline 1f1b --global-batch 8", "--global-batch is about a plan"),
        ("timeline -q --model llama70b --gpus 64xA100 --plan 0", "between 1 and 1000"),
        ("timeline -q --model lama70b --gpus 64xA100", "did you mean: llama"),
        ("timeline 1f1b -m 0", "-m must be one whole number"),
        ("timeline 1f1b -m -3", "-m must be one whole number"),
        ("timeline 1f1b --pp 0", "--pp must be one whole number"),
        ("timeline 1f1b --pp 2..8", "--pp must be one whole number"),
        ("timeline 1f1b --v 2", "1f1b: v=2: it has one chunk"),
        ("timeline 1f1b:2", "1f1b: v=2: it has one chunk"),
        ("timeline interleaved -m 7", "no multiple"),
        ("timeline interleaved --blocking", "wait for each other"),
        ("timeline dualpipe -m 7", "both must be even"),
        ("timeline interleaved:0", "whole number"),
        ("timeline interleaved:two", "whole number"),
        ("timeline 1f1b --pp 1000 -m 100000", "too many to draw"),
        ("timeline 1f1b --forward 0", "--forward must be positive"),
        ("timeline 1f1b --forward fast", "--forward: 'fast' is not a quantity"),
        ("timeline 1f1b --backward 3parsec", "--backward: the unit 'parsec'"),
        ("timeline 1f1b --forward 3ms --backward 2", "some times have a unit"),
        ("timeline 1f1b --p2p 3ms", "--forward in seconds"),
        ("timeline 1f1b --forward -1", "--forward"),
        ("timeline 1f1b --weight 2", "shorter"),
        ("timeline 1f1b --format png", "did you mean"),
        ("timeline 1f1b --format svg --json", "both want stdout"),
        ("timeline 1f1b --width 10", "--width must be"),
        ("timeline 1f1b --out /nowhere/at/all.svg", "no directory /nowhere/at"),
        ("timeline 1f1b --out /", "is a directory"),
        ("timeline 1f1b --out /proc/drawing.svg", "--out /proc/drawing.svg"),
    ],
)
def test_mistakes_are_explained(shell: Shell, command: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One screen on stderr, nothing on stdout, exit code 2; nothing comes on stdin."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    result = shell(command)
    assert result.code == 2, result
    assert says in result.err and result.out == ""
    assert "Traceback" not in result.err and len(result.err.splitlines()) <= 20


def test_svg_boxes_and_trace_events(shell: Shell) -> None:
    """One box and one event per operation."""
    drawing = ET.fromstring(shell("timeline 1f1b --format svg").out)
    assert sum("box" in rect.get("class", "").split() for rect in drawing.iter(f"{SVG}rect")) == 64
    events = json.loads(shell("timeline 1f1b --format trace").out)["traceEvents"]
    assert sum(event["ph"] == "X" for event in events) == 64


def test_help_does_not_load_numpy() -> None:
    """The options are listed without the catalogue."""
    code = (
        "import sys, runpy\nsys.argv = ['planner', 'timeline', '--help']\n"
        "try:\n    runpy.run_module('planner', run_name='__main__')\n"
        "except SystemExit as stop:\n    assert not stop.code\nassert 'numpy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("schedule", ["1f1b", "zb-h1", "interleaved --v 5"])
def test_a_plan_has_one_bubble(shell: Shell, schedule: str) -> None:
    """That of its step time, whatever the shorter stages idle beyond it, which is a number of its own."""
    job = "--model llama3-70b --gpus 64xH100 --framework any --tp 8 --pp 8 --micro-batch 1 --global-batch 64"
    ranked = shell(f"recommend {job} --schedule {schedule} --top 1 --json").json["plans"][0]
    (drawn,) = shell(f"timeline {job} --schedule {schedule} --json").json["timelines"]
    assert drawn["bubble_fraction"] == pytest.approx(ranked["bubble_fraction"], abs=0.012)
    idle = sum(drawn["idle_per_rank_s"]) / 8 / drawn["makespan_s"]
    assert drawn["imbalance_fraction"] == pytest.approx(idle - drawn["bubble_fraction"]) and idle > 0.05
