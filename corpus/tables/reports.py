"""Evaluation reports: the results of each version on each evaluation set, with one row for each utterance."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from corpus.records.base import Kind, canonical_json
from corpus.records.evaluation import EvaluationReport
from corpus.storage.database import fetch_among, insert_new
from corpus.storage.records_schema import report_rows, reports

_KEY = ("kind", "version", "eval_set_id")

_REPORT_TYPES: dict[str, Any] = {
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
    "marks": np.str_,
    "number_errors": np.int64,
    "number_words": np.int64,
}
"""Columns with one row for each utterance, whose ids are in a table of their own."""

_FACTS = ("beside", "normaliser", "numbers")
"""Facts about the whole report, "" where there are none."""

_TRIPLES = ("slot_counts", "word_edits")
"""Columns with three numbers for each utterance."""


def put_report(conn: sa.Connection, report: EvaluationReport) -> None:
    """Store a report; it replaces an earlier one of the same version on the same set."""
    key = {name: getattr(report, name) for name in _KEY}
    columns = {name: getattr(report, name).tolist() for name in _REPORT_TYPES}
    facts: dict[str, Any] = {name: getattr(report, name) for name in _FACTS} | {"intents": list(report.intents)}
    numbers = canonical_json({**columns, **facts})
    insert_new(conn, reports, [key | {"numbers": numbers}])
    conn.execute(sa.update(reports).where(*_same(reports, key)).values(numbers=numbers))
    _put_rows(conn, key, report.utterance_ids.tolist())


def report(conn: sa.Connection, kind: Kind, version: str, eval_set_id: str) -> EvaluationReport | None:
    """Return the report of a version on a set, None where there is none."""
    key = {"kind": kind, "version": version, "eval_set_id": eval_set_id}
    text = conn.execute(sa.select(reports.c.numbers).where(*_same(reports, key))).scalar()
    if text is None:
        return None
    numbers = json.loads(text)
    # Reports of older versions have fewer columns and no normaliser; such a version is judged again.
    columns: dict[str, Any] = {
        name: np.array(numbers.get(name, []), dtype=dtype) for name, dtype in _REPORT_TYPES.items()
    }
    columns |= {name: columns[name].reshape(-1, 3) for name in _TRIPLES}
    columns |= {name: numbers.get(name, "") for name in _FACTS}
    columns["utterance_ids"] = np.array(_ids(conn, key), dtype=np.str_)
    columns["intents"] = tuple(numbers.get("intents", []))
    return EvaluationReport(kind=kind, version=version, eval_set_id=eval_set_id, **columns)


def drop_from_reports(conn: sa.Connection, utterance_ids: Collection[str]) -> int:
    """Remove the rows of the utterances from all reports; return how many reports had some.

    The other rows stay: a set is not judged again when some of its utterances are erased, and versions are still
    compared on it. Decisions that were made on the whole set are stored with the promotions.
    """
    erased = frozenset(utterance_ids)
    keys = sa.select(*(report_rows.c[name] for name in _KEY)).distinct()
    changed = {tuple(row) for row in fetch_among(conn, keys, report_rows.c.utterance_id, sorted(erased))}
    for values in sorted(changed):
        key = dict(zip(_KEY, values, strict=True))
        same = _same(reports, key)
        ids = _ids(conn, key)
        remaining = [position for position, i in enumerate(ids) if i not in erased]
        _put_rows(conn, key, [ids[position] for position in remaining])
        if remaining:
            numbers = json.loads(conn.execute(sa.select(reports.c.numbers).where(*same)).scalar_one())
            numbers = canonical_json(_rows_of_report(numbers, remaining))
            conn.execute(sa.update(reports).where(*same).values(numbers=numbers))
        else:
            conn.execute(sa.delete(reports).where(*same))
    return len(changed)


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


def _same(table: sa.Table, key: Mapping[str, str]) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == value for name, value in key.items()]


def _ids(conn: sa.Connection, key: Mapping[str, str]) -> list[str]:
    """Return the utterances of a report in the order of its columns."""
    statement = sa.select(report_rows.c.utterance_id).where(*_same(report_rows, key))
    return list(conn.execute(statement.order_by(report_rows.c.position)).scalars())


def _put_rows(conn: sa.Connection, key: Mapping[str, str], utterance_ids: Sequence[str]) -> None:
    """Store the utterances of a report in place of those that it had."""
    conn.execute(sa.delete(report_rows).where(*_same(report_rows, key)))
    rows = [{**key, "position": position, "utterance_id": i} for position, i in enumerate(utterance_ids)]
    insert_new(conn, report_rows, rows)


def _rows_of_report(numbers: Mapping[str, Any], rows: Sequence[int]) -> dict[str, Any]:
    """Return the stored columns of a report with the given rows only, and only the intents that occur in them."""
    # In reports of older versions columns are missing or empty.
    kept = {name: [numbers[name][row] for row in rows] for name in _REPORT_TYPES if numbers.get(name)}
    codes = [name for name in ("truth", "predicted") if name in kept]
    used = sorted({code for name in codes for code in kept[name]} - {-1})
    position = {-1: -1} | {code: k for k, code in enumerate(used)}
    kept |= {name: [position[code] for code in kept[name]] for name in codes}
    return {**numbers, **kept, "intents": [numbers["intents"][code] for code in used]}
