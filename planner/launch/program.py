"""What an emitter writes: the program that every rank runs, and the files it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from planner.frozen import frozen
from planner.plan import OnePlan
from planner.schema.workload import TowerPart
from planner.training.job import Job
from planner.training.rule import Rule

ANYTHING = ("*",)
GUARDED = ("offload", "loss", "graphs", "capacity", "attention")
"""Fields of Workload that a target may have no words for."""


@frozen
class Setup:
    """One plan (numbers, not arrays) of one job."""

    job: Job
    plan: OnePlan


@frozen
class File:
    """A file to write, by its name beside the others."""

    name: str
    text: str


def adapters_said(job: Job) -> str:
    """What a model is to be before it is handed on: LoRA's adapters on a base in 16 bit, or in fewer."""
    work = job.workload
    said = f"LoRA adapters of rank {work.lora_rank} on {work.lora_targets} layers"
    return said if work.method == "lora" else f"{said}, over weights loaded in {work.base}"


def kernels_said(job: Job) -> tuple[str, ...]:
    """The notes about them."""
    loss, attention = job.workload.loss, job.workload.attention
    said = [f"compute the loss with the kernel {loss}: the program is yours"] if loss else []
    return (*said, *([f"attention is counted as {attention}: the program is yours"] if attention != "flash" else []))


Flag = tuple[str, ...]
"""One option with its values, as they stand on one line: ("--tensor-model-parallel-size", "8")."""


@frozen
class Program:
    """What runs on every rank.

    Attributes:
        script: what the launcher starts: "pretrain_gpt.py", a module behind "-m ", or what begins as one of
            `planner.launch.launchers.shell.STARTERS`, which starts the ranks itself.
        flags: its options, in the order they are written.
        environment: variables that every rank needs; they decide whether some frameworks accept the flags.
        unset: variables that must not be set.
        files: configuration that the program reads.
        notes: what the planner does not know and the user has to fill in.
    """

    script: str
    flags: tuple[Flag, ...]
    environment: dict[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    notes: tuple[str, ...] = ()


@frozen
class Target:
    """A framework that plans are written for.

    Attributes:
        versions: of the framework that the output was checked against, as printed in the header.
        rules: what it cannot express, as masks over plans, on top of `planner.training.rules`.
        program: writes one plan.
        bare: what is printed without a launcher: flags or a configuration file.
        writes: what comes out, for the page of all targets.
        expresses: by field of Workload of GUARDED, the values beside its default that are written; ANYTHING: all. By
            "recipe", whose spelling of recipes below 16 bit is its own; by "dp_replicate", that copies of sharded
            states are written.
        preset: whose plans are ranked for it where the user names none; "": those of the job.
        towers: what of a vision tower is trained in what is written; none: decoders alone are written.
    """

    name: str
    title: str
    versions: str
    rules: tuple[Rule, ...]
    program: Callable[[Setup], Program]
    bare: Callable[[Program], str]
    writes: str
    expresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)
    preset: str = ""
    towers: tuple[TowerPart, ...] = ()


def flag_lines(program: Program) -> str:
    """The options, one per line, quoted for a shell."""
    from shlex import join

    return "".join(f"{join(flag)}\n" for flag in program.flags)


def only_file(program: Program) -> str:
    """The program's configuration file."""
    return program.files[0].text
