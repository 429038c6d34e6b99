# ruff: noqa: RUF001
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import RecordError
from corpus.records.arrivals import SlotSpan, check_spans
from corpus.text import normalise, normalise_with_spans
from tests.corpus.test_normal_form import texts


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
