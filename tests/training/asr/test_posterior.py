from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.records.predictions import ASR_COLUMNS
from training.asr.posterior import (
    asr_columns,
    collapse,
    draw_paths,
    draw_tokens,
    frame_entropy,
    gibbs_confidence,
    hypotheses,
    tsallis_confidence,
    utterance_rng,
    word_confidences,
    word_numbers,
)

BLANK = 0


def random_posterior(seed: int, frames: int, symbols: int, sharpness: float = 2.0) -> np.ndarray:
    logits = np.random.default_rng(seed).standard_normal((frames, symbols)) * sharpness
    return (logits - np.log(np.exp(logits).sum(-1, keepdims=True))).astype(np.float32)


def test_draws_follow_the_exact_distribution_over_transcripts():
    log_probs = random_posterior(1, 4, 3, 1.0)
    exact: Counter[tuple[int, ...]] = Counter()
    for path in itertools.product(range(3), repeat=4):
        exact[collapse(np.array(path), BLANK)] += float(np.exp(sum(log_probs[t, s] for t, s in enumerate(path))))
    assert sum(exact.values()) == pytest.approx(1.0, abs=1e-5)
    draws = 40_000
    drawn = Counter(draw_tokens(log_probs, BLANK, draws, np.random.default_rng(0)))
    assert set(drawn) <= set(exact)
    for tokens, probability in exact.items():
        spread = 5 * np.sqrt(probability * (1 - probability) / draws) + 1e-6
        assert abs(drawn[tokens] / draws - probability) < spread


def test_a_symbol_without_probability_is_never_drawn():
    log_probs = np.full((50, 5), -np.inf, dtype=np.float32)
    log_probs[:, 2] = np.log(0.5)
    log_probs[:, 4] = np.log(0.5)
    assert set(np.unique(draw_paths(log_probs, 200, np.random.default_rng(0)))) == {2, 4}


def test_collapse_merges_repeats_before_it_drops_blanks():
    assert collapse(np.array([0, 1, 1, 0, 1, 2, 2, 0]), BLANK) == (1, 1, 2)
    assert collapse(np.array([0, 0]), BLANK) == ()


def test_draws_of_an_utterance_depend_on_seed_and_id_alone():
    log_probs = random_posterior(2, 30, 8)
    first = draw_paths(log_probs, 4, utterance_rng(7, "a"))
    assert np.array_equal(first, draw_paths(log_probs, 4, utterance_rng(7, "a")))
    assert not np.array_equal(first, draw_paths(log_probs, 4, utterance_rng(7, "b")))
    assert not np.array_equal(first, draw_paths(log_probs, 4, utterance_rng(8, "a")))


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(2, 30), st.floats(0.01, 30))
@settings(max_examples=60, deadline=None)
def test_confidences_lie_in_the_unit_interval_and_are_finite(seed, frames, symbols, sharpness):
    log_probs = random_posterior(seed, frames, symbols, sharpness)
    for confidence in (tsallis_confidence(log_probs), gibbs_confidence(log_probs)):
        assert confidence.shape == (frames,)
        assert ((confidence >= 0) & (confidence <= 1)).all()
    assert (frame_entropy(log_probs) <= np.log(symbols) + 1e-5).all()


def test_confidence_is_one_for_certainty_and_zero_for_the_uniform():
    certain = np.full((1, 6), -np.inf, dtype=np.float32)
    certain[0, 3] = 0.0
    uniform = np.full((1, 6), -np.log(6), dtype=np.float32)
    for measure in (tsallis_confidence, gibbs_confidence):
        assert measure(certain)[0] == pytest.approx(1.0)
        assert measure(uniform)[0] == pytest.approx(0.0, abs=1e-6)


def test_the_confidence_in_a_large_vocabulary_is_not_zero_and_falls_with_doubt():
    sure = np.array([0.99, 0.9, 0.7, 0.5])
    rest = (1.0 - sure)[:, None] * np.full((4, 50_000), 1 / 50_000)
    probs = rest + np.pad(sure[:, None], ((0, 0), (7, 49_992)))
    confidence = tsallis_confidence(np.log(probs).astype(np.float32))
    assert (confidence > 0.01).all()
    assert (np.diff(confidence) < -0.01).all()
    halves = np.full((1, 50_000), 1e-9)
    halves[0, :2] = 0.5
    assert tsallis_confidence(np.log(halves).astype(np.float32))[0] < confidence[0]


def test_tsallis_confidence_is_nemos_formula():
    log_probs = random_posterior(5, 3, 7)
    alpha, symbols = 1 / 3, 7
    p = np.exp(log_probs.astype(np.float64))
    floor = np.exp((1 - symbols ** (1 - alpha)) / (1 - alpha))
    expected = (np.exp((1 - (p**alpha).sum(-1)) / (1 - alpha)) - floor) / (1 - floor)
    assert tsallis_confidence(log_probs) == pytest.approx(expected, abs=1e-6)


def test_words_are_numbered_by_marks_or_by_delimiters():
    starts = np.array([False, True, False, True])  # 1 and 3 begin words, 2 goes on
    none = np.zeros(4, dtype=bool)
    path = np.array([0, 1, 1, 2, 0, 3, 0, 1])
    assert word_numbers(path, BLANK, starts, none).tolist() == [-1, 0, 0, 0, -1, 1, -1, 2]
    delimiter = np.array([False, False, False, True])  # 3 stands between words
    path = np.array([1, 2, 3, 3, 0, 1, 0, 3, 2])
    assert word_numbers(path, BLANK, none, delimiter).tolist() == [0, 0, -1, -1, -1, 1, -1, -1, 2]


def test_a_word_is_as_sure_as_its_least_sure_frame_and_blanks_do_not_count():
    confidence = np.array([0.1, 0.9, 0.6, 0.8, 0.2])
    words = np.array([-1, 0, 0, 1, -1])
    assert word_confidences(confidence, words).tolist() == [0.6, 0.8]
    assert word_confidences(confidence, np.full(5, -1)).tolist() == [0.1]


def test_hypotheses_are_distinct_best_first_and_weigh_their_frequency():
    found = hypotheses("play it", ["play a", "play it", "play a", "stay"])
    assert [(h.text, h.weight) for h in found] == [("play it", 0.25), ("play a", 0.5), ("stay", 0.25)]
    unhit = hypotheses("play it", ["stay", "stay"])
    assert [(h.text, h.weight) for h in unhit] == [("play it", 0.0), ("stay", 1.0)]


def test_columns_are_what_their_names_say():
    log_probs = random_posterior(9, 12, 6)
    path = log_probs.argmax(axis=1)
    found = hypotheses("turn it on", ["turn it on", "turn on", "", "turn it off"])
    words = word_numbers(path, BLANK, np.ones(6, dtype=bool), np.zeros(6, dtype=bool))
    tokens = len(collapse(path, BLANK))
    values = asr_columns(log_probs, path, path != BLANK, tokens, words, found, 1.5)
    row = dict(zip(ASR_COLUMNS, values.tolist(), strict=True))
    assert row["expected_errors"] == pytest.approx((0 + 1 + 3 + 1) / 4)
    assert row["expected_wer"] == pytest.approx(row["expected_errors"] / 3)
    assert row["logprob_sum"] == pytest.approx(float(log_probs.max(axis=1).sum()), rel=1e-5)
    assert row["logprob_mean"] == pytest.approx(row["logprob_sum"] / 12, rel=1e-5)
    assert row["confidence_product"] <= row["confidence_min"] <= row["confidence_mean"] <= 1
    assert row["gibbs_product"] <= row["gibbs_min"] <= row["gibbs_mean"] <= 1
    assert row["num_tokens"] == tokens
    assert row["num_hypotheses"] == 4
    assert row["duration"] == 1.5


def test_silence_gives_finite_columns():
    log_probs = np.log(np.array([[0.98, 0.01, 0.01]] * 5, dtype=np.float32))
    path = log_probs.argmax(axis=1)
    words = word_numbers(path, BLANK, np.ones(3, dtype=bool), np.zeros(3, dtype=bool))
    row = asr_columns(log_probs, path, path != BLANK, 0, words, hypotheses("", [""]), 0.2)
    assert np.isfinite(row).all()
    assert row[ASR_COLUMNS.index("expected_wer")] == 0
