"""Classes of runs: who belongs where, what lies in its band, which verdicts are right."""

from __future__ import annotations

import pytest

from planner.accuracy.classes import ClassScore, classes
from planner.accuracy.predict import predict
from planner.accuracy.rows import Row
from planner.bands import band
from tests.accuracy.samples import read_corpus, row


def scored(*rows: Row) -> dict[str, ClassScore]:
    """The classes of some rows, by name."""
    return {one.name: one for one in classes(predict(read_corpus(rows).cases))}


def off(by: float, **cells: str) -> Row:
    """A row whose time is so much longer than predicted."""
    step = predict(read_corpus([row(**cells)]).cases)[0].step
    return row(**cells, value=str(step * by))


def test_members() -> None:
    """Dense in 16 bit, the same over cp; what is doubtful in none."""
    found = scored(off(1.1, id="a-1"), off(1.2, id="a-2", tp="4", cp="2"), off(9.0, id="a-3", pp="2", notes="doubtful"))
    assert {name: one.step.n for name, one in found.items() if one.step} == {
        "dense, 16 bit": 2,
        "context parallel": 1,
        "all": 2,
    }
    every = found["all"].step
    assert every is not None and every.median == pytest.approx((0.1 / 1.1 + 0.2 / 1.2) / 2, rel=1e-3)


def test_sources_weigh_alike() -> None:
    """Three runs of one source that are 10 % off, and one of another that is right."""
    rows = [off(1.0 / 0.9, id=f"a-{tp}", tp=str(tp)) for tp in (2, 4, 8)]
    found = scored(*rows, off(1.0, id="b-1"))["all"]
    assert found.step is not None and found.by_source is not None
    assert found.step.median == pytest.approx(0.1, rel=1e-3)
    assert found.by_source.median == pytest.approx(0.05, rel=1e-3)


def test_bands_and_verdicts() -> None:
    """One run inside its band, one outside; both ran, and fit by the planner, too."""
    one = predict(read_corpus([row()]).cases)[0]
    width = band(one.case.job, one.plan).width
    assert width is not None
    found = scored(off(1.0 + width / 2, id="a-1"), off(1.0 + 3 * width, id="a-2", tp="4"))["all"]
    assert (found.step_band.n, found.step_band.inside, found.step_band.share) == (2, 1, 0.5)
    assert (found.fit.fits_fits, found.fit.fits_oom) == (2, 0)
    assert found.memory is None and found.memory_band.share is None
