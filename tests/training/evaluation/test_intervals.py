from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from corpus.errors import RecordError
from corpus.records.evaluation import EvaluationReport, Interval
from training.evaluation.intervals import (
    IntervalSettings,
    complement,
    error_interval,
    interval_on,
    paired_difference,
    rate_by_speaker,
    ratio_interval,
    report_interval,
    require_paired,
    reversed_difference,
    speaker_sums,
    traffic_weights,
)


def asr_report(errors, words, speakers, version="1", ids=None):
    n = len(errors)
    return EvaluationReport(
        kind="asr",
        version=version,
        eval_set_id="e",
        utterance_ids=np.array(ids if ids is not None else [f"u{row:05}" for row in range(n)], dtype=np.str_),
        speaker_ids=np.array(speakers, dtype=np.str_),
        errors=np.array(errors, dtype=np.int64),
        words=np.array(words, dtype=np.int64),
        char_errors=np.zeros(n, dtype=np.int64),
        chars=np.ones(n, dtype=np.int64),
        correct=np.zeros(n, dtype=bool),
        confidence=np.ones(n, dtype=np.float32),
        slot_counts=np.zeros((n, 3), dtype=np.int64),
    )


def traffic(rng, speakers, rows=6, low=0.05, high=0.25):
    """Errors, words and speakers of `rows` utterances each, speakers with rates of their own."""
    names = np.repeat(np.arange(speakers).astype(str), rows)
    words = rng.integers(2, 9, len(names))
    return rng.binomial(words, np.repeat(rng.uniform(low, high, speakers), rows)), words, names


def test_the_rate_is_a_ratio_of_sums_inside_its_interval():
    errors, words, names = traffic(np.random.default_rng(1), 40)
    found = ratio_interval(speaker_sums(errors, words, names))
    assert found.value == pytest.approx(errors.sum() / words.sum())
    assert found.low < found.value < found.high
    assert (found.n, found.speakers) == (240, 40)


@pytest.mark.parametrize("speakers", [12, 30])
def test_intervals_cover_the_true_rate_about_as_often_as_they_say(speakers):
    rng = np.random.default_rng(7)
    inside = 0
    for run in range(300):
        found = ratio_interval(speaker_sums(*traffic(rng, speakers)), IntervalSettings(resamples=500, seed=run))
        inside += found.low <= 0.15 <= found.high
    assert 0.90 <= inside / 300 <= 0.985


def test_utterances_of_one_speaker_count_as_the_one_speaker_they_are():
    rng = np.random.default_rng(3)
    rates = np.repeat(rng.uniform(0.0, 0.4, 30), 20)
    words = np.full(600, 5)
    errors = rng.binomial(5, rates)
    by_speaker = ratio_interval(speaker_sums(errors, words, np.repeat(np.arange(30).astype(str), 20)))
    by_row = ratio_interval(speaker_sums(errors, words, np.arange(600).astype(str)))
    assert by_speaker.high - by_speaker.low > 1.5 * (by_row.high - by_row.low)


def test_pairing_tells_apart_what_two_intervals_can_not():
    rng = np.random.default_rng(5)
    errors, words, names = traffic(rng, 30, rows=10)
    better = errors - (rng.random(len(errors)) < 0.1) * (errors > 0)
    old, new = asr_report(errors, words, names), asr_report(better, words, names, "2")
    difference = paired_difference(old, new)
    assert difference.high < 0
    assert report_interval(new).high > report_interval(old).low


def test_the_same_rows_give_the_same_interval_in_any_order():
    errors, words, names = traffic(np.random.default_rng(2), 25)
    order = np.random.default_rng(3).permutation(len(errors))
    settings_ = IntervalSettings(seed=4)
    assert ratio_interval(speaker_sums(errors, words, names), settings_) == ratio_interval(
        speaker_sums(errors[order], words[order], names[order]), settings_
    )
    assert ratio_interval(speaker_sums(errors, words, names), settings_) != ratio_interval(
        speaker_sums(errors, words, names), IntervalSettings(seed=5)
    )


@pytest.mark.parametrize("speakers", [2, 3, 8, 19])
def test_few_speakers_of_equal_size_have_the_t_interval_of_their_mean(speakers):
    """With one word each the rate is a mean, and its jackknife error is s / sqrt(S) exactly."""
    values = np.random.default_rng(speakers).uniform(0.2, 0.8, speakers)
    found = ratio_interval(speaker_sums(values, np.ones(speakers), np.arange(speakers).astype(str)))
    low, high = stats.t.interval(0.95, speakers - 1, loc=values.mean(), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_a_bootstrap_of_few_speakers_is_as_wide_as_hesterberg_says():
    """For 20 speakers 1.59 % lie beyond each bound, not 2.5 %: Phi(sqrt(20 / 19) t), with t = -2.093 for 19."""
    errors, words, names = traffic(np.random.default_rng(6), 20)
    sums = speaker_sums(errors, words, names)
    found = ratio_interval(sums, IntervalSettings(resamples=100_000))
    drawn = np.random.default_rng(99).integers(0, 20, size=(100_000, 20))
    ratios = sums.numerator[drawn].sum(axis=1) / sums.denominator[drawn].sum(axis=1)
    tail = stats.norm.cdf(np.sqrt(20 / 19) * -2.093024)
    assert tail == pytest.approx(0.01588, rel=1e-3)
    assert [found.low, found.high] == pytest.approx(np.quantile(ratios, [tail, 1 - tail]), rel=0.01)


def test_a_thinner_tail_is_wider_through_bootstrap_and_t():
    sums = speaker_sums(*traffic(np.random.default_rng(2), 24))
    widths = [
        found.high - found.low
        for alpha in (0.1, 0.05, 0.01, 0.001, 1e-5)
        for found in [ratio_interval(sums, IntervalSettings(alpha=alpha))]
    ]
    assert widths == sorted(widths)
    assert widths[-1] > 1.5 * widths[1]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 40)), min_size=1, max_size=120),
    st.sampled_from([0.05, 0.01, 1e-4]),
)
def test_any_rows_give_a_finite_interval_around_the_rate(rows, alpha):
    errors, words, speakers = (np.array(column) for column in zip(*rows, strict=True))
    found = error_interval(
        speaker_sums(np.minimum(errors, words), words, speakers.astype(str)),
        IntervalSettings(alpha=alpha, resamples=200, max_resamples=20_000),
    )
    assert np.isfinite([found.value, found.low, found.high]).all()
    assert 0 <= found.low <= found.high
    assert found.low <= found.value + 1e-9
    assert found.value <= found.high + 1e-9


def test_no_error_at_all_still_leaves_room_for_some():
    names = np.repeat(np.arange(30).astype(str), 4)
    found = error_interval(speaker_sums(np.zeros(120), np.ones(120), names))
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 30))
    assert error_interval(speaker_sums(np.ones(120), np.ones(120), names)).low == pytest.approx(0.025 ** (1 / 30))


def test_one_speaker_tells_nothing():
    found = error_interval(speaker_sums([1, 0], [4, 4], np.array(["s", "s"])))
    assert (found.low, found.high, found.value) == (0.0, 1.0, 0.125)


def test_weights_undo_unequal_chances_of_being_drawn():
    rng = np.random.default_rng(11)
    names = np.repeat(np.arange(4000).astype(str), 1)
    hard = rng.random(4000) < 0.2
    errors = rng.random(4000) < np.where(hard, 0.5, 0.05)
    chance = np.where(hard, 0.9, 0.1)
    drawn = rng.random(4000) < chance
    plain = error_interval(speaker_sums(errors[drawn], np.ones(drawn.sum()), names[drawn]))
    weighted = error_interval(speaker_sums(errors[drawn], np.ones(drawn.sum()), names[drawn], 1 / chance[drawn]))
    assert weighted.low < errors.mean() < weighted.high
    assert plain.low > errors.mean()
    with pytest.raises(RecordError, match="weights"):
        speaker_sums([1.0], [1.0], np.array(["s"]), [0.0])


def test_reports_on_other_rows_are_not_compared():
    old = asr_report([1, 0, 2], [4, 4, 4], ["a", "b", "c"], ids=["x", "y", "z"])
    new = asr_report([2, 1, 0], [4, 4, 4], ["c", "a", "b"], "2", ids=["z", "x", "y"])
    with pytest.raises(RecordError, match="utterance x"):
        paired_difference(old, new)


def test_what_is_right_is_the_complement_of_what_is_wrong_and_its_bounds_change_places():
    assert complement(Interval(0.25, 0.125, 0.5, 40, 8)) == Interval(0.75, 0.5, 0.875, 40, 8)


def test_a_difference_read_the_other_way_round_has_no_negative_zero():
    turned = reversed_difference(Interval(0.0, -0.25, 0.5, 40, 8))
    assert turned == Interval(0.0, -0.5, 0.25, 40, 8)
    assert str(turned.value) == "0.0"


def test_each_speaker_has_a_rate_of_its_own_rows():
    report = asr_report([1, 0, 3], [4, 4, 4], ["a", "a", "b"])
    assert rate_by_speaker(report) == {"a": (0.125, 2), "b": (0.75, 1)}
    assert rate_by_speaker(report, weights=[3.0, 1.0, 1.0])["a"] == (0.1875, 2)


def test_a_row_with_inclusion_probability_one_in_four_counts_four_times():
    assert traffic_weights([0.25, 1.0]).tolist() == [4.0, 1.0]


def test_a_rate_on_some_utterances_counts_each_by_its_weight_and_leaves_out_unknown_ones():
    report = asr_report([1, 0, 5, 1], [2, 2, 5, 4], ["a", "b", "a", "c"], ids=["u0", "u1", "u2", "u3"])
    found = interval_on(report, ["u3", "u0", "elsewhere"], {"u0": 3.0, "u2": 9.0, "u3": 1.0})
    assert found.value == pytest.approx((3 * 1 + 1) / (3 * 2 + 4))
    assert (found.n, found.speakers) == (2, 2)


def test_a_row_without_a_weight_is_not_taken_for_one_that_was_drawn_for_certain():
    report = asr_report([1, 0], [2, 2], ["a", "b"], ids=["u0", "u1"])
    with pytest.raises(RecordError, match="utterance u1 has no weight"):
        interval_on(report, ["u0", "u1"], {"u0": 3.0})


def test_the_interval_of_one_speaker_holds_a_rate_above_one():
    found = report_interval(asr_report([4, 4], [2, 2], ["a", "a"]))
    assert (found.value, found.low, found.high) == (2.0, 0.0, 2.0)


def test_reports_on_other_texts_of_the_same_length_are_not_paired():
    first = asr_report([0, 1], [2, 2], ["s", "t"])
    marked = replace(first, marks=np.array(["a", "b"]))
    require_paired(first, marked)  # reports of older versions say nothing about it
    require_paired(marked, replace(first, marks=np.array(["a", "b"])))
    with pytest.raises(RecordError, match="u00001"):
        require_paired(marked, replace(first, marks=np.array(["a", "c"])))
    with pytest.raises(RecordError, match="u00000"):  # the marks take nothing away from what differed before
        require_paired(marked, replace(first, marks=np.array(["a", "b"]), words=np.array([3, 2])))


def test_no_word_at_all_is_a_rate_of_zero_of_which_nothing_is_known():
    found = ratio_interval(speaker_sums([0, 0, 0], [0, 0, 0], np.array(["a", "b", "c"])))
    assert (found.value, found.low, found.high) == (0.0, -1.0, 1.0)


@pytest.mark.parametrize("speakers", [2, 3])
def test_bounds_of_intent_errors_of_few_speakers_are_possible(speakers: int):
    """A t interval of so few goes beyond 0 and 1."""
    names = [str(speaker) for speaker in range(speakers)]
    first = np.arange(speakers) == 0
    right, mixed = (
        replace(asr_report([0] * speakers, [1] * speakers, names), kind="intent", correct=correct)
        for correct in (np.ones(speakers, bool), first)
    )
    assert report_interval(mixed).low >= 0.0
    assert report_interval(mixed).high == 1.0
    assert paired_difference(mixed, right).low == -1.0
    assert paired_difference(right, mixed).high == 1.0
