"""Which versions of other packages are asked for, and which of them are tested."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from planner.wording import load_toml

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
PROJECT = load_toml((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ASKED = [Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]]
TESTED = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


def applies(requirement: Requirement, python: str) -> bool:
    """Whether a line counts for a version of Python, on Linux."""
    environment = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux"}
    return requirement.marker is None or requirement.marker.evaluate(environment | {"os_name": "posix"})


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_constraints_name_one_admitted_version(asked: Requirement, python: str) -> None:
    """Of every dependency, for every version of Python that has it."""
    found = [
        only.version
        for line in TESTED
        if canonicalize_name(line.name) == canonicalize_name(asked.name) and applies(line, python)
        for only in line.specifier
        if only.operator == "=="
    ]
    assert len(found) == int(applies(asked, python)), found
    assert all(asked.specifier.contains(Version(version)) for version in found)


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_a_dependency_has_a_lowest_version_and_a_reason(asked: Requirement) -> None:
    """One bound from below, which `.ci/run` installs, and a line in the decisions."""
    assert [bound.operator for bound in asked.specifier] == [">="]
    assert f"**{asked.name}**" in (ROOT / "docs" / "decisions" / "0006-dependencies.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("extra", ["frameworks", "hub", "mcp", "docs", "dev"])
def test_a_tool_has_a_reason(extra: str) -> None:
    """What only checks use is in the decisions too."""
    text = (ROOT / "docs" / "decisions" / "0006-dependencies.md").read_text(encoding="utf-8")
    names = {re.split(r"[^\w-]", line)[0] for line in PROJECT["optional-dependencies"][extra]}
    assert not [name for name in sorted(names - {PROJECT["name"]}) if name not in text]


def test_lowest_versions_are_the_bounds() -> None:
    """What `.ci/run` installs for its second run of the tests."""
    command = [sys.executable, str(ROOT / ".ci" / "dependencies.py"), "lowest"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    pinned = {line.name: line.specifier for line in map(Requirement, lines)}
    assert pinned.keys() == {asked.name for asked in ASKED}
    assert all(asked.specifier.contains(next(iter(pinned[asked.name])).version) for asked in ASKED)


@pytest.mark.parametrize("kind", [DeprecationWarning, PendingDeprecationWarning, FutureWarning])
def test_what_other_packages_deprecate_is_an_error_in_our_code_only(kind: type[Warning]) -> None:
    """A new version of one package beside an old one of another does not stop the tests."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.warn_explicit("old", kind, "x.py", 1, module="somebody.else")
    assert len(seen) == 1
    for ours in ("planner.cost.kernels", "tests.test_dependencies"):
        with pytest.raises(kind):
            warnings.warn_explicit("old", kind, "x.py", 1, module=ours)
    with pytest.raises(RuntimeWarning):
        warnings.warn_explicit("overflow", RuntimeWarning, "x.py", 1, module="somebody.else")
