"""Differences between settings on the dev rows, and how much of them is luck."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.dev_ranking import dev_difference, dev_rate, joined_sums, mean_sums
from training.evaluation.intervals import SpeakerSums


def sums(errors, units=None):
    errors = np.asarray(errors, dtype=np.float64)
    return SpeakerSums(
        errors, np.full(len(errors), 10.0) if units is None else np.asarray(units, float), 5 * len(errors)
    )


def test_errors_of_seeds_are_averaged():
    both = mean_sums([sums([1, 2, 3]), sums([3, 2, 5])])
    assert both.numerator.tolist() == [2, 2, 4]
    assert dev_rate(both, "asr").value == pytest.approx(8 / 30)
    assert dev_rate(both, "asr").n == 15


def test_seeds_that_were_measured_on_different_rows_have_no_mean():
    assert mean_sums([sums([1, 2, 3]), sums([3, 2])]) is None
    assert mean_sums([sums([1, 2]), sums([1, 2], [10, 20])]) is None


def test_folds_are_measured_on_different_speakers():
    joined = joined_sums([sums([1, 2]), sums([4], [20])])
    assert (joined.numerator.tolist(), joined.denominator.tolist(), joined.rows) == ([1, 2, 4], [10, 10, 20], 15)
    assert dev_rate(joined, "asr").value == pytest.approx(7 / 40)


def test_an_intent_error_is_at_most_one_and_a_wer_may_be_more():
    nearly_all = sums([10, 2, 10])
    assert dev_rate(nearly_all, "intent").high == 1.0
    assert dev_rate(nearly_all, "asr").high > 1.0


def test_a_difference_that_all_speakers_share_is_clear_and_one_of_a_few_is_not():
    present = sums([5] * 30)
    better = dev_difference(sums([4, 3] * 15), present, 4)
    assert better is not None
    assert better.value == pytest.approx(-0.15)
    assert better.high < 0
    lucky = dev_difference(sums([0, 0, 6] + [5] * 27), present, 4)
    assert lucky is not None
    assert lucky.value < 0 < lucky.high


def test_the_more_settings_are_compared_the_wider_is_the_interval():
    rng = np.random.default_rng(0)
    present, other = sums(rng.integers(0, 10, 40)), sums(rng.integers(0, 10, 40))
    one, ten = (dev_difference(other, present, compared) for compared in (1, 10))
    assert one is not None
    assert ten is not None
    assert ten.low < one.low < one.high < ten.high


def test_the_best_of_ten_settings_that_are_all_equal_is_seldom_called_better():
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(100):
        tried = [sums(rng.binomial(10, 0.4, 25)) for _ in range(11)]
        best = min(tried[1:], key=lambda each: each.numerator.sum())
        found = dev_difference(best, tried[0], 10)
        assert found is not None
        wrong += found.high < 0
    assert wrong <= 8  # 5 are expected at most, and without the correction far more


def test_other_rows_can_not_be_compared():
    assert dev_difference(sums([1, 2]), sums([1, 2], [10, 12]), 1) is None
    assert dev_difference(sums([1, 2]), sums([1, 2, 3]), 1) is None
