"""Texts in their normal form: their words, and marks on them that move with their words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from corpus.errors import RecordError
from corpus.normal_form import NORMALISER, folded, normalise
from corpus.records.arrivals import SlotSpan, check_spans

__all__ = ["NORMALISER", "lines_of", "normalise", "normalise_with_spans", "place_in_original", "words"]


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, which end with a line feed, or a carriage return and a line feed.

    `str.splitlines` also ends one at characters that texts hold and nobody sees, such as U+2028 and U+0085.
    """
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []


def words(text: str) -> list[str]:
    """Return the words of the normal form of `text`, as word error rates count them."""
    return normalise(text).split()


def normalise_with_spans(text: str, slots: Sequence[SlotSpan]) -> tuple[str, tuple[SlotSpan, ...]]:
    """Return the normal form of `text` and the slots, in their order, moved to the new positions of their words.

    Raises:
        RecordError: a span ends after the text, overlaps another, or contains no letter or digit.
    """
    if not slots:
        return normalise(text), ()
    check_spans(text, slots, "slots")
    characters = folded(text)
    moved = []
    for slot in slots:
        inside = [i for i, (char, start) in enumerate(characters) if slot.start <= start < slot.end and char != " "]
        if not inside:
            raise RecordError(f"slot {slot.name}: span {slot.start}:{slot.end} contains no letter or digit")
        moved.append(replace(slot, start=inside[0], end=inside[-1] + 1))
    return "".join(char for char, _ in characters), tuple(moved)


def place_in_original(text: str, start: int, end: int) -> tuple[int, int]:
    """Return from where to where in `text` the characters `start:end` of its normal form, at least one, were written.

    A character of `text` that became several words, such as U+FDFA, is returned whole.
    """
    starts = [*(at for _, at in folded(text)), len(text)]
    return starts[start], next(at for at in starts[end:] if at > starts[end - 1])
