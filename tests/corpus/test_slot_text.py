from __future__ import annotations

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from corpus.errors import RecordError
from corpus.slot_text import find_value, slot_title, split_slots, whole_words
from corpus.text import normalise, place_in_original

WORDS = ("light", "kitchen", "don't", "café", "हिन्दी", "7:30", "Straße,", "½", "THE", "the", "\ufdfa")
texts = st.lists(st.sampled_from(WORDS), min_size=1).map(" ".join)


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("room=kitchen; device=light", [("room", "kitchen"), ("device", "light")]),
        (" room = the kitchen ;", [("room", "the kitchen")]),
        ("formula=a=b", [("formula", "a=b")]),
        ("", []),
    ],
)
def test_a_text_of_slots_is_names_and_values(text: str, slots: list[tuple[str, str]]) -> None:
    assert split_slots(text) == slots


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kitchen", "slot 1: is no name=value; write each as"),
        ("room=kitchen; light", "slot 2: is no name=value; write each as"),
        ("room=", "slot 1 (room): has no value; write name=value"),
        ("a=b; = secret", "slot 2: has no name; write name=value"),
    ],
)
def test_a_slot_without_its_name_or_value_is_named_by_number(text: str, message: str) -> None:
    with pytest.raises(RecordError, match=rf"^{re.escape(message)}"):
        split_slots(text)


@pytest.mark.parametrize(
    ("value", "text", "place"),
    [
        ("The KITCHEN", "turn on the kitchen light", (8, 19)),
        ("7:30", "alarm at 7 30 please", (9, 13)),
        ("kitchen", "the kitchen's light", (4, 11)),
        ("don", "don don't", (0, 3)),  # as a word of its own before a part of one
        ("ＬＩＧＨＴ", "light", (0, 5)),  # noqa: RUF001
    ],
)
def test_a_value_is_found_by_its_words_in_normal_form(value: str, text: str, place: tuple[int, int]) -> None:
    assert find_value(value, text) == place


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("ห้องครัว", "เปิดไฟห้องครัว"),
        ("台所", "台所の電気をつけて"),
        ("ｷｯﾁﾝ", "キッチンの電気"),
        ("厨房", "打开厨房的灯"),
        ("kitchen", "kitchenの電気"),
        ("3", "3時に起こして"),
        ("ຫ້ອງຄົວ", "ເປີດໄຟຫ້ອງຄົວ"),
        ("မီးဖိုချောင်", "မီးဖိုချောင်မီးဖွင့်"),
        ("ផ្ទះបាយ", "បើកភ្លើងផ្ទះបាយ"),
    ],
)
def test_a_value_is_found_among_letters_that_are_written_without_spaces(value: str, text: str) -> None:
    start, end = find_value(value, normalise(text))
    assert normalise(text)[start:end] == normalise(value)


@pytest.mark.parametrize(
    ("value", "text", "message"),
    [
        ("電気", "電気と電気", "is in the text 2 times"),
        ("コーヒ", "コーヒーを", "not in the text"),  # the next sign lengthens the last one
        ("ครั", "ครัว", None),
        ("คร", "ครัว", "not in the text"),  # a vowel sign belongs to the letter before it
        ("kitch", "kitchenの電気", "not in the text"),
        ("3", "13時に", "not in the text"),
    ],
)
def test_no_letter_is_parted_from_its_signs_and_no_word_with_spaces_is_cut(
    value: str, text: str, message: str | None
) -> None:
    if message is None:
        assert find_value(value, normalise(text)) == (0, len(value))
        return
    with pytest.raises(RecordError, match=message):
        find_value(value, normalise(text))


UNSPACED = st.lists(st.sampled_from(("台所", "電気", "ห้อง", "ครัว", "厨房", "キッチン", "ไฟ")), min_size=1, max_size=3)


@given(UNSPACED, UNSPACED, UNSPACED)
def test_what_is_once_in_a_text_without_spaces_is_found_where_it_is(
    before: list[str], words: list[str], after: list[str]
) -> None:
    value, text = "".join(words), normalise("".join([*before, *words, *after]))
    assume(sum(text.startswith(value, k) for k in range(len(text))) == 1)
    start, end = find_value(value, text)
    assert text[start:end] == value


@pytest.mark.parametrize(
    ("value", "text", "message"),
    [
        ("secret", "the light", "its value is not in the text; correct it, or give start and end"),
        ("ligh", "the light", "its value is not in the text"),
        ("हिन्द", "हिन्दी", "its value is not in the text"),  # a mark belongs to its letter
        ("light", "light to light", "its value is in the text 2 times; give start and end"),
        ("go go", "go go go", "its value is in the text 2 times"),
        ("?!", "the light", "its value has no letter or digit; correct it"),
    ],
)
def test_a_value_without_one_place_is_refused_without_being_shown(value: str, text: str, message: str) -> None:
    with pytest.raises(RecordError, match=f"^{message}") as refused:
        find_value(value, text)
    assert value not in str(refused.value)


@given(texts, st.data())
@settings(deadline=None)
def test_words_of_a_text_are_found_where_they_are_or_stand_twice(text: str, data: st.DataObject) -> None:
    words = normalise(text).split()
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, len(words) - 1))
    value = " ".join(words[first : last + 1])
    normal, places = normalise(text), [k for k in range(len(words)) if words[k : k + last - first + 1] == value.split()]
    if len(places) > 1:
        with pytest.raises(RecordError, match=f"in the text {len(places)} times"):
            find_value(value, normal)
        return
    start, end = find_value(value, normal)
    assert (start, normal[start:end]) == (len(" ".join([*words[:first], ""])), value)
    a, b = place_in_original(text, start, end)
    split = {"½", chr(0xFDFA)} & set(text)  # characters that become several words are taken whole
    assert normalise(text[a:b]) == value or (split and value in normalise(text[a:b]))


@given(st.text(max_size=200))
@settings(deadline=None)
def test_a_name_in_a_message_is_one_short_line(name: str) -> None:
    title = slot_title(3, name)
    assert re.fullmatch(r"slot 3( \(.{1,64}\))?", title)
    assert len(title.splitlines()) == 1
    title.encode()


@given(st.lists(st.tuples(st.text("abc é", min_size=1), st.text("xyz =é", min_size=1)), max_size=4))
def test_what_is_written_as_text_is_read_again(slots: list[tuple[str, str]]) -> None:
    assume(all(name.strip() and value.strip() for name, value in slots))
    text = "; ".join(f"{name}={value}" for name, value in slots)
    assert split_slots(text) == [(name.strip(), value.strip()) for name, value in slots]


@pytest.mark.parametrize(
    ("text", "part", "whole"),
    [
        ("the kitchen light", "kit", "kitchen"),
        ("the kitchen light", "chen li", "kitchen light"),
        ("the kitchen's light", "kitchen", "kitchen"),
        ("the kitchen's light", "itchen'", "kitchen's"),
        ("l'eau", "eau", "eau"),
        ("\u53f0\u6240\u306e\u96fb\u6c17", "\u53f0\u6240", "\u53f0\u6240"),  # written without spaces
        ("\u0e2b\u0e49\u0e2d\u0e07", "\u0e2b", "\u0e2b\u0e49"),  # a mark belongs to its letter
    ],
)
def test_a_part_of_a_word_means_the_word(text: str, part: str, whole: str) -> None:
    start, end = whole_words(text, text.index(part), text.index(part) + len(part))
    assert text[start:end] == whole


@given(texts, st.data())
@settings(deadline=None)
def test_whole_words_hold_what_was_given_and_stay_as_they_are(text: str, data: st.DataObject) -> None:
    normal = normalise(text)
    inside = [k for k, char in enumerate(normal) if char != " "]
    start, last = sorted((data.draw(st.sampled_from(inside)), data.draw(st.sampled_from(inside))))
    found = whole_words(normal, start, last + 1)
    assert found[0] <= start
    assert found[1] > last
    assert whole_words(normal, *found) == found
    value = normal[slice(*found)]
    if sum(normal.startswith(value, k) for k in range(len(normal))) == 1:  # `count` passes over those that overlap
        assert find_value(value, normal) == found
