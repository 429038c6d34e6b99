"""Evaluation reports."""

from __future__ import annotations

import numpy as np

from tests.flows.judged_home import report_of


def test_some_rows_of_a_report_are_a_report() -> None:
    whole = report_of("1", ["a", "b", "c"], "set")
    some = whole.take(np.array([True, False, True]))
    assert some.utterance_ids.tolist() == ["a", "c"]
    assert (len(some), some.version, some.wer, some.detailed) == (2, "1", whole.wer, True)
    assert some.word_edits.shape == (2, 3)
