"""Training programs behind the commands that start them: torchrun, deepspeed, srun, docker and others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from planner.catalog.yamlfile import table
from planner.frozen import frozen
from planner.read.bash.inner import SHELLS, inner_script
from planner.read.bash.slurm import settings
from planner.read.bash.words import Command, Word
from planner.units import whole_number


@frozen
class Launch:
    """A training program and how many processes of it start.

    Attributes:
        program: the script or module that trains, "pretrain_gpt.py".
        words: its arguments.
        nodes: machines; None when the launcher does not say.
        per_node: processes on each; None when the launcher does not say.
        environment: variables that it sees.
        launcher: the words before the program.
    """

    program: str
    words: tuple[Word, ...]
    nodes: int | None
    per_node: int | None
    environment: dict[str, str]
    launcher: tuple[Word, ...] = ()


@frozen
class Kind:
    """How one launcher writes its options.

    Attributes:
        switches: options without a value.
        counts: options that count something, by what they count.
        operands: words between the options and the program: an image, a host.
        verbs: subcommands.
        starts: it starts the processes itself; what an outer launcher said of processes is not about them.
    """

    switches: frozenset[str] = frozenset()
    counts: dict[str, str] = field(default_factory=dict)
    operands: int = 0
    verbs: frozenset[str] = frozenset()
    starts: bool = False


def _kind(row: dict[str, Any]) -> Kind:
    """Counts are written as "nodes=--nnodes"."""
    counts = (word.partition("=") for word in row.get("counts", "").split())
    switches, verbs = (frozenset(row.get(name, "").split()) for name in ("switches", "verbs"))
    named = {flag: name for name, _, flag in counts}
    return Kind(switches, named, row.get("operands", 0), verbs, row.get("starts", False))


_ROWS = [(names.split(), row, _kind(row)) for names, row in table("read", "bash/launchers.yaml").items()]
KINDS = {name: kind for names, _, kind in _ROWS for name in names}
MODULES = {name: kind for _, row, kind in _ROWS for name in row.get("modules", "").split()}
PYTHON = re.compile(r"(?:.*/)?(?:python|pypy)[\d.]*")
BARE = frozenset({"-u", "-O", "-OO", "-B", "-E", "-s", "-S", "-I", "-i", "-v", "-b", "-q"})


@dataclass(slots=True)
class Peel:
    """Takes launchers off the front of a command."""

    words: Sequence[Word]
    at: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)

    def text(self, ahead: int = 0) -> str:
        """A word, "" behind the end."""
        return self.words[self.at + ahead].text if self.at + ahead < len(self.words) else ""

    def peel(self) -> None:
        """Until the program is in front."""
        while self.at < len(self.words):
            text = self.text()
            name = text.rpartition("/")[2]
            if re.match(r"[A-Za-z_]\w*=", text):
                key, _, value = text.partition("=")
                self.own[key] = value
                self.at += 1
            elif self.words[self.at].unknown and self.launches(1):
                self.at += 1
            elif name in KINDS:
                self.at += 1
                self.options(KINDS[name], name)
            elif (not PYTHON.fullmatch(text) or not self.python()) and not self.handed_on():
                break

    def handed_on(self) -> bool:
        """Whether a program of one's own gets a command behind --: `python submit.py --gpus 8 -- torchrun ...`."""
        marks = (place for place in range(self.at, len(self.words) - 1) if self.words[place].text == "--")
        start = next(marks, -1) + 1
        text = self.words[start].text
        found = start > 0 and (text.rpartition("/")[2] in KINDS or PYTHON.fullmatch(text) is not None)
        self.at = start if found else self.at
        return found

    def launches(self, ahead: int) -> bool:
        """Whether what follows a word that nobody knows is a launcher; before it the word can only be one as well."""
        while self.at + ahead < len(self.words) and self.words[self.at + ahead].unknown:
            ahead += 1
        text = self.text(ahead)
        return text.rpartition("/")[2] in KINDS or PYTHON.fullmatch(text) is not None

    def python(self) -> bool:
        """python: True when a module that launches follows."""
        self.at += 1
        while self.text() in BARE or self.text() in ("-X", "-W"):
            self.at += 1 + (self.text() in ("-X", "-W"))
        if self.text() != "-m":
            return False
        self.at += 1
        launching = MODULES.get(self.text())
        if launching:
            self.at += 1
            self.options(launching, "")
        return launching is not None

    def options(self, kind: Kind, name: str) -> None:
        """The options of one launcher, and its operands."""
        if kind.starts:
            self.counts.pop("per_node", None)
            self.counts.pop("processes", None)
        if kind is KINDS["torchrun"]:
            self.counts.setdefault("nodes", 1)
        while self.text() in kind.verbs:
            self.at += 1
        start = self.at
        while self.text().startswith("-") and self.text() != "--":
            if kind.starts and self.text() in ("-m", "--module"):
                self.at += 1
                break
            self.option(kind)
        if kind is KINDS["srun"]:
            said = settings(word.text for word in self.words[start : self.at])
            self.counts |= {key: value for key, value in said.items() if key in ("nodes", "per_node")}
            self.counts |= {"processes": said["tasks"]} if "tasks" in said else {}
        self.at += kind.operands + (self.text() == "--")

    def option(self, kind: Kind) -> None:
        """One option with its value."""
        flag, inline, value = self.text().partition("=")
        counted = kind.counts.get(flag)
        takes = not inline and flag not in kind.switches and not self.text(1).startswith("-")
        takes = takes and (counted is not None or not self.text(1).endswith(".py"))
        takes = takes and not re.fullmatch(r"-[a-zA-Z]\d+", flag)
        value = self.text(1) if takes else value
        self.at += 1 + takes
        if counted == "include":
            hosts = [host.partition(":")[2] for host in value.split("@")]
            self.counts |= {"nodes": len(hosts)} | ({"per_node": hosts[0].count(",") + 1} if hosts[0] else {})
        elif counted:
            self.counts.pop(counted, None)
            count = whole_number(value)
            self.counts |= {} if count is None else {counted: count}

    def per_node(self) -> int | None:
        """Processes of each node."""
        processes, nodes = self.counts.get("processes"), self.counts.get("nodes")
        if "per_node" in self.counts or not processes or not nodes or processes % nodes:
            return self.counts.get("per_node")
        return processes // nodes


def within(command: Command, depth: int) -> Launch | None:
    """The launch inside `bash -c "..."`."""
    from planner.launch.shell import read_script

    texts = [word.text for word in command.words]
    found = inner_script(texts)
    if not found or depth > 3:
        return None
    text = " ".join(texts[found.start : found.stop])[found.skip :]
    inside = read_script(text, command.environment).commands
    prefix, line = command.words[: found.prefix], command.line
    moved = [
        Command((*prefix, *(Word(w.text, line, w.unknown) for w in c.words)), c.environment, line, c.conditional)
        for c in inside
    ]
    launches = [unwrapped(one, depth + 1) for one in moved]
    return next((one for one in launches if one.program.endswith(".py")), launches[-1] if launches else None)


def unwrapped(command: Command, depth: int) -> Launch:
    """A launch, through as many shells as it takes."""
    peel = Peel(command.words)
    peel.peel()
    if peel.text().rpartition("/")[2] in SHELLS or any(w.text.startswith("--wrap") for w in command.words[: peel.at]):
        inside = within(command, depth)
        if inside:
            return inside
        peel.at += peel.text().rpartition("/")[2] in SHELLS and peel.at + 1 < len(command.words)
    return Launch(
        program=peel.text(),
        words=tuple(command.words[peel.at + 1 :]),
        nodes=peel.counts.get("nodes"),
        per_node=peel.per_node(),
        environment=command.environment | peel.own,
        launcher=tuple(command.words[: peel.at]),
    )


def strip_launcher(command: Command) -> Launch:
    """The program that a command starts in the end, and what its launchers say of nodes and processes.

    Raises:
        PlannerError: a script inside the command cannot be read.
    """
    return unwrapped(command, 0)
