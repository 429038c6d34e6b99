from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from corpus.records.annotations import Label
from corpus.records.arrivals import Hypothesis, SlotSpan
from training.evaluation.bands import band_names, band_slices
from training.evaluation.rates import (
    NON_RATIOS,
    RATES,
    _expected_gap,
    _gaps,
    correctness,
    difference,
    figure,
    figures,
    names_of,
)
from training.evaluation.report import evaluate_asr, evaluate_intent
from training.evaluation.signal_quality import SignalQuality

INTENTS = ("alarm", "lights", "music", "news")


def intent_report(version="1", seed=0, n=120, right=0.7, overconfident=0.0, wrong=INTENTS):
    """Judged texts of 30 speakers; confidence is as high as the share that is right, and more."""
    rng = np.random.default_rng(seed)
    ids = [f"u{k:03}" for k in range(n)]
    truth = {i: str(rng.choice(INTENTS)) for i in ids}
    guess = {i: truth[i] if rng.random() < right else str(rng.choice(wrong)) for i in ids}
    labels = {i: Label(i, "play jazz", truth[i], (SlotSpan("genre", 5, 9),), 1.0, 1, 1) for i in ids}
    read = {
        i: Hypothesis("play jazz", 1.0, guess[i], (SlotSpan("genre", 5, 9),) if k % 3 else ())
        for k, i in enumerate(ids)
    }
    raw = {i: float(np.clip(right + 0.05 * rng.normal(), 0, 1)) for i in ids}
    sure = {i: min(1.0, raw[i] + overconfident) for i in ids}
    sounds = {i: SignalQuality(0.5 + k % 5, 5.0 * (k % 8)) for k, i in enumerate(ids)}
    speakers = {i: f"s{k % 30}" for k, i in enumerate(ids)}
    return evaluate_intent(version, "e", labels, guess, sure, speakers, read, raw, sounds)


def test_macro_f1_is_that_of_scikit_learn():
    report = intent_report()
    names = np.array(report.intents)
    expected = f1_score(names[report.truth], names[report.predicted], average="macro")
    found = figure(report, "macro_f1")
    assert found.value == pytest.approx(expected)
    assert found.low < found.value < found.high


def test_weights_count_in_every_figure_as_if_a_row_stood_there_so_often():
    report = intent_report()
    weights = np.where(np.arange(len(report)) % 2, 1.0, 2.0)
    names = np.array(report.intents)
    expected = f1_score(names[report.truth], names[report.predicted], average="macro", sample_weight=weights)
    assert figure(report, "macro_f1", weights=weights).value == pytest.approx(expected)
    assert figure(report, "intent_accuracy", weights=weights).value == pytest.approx(
        np.average(report.correct, weights=weights)
    )


@pytest.mark.parametrize(
    ("confidences", "gap"),
    [([0.95, 0.90], (0.95 + 0.10) / 2), ([1.0, 0.90], (1.0 + 0.10) / 2), ([1.0, 0.95], 0.95 / 2)],
)
def test_the_last_bin_of_a_calibration_error_is_one_of_fifteen(confidences, gap):
    """0.95 and 1.0 share the last of 15 bins, [0.933, 1]; 0.90 is in the one before. The first row is wrong."""
    found = _gaps(np.array(confidences), np.array([0.0, 1.0]), 15)
    assert _expected_gap(found.sum(axis=0, keepdims=True))[0] == pytest.approx(gap)


def test_success_needs_intent_and_slots_and_a_label_that_can_tell():
    labels = {
        "a": Label("a", "play jazz", "music", (SlotSpan("genre", 5, 9),), 1.0, 1, 1),
        "b": Label("b", "play jazz", "music", (SlotSpan("genre", 5, 9),), 1.0, 1, 1),
        "c": Label("c", None, "music", (), 1.0, 1, 1),
        "d": Label("d", "stop", "music", (), 1.0, 1, 1),
    }
    whole = Hypothesis("play jazz", 1.0, "music", (SlotSpan("genre", 5, 9),))
    readings = {
        "a": whole,
        "b": Hypothesis("play jars", 1.0, "music"),
        "c": whole,
        "d": Hypothesis("stop", 1.0, "news"),
    }
    guess = {i: reading.intent for i, reading in readings.items()}
    report = evaluate_intent("1", "e", labels, guess, dict.fromkeys(labels, 0.5), dict.fromkeys(labels, "s"), readings)
    assert report.success.tolist() == [1, 0, -1, 0]
    assert figure(report, "end_to_end_success").value == pytest.approx(1 / 3)


def test_what_a_speech_model_leads_to_is_compared_only_through_one_intent_model():
    ids = [f"u{k}" for k in range(20)]
    said, speakers = dict.fromkeys(ids, "stop"), {i: f"s{k % 5}" for k, i in enumerate(ids)}
    sure = dict.fromkeys(ids, 0.5)

    def heard(version, share, beside):
        success = {i: int(k < share * 20) for k, i in enumerate(ids)}
        return evaluate_asr(version, "e", said, said, speakers, sure, success=success, beside=beside)

    name = "end_to_end_success"
    assert figure(heard("1", 0.5, "1"), name).value == 0.5
    assert difference(heard("1", 0.5, "1"), heard("2", 0.75, "1"), name).value == pytest.approx(0.25)
    assert difference(heard("1", 0.5, "1"), heard("2", 0.75, "2"), name) is None


def test_calibration_is_given_before_and_after_scaling():
    report = intent_report(overconfident=0.2)
    after, before = figure(report, "ece"), figure(report, "ece_before_scaling")
    gaps = np.bincount(np.minimum(report.confidence * 15, 14).astype(int), report.confidence - correctness(report))
    assert after.value == pytest.approx(np.abs(gaps).sum() / len(report.confidence))
    assert after.value > before.value
    apart = difference(intent_report(), report, "ece")
    assert apart.low > 0


def test_word_edits_add_up_to_the_word_error_rate():
    ids = [f"u{k:02}" for k in range(40)]
    said = dict.fromkeys(ids, "turn on the light")
    heard = {i: ("turn on light", "turn on the lights now", "turn on the light")[k % 3] for k, i in enumerate(ids)}
    report = evaluate_asr("1", "e", said, heard, {i: f"s{k % 9}" for k, i in enumerate(ids)}, dict.fromkeys(ids, 0.9))
    assert np.array_equal(report.word_edits.sum(axis=1), report.errors)
    found = figures(report)
    parts = sum(found[name].value for name in ("substitutions", "deletions", "insertions"))
    assert parts == pytest.approx(found["wer"].value)
    asked = {n for n in [*RATES, *NON_RATIOS] if "asr" in {**RATES, **NON_RATIOS}[n].kinds}
    assert set(found) == asked - {"end_to_end_success", "wer_numbers"}  # nobody read it, no second form
    assert all(rate.low <= rate.value <= rate.high for rate in found.values())


@pytest.mark.parametrize("name", [n for n in [*RATES, *NON_RATIOS] if "intent" in {**RATES, **NON_RATIOS}[n].kinds])
def test_a_difference_is_that_of_the_two_figures_and_none_from_itself(name):
    one, two = intent_report("1", 1, right=0.5), intent_report("2", 1, right=0.9, overconfident=0.05)
    apart = difference(one, two, name)
    assert apart.value == pytest.approx(figure(two, name).value - figure(one, name).value)
    assert apart.low <= apart.value <= apart.high
    same = difference(one, one, name)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_difference_is_also_that_of_reports_that_name_different_numbers_of_intents(swapped):
    one, two = intent_report("1", 1, right=0.5), intent_report("2", 1, right=0.9, wrong=("weather",))
    one, two = (two, one) if swapped else (one, two)
    assert len(one.intents) != len(two.intents)
    for name in names_of(one):
        expected = figure(two, name).value - figure(one, name).value
        assert difference(one, two, name).value == pytest.approx(expected), name


def test_what_nobody_asked_for_has_no_figure():
    ids = ["a", "b"]
    labels = {i: Label(i, None, "music", (), 1.0, 1, 1) for i in ids}
    report = evaluate_intent(
        "1", "e", labels, dict.fromkeys(ids, "music"), dict.fromkeys(ids, 1.0), {"a": "s", "b": "t"}
    )
    assert "slot_f1" in names_of(report)
    assert figure(report, "slot_f1") is None
    assert "slot_f1" not in figures(report)


def test_rows_are_sorted_by_length_noise_and_intent():
    found = band_slices(intent_report(n=8))
    assert found["duration"].tolist()[:5] == ["0-1 s", "1-2 s", "2-4 s", "2-4 s", "4 s and more"]
    assert found["snr"].tolist()[:7:2] == ["0-10 dB", "10-20 dB", "20-30 dB", "30 dB and more"]
    assert set(found["intent"]) <= set(INTENTS)
    assert band_names(np.array([0.0, 1.0, 5.0]), (1.0,), "s").tolist() == ["0-1 s", "1 s and more", "1 s and more"]


def test_a_calibration_error_cannot_be_judged_where_next_to_nothing_is_right():
    ids = [f"u{k:02}" for k in range(40)]
    unsure, speakers = dict.fromkeys(ids, 0.0), {i: f"s{k % 8}" for k, i in enumerate(ids)}
    mute = evaluate_asr("1", "e", dict.fromkeys(ids, "play some jazz"), dict.fromkeys(ids, ""), speakers, unsure)
    assert figure(mute, "wer").value == 1.0
    assert figure(mute, "ece") is None
    texts = {i: "play some jazz" if k < 2 else "" for k, i in enumerate(ids)}  # 5 % of the words are right
    assert figure(evaluate_asr("2", "e", dict.fromkeys(ids, "play some jazz"), texts, speakers, unsure), "ece")
