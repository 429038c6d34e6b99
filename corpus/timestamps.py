"""Times as texts: ISO 8601, and what RFC 3339 allows beside it, in one form for manifests, imports and answers."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_LEAP: Final = re.compile(r"([T ]\d\d:?\d\d:?)60(?=[.,Z+-]|$)")


def time_of(text: str) -> datetime:
    """Return the time that a text gives, without a zone where it names none.

    `t` and `z` may be small, and the leap second 23:59:60 of the last day of a month in UTC is the second after it.

    Raises:
        ValueError: the text is no time.
    """
    upper = text.upper()
    if not text.isascii():  # `upper` may change the length of others, and a digit of another script is none
        raise ValueError("no time")
    plain = _LEAP.sub(r"\g<1>59", upper)
    moment = datetime.fromisoformat(plain)
    if plain == upper:
        return moment
    try:
        after = (moment + timedelta(seconds=1)).replace(microsecond=0)
        in_utc = after.astimezone(UTC) if after.tzinfo is not None else after
    except OverflowError:
        raise ValueError("no time") from None
    if (in_utc.day, in_utc.hour, in_utc.minute, in_utc.second) != (1, 0, 0, 0):
        raise ValueError("no leap second is there")
    return after + timedelta(microseconds=moment.microsecond)
