"""Models: what each version learned from, how it was judged, and which one is the champion."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from corpus.database import fetch_among, insert_new
from corpus.errors import PromotionRefused, RecordError
from corpus.records import EvaluationReport, Kind, ModelVersion, Snapshot, SnapshotRow, canonical_json
from corpus.schema import aliases, model_versions, reports, snapshot_rows, snapshots
from corpus.schema import promotions as promotions_table
from corpus.store import pseudo_labels

_REPORT_TYPES: dict[str, Any] = {
    "utterance_ids": np.str_,
    "speaker_ids": np.str_,
    "errors": np.int64,
    "words": np.int64,
    "char_errors": np.int64,
    "chars": np.int64,
    "correct": np.bool_,
    "confidence": np.float32,
    "slot_counts": np.int64,
    "word_edits": np.int64,
    "duration": np.float32,
    "snr": np.float32,
    "truth": np.int64,
    "predicted": np.int64,
    "raw_confidence": np.float32,
    "success": np.int64,
}

_TRIPLES = ("slot_counts", "word_edits")
"""Columns of three numbers an utterance."""


@dataclass(frozen=True, slots=True)
class PromotionRow:
    """One look at challenger and champion: what was decided on which numbers."""

    kind: Kind
    look: int
    challenger: str
    champion: str
    eval_set_id: str
    decision: str
    numbers: Mapping[str, Any]
    at: datetime


# --- learn ------------------------------------------------------------------------------------------------------------


def put_snapshot(conn: sa.Connection, snapshot: Snapshot, kind: Kind) -> str:
    """Leaves the snapshot stored and returns its id; the same rows are the same snapshot."""
    snapshot_id = snapshot.snapshot_id
    insert_new(conn, snapshots, [{"snapshot_id": snapshot_id, "kind": kind, "eval_set_id": snapshot.eval_set_id}])
    insert_new(
        conn,
        snapshot_rows,
        [
            {
                "snapshot_id": snapshot_id,
                "utterance_id": row.utterance_id,
                "revision": row.revision,
                "role": row.role,
                "weight": row.weight,
            }
            for row in snapshot.rows
        ],
    )
    return snapshot_id


def snapshot(conn: sa.Connection, snapshot_id: str) -> Snapshot:
    """Returns the snapshot; erased utterances keep their rows in it, which are ids only.

    Raises:
        RecordError: there is no such snapshot.
    """
    if conn.execute(sa.select(snapshots.c.kind).where(snapshots.c.snapshot_id == snapshot_id)).scalar() is None:
        raise RecordError(f"snapshot {snapshot_id} is unknown; check the id")
    columns = [snapshot_rows.c[name] for name in ("utterance_id", "revision", "role", "weight")]
    rows = conn.execute(sa.select(*columns).where(snapshot_rows.c.snapshot_id == snapshot_id)).all()
    return Snapshot(tuple(sorted(SnapshotRow(*row) for row in rows)))


# --- judge ------------------------------------------------------------------------------------------------------------


def put_report(conn: sa.Connection, report: EvaluationReport) -> None:
    """Leaves the report stored; a later one of the same version on the same set replaces it."""
    key = {"kind": report.kind, "version": report.version, "eval_set_id": report.eval_set_id}
    columns = {name: getattr(report, name).tolist() for name in _REPORT_TYPES}
    facts = {"intents": list(report.intents), "beside": report.beside, "normaliser": report.normaliser}
    numbers = canonical_json({**columns, **facts})
    insert_new(conn, reports, [key | {"numbers": numbers}])
    same = [reports.c[name] == value for name, value in key.items()]
    conn.execute(sa.update(reports).where(*same).values(numbers=numbers))


def report(conn: sa.Connection, kind: Kind, version: str, eval_set_id: str) -> EvaluationReport | None:
    """Returns how a version did on a set, None where it was not judged on it."""
    key = {"kind": kind, "version": version, "eval_set_id": eval_set_id}
    same = [reports.c[name] == value for name, value in key.items()]
    text = conn.execute(sa.select(reports.c.numbers).where(*same)).scalar()
    if text is None:
        return None
    numbers = json.loads(text)
    # What an older version stored has fewer columns; it says so by having no normal form, and is judged again.
    columns: dict[str, Any] = {
        name: np.array(numbers.get(name, []), dtype=kept) for name, kept in _REPORT_TYPES.items()
    }
    columns |= {name: columns[name].reshape(-1, 3) for name in _TRIPLES}
    columns |= {name: numbers.get(name, "") for name in ("beside", "normaliser")}
    columns["intents"] = tuple(numbers.get("intents", []))
    return EvaluationReport(kind=kind, version=version, eval_set_id=eval_set_id, **columns)


def drop_from_reports(conn: sa.Connection, utterance_ids: Collection[str]) -> int:
    """Leaves no report with a row of the utterances; returns how many had some.

    The other rows stay, for a set of which some were erased is not judged anew, and earlier versions are compared on
    it. What was decided on the whole set stands with the promotions.
    """
    gone = frozenset(utterance_ids)
    keys = [reports.c[name] for name in ("kind", "version", "eval_set_id")]
    touched = 0
    for key in conn.execute(sa.select(*keys)).all():
        same = [column == value for column, value in zip(keys, key, strict=True)]
        numbers = json.loads(conn.execute(sa.select(reports.c.numbers).where(*same)).scalar_one())
        left = [place for place, i in enumerate(numbers["utterance_ids"]) if i not in gone]
        if len(left) == len(numbers["utterance_ids"]):
            continue
        touched += 1
        if left:
            numbers = canonical_json(_rows_of_report(numbers, left))
            conn.execute(sa.update(reports).where(*same).values(numbers=numbers))
        else:
            conn.execute(sa.delete(reports).where(*same))
    return touched


def _rows_of_report(numbers: Mapping[str, Any], left: Sequence[int]) -> dict[str, Any]:
    """Returns what a report stores, with those rows alone and the intents that they name."""
    # What an older version stored lacks columns, or has them empty.
    kept = {name: [numbers[name][k] for k in left] for name in _REPORT_TYPES if numbers.get(name)}
    codes = [name for name in ("truth", "predicted") if name in kept]
    used = sorted({code for name in codes for code in kept[name]} - {-1})
    place = {-1: -1} | {code: k for k, code in enumerate(used)}
    kept |= {name: [place[code] for code in kept[name]] for name in codes}
    return {**numbers, **kept, "intents": [numbers["intents"][code] for code in used]}


def judged_sets(conn: sa.Connection, kind: Kind) -> dict[str, list[str]]:
    """Returns, by version, the ids of the sets that it was judged on."""
    found: dict[str, list[str]] = {}
    rows = conn.execute(
        sa.select(reports.c.version, reports.c.eval_set_id)
        .where(reports.c.kind == kind)
        .order_by(reports.c.version, reports.c.eval_set_id)
    )
    for row in rows:
        found.setdefault(row.version, []).append(row.eval_set_id)
    return found


# --- register ---------------------------------------------------------------------------------------------------------


def put_version(conn: sa.Connection, model: ModelVersion) -> None:
    """Leaves the version registered.

    Raises:
        RecordError: the version is registered already as another model.
    """
    row = {field.name: getattr(model, field.name) for field in fields(model)}
    insert_new(conn, model_versions, [row])
    if replace(version(conn, model.kind, model.version), tainted=model.tainted) != model:
        raise RecordError(f"{model.kind} version {model.version} is registered already; take the next number")


def version(conn: sa.Connection, kind: Kind, number: str) -> ModelVersion:
    """Returns one version.

    Raises:
        RecordError: there is no such version; the message lists the known ones.
    """
    found = {model.version: model for model in versions(conn, kind)}
    if number not in found:
        raise RecordError(f"{kind} version {number} is unknown; known are {', '.join(found) or 'none'}")
    return found[number]


def versions(conn: sa.Connection, kind: Kind) -> list[ModelVersion]:
    """Returns all versions of a kind, oldest first."""
    rows = conn.execute(sa.select(model_versions).where(model_versions.c.kind == kind))
    names = [field.name for field in fields(ModelVersion)]
    found = [ModelVersion(**{name: getattr(row, name) for name in names}) for row in rows]
    return sorted(found, key=lambda model: int(model.version))


def taint(conn: sa.Connection, utterance_ids: Collection[str]) -> list[tuple[str, str]]:
    """Leaves every version marked that learned from one of the utterances; returns (kind, version) of all of those."""
    statement = sa.select(snapshot_rows.c.snapshot_id).where(snapshot_rows.c.role != "audit").distinct()
    found = {
        row.snapshot_id for row in fetch_among(conn, statement, snapshot_rows.c.utterance_id, sorted(utterance_ids))
    }
    columns = sa.select(model_versions.c.kind, model_versions.c.version)
    touched = {
        (row.kind, row.version) for row in fetch_among(conn, columns, model_versions.c.snapshot_id, sorted(found))
    }
    touched |= pseudo_labels.taught(conn, utterance_ids)
    for kind, version in touched:
        one = (model_versions.c.kind == kind, model_versions.c.version == version)
        conn.execute(sa.update(model_versions).where(*one).values(tainted=True))
    return sorted(touched)


def alias(conn: sa.Connection, kind: Kind, name: str) -> str | None:
    """Returns the version that an alias stands for, None where it stands for none."""
    one = (aliases.c.kind == kind, aliases.c.name == name)
    return conn.execute(sa.select(aliases.c.version).where(*one)).scalar()


def move_alias(conn: sa.Connection, kind: Kind, name: str, expected: str | None, new: str) -> None:
    """Leaves the alias standing for `new`, if it stood for `expected` until now.

    Raises:
        PromotionRefused: it moved meanwhile.
        RecordError: `new` is not a registered version.
    """
    version(conn, kind, new)
    one = (aliases.c.kind == kind, aliases.c.name == name)
    if expected is None:
        moved = alias(conn, kind, name) is None
        if moved:
            insert_new(conn, aliases, [{"kind": kind, "name": name, "version": new}])
            moved = alias(conn, kind, name) == new  # else another transaction put its own there first
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
    """Leaves one look at challenger and champion on record; looks of a kind count from 1.

    Raises:
        PromotionRefused: that look was taken already.
    """
    row = {"kind": kind, "look": look, "challenger": challenger, "champion": champion, "eval_set_id": eval_set_id}
    if look <= looks(conn, kind):
        raise PromotionRefused(f"look {look} at {kind} models was taken already; compare again")
    filled = row | {"decision": decision, "numbers": canonical_json(dict(numbers)), "at": datetime.now(UTC)}
    insert_new(conn, promotions_table, [filled])


def looks(conn: sa.Connection, kind: Kind) -> int:
    """Returns how often challenger and champion of a kind were compared with a decision."""
    statement = sa.select(sa.func.coalesce(sa.func.max(promotions_table.c.look), 0)).where(
        promotions_table.c.kind == kind
    )
    return int(conn.execute(statement).scalar_one())


def promotions(conn: sa.Connection, kind: Kind) -> list[PromotionRow]:
    """Returns all looks of a kind, oldest first."""
    rows = conn.execute(
        sa.select(promotions_table).where(promotions_table.c.kind == kind).order_by(promotions_table.c.look)
    )
    return [
        PromotionRow(kind, r.look, r.challenger, r.champion, r.eval_set_id, r.decision, json.loads(r.numbers), r.at)
        for r in rows
    ]
