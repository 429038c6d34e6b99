"""The frame of a night: what its round may score and choose from, each utterance in one frame at most.

In it is what arrived in the night, and what arrived before it but reached earmark only after the newest round was
chosen, as devices that were off for a while upload late. So nothing drops out, and the audit share is drawn from all.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from corpus.errors import UsageError
from corpus.operations import result_of, results_of
from corpus.store import utterances
from flows.night import Night, last_night, night_named
from flows.settings import Settings

PREFIX = "sample/"


def the_night(settings: Settings, name: str | None) -> Night:
    """Returns the night of that name, or the newest that has closed.

    Raises:
        UsageError: no such date, or a night that has not closed yet: its round would miss what is still to arrive.
    """
    zone, hour, now = settings.night.time_zone, settings.night.ends_at, datetime.now(UTC)
    night = last_night(now, zone, hour) if name is None else night_named(name, zone, hour)
    if night.end > now:
        raise UsageError(f"night {night.name} closes at {night.end:%Y-%m-%d %H:%M} UTC; run it after that")
    return night


def stands(conn: sa.Connection, night: Night) -> bool:
    """Returns whether the night's round was chosen."""
    return result_of(conn, PREFIX + night.name) is not None


def frame(conn: sa.Connection, settings: Settings, night: Night) -> tuple[list[str], dict[str, int]]:
    """Returns the sorted ids of the night's frame, and what its round has to remember of it.

    That is `up_to`, the order of the newest arrival of all, and `since`, the same when the round before was chosen:
    what lies between and is older than the night is late.
    """
    rounds = results_of(conn, PREFIX)
    newest = utterances.last_order(conn)
    since = max((int(result["up_to"]) for result in rounds.values()), default=newest)
    rows = utterances.orders(conn, night.start - _late(settings), night.end)
    mine = {i for i, at, order in rows if at >= night.start or order > since}
    for name, result in rounds.items():
        if name == PREFIX + night.name:
            continue  # a dry run of a night that was chosen shows its own frame again
        other = night_named(name.removeprefix(PREFIX), settings.night.time_zone, settings.night.ends_at)
        first = other.start - _late(settings)
        low, high = int(result["since"]), int(result["up_to"])
        mine -= {
            i
            for i, at, order in rows
            if first <= at < other.end and order <= high and (at >= other.start or order > low)
        }
    return sorted(mine), {"since": since, "up_to": newest}


def passed(conn: sa.Connection, settings: Settings) -> set[str]:
    """Returns the ids that no later round can draw: those of nights whose round was chosen, and in time for it."""
    chosen = results_of(conn, PREFIX)
    if not chosen:
        return set()
    names = (name.removeprefix(PREFIX) for name in chosen)
    end = max(night_named(name, settings.night.time_zone, settings.night.ends_at).end for name in names)
    newest = max(int(result["up_to"]) for result in chosen.values())
    return {i for i, _, order in utterances.orders(conn, datetime.min.replace(tzinfo=UTC), end) if order <= newest}


def _late(settings: Settings) -> timedelta:
    return timedelta(days=settings.night.late_days)
