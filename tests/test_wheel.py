"""The wheel works where there is no checkout: built, installed into a clean environment, run from elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., str]
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout by way of the source distribution."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(out), str(ROOT)], check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


def test_wheel_carries_the_data_and_nothing_else(wheel: Path) -> None:
    """planner/ with the profiles and the measured runs inside; no tests, no top-level folders of data; under 1.5 MiB,
    a third of which are the profiles of 387 models, 112 accelerators and 246 nodes and the tables of options."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"planner"}
    assert "planner/_profiles/models/llama3.1-70b.yaml" in names
    assert "planner/py.typed" in names
    for table in (ROOT / "benchmarks").glob("measured*/*.csv"):
        assert zipfile.ZipFile(wheel).read(f"planner/_{table.parent.name}/{table.name}") == table.read_bytes()
    data = [name for name in names if name.startswith("planner/_")]
    assert not any(name.endswith(".py") for name in data if not name.startswith("planner/__"))
    assert wheel.stat().st_size < 3 * 2**19


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs the planner of a clean environment, outside the checkout."""
    home = tmp_path_factory.mktemp("clean")
    venv.create(home / "venv", with_pip=True)
    binaries = home / "venv" / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run(
        [binaries / "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"), str(wheel)],
        check=True,
        capture_output=True,
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PLANNER"))}

    def run(*arguments: str) -> str:
        command = [str(binaries / "planner"), *arguments]
        done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_wheel_answers_the_main_job(installed: Run) -> None:
    """From the packaged profiles."""
    out = installed("recommend", "--model", "llama70b", "--gpus", "8xA100")
    assert "llama3.1-70b" in out and "adam-8bit" in out


@pytest.mark.parametrize(("options", "counted"), [(["-q"], "used"), (["-q", "--serve"], "scored")])
def test_wheel_validates_on_the_runs_that_come_with_it(installed: Run, options: list[str], counted: str) -> None:
    """No file has to be named."""
    assert json.loads(installed("validate", *options, "--json"))["rows"][counted] > 100
