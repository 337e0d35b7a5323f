"""The wheel works where there is no checkout: built, installed into a clean environment, run from elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout by way of the source distribution."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(out), str(ROOT)], check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


def test_wheel_carries_the_profiles_and_nothing_else(wheel: Path) -> None:
    """planner/ with planner/_profiles/ inside; no tests, no top-level profiles."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"planner"}
    assert "planner/_profiles/models/llama3.1-70b.yaml" in names
    assert not any(name.startswith("planner/_profiles") and name.endswith(".py") for name in names)


def test_wheel_runs_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    """Installed with its dependencies outside the checkout, the main job answers from the packaged profiles."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    binaries = home / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run([binaries / "pip", "install", "-q", str(wheel)], check=True, capture_output=True)
    command = [binaries / "planner", "recommend", "--model", "llama70b", "--gpus", "8xA100"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PLANNER"))}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "llama3.1-70b" in done.stdout and "adam-8bit" in done.stdout
