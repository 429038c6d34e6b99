"""Slots as people write them: `room=kitchen; device=light`, with values that are found in the text by their words."""

from __future__ import annotations

import re
from typing import Final

from corpus.errors import RecordError
from corpus.names import clean_name
from corpus.text import normalise

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST_SHOWN: Final = 64
_WORD_ENDS: Final = frozenset(("", " "))
_LOOSE_ENDS: Final = frozenset(("", " ", "'"))  # `kitchen` in `kitchen's`


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

    Args:
        value: as it was written.
        text: in normal form.

    Raises:
        RecordError: the value is in the text twice or not at all, or has no letter or digit.
    """
    wanted = normalise(value)
    if not wanted:
        raise RecordError("its value has no letter or digit; correct it")
    starts = _starts(wanted, text, _WORD_ENDS) or _starts(wanted, text, _LOOSE_ENDS)
    if not starts:
        raise RecordError("its value is not in the text; correct it, or give start and end")
    if len(starts) > 1:
        raise RecordError(f"its value is in the text {len(starts)} times; give start and end")
    return starts[0], starts[0] + len(wanted)


def slot_title(number: int, name: object) -> str:
    """Return how a message names a slot: by number and, where it has one, by its name, on one short line."""
    shown = clean_name(_CONTROL.sub(" ", name))[:_LONGEST_SHOWN].strip() if isinstance(name, str) else ""
    return f"slot {number} ({shown})" if shown else f"slot {number}"


def _starts(wanted: str, text: str, ends: frozenset[str]) -> list[int]:
    """Return where `wanted` begins in `text` with one of `ends` on both sides."""
    size = len(wanted)
    starts = [k for k in range(len(text) - size + 1) if text.startswith(wanted, k)]
    return [k for k in starts if {text[max(k - 1, 0) : k], text[k + size : k + size + 1]} <= ends]
