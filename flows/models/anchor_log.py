"""Rates of versions on the anchor rows, which stay the same, in their MLflow runs: so nights can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.evaluation import EvaluationReport, Interval
from corpus.tables import labels
from corpus.tables import models as store
from flows.models.anchor_set import AnchorSet, Ids, anchor_set, ids_of, stored_by_version
from flows.models.eval_set import AuditSet
from flows.runtime import progress

if TYPE_CHECKING:
    from training.tracking.store import Tracking


@dataclass(frozen=True, slots=True)
class AnchorRates:
    """What was logged on the anchor rows.

    Attributes:
        rates: of the versions that were just judged, by version; none where there is no anchor row.
        note: which rows have left the set, and why, or are not judged any more; "" where there are none.
    """

    rates: Mapping[str, Interval] = field(default_factory=dict)
    note: str = ""


def log_anchor(
    corpus: Corpus,
    tracking: Tracking,
    audit: AuditSet,
    found: Mapping[str, EvaluationReport],
    *,
    decides: bool = False,
) -> AnchorRates:
    """Log the error rate on the anchor rows to the runs of versions, as `_log_to_runs` does, after a judgement.

    Args:
        corpus: the handle.
        tracking: the open store.
        audit: the evaluation set of the versions that were just judged.
        found: their reports by version.
        decides: whether the gate decides on this set now, which makes its rows the anchor if there was none.
    """
    judged = frozenset(audit.labels)
    return _log_to_runs(corpus, tracking, audit.kind, found, judged, decides=decides)


def log_anchor_again(corpus: Corpus, tracking: Tracking, kind: Kind) -> None:
    """Log the rates anew where rows have left the set, after an erasure or an expiry."""
    _log_to_runs(corpus, tracking, kind, {}, None)


def _log_to_runs(
    corpus: Corpus,
    tracking: Tracking,
    kind: Kind,
    found: Mapping[str, EvaluationReport],
    judged: Ids | None,
    *,
    decides: bool = False,
) -> AnchorRates:
    """Log the error rate on the anchor rows to the run of every version that was judged on all of them.

    Versions that were judged before there were anchor rows get it later, where a stored report has all these rows.
    Where rows have left the set since, all versions get it anew on those that are there: they can still be compared.
    """
    from training.tracking import runs

    with corpus.read() as conn:
        stored = stored_by_version(conn, kind)
        reports = [*found.values(), *(each for of_version in stored.values() for each in of_version)]
        anchor = anchor_set(corpus, conn, kind, reports, judged, decides=decides)
        versions = store.versions(conn, kind) if anchor.rows else []
        drawn = labels.draws(conn, sorted(anchor.rows))
    if anchor.note:
        progress.note(anchor.note)
    weights = {i: 1.0 / draw.inclusion_prob for i, draw in drawn.items()}
    rates: dict[str, Interval] = {}
    for version in versions:
        report = found.get(version.version)
        logged = runs.anchor_of(tracking, version.run_id)
        if logged is None or (report is None and logged == anchor.key):
            continue  # it was deleted, or has the rate
        just_judged = report is not None and anchor.rows <= ids_of(report)
        if not just_judged:
            report = _smallest(stored.get(version.version, ()), anchor.rows)
        if report is not None:
            rate = _log(tracking, version.run_id, anchor, report, weights)
            rates |= {version.version: rate} if version.version in found else {}
    return AnchorRates(rates, anchor.note)


def _smallest(reports: Sequence[EvaluationReport], rows: Ids) -> EvaluationReport | None:
    return min((each for each in reports if rows <= ids_of(each)), key=len, default=None)


def _log(
    tracking: Tracking, run_id: str, anchor: AnchorSet, report: EvaluationReport, weights: Mapping[str, float]
) -> Interval:
    """Log the rate on the anchor rows to a run and return it."""
    from training.evaluation.intervals import interval_on
    from training.evaluation.metrics import loggable
    from training.tracking import runs
    from training.tracking.version_figures import anchor_metrics

    rate = interval_on(report, sorted(anchor.rows), weights)
    runs.log_metrics(tracking, run_id, loggable(anchor_metrics(report.kind, rate)))
    runs.set_anchor(tracking, run_id, anchor.key)
    return rate
