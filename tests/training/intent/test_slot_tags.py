from __future__ import annotations

from hypothesis import given, settings

from corpus.records.arrivals import SlotSpan
from tests.training.slotted import NAMES, slotted
from training.intent.slot_tags import OUTSIDE, UNTAGGED, spans_of, tag_names, tags_of, word_spans


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
