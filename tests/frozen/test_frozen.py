"""Numbers of dense jobs stand still while the middle is rebuilt."""

from __future__ import annotations

from typing import Any

import pytest

from tests.frozen import record, serving


def test_drawn_plans_stand_still() -> None:
    """Every part of the peak and of the step of 500 random plans, to 1e-9."""
    moved = {}
    for index, row in enumerate(record.read(record.DRAWN)):
        if names := record.close(record.said(*record.drawn(row)), row["said"]):
            moved[index] = names
    assert not moved


def _tables() -> dict[str, Any]:
    return dict(record.tables())


@pytest.fixture(scope="module")
def today() -> dict[str, Any]:
    """What is said of every table that is there."""
    return _tables()


@pytest.mark.parametrize("name", sorted(record.read(record.MEASURED)))
def test_measured_runs_stand_still(name: str, today: dict[str, Any]) -> None:
    """Every dense 16-bit run that `validate` uses; tables beside the checkout where they are."""
    if name not in today:
        pytest.skip("lies beside the checkout")
    then, now = record.keyed(record.read(record.MEASURED)[name]), record.keyed(today[name])
    assert then.keys() <= now.keys()
    assert not {i: moved for i, row in then.items() if (moved := record.close(now[i], row))}


@pytest.mark.parametrize("index", range(len(serving.QUESTIONS)))
def test_deployments_stand_still(index: int) -> None:
    """The first three of every question's ranking, by part, to 1e-9."""
    then = record.read(record.SERVED)[index]
    assert (then["model"], then["gpus"], then["asked"]) == serving.QUESTIONS[index]
    now = serving.said(*serving.QUESTIONS[index])
    assert len(now) == len(then["said"])
    for one, other in zip(now, then["said"], strict=True):
        assert one == pytest.approx(other, rel=1e-9)
