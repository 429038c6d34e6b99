"""Preview a nightly run: what each step would have to do, and how long; nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.ingest.manifest_survey import survey
from corpus.tables import costs, scores
from corpus.tables import models as store
from flows.models.promotion_budget import promotion_budget
from flows.models.registry import KINDS
from flows.nights.night import Night, night_of
from flows.nights.sampling_frame import earliest_new, is_sampled, sampling_frame
from flows.runtime.results import Result
from flows.runtime.settings import NightSettings
from flows.runtime.settings_parts import HasAnswers, HasInbox, HasIngest, HasPeople, HasSampling
from flows.steps.ingest import failure, waiting_manifests
from flows.steps.retrain_plan import SettingsOfRetrainPlan
from flows.steps.retrain_preview import RetrainPreview, preview
from flows.tasks.answer_inbox import waiting_files


class SettingsOfNightPreview(SettingsOfRetrainPlan, HasInbox, HasIngest, HasAnswers, HasSampling, HasPeople, Protocol):
    """The settings that decide what a nightly run does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxPreview(Result):
    """What a nightly run would read of the manifests in the inbox.

    Attributes:
        manifests: how many files there are; each was ingested before, is to be read, or can't be read.
        ingested_before: how many were. Only rows that were refused for their clip are looked at again.
        to_read: how many others are manifests.
        failed: error by name of those that can't be read.
        rows: how many rows are in those to be read.
        refused: how many of the rows are refused whatever their clips are, by reason.
        nights: how many of the others each night would sample from, by its name.
    """

    manifests: int
    ingested_before: int
    to_read: int
    failed: Mapping[str, str]
    rows: int
    refused: Mapping[str, int]
    nights: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class NightPreview(Result):
    """What a nightly run would do now.

    Attributes:
        night: name of the night.
        answers: how many files of answers wait to be merged. Their labels are not in the previews of the retrainings.
        retrain_asr, retrain_intent: the retrainings.
        inbox: what the night would read of the manifests in the inbox.
        unscored: how many of the night's ingested utterances the champions have not scored.
        waiting: how many rows of the inbox the night would score besides, unless their clips are refused.
        scoring_seconds: how long scoring all of them takes [s], by `scoring_by`; None where nothing was measured yet.
        scoring_by: `scores` where a clip's time is that of the clips that the champions scored; `evaluations` where it
            is that of the last evaluation of a speech model, which lacks the draws and passes of a score.
        sampled: whether the round of the night was chosen before.
        promotion: how many more nights of this budget the gate of speech models waits at the earliest; None where it
            can decide, or the budget names no clips.
    """

    night: str
    answers: int
    retrain_asr: RetrainPreview = field(metadata={"key": "retrain asr"})
    retrain_intent: RetrainPreview = field(metadata={"key": "retrain intent"})
    inbox: InboxPreview
    unscored: int
    waiting: int
    scoring_seconds: float | None = None
    scoring_by: Literal["scores", "evaluations"] | None = None
    sampled: bool
    promotion: str | None = None


def preview_night(corpus: Corpus, settings: SettingsOfNightPreview, night: Night) -> NightPreview:
    """Return what a nightly run would do now; nothing is stored but the audit chain's entry on reading labels."""
    with corpus.read() as conn:
        ids = sampling_frame(conn, settings.night, night)[0]
        sampled = is_sampled(conn, night)
        asr_champion, intent_champion = (store.alias(conn, kind, "champion") for kind in KINDS)
        measured = None
        if asr_champion is not None and intent_champion is not None:
            ids = scores.unscored(conn, ids, asr_champion, intent_champion)
            measured = scores.seconds_a_clip(conn, asr_champion, intent_champion)
        judged = costs.newest_evaluation(conn, "asr")
    inbox = _preview_inbox(corpus, settings.inbox, settings.ingest.clock_skew, settings.night, night)
    unscored, waiting = (0, 0) if sampled else (len(ids), inbox.nights.get(night.name, 0))
    by: Literal["scores", "evaluations"] | None = "scores"
    if measured is None and judged is not None:
        measured, by = judged.seconds / judged.rows, "evaluations"
    asr = preview(corpus, settings, "asr", only_if_due=True)
    return NightPreview(
        night=night.name,
        answers=len(waiting_files(settings.answers)),
        retrain_asr=asr,
        retrain_intent=preview(corpus, settings, "intent", only_if_due=True),
        inbox=inbox,
        unscored=unscored,
        waiting=waiting,
        scoring_seconds=None if measured is None else round(measured * (unscored + waiting), 1),
        scoring_by=None if measured is None else by,
        sampled=sampled,
        promotion=promotion_budget(settings.sampling, settings.people, settings.promotion, asr.judged_on),
    )


def _preview_inbox(
    corpus: Corpus, inbox: Path, clock_skew: float, settings: NightSettings, night: Night
) -> InboxPreview:
    """Return what the run of a night would read of the inbox; late rows count in this night."""
    rows, ingested_before, read = 0, 0, 0
    refused: Counter[str] = Counter()
    nights: Counter[str] = Counter()
    failed: dict[str, str] = {}
    manifests = waiting_manifests(inbox)
    with corpus.read() as conn:
        first = earliest_new(conn, settings, night)

    def sampled_in(arrived_at: datetime) -> str:
        if first <= arrived_at < night.end:
            return night.name
        return night_of(arrived_at, settings.time_zone, settings.ends_at).name

    for manifest in manifests:
        try:
            found = survey(corpus, manifest, clock_skew, sampled_in)
        except UsageError as error:
            failed |= failure(manifest, inbox, error)
            continue
        ingested_before += found.known
        read += not found.known
        rows += found.rows
        refused += found.refused
        nights += found.arrivals
    return InboxPreview(
        manifests=len(manifests),
        ingested_before=ingested_before,
        to_read=read,
        failed=failed,
        rows=rows,
        refused=dict(sorted(refused.items())),
        nights=dict(sorted(nights.items())),
    )
