"""Lists of nights: those in which utterances arrived, and names of nights in messages."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from corpus.tables import utterances
from flows.nights.night import Night, night_of
from flows.runtime.settings import NightSettings

NAMED: Final = 5
"""How many nights a message names, the newest."""


def nights_with_arrivals(conn: sa.Connection, settings: NightSettings, count: int) -> list[Night]:
    """Return the newest `count` nights in which utterances arrived, oldest first; the last one may be open still."""
    found: list[Night] = []
    newest = utterances.newest_arrival(conn)
    while newest is not None and len(found) < count:
        found.append(night_of(newest, settings.time_zone, settings.ends_at))
        newest = utterances.newest_arrival(conn, found[-1].start)
    return found[::-1]


def named_nights(names: list[str]) -> str:
    """Return the newest of the names for a message, `2026-11-21, 2026-11-22`, with how many more there are."""
    more = f" and {len(names) - NAMED} older" if len(names) > NAMED else ""
    return ", ".join(sorted(names)[-NAMED:]) + more
