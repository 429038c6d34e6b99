"""Evaluation reports: how each version did on each set, a row an utterance."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from corpus.records.base import Kind, canonical_json
from corpus.records.evaluation import EvaluationReport
from corpus.storage.database import insert_new
from corpus.storage.records_schema import reports

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


def put_report(conn: sa.Connection, report: EvaluationReport) -> None:
    """Leave the report stored; a later one of the same version on the same set replaces it."""
    key = {"kind": report.kind, "version": report.version, "eval_set_id": report.eval_set_id}
    columns = {name: getattr(report, name).tolist() for name in _REPORT_TYPES}
    facts = {"intents": list(report.intents), "beside": report.beside, "normaliser": report.normaliser}
    numbers = canonical_json({**columns, **facts})
    insert_new(conn, reports, [key | {"numbers": numbers}])
    same = [reports.c[name] == value for name, value in key.items()]
    conn.execute(sa.update(reports).where(*same).values(numbers=numbers))


def report(conn: sa.Connection, kind: Kind, version: str, eval_set_id: str) -> EvaluationReport | None:
    """Return how a version did on a set, None where it was not judged on it."""
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
    """Leave no report with a row of the utterances; return how many had some.

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
    """Return what a report stores, with those rows alone and the intents that they name."""
    # What an older version stored lacks columns, or has them empty.
    kept = {name: [numbers[name][k] for k in left] for name in _REPORT_TYPES if numbers.get(name)}
    codes = [name for name in ("truth", "predicted") if name in kept]
    used = sorted({code for name in codes for code in kept[name]} - {-1})
    place = {-1: -1} | {code: k for k, code in enumerate(used)}
    kept |= {name: [place[code] for code in kept[name]] for name in codes}
    return {**numbers, **kept, "intents": [numbers["intents"][code] for code in used]}


def judged_sets(conn: sa.Connection, kind: Kind) -> dict[str, list[str]]:
    """Return, by version, the ids of the sets that it was judged on."""
    found: dict[str, list[str]] = {}
    rows = conn.execute(
        sa.select(reports.c.version, reports.c.eval_set_id)
        .where(reports.c.kind == kind)
        .order_by(reports.c.version, reports.c.eval_set_id)
    )
    for row in rows:
        found.setdefault(row.version, []).append(row.eval_set_id)
    return found
