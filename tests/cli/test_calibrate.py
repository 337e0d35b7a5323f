"""planner calibrate, as a shell sees it."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from planner.accuracy.calibrate import with_factors
from planner.accuracy.predict import predict
from tests.accuracy.samples import case, row
from tests.accuracy.test_calibrate import megatron
from tests.cli.run import Shell

LAYOUTS = (("8", "4"), ("4", "4"), ("2", "8"), ("4", "8"))


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    """A table of measurements."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for r in rows for name in r)))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Four layouts, all kernels 20 % slower than packaged, and a peak."""
    plain = [row(id=f"run-{n}", tp=tp, pp=pp, global_batch="512") for n, (tp, pp) in enumerate(LAYOUTS)]
    cases = [case(**r) for r in plain]
    slow = predict(cases, preset=lambda job: with_factors(job, {"compute": 1 / 1.2}))
    rows = [r | {"value": f"{p.step:.6g}"} for r, p in zip(plain, slow, strict=True)]
    peak = row(id="run-9", metric="peak_mem_gb", value="40", notes="nvidia-smi")
    return write(tmp_path / "runs.csv", [*rows, peak])


def test_json(shell: Shell, table: Path, tmp_path: Path) -> None:
    """Errors before and after, what moved, what did not, and files that exist."""
    result = shell("calibrate", str(table), "--out", str(tmp_path / "mine"), "--json")
    assert (result.code, result.err) == (0, "")
    answer = result.json
    assert answer["schema"] == "planner.calibration/1"
    step = answer["summary"]["step_time"]
    assert step["median_after"] < 0.02 < 0.1 < step["median_before"]
    assert {run["kind"] for run in answer["runs"]} == {"step", "memory"}
    moved = {c["name"]: c for c in answer["constants"]}
    assert moved["compute"]["determined"] and moved["compute"]["factor"] == pytest.approx(1 / 1.2, rel=0.05)
    assert not moved["host"]["determined"] and moved["host"]["factor"] == 1
    assert all(Path(path).is_file() for path in answer["files"])


def test_screen(shell: Shell, table: Path, tmp_path: Path) -> None:
    """The same in words, and the next command, which runs and answers otherwise than before."""
    result = shell("calibrate", str(table), "--out", str(tmp_path / "mine"), "--name", "box7")
    assert result.code == 0
    assert "median error of step time" in result.out and "not told by these runs" in result.out
    command = re.search(r"Next +planner (recommend .*)", result.out)
    assert command is not None
    words = command[1].replace("MODEL", "llama2-7b") + " --json -q --top 1"
    new = shell(*words.split()).json
    assert new["inputs"]["framework"] == "box7" and new["inputs"]["cluster"]["accelerator"] == "box7"
    old = shell("recommend -m llama2-7b -g 64xA100 --top 1 --json -q").json
    assert new["plans"][0]["step_time_s"] > 1.1 * old["plans"][0]["step_time_s"]


def test_twice_into_one_folder(shell: Shell, table: Path, tmp_path: Path) -> None:
    """The second replaces the first and leaves other files alone."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "own.txt").write_text("kept")
    for _ in range(2):
        assert shell("calibrate", str(table), "--out", str(tmp_path / "mine")).code == 0
    assert (tmp_path / "mine" / "own.txt").read_text() == "kept"
    assert len(list((tmp_path / "mine").rglob("*.yaml"))) == 5


def test_log(shell: Shell, tmp_path: Path) -> None:
    """A Megatron-LM log says all but the machine."""
    log = tmp_path / "train.log"
    log.write_text(megatron())
    out = str(tmp_path / "mine")
    answer = shell("calibrate", "--log", str(log), "-g", "2x8xA100", "--out", out, "--json", "-q").json
    assert {run["kind"]: run["id"] for run in answer["runs"]} == {"step": "train.log", "memory": "train.log"}
    assert answer["gpus"] == "16xa100-sxm4-80gb-calibrated"


def test_log_of_torchtitan(shell: Shell, tmp_path: Path) -> None:
    """The preset follows the log, and a note says so."""
    log = tmp_path / "titan.log"
    log.write_text("".join(f"step: {n}  loss: 7.1  memory: 50.00GiB(62.0%)  tps: 5,000\n" for n in range(9)))
    words = f"calibrate --log {log} -m llama3-8b -g 8xH100 --seq 8192 --global-batch 16 --micro-batch 1 --zero 3"
    result = shell(*words.split(), "--recompute", "full", "--out", str(tmp_path / "mine"), "--json")
    assert result.code == 0 and "preset torchtitan" in result.err
    assert result.json["framework"] == "torchtitan-calibrated"
    assert result.json["runs"][0]["measured_s"] == pytest.approx(16 * 8192 / (5000 * 8))


def test_logs_and_tables_together(shell: Shell, table: Path, tmp_path: Path) -> None:
    """Of one machine; a log of another is refused."""
    log = tmp_path / "train.log"
    log.write_text(megatron())
    out = ("--out", str(tmp_path / "mine"))
    assert shell("calibrate", str(table), "--log", str(log), "-g", "2x8xA100", *out).code == 0
    result = shell("calibrate", str(table), "--log", str(log), "-g", "2x8xH100", *out)
    assert result.code == 2 and "several accelerators" in result.err


def refused(shell: Shell, *words: str) -> str:
    """What a command that exits 2 says, on one screen."""
    result = shell("calibrate", *words)
    assert result.code == 2 and result.out == ""
    assert "Traceback" not in result.err and len(result.err.splitlines()) < 12
    return result.err


class TestBadInput:
    """One screen, exit 2, nothing written."""

    def test_nothing(self, shell: Shell) -> None:
        """An example of each way."""
        assert "--log" in refused(shell)

    def test_no_usable_run(self, shell: Shell, tmp_path: Path) -> None:
        """The reasons."""
        path = write(tmp_path / "bad.csv", [row(gpu="abacus"), row(id="x-2", metric="fit", value="oom")])
        assert "abacus" in refused(shell, str(path), "--out", str(tmp_path / "mine"))
        assert not (tmp_path / "mine").exists()

    def test_missing_file(self, shell: Shell, tmp_path: Path) -> None:
        """Named."""
        assert "nowhere.csv" in refused(shell, str(tmp_path / "nowhere.csv"))
        assert "nowhere.log" in refused(shell, "--log", str(tmp_path / "nowhere.log"), "-g", "8xA100")

    def test_log_without_times(self, shell: Shell, tmp_path: Path) -> None:
        """What was looked for."""
        (tmp_path / "a.log").write_text("hello\n")
        assert "tps:" in refused(shell, "--log", str(tmp_path / "a.log"), "-g", "8xA100")

    def test_log_without_machine(self, shell: Shell, tmp_path: Path) -> None:
        """The option."""
        (tmp_path / "a.log").write_text(megatron())
        assert "--gpus" in refused(shell, "--log", str(tmp_path / "a.log"))

    @pytest.mark.parametrize(
        "option", ["--tp 2..4", "--seq 0", "--micro-batch 7", "--recompute sometimes", "--name a/b"]
    )
    def test_options(self, shell: Shell, tmp_path: Path, option: str) -> None:
        """A range for one run, or nonsense."""
        (tmp_path / "a.log").write_text(megatron())
        out = str(tmp_path / "mine")
        refused(shell, "--log", str(tmp_path / "a.log"), "-g", "2x8xA100", "--out", out, *option.split())
        assert not (tmp_path / "mine").exists()

    def test_two_machines(self, shell: Shell, tmp_path: Path) -> None:
        """Both are named."""
        path = write(tmp_path / "two.csv", [row(), row(id="x-2", gpu="H100-80GB-SXM")])
        said = refused(shell, str(path), "--out", str(tmp_path / "mine"))
        assert "a100-sxm4-80gb" in said and "h100-sxm5-80gb" in said

    def test_unwritable(self, shell: Shell, table: Path, tmp_path: Path) -> None:
        """A file in the way of the folder."""
        (tmp_path / "file").write_text("")
        assert "--out" in refused(shell, str(table), "--out", str(tmp_path / "file" / "mine"))
        assert "--out" in refused(shell, str(table), "--out", str(tmp_path / "file"))
