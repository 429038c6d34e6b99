import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import RecordError
from sampling.learning_curves import (
    Curve,
    area,
    first_at_target,
    labels_to_target,
    mean_curve,
    never_below,
    saving,
    seconds_to_target,
    simultaneous_band,
)
from sampling.replay_summary import target_accuracy


def curve(accuracy, strategy="a", seed=0, target=0.9, batch=10):
    labels = tuple(batch * (k + 1) for k in range(len(accuracy)))
    return Curve(strategy, seed, labels, tuple(accuracy), tuple(2.0 * n for n in labels), target)


def test_one_lucky_round_does_not_reach_the_target():
    lucky = curve([0.5, 0.95, 0.8, 0.91, 0.92, 0.93])
    assert first_at_target(lucky.accuracy, 0.9) == 3
    assert labels_to_target(lucky) == 40
    assert seconds_to_target(lucky) == 80.0


def test_a_curve_that_never_arrives_counts_all_that_it_bought():
    never = curve([0.5, 0.6, 0.95, 0.96])
    assert never.at_target is None
    assert labels_to_target(never) == 40


def test_the_saving_is_that_of_the_geometric_mean():
    found = saving([50, 100], [100, 400])
    assert found.mean == pytest.approx(1 - np.sqrt(0.5 * 0.25))
    assert found.low < found.mean < found.high < 1
    assert saving([30], [100]).mean == pytest.approx(0.7)


def test_the_interval_of_a_saving_covers_the_truth():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        ratio = np.exp(np.log(0.4) + 0.3 * rng.normal(size=20))
        found = saving(1000 * ratio, np.full(20, 1000.0))
        covered += found.low <= 0.6 <= found.high
    assert 0.92 <= covered / 400 <= 0.98


@pytest.mark.parametrize(("labels", "against"), [([1, 2], [1]), ([], []), ([0], [1]), ([1], [np.nan])])
def test_savings_of_what_is_no_pair_are_refused(labels, against):
    with pytest.raises(RecordError, match="saving"):
        saving(labels, against)


def test_a_curve_of_unequal_columns_is_refused():
    with pytest.raises(RecordError, match="seed 3"):
        Curve("a", 3, (1, 2), (0.5,), (1.0, 2.0), 0.9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.integers(1, 200))
def test_an_area_is_a_mean_accuracy(accuracy, last):
    found = area(curve(accuracy), last)
    assert min(accuracy) - 1e-9 <= found <= max(accuracy) + 1e-9


def test_the_area_of_a_line_is_its_middle():
    assert area(curve([0.2, 0.4, 0.6]), 30) == pytest.approx(0.4)
    assert area(curve([0.2, 0.4, 0.6]), 25) == pytest.approx(0.35)


def noisy(mean, seed, strategy="random"):
    rng = np.random.default_rng(seed)
    return curve(np.clip(np.asarray(mean) + 0.02 * rng.normal(size=len(mean)), 0, 1), strategy, seed)


def test_the_band_holds_the_whole_mean_curve_at_once():
    truth = np.linspace(0.4, 0.8, 15)
    held = 0
    for trial in range(100):
        runs = [noisy(truth, 1000 * trial + seed) for seed in range(20)]
        low, high = simultaneous_band(runs, runs[0].labels, draws=500)
        held += bool(((low <= truth) & (truth <= high)).all())
    assert held >= 85


def test_a_worse_curve_falls_out_of_the_band_and_an_equal_one_does_not():
    truth = np.linspace(0.4, 0.8, 15)
    random = [noisy(truth, seed) for seed in range(20)]
    assert never_below([noisy(truth + 0.05, 100 + seed, "a") for seed in range(20)], random)
    assert not never_below([noisy(truth - 0.05, 100 + seed, "a") for seed in range(20)], random)


def test_a_curve_that_ended_keeps_its_last_accuracy():
    mean, low, high = mean_curve([curve([0.5, 0.9]), curve([0.5, 0.7, 0.8, 0.9], seed=1)], [10, 20, 40])
    assert mean.tolist() == pytest.approx([0.5, 0.8, 0.9])
    assert (low <= mean).all()
    assert (mean <= high).all()


def test_the_target_is_a_share_of_the_mean_accuracy_with_the_whole_pool():
    assert target_accuracy([0.75, 1.0], 0.5) == (0.875, 0.4375)
