"""Retention: how long each class of utterances is kept, what is older, and what is marked to be ended for good.

A row is marked before its key is destroyed. So what was once to end is ended, whatever is killed and whatever limits
are set later; the door opens no marked row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

import sqlalchemy as sa

from corpus.settings import MOST_DAYS, CorpusSettings
from corpus.storage import records_schema as schema
from corpus.storage.database import fetch_among, insert_new, writing
from corpus.tables.annotations import answers_by_utterance

if TYPE_CHECKING:
    from corpus.handle import Corpus

Class: TypeAlias = Literal["unchosen", "labelled", "accidental", "critical"]
"""Without a label, with one, an accidental activation by most answers, and one that a person called critical."""

CLASSES: Final[tuple[Class, ...]] = get_args(Class)

CRITICAL: Final = ("critical_data", "distress")
"""Verdicts by which an utterance is set aside and is critical."""

Limits: TypeAlias = Mapping[Class, int]
"""How many days each class is kept."""

NOTHING_ENDS: Final[Limits] = dict.fromkeys(CLASSES, MOST_DAYS)

_RUN: Final = "last run"
"""Row beside the applied limits, with the day when retention last ran, in days since 1970."""

_FIRST_DAY: Final = datetime(1970, 1, 1, tzinfo=UTC)


def limits_of(settings: CorpusSettings) -> Limits:
    """Return the limits that the settings name."""
    return {
        "unchosen": settings.retention_days,
        "labelled": settings.labelled_retention_days,
        "accidental": settings.accidental_retention_days,
        "critical": settings.critical_retention_days,
    }


def retention_limits(corpus: Corpus) -> tuple[datetime, datetime]:
    """Return the earliest allowed arrival of an utterance without a current label, and of one with it."""
    now = corpus.clock()
    settings = corpus.settings
    return now - timedelta(days=settings.retention_days), now - timedelta(days=settings.labelled_retention_days)


def expired(conn: sa.Connection, limits: Limits, now: datetime) -> dict[Class, list[str]]:
    """Return the sorted ids of utterances that are older than the limits, by class; marked ones by their mark.

    The age of an utterance counts from its arrival. The shorter time of an accidental or critical one counts from when
    the first answer that said so was merged. A lease keeps nothing.
    """
    rows, labels = schema.utterances.c, schema.labels.c
    labelled = sa.exists().where(labels.utterance_id == rows.utterance_id, labels.current)
    ended = {name: now - timedelta(days=limits[name]) for name in CLASSES}
    old = sa.case((labelled, rows.arrived_at < ended["labelled"]), else_=rows.arrived_at < ended["unchosen"])
    columns = sa.select(rows.utterance_id, labelled.label("labelled"), rows.expired_as)
    statement = columns.where(rows.state != "erased", sa.or_(old, rows.expired_as.is_not(None)))
    by_age: dict[str, Class] = {}
    marked: dict[str, Class] = {}
    for row in conn.execute(statement):
        by_age[row.utterance_id] = "labelled" if row.labelled else "unchosen"
        if row.expired_as is not None:
            marked[row.utterance_id] = row.expired_as
    of_id = by_age | _by_verdict(conn, ended) | marked
    found = {name: sorted(i for i, its in of_id.items() if its == name) for name in CLASSES}
    return {name: ids for name, ids in found.items() if ids}


def _by_verdict(conn: sa.Connection, ended: Mapping[Class, datetime]) -> dict[str, Class]:
    """Return the accidental and the critical utterances whose first such answer was merged before their limits."""
    rows, answers, labels = schema.utterances.c, schema.answers.c, schema.labels.c
    since = sa.func.coalesce(sa.func.min(answers.at, type_=answers.at.type), rows.arrived_at, type_=answers.at.type)
    joined = schema.answers.join(schema.utterances, rows.utterance_id == answers.utterance_id)
    each = sa.select(rows.utterance_id).select_from(joined).group_by(rows.utterance_id, rows.arrived_at)
    critical = each.where(
        rows.state == "set_aside", rows.state_reason.in_(CRITICAL), answers.verdict.in_(CRITICAL)
    ).having(since < ended["critical"])
    unlabelled = ~sa.exists().where(labels.utterance_id == rows.utterance_id, labels.current)
    accidental = each.where(rows.state != "erased", answers.verdict == "accidental", unlabelled).having(
        since < ended["accidental"]
    )
    ids = sorted(conn.execute(accidental).scalars())
    verdicts = {i: [one.verdict for one in given] for i, given in answers_by_utterance(conn, ids).items()}
    found: dict[str, Class] = {i: "accidental" for i in ids if is_accidental(verdicts.get(i, []))}
    return found | dict.fromkeys(conn.execute(critical).scalars(), "critical")


def is_accidental(verdicts: Sequence[str]) -> bool:
    """Return whether most of the latest answers about an utterance say that nobody meant the device."""
    return 2 * verdicts.count("accidental") > len(verdicts)


# --- marks and limits -------------------------------------------------------------------------------------------------


def mark(conn: sa.Connection, due: Mapping[Class, Sequence[str]]) -> None:
    """Mark what is to be ended, each by its class; whatever is set later, it is."""
    rows = schema.utterances
    marking = sa.update(rows).where(rows.c.utterance_id == sa.bindparam("id"), rows.c.state != "erased")
    for name, ids in due.items():
        if ids:
            conn.execute(marking.values(expired_as=name), [{"id": i} for i in ids])


def unmark(conn: sa.Connection, utterance_ids: Sequence[str]) -> None:
    """Remove the marks of what is to be erased, so that whatever is killed, it counts as erased."""
    rows = schema.utterances
    if utterance_ids:
        unmarking = sa.update(rows).where(rows.c.utterance_id == sa.bindparam("id"), rows.c.expired_as.is_not(None))
        conn.execute(unmarking.values(expired_as=None), [{"id": i} for i in utterance_ids])


def unfinished(conn: sa.Connection) -> list[str]:
    """Return the sorted ids of utterances that are marked and not ended yet."""
    rows = schema.utterances.c
    statement = sa.select(rows.utterance_id).where(rows.expired_as.is_not(None), rows.state != "erased")
    return sorted(conn.execute(statement).scalars())


def gone(conn: sa.Connection) -> list[str]:
    """Return the sorted ids of utterances that retention has ended or that were erased."""
    rows = schema.utterances.c
    return sorted(conn.execute(sa.select(rows.utterance_id).where(rows.state == "erased")).scalars())


def ended_as(conn: sa.Connection, utterance_ids: Sequence[str]) -> dict[str, Class]:
    """Return the class of those of the utterances that retention has ended or is about to end, by id."""
    rows = schema.utterances.c
    statement = sa.select(rows.utterance_id, rows.expired_as).where(rows.expired_as.is_not(None))
    return {row.utterance_id: row.expired_as for row in fetch_among(conn, statement, rows.utterance_id, utterance_ids)}


def state_now() -> sa.ColumnElement[str]:
    """Return a column with the states of utterances, in which what retention ended is `expired` and not `erased`."""
    rows = schema.utterances.c
    return sa.case((sa.and_(rows.state == "erased", rows.expired_as.is_not(None)), "expired"), else_=rows.state)


def applied_limits(conn: sa.Connection) -> Limits:
    """Return the limits that were applied last; none that ends anything where there were none."""
    stored = {row.name: int(row.days) for row in conn.execute(sa.select(schema.retention_limits))}
    return {**NOTHING_ENDS, **{name: stored[name] for name in CLASSES if name in stored}}


def apply_limits(corpus: Corpus, limits: Limits) -> None:
    """Store the limits that are applied from now on."""
    _store(corpus, limits)


def last_run(conn: sa.Connection) -> datetime | None:
    """Return the start of the day when retention last ran; None where it never did."""
    table = schema.retention_limits
    days = conn.execute(sa.select(table.c.days).where(table.c.name == _RUN)).scalar()
    return None if days is None else _FIRST_DAY + timedelta(days=int(days))


def note_run(corpus: Corpus, now: datetime) -> None:
    """Store that retention ran now."""
    _store(corpus, {_RUN: (now - _FIRST_DAY).days})


def _store(corpus: Corpus, days: Mapping[str, int]) -> None:
    table = schema.retention_limits
    update = sa.update(table).where(table.c.name == sa.bindparam("which")).values(days=sa.bindparam("limit"))
    with writing(corpus.records) as conn:
        insert_new(conn, table, [{"name": name, "days": each} for name, each in days.items()])
        conn.execute(update, [{"which": name, "limit": each} for name, each in days.items()])
