"""Evaluation reports: the results of each version on each evaluation set, with one row for each utterance."""

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
"""Columns with three numbers for each utterance."""


def put_report(conn: sa.Connection, report: EvaluationReport) -> None:
    """Store a report; it replaces an earlier one of the same version on the same set."""
    key = {"kind": report.kind, "version": report.version, "eval_set_id": report.eval_set_id}
    columns = {name: getattr(report, name).tolist() for name in _REPORT_TYPES}
    facts = {"intents": list(report.intents), "beside": report.beside, "normaliser": report.normaliser}
    numbers = canonical_json({**columns, **facts})
    insert_new(conn, reports, [key | {"numbers": numbers}])
    same = [reports.c[name] == value for name, value in key.items()]
    conn.execute(sa.update(reports).where(*same).values(numbers=numbers))


def report(conn: sa.Connection, kind: Kind, version: str, eval_set_id: str) -> EvaluationReport | None:
    """Return the report of a version on a set, None where there is none."""
    key = {"kind": kind, "version": version, "eval_set_id": eval_set_id}
    same = [reports.c[name] == value for name, value in key.items()]
    text = conn.execute(sa.select(reports.c.numbers).where(*same)).scalar()
    if text is None:
        return None
    numbers = json.loads(text)
    # Reports of older versions have fewer columns and no normaliser; such a version is judged again.
    columns: dict[str, Any] = {
        name: np.array(numbers.get(name, []), dtype=dtype) for name, dtype in _REPORT_TYPES.items()
    }
    columns |= {name: columns[name].reshape(-1, 3) for name in _TRIPLES}
    columns |= {name: numbers.get(name, "") for name in ("beside", "normaliser")}
    columns["intents"] = tuple(numbers.get("intents", []))
    return EvaluationReport(kind=kind, version=version, eval_set_id=eval_set_id, **columns)


def drop_from_reports(conn: sa.Connection, utterance_ids: Collection[str]) -> int:
    """Remove the rows of the utterances from all reports; return how many reports had some.

    The other rows stay: a set is not judged again when some of its utterances are erased, and versions are still
    compared on it. Decisions that were made on the whole set are stored with the promotions.
    """
    erased = frozenset(utterance_ids)
    keys = [reports.c[name] for name in ("kind", "version", "eval_set_id")]
    changed = 0
    for key in conn.execute(sa.select(*keys)).all():
        same = [column == value for column, value in zip(keys, key, strict=True)]
        numbers = json.loads(conn.execute(sa.select(reports.c.numbers).where(*same)).scalar_one())
        remaining = [row for row, i in enumerate(numbers["utterance_ids"]) if i not in erased]
        if len(remaining) == len(numbers["utterance_ids"]):
            continue
        changed += 1
        if remaining:
            numbers = canonical_json(_rows_of_report(numbers, remaining))
            conn.execute(sa.update(reports).where(*same).values(numbers=numbers))
        else:
            conn.execute(sa.delete(reports).where(*same))
    return changed


def _rows_of_report(numbers: Mapping[str, Any], rows: Sequence[int]) -> dict[str, Any]:
    """Return the stored columns of a report with the given rows only, and only the intents that occur in them."""
    # In reports of older versions columns are missing or empty.
    kept = {name: [numbers[name][row] for row in rows] for name in _REPORT_TYPES if numbers.get(name)}
    codes = [name for name in ("truth", "predicted") if name in kept]
    used = sorted({code for name in codes for code in kept[name]} - {-1})
    position = {-1: -1} | {code: k for k, code in enumerate(used)}
    kept |= {name: [position[code] for code in kept[name]] for name in codes}
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
