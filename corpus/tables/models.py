"""Models: registered versions, their aliases, and the comparisons of challenger and champion."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from corpus.errors import PromotionRefused, RecordError
from corpus.records.base import Kind, canonical_json
from corpus.records.models import ModelVersion
from corpus.storage.database import fetch_among, insert_new
from corpus.storage.records_schema import aliases, model_versions, snapshot_rows
from corpus.storage.records_schema import promotions as promotions_table
from corpus.tables import pseudo_labels


@dataclass(frozen=True, slots=True)
class PromotionRow:
    """One comparison of challenger and champion.

    Attributes:
        look: number of the comparison, from 1, by kind.
        decision: decision of the gate.
        numbers: metrics that it was based on.
    """

    kind: Kind
    look: int
    challenger: str
    champion: str
    eval_set_id: str
    decision: str
    numbers: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class TrainedVersion:
    """When a version was trained.

    Attributes:
        cycle: nightly run that trained it, or `by-hand`; None in rows of older versions.
        trained_at: when it was stored.
    """

    kind: Kind
    version: str
    cycle: str | None
    trained_at: datetime


def put_version(
    conn: sa.Connection, model: ModelVersion, cycle: str | None = None, trained_at: datetime | None = None
) -> None:
    """Register a version; a repeat changes nothing.

    Args:
        conn: transaction on the records.
        model: the version.
        cycle: nightly run that trained it, or `by-hand`; None, like the next one, for bases and external models.
        trained_at: when it was trained.

    Raises:
        RecordError: the version is registered already, with other fields.
    """
    row: dict[str, Any] = {field.name: getattr(model, field.name) for field in fields(model)}
    row |= {"cycle": cycle, "trained_at": trained_at}
    row |= {"tainted_at": trained_at or datetime.now(UTC)} if model.tainted else {}
    insert_new(conn, model_versions, [row])
    if replace(version(conn, model.kind, model.version), tainted=model.tainted) != model:
        raise RecordError(f"{model.kind} version {model.version} is registered already; take the next number")


def version(conn: sa.Connection, kind: Kind, number: str) -> ModelVersion:
    """Return one version.

    Raises:
        RecordError: there is no such version; the message lists those that exist.
    """
    found = {model.version: model for model in versions(conn, kind)}
    if number not in found:
        raise RecordError(f"{kind} version {number} is unknown; known are {', '.join(found) or 'none'}")
    return found[number]


def versions(conn: sa.Connection, kind: Kind) -> list[ModelVersion]:
    """Return all versions of a kind, oldest first."""
    rows = conn.execute(sa.select(model_versions).where(model_versions.c.kind == kind))
    names = [field.name for field in fields(ModelVersion)]
    found = [ModelVersion(**{name: getattr(row, name) for name in names}) for row in rows]
    return sorted(found, key=lambda model: int(model.version))


def trained(conn: sa.Connection) -> list[TrainedVersion]:
    """Return when each version was trained, by kind and number; bases and external models are left out."""
    columns = [model_versions.c[name] for name in ("kind", "version", "cycle", "trained_at")]
    rows = conn.execute(sa.select(*columns).where(model_versions.c.trained_at.is_not(None)))
    return sorted((TrainedVersion(*row) for row in rows), key=lambda row: (row.kind, int(row.version)))


def learners(conn: sa.Connection, utterance_ids: Collection[str]) -> list[tuple[Kind, str]]:
    """Return (kind, version) of every version that learned from one of the utterances, sorted."""
    statement = sa.select(snapshot_rows.c.snapshot_id).where(snapshot_rows.c.role != "audit").distinct()
    found = {
        row.snapshot_id for row in fetch_among(conn, statement, snapshot_rows.c.utterance_id, sorted(utterance_ids))
    }
    columns = sa.select(model_versions.c.kind, model_versions.c.version)
    learned: set[tuple[Kind, str]] = {
        (row.kind, row.version) for row in fetch_among(conn, columns, model_versions.c.snapshot_id, sorted(found))
    }
    return sorted(learned | pseudo_labels.learners(conn, utterance_ids))


def taint(conn: sa.Connection, utterance_ids: Collection[str], at: datetime | None = None) -> list[tuple[Kind, str]]:
    """Mark every version that learned from one of the utterances as tainted; return (kind, version) of each.

    Args:
        conn: transaction on the records.
        utterance_ids: the utterances.
        at: time of the erasure, now where None; a version that was tainted before keeps its time.
    """
    learned = learners(conn, utterance_ids)
    for kind, version in learned:
        one = (model_versions.c.kind == kind, model_versions.c.version == version, ~model_versions.c.tainted)
        conn.execute(sa.update(model_versions).where(*one).values(tainted=True, tainted_at=at or datetime.now(UTC)))
    return learned


def mark_expired(conn: sa.Connection, utterance_ids: Collection[str], at: datetime) -> list[tuple[Kind, str]]:
    """Mark every version that learned from one of the utterances, which retention ends; return (kind, version) of each.

    That taints none of them. A version that was marked before keeps its time.
    """
    learned = learners(conn, utterance_ids)
    for kind, number in learned:
        one = (model_versions.c.kind == kind, model_versions.c.version == number, model_versions.c.expired_at.is_(None))
        conn.execute(sa.update(model_versions).where(*one).values(expired_at=at))
    return learned


def learned_from_expired(conn: sa.Connection, kind: Kind) -> dict[str, datetime]:
    """Return the versions that learned from labels which retention has ended, each with the time of the first."""
    return _times(conn, kind, model_versions.c.expired_at)


def destroyed(conn: sa.Connection, kind: Kind) -> dict[str, datetime]:
    """Return the versions whose weights were destroyed, as they were tainted, each with the time."""
    return _times(conn, kind, model_versions.c.destroyed_at)


def put_destroyed(conn: sa.Connection, kind: Kind, number: str, at: datetime) -> None:
    """Note that the weights of a version were destroyed."""
    one = (model_versions.c.kind == kind, model_versions.c.version == number)
    conn.execute(sa.update(model_versions).where(*one).values(destroyed_at=at))


def to_destroy(conn: sa.Connection) -> list[tuple[Kind, str]]:
    """Return (kind, version) of the tainted versions whose weights are there and that do not serve, sorted."""
    serves = sa.exists().where(
        aliases.c.kind == model_versions.c.kind,
        aliases.c.version == model_versions.c.version,
        aliases.c.name == "champion",
    )
    columns = sa.select(model_versions.c.kind, model_versions.c.version)
    statement = columns.where(model_versions.c.tainted, model_versions.c.destroyed_at.is_(None), ~serves)
    rows = sorted((row.kind, int(row.version)) for row in conn.execute(statement))
    return [(kind, str(number)) for kind, number in rows]


def would_destroy(conn: sa.Connection, learned: Collection[tuple[Kind, str]]) -> tuple[str, ...]:
    """Return `kind/version` of those whose weights are destroyed once these are tainted: they do not serve."""
    gone = {(kind, number) for kind, number in learned if number in destroyed(conn, kind)}
    serving = {(kind, number) for kind, number in learned if number == alias(conn, kind, "champion")}
    due = {*to_destroy(conn), *learned} - gone - serving
    return tuple(f"{kind}/{number}" for kind, number in sorted(due, key=lambda each: (each[0], int(each[1]))))


def _times(conn: sa.Connection, kind: Kind, at: sa.ColumnElement[datetime]) -> dict[str, datetime]:
    statement = sa.select(model_versions.c.version, at.label("at")).where(model_versions.c.kind == kind)
    rows = conn.execute(statement.where(at.is_not(None))).all()
    return {row.version: row.at for row in sorted(rows, key=lambda row: int(row.version))}


def tainted_since(conn: sa.Connection, kind: Kind, number: str) -> datetime | None:
    """Return when a version was tainted; None where it is not, and where it was by an older version of earmark."""
    one = (model_versions.c.kind == kind, model_versions.c.version == number)
    return conn.execute(sa.select(model_versions.c.tainted_at).where(*one)).scalar()


def alias(conn: sa.Connection, kind: Kind, name: str) -> str | None:
    """Return the version of an alias, None where the alias is not set."""
    one = (aliases.c.kind == kind, aliases.c.name == name)
    return conn.execute(sa.select(aliases.c.version).where(*one)).scalar()


def base_of_home(conn: sa.Connection, kind: Kind) -> str | None:
    """Return the version of the base that models of a kind learn from, None where no base is registered.

    It has the alias `base`. Homes that never changed their base may not have it: there it is the newest base.
    """
    bases = [each.version for each in versions(conn, kind) if each.origin == "base"]
    return alias(conn, kind, "base") or max(bases, key=int, default=None)


def move_alias(conn: sa.Connection, kind: Kind, name: str, expected: str | None, new: str) -> None:
    """Move an alias to the version `new` if it is at `expected` (None for not set).

    Raises:
        PromotionRefused: the alias was moved meanwhile.
        RecordError: `new` is not a registered version.
    """
    version(conn, kind, new)
    one = (aliases.c.kind == kind, aliases.c.name == name)
    if expected is None:
        moved = alias(conn, kind, name) is None
        if moved:
            insert_new(conn, aliases, [{"kind": kind, "name": name, "version": new}])
            moved = alias(conn, kind, name) == new  # False if another transaction set it first
    else:
        update = sa.update(aliases).where(*one, aliases.c.version == expected).values(version=new)
        moved = conn.execute(update).rowcount == 1
    if not moved:
        raise PromotionRefused(
            f"the {kind} {name} is version {alias(conn, kind, name) or 'none'}, not {expected or 'none'}: "
            "it moved meanwhile; compare again"
        )


def put_promotion(
    conn: sa.Connection,
    kind: Kind,
    challenger: str,
    champion: str,
    eval_set_id: str,
    look: int,
    decision: str,
    numbers: Mapping[str, Any],
) -> None:
    """Store a comparison of challenger and champion; the looks of a kind are numbered from 1.

    Raises:
        PromotionRefused: a comparison with that number is stored already.
    """
    row = {"kind": kind, "look": look, "challenger": challenger, "champion": champion, "eval_set_id": eval_set_id}
    if look <= looks(conn, kind):
        raise PromotionRefused(f"look {look} at {kind} models was taken already; compare again")
    filled = row | {"decision": decision, "numbers": canonical_json(dict(numbers)), "at": datetime.now(UTC)}
    insert_new(conn, promotions_table, [filled])


def looks(conn: sa.Connection, kind: Kind) -> int:
    """Return how many comparisons of challenger and champion of a kind are stored."""
    statement = sa.select(sa.func.coalesce(sa.func.max(promotions_table.c.look), 0)).where(
        promotions_table.c.kind == kind
    )
    return int(conn.execute(statement).scalar_one())


def promotions(conn: sa.Connection, kind: Kind) -> list[PromotionRow]:
    """Return all comparisons of challenger and champion of a kind, oldest first."""
    rows = conn.execute(
        sa.select(promotions_table).where(promotions_table.c.kind == kind).order_by(promotions_table.c.look)
    )
    return [
        PromotionRow(kind, r.look, r.challenger, r.champion, r.eval_set_id, r.decision, json.loads(r.numbers), r.at)
        for r in rows
    ]
