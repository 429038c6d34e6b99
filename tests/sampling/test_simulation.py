"""Simulated runs without a corpus: a learner that has the labels, and pools that are made harder."""

import numpy as np
import pytest

from corpus.errors import UsageError
from sampling.example_pools import unit
from sampling.simulation import RunSettings, SimulatedPool, noisy_labels, rare_rows, simulate_run, zipf_rows

ROWS, CLASSES = 60, 3
LABELS = np.arange(ROWS) % CLASSES
POOL = SimulatedPool(
    unit(np.random.default_rng(0).normal(size=(ROWS, 4))).astype(np.float32), np.ones(ROWS), np.full(ROWS, 5.0), CLASSES
)


def learn(known):
    """Knows what it was taught; test rows are those of the pool."""
    probs = np.full((ROWS, CLASSES), 1 / CLASSES, np.float32)
    probs[known] = np.eye(CLASSES, dtype=np.float32)[LABELS[known]]
    return probs, np.isin(np.arange(ROWS), known)


def test_a_run_ends_after_three_rounds_at_its_target():
    curve = simulate_run(POOL, learn, "random", 1, RunSettings(batch=6, target=0.5))
    assert curve.labels == (6, 12, 18, 24, 30, 36, 42)
    assert curve.accuracy[4] == 0.5
    assert curve.at_target == 4
    assert curve.seconds[-1] == 42 * 5.0
    assert curve == simulate_run(POOL, learn, "random", 1, RunSettings(batch=6, target=0.5))


def test_groups_of_test_rows_are_followed_and_labels_are_bounded():
    groups = {"first": np.arange(ROWS) < 10}
    curve = simulate_run(POOL, learn, "top:entropy", 0, RunSettings(batch=20, target=2.0, max_labels=50, groups=groups))
    assert curve.labels == (20, 40, 50)
    (name, shares) = curve.groups[0]
    assert name == "first"
    assert len(shares) == 3
    assert list(shares) == sorted(shares)


def test_rare_speakers_are_cut_to_their_share():
    speakers = np.array(["ann"] * 50 + ["bob"] * 50)
    kept = speakers[rare_rows(speakers, {"bob": 0.1}, 0)]
    assert (kept == "ann").sum() == 50
    assert (kept == "bob").mean() == pytest.approx(0.1, abs=0.01)
    with pytest.raises(UsageError, match="leave nothing"):
        rare_rows(speakers, {"ann": 0.5, "bob": 0.6}, 0)


def test_intents_fall_as_zipf_and_noise_names_another_intent():
    labels = np.repeat(np.arange(4), 60)
    rows = zipf_rows(labels, 4, np.arange(240), 0)
    assert sorted(np.bincount(labels[rows]).tolist(), reverse=True) == [60, 30, 20, 15]
    noisy = noisy_labels(labels, 4, 0.25, 0)
    assert (noisy != labels).sum() == 60
    assert set(noisy.tolist()) == {0, 1, 2, 3}
