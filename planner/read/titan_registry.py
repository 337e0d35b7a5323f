"""torchtitan of 2026: `--module llama3 --config llama3_70b`, whose base stands in its code, and overrides behind it.

Bases and names: pytorch/torchtitan at b5bcd76c, models/*/config_registry.py, config/configs.py.
"""

from __future__ import annotations

from dataclasses import replace

from planner.catalog import yamlfile
from planner.errors import PlannerError, suggest
from planner.frozen import frozen
from planner.read.options import Option, Options
from planner.read.reading import Reading
from planner.read.table import NotModelled, table
from planner.read.torchtitan import read_torchtitan
from planner.units import whole_number


@frozen
class Base:
    """One function of a config registry.

    Attributes:
        name, flavor: of the model. length: tokens of a sequence; local: sequences of a rank's micro-batch.
        policy: of recomputation. degrees: options of [parallelism] with their values. narrow: the section and the
            recipe of products below 16 bit, which all of these compile.
    """

    name: str
    flavor: str
    length: int
    local: int
    policy: str = "selective"
    degrees: str = ""
    narrow: str = ""

    @property
    def plain(self) -> bool:
        """Whether products are in 16 bit."""
        return not self.narrow

    @property
    def toml(self) -> str:
        """The same as a configuration of torchtitan 0.2."""
        section, _, recipe = self.narrow.partition(" ")
        narrow = f'converters = ["{section}"]\n[{section}]\nrecipe_name = "{recipe}"\n' if recipe else ""
        compiled = "" if self.plain else "[compile]\nenable = true\n"
        return (
            f'[model]\nname = "{self.name}"\nflavor = "{self.flavor}"\n{narrow}{compiled}'
            f"[training]\nlocal_batch_size = {self.local}\n"
            f"seq_len = {self.length}\n[parallelism]\n{self.degrees.replace(' ', chr(10)).replace('=', ' = ')}\n"
            f'[activation_checkpoint]\nmode = "{self.policy}"\nselective_ac_option = "op"\n'
        )


SAID = yamlfile.table("read", "titan-registry.yaml")

REGISTRY = {name: Base(*row) for name, row in SAID["bases"].items()}
"""By the name of the function."""

RENAMED, TOKENS = SAID["renamed"], SAID["tokens"]
"""Options of today: by their names of 0.2, and those that count tokens where 0.2 counts sequences."""

IN_SEQUENCES = (*TOKENS.values(), *RENAMED.values(), "parallelism.pipeline_parallel_microbatch_size")
"""Options of 0.3.0, where a rank's batch is cut into micro-batches as in 0.2."""

OWN = ("module", "config", "help", "loss.num_chunks", "parallelism.num_pp_microbatches")

SUBCOMMAND = "activation-checkpoint:"
"""Begins the word, behind all options, that says which policy of recomputation takes the base's place."""

CHUNKED = "the loss is taken in chunks of the sequence, as every base has it: weighed as kernel chunked"


def is_registered(options: Options) -> bool:
    """Whether a command asks torchtitan for a base of its registry."""
    return "module" in options and "config" in options


def read_registered(options: Options, world: int) -> Reading:
    """The plan of a base with what the command sets over it.

    Raises:
        PlannerError: a base that is not known here, or as `read_torchtitan`.
    """
    name = options.text("config")
    base = REGISTRY.get(name)
    if base is None:
        near = suggest(name, list(REGISTRY), 3) or list(REGISTRY)
        raise PlannerError(
            f"--config {name:.60} is no base of torchtitan that is known here", f"known: {', '.join(near)}"
        )
    options, policy = without_subcommand(options)
    base = replace(base, policy=policy or base.policy)
    translated = in_sequences(options, base)
    known = table("torchtitan")
    left = [one for one in translated if known.group(one) is None]
    kept = {one: option for one, option in translated.items() if one not in left}
    reading = read_torchtitan(base.toml, world, replace(options, given=kept, strange=()))
    why = "of torchtitan after 0.2, whose options are those that are modelled"
    named = [
        NotModelled(o, " ".join(options.texts(o)), ("memory", "time", "legality"), why, options.line(o)) for o in left
    ]
    note = f"{name} is read as torchtitan has it in b5bcd76c; options of the command win"
    whole = options.text("loss.num_chunks", "8") == "1"
    workload = reading.workload | {"loss": None if whole else "chunked"}
    notes = (note, *(() if whole else (CHUNKED,)), *reading.notes)
    return replace(reading, workload=workload, notes=notes, not_modelled=(*named, *reading.not_modelled))


def without_subcommand(options: Options) -> tuple[Options, str]:
    """The options, of the last of which a subcommand seems to be a value; and what it chooses."""
    words = [word for option in options.given.values() for word in option.values] + [one.text for one in options.stray]
    policies = [word.removeprefix(SUBCOMMAND) for word in words if word.startswith(SUBCOMMAND)]
    given = {
        name: replace(one, values=tuple(word for word in one.values if not word.startswith(SUBCOMMAND)))
        for name, one in options.given.items()
    }
    return replace(options, given=given), policies[-1] if policies else ""


def in_sequences(options: Options, base: Base) -> dict[str, Option]:
    """The options under the names of 0.2."""
    given = {RENAMED.get(name, name): option for name, option in options.given.items() if name not in OWN}
    length = options.whole("training.max_context_length") or options.whole("training.seq_len") or base.length
    for name, ours in TOKENS.items():
        if name in given:
            tokens = options.whole(name) or 0
            given[ours] = replace(given.pop(name), values=(str(max(tokens // max(length, 1), 1)),))
    counted = "parallelism.pipeline_parallel_degree" in given and not any(name in options for name in IN_SEQUENCES)
    return given | (_piped(options, given, base) if counted else {})


def _piped(options: Options, given: dict[str, Option], base: Base) -> dict[str, Option]:
    """In a pipeline a rank's batch is so many micro-batches, where 0.2 cuts a batch into them."""
    name, b = "training.local_batch_size", base.local
    if name in given:
        b = whole_number(given[name].values[0]) or b
    count = options.whole("parallelism.num_pp_microbatches", 1) or 1
    sizes = {name: b * count, "parallelism.pipeline_parallel_microbatch_size": b}
    line = options.line("parallelism.num_pp_microbatches")
    return {key: Option((str(value),), line) for key, value in sizes.items()}
