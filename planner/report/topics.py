"""What `planner help` says of a topic, out of the tables that the program itself goes by."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from planner.errors import EXIT_CODES


def exit_codes() -> Iterator[str]:
    """One line each."""
    yield "What a script finds in $? behind every command:"
    yield ""
    yield from (f"{code:<8}{says}" for code, says in EXIT_CODES.items())


def clusters() -> Iterator[str]:
    """Spellings of --gpus and --network."""
    from planner.catalog.clusters import GRAMMAR

    yield "What --gpus takes (recommend also a range of sizes, 8xA100..128xA100):"
    yield ""
    yield from GRAMMAR
    yield ""
    yield "Names: planner show accelerators, planner show nodes; instances of clouds are nodes."
    yield "--network 100GbE, 8x200GbE, NDR, RoCE or efa-v2 puts another network between the nodes: planner show links."
    yield "A file of your own: docs/howto/add-an-accelerator.md, with --profiles or PLANNER_PROFILES."


def formats() -> Iterator[str]:
    """What is read, and what is written."""
    from planner.launch.launchers import LAUNCHERS
    from planner.launch.targets import TARGETS
    from planner.read.format import FORMATS
    from planner.read.table import table

    named = ("megatron", "megatron-deepspeed", "deepspeed", "torchtitan", *FORMATS)
    yield "Read by planner check FILE, or - for stdin: shell scripts, flags, JSON, TOML or YAML of"
    yield ""
    yield "".ljust(8) + ", ".join(sorted({table(name).framework for name in named}, key=str.lower))
    yield ""
    yield "Written by planner launch --target NAME, to be started by --launcher NAME:"
    yield ""
    yield f"target  {', '.join(TARGETS)}"
    yield f"by      {', '.join(LAUNCHERS)}"
    yield ""
    yield "Models: a name (planner show models), a YAML file, or a Hugging Face config.json, file or directory."
    yield "Answers: --json everywhere, SI units in the keys, schemas in docs/schemas; planner report draws a saved one."


def rules() -> Iterator[str]:
    """What holds of the field's rules of thumb."""
    from planner.questions.thumbs import THUMBS

    yield "Rules of thumb, as far as they hold on what the planner computes (docs/rules-of-thumb.md has the maps):"
    for name, thumb in THUMBS.items():
        yield ""
        yield f"{name}: {thumb.said}?"
        yield f"        {thumb.holds}."


TOPICS: dict[str, tuple[str, Callable[[], Iterator[str]]]] = {
    "clusters": ("how --gpus and --network are spelled", clusters),
    "exit-codes": ("what a script finds in $?", exit_codes),
    "formats": ("what is read and what is written", formats),
    "rules": ("the field's rules of thumb, as far as they hold", rules),
}
"""Name -> what it is about, and its lines."""
