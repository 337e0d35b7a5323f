"""planner sweep: records, interruptions, mistakes."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from planner.questions.given import PINS
from planner.questions.sweep import OPTIONS
from tests.cli.run import Shell

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schemas" / "sweep-1.json").read_text())
SMALL = "model: [llama3.2-1b, gpt2-xl]\ngpus: [1xA100, 4xA100]\nglobal-batch: [32, 64]\nseq: 1024\n"


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Eight cells."""
    path = tmp_path / "sweep.yaml"
    path.write_text(SMALL)
    return path


def records(path: Path) -> list[dict[str, Any]]:
    """Lines of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_combination_once(shell: Shell, sweep: Path, tmp_path: Path) -> None:
    """On stdout and in files, one and two processes: the same records, each with the schema; again: nothing to do."""
    out = tmp_path / "out.ndjson"
    result = shell(f"sweep {sweep} -q")
    assert result.code == 0 and result.err == ""
    assert shell(f"sweep {sweep} -q --out {out} --jobs 1").code == 0
    assert records(out) == [json.loads(line) for line in result.out.splitlines()]
    assert len({r["cell"] for r in records(out)}) == 8
    for record in records(out):
        jsonschema.validate(record, SCHEMA)
    before = out.read_bytes()
    again = shell(f"sweep {sweep} --out {out}")
    assert again.code == 0 and "8 were there already" in again.err and out.read_bytes() == before
    assert shell(f"sweep {sweep} --out {out} --dry-run").out == "8 cells, 0 to do\n"


def test_options_are_written_as_the_schema_has_them(shell: Shell, tmp_path: Path) -> None:
    """Every option has its key; numbers are numbers and switches are true or false."""
    assert set(OPTIONS) <= set(SCHEMA["properties"])
    given = {"bf16_first": 1, "offload_layers": 2, "fp8_param_gather": True, "strict_fit": False, "etp": 1}
    given |= {"method": "lora", "lora_targets": "mlp", "cp_comm": "p2p", "capacity_factor": 1.5}
    path = tmp_path / "sweep.yaml"
    path.write_text("model: llama3.2-1b\ngpus: 8xH100\n" + "".join(f"{k}: {json.dumps(v)}\n" for k, v in given.items()))
    record = json.loads(shell(f"sweep {path} -q").out)
    jsonschema.validate(record, SCHEMA)
    assert {name: record[name] for name in given} == given | {"etp": "1"}


def test_a_cell_is_what_recommend_says(shell: Shell, sweep: Path) -> None:
    """One problem, many verbs."""
    cell = json.loads(shell(f"sweep {sweep} -q").out.splitlines()[2])
    options = f"-m {cell['model']} -g {cell['gpus']} --global-batch {cell['global_batch']} --seq 1024"
    plan = shell(f"recommend {options} --json -q").json["plans"][0]
    assert (cell["step_time_s"], cell["plan_dp"]) == (plan["step_time_s"], plan["dp"])


@pytest.mark.parametrize("name", ["out.ndjson", "out.csv"])
def test_a_torn_line_is_done_again(shell: Shell, sweep: Path, tmp_path: Path, name: str) -> None:
    """A file cut anywhere ends up as if nothing had happened."""
    out = tmp_path / name
    shell(f"sweep {sweep} -q --out {out}")
    whole = out.read_bytes()
    for cut in (len(whole) - 1, len(whole) // 2, len(whole) // 3, 10, 0):
        out.write_bytes(whole[:cut])
        assert shell(f"sweep {sweep} -q --out {out}").code == 0
        assert sorted(out.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_csv(shell: Shell, sweep: Path, tmp_path: Path) -> None:
    """The same fields in columns; another sweep's file is refused."""
    out = tmp_path / "out.csv"
    shell(f"sweep {sweep} -q --out {out}")
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert len(rows) == 8 and {r["status"] for r in rows} == {"fits"} and float(rows[0]["step_time_s"]) > 0
    sweep.write_text(SMALL + "zero: 1\n")
    refused = shell(f"sweep {sweep} -q --out {out}")
    assert refused.code == 2 and "other columns" in refused.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty file"),
        ("- model", "must be a mapping"),
        ("model: llama2-7b\n", "gpus is missing"),
        ("model: llama2-7b\ngpus: 8xA100\nbatches: 4\n", "no option of a sweep"),
        ("model: llama2-7b\ngpus: 8xA100\nseq: many\n", "not a whole number"),
        ("model: llama2-7b\ngpus: 8xA100\ntp: [1.5]\n", "not a word or a number"),
        ("model: llama2-7b\ngpus: []\n", "no values"),
        ("model: lama2-7b\ngpus: 8xA100\n", "did you mean"),
        ("model: llama2-7b\ngpus: 8xB100\n", "did you mean"),
        ("model: llama2-7b\ngpus: 8xA100\nframework: megatorn\n", "did you mean"),
        ("model: [llama2-7b\n", "sweep.yaml"),
        ("model: llama2-7b\nmodels: llama2-13b\ngpus: 8xA100\n", "model is there already"),
        ("model: llama2-7b\ngpus: 8xA100\nstrict: maybe\n", "not true or false"),
        ('model: llama2-7b\ngpus: 8xA100\nprecision: "bf\\n16"\n', "not a word"),
        (
            "model: llama2-7b\ngpus: 8xA100\n" + "".join(f"{o}: {list(range(1, 101))}\n" for o in PINS),
            "at most 1,000,000",
        ),
    ],
)
def test_mistakes_are_explained(shell: Shell, tmp_path: Path, text: str, says: str) -> None:
    """Before anything is computed or written."""
    path, out = tmp_path / "sweep.yaml", tmp_path / "out.ndjson"
    path.write_text(text)
    result = shell(f"sweep {path} --out {out} -q")
    assert result.code == 2 and says in result.err and result.out == "" and not out.exists()


def test_places_that_cannot_be_written(shell: Shell, sweep: Path, tmp_path: Path) -> None:
    """A directory, a missing one, a file of something else."""
    assert "is a directory" in shell(f"sweep {sweep} -o {tmp_path}").err
    assert "no directory" in shell(f"sweep {sweep} -o {tmp_path}/a/b.ndjson").err
    other = tmp_path / "notes.txt"
    other.write_text("hello\n")
    assert "no record of a sweep" in shell(f"sweep {sweep} -o {other}").err and other.read_text() == "hello\n"
    for name in ("notes.txt", "notes.csv"):
        (tmp_path / name).write_text("one line that nobody ended")
        assert shell(f"sweep {sweep} -o {tmp_path / name}").code == 2
        assert (tmp_path / name).read_text() == "one line that nobody ended"
    assert "no such file" in shell("sweep nowhere.yaml").err
    assert "--jobs" in shell(f"sweep {sweep} --jobs 0").err


def test_cells_that_cannot_be(shell: Shell, tmp_path: Path) -> None:
    """Refused or too large, with the reason, beside those that fit; nothing that fits is exit 1."""
    path = tmp_path / "sweep.yaml"
    path.write_text("model: llama2-70b\ngpus: 8xV100\nprecision: [bf16, fp16]\n")
    result = shell(f"sweep {path} -q")
    first, second = (json.loads(line) for line in result.out.splitlines())
    assert result.code == 1
    assert (first["status"], second["status"]) == ("refused", "does not fit")
    assert "has no bf16" in first["reason"] and second["step_time_s"] is None


def test_a_rank_is_of_the_cells_that_have_adapters(shell: Shell, tmp_path: Path) -> None:
    """Full fine-tuning beside LoRA: the rank belongs to one of them; alone it is refused."""
    both = tmp_path / "both.yaml"
    both.write_text("model: llama3.1-8b\ngpus: 8xA100\nmethod: [full, lora]\nlora_rank: 8\nglobal_batch: 32\n")
    records = [json.loads(line) for line in shell(f"sweep {both} -q --jobs 1").out.splitlines()]
    assert {r["method"]: r["status"] for r in records} == {"full": "fits", "lora": "fits"}
    both.write_text(both.read_text().replace("[full, lora]", "full"))
    assert "no adapters" in shell(f"sweep {both} -q --jobs 1").out
