"""Estimate: error rates and accidental activations of the whole traffic, from the audit rows of some nights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind, digest
from corpus.records.evaluation import EvaluationReport
from corpus.storage import operation_ids
from flows.models import registry
from flows.models.audit_rows import audit_rows
from flows.models.eval_set import audit_set
from flows.models.evaluation_store import evaluate_versions
from flows.models.traffic_estimate import TrafficEstimate
from flows.models.traffic_rates import rates_of_traffic, too_few
from flows.nights.night import night_named
from flows.runtime.settings import NightSettings
from flows.runtime.settings_parts import HasHome, HasNight, HasPromotion, HasScore

if TYPE_CHECKING:
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
    rows = audit_rows(corpus, settings.night, *_night_names(settings.night, first, last))
    unknown = next((name for name in by if name not in rows.slices), None)
    if unknown is not None:
        raise UsageError(f"--by {unknown}: no audit row has it; there are {', '.join(rows.slices)}")
    champions = {kind: registry.champion(corpus, kind).version for kind in registry.KINDS}
    judged = (settings.home, settings.score.transcribe, settings.promotion)
    reports = {} if too_few(rows) else _reports(corpus, *judged)
    return rates_of_traffic(rows, reports, champions, by)


def _night_names(settings: NightSettings, first: str | None, last: str | None) -> tuple[str | None, str | None]:
    """Return the names of the two nights as rounds have them."""
    zone, hour = settings.time_zone, settings.ends_at
    first, last = (name and night_named(name, zone, hour).name for name in (first, last))
    if first is not None and last is not None and first > last:
        raise UsageError(f"--from {first} is after --to {last}; give the earlier night first")
    return first, last


def _reports(
    corpus: Corpus, home: Path, how: TranscribeSettings, gate: PromotionSettings
) -> dict[Kind, EvaluationReport]:
    """Return the reports of the champions on all audit rows that are labelled so far, by kind."""
    on_audit_rows = gate.model_copy(update={"judged_on": "audit"})
    found = {}
    for kind in registry.KINDS:
        champion, audit = registry.champion(corpus, kind), audit_set(corpus, on_audit_rows, kind, window=how.window)
        if audit.labels:
            found[kind] = evaluate_versions(corpus, home, how, audit, [champion])[champion.version]
    return found


def track(tracking_settings: TrackingSettings, home: Path, report: TrafficEstimate) -> None:
    """Log the rates with their bounds to an MLflow run of the nights and champions; a repeat continues that run."""
    from training.evaluation.metrics import loggable, with_bounds
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
        log_metrics(tracking, run_id, loggable(with_bounds(rates) | counts))
        log_document(tracking, run_id, "estimate.json", document)
