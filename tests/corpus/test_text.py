# ruff: noqa: RUF001
from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import RecordError
from corpus.records.arrivals import SlotSpan, check_spans
from corpus.text import _folded, normalise, normalise_with_spans, words

# Letters, marks, Hangul and kana parts, apostrophes and invisible characters: where normal forms go wrong.
TRICKY = (
    "aA1 .,-\n'`\u2019\u00b4İıſßẞΣς½①ﬃﷺ१é"
    "\u0301\u0327\u1100\u1161\u11a8\u3131\uff9e\uffa1\u0bc6\u0bbe\u200d\u200b\u00ad\ufeff"
)
texts = st.one_of(st.text(max_size=40), st.text(alphabet=TRICKY, max_size=20))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Turn on the LIGHTS, please!", "turn on the lights please"),
        ("  don’t   stop ", "don't stop"),
        ("'quoted' rock 'n' roll", "quoted rock n roll"),
        ("what`s up", "what's up"),
        ("set 7:30 alarm", "set 7 30 alarm"),
        ("ＦＵＬＬ　width", "full width"),
        ("caf\u0065\u0301", "caf\u00e9"),
        ("Stra\u00dfe so\u00adft", "straße soft"),
        ("हिन्दी।", "हिन्दी"),
        ("...", ""),
        ("", ""),
    ],
)
def test_normal_form(raw: str, expected: str) -> None:
    assert normalise(raw) == expected


@given(texts)
@settings(max_examples=200, deadline=None)
def test_the_normal_form_is_stable_and_clean(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert once == " ".join(once.split())
    assert unicodedata.normalize("NFKC", once) == once
    assert words(text) == once.split()


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=40))
def test_ascii_takes_a_shorter_way_to_the_same_text(text: str) -> None:
    assert normalise(text) == "".join(char for char, _ in _folded(text))


def test_spans_move_with_their_words() -> None:
    text = "Play “Don’t Stop” by QUEEN, please"
    slots = [SlotSpan("song", 5, 17), SlotSpan("artist", 21, 27)]
    normal, moved = normalise_with_spans(text, slots)
    assert normal == "play don't stop by queen please"
    assert [(s.name, normal[s.start : s.end]) for s in moved] == [("song", "don't stop"), ("artist", "queen")]


@given(st.data(), texts)
@settings(max_examples=100, deadline=None)
def test_moved_spans_contain_the_same_words(data: st.DataObject, text: str) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    slots = [SlotSpan(f"s{i}", a, b) for i, (a, b) in enumerate(zip(cuts[::2], cuts[1::2], strict=False))]
    try:
        normal, moved = normalise_with_spans(text, slots)
    except RecordError:
        return
    assert normal == normalise(text)
    check_spans(normal, moved, "moved")
    assert [s.name for s in moved] == [s.name for s in slots]
    assert all(normal[s.start : s.end].strip() == normal[s.start : s.end] for s in moved)


@pytest.mark.parametrize(
    "slots", [[SlotSpan("a", 0, 99)], [SlotSpan("a", 0, 3), SlotSpan("b", 2, 4)], [SlotSpan("a", 2, 3)]]
)
def test_spans_that_hold_nothing_are_refused(slots: list[SlotSpan]) -> None:
    with pytest.raises(RecordError) as refused:
        normalise_with_spans("so ? so", slots)
    assert "so ?" not in str(refused.value)
