"""Rates of versions on the anchor rows, which stay the same, in their MLflow runs: so nights can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.evaluation import EvaluationReport, Interval
from corpus.tables import labels
from corpus.tables import models as store
from corpus.tables import reports as reports_table
from flows.models.eval_set import AuditSet
from flows.models.evaluation_store import stored_report
from flows.models.judged_nights import Ids, anchor_rows

if TYPE_CHECKING:
    from training.tracking.store import Tracking


def log_anchor(
    corpus: Corpus,
    tracking: Tracking,
    audit: AuditSet,
    found: Mapping[str, EvaluationReport],
    *,
    decides: bool = False,
) -> dict[str, Interval]:
    """Log the error rate on the anchor rows to the run of every version that was judged on all of them.

    Versions that were judged before there were anchor rows get it later, where a stored report has all these rows.

    Args:
        corpus: the handle.
        tracking: the open store.
        audit: the evaluation set of the versions that were just judged.
        found: their reports by version.
        decides: whether the gate decides on this set now, which makes its rows the anchor if there was none.

    Returns:
        The rate of each of these versions on the anchor rows; nothing where there is no anchor, or a row of it is
        missing in the set.
    """
    from training.evaluation.intervals import interval_on
    from training.evaluation.metrics import loggable
    from training.tracking import runs
    from training.tracking.version_figures import anchor_metrics

    with corpus.read() as conn:
        anchor = anchor_rows(conn, audit.kind) or (frozenset(audit.labels) if decides else frozenset())
        versions = store.versions(conn, audit.kind) if anchor else []
        weights = {row.utterance_id: 1.0 / row.inclusion_prob for row in labels.current(conn, sorted(anchor))}
    rates: dict[str, Interval] = {}
    for version in versions:
        just_judged = version.version in found
        logged = runs.run_metrics(tracking, version.run_id)
        if logged is None or (not just_judged and "anchor_rows" in logged):
            continue
        with corpus.read() as conn:
            report = _with_all(conn, audit.kind, version.version, anchor, found.get(version.version))
        if report is None:
            continue
        rate = interval_on(report, sorted(anchor), weights)
        runs.log_metrics(tracking, version.run_id, loggable(anchor_metrics(audit.kind, rate)))
        if just_judged:
            rates[version.version] = rate
    return rates


def _with_all(
    conn: sa.Connection, kind: Kind, version: str, anchor: Ids, just_judged: EvaluationReport | None
) -> EvaluationReport | None:
    """Return the smallest report of a version that has all anchor rows, that just made before the stored ones."""
    if just_judged is not None and anchor <= set(just_judged.utterance_ids.tolist()):
        return just_judged
    sets = reports_table.judged_sets(conn, kind).get(version, ())
    stored = (stored_report(conn, kind, version, each) for each in sets)
    complete = [each for each in stored if each is not None and anchor <= set(each.utterance_ids.tolist())]
    return min(complete, key=len, default=None)
