from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from corpus.errors import RecordError
from training.evaluation.bootstrap import statistic_interval
from training.evaluation.intervals import IntervalSettings, ratio_interval, speaker_sums


def ratio(sums):
    return sums[:, 0] / np.maximum(1e-9, sums[:, 1])


def rows_of(rng, speakers=60, each=4, rate=0.3):
    names = np.repeat(np.arange(speakers).astype(str), each)
    ease = np.repeat(rng.uniform(0.4, 1.6, speakers), each)
    words = rng.integers(2, 9, len(names)).astype(float)
    return names, np.stack([rng.binomial(words.astype(int), rate * ease), words], axis=1).astype(float)


@pytest.mark.parametrize("speakers", [8, 60])
def test_a_ratio_has_the_interval_that_ratios_have(speakers):
    names, rows = rows_of(np.random.default_rng(1), speakers)
    weights = np.random.default_rng(2).choice([1.0, 3.0], len(names))
    found = statistic_interval(rows, ratio, names, weights=weights)
    same = ratio_interval(speaker_sums(rows[:, 0], rows[:, 1], names, weights))
    assert found.value == pytest.approx(same.value)
    assert (found.n, found.speakers) == (len(names), speakers)
    assert found.high - found.low == pytest.approx(same.high - same.low, rel=0.15)


def test_intervals_contain_the_true_value_about_as_often_as_they_should():
    held = 0
    for seed in range(200):
        names, rows = rows_of(np.random.default_rng(seed))
        found = statistic_interval(rows, ratio, names, IntervalSettings(resamples=200))
        held += found.low <= 0.3 <= found.high
    assert 0.91 <= held / 200 <= 0.99


@pytest.mark.parametrize("speakers", [3, 8, 30])
def test_a_mean_is_as_uncertain_as_its_t_interval_says(speakers):
    """The jackknife error of a mean is s / sqrt(S); that of the draws is below it by sqrt((S - 1) / S)."""
    values = np.random.default_rng(speakers).uniform(0.4, 0.6, speakers)
    rows = np.stack([values, np.ones(speakers)], axis=1)
    settings = IntervalSettings(resamples=20_000)
    found = statistic_interval(rows, ratio, np.arange(speakers).astype(str), settings, bounds=(-9.0, 9.0))
    low, high = stats.t.interval(0.95, speakers - 1, loc=values.mean(), scale=stats.sem(values))
    assert found.high - found.low == pytest.approx(high - low, rel=0.01)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)


def test_one_speaker_or_none_is_everything_that_can_be():
    alone = statistic_interval([[1.0, 2.0]] * 3, ratio, np.array(["s"] * 3))
    assert (alone.value, alone.low, alone.high) == (0.5, 0.0, 1.0)
    assert statistic_interval(np.zeros((0, 2)), ratio, np.array([], dtype=str)).n == 0
    with pytest.raises(RecordError, match="one length"):
        statistic_interval([[1.0, 2.0]], ratio, np.array(["a", "b"]))
