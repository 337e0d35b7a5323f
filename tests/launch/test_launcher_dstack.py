"""task.dstack.yml."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from planner.errors import PlannerError
from planner.launch import torchtitan
from planner.launch.launchers import LAUNCHERS, Options
from planner.launch.launchers.launcher import IMAGES
from planner.launch.launchers.manifests import SAID
from tests import jobs
from tests.launch.drawn import dense, setup


def task(on: str = "2x8xA100") -> dict[str, Any]:
    """Read back."""
    wanted = setup(dense(), on, zero=3)
    (file,) = LAUNCHERS["dstack"].files(wanted, torchtitan.TARGET.program(wanted), Options(("a plan",), True, "toy"))
    return dict(yaml.safe_load(file.text))


def test_task() -> None:
    """Memory tells the two A100 apart."""
    found = task()
    assert found["resources"] == {"gpu": "A100:80GB:8", "shm_size": "24GB"}
    assert (found["type"], found["name"], found["nodes"]) == ("task", "toy", 2)
    assert found["image"] == IMAGES["nvidia"]
    (script,) = found["commands"]
    assert '--node-rank "$DSTACK_NODE_RANK"' in script
    assert '--master-addr "$DSTACK_MASTER_NODE_IP"' in script


def test_names_are_of_profiles() -> None:
    """No name without a profile; one that dstack lacks is refused."""
    assert set(SAID["dstack"]["names"]) <= set(jobs.library().names("accelerator"))
    with pytest.raises(PlannerError, match="dstack has no name for tpu"):
        task("4xtpu-v5p")
