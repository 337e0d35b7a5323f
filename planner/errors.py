"""What can go wrong. Every error says what, where, why and the next step, and carries the exit code of the process.

PlannerError            2   the input is wrong; nothing was computed
├── UnitError           2   a quantity could not be read
├── ProfileError        2   a file is unusable; names file, line and key
├── UnknownName         2   no such model, accelerator, node, framework
├── AmbiguousName       2   several facts answer to the name and --strict forbids a default
├── NoLegalPlan         2   the options leave no plan that any rule allows
└── NotAsAsked          1   the job does not fit as asked, and what runs instead cannot be written
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

EXIT_FITS = 0
EXIT_NOTHING_FITS = 1
EXIT_BAD_INPUT = 2
EXIT_BUG = 70
EXIT_INTERRUPTED = 130

EXIT_CODES = {
    EXIT_FITS: "something fits; a relaxed plan says what it gives up (fits_as_requested in JSON), --exact forbids it",
    EXIT_NOTHING_FITS: "nothing fits, or not as asked under --exact; the answer is printed all the same, nearest first",
    EXIT_BAD_INPUT: "the question or a file is wrong, or the answer could not be written; nothing on stdout",
    EXIT_BUG: "a bug in the planner; --debug shows where",
    EXIT_INTERRUPTED: "interrupted",
}


class PlannerError(Exception):
    """A mistake in the input, worded for the person who made it.

    Attributes:
        hint: the next step, one line each; may be empty.
        exit_code: what the process returns.
    """

    exit_code = EXIT_BAD_INPUT

    def __init__(self, message: str, hint: str | Iterable[str] = ()) -> None:
        super().__init__(message)
        self.hint: tuple[str, ...] = (hint,) if isinstance(hint, str) else tuple(hint)


class UnitError(PlannerError):
    """A quantity that is no quantity, or one of the wrong dimension."""


class ProfileError(PlannerError):
    """A file that cannot be used."""


class UnknownName(PlannerError):
    """A name that no profile answers to."""


class AmbiguousName(PlannerError):
    """A name that several profiles answer to, under --strict."""


class NoLegalPlan(PlannerError):
    """Every plan that the options admit breaks a rule; the hint names the first rule broken."""


class NotAsAsked(PlannerError):
    """The job does not fit as asked, and what runs instead cannot be written."""

    exit_code = EXIT_NOTHING_FITS


def suggest(name: str, known: Sequence[str], count: int = 3) -> list[str]:
    """The `count` known names closest to a mistyped one, best first; empty when none is near."""
    from difflib import get_close_matches

    return get_close_matches(name[:80], known, n=count, cutoff=0.5)


def meant(name: str, known: Sequence[str]) -> tuple[str, ...]:
    """The hint that asks for the nearest known names; none where none is near."""
    near = suggest(name, known)
    return (f"did you mean: {', '.join(near)} ?",) if near else ()
