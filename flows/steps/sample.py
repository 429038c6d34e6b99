"""Sample: choose a few utterances of a night, each with a reason, an inclusion probability and a cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from annotation.assignment import PeopleSettings
from corpus.errors import Damaged
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.storage import operation_ids
from corpus.storage.operations import result_of
from corpus.tables import consent_use, labels, nights, rounds, scores, utterances
from corpus.vault import consent
from flows.models import registry
from flows.models.promotion_budget import answers_per_row
from flows.nights.night import Night
from flows.nights.night_list import nights_with_arrivals
from flows.nights.sampling_frame import sampling_frame
from flows.rounds.annotation_costs import QuestionCost, costs_by_question
from flows.rounds.label_evidence import LabelEvidence, gather_evidence, labelled_rows, with_evidence
from flows.rounds.learning_outlook import outlooks
from flows.rounds.request_evidence import gather_requests, request_figures, with_requests
from flows.rounds.sample_evidence import EvidenceCounts, ExpectedErrors, RequestFigures, SampleEvidence
from flows.runtime import progress
from flows.runtime.results import Result
from flows.runtime.settings import NightSettings
from flows.runtime.settings_parts import HasCost, HasLearned, HasNight, HasPeople, HasSampling, HasStopping
from sampling.budget import SamplingSettings
from sampling.stopping_rule import Outlook

if TYPE_CHECKING:
    from sampling.choice_summary import ChosenRow, CohortChoice
    from sampling.pool import Pool
    from sampling.reliability import Reliability
    from sampling.selection import Choice
    from training.tracking.store import TrackingSettings


class SettingsOfSample(HasNight, HasSampling, HasStopping, HasCost, HasLearned, HasPeople, Protocol):
    """The settings that sampling reads; of `people` only how many answers a row is asked for."""


OTHERS: Final = 6
"""How many nights with utterances are named where the night that was asked for has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleReport(Result):
    """What a round chose; rounds that older versions of earmark stored lack some of the fields.

    Attributes:
        skipped: why nothing was chosen.
        pool: how many utterances could be chosen.
        scored: how many utterances were scored.
        chosen: how many utterances were chosen.
        answers: how many answers they are asked for, all people together.
        fraction: share of the scored utterances that was chosen.
        reasons, asks, minutes_expected, notes: see `ChoiceSummary`.
        known, calibration, expected_errors, costs, cohorts, requests: what the choice learned from earlier answers, as
            figures and counts without centres, curves or embeddings. `calibration` by kind of error, `costs` by
            question.
        outlook: expected gain of the next labels, by kind of model.
        since, up_to: order of the newest arrival when the round before was chosen, and now.
        already: why the stored round was returned.
    """

    skipped: str | None = None
    pool: int = 0
    scored: int = 0
    chosen: int = 0
    answers: int | None = None
    fraction: float = 0.0
    reasons: Mapping[str, int] | None = None
    asks: Mapping[str, int] | None = None
    minutes_expected: float | None = None
    notes: Sequence[str] | None = None
    known: EvidenceCounts | None = None
    calibration: Mapping[str, Reliability] | None = None
    expected_errors: ExpectedErrors | None = None
    costs: Mapping[str, QuestionCost] | None = None
    cohorts: Sequence[CohortChoice] | None = None
    requests: RequestFigures | None = None
    outlook: Mapping[Kind, Outlook] | None = None
    since: int | None = None
    up_to: int | None = None
    already: str | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> SampleReport:
        """Return the report of a document that `to_json` made."""
        if "minutes" in document:  # as older versions stored it
            document = {**document, "minutes_expected": document["minutes"]}
        given = {field.name: document[field.name] for field in fields(cls) if field.name in document}
        evidence = SampleEvidence.from_json(document)
        given |= {field.name: getattr(evidence, field.name) for field in fields(evidence)}
        if "outlook" in given:
            given["outlook"] = {kind: Outlook(**figures) for kind, figures in given["outlook"].items()}
        return cls(**given)

    @property
    def evidence(self) -> SampleEvidence:
        """Return what the choice learned from earlier answers."""
        return SampleEvidence(
            known=self.known,
            calibration=self.calibration,
            expected_errors=self.expected_errors,
            costs=self.costs,
            cohorts=self.cohorts,
            requests=self.requests,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun(Result):
    """What a round would choose.

    Attributes:
        skipped: why it would choose nothing.
        night: name of the night.
        report: the choice in numbers.
        rows: what would be chosen, most valuable first.
    """

    skipped: str | None = None
    night: str | None = None
    report: SampleReport | None = None
    rows: Sequence[ChosenRow] = ()

    def to_json(self) -> dict[str, Any]:
        """Return one flat document: the fields of the report, the night and the rows side by side."""
        document = Result.to_json(self)
        report, rows = document.pop("report", {}), document.pop("rows")
        return {**document, **report, "rows": rows}


@dataclass(frozen=True, slots=True)
class StoredRow:
    """An utterance that a round chose, as a dry run shows it.

    Attributes:
        utterance, reason, ask, score, inclusion: as in `Selection`.
        seconds: expected time of annotators, all answers together [s].
    """

    utterance: str
    reason: str
    ask: str
    score: float
    inclusion: float
    seconds: float


def stored_rows(corpus: Corpus, night: Night) -> tuple[StoredRow, ...]:
    """Return what the round of a night chose, most valuable first; none where the night has no round."""
    with corpus.read() as conn:
        if night.name not in rounds.names(conn):
            return ()
        chosen = rounds.selection(conn, night.name)
    columns = zip(
        chosen.utterance_ids.tolist(),
        chosen.reasons.tolist(),
        chosen.asks.tolist(),
        chosen.scores.round(4).tolist(),
        chosen.inclusion_probs.round(4).tolist(),
        chosen.costs.round(1).tolist(),
        strict=True,
    )
    return tuple(StoredRow(*values) for values in columns)


def sample_round(corpus: Corpus, settings: SettingsOfSample, night: Night) -> SampleReport:
    """Choose the night's round and store it; a night has one round, so a repeat returns the stored one."""
    operation_id = operation_ids.sample(night.name)
    with corpus.read() as conn:
        stored = result_of(conn, operation_id)
        ids, of_night = sampling_frame(conn, settings.night, night)
    if stored is not None:
        return replace(SampleReport.of(stored), already="chosen before; a night has one round")
    pool, scored = night_pool(corpus, ids)
    if pool is None:
        return SampleReport(skipped=_nothing(corpus, settings.night, night, len(ids), scored), scored=scored)
    _, choice, report = _chosen(corpus, settings, night, pool, scored)
    report = replace(report, since=of_night.since, up_to=of_night.up_to)
    with corpus.operation(operation_id, "sample") as op:
        if not op.done:
            used = settings.sampling.model_dump(mode="json")
            rounds.put_selection(op.conn, choice.selection, night.name, used, scored)
            nights.put_frame(op.conn, of_night)
            op.result = report.to_json()
        return SampleReport.of(op.result)


def dry_run(corpus: Corpus, settings: SettingsOfSample, night: Night) -> DryRun:
    """Return the rows that would be chosen; nothing is stored but the audit chain's entry on reading labels."""
    from sampling.choice_summary import chosen_rows

    with corpus.read() as conn:
        ids, _ = sampling_frame(conn, settings.night, night)
    pool, scored = night_pool(corpus, ids)
    if pool is None:
        return DryRun(skipped=_nothing(corpus, settings.night, night, len(ids), scored), night=night.name)
    pool, choice, report = _chosen(corpus, settings, night, pool, scored)
    return DryRun(night=night.name, report=report, rows=chosen_rows(choice, pool))


def _chosen(
    corpus: Corpus, settings: SettingsOfSample, night: Night, pool: Pool, scored: int
) -> tuple[Pool, Choice, SampleReport]:
    """Return the pool with what is known of its rows, the choice from it, and the choice in numbers."""
    sampling = settings.sampling
    evidence = gather_evidence(corpus, settings.learned, settings.cost, sampling, night.name)
    requests = gather_requests(corpus, settings.learned, sampling, labelled_rows(corpus, settings.learned))
    pool = with_requests(corpus, with_evidence(pool, evidence), requests, sampling)
    choice = select(corpus, sampling, settings.people, night, pool, evidence)
    report = _report(choice, pool, scored, evidence, outlooks(corpus, settings.stopping, sampling.seed))
    return pool, choice, replace(report, requests=request_figures(pool, requests, sampling))


def _nothing(corpus: Corpus, settings: NightSettings, night: Night, in_frame: int, scored: int) -> str:
    """Return why a night has nothing to choose from, and which other nights have utterances.

    Args:
        corpus: the handle.
        settings: when a night closes.
        night: that was looked at.
        in_frame: how many utterances its sampling frame has.
        scored: how many of them the champions scored.
    """
    if scored:
        return (
            f"nothing to choose from: all {scored} scored utterances of night {night.name} are labelled, were chosen"
            " before, or are of customers who do not allow annotation"
        )
    if in_frame:
        return (
            f"nothing to choose from: none of the {in_frame} utterances of night {night.name} is scored by the"
            f" champions; earmark score --night {night.name}"
        )
    with corpus.read() as conn:
        found = nights_with_arrivals(conn, settings, OTHERS)
    others = [each.name for each in found if each.name != night.name and each.end <= corpus.clock()]
    window = f"{night.start:%Y-%m-%d %H:%M} to {night.end:%Y-%m-%d %H:%M} UTC"
    empty = f"nothing to choose from: night {night.name} has no utterances ({window})"
    if not others:
        return f"{empty}, and no other closed night has any; earmark ingest MANIFEST brings some"
    return f"{empty}; nights that have some are {', '.join(others)}: give one by --night"


def _report(
    choice: Choice, pool: Pool, scored: int, evidence: LabelEvidence, outlook_by_kind: Mapping[Kind, Outlook]
) -> SampleReport:
    from sampling.choice_summary import cohort_choices, summarise

    summary = summarise(choice, pool, scored)
    return SampleReport(
        pool=summary.pool,
        scored=scored,
        chosen=summary.chosen,
        answers=summary.answers,
        fraction=summary.fraction,
        reasons=summary.reasons,
        asks=summary.asks,
        minutes_expected=summary.minutes_expected,
        notes=summary.notes,
        known=EvidenceCounts(evidence.labelled, evidence.scored, evidence.unseen),
        calibration=evidence.reliability,
        expected_errors=ExpectedErrors(*choice.expected),
        costs=costs_by_question(evidence.costs, evidence.answers),
        cohorts=cohort_choices(choice, pool, evidence.cohorts),
        outlook=outlook_by_kind,
    )


def night_pool(corpus: Corpus, ids: list[str]) -> tuple[Pool | None, int]:
    """Return the pool of a sampling frame, None where it is empty, and how many of the frame's utterances are scored.

    The pool has the utterances that the champions scored, whose customer consents to annotation, that no round chose
    before and that have no label yet.

    Args:
        corpus: the handle.
        ids: of the frame's utterances.

    Raises:
        Damaged: no statistics of the pool can be read.
    """
    from sampling.pool import Pool

    asr, intent = registry.champion(corpus, "asr"), registry.champion(corpus, "intent")
    with corpus.read() as conn:
        unscored = set(scores.unscored(conn, ids, asr.version, intent.version))
        scored = [i for i in ids if i not in unscored]
        taken = rounds.selected_ids(conn) | {row.utterance_id for row in labels.current(conn)}
        allowed = consent.consenting(corpus.vault, scored, "annotate").tolist()
        free = [i for i, consents in zip(scored, allowed, strict=True) if consents and i not in taken]
    if not free:
        return None, len(scored)
    with progress.track(f"reading the scores of {len(free)} clips", None, "clips"):
        predictions = scores.sound_predictions(corpus, free, asr.version, intent.version)
    if predictions is None:
        raise Damaged(
            f"the scores of all {len(free)} clips that could be chosen are damaged, and nothing was chosen;"
            " run earmark score --part for each part that is named"
        )
    with corpus.read() as conn:
        columns = utterances.pool_columns(conn, predictions.utterance_ids.tolist())
    slices = {"locale": columns.locales, "device_type": columns.device_types, **columns.attributes}
    pool = Pool(predictions=predictions, speaker_ids=columns.speaker_ids, splits=columns.splits, slices=slices)
    return pool, len(scored)


def select(
    corpus: Corpus,
    settings: SamplingSettings,
    people: PeopleSettings,
    night: Night,
    pool: Pool,
    evidence: LabelEvidence,
) -> Choice:
    """Return the round's selection and how it was made."""
    from sampling.selection import choose_explained

    with corpus.read() as conn:
        current = labels.current(conn)
    current = consent_use.usable(corpus, current)
    audit = sum(row.reason == "audit" for row in current)
    with progress.track(f"choosing from {len(pool.predictions.utterance_ids)} clips", None, "clips"):
        return choose_explained(
            pool,
            settings,
            round=night.name,
            audit_rows_so_far=audit,
            labels_so_far=sum(not row.judges for row in current),
            cost_model=evidence.costs,
            calibrators=evidence.calibrators,
            answers=answers_per_row(people),
        )


def track(tracking_settings: TrackingSettings, home: Path, night: str, report: SampleReport) -> None:
    """Log the round's figures, with the reliability of its measures, to the night's run in MLflow."""
    # rounds of older versions of earmark lack calibration and expected errors
    if not report.chosen or report.calibration is None or report.expected_errors is None:
        return
    from training.tracking.runs import cycle_run, log_metrics
    from training.tracking.store import open_tracking

    figures = {f"sample_{name}": getattr(report, name) for name in ("pool", "chosen", "fraction", "minutes_expected")}
    for kind, reliability in report.calibration.items():
        names = ("rows", "error_share", "ece_before", "ece_after", "nce", "auc_roc", "auc_pr")
        figures |= {f"sample_{kind}_{name}": getattr(reliability, name) for name in names}
    for name in ("chosen", "pool"):
        figures[f"sample_expected_errors_{name}"] = getattr(report.expected_errors, name)
    figures["sample_cohorts"] = len(report.cohorts or ())
    if report.requests is not None:
        figures["sample_no_requests"] = report.requests.none
    for kind, outlook in (report.outlook or {}).items():
        figures[f"sample_{kind}_expected_gain"] = outlook.gain
    tracking = open_tracking(tracking_settings, home)
    run_id = cycle_run(tracking, night)
    log_metrics(tracking, run_id, {name: float(value) for name, value in figures.items() if value is not None})
