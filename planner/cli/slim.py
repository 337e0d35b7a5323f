"""The options that a command line names: a command with those alone, since each of the others would say None."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args

from typer.models import OptionInfo

PLAIN = (type(None), bool, int, float, str)
"""Defaults that a parser hands on as they are."""


def as_named(command: Callable[..., None], words: Sequence[str]) -> Callable[..., None]:
    """The command as these words need it: whole, where one that looks like an option is none of them (help, a slip)."""
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    spelled = {one.name: set(_spellings(one)) for one in parameters}
    dashed = {word.partition("=")[0] for word in words if word.startswith("-")}
    if not dashed <= {name for names in spelled.values() for name in names}:
        return command
    kept = [one for one in parameters if spelled[one.name] & dashed or not _idle(one)]
    left = {one.name: one.default for one in parameters if one not in kept}

    def called(**given: Any) -> None:
        command(**left | given)

    called.__signature__ = inspect.Signature(kept)  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in kept}
    called.__doc__ = command.__doc__
    return called


def repeated(command: Callable[..., None], words: Sequence[str]) -> Iterator[str]:
    """Of options that take one value and are named more than once, each by its last name."""
    options = words[: words.index("--")] if "--" in words else words
    for one in inspect.signature(command, eval_str=True).parameters.values():
        names = set(_spellings(one))
        named = [word for word in (word.partition("=")[0] for word in options) if word in names]
        if len(named) > 1 and not _several(one) and "bool" not in str(one.annotation):
            yield named[-1]


def _several(parameter: inspect.Parameter) -> bool:
    return "list" in str(parameter.annotation)


def _idle(parameter: inspect.Parameter) -> bool:
    """Whether it may be left to its default."""
    return bool(_option(parameter)) and type(parameter.default) in PLAIN and not _several(parameter)


def _option(parameter: inspect.Parameter) -> OptionInfo | None:
    return next((one for one in get_args(parameter.annotation) if isinstance(one, OptionInfo)), None)


def _spellings(parameter: inspect.Parameter) -> Iterator[str]:
    option = _option(parameter)
    if option is not None:
        first = (option.default,) if isinstance(option.default, str) else ()  # as typer takes it inside Annotated
        yield from (*first, *(option.param_decls or ())) or (f"--{parameter.name.replace('_', '-')}",)
