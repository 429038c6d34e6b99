from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.records.arrivals import SlotSpan, check_spans
from training.intent.slot_tags import OUTSIDE, UNTAGGED, spans_of, tag_names, tags_of, word_spans
from training.intent.text_noise import NoiseSettings, text_with_slots, with_asr_errors, words_with_slots

NAMES = ("artist", "room", "time")


@st.composite
def slotted(draw):
    """A text of words with slots on whole words, none of which touch a slot of the same name."""
    words = draw(st.lists(st.text("abcdé'", min_size=1, max_size=6), min_size=1, max_size=8))
    starts = np.cumsum([0, *[len(word) + 1 for word in words]])
    slots, at = [], 0
    while at < len(words):
        length = draw(st.integers(1, 3))
        if draw(st.booleans()) and at + length <= len(words):
            slots.append(SlotSpan(draw(st.sampled_from(NAMES)), int(starts[at]), int(starts[at + length] - 1)))
            at += length
        else:
            at += 1
    return " ".join(words), tuple(slots)


def one_token_a_word(text):
    spans, end = [], 0
    for word in text.split():
        start = text.index(word, end)
        end = start + len(word)
        spans.append((start, end))
    return word_spans(range(len(spans)), spans)


@settings(max_examples=60, deadline=None)
@given(slotted())
def test_tags_spell_the_spans_they_came_from(case):
    text, slots = case
    words = one_token_a_word(text)
    tags = tags_of(words, slots, NAMES, len(words))
    assert spans_of(words, tags, NAMES) == slots


def test_a_word_of_several_tokens_is_tagged_once_and_found_whole():
    # [CLS] kit|chen light [SEP]
    words = word_spans([None, 0, 0, 1, None], [(0, 0), (0, 3), (3, 7), (8, 13), (0, 0)])
    assert words == [(1, (0, 7)), (3, (8, 13))]
    tags = tags_of(words, (SlotSpan("room", 0, 7),), NAMES, 5)
    assert tags == [UNTAGGED, 3, UNTAGGED, OUTSIDE, UNTAGGED]
    assert spans_of(words, [3, OUTSIDE], NAMES) == (SlotSpan("room", 0, 7),)


def test_a_slot_that_goes_on_without_a_beginning_begins_there():
    words = one_token_a_word("a b c d")
    inside_room, inside_time = 4, 6
    assert spans_of(words, [OUTSIDE, inside_room, inside_room, inside_time], NAMES) == (
        SlotSpan("room", 2, 5),
        SlotSpan("time", 6, 7),
    )
    assert tag_names(NAMES)[inside_room] == "I-room"


def test_a_slot_type_outside_the_inventory_is_tagged_outside():
    words = one_token_a_word("a b")
    assert tags_of(words, (SlotSpan("planet", 0, 1),), NAMES, 2) == [OUTSIDE, OUTSIDE]


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
