from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import RecordError, SettingsError
from sampling.example_pools import predictions_of, probabilities
from sampling.measures import CHUNK, MEASURES, measure
from sampling.plugin_checks import MEASURE_RULES, check_measure
from tests.sampling.pools import with_column

names = st.sampled_from(sorted(MEASURES))


@settings(max_examples=60, deadline=None)
@given(name=names, n=st.integers(0, 60), intents=st.integers(1, 9), seed=st.integers(0, 10_000))
def test_every_measure_keeps_to_its_range(name, n, intents, seed):
    values = measure(name, predictions_of(n, seed=seed, intents=intents))
    assert values.shape == (n,)
    assert values.dtype == np.float64
    assert np.isfinite(values).all()
    assert (values >= MEASURES[name].low).all()
    assert (values <= MEASURES[name].high).all()


@settings(max_examples=150, deadline=None)
@given(name=names, rule=st.sampled_from(MEASURE_RULES), n=st.integers(1, 60), seed=st.integers(0, 10_000))
def test_every_measure_keeps_every_rule(name, rule, n, seed):
    assert rule(MEASURES[name], n, seed) == ""


@pytest.mark.parametrize("name", sorted(MEASURES))
def test_every_measure_of_earmark_keeps_the_rules_for_plugins(name):
    found = check_measure(MEASURES[name])
    assert len(found) == len(MEASURE_RULES)
    assert [finding for finding in found if finding.problem] == []


@pytest.mark.parametrize("name", sorted(MEASURES))
def test_every_measure_has_a_docstring_with_what_it_returns(name):
    assert "Return" in (MEASURES[name].function.__doc__ or "")


def test_chunks_leave_no_seam():
    predictions = predictions_of(CHUNK + 3, intents=3, width=2)
    rows = np.array([0, CHUNK - 1, CHUNK, CHUNK + 2])
    for name in ("entropy", "margin", "least_confidence"):
        assert np.array_equal(measure(name, predictions)[rows], measure(name, predictions.take(rows)))


def test_values_by_hand():
    probs = np.array([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]], np.float32)
    predictions = replace(
        predictions_of(3, probs=probs), entropy_given_hypothesis=np.array([0.4, 0.0, 2.0], np.float32)
    )
    assert measure("least_confidence", predictions) == pytest.approx([0.5, 0.0, 2 / 3], abs=1e-6)
    assert measure("margin", predictions) == pytest.approx([0.8, 0.0, 1.0], abs=1e-6)
    assert measure("entropy", predictions) == pytest.approx([1.0296530, 0.0, np.log(3)], abs=1e-6)
    assert measure("intent_information", predictions) == pytest.approx([0.4, 0.0, 2.0], abs=1e-6)
    assert measure("transcript_information", predictions) == pytest.approx([0.6296530, 0.0, 0.0], abs=1e-6)
    assert measure("energy", predictions) == pytest.approx(-predictions.intent_logsumexp)


def test_the_joint_split_is_the_information_of_the_hypotheses():
    rng = np.random.default_rng(3)
    weights = rng.dirichlet(np.ones(4), size=50)
    given_h = rng.dirichlet(np.ones(5) * 0.3, size=(50, 4))
    marginal = np.einsum("nh,nhc->nc", weights, given_h)
    inner = np.einsum("nh,nh->n", weights, -(given_h * np.log(given_h + 1e-300)).sum(axis=2))
    joint = weights[:, :, None] * given_h
    independent = weights[:, :, None] * marginal[:, None, :]
    mutual = (joint * np.log((joint + 1e-300) / (independent + 1e-300))).sum(axis=(1, 2))
    probs = marginal.astype(np.float32)
    predictions = replace(
        predictions_of(50, probs=probs / probs.sum(axis=1, keepdims=True)),
        entropy_given_hypothesis=inner.astype(np.float32),
    )
    assert measure("transcript_information", predictions) == pytest.approx(mutual, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "column", "sure", "unsure"),
    [
        ("tsallis_min", "confidence_min", 0.9, 0.2),
        ("gibbs_product", "gibbs_product", 0.9, 0.2),
        ("logprob_mean", "logprob_mean", -0.1, -3.0),
        ("logprob_sum", "logprob_sum", -1.0, -30.0),
        ("expected_errors", "expected_errors", 0.0, 2.0),
    ],
)
def test_larger_means_less_certain(name, column, sure, unsure):
    predictions = with_column(predictions_of(2), column, np.array([sure, unsure]))
    first, second = measure(name, predictions)
    assert first < second


def test_sharper_intents_are_more_certain():
    logits = np.random.default_rng(0).normal(size=(40, 7))
    soft, sharp = (predictions_of(40, probs=probabilities(k * logits)) for k in (1.0, 4.0))
    for name in ("least_confidence", "margin", "entropy"):
        assert (measure(name, sharp) < measure(name, soft)).all()


def test_the_error_for_an_unknown_measure_lists_the_names():
    with pytest.raises(SettingsError, match="'doubt' is unknown; known are disagreement, energy, entropy"):
        measure("doubt", predictions_of(2))


def test_a_confidence_out_of_range_names_the_utterance():
    predictions = with_column(predictions_of(3), "confidence_min", np.array([0.5, 1.7, 0.5]))
    with pytest.raises(RecordError, match=f"confidence_min of utterance {predictions.utterance_ids[1]}"):
        measure("tsallis_min", predictions)


def test_a_number_that_is_not_finite_is_refused_and_not_replaced():
    predictions = predictions_of(3)
    with pytest.raises(RecordError, match=str(predictions.utterance_ids[2])):
        with_column(predictions, "expected_errors", np.array([0.0, 1.0, np.nan]))
