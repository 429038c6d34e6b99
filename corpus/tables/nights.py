"""Nights: the frame from which each night's round was sampled, and which nightly runs are done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from corpus.storage.database import insert_new
from corpus.storage.records_schema import night_frames, nights_done


@dataclass(frozen=True, slots=True)
class NightFrame:
    """The utterances that were new to a night's round, by the order in which they were ingested.

    Attributes:
        night: name of the night.
        since: order of the newest utterance when the round before was sampled.
        up_to: order of the newest utterance when this round was sampled.
    """

    night: str
    since: int
    up_to: int


def put_frame(conn: sa.Connection, frame: NightFrame) -> None:
    """Store the frame of a night whose round was sampled; a second one for the same night changes nothing."""
    insert_new(conn, night_frames, [{"night": frame.night, "since": frame.since, "up_to": frame.up_to}])


def frames(conn: sa.Connection) -> list[NightFrame]:
    """Return the frames of all nights whose round was sampled, sorted by night."""
    rows = conn.execute(sa.select(night_frames).order_by(night_frames.c.night))
    return [NightFrame(row.night, row.since, row.up_to) for row in rows]


def has_frame(conn: sa.Connection, night: str) -> bool:
    """Return whether the night's round was sampled."""
    return conn.execute(sa.select(night_frames.c.night).where(night_frames.c.night == night)).first() is not None


def done(conn: sa.Connection) -> dict[str, datetime]:
    """Return when a nightly run had done every step, by night."""
    return {row.night: row.at for row in conn.execute(sa.select(nights_done))}


def put_done(conn: sa.Connection, night: str, at: datetime) -> None:
    """Store when a nightly run had done every step of the night; a repeat keeps the first moment."""
    insert_new(conn, nights_done, [{"night": night, "at": at}])


def is_done(conn: sa.Connection, night: str) -> bool:
    """Return whether a nightly run did every step of the night."""
    return conn.execute(sa.select(nights_done.c.night).where(nights_done.c.night == night)).first() is not None
