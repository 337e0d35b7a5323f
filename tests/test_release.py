"""Files that machines elsewhere run, the release workflow and the Containerfile: linted where they cannot be run."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.wording import load_toml
from tests.cli.run import run

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = load_toml((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def workflow(path: Path) -> dict[str, Any]:
    """As GitHub reads it: `on` is a key, not true."""
    found: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    return found


def steps(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Of all jobs."""
    return [step for job in found["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_one(path: Path) -> None:
    """Keys, references between jobs, pinned actions, scripts that bash reads, the fewest rights."""
    found = workflow(path)
    assert {"name", "on", "permissions", "jobs"} == found.keys()
    assert found["permissions"] == {"contents": "read"}
    for job in found["jobs"].values():
        assert job.keys() <= {"needs", "if", "runs-on", "environment", "permissions", "steps"} and job["runs-on"]
        assert {job["needs"]} <= found["jobs"].keys() if "needs" in job else True
    for step in steps(found):
        assert step.keys() <= {"name", "uses", "with", "if", "run", "env"} and ("uses" in step) != ("run" in step)
        assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+|[0-9a-f]{40})", step.get("uses", "a/b@v1"))
        assert subprocess.run(["bash", "-n"], input=step.get("run", ""), text=True, check=False).returncode == 0


def test_publishing_is_trusted_and_takes_what_was_built() -> None:
    """Only the job that publishes may ask for an identity; no secret is named; its files are the build's."""
    found = workflow(ROOT / ".github" / "workflows" / "release.yml")
    rights = {name: job.get("permissions", {}) for name, job in found["jobs"].items()}
    assert rights == {"build": {}, "publish": {"id-token": "write"}}
    assert "secrets." not in str(found) and found["jobs"]["publish"]["needs"] == "build"
    named = {step["uses"].split("@")[0]: step.get("with", {}) for step in steps(found) if "uses" in step}
    assert named["actions/upload-artifact"]["name"] == named["actions/download-artifact"]["name"]
    assert named["actions/upload-artifact"]["path"] == named["actions/download-artifact"]["path"] == "dist/"
    assert found["jobs"]["publish"]["environment"]["url"].endswith(f"/{PROJECT['name']}/")


def test_the_release_tries_commands_that_there_are() -> None:
    """The first as it stands; validate, which tests/test_wheel.py runs, by its options."""
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    recommend, validate = re.findall(r"clean/bin/planner ([^>\n]+)", text)
    assert run(shlex.split(recommend)).code == 0 and validate == "validate --quiet"


CONTAINER = (ROOT / "Containerfile").read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """(instruction, the rest), continued lines joined."""
    lines = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", CONTAINER, flags=re.MULTILINE)).splitlines()
    return [(line.split()[0], line.partition(" ")[2]) for line in lines if line.strip()]


def test_containerfile_is_one() -> None:
    """Instructions that exist, images with a registry and a tag, no cache left behind, nobody's rights, exec forms."""
    found = instructions()
    assert {name for name, _ in found} <= {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "ENTRYPOINT", "CMD"}
    images = [rest.split()[0] for name, rest in found if name == "FROM"]
    assert all(re.fullmatch(r"docker\.io/library/python:\$\{PYTHON\}-slim", image) for image in images)
    runs = [rest for name, rest in found if name == "RUN"]
    assert all("--no-cache-dir" in part for rest in runs for part in rest.split("&&") if "pip install" in part)
    assert not re.search(r"\bsudo\b|curl[^|]*\|\s*sh", " ".join(runs))
    last = dict(found[max(n for n, (name, _) in enumerate(found) if name == "FROM") :])
    assert last["USER"] == "65534:65534" and last["ENTRYPOINT"] == '["planner"]' and last["CMD"].startswith("[")
    stages = re.findall(r"AS (\w+)", CONTAINER)
    assert set(re.findall(r"--from=(\w+)", CONTAINER)) <= set(stages)
    assert all(subprocess.run(["bash", "-n"], input=rest, text=True, check=False).returncode == 0 for rest in runs)


def test_containerfile_copies_what_it_builds_from() -> None:
    """Nothing that the wheel needs is kept out of the image."""
    ignored = (ROOT / ".containerignore").read_text(encoding="utf-8").split()
    assert not {"planner", "profiles", "benchmarks", "pyproject.toml", "README.md", "constraints.txt"} & set(ignored)
    assert "constraints.txt" in CONTAINER and PROJECT["readme"] == "README.md"
