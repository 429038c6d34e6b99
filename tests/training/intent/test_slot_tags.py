from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.records.arrivals import SlotSpan
from tests.training.slotted import NAMES, slotted
from training.intent.slot_tags import OUTSIDE, UNTAGGED, spans_of, tag_names, tags_of, unmarked, word_spans


def one_token_a_word(text):
    spans, end = [], 0
    for word in text.split():
        start = text.index(word, end)
        end = start + len(word)
        spans.append((start, end))
    return word_spans(text, range(len(spans)), spans)


@settings(max_examples=60, deadline=None)
@given(slotted())
def test_tags_spell_the_spans_they_came_from(case):
    text, slots = case
    words = one_token_a_word(text)
    tags = tags_of(words, slots, NAMES, len(words))
    assert spans_of(words, tags, NAMES) == slots
    assert unmarked(words, slots) == 0


def test_a_word_of_several_tokens_is_tagged_once_and_found_whole():
    # [CLS] kit|chen light [SEP]
    words = word_spans("kitchen light", [None, 0, 0, 1, None], [(0, 0), (0, 3), (3, 7), (8, 13), (0, 0)])
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


def one_token_a_letter(text):
    """Return the words of a text whose letters are tokens, and whose words by the tokenizer end at spaces."""
    numbers = [text[:at].count(" ") for at in range(len(text))]
    letters = [at for at, letter in enumerate(text) if letter != " "]
    return word_spans(text, [numbers[at] for at in letters], [(at, at + 1) for at in letters])


PARTS = st.lists(
    st.sampled_from(("台所", "電気", "の", "キッチン", "ห้อง", "ครัว", "ไฟ", "厨房")), min_size=1, max_size=8
)


@settings(max_examples=60, deadline=None)
@given(PARTS, st.data())
def test_a_run_of_letters_without_spaces_holds_any_number_of_slots(parts, data):
    ends = [len("".join(parts[:count])) for count in range(len(parts) + 1)]
    named = [data.draw(st.sampled_from((None, *NAMES))) for _ in parts]
    slots = tuple(SlotSpan(name, ends[at], ends[at + 1]) for at, name in enumerate(named) if name)
    words = one_token_a_letter("".join(parts))
    tags = tags_of(words, slots, NAMES, ends[-1])
    assert spans_of(words, [tags[first] for first, _ in words], NAMES) == slots
    assert unmarked(words, slots) == 0


def test_letters_of_other_scripts_and_marks_on_a_letter_begin_no_word():
    assert one_token_a_letter("dim 電気 ab") == [(0, (0, 3)), (3, (4, 5)), (4, (5, 6)), (5, (7, 9))]
    assert [span for _, span in one_token_a_letter("ห้อง")] == [(0, 2), (2, 3), (3, 4)]
    assert [span for _, span in one_token_a_letter("カー")] == [(0, 2)]  # a mark for a long vowel
    # three tokens, bytes of the same letter, and one that ends inside of a letter
    spans = [(0, 1), (0, 1), (0, 1), (1, 3), (2, 3)]
    assert word_spans("電気を", [0] * 5, spans) == [(0, (0, 1)), (3, (1, 3))]


def test_slots_that_no_tag_can_describe_are_counted():
    words = one_token_a_letter("ab cd")
    first, second, whole = SlotSpan("room", 0, 1), SlotSpan("time", 1, 2), SlotSpan("room", 3, 5)
    assert unmarked(words, (first, second, whole)) == 2  # two on one word: the first is widened, the second lost
    assert unmarked(words[:1], (SlotSpan("room", 0, 2), whole)) == 1  # past the last token
    assert unmarked([], (whole,)) == 1
    assert unmarked(words, ()) == 0
