"""Slots as people write them: `room=kitchen; device=light`, with values that are found in the text by their words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final

from corpus.errors import RecordError
from corpus.names import clean_name
from corpus.text import normalise

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST_SHOWN: Final = 64
_WORD_ENDS: Final = frozenset(("", " "))
_LOOSE_ENDS: Final = frozenset(("", " ", "'"))  # `kitchen` in `kitchen's`
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u3005-\u3007\u3040-\u312f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua9e0-\ua9ff\uaa60-\uaadf\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
"""Letters that are written without spaces between words: Thai, Lao, Burmese, Khmer, Tai, kana and Han."""
_LONG_VOWEL: Final = "\u30fc"

Ends = Callable[[str, str], bool]
"""Whether a word may end between the value's outermost character and its neighbour, "" where the text ends."""


def split_slots(text: str) -> list[tuple[str, str]]:
    """Return name and value of each slot of a text such as `room=kitchen; device=light`.

    Raises:
        RecordError: a slot lacks its name or its value; the message has the slot's number, never its value.
    """
    found: list[tuple[str, str]] = []
    for part in text.split(";"):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not name and not equals:
            continue  # a semicolon at the end
        number = len(found) + 1
        if not equals:
            raise RecordError(f"slot {number}: is no name=value; write each as room=kitchen, with semicolons between")
        if not name or not value:
            raise RecordError(f"{slot_title(number, name)}: has no {'value' if name else 'name'}; write name=value")
        found.append((name, value))
    return found


def find_value(value: str, text: str) -> tuple[int, int]:
    """Return start and end of the only place of a value in a text, by whole words in normal form.

    Where a script has no spaces between words, a word may end beside any of its letters.

    Args:
        value: as it was written.
        text: in normal form.

    Raises:
        RecordError: the value is in the text twice or not at all, or has no letter or digit.
    """
    wanted = normalise(value)
    if not wanted:
        raise RecordError("its value has no letter or digit; correct it")
    starts = next(filter(None, (_starts(wanted, text, ends) for ends in (_at_space, _at_mark, _at_letter))), [])
    if not starts:
        raise RecordError("its value is not in the text; correct it, or give start and end")
    if len(starts) > 1:
        raise RecordError(f"its value is in the text {len(starts)} times; give start and end")
    return starts[0], starts[0] + len(wanted)


def whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the place of some words, at least a letter, widened where it begins or ends inside of one.

    Args:
        text: in normal form.
        start: of the first character.
        end: of the character after the last one.
    """
    while start and not (_at_letter(text[start], text[start - 1]) and _whole(text[start])):
        start -= 1
    while end < len(text) and not (_at_letter(text[end - 1], text[end]) and _whole(text[end])):
        end += 1
    return start, end


def ends_unspaced(text: str, at: int) -> bool:
    """Return whether a word may end before the character at `at`, inside of the text, though no space is there.

    So it is beside a letter that is written without spaces between words.
    """
    return bool(_UNSPACED.match(text[at - 1]) or _UNSPACED.match(text[at])) and _whole(text[at])


def slot_title(number: int, name: object) -> str:
    """Return how a message names a slot: by number and, where it has one, by its name, on one short line."""
    shown = clean_name(_CONTROL.sub(" ", name))[:_LONGEST_SHOWN].strip() if isinstance(name, str) else ""
    return f"slot {number} ({shown})" if shown else f"slot {number}"


def _starts(wanted: str, text: str, ends: Ends) -> list[int]:
    """Return where `wanted` begins in `text` with the end of a word on both sides."""
    size = len(wanted)
    starts = [k for k in range(len(text) - size + 1) if text.startswith(wanted, k)]
    return [
        k
        for k in starts
        if ends(wanted[0], text[max(k - 1, 0) : k]) and ends(wanted[-1], text[k + size : k + size + 1])
        if _whole(text[k + size : k + size + 1])
    ]


def _at_space(inner: str, outer: str) -> bool:
    return outer in _WORD_ENDS


def _at_mark(inner: str, outer: str) -> bool:
    return outer in _LOOSE_ENDS


def _at_letter(inner: str, outer: str) -> bool:
    return outer in _LOOSE_ENDS or bool(_UNSPACED.match(inner) or _UNSPACED.match(outer))


def _whole(after: str) -> bool:
    """Return whether a letter ends before this character, which may be a mark on it or lengthen it."""
    return not after or (after != _LONG_VOWEL and unicodedata.category(after)[0] != "M")
