"""The plan of the house: which floor may import which, and how large a module or a function may grow."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from planner.schedules import SCHEDULES

ROOT = Path(__file__).parents[1] / "planner"
MODULES = sorted(ROOT.rglob("*.py"))

STOREYS = (
    ("errors",),
    ("frozen",),
    ("units", "formula", "wording"),
    ("schema",),
    ("plan",),
    ("masks", "mesh", "parts"),
    ("blocks",),
    ("catalog",),
    ("schedules", "cost"),
    ("stages",),
    ("training", "serving"),
    ("search",),
    ("simulate",),
    ("bands",),
    ("questions", "sizing"),
    ("accuracy", "documents", "launch", "read", "report"),
    ("cli", "api", "size", "__init__", "__main__"),
)
"""From the ground up. Modules may import lower storeys and their own."""

FLOOR = {name: height for height, names in enumerate(STOREYS) for name in names}

PURE = ("plan", "masks", "mesh", "blocks", "schedules", "cost", "stages")
PURE += ("training", "serving", "search", "sizing")
"""Nothing here reads the screen, the disk or the clock."""

OUTSIDE = {"typer", "os", "pathlib", "yaml", "time"}

LONGEST_MODULE = 350
LONGEST_FUNCTION = 60


def home(path: Path) -> str:
    """The part of the house that a file belongs to: "cost" for cost/operators.py, "plan" for plan.py."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[tuple[str, ...]]:
    """Every module that a file imports anywhere, as dotted parts; names behind `from` are told apart for `planner`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            parts = tuple((node.module or "").split("."))
            yield from (((*parts, alias.name) for alias in node.names) if parts == ("planner",) else (parts,))


def rooms(path: Path) -> set[str]:
    """Parts of the house that a file imports."""
    return {parts[1] for parts in imports(path) if parts[0] == "planner" and len(parts) > 1 and parts[1] in FLOOR}


def name(path: Path) -> str:
    """For test ids."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name)
class TestModule:
    """One file at a time."""

    def test_has_a_floor(self, path: Path) -> None:
        """A new part of the house is given its place above."""
        assert home(path) in FLOOR

    def test_imports_no_higher_floor(self, path: Path) -> None:
        """Data flows one way."""
        above = {room for room in rooms(path) if FLOOR[room] > FLOOR[home(path)]}
        assert not above, f"{name(path)} imports {above}"

    def test_size(self, path: Path) -> None:
        """Small enough to be read at one go."""
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= LONGEST_MODULE
        functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        long = {f.name: n for f in functions if (n := (f.end_lineno or 0) - f.lineno + 1) > LONGEST_FUNCTION}
        assert not long


@pytest.mark.parametrize("path", [p for p in MODULES if home(p) in PURE], ids=name)
def test_arithmetic_touches_nothing_outside(path: Path) -> None:
    """The search measures its own seconds; that is all."""
    allowed = {"time"} if home(path) == "search" else set()
    found = {parts[0] for parts in imports(path)} & OUTSIDE
    assert found <= allowed


def test_plan_imports_nothing_of_the_planner() -> None:
    """Every other part knows `Plan`, so it may know none of them."""
    assert not rooms(ROOT / "plan.py")


@pytest.mark.parametrize("path", [p for p in MODULES if home(p) != "documents"], ids=name)
def test_records_of_documents_are_for_type_checkers(path: Path) -> None:
    """No command waits for them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = [one for one in tree.body if isinstance(one, ast.If) and is_name(one.test, "TYPE_CHECKING")]
    aside = {id(inner) for one in told for inner in ast.walk(one)}
    found = [one for one in ast.walk(tree) if isinstance(one, ast.ImportFrom) and id(one) not in aside]
    assert not [one.lineno for one in found if (one.module or "").startswith("planner.documents")]


def test_the_walk_sees_imports(tmp_path: Path) -> None:
    """All three spellings count, inside functions too."""
    file = tmp_path / "x.py"
    file.write_text("import planner.cost.runs\nfrom planner import cli\ndef f():\n    from planner.plan import Plan\n")
    assert rooms(file) == {"cost", "cli", "plan"}


OURS = {"PlannerError", "UnitError", "ProfileError", "UnknownName", "NoLegalPlan", "Unusable", "NotRead", "Exception"}
"""Errors whose words are the planner's; an `Exception` is a bug, and shown as it is."""


def foreign_words(tree: ast.AST) -> Iterator[int]:
    """Lines on which the text of another package's error is passed on; what the system says of a file is not meant."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and node.slice.value == "msg":
            yield node.lineno
        if isinstance(node, ast.ExceptHandler) and node.name and not caught(node) <= OURS | {"OSError", "KeyError"}:
            yield from (inner.lineno for part in node.body for inner in ast.walk(part) if tells(inner, node.name))


def caught(handler: ast.ExceptHandler) -> set[str]:
    """Names of the errors that a handler takes."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {kind.attr if isinstance(kind, ast.Attribute) else getattr(kind, "id", "") for kind in kinds}


def tells(node: ast.AST, error: str) -> bool:
    """`str(error)`, `f"{error}"`, `error.msg` and what else turns an error into text."""
    if isinstance(node, ast.FormattedValue):
        return is_name(node.value, error)
    if isinstance(node, ast.Attribute):
        return is_name(node.value, error) and node.attr in ("msg", "message", "problem", "reason", "args")
    of_text = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("str", "repr")
    return of_text and any(is_name(argument, error) for argument in node.args)


def is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_errors_of_other_packages_are_worded_here(path: Path) -> None:
    """Their words change with their versions: planner/wording.py has the planner's own."""
    assert not list(foreign_words(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("told", ["str(e)", "f'{e}'", "f'{e!r}'", "e.msg", "e.args[0]", "f'{str(e).lower()}'"])
def test_the_walk_sees_foreign_words(told: str) -> None:
    """Every way to pass them on, and none of ours."""
    text = "try:\n    x()\nexcept (yaml.YAMLError, ValueError) as e:\n    raise PlannerError({}) from None\n"
    assert list(foreign_words(ast.parse(text.format(told))))
    assert not list(foreign_words(ast.parse(text.format("f'line {e.lineno}'"))))
    assert not list(foreign_words(ast.parse(text.replace("(yaml.YAMLError, ValueError)", "UnitError").format(told))))


EXCUSED = [("plan.py", "1f1b")]
"""Names elsewhere: the schedule of a plan that nobody gave one."""


def test_schedules_are_named_in_their_records_only() -> None:
    """No module outside planner/schedules/ spells a schedule's name: it asks the records."""
    names = {name for name, schedule in SCHEDULES.items() if schedule.trains}
    found = []
    for path in MODULES:
        if home(path) == "schedules":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names:
                found.append((str(path.relative_to(ROOT)), node.value))
    assert sorted(found) == EXCUSED
