from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import RecordError
from sampling.audit_sample import STRATA, TILT, allowance, audit_sample, draw, inclusion_probabilities, rates, strata_of
from sampling.estimation import horvitz_thompson_mean, weighted_ratio
from sampling.pool import codes


def frame(n: int, speakers: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    spoken = np.floor(speakers * rng.random(n) ** 1.5).astype(int)
    return np.array([f"s{i:03d}" for i in spoken]), rng.exponential(size=n) * (rng.random(n) < 0.7)


frames = st.tuples(st.integers(1, 80), st.integers(1, 20), st.integers(0, 10_000))


@settings(max_examples=60, deadline=None)
@given(frames, st.integers(1, 4), st.data())
def test_every_draw_is_of_the_right_size_and_within_the_cap(shape, cap, data):
    n, speakers, seed = shape
    speaker_ids, risk = frame(n, speakers, seed)
    count = data.draw(st.integers(0, allowance(speaker_ids, cap)))
    rows, probs = audit_sample(speaker_ids, risk, count, cap, np.random.default_rng(seed))
    assert len(rows) == count == len(set(rows.tolist()))
    assert probs.sum() == pytest.approx(count, abs=1e-6)
    if count:
        assert (probs > 0).all()
        assert (probs <= 1).all()
        assert np.unique(speaker_ids[rows], return_counts=True)[1].max() <= cap
        assert np.isin(np.flatnonzero(probs >= 1 - 1e-12), rows).all()


@pytest.mark.parametrize(
    ("n", "speakers", "count", "cap"),
    [(120, 30, 12, 3), (60, 5, 12, 3), (40, 25, 22, 2), (30, 4, 11, 4), (50, 3, 3, 3)],
    ids=["many speakers", "few speakers", "nearly all speakers", "nearly full", "one each"],
)
def test_the_logged_probabilities_are_true_over_many_draws(n, speakers, count, cap):
    speaker_ids, risk = frame(n, speakers)
    count, draws = min(count, allowance(speaker_ids, cap)), 1500
    rng, hits, strata = np.random.default_rng(7), np.zeros(n), strata_of(risk)
    _, probs = audit_sample(speaker_ids, risk, count, cap, rng)
    for _ in range(draws):
        hits[draw(probs, codes(speaker_ids)[0], strata, rng)] += 1
    open_ = probs < 1 - 1e-9
    z = ((hits / draws - probs) / np.sqrt(np.maximum(probs * (1 - probs), 1e-12) / draws))[open_]
    assert (hits[~open_] == draws).all()
    assert np.abs(z).max() < 4.5
    assert (z**2).mean() < 1 + 5 * np.sqrt(2 / len(z))


def test_the_sample_spreads_over_speakers():
    speaker_ids, risk = frame(400, 40)
    rows, _ = audit_sample(speaker_ids, risk, 30, 3, np.random.default_rng(0))
    assert len(set(speaker_ids[rows].tolist())) == 30


def test_every_stratum_gets_its_share_up_to_rounding():
    speaker_ids, risk = np.array([f"s{i:03d}" for i in range(100)]), np.random.default_rng(0).random(100)
    for seed in range(20):
        rows, probs = audit_sample(speaker_ids, risk, 25, 3, np.random.default_rng(seed))
        expected = np.bincount(strata_of(risk), weights=probs)
        assert (np.abs(np.bincount(strata_of(risk)[rows], minlength=STRATA) - expected) < 1).all()


def test_a_stratum_without_rows_has_no_rate():
    risk = np.repeat([0.0, 4.0], [9, 1])  # quantiles leave the strata between these two empty
    strata = np.repeat([0, 1], [9, 1])  # and those above them
    assert rates(risk, strata) == pytest.approx(np.repeat([1 / TILT, TILT], [9, 1]))


def test_risky_strata_are_drawn_more_often_but_sure_ones_too():
    risk = np.sort(np.random.default_rng(0).exponential(size=200) ** 3)
    found = rates(risk, strata_of(risk))
    assert (np.diff(found) >= 0).all()
    assert found.min() >= 1 / TILT
    assert found.max() <= TILT
    assert found[-1] > found[0]


def test_equal_risk_draws_all_rows_alike():
    for risk in (np.zeros(12), np.full(12, 3.0)):
        _, probs = audit_sample(np.array([f"s{i}" for i in range(12)]), risk, 3, 3, np.random.default_rng(0))
        assert probs == pytest.approx(np.full(12, 0.25))


def test_no_room_is_one_clear_error():
    speakers, _ = codes(np.array(["a"] * 5 + ["b"] * 5))
    with pytest.raises(RecordError, match="7 rows do not fit 2 speakers with max_per_speaker 3"):
        inclusion_probabilities(speakers, np.ones(10), 7, 3)


def test_the_weighted_estimate_is_unbiased():
    speaker_ids, risk = frame(200, 30)
    rng = np.random.default_rng(5)
    errors, words = rng.poisson(risk).astype(float), rng.integers(2, 9, 200).astype(float)
    means, ratios, plain = [], [], []
    for _ in range(800):
        rows, probs = audit_sample(speaker_ids, risk, 20, 3, rng)
        means.append(horvitz_thompson_mean(errors[rows], probs[rows], 200))
        ratios.append((errors[rows] / probs[rows]).sum() / (words[rows] / probs[rows]).sum())
        plain.append(errors[rows].mean())
    assert np.mean(means) == pytest.approx(errors.mean(), abs=4 * np.std(means) / np.sqrt(800))
    assert np.mean(ratios) == pytest.approx(errors.sum() / words.sum(), rel=0.03)  # a ratio is unbiased in the limit
    assert abs(np.mean(plain) - errors.mean()) > 10 * np.std(plain) / np.sqrt(800)  # weights are not for show


def test_intervals_of_real_draws_cover():
    speaker_ids, risk = frame(600, 60)
    rng, inside = np.random.default_rng(2), 0
    errors, words = np.minimum(rng.poisson(0.6 * risk), 5).astype(float), rng.integers(3, 9, 600).astype(float)
    for _ in range(150):
        rows, probs = audit_sample(speaker_ids, risk, 45, 3, rng)
        found = weighted_ratio(errors[rows], words[rows], probs[rows], speaker_ids[rows])
        inside += found.low <= errors.sum() / words.sum() <= found.high
    assert inside / 150 >= 0.9
