"""Reports of versions on evaluation sets: each is computed once, stored, and read again from then on."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.evaluation import EvaluationReport
from corpus.records.models import ModelVersion
from corpus.storage import operation_ids
from corpus.tables import costs
from corpus.tables import reports as reports_table
from corpus.tables.costs import EvaluationCost
from corpus.text import NORMALISER
from flows.models.eval_set import AuditSet
from flows.models.evaluate import evaluate
from flows.runtime.settings import Settings

MEASURE = {"asr": "WER", "intent": "intent error"}


def evaluate_versions(
    corpus: Corpus, settings: Settings, audit: AuditSet, versions: Sequence[ModelVersion], beside: str | None = None
) -> dict[str, EvaluationReport]:
    """Return each version's report on the audit set; what was judged before is not computed again.

    Unless it was judged under another normal form of texts, or by an earmark that counted less.

    Args:
        corpus: the handle.
        settings: how clips are transcribed, and where models lie.
        audit: the rows that judge.
        versions: of the kind.
        beside: intent champion, where what a speech model leads to in the end has to be that model's; None for any.
    """
    found: dict[str, EvaluationReport] = {}
    for version in versions:
        made = (audit.kind, version.version, audit.eval_set_id, NORMALISER)
        with corpus.read() as conn:
            held = stored_report(conn, audit.kind, version.version, audit.eval_set_id)
            before = costs.evaluations(conn, *made)
        if held is not None and beside in (None, held.beside):
            found[version.version] = held
            continue
        evaluation = evaluate(corpus, settings, audit, version)
        report = evaluation.report
        found[version.version] = report
        operation_id = operation_ids.evaluate(*made, report.beside, before)  # again, where the report is gone
        with corpus.operation(operation_id, "evaluate") as op:
            if not op.done:
                reports_table.put_report(op.conn, report)
                costs.put_evaluation(op.conn, *made, evaluation.cost)
                op.result = {
                    "rows": evaluation.cost.rows,
                    "seconds": evaluation.cost.seconds,
                    "audio": evaluation.cost.audio,
                }
    return found


def stored_report(conn: sa.Connection, kind: Kind, version: str, eval_set_id: str) -> EvaluationReport | None:
    """Return a stored report, None where there is none or texts had another normal form then: those never meet."""
    report = reports_table.report(conn, kind, version, eval_set_id)
    return report if report is not None and report.normaliser == NORMALISER else None


def judging_cost(corpus: Corpus, kind: Kind, version: str, eval_set_id: str) -> EvaluationCost:
    """Return what the newest evaluation of a version on a set took; zeros where it was not measured."""
    with corpus.read() as conn:
        return costs.evaluation(conn, kind, version, eval_set_id, NORMALISER) or EvaluationCost()
