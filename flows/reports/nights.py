"""List the nights of a home with their counts, from arrivals to what was learned; from the records alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from corpus.tables import judgements, night_funnel, nights, rounds
from corpus.tables import models as store
from corpus.tables.manual_promotions import manual_promotions
from corpus.tables.night_funnel import ArrivalCounts, RoundCounts
from corpus.tables.nights import NightFrame
from flows.models.judged_nights import night_learned
from flows.models.registry import KINDS
from flows.nights.night import Night, last_night, night_named, night_of
from flows.nights.night_list import nights_with_arrivals
from flows.runtime.results import Result
from flows.runtime.settings import NightSettings

DONE: Final = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class NightRow(Result):
    """One night in counts.

    Attributes:
        night: its name.
        received: manifest rows, the accepted and the refused ones, in the night of their arrival. Refused rows without
            a readable time count beside the accepted ones of their batch or, where a whole batch was refused, in the
            night that had closed last when it was ingested.
        refused: those of them that were refused.
        accepted: utterances that arrived in the night.
        scored: those of them that were scored.
        chosen: utterances that the night's round chose.
        late: those of them that arrived before the night, and came in after the round of their own.
        answered: tasks of the round with an answer.
        labels: utterances of the round with a label.
        learned: versions that the nightly run trained, such as `asr/2`, or that were trained by hand with this as the
            newest night that they learned from; with labels of no night, when this was the night that had closed last.
        promoted: those of them that became champion.
        state: `done` where a nightly run did every step, else why it is not done; with the commonest reason where rows
            were refused and none was accepted, and with what came in late.
        done_at: when a nightly run had done every step.
    """

    night: str
    received: int
    refused: int
    accepted: int
    scored: int
    chosen: int
    late: int = 0
    answered: int
    labels: int
    learned: tuple[str, ...]
    promoted: tuple[str, ...]
    state: str
    done_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Home:
    """What the records have of all nights.

    Attributes:
        frames: of the nights whose round was sampled.
        done: when a nightly run had done every step, by night.
        learned: versions by the night that trained them.
        promoted: versions that became champion.
        refused: refused rows by reason, of batches with nothing accepted, by night.
    """

    frames: list[NightFrame]
    done: dict[str, datetime]
    learned: dict[str, list[str]]
    promoted: set[str]
    refused: dict[str, Counter[str]]


def nights_of(conn: sa.Connection, settings: NightSettings, last: int, now: datetime) -> tuple[NightRow, ...]:
    """Return the newest nights of which the home has any record, oldest first.

    Args:
        conn: a connection on the records.
        settings: when a night closes.
        last: how many nights.
        now: the time, by which a night is closed or open.
    """
    home = _home(conn, settings)
    names = {row.night for row in rounds.rounds(conn)} | {frame.night for frame in home.frames}
    names |= {*home.done, *home.learned, *home.refused}
    names |= {night.name for night in nights_with_arrivals(conn, settings, last)}
    newest = sorted(names)[-last:]
    if not newest:
        return ()
    windows = [night_named(name, settings.time_zone, settings.ends_at) for name in newest]
    refused = Counter({name: counts.total() for name, counts in home.refused.items()})
    for rows in night_funnel.refused_beside_accepted(conn, windows[0].start):
        refused[night_of(rows.moment, settings.time_zone, settings.ends_at).name] += rows.count
    counts = night_funnel.round_counts(conn, newest)
    found = []
    for night in windows:
        arrived = night_funnel.arrivals(conn, night.start, night.end)
        of_round = counts.get(night.name, RoundCounts())
        learned = tuple(home.learned.get(night.name, ()))
        late = night_funnel.chosen_late(conn, night.name, night.start)
        row = NightRow(
            night=night.name,
            received=arrived.accepted + refused[night.name],
            refused=refused[night.name],
            accepted=arrived.accepted,
            scored=arrived.scored,
            chosen=of_round.chosen,
            answered=of_round.answered,
            labels=of_round.labels,
            learned=learned,
            promoted=tuple(version for version in learned if version in home.promoted),
            late=late,
            state="; ".join([_state(home, night, arrived, of_round, now), *_late(late)]),
            done_at=home.done.get(night.name),
        )
        found.append(row)
    return tuple(found)


def _home(conn: sa.Connection, settings: NightSettings) -> _Home:
    zone, hour = settings.time_zone, settings.ends_at
    learned: dict[str, list[str]] = {}
    versions = {(each.kind, each.version): each for kind in KINDS for each in store.versions(conn, kind)}
    for each in store.trained(conn):
        night = str(each.cycle)
        if each.cycle is None or not _is_night(each.cycle):  # trained by hand
            of_labels = night_learned(conn, versions[each.kind, each.version])
            night = of_labels or last_night(each.trained_at, zone, hour).name
        learned.setdefault(night, []).append(f"{each.kind}/{each.version}")
    promoted = {f"{kind}/{version}" for kind, version in judgements.promoted(conn)}
    promoted |= {f"{each.kind}/{each.version}" for each in manual_promotions(conn)}
    promoted |= {f"{kind}/{store.alias(conn, kind, alias)}" for kind in KINDS for alias in ("champion", "previous")}
    refused: dict[str, Counter[str]] = {}
    for rows in night_funnel.refused_alone(conn):
        night_of_rows = (night_of if rows.arrived else last_night)(rows.moment, zone, hour)
        refused.setdefault(night_of_rows.name, Counter())[rows.reason] += rows.count
    return _Home(nights.frames(conn), nights.done(conn), learned, promoted, refused)


def _is_night(cycle: str) -> bool:
    """Return whether a version was trained by the run of a night, whose name is a date."""
    try:
        datetime.fromisoformat(cycle)
    except ValueError:
        return False
    return True


def _state(home: _Home, night: Night, arrived: ArrivalCounts, of_round: RoundCounts, now: datetime) -> str:
    """Return whether the night is done, else why not; and why no row was accepted where all were refused."""
    state = DONE if night.name in home.done else _not_done(night, arrived, of_round, night.name in home.learned, now)
    refused = home.refused.get(night.name)
    if not refused or arrived.accepted:
        return state
    reason = max(sorted(refused), key=lambda each: refused[each])
    more = "mostly " if len(refused) > 1 else ""
    return f"{state}; {refused.total()} rows refused: {more}{reason}"


def _late(count: int) -> list[str]:
    return [f"{count} of the chosen came in late, after their night"] if count else []


def _not_done(night: Night, arrived: ArrivalCounts, of_round: RoundCounts, learned: bool, now: datetime) -> str:
    """Return what was done of a night without a nightly run: the first step that is missing, with its command."""
    if now < night.end:
        return f"open until {night.end:%Y-%m-%d %H:%M} UTC"
    if not of_round.chosen:
        if not arrived.accepted:
            return "nothing arrived"
        if not arrived.scored:
            return f"not scored: earmark score --night {night.name}"
        return f"not sampled: earmark sample --night {night.name}"
    if not of_round.tasks:
        return f"not exported: earmark export --night {night.name}"
    if of_round.answered < of_round.chosen:
        return f"{of_round.answered} of {of_round.chosen} answered; earmark merge ANSWERS takes the others"
    if learned:
        return "answered and learned from"
    return "answered: earmark retrain asr and earmark retrain intent learn from it"
