"""Where a command carries a script for another shell: bash -c, ssh, sbatch --wrap."""

from __future__ import annotations

import re
from collections.abc import Sequence

from planner.frozen import frozen

SHELLS = {"bash", "sh", "zsh", "dash", "ksh"}
SCRIPTS = (".sh", ".bash", ".slurm", ".sbatch", ".sub")
SSH_WITH_VALUE = frozenset("BbcDEeFIiJLlmOopQRSWw")


@frozen
class Inner:
    """Places in the words of a command.

    Attributes:
        prefix: words before it belong to whatever starts the shell.
        start: first word of the script.
        stop: behind its last word.
        arguments: first of its positional parameters.
        skip: characters of the first word that are not the script's.
    """

    prefix: int
    start: int
    stop: int
    arguments: int
    skip: int = 0


def inner_script(texts: Sequence[str]) -> Inner | None:
    """The script within a command, None when there is none."""
    if texts and texts[0] == "ssh":
        return remote(texts)
    for place, text in enumerate(texts):
        if text.rpartition("/")[2] in SHELLS:
            return shell(texts, place)
        if text.startswith("--wrap=") and "sbatch" in texts[:place]:
            return Inner(place, place, place + 1, len(texts), len("--wrap="))
        if text == "--wrap" and "sbatch" in texts[:place] and place + 1 < len(texts):
            return Inner(place, place + 1, place + 2, len(texts))
    return None


def script_file(texts: Sequence[str]) -> int | None:
    """The place of a script's file among the words that run it: bash [options] file, sbatch [options] file, ./file."""
    names = [text.rpartition("/")[2] for text in texts]
    start = next((i for i, name in enumerate(names) if name in SHELLS or name == "sbatch"), -1)
    if start < 0:
        return 0 if texts and texts[0].endswith(SCRIPTS) else None
    for place in range(start + 1, len(texts)):
        if texts[place].endswith(SCRIPTS) and not texts[place].startswith("-"):
            return place
        if not texts[place].startswith("-") and names[start] in SHELLS:
            return place
    return None


def shell(texts: Sequence[str], place: int) -> Inner | None:
    """bash [options] -c script [name [argument...]]."""
    at = place + 1
    while at < len(texts) and re.fullmatch(r"-[a-bd-z]+|--[\w-]+|[-+]o|pipefail|errexit|nounset", texts[at]):
        at += 1
    if at + 1 >= len(texts) or not re.fullmatch(r"-[a-z]*c[a-z]*", texts[at]):
        return None
    return Inner(place, at + 1, at + 2, at + 3)


def remote(texts: Sequence[str]) -> Inner | None:
    """ssh [options] host command..."""
    at = 1
    while at < len(texts) and texts[at].startswith("-"):
        at += 2 if len(texts[at]) == 2 and texts[at][1] in SSH_WITH_VALUE else 1
    return Inner(at + 1, at + 1, len(texts), len(texts)) if at + 1 < len(texts) else None
