from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.edits import edit_counts
from corpus.errors import RecordError
from corpus.records.annotations import Label
from corpus.records.arrivals import Hypothesis, SlotSpan
from corpus.records.evaluation import Interval
from training.evaluation.bands import familiarity
from training.evaluation.metrics import (
    MetricSettings,
    gain_per_100_labels,
    learning_series,
    loggable,
    paired_gain_per_100_labels,
    rows_in_slices,
    slice_rows,
    values_of_slice,
    with_bounds,
)
from training.evaluation.rates import figure, figures
from training.evaluation.report import evaluate_asr, evaluate_intent, slot_matches, word_edits


def asr_report(references, hypotheses, confidence=None):
    ids = [f"u{row:03}" for row in range(len(references))]
    return evaluate_asr(
        "2",
        "e" * 64,
        dict(zip(ids, references, strict=True)),
        dict(zip(ids, hypotheses, strict=True)),
        {name: f"s{row % 7}" for row, name in enumerate(ids)},
        dict(zip(ids, confidence or [1.0] * len(ids), strict=True)),
    )


def label(name, transcript, intent, slots=()):
    return Label(name, transcript, intent, tuple(slots), 1.0, 1, 1)


def distance(reference, hypothesis):
    """The textbook dynamic programme, row by row."""
    row = list(range(len(hypothesis) + 1))
    for i, spoken in enumerate(reference, 1):
        corner, row[0] = row[0], i
        for j, heard in enumerate(hypothesis, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (spoken != heard))
    return row[-1]


def test_word_errors_are_counted_over_normalised_text():
    report = asr_report(["Turn ON the lights.", "play jazz"], ["turn on a light", "play jazz please"])
    assert report.errors.tolist() == [2, 1]
    assert report.words.tolist() == [4, 2]
    assert report.wer == pytest.approx(0.5)
    assert report.char_errors.tolist() == [distance("turn on the lights", "turn on a light"), len(" please")]
    assert report.chars.tolist() == [18, 9]


def test_words_recognised_in_silence_count_as_insertions_and_not_as_a_rate():
    report = asr_report(["", "stop", ""], ["a b", "", ""])
    assert report.errors.tolist() == [2, 1, 0]
    assert report.words.tolist() == [0, 1, 0]
    assert report.wer == pytest.approx(3.0)
    edits = word_edits({"a": "", "b": "stop", "c": "one two"}, {"a": "a b", "b": "", "c": "one too"})
    assert edits.tolist() == [[0, 0, 2], [0, 1, 0], [1, 0, 0]]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.lists(st.sampled_from("abc d"), max_size=6), st.lists(st.sampled_from("abc d"), max_size=6)))
)
def test_edits_are_those_of_a_shortest_alignment_whatever_the_other_rows(pairs):
    counts = edit_counts([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    assert counts.sum(axis=1).tolist() == [distance(*pair) for pair in pairs]
    for (spoken, heard), (_, deleted, inserted) in zip(pairs, counts.tolist(), strict=True):
        assert len(heard) - len(spoken) == inserted - deleted


def test_rows_are_sorted_and_a_missing_hypothesis_is_named():
    report = evaluate_asr(
        "1", "e", {"b": "x", "a": "y"}, {"a": "y", "b": "z", "c": "q"}, {"a": "s", "b": "s"}, {"a": 1, "b": 1}
    )
    assert report.utterance_ids.tolist() == ["a", "b"]
    assert report.errors.tolist() == [0, 1]
    with pytest.raises(RecordError, match=r"utterance b .* has no hypothesis"):
        evaluate_asr("1", "e", {"a": "y", "b": "x"}, {"a": "y"}, {"a": "s", "b": "s"}, {"a": 1, "b": 1})


def test_an_empty_set_gives_an_empty_report():
    report = asr_report([], [])
    assert len(report) == 0
    assert all(np.isfinite(rate.value) for rate in figures(report).values())


def test_intents_and_slots_are_judged_by_name_and_words():
    truth = {
        "a": label("a", "wake me at seven", "alarm", [SlotSpan("time", 11, 16)]),
        "b": label("b", None, "stop"),
        "c": label("c", "play jazz in the kitchen", "play", [SlotSpan("genre", 5, 9), SlotSpan("room", 17, 24)]),
    }
    readings = {
        "a": Hypothesis("um wake me at seven", 1.0, "alarm", (SlotSpan("time", 14, 19),)),
        "b": Hypothesis("stop it", 1.0, "stop", (SlotSpan("what", 5, 7),)),
        "c": Hypothesis("play jars in the kitchen", 1.0, "play", (SlotSpan("genre", 5, 9), SlotSpan("room", 17, 24))),
    }
    report = evaluate_intent(
        "3",
        "e",
        truth,
        {"a": "alarm", "b": "play", "c": "play"},
        dict.fromkeys("abc", 0.9),
        dict.fromkeys("abc", "s"),
        readings,
    )
    assert report.correct.tolist() == [True, False, True]
    assert report.slot_counts.tolist() == [[1, 0, 0], [0, 0, 0], [1, 1, 1]]
    assert figure(report, "slot_f1").value == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert figure(report, "intent_error").value == pytest.approx(1 / 3)


def test_a_slot_that_occurs_twice_must_be_found_twice():
    text, slots = "one one", (SlotSpan("n", 0, 3), SlotSpan("n", 4, 7))
    assert slot_matches(text, slots, "one", (SlotSpan("n", 0, 3),)) == (1, 0, 1)


def test_a_label_without_an_intent_can_not_judge():
    truth = {"a": label("a", "hello", None)}
    with pytest.raises(RecordError, match="utterance a"):
        evaluate_intent("1", "e", truth, {"a": "x"}, {"a": 1.0}, {"a": "s"})


def test_calibration_error_is_the_gap_between_sure_and_right():
    truth = {f"u{row:03}": label(f"u{row:03}", None, "yes") for row in range(100)}
    intents = {name: "yes" if row < 60 else "no" for row, name in enumerate(sorted(truth))}
    speakers = dict.fromkeys(truth, "s")
    sure = evaluate_intent("1", "e", truth, intents, dict.fromkeys(truth, 0.9), speakers)
    fair = evaluate_intent("1", "e", truth, intents, dict.fromkeys(truth, 0.6), speakers)
    assert figure(sure, "ece").value == pytest.approx(0.3, abs=1e-6)
    assert figure(fair, "ece").value == pytest.approx(0.0, abs=1e-6)


def test_slices_have_a_rate_and_thin_ones_are_flagged():
    report = asr_report(["one two"] * 70, ["one two"] * 50 + ["one too"] * 20)
    values = np.array(["en-GB"] * 60 + [""] * 10)
    unknown, british = slice_rows(report, {"locale": values})
    assert (unknown.value, unknown.thin, british.value, british.thin) == ("unknown", True, "en-GB", False)
    assert unknown.rate.value == pytest.approx(0.5)
    rows = slice_rows(report, {"locale": values}, MetricSettings(slice_min_rows=61))
    assert [(row.value, row.rate.n, row.thin) for row in rows] == [("unknown", 10, True), ("en-GB", 60, True)]
    with pytest.raises(RecordError, match="locale has 3 values"):
        slice_rows(report, {"locale": values[:3]})


def test_gain_is_given_per_hundred_labels():
    assert gain_per_100_labels(0.20, 0.14, 200) == pytest.approx(0.03)
    assert gain_per_100_labels(0.20, 0.14, 0) == 0.0


def test_the_gain_over_the_base_per_hundred_labels_has_an_interval_that_contains_it():
    texts = ["one two"] * 70
    base = asr_report(texts, ["one two"] * 40 + ["one too"] * 30)
    better = asr_report(texts, ["one two"] * 60 + ["one too"] * 10)
    gain = paired_gain_per_100_labels(base, better, 50)
    assert gain.value == pytest.approx(100 * (30 - 10) / 140 / 50)
    assert gain.low < gain.value < gain.high
    assert (gain.n, gain.speakers) == (70, 7)


def test_rows_of_some_slices_are_in_all_of_them_and_rows_without_a_value_are_unknown():
    slices = {"room": np.array(["", "den", "", "den"]), "device": np.array(["a", "a", "b", "b"])}
    assert values_of_slice(slices, "room") == ["den", "unknown"]
    assert rows_in_slices(slices, [], 4).all()
    assert rows_in_slices(slices, [("room", "unknown")], 4).tolist() == [True, False, True, False]
    assert rows_in_slices(slices, [("room", "den"), ("device", "b")], 4).tolist() == [False, False, False, True]


def test_a_tracking_store_gets_bounds_beside_each_rate_and_nothing_that_is_no_number():
    assert with_bounds({"rtf": Interval(0.25, 0.125, 0.5, 3)}) == {"rtf": 0.25, "rtf_low": 0.125, "rtf_high": 0.5}
    assert loggable({"a": 1.0, "b": float("nan"), "c": float("inf")}) == {"a": 1.0}


def test_a_training_is_shown_by_epoch_and_a_figure_before_and_after_at_both_ends():
    series = learning_series((2.5, 1.5), {"dev_wer": (0.5, 0.25), "other": None}, {"dev_wer": (0.4, 0.25), "idle": ()})
    assert series == {
        "train_loss": {1: 2.5, 2: 1.5},
        "dev_wer": {0: 0.5, 2: 0.25},
        "dev_wer_by_epoch": {1: 0.4, 2: 0.25},
    }


def test_a_speaker_is_new_in_the_night_of_the_first_arrival_and_returns_in_later_ones():
    nights = ["2026-11-02", "2026-11-03", "2026-11-03"]
    found = familiarity(["2026-11-02", "2026-11-02", "2026-11-03"], nights)
    assert found.tolist() == ["new", "returning", "new"]
