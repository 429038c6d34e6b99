"""Plan a retraining: what to learn from and what to judge, or why nothing is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from corpus.handle import Corpus
from corpus.records.base import Kind, digest
from corpus.records.models import Snapshot
from corpus.storage import operation_ids
from corpus.storage.operations import committed
from corpus.tables import judgements, snapshots
from corpus.tables import models as store
from corpus.tables.inventory import meaning_digest
from corpus.tables.judgements import Judgement
from flows.models import expired, registry
from flows.models.by_base import Finetune, finetune_of
from flows.models.eval_set import snapshot_and_account
from flows.runtime.settings import NightSettings
from flows.runtime.settings_parts import (
    HasAsr,
    HasHome,
    HasIntent,
    HasModels,
    HasNight,
    HasPromotion,
    HasRetention,
    HasTracking,
)
from flows.steps.decoder import decoder_sources
from flows.steps.refused_training import refusal
from flows.steps.training_examples import NO_PSEUDO_LABELS, PseudoLabels, choose_pseudo_labels
from training.asr.finetune import AsrFinetuneSettings
from training.intent.finetune_settings import IntentFinetuneSettings
from training.snapshots import NO_CHANGES, LabelAccount, LabelChanges, label_changes
from training.tracking.store import TrackingSettings


class SettingsOfRetrainPlan(
    HasHome, HasModels, HasAsr, HasIntent, HasTracking, HasPromotion, HasNight, HasRetention, Protocol
):
    """The settings that decide whether a retraining is due, and what it learns from."""


@dataclass(frozen=True, slots=True)
class RetrainPlan:
    """What a retraining does.

    Attributes:
        kind: `asr` or `intent`.
        cycle: name of the nightly run, or `by-hand`.
        operation_id: the same for the same labels, settings and base, so that they give one version.
        snapshot: the training labels and the evaluation set.
        finetune: how it is learned, with what the settings leave to the base filled in.
        skipped: why nothing is due; "" where something is.
        version: a version that is trained and still to be judged, as an earlier run was killed or had too few labelled
            rows; None where a version is to be trained.
        changes: how the training labels differ from those that the newest version learned.
        pseudo: what is learned in addition to the labels.
        account: where all current labels are, of which the snapshot has a part.
    """

    kind: Kind
    cycle: str
    operation_id: str
    snapshot: Snapshot
    finetune: Finetune
    skipped: str = ""
    version: str | None = None
    changes: LabelChanges = NO_CHANGES
    pseudo: PseudoLabels = NO_PSEUDO_LABELS
    account: LabelAccount | None = None


def plan(corpus: Corpus, settings: SettingsOfRetrainPlan, kind: Kind, cycle: str, *, only_if_due: bool) -> RetrainPlan:
    """Return what there is to learn or to judge, or why nothing is due.

    Args:
        corpus: the handle.
        settings: what is learned how, and when it is due.
        kind: `asr` or `intent`.
        cycle: name of the nightly run, or `by-hand`.
        only_if_due: whether to wait for the number of new labels that the settings ask for. No retraining waits for
            audit rows: those decide about promotion alone. Where the newest version learned from an utterance that was
            erased since, or from labels that retention ended `retention.models` ago, none waits for labels either.
    """
    snapshot, account = snapshot_and_account(corpus, settings.promotion, kind)
    given = settings.asr if kind == "asr" else settings.intent
    pseudo = choose_pseudo_labels(corpus, settings.night, given.pseudo, kind, snapshot)
    base = registry.base_to_learn_from(corpus, settings.home, settings.models, kind)
    finetune = finetune_of(settings.asr, settings.intent, base)
    (sources,) = decoder_sources(corpus, [finetune])
    with corpus.read() as conn:
        # a base goes on by the names of now, and so do its replay sentences: a speech model knows no names
        meant = meaning_digest(conn) if kind == "intent" else ""
        newest = [version for version in store.versions(conn, kind) if version.origin != "external"][-1]
        champion = store.alias(conn, kind, "champion")
        learned = snapshots.snapshot(conn, newest.snapshot_id) if newest.snapshot_id else Snapshot(rows=())
        judged = judgements.of_version(conn, kind, newest.version)
        without = newest.tainted or expired.is_due(conn, kind, settings.retention, corpus.clock())
    document = finetune.model_dump(mode="json", exclude=_unused(finetune))
    how = digest([document, base.digest, *filter(None, [pseudo.digest(), meant, sources])])
    operation_id = operation_ids.retrain(kind, snapshot.snapshot_id, how)
    changes = label_changes(learned, snapshot)
    draft = RetrainPlan(kind, cycle, operation_id, snapshot, finetune, changes=changes, pseudo=pseudo, account=account)
    # a version that learned from erased utterances can't become champion, and the champion is not judged against itself
    may_win = bool(newest.snapshot_id) and not newest.tainted and newest.version != champion
    if may_win and not judged:
        return replace(draft, version=newest.version)
    why = _refused_before(corpus, draft)
    if only_if_due and not without:  # without what was erased or has expired, however few labels are new
        why = _not_due(settings.night, draft) or why
    elif not why:
        why = _learned_already(corpus, settings.tracking, settings.home, draft)
        why = why or ("" if snapshot.of("train") else _nothing_to_learn(snapshot))
    if why and may_win and _may_judge_again(judged, snapshot):
        return replace(draft, version=newest.version)
    return replace(draft, skipped=why)


def _unused(finetune: AsrFinetuneSettings | IntentFinetuneSettings) -> set[str]:
    """Return the settings that make no training another one: those of a decoder that is not asked for."""
    if not isinstance(finetune, AsrFinetuneSettings) or finetune.decoder == "beam":
        return set()
    return {"beam", "decoder"} if finetune.decoder is None else {"beam"}


def _nothing_to_learn(snapshot: Snapshot) -> str:
    """Return why a snapshot without training labels has none."""
    judging = len(snapshot.of("audit"))
    if judging:
        return (
            f"no label to train on yet: all {judging} judge models, and audit rows and held-out ones never train; "
            "sample more clips, or raise sampling.max_per_speaker where speakers are few"
        )
    return "no training label yet; merge annotations, or ingest a manifest with known texts"


def _refused_before(corpus: Corpus, draft: RetrainPlan) -> str:
    """Return that the training on the same labels with the same settings was refused, and why; "" where it was not."""
    with corpus.read() as conn:
        reason = refusal(conn, draft.operation_id)
    return f"the same labels and settings were refused before: {reason}" if reason else ""


def _learned_already(corpus: Corpus, tracking: TrackingSettings, home: Path, draft: RetrainPlan) -> str:
    """Return which version learned from the same labels with the same settings; "" where none did."""
    from training.tracking.registry import find_registered
    from training.tracking.store import open_tracking

    with corpus.read() as conn:
        if not committed(conn, draft.operation_id):
            return ""
    found = find_registered(open_tracking(tracking, home), draft.kind, draft.operation_id)
    return f"{f'version {found.version}' if found else 'a version'} learned from these labels with these settings"


def _may_judge_again(judged: Sequence[Judgement], snapshot: Snapshot) -> bool:
    """Return whether the last judgement had too few labelled rows and the evaluation set has changed since."""
    return bool(judged) and judged[-1].decision == "indicative" and judged[-1].rows_id != snapshot.eval_set_id


def since_newest(changes: LabelChanges) -> str:
    """Return the changes of the training labels in words."""
    return f"since the newest version, {changes.text()}"


def _not_due(night: NightSettings, draft: RetrainPlan) -> str:
    """Return that there are too few new labels; "" where a retraining is due."""
    if draft.changes.count >= night.min_new_labels:
        return ""
    return f"{since_newest(draft.changes)}; a retraining is due at {night.min_new_labels}"
