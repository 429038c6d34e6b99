"""Pseudo-labels: utterances that a version learned from the champion's hypotheses, without a label.

No snapshot contains them. Their ids are personal data: an erasure removes them, and the version stays tainted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from corpus.records.base import Kind
from corpus.storage.database import fetch_among, insert_new
from corpus.storage.records_schema import pseudo_labels


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """The pseudo-labels of a version.

    Attributes:
        count: number of utterances, without those erased since.
        weight: weight of each in the loss; a label has 1.
        by: versions of the speech and the intent model whose hypotheses they are.
    """

    count: int
    weight: float
    by: tuple[str, str]


def put(conn: sa.Connection, kind: Kind, version: str, ids: Sequence[str], weight: float, by: tuple[str, str]) -> None:
    """Store the pseudo-labels of a registered version; a repeat changes nothing.

    Args:
        conn: transaction on the records.
        kind: kind of the model.
        version: version that learned them.
        ids: ids of the utterances.
        weight: weight of each in the loss.
        by: versions of the speech and the intent model whose hypotheses they are.
    """
    row = {"kind": kind, "version": version, "weight": weight, "asr_version": by[0], "intent_version": by[1]}
    insert_new(conn, pseudo_labels, [row | {"utterance_id": i} for i in ids])


def of_version(conn: sa.Connection, kind: Kind, version: str) -> PseudoLabels | None:
    """Return the pseudo-labels of a version, None where it has none or all were erased."""
    how = [pseudo_labels.c[name] for name in ("weight", "asr_version", "intent_version")]
    statement = sa.select(sa.func.count(), *how).where(pseudo_labels.c.kind == kind, pseudo_labels.c.version == version)
    row = conn.execute(statement.group_by(*how)).first()
    return None if row is None else PseudoLabels(row[0], row.weight, (row.asr_version, row.intent_version))


def learners(conn: sa.Connection, utterance_ids: Collection[str]) -> set[tuple[Kind, str]]:
    """Return (kind, version) of the versions that learned one of the utterances as a pseudo-label."""
    statement = sa.select(pseudo_labels.c.kind, pseudo_labels.c.version).distinct()
    rows = fetch_among(conn, statement, pseudo_labels.c.utterance_id, sorted(utterance_ids))
    return {(row.kind, row.version) for row in rows}


def erase(conn: sa.Connection, utterance_ids: Collection[str]) -> None:
    """Remove the pseudo-labels of the utterances."""
    if utterance_ids:
        statement = sa.delete(pseudo_labels).where(pseudo_labels.c.utterance_id == sa.bindparam("id"))
        conn.execute(statement, [{"id": i} for i in sorted(utterance_ids)])
