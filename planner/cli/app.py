"""The command line: the only place that knows typer, the terminal and the exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from planner import __version__
from planner.cli.commands import register
from planner.errors import EXIT_BAD_INPUT, EXIT_BUG, PlannerError

app = typer.Typer(
    help="Ranks parallel plans, of training and of inference, for a real model on a real cluster.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 something fits, 1 nothing fits, 2 bad input, 70 a bug in the planner.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"planner {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks")] = False,
) -> None:
    """Ranks parallel plans, of training and of inference, for a real model on a real cluster."""
    del version
    if debug:
        os.environ["PLANNER_DEBUG"] = "1"


def main() -> None:
    """Run the command line; turn every error into one screen and its exit code."""
    register(app, sys.argv[1:])
    try:
        app()
    except PlannerError as error:
        if os.environ.get("PLANNER_DEBUG"):
            raise
        _complain(str(error), error.hint)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # the reader has gone; point stdout at nothing so that the interpreter's last flush is quiet
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _complain(f"{error.filename or 'input/output'}: {error.strerror or error}")
        sys.exit(EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get("PLANNER_DEBUG"):
            raise
        _complain(f"a bug in the planner: {type(error).__name__}: {error}", ["please report it with --debug's output"])
        sys.exit(EXIT_BUG)


def _complain(message: str, hints: tuple[str, ...] | list[str] = ()) -> None:
    sys.stderr.write("".join([f"error: {message}\n", *(f"  {hint}\n" for hint in hints)]))
