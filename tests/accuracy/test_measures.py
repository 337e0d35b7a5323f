"""Measures on numbers small enough to be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.accuracy.measures import Confusion, errors, mean_errors, rank_group, ranks, spearman


def test_errors() -> None:
    """+10 %, -20 %, 0, +30 %: sizes 0, .1, .2, .3."""
    found = errors([1.1, 0.8, 1.0, 1.3], [1.0, 1.0, 1.0, 1.0])
    assert found.n == 4
    assert found.median == pytest.approx(0.15)
    assert found.p90 == pytest.approx(0.27)
    assert found.bias == pytest.approx(0.05)


def test_sources_weigh_the_same() -> None:
    """However many runs they have."""
    many, one = errors([1.1] * 99, [1.0] * 99), errors([0.7], [1.0])
    mean = mean_errors([many, one])
    assert mean is not None
    assert (mean.n, mean.median, mean.bias) == (100, pytest.approx(0.2), pytest.approx(-0.1))
    assert mean_errors([]) is None


class TestGroup:
    """Three layouts of 10, 12 and 15 s."""

    measured = np.array([10.0, 12.0, 15.0])

    def test_right_order(self) -> None:
        group = rank_group("g", "s", np.array([1.0, 2.0, 3.0]), self.measured)
        assert group is not None
        assert (group.regret, group.spearman, group.spread) == (0.0, pytest.approx(1.0), 1.5)

    def test_wrong_pick(self) -> None:
        group = rank_group("g", "s", np.array([2.0, 1.0, 3.0]), self.measured)
        assert group is not None
        assert group.regret == pytest.approx(0.2)
        assert group.spearman == pytest.approx(0.5)

    def test_a_tie_shares_first_place(self) -> None:
        group = rank_group("g", "s", np.array([1.0, 1.0, 3.0]), self.measured)
        assert group is not None and group.regret == pytest.approx(0.1)

    def test_regret_is_capped(self) -> None:
        group = rank_group("g", "s", np.array([2.0, 1.0]), np.array([1.0, 9.0]))
        assert group is not None and group.regret == 1.0 and group.spearman is None

    def test_noise_is_not_ranked(self) -> None:
        assert rank_group("g", "s", np.array([1.0, 2.0]), np.array([1.0, 1.05])) is None
        assert rank_group("g", "s", np.array([1.0]), np.array([1.0])) is None


def test_ranks_share_places() -> None:
    """Equal values take the mean of theirs."""
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]


def test_spearman_of_a_constant() -> None:
    """No order, no agreement."""
    assert spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) == 0.0


@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=20, unique=True))
def test_spearman_of_itself(values: list[float]) -> None:
    """1 with any increasing function of itself, -1 with its opposite."""
    x = np.array(values)
    assert spearman(x, np.log(x) * 3) == pytest.approx(1.0) or np.unique(np.log(x)).size < x.size
    assert spearman(x, -x) == pytest.approx(-1.0)


def test_confusion() -> None:
    """8 of 10 out-of-memory runs foreseen, 1 of 5 others called out of memory."""
    found = Confusion(fits_fits=4, fits_oom=1, oom_oom=8, oom_fits=2)
    assert found.recall == pytest.approx(0.8)
    assert found.precision == pytest.approx(8 / 9)
    assert found.balanced_accuracy == pytest.approx(0.8)
    assert (found + found).oom_oom == 16
    assert Confusion(fits_fits=3).recall is None and Confusion(fits_fits=3).balanced_accuracy is None
