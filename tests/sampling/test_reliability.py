from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from corpus.errors import RecordError
from sampling.calibration import PRIOR_ROWS, calibrate, fit_calibrator
from sampling.reliability import (
    Evidence,
    calibration_error,
    fit_all,
    normalised_cross_entropy,
    out_of_fold,
    reliability,
    speaker_folds,
)


def evidence_of(n: int = 400, seed: int = 0, informative: bool = True, counts: bool = True) -> Evidence:
    """Return rows whose measure is twice the outcome; every second one was drawn with probability 1 / 4."""
    rng = np.random.default_rng(seed)
    truth = rng.exponential(0.7, n) if counts else rng.beta(1, 2, n)
    outcomes = rng.poisson(truth) if counts else rng.random(n) < truth
    scores = 2.0 * truth if informative else rng.permutation(truth)
    return Evidence(
        scores,
        outcomes.astype(np.float64),
        np.where(np.arange(n) % 2 == 0, 4.0, 1.0),
        np.array([f"s{i % 37}" for i in range(n)]),
        np.arange(n) % 2 == 0,
    )


@pytest.mark.parametrize("counts", [True, False], ids=["word errors", "wrong intents"])
def test_a_measure_that_is_too_large_is_corrected_on_rows_it_was_not_fitted_to(counts):
    found = reliability(evidence_of(counts=counts))
    assert found.ece_before is not None
    assert found.ece_after is not None
    assert found.ece_after < 0.6 * found.ece_before
    assert found.auc_roc > 0.65
    assert found.auc_pr > found.error_share + 0.1
    assert 0.02 < found.nce < 1
    assert (found.of, found.judged, found.rows, found.speakers) == ("traffic", 200, 400, 37)
    json.dumps(found.as_json(), allow_nan=False)


def test_a_measure_without_information_is_recognised():
    found = reliability(evidence_of(n=1200, informative=False))
    assert found.auc_roc == pytest.approx(0.5, abs=0.06)
    assert found.auc_pr == pytest.approx(found.error_share, abs=0.06)
    assert found.nce < 0.01  # out of fold it can't shine


def test_the_figures_are_of_rows_that_the_curve_did_not_see():
    """A curve fits noise; out of fold it has less information than the share of errors."""
    inside, outside = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n = 60
        speakers = np.array([f"s{i}" for i in range(n)])
        wrong = (rng.random(n) < 0.5).astype(float)
        rows = Evidence(rng.random(n), wrong, np.ones(n), speakers, np.ones(n, bool))
        learned = calibrate({"m": fit_calibrator(rows.scores, wrong)}, "m", rows.scores)
        inside.append(normalised_cross_entropy(learned, wrong, rows.weights))
        outside.append(reliability(rows).nce)
        assert outside[-1] == normalised_cross_entropy(out_of_fold(rows, speaker_folds(speakers)), wrong, rows.weights)
    assert np.mean(outside) < min(0, np.mean(inside))


def test_a_speaker_is_in_one_fold_and_folds_are_of_one_size():
    speakers = np.array([f"s{i % 23}" for i in range(230)])
    folds = speaker_folds(speakers)
    assert all(len(set(folds[speakers == name])) == 1 for name in set(speakers))
    assert np.ptp(np.bincount(folds)) <= 10
    assert len(set(speaker_folds(np.array(["a", "b", "a"])))) == 2


def test_weights_make_the_figures_those_of_the_traffic():
    """Rows drawn by risk: weighted by 1 / probability, the figures are those of everything."""
    whole = evidence_of(n=6000, seed=5, counts=False)
    whole = replace(whole, weights=np.ones(6000), audit=np.ones(6000, bool))
    probs = np.clip(whole.scores / 2, 0.05, 1.0)
    drawn = np.random.default_rng(1).random(6000) < probs
    part = replace(whole, weights=1 / probs).take(drawn)
    expected, found = reliability(whole), reliability(part)
    plain = reliability(replace(part, weights=np.ones(len(part))))
    for name in ("error_share", "mean", "ece_before", "auc_pr"):
        near, far = (abs(getattr(each, name) - getattr(expected, name)) for each in (found, plain))
        assert near < 0.04
        assert near < far


def test_figures_by_hand():
    assert calibration_error([0.2] * 10, [0.0] * 5 + [1.0] * 5, np.ones(10)) == pytest.approx(0.3)
    assert calibration_error([0.2] * 2, [0.0, 1.0], [1.0, 3.0]) == pytest.approx(0.55)
    apart = calibration_error(np.repeat([0.0, 1.0], 15), np.repeat([0.5, 0.5], 15), np.ones(30))
    assert apart == pytest.approx(0.5)  # two bins whose gaps do not make up for each other
    wrong = np.array([1.0, 0.0, 0.0, 0.0])
    assert normalised_cross_entropy(np.full(4, 0.25), wrong, np.ones(4)) == pytest.approx(0)
    chance = np.concatenate([[0.5], np.full(39, 0.1)])
    many = np.concatenate([[1.0], np.zeros(39)])
    base = -(np.log(1 / 40) + 39 * np.log(39 / 40))
    assert normalised_cross_entropy(chance, many, np.ones(40)) == pytest.approx(
        1 + (np.log(0.5) + 39 * np.log(0.9)) / base
    )


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (
            lambda rows: rows.take(np.arange(29)),
            "29 labelled rows were chosen and never learned from, a curve needs 30",
        ),
        (lambda rows: replace(rows, speaker_ids=np.full(400, "one")), "one speaker"),
        (lambda rows: replace(rows, outcomes=np.zeros(400)), "no row has an error"),
        (lambda rows: replace(rows, outcomes=np.ones(400)), "every row has an error"),
    ],
)
def test_where_rows_do_not_tell_it_is_said_and_nothing_breaks(change, note):
    rows = change(evidence_of())
    found = reliability(rows)
    assert note in found.note
    assert found.auc_roc is None
    json.dumps(found.as_json(), allow_nan=False)
    curves, _ = fit_all({"margin": rows})
    assert np.isfinite(calibrate(curves, "margin", np.array([0.0, 0.5, 9.0]))).all()


def test_equal_scores_have_figures():
    found = reliability(replace(evidence_of(), scores=np.full(400, 0.3)))
    assert found.auc_roc == pytest.approx(0.5)
    assert found.ece_after < 0.5 * found.ece_before


def test_without_audit_rows_the_figures_are_of_what_was_chosen():
    found = reliability(replace(evidence_of(), audit=np.zeros(400, bool)))
    assert (found.of, found.judged) == ("chosen", 400)


def test_curves_keep_the_order_and_the_sum():
    rows = evidence_of()
    curves, found = fit_all({"expected_errors": rows, "margin": rows.take(np.arange(20))})
    scores = np.linspace(0, 50, 200)
    assert (np.diff(calibrate(curves, "expected_errors", scores)) > 0).all()  # no ties where it matters most
    honest = calibrate(curves, "expected_errors", rows.scores)
    assert np.average(honest, weights=rows.weights) == pytest.approx(
        np.average(rows.outcomes, weights=rows.weights), rel=0.02
    )
    assert curves["expected_errors"].share == pytest.approx(PRIOR_ROWS / (PRIOR_ROWS + 400))
    assert curves["margin"].identity
    assert found["margin"].note


@pytest.mark.parametrize(
    "change",
    [
        {"outcomes": np.zeros(3)},
        {"scores": np.full(400, np.nan)},
        {"weights": np.zeros(400)},
        {"outcomes": np.full(400, -1.0)},
    ],
)
def test_bad_evidence_is_refused(change):
    with pytest.raises(RecordError, match="evidence"):
        replace(evidence_of(), **change)
