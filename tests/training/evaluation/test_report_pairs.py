"""Figures and slices of two reports are compared, with the difference of each."""

import numpy as np
import pytest

from corpus.records.evaluation import EvaluationReport
from training.evaluation.metrics import minutes_per_point
from training.evaluation.rates import error_sums
from training.evaluation.report_pairs import figure_pairs, slice_pairs


def report(errors):
    count = len(errors)
    zeros = np.zeros(count, np.int64)
    ids = np.array([f"u{k:02d}" for k in range(count)])
    speakers = np.array([f"s{k % 6}" for k in range(count)])
    return EvaluationReport(
        "asr", "1", "set", ids, speakers, np.array(errors), zeros + 4, zeros, zeros, zeros > 0,
        zeros.astype(np.float32), np.zeros((count, 3), np.int64),
    )  # fmt: skip


FIRST, SECOND = report([1, 2, 0, 1] * 6), report([0, 2, 0, 1] * 6)


def test_every_shared_figure_has_its_difference():
    pairs = {pair.figure: pair for pair in figure_pairs(FIRST, SECOND)}
    assert pairs["wer"].first.value == pytest.approx(24 / 96)
    assert pairs["wer"].second.value == pytest.approx(18 / 96)
    assert pairs["wer"].difference.value == pytest.approx(-6 / 96)
    assert pairs["sentence_error_rate"].difference.value == pytest.approx(-6 / 24)


def test_every_slice_has_its_difference():
    slices = {"locale": np.array(["en-GB", "en-US"] * 12)}
    one, other = slice_pairs(FIRST, SECOND, slices)
    assert (one.first.value, other.first.value) == ("en-GB", "en-US")
    assert one.first.rate.n == one.second.rate.n == 12
    assert one.difference.value == pytest.approx(one.second.rate.value - one.first.rate.value)
    assert other.difference.value == 0


def test_rows_drawn_with_a_small_chance_count_for_more():
    sums = error_sums(FIRST, dict.fromkeys(FIRST.utterance_ids.tolist(), 1.0) | {"u00": 0.25})
    assert sums.numerator.sum() == pytest.approx(24 + 3 * 1)
    assert sums.denominator.sum() == pytest.approx(96 + 3 * 4)


def test_minutes_per_point_need_a_fall():
    assert minutes_per_point(30.0, 0.20, 0.14) == pytest.approx(5.0)
    assert minutes_per_point(30.0, 0.14, 0.14) is None
    assert minutes_per_point(30.0, 0.10, 0.14) is None


def test_a_figure_that_only_one_report_has_has_no_difference():
    mute = report([4] * 24)
    ece = {pair.figure: pair for pair in figure_pairs(mute, SECOND)}["ece"]
    assert (ece.first, ece.difference) == (None, None)
    assert ece.second is not None
    neither = {pair.figure: pair for pair in figure_pairs(mute, mute)}["ece"]
    assert (neither.first, neither.second, neither.difference) == (None, None, None)
