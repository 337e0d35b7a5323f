"""DeepSpeed's launcher: run.sh and hostfile."""

from __future__ import annotations

import pytest

from planner.errors import PlannerError
from planner.launch import accelerate, deepspeed, megatron_deepspeed, torchtitan
from planner.launch.launchers import Options
from planner.launch.launchers.deepspeed import LAUNCHER
from planner.launch.program import File, Target
from tests.launch.drawn import dense, setup


def files(target: Target, on: str, embed: bool, **plan: int) -> tuple[File, ...]:
    """What is written for ZeRO-1."""
    wanted = setup(dense(), on, **({"zero": 1} | plan))
    return LAUNCHER.files(wanted, target.program(wanted), Options(("a plan",), embed))


def test_several_nodes() -> None:
    """A host per line, to be named by the user."""
    main, hosts = files(deepspeed.TARGET, "2x8xA100", embed=False)
    assert (main.name, hosts.name) == ("run.sh", "hostfile")
    assert hosts.text.splitlines() == [
        "# a plan",
        "# names of your nodes in place of worker-1, worker-2 ...",
        "worker-1 slots=8",
        "worker-2 slots=8",
    ]
    assert "deepspeed \\\n  --hostfile hostfile \\\n  --num_nodes 2 \\\n  --num_gpus 8 \\\n" in main.text
    assert main.text.endswith('  train.py \\\n  --deepspeed \\\n  --deepspeed_config ds_config.json \\\n  "$@"\n')


def test_embedded() -> None:
    """One text writes the hosts too."""
    (main,) = files(deepspeed.TARGET, "2x8xA100", embed=True)
    assert "cat > hostfile <<" in main.text
    assert "cat > ds_config.json <<" in main.text


def test_variables_reach_every_node() -> None:
    """Over ssh, by the file that the launcher reads."""
    _, _, variables = files(megatron_deepspeed.TARGET, "2x8xA100", embed=False, tp=2, sp=1)
    assert variables == File(".deepspeed_env", "CUDA_DEVICE_MAX_CONNECTIONS=1\n")


def test_one_node() -> None:
    """No hosts."""
    (main,) = files(deepspeed.TARGET, "8xA100", embed=False)
    assert "--hostfile" not in main.text


def test_modules() -> None:
    """Behind a switch."""
    main, *_ = files(torchtitan.TARGET, "8xA100", embed=False, zero=3)
    assert "  --module \\\n  torchtitan.train \\\n" in main.text


def test_accelerate_is_a_starter_itself() -> None:
    """Refused, with what to choose."""
    with pytest.raises(PlannerError, match="does not start `accelerate launch`"):
        files(accelerate.TARGET, "8xA100", embed=False, zero=3)
