"""Names that operators give to intents, slots and attributes: how one is stored, and when two are the same."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Default_Ignorable_Code_Point of the Unicode Character Database 16.0, which `unicodedata` lacks."""


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
