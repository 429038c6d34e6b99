from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.records.arrivals import check_spans
from tests.training.slotted import slotted
from training.intent.text_noise import NoiseSettings, text_with_slots, with_asr_errors, words_with_slots


@settings(max_examples=60, deadline=None)
@given(slotted(), st.integers(0, 2**32 - 1), st.floats(0, 0.5))
def test_a_misheard_text_keeps_valid_slots_and_a_word(case, seed, rate):
    text, slots = case
    noise = NoiseSettings(clean=0.1, word_rate=rate)
    heard, kept = with_asr_errors(text, slots, ("word", "other"), np.random.default_rng(seed), noise)
    assert heard
    assert heard == " ".join(heard.split())
    check_spans(heard, kept, "test")
    assert [slot.name for slot in kept] == list(_walk(slots, kept))
    assert (heard, kept) == with_asr_errors(text, slots, ("word", "other"), np.random.default_rng(seed), noise)


def _walk(slots, kept):
    """Yield the names of `kept` as far as they are a subsequence of those of `slots`."""
    names = iter(slot.name for slot in slots)
    for slot in kept:
        if any(slot.name == name for name in names):
            yield slot.name


@settings(max_examples=60, deadline=None)
@given(slotted())
def test_words_with_slots_and_back(case):
    text, slots = case
    assert text_with_slots(words_with_slots(text, slots), slots) == (text, slots)


@pytest.mark.parametrize("kind", ["letters", "merged", "split", "dropped", "replaced"])
def test_every_kind_of_error_happens(kind):
    only = dict.fromkeys(("letters", "merged", "split", "dropped", "replaced"), 0.0) | {kind: 1.0}
    noise = NoiseSettings(clean=0.0, word_rate=0.5, **only)
    heard = {
        with_asr_errors("turn on the kitchen light", (), ("radio",), np.random.default_rng(seed), noise)[0]
        for seed in range(20)
    }
    assert len(heard) > 3
    if kind == "replaced":
        assert any("radio" in text.split() for text in heard)
