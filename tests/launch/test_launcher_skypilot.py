"""task.yaml."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from planner.errors import PlannerError
from planner.launch import torchtitan
from planner.launch.launchers import LAUNCHERS, Options
from planner.launch.launchers.manifests import SAID
from tests import jobs
from tests.launch.drawn import dense, setup


def task(on: str = "2x8xA100", image: str | None = None) -> dict[str, Any]:
    """Read back."""
    wanted = setup(dense(), on, zero=3)
    (file,) = LAUNCHERS["skypilot"].files(
        wanted, torchtitan.TARGET.program(wanted), Options(("a plan",), True, "toy", image)
    )
    return dict(yaml.safe_load(file.text))


def test_task() -> None:
    """The accelerator under SkyPilot's name; the first address is the master."""
    found = task()
    assert found["resources"] == {"accelerators": "A100-80GB:8", "network_tier": "best"}
    assert (found["name"], found["num_nodes"], found["workdir"]) == ("toy", 2, ".")
    assert 'MASTER_ADDR="$(sed -n 1p <<< "$SKYPILOT_NODE_IPS")"' in found["run"]
    assert '--node-rank "$SKYPILOT_NODE_RANK"' in found["run"]


def test_one_node() -> None:
    """Meets itself."""
    found = task("8xH100", image="nvcr.io/x:1")
    assert found["resources"] == {"accelerators": "H100:8", "image_id": "docker:nvcr.io/x:1"}
    assert "--standalone" in found["run"]


def test_names_are_of_profiles() -> None:
    """No name without a profile; one that SkyPilot lacks is refused."""
    assert set(SAID["skypilot"]["names"]) <= set(jobs.library().names("accelerator"))
    with pytest.raises(PlannerError, match="SkyPilot has no name for gaudi3"):
        task("8xgaudi3")
