"""A clear lead on few rows is named, and nothing less."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.evaluation.test_gate import report
from training.evaluation.early_lead import early_lead
from training.evaluation.gate import PromotionSettings, decide

GATE = PromotionSettings()


def pair(speakers: int, rows: int, better: float):
    """Return reports where the champion is wrong on all rows, and the challenger right on a share of each speaker's."""
    names = np.repeat(np.arange(speakers).astype(str), rows)
    right = np.arange(len(names)) % rows < better * rows
    return report("intent", "1", names), report("intent", "2", names, correct=right)


def test_a_challenger_that_is_clearly_better_below_the_minimum_leads():
    lead = early_lead(*pair(15, 4, 0.5), GATE, 1)
    assert lead is not None
    assert lead.value == pytest.approx(-0.5)
    assert lead.high < 0
    assert (lead.n, lead.speakers) == (60, 15)


@pytest.mark.parametrize(
    ("speakers", "rows", "better", "why"),
    [
        (7, 4, 0.5, "fewer than 30 rows"),
        (9, 8, 0.5, "fewer than 10 speakers"),
        (15, 4, 0.0, "no difference"),
        (30, 4, 0.5, "enough rows and speakers for the gate"),
    ],
)
def test_nothing_leads_without(speakers: int, rows: int, better: float, why: str):
    assert early_lead(*pair(speakers, rows, better), GATE, 1) is None, why


def test_how_few_rows_and_speakers_are_enough_is_for_the_caller_to_say():
    assert early_lead(*pair(7, 4, 0.5), GATE, 1, min_rows=28, min_speakers=7) is not None
    assert early_lead(*pair(7, 4, 0.5), GATE, 1, min_rows=29, min_speakers=7) is None
    assert early_lead(*pair(7, 4, 0.5), GATE, 1, min_rows=28, min_speakers=8) is None


def test_many_rows_of_too_few_speakers_for_the_gate_can_lead():
    assert early_lead(*pair(20, 10, 0.5), GATE, 1) is not None


def test_a_challenger_that_is_worse_does_not_lead():
    champion, challenger = pair(15, 4, 0.5)
    assert early_lead(challenger, champion, GATE, 1) is None


def test_a_lead_and_the_decision_on_the_same_rows_agree_at_every_look():
    disagreed = 0
    for share in np.linspace(0, 0.5, 26):
        champion, challenger = noisy_pair(float(share))
        for look in (1, 4):
            decision = decide(champion, challenger, look, GATE)
            lead = early_lead(champion, challenger, GATE, look)
            assert decision.decision == "indicative"
            assert (lead is not None) == (not any("reaches 0" in reason for reason in decision.reasons))
            assert lead is None or lead == decision.difference
        disagreed += (early_lead(champion, challenger, GATE, 1) is None) != (
            early_lead(champion, challenger, GATE, 4) is None
        )
    assert disagreed  # the level matters: at a later look the same rows say less


def noisy_pair(share: float):
    """Return reports of 15 speakers where the challenger is right on some rows, drawn by chance."""
    names = np.repeat(np.arange(15).astype(str), 4)
    right = np.random.default_rng(3).random(len(names)) < share
    return report("intent", "1", names), report("intent", "2", names, correct=right)
