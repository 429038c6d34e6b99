from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.corpus.stored import predictions_of
from tests.sampling.pools import with_column
from training.pseudo_labels import PseudoSettings, doubt_by_id, pseudo_weight, surest


def test_the_weight_fades_as_labels_grow():
    settings = PseudoSettings(weight=0.4, fade_labels=200)
    assert [pseudo_weight(settings, labels) for labels in (0, 50, 200, 900)] == pytest.approx([0.4, 0.3, 0.0, 0.0])
    assert pseudo_weight(PseudoSettings(), 0) == 0.0


def test_the_surest_are_taken_and_no_more_than_asked_for():
    doubts = {"d": 0.02, "a": 0.01, "c": 0.02, "b": 0.3, "e": 0.05}
    assert surest(doubts, PseudoSettings(most=3)) == ["a", "c", "d"]
    assert surest(doubts, PseudoSettings()) == ["a", "c", "d", "e"]
    assert surest(doubts, PseudoSettings(most=0)) == []


def test_doubt_is_the_expected_wer_or_what_the_best_intent_lacks_to_one():
    plain = predictions_of(["b", "a"], classes=2)
    probabilities = np.array([[0.75, 0.25], [0.125, 0.875]], dtype=np.float32)
    found = with_column(replace(plain, intent_probs=probabilities), "expected_wer", np.array([1.5, 0.25]))
    assert doubt_by_id(found, "asr") == {"b": 1.0, "a": 0.25}
    assert doubt_by_id(found, "intent") == {"b": 0.25, "a": 0.125}
