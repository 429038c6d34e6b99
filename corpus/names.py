"""Names that people give: how one is stored and shown, and when two are the same."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Default_Ignorable_Code_Point of the Unicode Character Database 16.0, which `unicodedata` lacks."""


_JOINERS: Final = "\u200c\u200d"
"""Zero-width joiners, which Persian, Hindi and emoji are written with; they steer nothing."""


def printable(text: str) -> str:
    """Return a text of the same length with a sign in place of each character that would steer a reader's screen.

    A tab becomes a space. Signs stand for control characters but the line feed, marks that turn the direction of what
    follows, and characters that can't be written.
    """
    return "".join(char if char.isprintable() else _in_place_of(char) for char in text)


def _in_place_of(char: str) -> str:
    if char == "\t":
        return " "
    return char if char == "\n" or char in _JOINERS or unicodedata.category(char) == "Zs" else "\ufffd"


def clean_name(name: str) -> str:
    """Return the name as it is stored and shown: NFC, single spaces, without characters that nobody sees.

    White space of every kind becomes one space between words, and none is kept at the ends. Default-ignorable
    characters, such as a zero-width space or a soft hyphen, are removed. Cleaning a second time changes nothing; a name
    of white space alone becomes empty.
    """
    return " ".join(unicodedata.normalize("NFC", _INVISIBLE.sub("", name)).split())


def name_key(name: str, fold_case: bool = False) -> str:
    """Return what two names have in common if they are the same name: NFKC of the clean name.

    The key of a key is the key itself.

    Args:
        name: clean or not.
        fold_case: whether names that differ only in case are the same, by Unicode case folding.
    """
    key, before = clean_name(name), None
    while key != before:  # a compatibility form may hold a space, and folding may leave a form that is not composed
        before = key
        key = unicodedata.normalize("NFKC", key)
        key = clean_name(key.casefold() if fold_case else key)
    return key
