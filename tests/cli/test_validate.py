"""planner validate, as a shell sees it."""

from __future__ import annotations

import csv
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.accuracy.samples import row
from tests.cli.run import Shell


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three layouts of one sweep, one of them doubtful, and a row that cannot be used."""
    rows = [
        row(sweep_group="g"),
        row(id="paper-002", tp="4", value="6", sweep_group="g"),
        row(id="paper-003", tp="2", value="9", sweep_group="g", notes="doubtful"),
        row(id="paper-004", gpu="abacus"),
        row(id="paper-005", metric="peak_mem_gb", value="30", notes="nvidia-smi"),
    ]
    path = tmp_path / "runs.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*row(), "sweep_group", "notes"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_json(shell: Shell, table: Path) -> None:
    """The keys that are promised."""
    result = shell("validate", str(table), "--json")
    assert result.code == 0 and result.err == ""
    answer = result.json
    assert answer["schema"] == "planner.validation/1"
    summary = answer["summary"]
    assert {"median", "p90"} <= summary["step_time"].keys()
    assert {"mean_regret", "median_regret", "spearman", "groups"} <= summary["ranking"].keys()
    assert summary["memory"]["median"] > 0
    assert {"recall", "precision", "balanced_accuracy"} <= summary["fit"].keys()
    assert answer["sources"][0]["source"] == "paper" and answer["sources"][0]["step_time"]["n"] == 2
    assert answer["sources"][0].keys() >= {"step_time", "ranking", "memory", "fit"}
    assert (answer["rows"]["used"], answer["rows"]["main"], answer["rows"]["skipped"]) == (4, 3, 1)
    assert answer["rows"]["reasons"] == {"unknown GPU 'abacus'": 1}
    assert answer["apart"]["doubtful"]["summary"]["step_time"]["n"] == 1


def test_table(shell: Shell, table: Path) -> None:
    """A line per source, what is scored apart, and what was left out."""
    out = shell("validate", str(table)).out
    assert "paper" in out and "doubtful" in out and "unknown GPU 'abacus'" in out


def test_label(shell: Shell, table: Path) -> None:
    """The runs with that label, and no others; a label that nobody carries is an error."""
    assert shell("validate", str(table), "--json", "--label", "doubtful").json["sources"][0]["step_time"]["n"] == 1
    result = shell("validate", str(table), "--label", "doubtfull")
    assert result.code == 2 and "doubtful" in result.err


def test_picture(shell: Shell, table: Path, tmp_path: Path) -> None:
    """A drawing that an XML reader accepts, with a dot for each time, and the same as a page."""
    svg, page = tmp_path / "a.svg", tmp_path / "a.html"
    assert shell("validate", str(table), "--svg", str(svg), "--html", str(page)).code == 0
    tree = ElementTree.fromstring(svg.read_text())
    dots = [node for node in tree.iter() if node.tag.endswith("circle") and len(node)]
    assert len(dots) == 2 and "measured" in (dots[0][0].text or "")
    assert "<svg" in page.read_text()


def test_picture_of_nothing(shell: Shell, table: Path, tmp_path: Path) -> None:
    """Peaks alone have no times to draw."""
    only = tmp_path / "peaks.csv"
    lines = table.read_text().splitlines()
    only.write_text("\n".join([lines[0], lines[5]]) + "\n")
    assert shell("validate", str(only), "--svg", str(tmp_path / "b.svg")).code == 0
    assert "no measured times" in (tmp_path / "b.svg").read_text()


def test_rows(shell: Shell, table: Path, tmp_path: Path) -> None:
    """Every prediction with its parts."""
    path = tmp_path / "rows.csv"
    assert shell("validate", str(table), "--rows", str(path)).code == 0
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [r["id"] for r in rows] == ["paper-001", "paper-002", "paper-003", "paper-005"]
    assert float(rows[0]["predicted_s"]) / float(rows[0]["measured_s"]) - 1 == pytest.approx(
        float(rows[0]["error"]), abs=1e-3
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "no column"),
        (b"a,b\n1,2\n", "no column"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not a CSV file"),
        (b"\xff\xfe\x41\x42", "not a CSV file"),
        (b"id,gpu,n_gpus,global_batch,micro_batch,metric,value\n", "no rows"),
        (b"id,gpu,n_gpus,global_batch,micro_batch,metric,value\nx-1,A100,8,8,1,iter_seconds,1\n", "none of 1 rows"),
        (b'id,gpu,n_gpus,global_batch,micro_batch,metric,value\nx-1,"A100', "none of 1 rows"),
        (b"id,gpu,n_gpus,global_batch,micro_batch,metric,value\nx\n", "none of 1 rows"),
        (b"id,gpu,n_gpus,global_batch,micro_batch,metric,value\nx-1,A100,8,8,1,iter_seconds,1,2,3\n", "none of 1 rows"),
    ],
)
def test_bad_files(shell: Shell, tmp_path: Path, text: bytes, says: str) -> None:
    """One screen, exit code 2."""
    path = tmp_path / "bad.csv"
    path.write_bytes(text)
    result = shell("validate", str(path))
    assert result.code == 2 and result.out == ""
    assert says in result.err and "Traceback" not in result.err and len(result.err.splitlines()) < 10


def test_missing_file(shell: Shell, tmp_path: Path) -> None:
    """Named in the error."""
    result = shell("validate", str(tmp_path / "nowhere.csv"))
    assert result.code == 2 and "nowhere.csv" in result.err


def test_a_place_that_cannot_be_written(shell: Shell, table: Path, tmp_path: Path) -> None:
    """The option is named."""
    result = shell("validate", str(table), "--svg", str(tmp_path / "no" / "a.svg"))
    assert result.code == 2 and "--svg" in result.err
