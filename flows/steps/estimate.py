"""Estimate: error rates and accidental activations of the whole traffic, from the audit rows of some nights.

Audit rows are a probability sample of the scored utterances, labelled without a draft, and never learned from. Each
counts 1 / its inclusion probability, so the rates are those of the traffic. Held-out rows are no such sample.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind, digest
from corpus.records.evaluation import EvaluationReport, Interval
from corpus.storage import operation_ids
from flows.models import registry
from flows.models.audit_rows import OUTCOMES, AuditRows, audit_rows
from flows.models.eval_set import audit_set
from flows.models.evaluation_store import evaluate_versions
from flows.models.traffic_estimate import FIGURES, AuditCounts, SliceEstimate, TrafficEstimate
from flows.nights.night import night_named
from flows.runtime.settings import NightSettings
from flows.runtime.settings_parts import HasHome, HasNight, HasPromotion, HasScore

if TYPE_CHECKING:
    from sampling.pool import Mask
    from sampling.traffic_rates import RowFigure
    from training.asr.transcribe import TranscribeSettings
    from training.evaluation.gate import PromotionSettings
    from training.tracking.store import TrackingSettings


class SettingsOfEstimate(HasHome, HasNight, HasScore, HasPromotion, Protocol):
    """The settings that an estimate reads: the nights, and how versions are evaluated."""


def estimate_traffic(
    corpus: Corpus, settings: SettingsOfEstimate, first: str | None, last: str | None, by: Sequence[str] = ()
) -> TrafficEstimate:
    """Return WER, intent error, success and accidental activations of the traffic of some nights, with intervals.

    Figures of the champions come from their stored reports on all audit rows; what is missing is computed and stored.

    Args:
        corpus: the handle.
        settings: the nights, and how versions are evaluated.
        first: name of the first night; None for the first with a round.
        last: name of the last night; None for the last with a round.
        by: dimensions whose slices are estimated as well: `locale`, `device` or an attribute of the manifest.

    Raises:
        UsageError: a night is no date, no night has a round, a dimension is unknown, or there is no model yet.
    """
    from sampling.traffic_rates import represented

    rows = audit_rows(corpus, *_night_names(settings.night, first, last))
    unknown = next((name for name in by if name not in rows.slices), None)
    if unknown is not None:
        raise UsageError(f"--by {unknown}: no audit row has it; there are {', '.join(rows.slices)}")
    champions = {kind: registry.champion(corpus, kind).version for kind in registry.KINDS}
    too_few = _too_few(rows)
    judged = (settings.home, settings.score.transcribe, settings.promotion)
    figures = {} if too_few else _figures(rows, _reports(corpus, *judged))
    everywhere = np.ones(len(rows.utterance_ids), np.bool_)
    return TrafficEstimate(
        first=rows.nights[0],
        last=rows.nights[-1],
        nights=len(rows.nights),
        arrivals=rows.arrivals,
        represented=represented(rows.among("labelled", "accidental"), rows.inclusion_probs, rows.arrivals),
        versions=champions,
        audit=AuditCounts(len(everywhere), *(int(rows.among(outcome).sum()) for outcome in OUTCOMES)),
        rates=_rates(figures, rows, everywhere),
        slices=() if too_few else _slices(figures, rows, tuple(dict.fromkeys(by))),
        too_few=too_few,
    )


def _night_names(settings: NightSettings, first: str | None, last: str | None) -> tuple[str | None, str | None]:
    """Return the names of the two nights as rounds have them."""
    zone, hour = settings.time_zone, settings.ends_at
    first, last = (name and night_named(name, zone, hour).name for name in (first, last))
    if first is not None and last is not None and first > last:
        raise UsageError(f"--from {first} is after --to {last}; give the earlier night first")
    return first, last


def _too_few(rows: AuditRows) -> str | None:
    """Return why nothing can be said about the traffic, None where there are enough rows."""
    from sampling.traffic_rates import LEAST_SPEAKERS

    labelled = rows.among("labelled")
    count, speakers = int(labelled.sum()), len(np.unique(rows.speaker_ids[labelled]))
    if speakers >= LEAST_SPEAKERS:
        return None
    return (
        f"too few audit rows to say anything: {count} labelled, of {speakers} speakers; at least {LEAST_SPEAKERS} "
        "speakers are needed (earmark merge brings labels)"
    )


def _reports(
    corpus: Corpus, home: Path, how: TranscribeSettings, gate: PromotionSettings
) -> dict[Kind, EvaluationReport]:
    """Return the reports of the champions on all audit rows that are labelled so far, by kind."""
    on_audit_rows = gate.model_copy(update={"judged_on": "audit"})
    found = {}
    for kind in registry.KINDS:
        champion, audit = registry.champion(corpus, kind), audit_set(corpus, on_audit_rows, kind)
        if audit.labels:
            found[kind] = evaluate_versions(corpus, home, how, audit, [champion])[champion.version]
    return found


def _figures(rows: AuditRows, reports: Mapping[Kind, EvaluationReport]) -> dict[str, RowFigure]:
    """Return every figure that can be estimated, by name."""
    from sampling.traffic_rates import figure_of_report, share_of

    labelled = rows.among("labelled")
    with_result, answered = rows.among("labelled", "accidental"), rows.among("labelled", "accidental", "unlabelled")
    figures = {
        "accidental": share_of(rows.among("accidental"), with_result & rows.recent),
        "nonresponse": share_of(rows.among("unlabelled"), answered & rows.recent),
    }
    if "asr" in reports:
        asr = reports["asr"]
        figures["wer"] = figure_of_report(rows.utterance_ids, labelled, asr.utterance_ids, asr.errors, asr.words)
    if "intent" in reports:
        intent = reports["intent"]
        judged = (rows.utterance_ids, labelled, intent.utterance_ids)
        figures["intent_error"] = figure_of_report(*judged, ~intent.correct)
        figures["end_to_end_success"] = figure_of_report(*judged, intent.success == 1, judged=intent.success >= 0)
    return figures


def _rates(figures: Mapping[str, RowFigure], rows: AuditRows, where: Mask) -> dict[str, Interval | None]:
    """Return the rates over the audit rows `where`, (N,) bool, by figure; None where there are too few speakers."""
    from sampling.traffic_rates import rate_of

    probs, speakers = rows.inclusion_probs, rows.speaker_ids
    return {name: rate_of(figures[name], probs, speakers, where) if name in figures else None for name in FIGURES}


def _slices(figures: Mapping[str, RowFigure], rows: AuditRows, by: Collection[str]) -> tuple[SliceEstimate, ...]:
    """Return the rates of every slice of the dimensions, sorted by value within each."""
    from training.evaluation.metrics import MetricSettings

    limits, found = MetricSettings(), []
    for name in by:
        for value in np.unique(rows.slices[name]).tolist():
            where = rows.slices[name] == value
            labelled = where & rows.among("labelled")
            count, speakers = int(labelled.sum()), len(np.unique(rows.speaker_ids[labelled]))
            thin = count < limits.slice_min_rows or speakers < limits.slice_min_speakers
            rates = _rates(figures, rows, where)
            found.append(SliceEstimate(f"{name}={value or 'unknown'}", count, speakers, thin, rates))
    return tuple(found)


def track(tracking_settings: TrackingSettings, home: Path, report: TrafficEstimate) -> None:
    """Log the rates with their bounds to an MLflow run of the nights and champions; a repeat continues that run."""
    from training.evaluation.metrics import finite, with_bounds
    from training.tracking import run_names
    from training.tracking.facts import RunFacts
    from training.tracking.runs import log_document, log_metrics, tracked_run
    from training.tracking.store import open_tracking

    tracking = open_tracking(tracking_settings, home)
    document = report.to_json()
    of = digest([document[name] for name in ("from", "to", "versions", "audit")])
    facts = RunFacts(
        operation_id=operation_ids.estimate(of),
        name=run_names.estimated(report.first, report.last, report.versions),
        kind="estimate",
        config={"champion": document["versions"]},
        labels=report.audit.labelled,
    )
    rates = {name: rate for name, rate in report.rates.items() if rate is not None}
    counts = {"arrivals": float(report.arrivals), "represented": report.represented}
    with tracked_run(tracking, facts) as run_id:
        log_metrics(tracking, run_id, finite(with_bounds(rates) | counts))
        log_document(tracking, run_id, "estimate.json", document)
