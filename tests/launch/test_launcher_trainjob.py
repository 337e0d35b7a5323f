"""trainjob.yaml."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from planner.errors import PlannerError
from planner.launch import accelerate, torchtitan
from planner.launch.launchers import LAUNCHERS, Options
from planner.launch.launchers.launcher import IMAGES
from planner.launch.launchers.manifests import SAID
from planner.launch.program import Target
from tests.launch.drawn import dense, setup


def text(target: Target = torchtitan.TARGET, on: str = "2x8xA100", embed: bool = True, image: str | None = None) -> str:
    """The manifest."""
    wanted = setup(dense(), on, zero=3)
    (file,) = LAUNCHERS["trainjob"].files(wanted, target.program(wanted), Options(("a plan",), embed, "toy", image))
    return file.text


def manifest(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Read back."""
    return dict(yaml.safe_load(text(*args, **kwargs)))


def test_manifest() -> None:
    """Sizes stand in fields; the controller hands them to torchrun."""
    found = manifest()
    assert (found["apiVersion"], found["kind"]) == ("trainer.kubeflow.org/v1alpha1", "TrainJob")
    assert found["metadata"] == {"name": "toy"}
    trainer = found["spec"]["trainer"]
    assert found["spec"]["runtimeRef"] == {"name": "torch-distributed"}
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 8)
    assert trainer["resourcesPerNode"]["limits"] == {"nvidia.com/gpu": 8}
    assert trainer["image"] == IMAGES["nvidia"]
    (script,) = trainer["args"]
    assert "torchrun \\\n  -m torchtitan.train \\\n  --job.config_file train.toml\n" in script
    assert "PET_" not in script


def test_accelerate_asks_the_controller() -> None:
    """It does not know PET_ variables itself."""
    (script,) = manifest(accelerate.TARGET)["spec"]["trainer"]["args"]
    assert '--machine_rank "$PET_NODE_RANK"' in script


def test_files_beside_are_named() -> None:
    """They cannot travel with the manifest."""
    assert f"# {SAID['trainjob']['beside']}\n" in text(embed=False)
    assert SAID["trainjob"]["beside"] not in text()


def test_other_accelerators() -> None:
    """AMD's resource; a TPU has none."""
    assert manifest(on="8xMI300X")["spec"]["trainer"]["resourcesPerNode"]["limits"] == {"amd.com/gpu": 8}
    assert manifest(image="mine")["spec"]["trainer"]["image"] == "mine"
    with pytest.raises(PlannerError, match="no Kubernetes resource is known for tpu"):
        text(on="4xtpu-v5p")
