"""Known slots of a manifest row, as offsets, as values, or as text such as `room=kitchen`: their places in the text.

A message names the slot by its number and its name, which is a word of the operator; its value is speech and is never
in a message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from corpus.errors import RecordError
from corpus.records.arrivals import SlotSpan
from corpus.slot_text import find_value, slot_title, split_slots, whole_words
from corpus.text import normalise, normalise_with_spans


class GivenSlot(Protocol):
    """A slot of a row: its name with start and end in the text as it was written, or with its value, or with all."""

    @property
    def name(self) -> str:
        """Return the name of the slot."""

    @property
    def start(self) -> int | None:
        """Return the first character; None where it was not given."""

    @property
    def end(self) -> int | None:
        """Return the character after the last one; None where it was not given."""

    @property
    def value(self) -> str | None:
        """Return the words; None where they were not given."""


def slots_of_text(given: str) -> list[dict[str, object]]:
    """Return the slots of a text such as `room=kitchen; device=light` as objects with name and value.

    Raises:
        RecordError: the text is not in this form; the message names the slot.
    """
    return [{"name": name, "value": value} for name, value in split_slots(given)]


def place_slots(text: str, slots: Sequence[GivenSlot]) -> tuple[str, tuple[SlotSpan, ...]]:
    """Return the normal form of the text, and the slots, in their order, at their places in it.

    A place is widened to whole words; two slots in one word stay where they are.

    Raises:
        RecordError: a slot has no place, or overlaps another; the message begins with the slot and has the remedy.
    """
    normal, moved = _moved(text, slots)
    found: list[SlotSpan] = []
    for number, slot in enumerate(slots, 1):
        try:
            place = _place(text, normal, slot, moved.get(number))
            other = next((k for k, span in enumerate(found, 1) if place.start < span.end and span.start < place.end), 0)
            if other:
                raise RecordError(f"overlaps {slot_title(other, slots[other - 1].name)}; correct one of them")
        except RecordError as error:
            raise RecordError(f"{slot_title(number, slot.name)}: {error}") from None
        found.append(place)
    widened = tuple(_widened(normal, found, place) for place in found)
    for number, (slot, places) in enumerate(zip(slots, zip(found, widened, strict=True), strict=True), 1):
        read = [normal[place.start : place.end] for place in places]
        if slot.value is not None and normalise(slot.value) not in read:
            wrong = "its value is not between its start and end; leave one of the two out, or correct it"
            raise RecordError(f"{slot_title(number, slot.name)}: {wrong}")
    return normal, widened


def _moved(text: str, slots: Sequence[GivenSlot]) -> tuple[str, Mapping[int, SlotSpan]]:
    """Return the normal form, and by number the places of all slots with offsets; none where one of them is wrong."""
    given = {
        number: (slot.name, slot.start, slot.end)
        for number, slot in enumerate(slots, 1)
        if slot.start is not None and slot.end is not None
    }
    try:
        normal, places = normalise_with_spans(text, [SlotSpan(*place) for place in given.values()])
    except RecordError:
        return normalise(text), {}
    return normal, dict(zip(given, places, strict=True))


def _place(text: str, normal: str, slot: GivenSlot, moved: SlotSpan | None) -> SlotSpan:
    """Return the place of one slot in the normal form of the text."""
    start, end = slot.start, slot.end
    if start is None and end is None:
        if slot.value is None:
            raise RecordError("has neither start and end nor a value; give one of the two")
        return SlotSpan(slot.name, *find_value(slot.value, normal))
    if start is None or end is None:
        raise RecordError(f"has {'an end but no start' if start is None else 'a start but no end'}; give both")
    if start >= end:
        raise RecordError("its start is not before its end; correct them")
    if end > len(text):
        raise RecordError("ends after the text; correct its start and end")
    try:
        return moved or normalise_with_spans(text, [SlotSpan(slot.name, start, end)])[1][0]
    except RecordError:
        raise RecordError("has no letter or digit between start and end; correct them") from None


def _widened(normal: str, places: Sequence[SlotSpan], place: SlotSpan) -> SlotSpan:
    """Return the place with the whole of its first and last word, unless another slot is in that word, too."""
    head = whole_words(normal, place.start, place.start + 1)
    tail = whole_words(normal, place.end - 1, place.end)
    others = [other for other in places if other.start != place.start]
    start = place.start if any(_meet(head, other) for other in others) else head[0]
    end = place.end if any(_meet(tail, other) for other in others) else tail[1]
    return SlotSpan(place.name, start, end)


def _meet(word: tuple[int, int], place: SlotSpan) -> bool:
    return place.start < word[1] and word[0] < place.end
