"""Configurations of training frameworks, alone or behind the command that reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

from planner.errors import PlannerError
from planner.frozen import frozen
from planner.read.asked import reading_of
from planner.read.bash.unwrap import Launch
from planner.read.context import Context
from planner.read.format import Format, detect, find_format, formats, nearest
from planner.read.habits import HABITS
from planner.read.job import Job, read_job
from planner.read.megatron_tree import read_megatron_tree
from planner.read.primus_titan import backend, read_primus_titan
from planner.read.reading import Reading
from planner.read.shapes import model_of
from planner.read.sharding import TAKEN, accelerate_tree
from planner.read.tree import BESIDE, CONFIGS, NOT_BESIDE, SUFFIXES, Beside, Given, Tree, read_tree, read_words


@frozen
class Asked:
    """A command as one configuration.

    Attributes:
        form: whose it is; None where no key tells. tree: its options over the files that it names.
        missing: files that it names and that are not there. launcher: what `accelerate launch` is told.
    """

    form: Format | None
    tree: Tree
    missing: tuple[str, ...] = ()
    launcher: Tree = field(default_factory=Tree)

    @property
    def score(self) -> int:
        """How sure it is that this trains."""
        return 0 if self.form is None else 1 + self.form.score(self.tree)[0] + len(self.tree.leaves)


def asked(launch: Launch, beside: Beside) -> Asked:
    """What a command says, with the files that it names.

    Raises:
        PlannerError: a file that it names is no configuration.
    """
    given = read_words(launch.words)
    form, missing = by_command(launch, given), list[str]()
    named = {option for option, _ in given.files if option in CONFIGS}
    tree = Tree({key: leaf for key, leaf in given.tree.leaves.items() if key not in named})
    for option, name in given.files:
        if option and option not in CONFIGS:
            continue
        text = beside(name)
        if text is None:
            missing.append(name)
            continue
        try:
            tree = tree.over(read_tree(text, name, beside))
        except PlannerError:
            if form is not None:
                raise
    launcher, seen = launched(launch, given, beside), detect(tree)
    if form is None or (seen is not None and seen.name.startswith(f"{form.name}-v")):
        form = seen
    if form is None and launcher.leaves:
        return Asked(find_format("accelerate"), launcher, tuple(missing))
    return Asked(form, tree, tuple(missing), launcher)


def by_command(launch: Launch, given: Given) -> Format | None:
    """The format of a program that reads no other: `axolotl train`, `swift sft`."""
    program = launch.program.rpartition("/")[2]
    verb = f"{program} {given.stray[0]}" if given.stray else program
    for form in formats():
        if any((launch.program.endswith(one) and "/" in one) or one in (program, verb) for one in form.commands):
            return form
    return None


def launched(launch: Launch, given: Given, beside: Beside) -> Tree:
    """What `accelerate launch` is told, by its options and its file."""
    names = [word.text.rpartition("/")[2] for word in launch.launcher]
    start = next((place for place, name in enumerate(names) if name.startswith("accelerate")), -1)
    if start < 0:
        packaged = given.tree.get("accelerate_config")
        return Tree() if packaged is None else accelerate_tree(str(packaged), beside)
    said = read_words(launch.launcher[start + 1 :])
    tree = said.tree
    for option, name in said.files:
        if option == "config_file":
            tree = tree.over(accelerate_tree(name, beside))
    if "config_file" in said.tree and not said.files:
        tree = tree.over(accelerate_tree(str(said.tree.get("config_file")), beside))
    return tree.flat()


def read_asked(one: Asked, context: Context, environment: Mapping[str, str] | None) -> Reading:
    """The reading of a command.

    Raises:
        PlannerError: a file is missing, or a value cannot be.
    """
    assert one.form is not None
    if one.missing and not len(one.tree.leaves) > len(one.missing) + 1:
        raise PlannerError(f"{one.missing[0]:.80}: {NOT_BESIDE}", BESIDE)
    shipped = one.tree.get("config")
    if one.form.name == "torchtune" and isinstance(shipped, str) and not shipped.endswith(SUFFIXES):
        hint = f"tune cp {shipped:.80} run.yaml, then: planner check run.yaml"
        raise PlannerError(f"--config {shipped:.80} is a recipe that torchtune ships, and not beside the script", hint)
    reading = read_format(one.tree, one.form, context, one.launcher, environment)
    shipped = (one.launcher.where,) if one.launcher.where.endswith(TAKEN) else ()
    reading = replace(reading, notes=(*shipped, *reading.notes))
    gone = tuple((0, f"{name} is not beside the file: what it says is not known") for name in one.missing)
    return replace(reading, ignored=(*reading.ignored, *gone))


def read_format(
    tree: Tree,
    form: Format,
    context: Context,
    launcher: Tree | None = None,
    environment: Mapping[str, str] | None = None,
) -> Reading:
    """A configuration of a known format.

    Raises:
        PlannerError: as `read_job` and `reading_of`.
    """
    if form.name == "primus" and backend(tree) == "torchtitan":
        return read_primus_titan(tree, context.world)
    if form.megatron:
        return read_megatron_tree(tree, form, context, environment)
    job = read_job(tree, form)
    if launcher is not None and launcher.leaves:
        join(job, read_job(launcher, find_format("accelerate")))
    if form.name in HABITS:
        HABITS[form.name](job, tree)
    reading = reading_of(job, tree, context.beside, context.world, context.nodes)
    return replace(reading, model=model_of(job, tree))


def join(job: Job, below: Job) -> None:
    """What the launcher says, where the job itself is silent; layers are recomputed if either says so."""
    for name, leaf in below.said.items():
        if name not in job.said or (name == "recompute" and below.values[name] == "full"):
            job.values[name], job.said[name] = below.values[name], leaf
    job.not_modelled += below.not_modelled
    if job.get("engine") == "deepspeed" and "deepspeed" not in job.said:
        job.values.setdefault("zero", 0)


def read_configuration(tree: Tree, context: Context, wanted: tuple[str, ...]) -> Reading:
    """A configuration by its keys.

    Raises:
        PlannerError: it is of no format that is read; says which comes nearest.
    """
    form = detect(tree)
    if form is None:
        near = nearest(tree)
        hints = ([f"it comes nearest to {near}"] if near else []) + [f"wanted: {x}" for x in wanted]
        raise PlannerError("this file is in no format that is read", hints)
    return read_format(tree, form, context)


def documents_first(documents: Mapping[str, str], beside: Beside) -> Beside:
    """Files that a script writes itself, then those beside it."""

    def text_of(name: str) -> str | None:
        names = {key.rpartition("/")[2]: text for key, text in documents.items()}
        return documents.get(name) or names.get(name.rpartition("/")[2]) or beside(name)

    return text_of
