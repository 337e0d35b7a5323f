"""What starts the ranks of a program: one file per launcher, and its line here."""

from __future__ import annotations

from planner.launch.launchers import deepspeed, dstack, skypilot, slurm, torchrun, trainjob
from planner.launch.launchers.launcher import Launcher, Options

__all__ = ["LAUNCHERS", "Launcher", "Options"]

LAUNCHERS: dict[str, Launcher] = {
    module.LAUNCHER.name: module.LAUNCHER for module in (torchrun, slurm, trainjob, skypilot, dstack, deepspeed)
}
