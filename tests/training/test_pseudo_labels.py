from __future__ import annotations

import pytest

from training.pseudo_labels import PseudoSettings, pseudo_weight, surest


def test_the_weight_fades_as_labels_grow():
    settings = PseudoSettings(weight=0.4, fade_labels=200)
    assert [pseudo_weight(settings, labels) for labels in (0, 50, 200, 900)] == pytest.approx([0.4, 0.3, 0.0, 0.0])
    assert pseudo_weight(PseudoSettings(), 0) == 0.0


def test_the_surest_are_taken_and_no_more_than_asked_for():
    doubts = {"d": 0.02, "a": 0.01, "c": 0.02, "b": 0.3, "e": 0.05}
    assert surest(doubts, PseudoSettings(most=3)) == ["a", "c", "d"]
    assert surest(doubts, PseudoSettings()) == ["a", "c", "d", "e"]
    assert surest(doubts, PseudoSettings(most=0)) == []
