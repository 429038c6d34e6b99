"""The probability that a clip is a request, by the rule and by verdicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpus.errors import RecordError
from corpus.records import predictions as predictions_module
from corpus.records.predictions import Predictions
from sampling.example_pools import unit
from sampling.from_arrays import predictions_of
from sampling.requests import RequestSettings, cross_fitted, fit_requests, request_probs, rule_level, rule_logits

NIGHT = 200
FRAMES = {"logprob_sum": [-10.0, -10.0], "logprob_mean": [-0.2, -0.2]}
ROWS = ("intent_probs", "intent_logsumexp", "entropy_given_hypothesis", "pass_disagreement", "embeddings", "asr")


def clips(
    requests: np.ndarray, seed: int = 0, width: int = 8, gap: float = 1.0, versions: tuple[str, str] = ("1", "1")
) -> Predictions:
    """Scores in which other sounds have less sure words, and lie elsewhere, by `gap` standard deviations."""
    rng, n = np.random.default_rng(seed), len(requests)
    other, duration = gap * (1.0 - requests), rng.uniform(0.5, 5.0, n)
    mean = -rng.uniform(0.05, 0.5, n) - other
    return predictions_of(
        [f"u{seed}-{k:04d}" for k in range(n)],
        rng.dirichlet(np.ones(3), n),
        unit(rng.normal(size=(n, width)) + 2 * other[:, None] * np.eye(width)[0]),
        versions=versions,
        duration=duration,
        asr={
            "expected_errors": rng.exponential(2.0, n) + 3 * other,
            "expected_wer": rng.uniform(0.2, 1.2, n),
            "logprob_sum": np.round(25 * duration) * mean,
            "logprob_mean": mean,
            "nonblank_entropy": rng.uniform(0.2, 1.4, n) + 0.3 * other,
            "num_tokens": rng.integers(1, 9, n),
            "num_hypotheses": rng.integers(1, 16, n),
        },
    )


def area(probs: np.ndarray, requests: np.ndarray) -> float:
    above = probs[requests == 1][:, None] > probs[requests == 0][None, :]
    return float(above.mean())


def mixed(n: int, seed: int = 0, share: float = 0.3) -> np.ndarray:
    return (np.random.default_rng([seed, 1]).random(n) > share).astype(float)


# --- the rule ---------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.floats(0, 10), st.floats(0, 10), st.floats(0, 5))
def test_the_rule_falls_with_unsure_symbols_and_with_texts_that_no_draw_repeats(less: float, more: float, wer: float):
    made = predictions_of(
        ["a", "b"],
        np.full((2, 2), 0.5),
        np.eye(2),
        asr={"nonblank_entropy": sorted([less, more]), "expected_wer": np.full(2, wer), "num_tokens": [3, 3]} | FRAMES,
    )
    low, high = request_probs(made)
    assert 0 < high <= low < 1
    longer = replace(made, asr=made.asr.copy())
    longer.asr[:, 1] += 0.5  # expected_wer
    assert (rule_logits(longer) <= rule_logits(made)).all()


@settings(deadline=None)
@given(st.lists(st.one_of(st.floats(0, 1), st.just(np.nan)), min_size=2, max_size=20))
def test_an_unsure_wake_word_speaks_against_a_request_and_a_missing_one_says_nothing(wake: list[float]):
    made = clips(np.ones(len(wake)))
    without, scores = rule_logits(made), np.array(wake)
    found = rule_logits(made, scores)
    assert (found <= without).all()
    assert (found[np.isnan(scores)] == without[np.isnan(scores)]).all()
    order = np.argsort(scores[~np.isnan(scores)], kind="stable")
    assert (np.diff((found - without)[~np.isnan(scores)][order]) >= -1e-9).all()


def test_a_model_that_writes_token_after_token_is_not_judged_by_how_unsure_it_is():
    """Whisper tiny.en is less sure of a spoken digit than of noise."""
    columns = {"num_tokens": [3, 3], "nonblank_entropy": [0.1, 6.0], "expected_wer": [0.0, 2.0]}
    ends = {"logprob_sum": [-2.0, -8.0], "logprob_mean": [-0.5, -2.0]}
    written = predictions_of(["a", "b"], np.full((2, 2), 0.5), np.eye(2), asr=columns | ends)
    assert rule_logits(written)[0] == rule_logits(written)[1] > 0
    frames = predictions_of(["a", "b"], np.full((2, 2), 0.5), np.eye(2), asr=columns | FRAMES)
    assert rule_logits(frames)[0] > 0 > rule_logits(frames)[1]


def test_a_clip_without_any_text_is_doubtful_and_not_left_out():
    silent = predictions_of(["a"], [[1.0]], [[1.0]], asr={"num_tokens": [0], "nonblank_entropy": [3.0]})
    limits = RequestSettings()
    assert limits.least < 1 / (1 + np.exp(-rule_logits(silent)[0])) < limits.triage_below


def test_a_model_that_is_unsure_of_most_of_a_night_hides_no_more_than_half_of_it():
    made = clips(np.ones(NIGHT))
    unsure = replace(made, asr=made.asr.copy())
    unsure.asr[:, 10] += 3.0  # nonblank_entropy
    assert rule_level(rule_logits(unsure)) < 0
    assert (request_probs(unsure) >= 0.5).mean() >= 0.5
    assert rule_level(rule_logits(made)) == 0.0


# --- verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [1.0, 2.0])
def test_verdicts_tell_requests_of_another_night_from_other_sounds_better_than_the_rule(gap: float):
    told, night = mixed(60), mixed(NIGHT, 5)
    model = fit_requests(clips(told, gap=gap), told)
    later = clips(night, 7, gap=gap)
    assert area(request_probs(later, None, model), night) > area(request_probs(later), night) + 0.05
    assert area(request_probs(later, None, model), night) > 0.9


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(0, 100), st.sampled_from([0.0, 0.3, 1.0]), st.booleans())
def test_any_verdicts_give_finite_probabilities_whatever_the_order_of_the_rows(n, seed, share, constant):
    told = mixed(n, seed, share)  # one class alone, too
    made = clips(told, seed)
    if constant:
        made = replace(made, asr=np.tile(made.asr[:1], (n, 1)), embeddings=np.tile(made.embeddings[:1], (n, 1)))
    night = clips(mixed(30, 3), 3)
    probs = request_probs(night, None, fit_requests(made, told))
    assert np.isfinite(probs).all()
    assert ((probs > 0) & (probs < 1)).all()
    order = np.random.default_rng(seed).permutation(n)
    again = request_probs(night, None, fit_requests(made.take(order), told[order]))
    assert np.allclose(probs, again, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 19), st.integers(0, 50))
def test_a_verdict_moves_the_probability_of_its_clip_to_its_side(row: int, seed: int):
    told = mixed(20, seed)
    made, changed = clips(told, seed), told.copy()
    changed[row] = 1.0 - told[row]
    before, after = (request_probs(made, None, fit_requests(made, each))[row] for each in (told, changed))
    assert (after > before) == (changed[row] > told[row])


def test_a_row_has_the_same_probability_alone_and_among_many(monkeypatch: pytest.MonkeyPatch):
    told = mixed(40)
    night, model = clips(mixed(NIGHT, 5), 5), fit_requests(clips(told), told)
    whole = request_probs(night, None, model)
    assert np.allclose(request_probs(night.take(np.arange(7, 8)), None, model), whole[7:8])
    monkeypatch.setattr(predictions_module, "BLOCK", 16)
    assert np.allclose(request_probs(night, None, model), whole)


def test_few_verdicts_leave_the_rule_nearly_as_it_is_and_no_trust_leaves_it_exactly():
    night = clips(mixed(NIGHT, 5), 5)
    rule = request_probs(night)
    one = request_probs(night, None, fit_requests(clips(np.zeros(1), 8), np.zeros(1)))
    many = request_probs(night, None, fit_requests(clips(np.zeros(50), 8), np.zeros(50)))
    assert np.abs(one - rule).mean() < np.abs(many - rule).mean()
    assert np.corrcoef(one, rule)[0, 1] > 0.8
    assert fit_requests(night, np.ones(NIGHT), settings=RequestSettings(trust=0)) is None
    assert fit_requests(night.take(np.zeros(0, np.intp)), []) is None


def test_a_verdict_that_stands_for_several_counts_as_often():
    told = mixed(12)
    made = clips(told)
    twice = np.repeat(np.arange(12), 2)
    columns = {name: getattr(made, name)[twice] for name in ROWS}
    doubled = replace(made, utterance_ids=np.array([f"v{k:02d}" for k in range(24)]), **columns)
    weights = fit_requests(made, told, weights=np.full(12, 2.0)).weights
    # the scales of 24 rows are shrunk a little less than those of 12
    assert np.allclose(weights, fit_requests(doubled, told[twice]).weights, atol=0.15)
    assert not np.allclose(weights, fit_requests(made, told).weights, atol=0.02)


def test_scores_of_other_models_are_never_mixed():
    told = mixed(30)
    model = fit_requests(clips(told), told)
    for other in (clips(told, versions=("2", "1")), clips(told, width=5, versions=("1", "2"))):
        with pytest.raises(RecordError, match="other model versions"):
            request_probs(other, None, model)
    fitted_anew = fit_requests(clips(told, width=5, versions=("1", "2")), told)
    assert np.isfinite(request_probs(clips(told, 4, 5, versions=("1", "2")), None, fitted_anew)).all()


@pytest.mark.parametrize("shares", [[0.5], [0.5, 1.2], [0.1, np.nan]])
def test_a_share_that_is_none_is_refused(shares: list[float]):
    with pytest.raises(RecordError, match="needs a share"):
        fit_requests(clips(np.ones(2)), shares)


def test_each_verdict_is_judged_by_a_model_that_did_not_see_it():
    told = mixed(80)
    noise = clips(np.ones(80), 9, width=64)  # nothing tells the two apart
    assert area(request_probs(noise, None, fit_requests(noise, told)), told) > 0.8
    assert area(cross_fitted(noise, told), told) < 0.7
    order = np.random.default_rng(0).permutation(80)
    assert np.allclose(cross_fitted(noise, told)[order], cross_fitted(noise.take(order), told[order]), atol=1e-4)
    assert np.isfinite(cross_fitted(noise.take(np.arange(1)), told[:1])).all()


def test_the_limits_have_an_order():
    with pytest.raises(ValidationError, match="least is above triage_below"):
        RequestSettings(least=0.6)
