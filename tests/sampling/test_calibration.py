from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from corpus.errors import RecordError
from sampling.calibration import Calibrator, calibrate, fit_calibrator


def test_a_biased_measure_becomes_honest():
    rng = np.random.default_rng(0)
    scores = rng.exponential(size=3000)
    errors = rng.poisson(0.7 * scores)  # the measure over-estimates, as exact draws do
    calibrators = {"expected_errors": fit_calibrator(scores[:1500], errors[:1500])}
    honest = calibrate(calibrators, "expected_errors", scores[1500:])
    assert honest.mean() == pytest.approx(errors[1500:].mean(), rel=0.1)
    assert np.abs(honest - 0.7 * scores[1500:]).mean() < 0.12


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(30, 80))
def test_the_curve_rises_and_stays_within_the_outcomes(seed, n):
    rng = np.random.default_rng(seed)
    scores, outcomes = rng.integers(0, 12, n) / 4, rng.random(n)
    curve = calibrate({"m": fit_calibrator(scores, outcomes)}, "m", np.linspace(-1, 5, 50))
    assert (np.diff(curve) >= 0).all()
    assert outcomes.min() - 1e-12 <= curve.min() <= curve.max() <= outcomes.max() + 1e-12


def test_the_levels_are_those_of_isotonic_regression():
    rng = np.random.default_rng(1)
    scores, outcomes, weights = rng.random(200), rng.random(200), rng.uniform(0.5, 3, 200)
    reference = IsotonicRegression().fit(scores, outcomes, sample_weight=weights)
    levels = np.unique(reference.predict(scores))
    assert np.allclose(np.unique(fit_calibrator(scores, outcomes, weights).outcomes), levels)


def test_too_few_rows_leave_the_measure_alone():
    assert fit_calibrator(np.arange(29.0), np.ones(29)).identity
    scores = np.array([0.3, 2.0])
    assert calibrate({"m": Calibrator()}, "m", scores) is scores
    assert calibrate({}, "m", scores) is scores


def test_one_outcome_or_one_score_is_a_level():
    level = fit_calibrator(np.arange(40.0), np.full(40, 0.25))
    assert np.allclose(calibrate({"m": level}, "m", np.array([-1.0, 7.5, 99.0])), 0.25)
    single = fit_calibrator(np.full(40, 2.0), np.repeat([0.0, 1.0], 20))
    assert np.allclose(calibrate({"m": single}, "m", np.array([0.0, 2.0, 5.0])), 0.5)


@pytest.mark.parametrize(
    ("scores", "outcomes", "weights"),
    [([1.0], [1.0, 2.0], None), ([np.nan], [1.0], None), ([1.0], [np.inf], None), ([1.0], [1.0], [0.0])],
)
def test_bad_rows_are_refused(scores, outcomes, weights):
    with pytest.raises(RecordError, match="calibration"):
        fit_calibrator(scores, outcomes, weights)


def test_knots_that_fall_are_refused():
    with pytest.raises(RecordError, match="do not rise"):
        Calibrator((0.0, 1.0), (1.0, 0.5))
