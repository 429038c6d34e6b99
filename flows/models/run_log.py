"""Logging of a judged version to its MLflow run: metrics, the decision of the gate, and plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.evaluation import EvaluationReport, Interval
from corpus.records.models import ModelVersion
from corpus.tables import models as store
from corpus.tables import snapshots
from flows.models.champion_history import champion_by_night, gains_per_100_labels
from flows.models.eval_set import AuditSet
from flows.models.evaluation_store import MEASURE, judging_cost, stored_report
from flows.models.slices import shown_slices
from flows.runtime.settings import NightSettings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from training.evaluation.gate import Decision
    from training.tracking.figures import Night
    from training.tracking.store import Tracking


def log_judgement(
    corpus: Corpus,
    night: NightSettings,
    tracking: Tracking,
    version: ModelVersion,
    audit: AuditSet,
    found: dict[str, EvaluationReport],
    base: EvaluationReport,
    decision: Decision,
) -> None:
    """Log the metrics of the version and the champion, the decision and the plots to the version's run."""
    from training.evaluation.gate_text import decision_text
    from training.evaluation.intervals import IntervalSettings, report_interval
    from training.evaluation.metrics import finite, gain_per_100_labels, metrics, slice_rows, with_bounds
    from training.evaluation.rates import correctness
    from training.tracking import figures, runs

    report, weights = found[version.version], audit.weights
    rate, base_rate = (report_interval(each, IntervalSettings(), weights=weights) for each in (report, base))
    with corpus.read() as conn:
        count = len(snapshots.snapshot(conn, version.snapshot_id).of("train")) if version.snapshot_id else 0
    slices = shown_slices(corpus, night, audit, report)
    values = metrics(report, slices, weights=weights)
    values |= with_bounds(judging_cost(corpus, version.kind, version.version, audit.eval_set_id).speed)
    values |= _gate_values(decision) | {
        "base_error": base_rate.value,
        "gain_per_100_labels": gain_per_100_labels(base_rate.value, rate.value, count),
    }
    runs.log_metrics(tracking, version.run_id, finite(values))
    runs.log_document(tracking, version.run_id, "decision.json", decision.as_json())
    runs.log_document(tracking, version.run_id, "decision.txt", decision_text(decision) + "\n")
    runs.log_evaluation_set(tracking, version.run_id, audit.eval_set_id)
    plots = {
        "reliability": figures.reliability(report.confidence, correctness(report)),
        "slices": figures.slice_intervals(slice_rows(report, slices, None, weights), rate, MEASURE[version.kind]),
    }
    nights = champion_by_night(corpus, audit, found)
    if nights:
        over = {k: night.rate.value for k, night in enumerate(nights)}
        runs.log_series(tracking, version.run_id, {"champion_error_by_night": over})
    plots |= _plots_over_time(corpus, version.kind, audit, found, base, nights)
    if report.kind == "intent":
        names = [*report.intents, "unknown"]
        plots["confusion"] = figures.confusion(
            [names[k] for k in report.truth.tolist()], [names[k] for k in report.predicted.tolist()]
        )
    runs.log_figures(tracking, version.run_id, plots)


def _gate_values(decision: Decision) -> dict[str, float]:
    """Return the metrics of the gate's decision by name."""
    return {
        "champion_error": decision.champion.value,
        "difference": decision.difference.value,
        "difference_low": decision.difference.low,
        "difference_high": decision.difference.high,
        "promoted": float(decision.promotes),
    }


def _plots_over_time(
    corpus: Corpus,
    kind: Kind,
    audit: AuditSet,
    found: dict[str, EvaluationReport],
    base: EvaluationReport,
    nights: list[Night],
) -> dict[str, Figure]:
    """Return the plots of the error rate by number of labels and by night, and of the gain of each version, by name."""
    from training.tracking import figures

    measure = MEASURE[kind]
    plots = {"learning_curve": figures.learning_curve({kind: _curve(corpus, kind, audit, found)}, measure)}
    gained = gains_per_100_labels(corpus, audit, found, base)
    if gained:
        plots["gain_per_100_labels"] = figures.gain_by_labels(gained, measure)
    if nights:
        plots["over_nights"] = figures.over_nights(nights, measure)
    return plots


def _curve(
    corpus: Corpus, kind: Kind, audit: AuditSet, found: dict[str, EvaluationReport]
) -> list[tuple[float, Interval]]:
    """Return (labels, error rate) of all versions that were judged on this evaluation set."""
    from training.evaluation.intervals import IntervalSettings, report_interval

    points: list[tuple[float, Interval]] = []
    with corpus.read() as conn:
        for version in store.versions(conn, kind):
            report = found.get(version.version) or stored_report(conn, kind, version.version, audit.eval_set_id)
            if report is not None:
                count = len(snapshots.snapshot(conn, version.snapshot_id).of("train")) if version.snapshot_id else 0
                points.append((float(count), report_interval(report, IntervalSettings(), weights=audit.weights)))
    return points
