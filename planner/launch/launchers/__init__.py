"""What starts the ranks of a program: a file per launcher, or a row of manifests.yaml, and its word here."""

from __future__ import annotations

from planner.launch.launchers import deepspeed, slurm, torchrun
from planner.launch.launchers.launcher import Launcher, Options
from planner.launch.launchers.manifests import manifest

__all__ = ["LAUNCHERS", "Launcher", "Options"]

_ALL = (torchrun.LAUNCHER, slurm.LAUNCHER, *map(manifest, ("trainjob", "skypilot", "dstack")), deepspeed.LAUNCHER)

LAUNCHERS: dict[str, Launcher] = {one.name: one for one in _ALL}
