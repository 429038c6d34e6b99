"""Judge and promote: what the gate decides on a version, and where the aliases point afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from corpus import operation_ids
from corpus.handle import Corpus
from corpus.operations import result_of
from corpus.records import EvaluationReport, Interval, Kind, ModelVersion, Snapshot
from corpus.store import judgements
from corpus.store import models as store
from corpus.store.judgements import Judgement
from flows import judge, models
from flows.nights import champion_by_night, gains
from flows.settings import Settings
from flows.slices import shown_slices

if TYPE_CHECKING:
    from training.promotion import Decision
    from training.tracking.store import Tracking


TAINTED = "it learned from an utterance that was erased since; the next retraining makes a version without it"


def judged_beside(listener: ModelVersion | None, champion: ModelVersion) -> str:
    """Returns what a judgement is about besides the version: the champion, and whose ears both had."""
    return champion.version + (f"-{listener.version}" if listener else "")


def judge_and_promote(
    corpus: Corpus, settings: Settings, kind: Kind, number: str, snapshot: Snapshot, against: str = ""
) -> dict[str, Any]:
    """The gate has decided on the version, once for the snapshot's rows that judge; the aliases stand accordingly.

    Args:
        corpus: the handle.
        settings: of the gate.
        kind: of the model.
        number: of the challenger.
        snapshot: whose audit rows judge.
        against: beside what, where the same rows have judged the version beside something else before.

    Raises:
        PromotionRefused: the champion moved, or the look was taken, while the gate was at work.
    """
    operation_id = operation_ids.judge(kind, number, snapshot.eval_set_id, against)
    with corpus.read() as conn:
        stored = result_of(conn, operation_id)
        look = store.looks(conn, kind) + 1
    if stored is not None:
        return {**stored, "already": True}
    from training.tracking.store import open_tracking

    champion = models.champion(corpus, kind)
    if number == champion.version:
        return {"decision": "champion", "why": "it is the champion already", "decision_text": "", "champion": number}
    audit = judge.audit_set(corpus, settings, kind, snapshot.of("audit"))
    tracking = open_tracking(settings.tracking, settings.home)
    decision = _decide(corpus, settings, tracking, audit, champion, number, look) if audit.labels else None
    with corpus.operation(operation_id, "judge") as op:
        if not op.done:
            if decision is not None and decision.decision != "indicative":  # else nothing could move: no look is spent
                numbers = decision.as_json()
                store.put_promotion(
                    op.conn, kind, number, champion.version, audit.eval_set_id, look, decision.decision, numbers
                )
            tainted = store.version(op.conn, kind, number).tainted  # by an erasure since it was planned
            promote = decision is not None and decision.promotes and not tainted
            _move(op.conn, kind, number, champion.version, promote=promote)
            op.result = {**_told(decision), "champion": number if promote else champion.version}
            op.result |= {"decision": "refuse", "why": TAINTED} if tainted else {}
            beside = judged_beside(audit.listener, champion)
            judgements.put(op.conn, kind, number, Judgement(snapshot.eval_set_id, beside, op.result["decision"]))
            op.result |= {"rows_id": snapshot.eval_set_id, "against": beside}
        result = dict(op.result)
    judge.mirror_aliases(corpus, settings, tracking)
    return result


def _decide(
    corpus: Corpus,
    settings: Settings,
    tracking: Tracking,
    audit: judge.AuditSet,
    champion: ModelVersion,
    number: str,
    look: int,
) -> Decision:
    """Returns what the gate says of the version, which its run then shows, too."""
    from training.promotion import decide

    challenger, base = (models.by_name(corpus, audit.kind, name) for name in (number, "base"))
    found = judge.reports(corpus, settings, audit, [champion, challenger, base])
    reports = found[champion.version], found[challenger.version]
    decision = decide(*reports, look, settings.promotion, audit.slices, audit.weights)
    _log(corpus, settings, tracking, challenger, audit, found, found[base.version], decision)
    return decision


def _told(decision: Decision | None) -> dict[str, str]:
    from training.decision_text import decision_text

    if decision is None:
        why = "no row that judges is labelled; merge answers to the audit share, then retrain again"
        return {"decision": "indicative", "why": why, "decision_text": ""}
    return {
        "decision": decision.decision,
        "why": "; ".join(decision.reasons),
        "decision_text": decision_text(decision) + "\n",
    }


def _move(conn: Any, kind: Kind, number: str, champion: str, *, promote: bool) -> None:
    store.move_alias(conn, kind, "challenger", store.alias(conn, kind, "challenger"), number)
    if promote:
        store.move_alias(conn, kind, "previous", store.alias(conn, kind, "previous"), champion)
        store.move_alias(conn, kind, "champion", champion, number)


def _log(
    corpus: Corpus,
    settings: Settings,
    tracking: Tracking,
    version: ModelVersion,
    audit: judge.AuditSet,
    found: dict[str, EvaluationReport],
    base: EvaluationReport,
    decision: Decision,
) -> None:
    """The version's run holds its figures, the champion's, the decision and the plots."""
    from training.decision_text import decision_text
    from training.intervals import IntervalSettings, report_interval
    from training.metrics import gain_per_100_labels, metrics, slice_rows
    from training.rates import rightness
    from training.tracking import figures, runs

    report, weights = found[version.version], audit.weights
    rate, base_rate = (report_interval(each, IntervalSettings(), weights=weights) for each in (report, base))
    with corpus.read() as conn:
        count = len(store.snapshot(conn, version.snapshot_id).of("train")) if version.snapshot_id else 0
    slices = shown_slices(corpus, settings, audit, report)
    values = metrics(report, slices, weights=weights)
    values |= _speed(corpus, audit, version)
    values |= {
        "base_error": base_rate.value,
        "champion_error": decision.champion.value,
        "difference": decision.difference.value,
        "difference_low": decision.difference.low,
        "difference_high": decision.difference.high,
        "promoted": float(decision.promotes),
        "gain_per_100_labels": gain_per_100_labels(base_rate.value, rate.value, count),
    }
    runs.log_metrics(tracking, version.run_id, {k: v for k, v in values.items() if np.isfinite(v)})
    runs.log_document(tracking, version.run_id, "decision.json", decision.as_json())
    runs.log_document(tracking, version.run_id, "decision.txt", decision_text(decision) + "\n")
    runs.log_evaluation_set(tracking, version.run_id, audit.eval_set_id)
    measure = judge.MEASURE[version.kind]
    plots = {
        "reliability": figures.reliability(report.confidence, rightness(report)),
        "slices": figures.slice_intervals(slice_rows(report, slices, None, weights), rate, measure),
        "learning_curve": figures.learning_curve({version.kind: _curve(corpus, version.kind, audit, found)}, measure),
    }
    gained = gains(corpus, audit, found, base)
    if gained:
        plots["gain_per_100_labels"] = figures.gain_by_labels(gained, measure)
    nights = champion_by_night(corpus, audit, found)
    if nights:
        plots["over_nights"] = figures.over_nights(nights, measure)
        over = {k: night.rate.value for k, night in enumerate(nights)}
        runs.log_series(tracking, version.run_id, {"champion_error_by_night": over})
    if report.kind == "intent":
        names = [*report.intents, "unknown"]
        plots["confusion"] = figures.confusion(
            [names[k] for k in report.truth.tolist()], [names[k] for k in report.predicted.tolist()]
        )
    runs.log_figures(tracking, version.run_id, plots)


def _speed(corpus: Corpus, audit: judge.AuditSet, version: ModelVersion) -> dict[str, float]:
    """Returns real-time factor and latency with their intervals by name."""
    speed = judge.judging_cost(corpus, version.kind, version.version, audit.eval_set_id).speed
    bounds = ("value", "low", "high")
    ends = {"value": "", "low": "_low", "high": "_high"}
    return {f"{name}{ends[key]}": float(getattr(rate, key)) for name, rate in speed.items() for key in bounds}


def _curve(
    corpus: Corpus, kind: Kind, audit: judge.AuditSet, found: dict[str, EvaluationReport]
) -> list[tuple[float, Interval]]:
    """Returns (labels, error rate) of the versions that were judged on this set."""
    from training.intervals import IntervalSettings, report_interval

    points: list[tuple[float, Interval]] = []
    with corpus.read() as conn:
        for version in store.versions(conn, kind):
            report = found.get(version.version) or judge.stored(conn, kind, version.version, audit.eval_set_id)
            if report is not None:
                count = len(store.snapshot(conn, version.snapshot_id).of("train")) if version.snapshot_id else 0
                points.append((float(count), report_interval(report, IntervalSettings(), weights=audit.weights)))
    return points
