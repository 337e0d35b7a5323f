"""Records of `planner.frozen` are what `dataclass(frozen=True, slots=True)` makes of the same class."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any, ClassVar

import pytest

from planner.frozen import frozen


@frozen
class Part:
    """All kinds of fields."""

    size: int
    name: str = "one"
    seen: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)
    more: list[int] = field(default_factory=list)
    kind: ClassVar[str] = "part"


@dataclass(frozen=True, slots=True)
class Usual:
    """The same, by the standard library."""

    size: int
    name: str = "one"
    seen: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)
    more: list[int] = field(default_factory=list)
    kind: ClassVar[str] = "part"


@frozen
class Checked:
    """Looks at what it is given."""

    size: int = 1
    double: int = field(init=False, compare=False)
    half: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError("too small")
        object.__setattr__(self, "double", 2 * self.size)


@frozen
class Nothing:
    """No fields."""


@pytest.mark.parametrize("arguments", [{"size": 3}, {"size": 3, "name": "two", "more": [4]}])
def test_is_what_the_standard_library_makes(arguments: dict[str, Any]) -> None:
    """Fields, text, slots, defaults."""
    ours, usual = Part(**arguments), Usual(**arguments)
    assert repr(ours) == repr(usual).replace("Usual", "Part")
    assert [(f.name, f.type, getattr(ours, f.name)) for f in fields(ours)] == [
        (f.name, f.type, getattr(usual, f.name)) for f in fields(usual)
    ]
    assert Part.__slots__ == Usual.__slots__ and not hasattr(ours, "__dict__")
    assert replace(ours, more=[5]) == Part(**arguments | {"more": [5]})


def test_positions_and_patterns() -> None:
    """In the order in which fields are written."""
    assert Part(3, "two") == Part(size=3, name="two")
    match Part(3, "two"):
        case Part(size, name):
            assert (size, name) == (3, "two")
    with pytest.raises(TypeError, match="size"):
        Part()  # type: ignore[call-arg]


def test_equality_and_hash_go_by_compared_fields() -> None:
    """And by the class."""
    one, other = Part(3), Part(3)
    one.seen["x"] = 1
    assert one == other != Part(4) and one != Usual(3) and one.more is not other.more
    assert (
        hash(Checked(3)) == hash(Checked(3))
        and Nothing() == Nothing() != Checked()
        and len({Nothing(), Nothing()}) == 1
    )


def test_nothing_changes() -> None:
    """Neither a field nor anything else."""
    for name in ("size", "colour"):
        with pytest.raises(FrozenInstanceError):
            setattr(Part(3), name, 1)
    with pytest.raises(FrozenInstanceError):
        del Checked(3).size  # type: ignore[misc]


def test_looks_at_what_it_is_given() -> None:
    """`__post_init__` runs, of `replace` too."""
    with pytest.raises(ValueError, match="too small"):
        replace(Checked(3), size=0)
    assert replace(Checked(3), size=4).double == 8 and Checked(3).half == 0


def test_pickles() -> None:
    """For the processes of a sweep."""
    one = Part(3, "two", [1])
    one.seen["x"] = 1
    back = pickle.loads(pickle.dumps(one))
    assert back == one and back.seen == {"x": 1}
