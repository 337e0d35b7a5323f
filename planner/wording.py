"""What other packages find wrong with an input, in the planner's words: theirs change with their versions."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

from planner import __version__
from planner.errors import PlannerError, meant

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

DEEPEST = 32
"""Levels of nesting that any file may have."""

_SCHEMA = {
    "missing": "missing",
    "extra_forbidden": "unknown key",
    "string_pattern_mismatch": "not a legal name (letters, digits and . _ + -, the first a letter or digit)",
    "value_error": "{error}",
    "literal_error": "must be one of {expected}",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a shorter number",
}
_KIND = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a text",
    "tuple": "a list",
    "list": "a list",
    "dict": "a mapping (key: value)",
    "model": "a mapping (key: value)",
}
_LONG_NUMBER = re.compile(r"\d{1001}")
_QUOTED_JSON = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_QUOTED_YAML = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|(?<!\S)#[^\n]*")
_QUOTED_TOML = re.compile(r"\"\"\".*?\"\"\"|'''.*?'''|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|#[^\n]*", re.DOTALL)


def schema_problem(problem: ErrorDetails) -> str:
    """What pydantic found, by the name of the kind of error alone."""
    kind = problem["type"]
    said = _SCHEMA.get(kind)
    if said is None:
        wanted = _KIND.get(re.sub(r"_(type|parsing|attributes_type)$", "", kind))
        return f"must be {wanted}" if wanted else "not a legal value"
    return said.format_map({key: _shown(key, value) for key, value in problem.get("ctx", {}).items()})


def nearest_literal(problem: ErrorDetails) -> tuple[str, ...]:
    """The word that was meant, where one of several had to be given and what was given is near it."""
    known = schema_problem(problem).removeprefix("must be one of ").split(", ")
    return meant(str(problem["input"]), known) if problem["type"] == "literal_error" else ()


def _shown(key: str, value: Any) -> str:
    if key == "expected":
        return str(value).replace("'", "").replace(" or ", ", ")
    return f"{value:g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


class NotRead(PlannerError):
    """A text that is not in its format.

    Attributes:
        line: where, from 1.
        reason: what is wrong there.
    """

    def __init__(self, form: str, line: int, reason: str) -> None:
        super().__init__(f"line {line} is no {form}: {reason}")
        self.line, self.reason = line, reason


def load_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        NotRead: it is none, it nests more than 32 levels deep, or a number in it has more than a thousand digits.
    """
    if limit := _beyond(_QUOTED_JSON.sub(_blank, text)):
        raise NotRead("JSON", *limit)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        rest = text[error.pos :].lstrip()
        reason = f"{rest[0]!r} is not expected there" if rest else "it ends too early"
        raise NotRead("JSON", error.lineno, reason) from None


def same_version(document: dict[str, Any]) -> None:
    """Refuse an answer whose schema is of another version of the planner.

    Raises:
        PlannerError: says which wrote it.
    """
    schema = str(document.get("schema"))
    if schema.startswith("planner.") and not schema.endswith("/1"):
        wrote = f"planner {document.get('planner_version', 'of another version')!s:.40}"
        said = f"schema {schema!r:.60} of {wrote} is none that this one reads ({__version__}: version 1 of each)"
        raise PlannerError(said, (f"read it with {wrote}", "or ask the same question of this one"))


def _beyond(text: str) -> tuple[int, str] | None:
    """Line and name of the planner's own limits that a text without its quotations breaks."""
    if line := too_deep(text):
        return line, f"nested more than {DEEPEST} levels deep"
    if long := _LONG_NUMBER.search(text):
        return text.count("\n", 0, long.start()) + 1, "a number of more than a thousand digits"
    return None


def load_toml(text: str) -> dict[str, Any]:
    """The values of a TOML text.

    Raises:
        NotRead: it is none, it nests more than 32 levels deep, or a number in it has more than a thousand digits.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    if limit := _beyond(_QUOTED_TOML.sub(_blank, text)):
        raise NotRead("TOML", *limit)
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise NotRead("TOML", _named_line(error, text), "key = value, or [section], is expected") from None


def _named_line(error: ValueError, text: str) -> int:
    """The line that a message names; the last one where it names the end."""
    found = re.search(r"line (\d+)", str(error))
    return int(found[1]) if found else text.count("\n") + 1


def yaml_problem(text: str, row: int) -> tuple[int, str, str]:
    """Line, reason and next step for a YAML text that a parser refused at a row, counted from 0."""
    lines = text.split("\n")
    before, line = "\n".join(lines[: row + 1]), lines[row] if row < len(lines) else ""
    if deep := too_deep(before):
        return deep, f"nested more than {DEEPEST} levels deep", "a profile is flat"
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return row + 1, "a tab indents this line", "indent with spaces"
    if opened := _open(_QUOTED_YAML.sub(_blank, before)):
        return row + 1, f"the bracket of line {opened[-1]} is still open", "close it, or quote the text that holds it"
    if row >= len(lines) - 1:
        return row + 1, "a quote is still open at the end", "close it"
    if re.search(r":\s.*:(\s|$)", _QUOTED_YAML.sub(_blank, line)):
        return row + 1, "two colons on one line", "quote the value that holds the second"
    return (
        row + 1,
        "not YAML: key: value, or - entry, is expected",
        "see profiles/ for examples; quote what is plain text",
    )


def too_deep(text: str) -> int:
    """The line of the first bracket on level 33, or 0."""
    opened = _open(text)
    return opened[DEEPEST] if len(opened) > DEEPEST else 0


def _open(text: str) -> list[int]:
    """The lines of the brackets that are open at the end of a text, or once more than 32 are."""
    opened: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
        for bracket in re.findall(r"[\[{\]}]", line):
            if bracket in "[{":
                opened.append(number)
            elif opened:
                opened.pop()
            if len(opened) > DEEPEST:
                return opened
    return opened


def _blank(quoted: re.Match[str]) -> str:
    return "\n" * quoted[0].count("\n")


def os_reason(error: Exception) -> str:
    """Why the system refused a file, in lower case."""
    return str(getattr(error, "strerror", None) or "cannot be read").lower()
