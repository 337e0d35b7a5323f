"""The command line: the only place that knows typer, the terminal and the exit code."""

from __future__ import annotations

import gc
import os
import re
import sys
from typing import Annotated

import typer

from planner import __version__
from planner.cli.commands import of_deployments, register
from planner.cli.streams import ReaderGone, guarded
from planner.cli.usage import run
from planner.errors import EXIT_BAD_INPUT, EXIT_BUG, EXIT_FITS, EXIT_INTERRUPTED, PlannerError
from planner.questions.option_names import ours_of

app = typer.Typer(
    help="Ranks parallel plans, of training and of inference, for a real model on a real cluster.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 something fits, 1 nothing fits, 2 bad input, 70 a bug in the planner.",
)


MANY = 100_000
"""New objects after which cycles among them are looked for: what a command imports and builds, 60,000 to 70,000 of
them, is there to stay."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"planner {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; before or after the command")] = False,
) -> None:
    """Ranks parallel plans, of training and of inference, for a real model on a real cluster."""
    del version, debug


def main() -> None:
    """Run the command line; turn every error into one screen and its exit code."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # or it reads what every installed package offers
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # or threads of NumPy's that no search uses spin beside it
    gc.set_threshold(MANY)
    words, debug = _asked(sys.argv[1:])
    with guarded():
        code = _outcome(words, debug or bool(os.environ.get("PLANNER_DEBUG")))
    sys.exit(code)


def command() -> None:
    """`main` as a process of its own, which ends at once: all is written, and what it imported need not be taken apart.

    Where workers ran, the interpreter waits for them as usual.
    """
    try:
        main()
    except SystemExit as stop:
        if "multiprocessing" in sys.modules or not isinstance(stop.code, int):
            raise
        os._exit(stop.code)


def _asked(words: list[str]) -> tuple[list[str], bool]:
    """The words without --debug, and whether it was among them: every command takes it."""
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != "--debug"]
    return kept + words[end:], len(kept) < end


def _outcome(words: list[str], debug: bool) -> int:
    try:
        return _run(words)
    except ReaderGone:
        return EXIT_FITS
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except Exception as error:
        if debug:
            import traceback

            traceback.print_exc()
        return _explained(error, words)


def _run(words: list[str]) -> int:
    """The exit code that the command asks for, once its answer has arrived."""
    code: object = EXIT_FITS
    words = of_deployments(ours_of(words)) or ["--help"]
    if said := register(app, words):
        from planner.cli.screen import notes

        notes(said, bool({"-q", "--quiet"} & set(words)))
    try:
        code = run(app, words)
    except SystemExit as stop:
        code = stop.code
    sys.stdout.flush()
    return code if isinstance(code, int) else EXIT_FITS


def _explained(error: Exception, words: list[str]) -> int:
    """One screen on stderr; the exit code that goes with it."""
    if isinstance(error, PlannerError):
        _complain(str(error), error.hint or (_usual_step(error, words),))
        return error.exit_code
    if isinstance(error, OSError):
        _complain(f"{error.filename or 'input/output'}: {error.strerror or error}", ("name a file that can be read",))
        return EXIT_BAD_INPUT
    _complain(
        f"a bug in the planner: {type(error).__name__}: {error}",
        ("please report it with what the same command prints when --debug is added",),
    )
    return EXIT_BUG


def _usual_step(error: PlannerError, words: list[str]) -> str:
    """The next step after an error that names none: what the option takes, or the file to be mended."""
    flag = re.match(r"-[-\w]+", str(error))
    if flag is None:
        return "mend it there and ask again: planner help formats has the files that are read"
    verb = next((word for word in words if not word.startswith("-")), "")
    return f"planner {verb} -h says what {flag[0]} takes"


def _complain(message: str, hints: tuple[str, ...] = ()) -> None:
    sys.stderr.write("".join([f"error: {message}\n", *(f"  {hint}\n" for hint in hints)]))
