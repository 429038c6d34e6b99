"""Shares with Wilson's interval: the published form for equal weights, and fewer effective rows for unequal ones."""

import pytest
from scipy.stats import binomtest

from training.evaluation.proportions import weighted_share


@pytest.mark.parametrize(("hits", "rows"), [(0, 10), (3, 10), (10, 10), (17, 60)])
def test_equal_weights_give_wilsons_interval(hits, rows):
    share = weighted_share([k < hits for k in range(rows)], [2.5] * rows)
    expected = binomtest(hits, rows).proportion_ci(0.95, method="wilson")
    assert share.value == pytest.approx(hits / rows)
    assert (share.low, share.high) == pytest.approx((expected.low, expected.high), abs=1e-4)
    assert share.n == rows


def test_unequal_weights_shift_the_share_and_widen_its_interval():
    hits = [k < 5 for k in range(20)]
    equal = weighted_share(hits, [1.0] * 20)
    unequal = weighted_share(hits, [4.0] * 5 + [1.0] * 15)
    assert unequal.value == pytest.approx(20 / 35)
    n = 35**2 / (5 * 16 + 15)
    half = 1.96 * ((unequal.value * (1 - unequal.value) + 1.96**2 / (4 * n)) / n) ** 0.5 / (1 + 1.96**2 / n)
    assert (unequal.high - unequal.low) / 2 == pytest.approx(half)
    assert unequal.high - unequal.low > equal.high - equal.low


def test_without_rows_there_is_no_share():
    assert weighted_share([], []) is None
    assert weighted_share([True], [0.0]) is None
