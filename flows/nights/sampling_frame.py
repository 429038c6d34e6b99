"""The frame of a night: what its round may score and choose from, each utterance in one frame at most.

In it is what arrived in the night, and what arrived before it but reached earmark only after the newest round was
chosen, as devices that were off for a while upload late. So nothing drops out, and the audit share is drawn from all.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from corpus.errors import UsageError
from corpus.tables import nights, utterances
from corpus.tables.nights import NightFrame
from flows.nights.night import Night, last_night, night_named
from flows.runtime.settings import Settings


def closed_night(settings: Settings, name: str | None) -> Night:
    """Return the night of that name, or the newest that has closed.

    Raises:
        UsageError: no such date, or a night that has not closed yet: its round would miss what is still to arrive.
    """
    zone, hour, now = settings.night.time_zone, settings.night.ends_at, datetime.now(UTC)
    night = last_night(now, zone, hour) if name is None else night_named(name, zone, hour)
    if night.end > now:
        raise UsageError(f"night {night.name} closes at {night.end:%Y-%m-%d %H:%M} UTC; run it after that")
    return night


def is_sampled(conn: sa.Connection, night: Night) -> bool:
    """Return whether the night's round was chosen."""
    return nights.has_frame(conn, night.name)


def sampling_frame(conn: sa.Connection, settings: Settings, night: Night) -> tuple[list[str], NightFrame]:
    """Return the sorted ids of the night's frame, and what is stored of it with its round.

    What came in between `since` and `up_to` of the frame and is older than the night is late.
    """
    held = nights.frames(conn)
    newest = utterances.last_order(conn)
    since = max((each.up_to for each in held), default=newest)
    rows = utterances.orders(conn, night.start - _late(settings), night.end)
    mine = {i for i, at, order in rows if at >= night.start or order > since}
    for each in held:
        if each.night == night.name:
            continue  # a dry run of a night that was chosen shows its own frame again
        other = night_named(each.night, settings.night.time_zone, settings.night.ends_at)
        first = other.start - _late(settings)
        mine -= {
            i
            for i, at, order in rows
            if first <= at < other.end and order <= each.up_to and (at >= other.start or order > each.since)
        }
    return sorted(mine), NightFrame(night.name, since, newest)


def past_sampling(conn: sa.Connection, settings: Settings) -> set[str]:
    """Return the ids that no later round can draw: those of nights whose round was chosen, and in time for it."""
    held = nights.frames(conn)
    if not held:
        return set()
    end = max(night_named(each.night, settings.night.time_zone, settings.night.ends_at).end for each in held)
    newest = max(each.up_to for each in held)
    return {i for i, _, order in utterances.orders(conn, datetime.min.replace(tzinfo=UTC), end) if order <= newest}


def _late(settings: Settings) -> timedelta:
    return timedelta(days=settings.night.late_days)
