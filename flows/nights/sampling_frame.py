"""Sampling frames: the utterances that the round of a night may score and choose from, each in at most one frame.

A frame has the utterances that arrived in the night, and late ones: those that arrived before it but were ingested only
after the newest round was chosen, since a device that was switched off uploads later. So no utterance is missed, and
the audit sample is drawn from all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from corpus.errors import UsageError
from corpus.tables import nights, utterances
from corpus.tables.nights import NightFrame
from flows.nights.night import Night, last_night, night_named
from flows.runtime.settings import NightSettings


def closed_night(settings: NightSettings, name: str | None) -> Night:
    """Return the night of that name, or for None the newest one that has ended.

    Raises:
        UsageError: the name is no date, or the night has not ended, so that its round would miss later arrivals.
    """
    zone, hour, now = settings.time_zone, settings.ends_at, datetime.now(UTC)
    night = last_night(now, zone, hour) if name is None else night_named(name, zone, hour)
    if night.end > now:
        raise UsageError(f"night {night.name} closes at {night.end:%Y-%m-%d %H:%M} UTC; run it after that")
    return night


def is_sampled(conn: sa.Connection, night: Night) -> bool:
    """Return whether the night's round was chosen."""
    return nights.has_frame(conn, night.name)


def sampling_frame(conn: sa.Connection, settings: NightSettings, night: Night) -> tuple[list[str], NightFrame]:
    """Return the sorted ids of the night's frame, and the row on the frame that is stored with its round.

    Utterances that arrived before the night are late if they were ingested between `since` and `up_to` of the frame.
    """
    frames = nights.frames(conn)
    newest = utterances.last_order(conn)
    since = max((each.up_to for each in frames), default=newest)
    rows = utterances.orders(conn, night.start - _late(settings), night.end)
    in_frame = {i for i, arrived_at, order in rows if arrived_at >= night.start or order > since}
    for each in frames:
        if each.night != night.name:  # a dry run of a night that has its round returns the same frame again
            in_frame -= _members(settings, each, rows)
    return sorted(in_frame), NightFrame(night.name, since, newest)


def frames_of(conn: sa.Connection, settings: NightSettings, names: Collection[str]) -> set[str]:
    """Return the ids in the stored frames of the nights of these names; none of a night without a stored frame."""
    found: set[str] = set()
    frames = sorted(nights.frames(conn), key=lambda frame: frame.up_to)
    windows = [night_named(each.night, settings.time_zone, settings.ends_at) for each in frames]
    if not windows:
        return found
    rows = utterances.orders(
        conn, min(each.start for each in windows) - _late(settings), max(each.end for each in windows)
    )
    taken: set[str] = set()
    for each in frames:
        members = _members(settings, each, rows) - taken
        taken |= members
        found |= members if each.night in names else set()
    return found


def _members(settings: NightSettings, frame: NightFrame, rows: Sequence[tuple[str, datetime, int]]) -> set[str]:
    """Return the ids of a stored frame: what arrived in its night or was late, and was there when it was sampled."""
    night = night_named(frame.night, settings.time_zone, settings.ends_at)
    first = night.start - _late(settings)
    return {
        i
        for i, arrived_at, order in rows
        if first <= arrived_at < night.end
        and order <= frame.up_to
        and (arrived_at >= night.start or order > frame.since)
    }


def earliest_new(conn: sa.Connection, settings: NightSettings, night: Night) -> datetime:
    """Return the earliest arrival (UTC) with which an utterance that is ingested now would be in the night's frame.

    It is late only where a round was chosen before; else the frame is the night's own window.
    """
    return night.start - _late(settings) if nights.frames(conn) else night.start


def past_sampling(conn: sa.Connection, settings: NightSettings) -> set[str]:
    """Return the ids that no later round can choose: those of nights with a round, ingested before the newest one."""
    frames = nights.frames(conn)
    if not frames:
        return set()
    end = max(night_named(each.night, settings.time_zone, settings.ends_at).end for each in frames)
    newest = max(each.up_to for each in frames)
    return {i for i, _, order in utterances.orders(conn, datetime.min.replace(tzinfo=UTC), end) if order <= newest}


def _late(settings: NightSettings) -> timedelta:
    return timedelta(days=settings.late_days)
