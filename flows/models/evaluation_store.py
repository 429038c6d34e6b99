"""Reports of versions on evaluation sets, each computed once and stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.evaluation import EvaluationReport
from corpus.records.inventory import Names
from corpus.records.models import ModelVersion
from corpus.storage import operation_ids
from corpus.tables import costs
from corpus.tables import reports as reports_table
from corpus.tables.costs import EvaluationCost
from corpus.tables.inventory import names_now
from corpus.text import NORMALISER
from flows.models.eval_set import AuditSet
from flows.models.evaluate import Transcribed, evaluate
from flows.runtime import progress

if TYPE_CHECKING:
    from training.asr.transcribe import TranscribeSettings

MEASURE = {"asr": "WER", "intent": "intent error"}
"""Name of the error rate by kind."""


def evaluate_versions(
    corpus: Corpus,
    home: Path,
    how: TranscribeSettings,
    audit: AuditSet,
    versions: Sequence[ModelVersion],
    beside: str | None = None,
) -> dict[str, EvaluationReport]:
    """Return the report of each version on the evaluation set; compute only those that are not stored yet.

    A report that was made with another normal form of texts, or by an older earmark, is computed again. Clips are
    transcribed once by each speech model: the intent versions of a set all read the same transcripts.

    Args:
        corpus: handle of the home.
        home: folder with the models.
        how: settings of transcription.
        audit: the evaluation set.
        versions: versions of the kind.
        beside: intent version by which the report of a speech model has to count success; None for any.
    """
    reports: dict[str, EvaluationReport] = {}
    transcribed: Transcribed | None = None
    for version in progress.over(versions, f"evaluating versions of {audit.kind}", len(versions), "versions"):
        key = (audit.kind, version.version, audit.eval_set_id, NORMALISER)
        with corpus.read() as conn:
            on_record = stored_report(conn, audit.kind, version.version, audit.eval_set_id)
            earlier = costs.evaluations(conn, *key)
        if on_record is not None and beside in (None, on_record.beside):
            reports[version.version] = on_record
            continue
        evaluation = evaluate(corpus, home, how, audit, version, transcribed)
        transcribed = evaluation.transcribed
        report = _marked(evaluation.report, audit.marks)
        reports[version.version] = report
        # `earlier` gives a repeated evaluation, whose report was removed, an operation of its own
        operation_id = operation_ids.evaluate(*key, report.beside, earlier)
        with corpus.operation(operation_id, "evaluate") as op:
            if not op.done:
                reports_table.put_report(op.conn, report)
                costs.put_evaluation(op.conn, *key, evaluation.cost)
                op.result = {
                    "rows": evaluation.cost.rows,
                    "seconds": evaluation.cost.seconds,
                    "audio": evaluation.cost.audio,
                }
    return reports


def _marked(report: EvaluationReport, marks: Mapping[str, str]) -> EvaluationReport:
    """Return the report with the marks of its reference texts; without any where a row has none."""
    ids = report.utterance_ids.tolist()
    known = all(i in marks for i in ids)
    return replace(report, marks=np.array([marks[i] for i in ids] if known else [], np.str_))


def stored_report(conn: sa.Connection, kind: Kind, version: str, eval_set_id: str) -> EvaluationReport | None:
    """Return a stored report, with the names in use now; None where there is none, or texts had another normal form."""
    report = reports_table.report(conn, kind, version, eval_set_id)
    if report is None or report.normaliser != NORMALISER:
        return None
    return named_now(report, names_now(conn).intents)


def named_now(report: EvaluationReport, names: Names) -> EvaluationReport:
    """Return a report with the intents as they are named now: of two that are one since, both count as this one.

    Slots stay as they were compared: their names are not in a report. That of a speech model lacks what the intent
    model understood, so how often both succeeded is no longer known.
    """
    now = [names.current(name) for name in report.intents]
    if now == list(report.intents):
        return report
    kept = sorted(set(now))
    place = np.array([*map(kept.index, now), -1], np.int64)  # -1, for no intent, is the last place
    truth, predicted = place[report.truth], place[report.predicted]
    correct = (truth == predicted) & (predicted >= 0)
    succeeded = correct & (report.slot_counts[:, 1:].sum(axis=1) == 0)
    success = np.where((report.success >= 0) & (report.kind == "intent"), succeeded, -1)
    return replace(report, truth=truth, predicted=predicted, correct=correct, success=success, intents=tuple(kept))


def judging_cost(corpus: Corpus, kind: Kind, version: str, eval_set_id: str) -> EvaluationCost:
    """Return the cost of the newest evaluation of a version on a set; zeros where it was not measured."""
    with corpus.read() as conn:
        return costs.evaluation(conn, kind, version, eval_set_id, NORMALISER) or EvaluationCost()
