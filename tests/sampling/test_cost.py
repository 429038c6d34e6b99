from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from corpus.errors import RecordError, SettingsError
from sampling.cost import AskCost, CostModel, ask_costs, fit_costs
from sampling.example_pools import predictions_of


def answers(n: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    duration, tokens = rng.uniform(1, 8, n), rng.integers(1, 20, n).astype(float)
    lead = (6.0 + 3.0 * duration + 0.8 * tokens) * np.exp(0.1 * rng.normal(size=n))
    return np.full(n, "transcribe"), duration, tokens, lead


def test_lead_times_give_their_costs_back():
    fitted = fit_costs(*answers(400)).transcribe
    assert (fitted.base, fitted.per_second, fitted.per_token) == pytest.approx((6.0, 3.0, 0.8), rel=0.15)


def test_coffee_breaks_hardly_count():
    asks, duration, tokens, lead = answers(400)
    lead[::10] = 3600.0
    fitted = fit_costs(asks, duration, tokens, lead).transcribe
    clean = 6.0 + 3.0 * duration + 0.8 * tokens
    found = fitted.base + fitted.per_second * duration + fitted.per_token * tokens
    assert np.abs(found / clean - 1).mean() < 0.1


def test_no_cost_is_negative():
    rng = np.random.default_rng(1)
    duration = rng.uniform(1, 8, 100)
    fitted = fit_costs(np.full(100, "triage"), duration, rng.random(100), 20.0 - 2.0 * duration).triage
    assert min(fitted.base, fitted.per_second, fitted.per_token) >= 0


def test_few_answers_keep_the_prior_and_other_questions_are_untouched():
    prior = CostModel(triage=AskCost(base=1.0, per_second=0.1, per_token=0.0))
    asks, duration, tokens, lead = answers(19)
    assert fit_costs(asks, duration, tokens, lead, prior=prior) == prior
    fitted = fit_costs(*answers(50), prior=prior)
    assert fitted.triage == prior.triage
    assert fitted.transcribe != prior.transcribe


def test_no_answers_and_untimed_answers_keep_the_prior():
    nothing = np.array([], dtype=np.str_)
    assert fit_costs(nothing, [], [], []) == CostModel()
    asks, duration, tokens, lead = answers(50)
    assert fit_costs(asks, duration, tokens, 0 * lead) == CostModel()


def test_costs_follow_the_formula():
    predictions = predictions_of(5)
    model = CostModel(transcribe=AskCost(base=2.0, per_second=3.0, per_token=0.5))
    expected = 2.0 + 3.0 * predictions.column("duration") + 0.5 * predictions.column("num_tokens")
    assert ask_costs(model, "transcribe", predictions) == pytest.approx(expected, rel=1e-6)


def test_bad_input_is_one_clear_error():
    asks, duration, tokens, lead = answers(30)
    with pytest.raises(RecordError, match="tokens has shape"):
        fit_costs(asks, duration, tokens[:-1], lead)
    lead[3] = np.nan
    with pytest.raises(RecordError, match="lead_times holds a number"):
        fit_costs(asks, duration, tokens, lead)
    with pytest.raises(SettingsError, match="known are transcribe, label_intent, triage"):
        ask_costs(CostModel(), "sing", predictions_of(2))
    with pytest.raises(ValidationError):
        AskCost(base=-1.0, per_second=0.0, per_token=0.0)
