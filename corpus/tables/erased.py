"""What an erasure takes away, before it does, and what it, or a withdrawal of consent, has not reached yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

import sqlalchemy as sa

from corpus.records.base import Kind
from corpus.storage import records_schema as schema
from corpus.storage.database import fetch_among, insert_new, writing
from corpus.tables import datasets, models, retention

if TYPE_CHECKING:
    from corpus.handle import Corpus

Hop: TypeAlias = Literal["packs", "tasks", "annotation server", "model registry", "weights"]
"""A place that an erasure has to reach after the records, a withdrawal after the vault."""

HOPS: Final[tuple[Hop, ...]] = get_args(Hop)
"""All of them, in the order in which they are reached."""

WITHDRAWN_HOPS: Final[tuple[Hop, ...]] = ("tasks", "annotation server")
"""The places that every withdrawal of consent has to reach; the registry is noted with the versions that it marks."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What of some utterances is in a home, in counts.

    Attributes:
        utterances: those that are not erased yet.
        labels: their current labels.
        answers: their annotators' answers.
        open_tasks: their tasks that wait for an answer.
        clips_out: how many of them somebody may listen to now.
        parts, packs: files with their statistics, and with their clips, which are written anew.
        versions: (kind, version) of those that learned from one of them.
        datasets: folders of datasets that were handed out and hold one of them.
    """

    utterances: int
    labels: int
    answers: int
    open_tasks: int
    clips_out: int
    parts: int
    packs: int
    versions: tuple[tuple[Kind, str], ...]
    datasets: tuple[str, ...]


def footprint(conn: sa.Connection, utterance_ids: Collection[str], now: datetime) -> Footprint:
    """Return what of the utterances is in the home; ids that no row has count for nothing."""
    ids = sorted(set(utterance_ids))
    rows, labels, tasks = schema.utterances.c, schema.labels.c, schema.tasks.c
    answers, leases, scores = schema.answers.c, schema.leases.c, schema.scores.c

    def count(column: sa.ColumnElement[str], *condition: sa.ColumnElement[bool]) -> int:
        return sum(1 for _ in fetch_among(conn, sa.select(column).where(*condition), column, ids))

    leased = sa.select(leases.utterance_id).where(leases.purpose == "annotate", leases.until > now).distinct()
    parts = sa.select(scores.part).distinct()
    packs = sa.select(rows.pack).where(rows.pack.is_not(None)).distinct()
    return Footprint(
        utterances=count(rows.utterance_id, rows.state != "erased"),
        labels=count(labels.utterance_id, labels.current),
        answers=count(answers.utterance_id, answers.content.is_not(None)),
        open_tasks=count(tasks.utterance_id, tasks.state.in_(("open", "exported"))),
        clips_out=len({row[0] for row in fetch_among(conn, leased, leases.utterance_id, ids)}),
        parts=len({row[0] for row in fetch_among(conn, parts, scores.utterance_id, ids)}),
        packs=len({row[0] for row in fetch_among(conn, packs, rows.utterance_id, ids)}),
        versions=tuple(models.learners(conn, ids)),
        datasets=tuple(datasets.holding(conn, ids)),
    )


def unknown_ids(conn: sa.Connection, utterance_ids: Sequence[str]) -> set[str]:
    """Return those of the ids that no row has."""
    column = schema.utterances.c.utterance_id
    return set(utterance_ids) - {row[0] for row in fetch_among(conn, sa.select(column), column, utterance_ids)}


def arrived_between(
    conn: sa.Connection, utterance_ids: Sequence[str], since: datetime | None, until: datetime | None
) -> list[str]:
    """Return the sorted ids of those that arrived from `since` on and before `until`; None for no bound."""
    rows = schema.utterances.c
    bounds = [rows.arrived_at >= since] if since is not None else []
    bounds += [rows.arrived_at < until] if until is not None else []
    statement = sa.select(rows.utterance_id).where(*bounds)
    return sorted(row[0] for row in fetch_among(conn, statement, rows.utterance_id, utterance_ids))


def of_speaker(conn: sa.Connection, speaker_id: str) -> list[str]:
    """Return the sorted ids of a speaker's utterances that are not erased."""
    rows = schema.utterances.c
    return sorted(conn.execute(sa.select(rows.utterance_id).where(rows.speaker_id == speaker_id)).scalars())


def erased_tasks(conn: sa.Connection, task_ids: Collection[str]) -> set[str]:
    """Return those of the tasks whose utterance is erased."""
    tasks, rows = schema.tasks.c, schema.utterances.c
    statement = (
        sa.select(tasks.task_id)
        .join(schema.utterances, rows.utterance_id == tasks.utterance_id)
        .where(rows.state == "erased")
    )
    return {row[0] for row in fetch_among(conn, statement, tasks.task_id, sorted(task_ids))}


# --- what is not reached yet ------------------------------------------------------------------------------------------


def packs_with_gaps(conn: sa.Connection) -> list[str]:
    """Return the sorted paths of packs with bytes of clips that no row names any more."""
    rows = schema.utterances.c
    used = sa.func.coalesce(sa.func.sum(rows.pack_length), 0)
    statement = (
        sa.select(schema.packs.c.pack)
        .outerjoin(schema.utterances, rows.pack == schema.packs.c.pack)
        .group_by(schema.packs.c.pack, schema.packs.c.size)
        .having(used < schema.packs.c.size)
    )
    return sorted(conn.execute(statement).scalars())


def begin(
    corpus: Corpus, utterance_ids: Sequence[str] = (), due: Mapping[retention.Class, Sequence[str]] | None = None
) -> None:
    """Note that every place is to be reached, before the first key goes; those noted before keep their time.

    Args:
        corpus: the handle.
        utterance_ids: what is to be erased. What learned from it is marked at once, also where retention ended it
            before, as no later look would find that.
        due: what retention is to end, by class.
    """
    with writing(corpus.records) as conn:
        hops = [hop for hop in HOPS if hop != "weights" or due is None]  # what ends by itself leaves weights alone
        insert_new(conn, schema.erasure_hops, [{"hop": hop, "since": corpus.clock()} for hop in hops])
        retention.unmark(conn, utterance_ids)
        models.taint(conn, utterance_ids, corpus.clock())
        retention.mark(conn, due or {})


def note_withdrawal(conn: sa.Connection, hops: Sequence[Hop], at: datetime) -> None:
    """Note that places are to be reached for a withdrawal of consent, which may come while a run reaches them.

    Those noted before get the new time, so that such a run does not take for reached what it looked at too early.
    """
    conn.execute(sa.delete(schema.erasure_hops).where(schema.erasure_hops.c.hop.in_(hops)))
    insert_new(conn, schema.erasure_hops, [{"hop": hop, "since": at} for hop in hops])


def reached(corpus: Corpus, hop: Hop, since: datetime | None = None) -> None:
    """Note that a place was reached.

    Args:
        corpus: the handle.
        hop: the place.
        since: the time with which it was noted, before it was reached; one that was noted anew stays. None for any.
    """
    rows = schema.erasure_hops.c
    with writing(corpus.records) as conn:
        conn.execute(
            sa.delete(schema.erasure_hops).where(rows.hop == hop, *([] if since is None else [rows.since == since]))
        )


def not_reached(conn: sa.Connection) -> dict[Hop, datetime]:
    """Return the places that an erasure or a withdrawal has not reached yet, in their order, each since when."""
    since = {row.hop: row.since for row in conn.execute(sa.select(schema.erasure_hops))}
    return {hop: since[hop] for hop in HOPS if hop in since}
