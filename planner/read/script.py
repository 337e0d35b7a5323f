"""Any file that people have, by what is in it: a script, a list of flags, a DeepSpeed JSON, a torchtitan TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from planner.errors import PlannerError
from planner.launch.shell import Launch, Script, read_arguments, read_script, strip_launcher
from planner.read.asked import processes
from planner.read.completed import completed, is_slime, rollouts, words_of
from planner.read.configured import Asked, asked, documents_first, read_asked, read_configuration
from planner.read.context import Context
from planner.read.deepspeed import read_deepspeed
from planner.read.foreign import fork_of, refuse
from planner.read.format import detect
from planner.read.megatron import read_megatron
from planner.read.megatron_deepspeed import read_megatron_deepspeed
from planner.read.options import Options, known_options, read_options
from planner.read.python_args import is_python, python_tree
from planner.read.reading import Reading
from planner.read.titan_registry import is_registered, read_registered
from planner.read.torchtitan import read_torchtitan
from planner.read.tree import (
    BESIDE,
    NOT_BESIDE,
    Tree,
    is_toml,
    is_yaml,
    read_tree,
    read_values,
    tree_of,
    without_comments,
)
from planner.wording import NotRead

READABLE = (
    "a launch script or flags of Megatron-LM or Megatron-DeepSpeed",
    "a DeepSpeed JSON, or a script that names one",
    "a torchtitan TOML, or a script that names one",
    "YAML or a command of LLaMA-Factory, Transformers, TRL, Accelerate, Axolotl, ms-swift, torchtune, verl, OpenRLHF",
    "YAML of Megatron-LM (Primus, FlagScale, NeMo, Bridge), Automodel, NeMo RL, nanotron, GPT-NeoX, llm-foundry",
    "a JSON answer of planner recommend or explain",
)

CONFIGS = ("deepspeed_config", "deepspeed", "job.config_file", "job.config-file")
"""Options whose value is a file that holds the rest."""


TALK = ("echo", "printf", "cat", "tee")
"""Commands that show options and do not run them."""


def kind_of(text: str) -> str:
    """ "json", "toml", "yaml", "python", "flags" or "script", by how the text looks."""
    start = without_comments(text)
    if is_python(text):
        return "python"
    if start.startswith("{"):
        return "json"
    if is_toml(start):
        return "toml"
    if is_yaml(start):
        return "yaml"
    return "flags" if start.startswith("--") else "script"


def read_any(text: str, context: Context) -> Reading:
    """The plan that a file asks for.

    Raises:
        PlannerError: nothing that can be read, or what is missing in it.
    """
    kind = kind_of(text)
    if kind in ("python", "script"):
        refuse(text=text)
    if kind == "yaml" or (kind == "json" and not is_deepspeed(text)):
        return read_configuration(_tree(text, context), context, READABLE)
    if kind == "python":
        return read_configuration(python_tree(text), context, READABLE)
    if kind == "json":
        return read_deepspeed(text, context.world)
    if kind == "toml":
        refuse(tree_of(read_values(text, "the file")[0]))
        return read_torchtitan(text, context.world)
    if kind == "flags":
        return _read_command(Launch("", read_arguments(text).words, None, None, {}), {}, context, None)
    script = read_script(text, context.variables, context.beside)
    return read_command(script, context)


def _tree(text: str, context: Context) -> Tree:
    """A configuration with what it includes, which says itself whose it is.

    Raises:
        PlannerError: it cannot be read, or is of a framework that is not.
    """
    refuse(tree_of(read_values(text, "the file")[0]))
    return read_tree(text, "the file", context.beside, context.variables)


def is_deepspeed(text: str) -> bool:
    """Whether a JSON says nothing that tells another format."""
    try:
        return detect(tree_of(read_values(text, "the file")[0])) is None
    except NotRead:
        return True


def read_command(script: Script, context: Context) -> Reading:
    """The training command of a script: the one with most options that some framework knows."""
    beside = documents_first(script.documents, context.beside)
    launches = [(launch, asked(launch, beside)) for launch in map(strip_launcher, script.commands)]
    best, said = max(
        launches, key=lambda one: (one[0].program not in TALK, _known(one[0]) + one[1].score), default=(None, None)
    )
    refuse(said.tree if said else None, _started(script if best is None or best.program in TALK else best))
    if best is None or said is None or _known(best) + said.score == 0:
        refuse(None, _started(script))
        lines = [f"line {n}: {why}" for n, why in script.ignored[:5]]
        raise PlannerError("no training command that can be read", [*(f"wanted: {x}" for x in READABLE), *lines])
    try:
        reading = _read_command(best, script.documents, context, best.environment, said)
    except PlannerError as error:
        causes = [f"line {n}: {why}" for n, why in script.ignored if "not read" in why or "not beside" in why]
        raise PlannerError(str(error), (*error.hint, *causes[:5])) from None
    return replace(
        reading,
        ignored=(*reading.ignored, *script.ignored),
        notes=tuple(dict.fromkeys((*_sizes(best, context), *reading.notes))),
    )


def _started(one: Script | Launch) -> list[str]:
    """The words of a command, those of its launcher and its program too, or of all commands of a script."""
    if isinstance(one, Script):
        return [word.text for command in one.commands for word in command.words]
    return [one.program, *(word.text for word in (*one.launcher, *one.words))]


def _known(launch: Launch) -> int:
    """How many words are options of a framework that can be read."""
    names = known_options("megatron").keys() | known_options("megatron-deepspeed").keys()
    names |= {f"--{name}" for name in (*CONFIGS, "module", "config")}
    return sum(word.text.partition("=")[0] in names for word in launch.words)


def _sizes(launch: Launch, context: Context) -> tuple[str, ...]:
    """A note where the launcher starts another number of processes than the cluster has accelerators."""
    return () if launch.per_node is None else processes(launch.per_node * (launch.nodes or 1), context.world)


def _read_command(
    launch: Launch,
    documents: Mapping[str, str],
    context: Context,
    environment: Mapping[str, str] | None,
    said: Asked | None = None,
) -> Reading:
    """One command by its framework; `environment` is None where it is not known."""
    options = read_options(launch.words, _grammar(launch))
    config = _config(options, documents, context)
    if "job.config_file" in options or "job.config-file" in options:
        return read_torchtitan(_wanted(config, options), context.world, options)
    if is_registered(options) and (not launch.program or launch.program.startswith("torchtitan")):
        return read_registered(options, context.world)
    if "num-layers" in options or "tensor-model-parallel-size" in options:
        if "deepspeed" in options or "deepspeed_config" in options:
            found = read_megatron_deepspeed(options, config, context.world, environment, context.vocabulary)
            return _forked(found, options)
        vocabulary, notes = words_of(options, context)
        environment = None if is_slime(options) else environment
        reading = read_megatron(completed(options, context), context.world, environment, vocabulary)
        reading = _forked(reading, options)
        return rollouts(options, replace(reading, notes=(*notes, *reading.notes)))
    beside = documents_first(documents, context.beside)
    said = said or asked(launch, beside)
    if said.form is not None:
        return read_asked(said, replace(context, beside=beside), environment)
    if "deepspeed" in options or "deepspeed_config" in options:
        return read_deepspeed(_wanted(config, options), context.world)
    raise PlannerError("these options belong to no framework that can be read", [f"wanted: {x}" for x in READABLE])


def _forked(reading: Reading, options: Options) -> Reading:
    """The reading of a fork whose options are known as its own."""
    fork = fork_of(name.lstrip("-") for name, _ in options.strange)
    return reading.of_fork(fork) if fork else reading


def _grammar(launch: Launch) -> dict[str, str]:
    """How many values each option takes: by the parser of the framework whose words these are."""
    words = {word.text.partition("=")[0] for word in launch.words}
    deepspeed = words & {"--deepspeed", "--deepspeed_config", "--deepspeed-config"}
    own = {f"--{name}": "1" for name in ("job.config_file", "job.config-file", "module", "config")}
    if deepspeed and "--num-layers" in words:
        return known_options("megatron-deepspeed")
    return known_options("megatron") | own | ({"--deepspeed": "*", "--deepspeed_config": "1"} if deepspeed else {})


def _config(options: Options, documents: Mapping[str, str], context: Context) -> str | None:
    """Text of the configuration that the command names: written by the script itself, or a file beside it."""
    values = next((values for name in CONFIGS if name in options and (values := options.given[name].values)), None)
    return documents_first(documents, context.beside)(values[0]) if values else None


def _wanted(config: str | None, options: Options) -> str:
    """The configuration, which this command is nothing without."""
    name = next((n for n in CONFIGS if n in options and options.given[n].values), None)
    if config is not None:
        return config
    if name is None:
        hints = [f"wanted: {x}" for x in READABLE]
        raise PlannerError("--deepspeed names no JSON, and its options hold no plan", hints)
    raise PlannerError(f"line {options.line(name)}: --{name} {options.text(name)}: {NOT_BESIDE}", BESIDE)
