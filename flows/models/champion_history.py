"""Champions over time: their error rate night by night, and the gain of retrained versions per 100 labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.evaluation import EvaluationReport, Interval
from corpus.tables import labels, rounds, scores, snapshots
from corpus.tables import models as store
from corpus.tables import reports as reports_table
from flows.models.eval_set import AuditSet
from flows.models.evaluation_store import stored_report

if TYPE_CHECKING:
    from training.tracking.figures import Night

MOST_NIGHTS = 60
"""Number of nights that are shown, the latest ones."""


def champion_by_night(corpus: Corpus, audit: AuditSet, found: Mapping[str, EvaluationReport]) -> list[Night]:
    """Return the error rate of each night's champion on that night's audit rows, oldest first.

    The champion of a night is the version that scored it. Nights whose champion was never judged on their rows are left
    out. Held-out rows belong to no night.

    Args:
        corpus: handle of the home.
        audit: the evaluation set.
        found: reports on it by version, of the versions that were just judged.
    """
    from training.evaluation.intervals import interval_on
    from training.tracking.figures import Night

    weights = dict(zip(sorted(audit.labels), audit.weights.tolist(), strict=True))
    nights: list[Night] = []
    reports: dict[str, list[EvaluationReport]] = {}
    last = ""
    with corpus.read() as conn:
        for name, ids in _rows_by_night(conn, audit)[-MOST_NIGHTS:]:
            version = _champion(conn, audit.kind, ids)
            if version not in reports:
                reports[version] = [found[version]] if version in found else _stored(conn, audit.kind, version)
            report = next((r for r in reports[version] if set(ids) <= set(r.utterance_ids.tolist())), None)
            if report is None:
                continue
            rate = interval_on(report, ids, weights)
            nights.append(Night(name, rate, version if last and version != last else ""))
            last = version
    return nights


def gains_per_100_labels(
    corpus: Corpus, audit: AuditSet, found: Mapping[str, EvaluationReport], base: EvaluationReport
) -> list[tuple[float, Interval]]:
    """Return (labels, gain per 100 labels) of the retrained versions that were judged on the same rows as the base.

    The gain is the error rate of the base minus that of the version, on the same rows, per 100 labels.
    """
    from training.evaluation.metrics import paired_gain_per_100_labels

    points: list[tuple[float, Interval]] = []
    with corpus.read() as conn:
        for version in (each for each in store.versions(conn, audit.kind) if each.snapshot_id):
            report = found.get(version.version) or stored_report(conn, audit.kind, version.version, audit.eval_set_id)
            count = len(snapshots.snapshot(conn, version.snapshot_id).of("train"))
            if report is None or not count:
                continue
            points.append((float(count), paired_gain_per_100_labels(base, report, count, weights=audit.weights)))
    return points


def _rows_by_night(conn: sa.Connection, audit: AuditSet) -> list[tuple[str, list[str]]]:
    """Return the name of each night and the ids of its rows in the evaluation set, oldest first."""
    drawn: dict[str, list[str]] = {}
    for row in labels.current(conn, sorted(audit.labels)):
        drawn.setdefault(row.round, []).append(row.utterance_id)
    return [(row.night, drawn[row.round]) for row in rounds.rounds(conn) if row.round in drawn]


def _champion(conn: sa.Connection, kind: Kind, ids: list[str]) -> str:
    first = scores.first_versions(conn, ids)
    counts = Counter(pair[0] if kind == "asr" else pair[1] for pair in first.values())
    return counts.most_common(1)[0][0] if counts else ""


def _stored(conn: sa.Connection, kind: Kind, version: str) -> list[EvaluationReport]:
    sets = reports_table.judged_sets(conn, kind).get(version, [])
    reports = (stored_report(conn, kind, version, eval_set_id) for eval_set_id in sets)
    return sorted((report for report in reports if report is not None), key=len, reverse=True)
