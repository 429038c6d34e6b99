"""Preview a nightly run: what each step would have to do, and how long; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.ingest.ingest import ingested_before
from corpus.ingest.manifest import length
from corpus.tables import costs, scores
from corpus.tables import models as store
from flows.nights.night import Night
from flows.nights.sampling_frame import is_sampled, sampling_frame
from flows.runtime.results import Result
from flows.runtime.settings_parts import HasAnswers, HasInbox
from flows.steps.ingest import waiting_manifests
from flows.steps.retrain_plan import SettingsOfRetrainPlan
from flows.steps.retrain_preview import RetrainPreview, preview
from flows.tasks.answer_inbox import waiting_files


class SettingsOfNightPreview(SettingsOfRetrainPlan, HasInbox, HasAnswers, Protocol):
    """The settings that decide what a nightly run does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NightPreview(Result):
    """What a nightly run would do now.

    Attributes:
        night: name of the night.
        answers: how many files of answers wait to be merged. Their labels are not in the previews of the retrainings.
        retrain_asr, retrain_intent: the retrainings.
        manifests: how many manifests are in the inbox, those ingested before included.
        new_manifests: how many of them were not ingested before.
        new_rows: how many rows the new ones have; None where one can't be counted.
        unscored: how many of the night's ingested utterances the champions have not scored.
        scoring_seconds: how long scoring them takes [s], by the time that the last evaluation took for a clip; None
            where nothing was measured yet.
        sampled: whether the round of the night was chosen before.
    """

    night: str
    answers: int
    retrain_asr: RetrainPreview = field(metadata={"key": "retrain asr"})
    retrain_intent: RetrainPreview = field(metadata={"key": "retrain intent"})
    manifests: int
    new_manifests: int
    new_rows: int | None
    unscored: int
    scoring_seconds: float | None = None
    sampled: bool


def preview_night(corpus: Corpus, settings: SettingsOfNightPreview, night: Night) -> NightPreview:
    """Return what a nightly run would do now; nothing is stored but the audit chain's entry on reading labels."""
    with corpus.read() as conn:
        ids = sampling_frame(conn, settings.night, night)[0]
        sampled = is_sampled(conn, night)
        asr, intent = (store.alias(conn, kind, "champion") for kind in ("asr", "intent"))
        if asr is not None and intent is not None:
            ids = scores.unscored(conn, ids, asr, intent)
        judged = costs.newest_evaluation(conn, "asr")
    unscored = 0 if sampled else len(ids)
    manifests = waiting_manifests(settings.inbox)
    new = [length(manifest) for manifest in manifests if _is_new(corpus, manifest)]
    return NightPreview(
        night=night.name,
        answers=len(waiting_files(settings.answers)),
        retrain_asr=preview(corpus, settings, "asr", only_if_due=True),
        retrain_intent=preview(corpus, settings, "intent", only_if_due=True),
        manifests=len(manifests),
        new_manifests=len(new),
        new_rows=None if None in new else sum(rows or 0 for rows in new),
        unscored=unscored,
        scoring_seconds=round(judged.seconds / judged.rows * unscored, 1) if judged else None,
        sampled=sampled,
    )


def _is_new(corpus: Corpus, manifest: Path) -> bool:
    """Return whether a manifest was not ingested yet; a file that can't be read was not."""
    try:
        return not ingested_before(corpus, manifest)
    except UsageError:
        return True
