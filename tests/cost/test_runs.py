"""Run-length evaluation gives what row-by-row evaluation gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.cost.runs import on_equal
from planner.plan import Plan


@dataclass(frozen=True)
class Inner:
    """A nested record."""

    x: Any


@dataclass(frozen=True)
class Outer:
    """A record of arrays, numbers and records."""

    a: Any
    fixed: float
    inner: Inner


def cost(x: Any, y: Any) -> Outer:
    """Something that rounds differently when reordered."""
    return Outer(np.sqrt(x) / 3.0 + y, 7.0, Inner(x * 0.1 - y * 0.3))


def each(function: Callable[..., Any], x: Any, y: Any = 1.0) -> Any:
    """On plans that differ in two fields, and in one that it does not depend on."""
    plan = Plan(tp=x, cp=y, zero=np.arange(np.size(x)))
    return on_equal(lambda one: function(one.tp, one.cp), plan, ("tp", "cp"))


@given(rows=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=60))
def test_same_bits_as_row_by_row(rows: list[tuple[int, int]]) -> None:
    """Few values, so that runs of all lengths come up, those of one row and of all rows among them."""
    x, y = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    got = each(cost, x, y)
    alone = [cost(np.float64(a), np.float64(b)) for a, b in rows]
    assert got.a.tolist() == [one.a for one in alone]
    assert got.inner.x.tolist() == [one.inner.x for one in alone]
    assert got.fixed == 7.0


def test_function_sees_each_run_once() -> None:
    """Five rows, three runs; equal rows that are no neighbours count again."""
    seen: list[int] = []

    def count(x: Any, _: Any) -> Any:
        seen.append(len(x))
        return x + 1

    assert each(count, np.array([4.0, 4.0, 5.0, 4.0, 4.0])).tolist() == [5, 5, 6, 5, 5]
    assert seen == [3]


def test_numbers_go_straight_through() -> None:
    """No arrays appear."""
    got = each(cost, 4.0, 1.0)
    assert got.a == pytest.approx(2 / 3 + 1) and np.ndim(got.a) == 0


def test_a_number_beside_an_array() -> None:
    """Broadcast."""
    assert each(lambda x, y: x + y, np.array([1.0, 2.0]), 3.0).tolist() == [4, 5]
