"""Pieces of shell that launchers share: comments, variables, files as here-documents, the command that starts ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from shlex import join, quote

from planner.frozen import frozen
from planner.launch.program import File, Program, Setup

PORT = 29500
"""torch.distributed's default."""


@frozen
class Place:
    """Where a node finds its part: shell words for its number, the first node and its port; None: torchrun knows."""

    nodes: int
    ranks: int
    node: str
    address: str
    port: str


def place(setup: Setup, node: str, address: str, port: str = f'"${{MASTER_PORT:-{PORT}}}"') -> Place:
    """The plan's nodes and accelerators per node, and where a node learns its part."""
    return Place(setup.job.cluster.nodes, setup.job.cluster.used, node, address, port)


def comments(lines: Iterable[str]) -> str:
    """Comment lines."""
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def variables(program: Program) -> str:
    """What must not be set, and what must."""
    unset = "".join(f"unset {name}\n" for name in program.unset)
    return unset + "".join(f"export {name}={quote(value)}\n" for name, value in program.environment.items())


def here_document(file: File) -> str:
    """Writes a file as it is: the quoted delimiter keeps the shell from reading it."""
    end = delimiter(file.text)
    tail = "" if file.text.endswith("\n") else "\n"
    return f"cat > {quote(file.name)} <<'{end}'\n{file.text}{tail}{end}\n"


def delimiter(text: str) -> str:
    """A word that is no line of the text."""
    lines, word = set(text.splitlines()), "END_OF_FILE"
    while word in lines:
        word += "_"
    return word


def here_documents(files: Iterable[File], embed: bool) -> str:
    """All files, where they are to be embedded."""
    return "".join(map(here_document, files)) if embed else ""


def continued(lines: Iterable[str]) -> str:
    """One command over several lines."""
    return " \\\n  ".join(lines) + "\n"


def command(program: Program, where: Place, more: str = '"$@"') -> str:
    """Starts the program's ranks of one node; words behind the script are appended, so that they can override."""
    start = STARTERS[starter(program)](program, where)
    return continued([*start, *([more] if more else [])])


def starter(program: Program) -> str:
    """What starts the ranks: a key of STARTERS, "" for torchrun."""
    return max(name for name in STARTERS if program.script.startswith(name))


def torchrun(program: Program, where: Place) -> list[str]:
    """One option per line (pytorch/pytorch torch/distributed/run.py)."""
    return ["torchrun", *rendezvous(where), *script(program)]


def rendezvous(where: Place) -> list[str]:
    """One node meets itself; several meet at the first."""
    sizes = [f"--nnodes {where.nodes}", f"--nproc-per-node {where.ranks}"]
    if where.nodes == 1:
        return ["--standalone", *sizes]
    return [*sizes, f"--node-rank {where.node}", f"--master-addr {where.address}", f"--master-port {where.port}"]


def script(program: Program) -> list[str]:
    """The script, or the module behind -m, and its flags."""
    return [join(program.script.split(" ", 1)), *map(join, program.flags)]


def accelerate(program: Program, where: Place) -> list[str]:
    """`accelerate launch` with its options before the script (huggingface/accelerate commands/launch.py)."""
    name = program.script.removeprefix("accelerate launch ")
    return ["accelerate launch", *map(join, program.flags), *machines(where), quote(name)]


def machines(where: Place) -> list[str]:
    """Accelerate's words for a node among several; its file says how many there are."""
    said = ("--machine_rank", where.node), ("--main_process_ip", where.address), ("--main_process_port", where.port)
    return [f"{name} {value}" for name, value in said] if where.nodes > 1 else []


def trl(program: Program, where: Place) -> list[str]:
    """TRL hands options that it does not know on to `accelerate launch` (huggingface/trl cli/commands/training.py)."""
    return [program.script, *map(join, program.flags), *machines(where)]


def tune(program: Program, where: Place) -> list[str]:
    """torchrun's options before the recipe; several nodes need an endpoint (pytorch/torchtune _cli/run.py)."""
    sizes = [f"--nnodes {where.nodes}", f"--nproc-per-node {where.ranks}"]
    meet = ["--rdzv-id 1", "--rdzv-backend c10d", f"--rdzv-endpoint {where.address}:{where.port}"]
    words = [*sizes, *(meet if where.nodes > 1 else [])] if where.nodes * where.ranks > 1 else []
    return ["tune run", *words, program.script.removeprefix("tune run "), *map(join, program.flags)]


def by_variables(program: Program, where: Place) -> list[str]:
    """Programs that start torchrun with what these variables say (LLaMA-Factory launcher.py, ms-swift cli/main.py)."""
    said = {"NNODES": where.nodes, "NODE_RANK": where.node, "MASTER_ADDR": where.address, "MASTER_PORT": where.port}
    several = [f"{name}={value}" for name, value in said.items()] if where.nodes > 1 else []
    return [" ".join([f"NPROC_PER_NODE={where.ranks}", *several]), program.script, *map(join, program.flags)]


STARTERS: dict[str, Callable[[Program, Place], list[str]]] = {
    "": torchrun,
    "accelerate launch ": accelerate,
    "trl ": trl,
    "tune run ": tune,
    "llamafactory-cli ": by_variables,
    "swift ": by_variables,
}
"""What starts the ranks of one node, by how a program's script begins; all but torchrun know their own ways."""
