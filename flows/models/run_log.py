"""Logging of judged versions to their MLflow runs: metrics, tables, the decision of the gate, and plots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from corpus.handle import Corpus
from corpus.records.base import Kind, Strings
from corpus.records.evaluation import EvaluationReport, Interval
from corpus.records.models import ModelVersion
from corpus.tables import models as store
from corpus.tables import snapshots
from flows.models.anchor_log import AnchorRates, log_anchor
from flows.models.champion_history import champion_by_night, gains_per_100_labels
from flows.models.eval_set import AuditSet
from flows.models.evaluation_store import MEASURE, judging_cost, stored_report
from flows.models.slices import shown_slices
from flows.models.version_description import data_text
from flows.runtime.markdown import markdown_table, plain_text
from flows.runtime.settings import NightSettings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from training.evaluation.gate import Decision
    from training.tracking.figures import Night
    from training.tracking.store import Tracking


@dataclass(frozen=True, slots=True)
class JudgedVersions:
    """The versions of a judgement, and their reports on the same rows by version; two of them may be the same."""

    challenger: ModelVersion
    champion: ModelVersion
    base: ModelVersion
    reports: dict[str, EvaluationReport]

    def of(self, version: ModelVersion) -> EvaluationReport:
        """Return the report of one of the versions."""
        return self.reports[version.version]


def log_judgement(
    corpus: Corpus,
    night: NightSettings,
    tracking: Tracking,
    audit: AuditSet,
    judged: JudgedVersions,
    decision: Decision,
) -> None:
    """Log a judgement: decision, metrics, tables and plots to the challenger's run, metrics to the others' runs."""
    from training.evaluation.gate_text import decision_text
    from training.tracking import runs

    run_id, report = judged.challenger.run_id, judged.of(judged.challenger)
    slices = shown_slices(corpus, night, audit, report)
    anchored = log_anchor(corpus, tracking, audit, judged.reports, decides=decision.decision != "indicative")
    for other in {each.version: each for each in (judged.base, judged.champion)}.values():
        log_version(corpus, tracking, other, judged.of(other), audit, slices)
    _log_challenger(corpus, tracking, audit, judged, decision, slices)
    runs.log_document(tracking, run_id, "decision.json", decision.as_json())
    runs.log_document(tracking, run_id, "decision.txt", decision_text(decision) + "\n")
    with corpus.read() as conn:
        data = data_text(conn, judged.challenger, store.versions(conn, audit.kind))
    runs.describe_run(tracking, run_id, _note(audit.kind, data, decision, judged, anchored))
    runs.log_evaluation_set(tracking, run_id, audit.eval_set_id)
    _log_plots(corpus, tracking, audit, judged, slices)


def log_version(
    corpus: Corpus,
    tracking: Tracking,
    version: ModelVersion,
    report: EvaluationReport,
    audit: AuditSet,
    slices: Mapping[str, Strings],
) -> None:
    """Log metrics and tables of a version that is no challenger: a base, a champion, or an external model.

    A version whose run somebody deleted in MLflow is left out.
    """
    from training.evaluation.metrics import loggable, slice_rows
    from training.evaluation.rates import figures
    from training.tracking import runs
    from training.tracking import version_figures as shown

    if runs.run_metrics(tracking, version.run_id) is None:
        return
    rates = figures(report, weights=audit.weights)
    values = shown.version_metrics(report, rates) | _speed(corpus, version, audit)
    runs.log_metrics(tracking, version.run_id, loggable(values))
    rows = shown.slice_rows_alone(slice_rows(report, slices, None, audit.weights))
    runs.log_table(tracking, version.run_id, "figures.json", shown.FIGURE_COLUMNS, shown.figure_rows_alone(rates))
    runs.log_table(tracking, version.run_id, "slices.json", shown.SLICE_COLUMNS, rows)
    runs.log_evaluation_set(tracking, version.run_id, audit.eval_set_id)


def _log_challenger(
    corpus: Corpus,
    tracking: Tracking,
    audit: AuditSet,
    judged: JudgedVersions,
    decision: Decision,
    slices: Mapping[str, Strings],
) -> None:
    """Log the metrics and tables of the challenger beside the champion."""
    from training.evaluation.intervals import report_rate
    from training.evaluation.metrics import gain_per_100_labels, loggable
    from training.evaluation.rates import MAIN
    from training.evaluation.report_pairs import figure_pairs, slice_pairs
    from training.tracking import runs
    from training.tracking import version_figures as shown

    version, report, champion = judged.challenger, judged.of(judged.challenger), judged.of(judged.champion)
    pairs = figure_pairs(champion, report, audit.weights)
    rates = {pair.figure: pair.second for pair in pairs if pair.second is not None}
    base_rate = report_rate(judged.of(judged.base), weights=audit.weights)
    values = shown.version_metrics(report, rates) | _speed(corpus, version, audit)
    values |= {
        f"base_{MAIN[audit.kind]}": base_rate,
        f"champion_{MAIN[audit.kind]}": decision.champion.value,
        "change": decision.difference.value,
        "change_low": decision.difference.low,
        "change_high": decision.difference.high,
        "promoted": float(decision.promotes),
        "gain_per_100_labels": gain_per_100_labels(base_rate, decision.challenger.value, _labels(corpus, version)),
    }
    runs.log_metrics(tracking, version.run_id, loggable(values))
    runs.log_table(tracking, version.run_id, "figures.json", shown.FIGURE_COLUMNS, shown.figure_rows(pairs))
    slice_table = shown.slice_rows_compared(slice_pairs(champion, report, slices, audit.weights))
    runs.log_table(tracking, version.run_id, "slices.json", shown.SLICE_COLUMNS, slice_table)


def _speed(corpus: Corpus, version: ModelVersion, audit: AuditSet) -> dict[str, float]:
    """Return the real-time factor and the 95th percentile of the latency [s] of a version, where they were measured."""
    speed = judging_cost(corpus, version.kind, version.version, audit.eval_set_id).speed
    return {name: speed[name].value for name in ("rtf", "latency_p95") if name in speed}


def _labels(corpus: Corpus, version: ModelVersion) -> int:
    """Return how many labels a version learned from."""
    if not version.snapshot_id:
        return 0
    with corpus.read() as conn:
        return len(snapshots.snapshot(conn, version.snapshot_id).of("train"))


def _note(kind: Kind, data: str, decision: Decision, judged: JudgedVersions, anchored: AnchorRates) -> str:
    """Return the description of the challenger's run in Markdown: what decided, then what it learned from."""
    difference, base = decision.difference, judged.base.version
    level = f"{100 * (1 - decision.alpha_used):.4g} %"
    on_anchor = anchored.rates
    anchor = next((f"{rate.n} anchor rows, 95 %" for rate in on_anchor.values()), "anchor rows")
    rows: list[tuple[str, Interval | None, Interval | None]] = [
        (f"version {decision.challenger_version}", decision.challenger, on_anchor.get(decision.challenger_version)),
        (f"champion, version {decision.champion_version}", decision.champion, on_anchor.get(decision.champion_version)),
    ]
    if base != decision.champion_version:
        rows.append((f"base, version {base}", None, on_anchor.get(base)))
    headers = (MEASURE[kind], f"{difference.n} rows of {difference.speakers} speakers, {level}", anchor)
    change = f"{100 * difference.value:+.1f} points [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"
    compared = f"{100 * decision.challenger.value:.1f} % against {100 * decision.champion.value:.1f} % of the champion"
    lines = [
        f"**{decision.decision}**: {MEASURE[kind]} {compared}, {change}; {plain_text('; '.join(decision.reasons))}.",
        "",
        markdown_table(
            headers,
            [*((name, _percent(rate), _percent(of_anchor)) for name, rate, of_anchor in rows), ("change", change, "")],
        ),
        "",
        f"Learned from {plain_text(data)}",
        *(["", plain_text(f"{anchored.note[0].upper()}{anchored.note[1:]}.")] if anchored.note else []),
    ]
    return "\n".join(lines)


def _percent(rate: Interval | None) -> str:
    return "-" if rate is None else f"{100 * rate.value:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def _log_plots(
    corpus: Corpus, tracking: Tracking, audit: AuditSet, judged: JudgedVersions, slices: Mapping[str, Strings]
) -> None:
    from training.evaluation.intervals import report_interval
    from training.evaluation.metrics import slice_rows
    from training.evaluation.rates import MAIN, correctness
    from training.tracking import figures, runs

    run_id, report, weights = judged.challenger.run_id, judged.of(judged.challenger), audit.weights
    by_slice = slice_rows(report, slices, None, weights)
    plots = {
        "reliability": figures.reliability(report.confidence, correctness(report)),
        "slices": figures.slice_intervals(by_slice, report_interval(report, weights=weights), MEASURE[audit.kind]),
    }
    nights = champion_by_night(corpus, audit, judged.reports)
    if nights:
        over = {k: night.rate.value for k, night in enumerate(nights)}
        runs.log_series(tracking, run_id, {f"champion_{MAIN[audit.kind]}_by_night": over})
    plots |= _plots_over_time(corpus, audit, judged, nights)
    if report.kind == "intent":
        names = [*report.intents, "unknown"]
        plots["confusion"] = figures.confusion(
            [names[k] for k in report.truth.tolist()], [names[k] for k in report.predicted.tolist()]
        )
    runs.log_figures(tracking, run_id, plots)


def _plots_over_time(corpus: Corpus, audit: AuditSet, judged: JudgedVersions, nights: list[Night]) -> dict[str, Figure]:
    """Return the plots of the error rate by number of labels and by night, and of the gain of each version, by name."""
    from training.tracking import figures

    measure = MEASURE[audit.kind]
    curve = _curve(corpus, audit, judged.reports)
    plots = {"learning_curve": figures.learning_curve({audit.kind: curve}, measure)}
    gained = gains_per_100_labels(corpus, audit, judged.reports, judged.of(judged.base))
    if gained:
        plots["gain_per_100_labels"] = figures.gain_by_labels(gained, measure)
    if nights:
        plots["over_nights"] = figures.over_nights(nights, measure)
    return plots


def _curve(corpus: Corpus, audit: AuditSet, found: Mapping[str, EvaluationReport]) -> list[tuple[float, Interval]]:
    """Return (labels, error rate) of all versions that were judged on this evaluation set."""
    from training.evaluation.intervals import report_interval

    points: list[tuple[float, Interval]] = []
    with corpus.read() as conn:
        for version in store.versions(conn, audit.kind):
            report = found.get(version.version) or stored_report(conn, audit.kind, version.version, audit.eval_set_id)
            if report is not None:
                count = len(snapshots.snapshot(conn, version.snapshot_id).of("train")) if version.snapshot_id else 0
                points.append((float(count), report_interval(report, weights=audit.weights)))
    return points
