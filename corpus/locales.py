"""Locales: language tags of BCP 47 in their canonical form, so that one locale is one slice however it was written."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from corpus.errors import RecordError

_SHAPE: Final = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8}){0,4}")


@lru_cache(maxsize=4096)
def canonical_locale(tag: str) -> str:
    """Return the language tag in the canonical form of BCP 47: `en_GB`, `EN-gb` and `en-UK` are `en-GB`.

    A code that was replaced becomes its successor, such as `iw` `he`. Spaces around the tag are left out.

    Raises:
        RecordError: it is no language tag.
    """
    import langcodes  # its tables take 50 ms, which a command without a locale does not need
    from langcodes.tag_parser import LanguageTagError

    current, before = tag.strip(" "), None
    try:
        while current != before:  # a successor may have one, too: `sgn-UK`, `sgn-GB`, `bfi`
            if not _SHAPE.fullmatch(current):
                raise LanguageTagError
            before, current = current, langcodes.standardize_tag(current)
    except LanguageTagError:
        raise RecordError(f"{tag!r} is no language tag; give one such as en-GB") from None
    return current
