"""Examples left out: utterances that a version was to learn and could not, each with the reason.

The rows of a version are labels of its snapshot, or its pseudo-labels. Their ids are personal data: an erasure removes
them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from corpus.records.base import Kind
from corpus.storage.database import insert_new
from corpus.storage.records_schema import left_out, pseudo_labels


def put(conn: sa.Connection, kind: Kind, version: str, ids_by_reason: Mapping[str, Collection[str]]) -> None:
    """Store the utterances that a registered version left out, by reason; a repeat changes nothing."""
    row = {"kind": kind, "version": version}
    rows = [row | {"utterance_id": i, "reason": reason} for reason, ids in ids_by_reason.items() for i in ids]
    insert_new(conn, left_out, rows)


def labels_by_reason(conn: sa.Connection, kind: Kind, version: str) -> dict[str, int]:
    """Return how many labels of its snapshot a version left out, by reason, without those erased since."""
    return _by_reason(conn, kind, version, sa.not_(_is_pseudo_label()))


def pseudo_labels_by_reason(conn: sa.Connection, kind: Kind, version: str) -> dict[str, int]:
    """Return how many of its pseudo-labels a version left out, by reason, without those erased since."""
    return _by_reason(conn, kind, version, _is_pseudo_label())


def reasons_by_version(conn: sa.Connection, utterance_id: str) -> dict[tuple[str, str], str]:
    """Return why each version left an utterance out, by (kind, version)."""
    columns = (left_out.c.kind, left_out.c.version, left_out.c.reason)
    statement = sa.select(*columns).where(left_out.c.utterance_id == utterance_id)
    return {(row.kind, row.version): row.reason for row in conn.execute(statement)}


def erase(conn: sa.Connection, utterance_ids: Collection[str]) -> None:
    """Remove the rows of the utterances."""
    if utterance_ids:
        statement = sa.delete(left_out).where(left_out.c.utterance_id == sa.bindparam("id"))
        conn.execute(statement, [{"id": i} for i in sorted(utterance_ids)])


def _by_reason(conn: sa.Connection, kind: Kind, version: str, which: sa.ColumnElement[bool]) -> dict[str, int]:
    statement = sa.select(left_out.c.reason, sa.func.count()).where(
        left_out.c.kind == kind, left_out.c.version == version, which
    )
    found = conn.execute(statement.group_by(left_out.c.reason).order_by(left_out.c.reason))
    return {str(reason): int(count) for reason, count in found}


def _is_pseudo_label() -> sa.Exists:
    same = [pseudo_labels.c[name] == left_out.c[name] for name in ("kind", "version", "utterance_id")]
    return sa.exists().where(*same)
