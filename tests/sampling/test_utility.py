from __future__ import annotations

from dataclasses import replace

import numpy as np

from sampling.calibration import Calibrator
from sampling.cost import AskCost, CostModel, ask_costs
from sampling.example_pools import predictions_of
from sampling.requests import RequestSettings
from sampling.utility import utility_of, weighed_by_requests
from tests.sampling.pools import with_column

PROBS = np.array([[0.5, 0.5], [0.5, 0.5], [0.999, 0.001]], np.float32)


def predictions():
    made = with_column(predictions_of(3, probs=PROBS), "expected_errors", np.array([0.0, 0.0, 3.0]))
    made = with_column(made, "duration", np.full(3, 2.0))
    return replace(made, entropy_given_hypothesis=np.array([0.69, 0.0, 0.0], np.float32))


def test_the_split_of_uncertainty_decides_which_label_to_buy():
    # Row 0: every hypothesis leaves the intent open. Row 1: the hypotheses disagree. Row 2: the words are wrong.
    assert utility_of(predictions(), CostModel()).asks.tolist() == ["label_intent", "transcribe", "transcribe"]


def test_a_transcript_that_costs_little_more_is_bought_for_its_words():
    dear = CostModel(label_intent=AskCost(base=30.0, per_second=0.0, per_token=0.0))
    assert utility_of(predictions(), dear).asks.tolist() == ["transcribe"] * 3


def test_the_value_is_errors_per_annotator_second():
    flat = AskCost(base=10.0, per_second=0.0, per_token=0.0)
    half = AskCost(base=5.0, per_second=0.0, per_token=0.0)
    worth = utility_of(predictions(), CostModel(transcribe=flat, label_intent=half))
    assert np.allclose(worth.costs, [5.0, 10.0, 10.0])
    assert np.allclose(worth.audit_costs, 10.0)
    assert np.allclose(worth.values, [0.2 * 0.69 / np.log(2), 0.1, (3 + 0.002) / 10], atol=2e-3)
    assert np.allclose(worth.risk, [1.0, 1.0, 3.002], atol=1e-3)


def test_calibrators_change_the_utility():
    calibrators = {"expected_errors": Calibrator((0.0, 4.0), (0.0, 2.0)), "margin": Calibrator((0.0, 1.0), (0.0, 0.5))}
    assert np.allclose(utility_of(predictions(), CostModel(), calibrators).risk, [0.5, 0.5, 1.501], atol=1e-3)


def test_triage_is_asked_only_where_wanted_and_nothing_is_sure():
    made = with_column(predictions(), "confidence_mean", np.array([0.1, 0.9, 0.1]))
    assert "triage" not in utility_of(made, CostModel()).asks
    assert utility_of(made, CostModel(), triage_below=0.6).asks.tolist() == ["triage", "transcribe", "transcribe"]


def test_a_clip_is_worth_less_the_less_probably_it_is_a_request_and_a_doubtful_one_gets_the_cheap_question():
    made, costs, limits = predictions(), CostModel(), RequestSettings(least=0.1, triage_below=0.4)
    whole = utility_of(made, costs)
    weighed = weighed_by_requests(whole, np.array([1.0, 0.5, 0.3]), made, costs, limits)
    assert np.allclose(weighed.values, whole.values * [1.0, 0.5, 0.3])
    assert weighed.asks.tolist() == [*whole.asks[:2], "triage"]
    assert np.allclose(weighed.costs, [*whole.costs[:2], ask_costs(costs, "triage", made)[2]])
    assert weighed.risk is whole.risk
    assert weighed.audit_costs is whole.audit_costs
