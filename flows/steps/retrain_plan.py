"""What a retraining of a kind would learn from and judge, or why nothing is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from corpus.handle import Corpus
from corpus.records.base import Kind, digest
from corpus.records.models import Snapshot
from corpus.storage import operation_ids
from corpus.storage.operations import result_of
from corpus.tables import judgements, snapshots
from corpus.tables import models as store
from corpus.tables.judgements import Judgement
from flows.models import registry
from flows.models.eval_set import audit_set, current_snapshot
from flows.runtime.settings import Settings
from flows.steps.training_examples import NOTHING_PSEUDO, Pseudo, choose_pseudo


@dataclass(frozen=True, slots=True)
class RetrainPlan:
    """What a retraining does.

    Attributes:
        operation_id: the same labels, settings and base make the same version once.
        snapshot: what is learned from and what judges.
        skipped: why nothing is due; "" where something is.
        version: learned already and still to be judged, since an earlier run was killed or had too little to judge
            by; None where it is to be learned.
        new: training labels that the newest version has not learned from, and those it learned from that are gone.
        pseudo: what is learned beside the labels.
    """

    kind: Kind
    cycle: str
    operation_id: str
    snapshot: Snapshot
    skipped: str = ""
    version: str | None = None
    new: int = 0
    pseudo: Pseudo = NOTHING_PSEUDO


def plan(corpus: Corpus, settings: Settings, kind: Kind, cycle: str, *, only_if_due: bool) -> RetrainPlan:
    """Return what there is to learn or to judge, or why nothing is due."""
    from training.tracking.version_files import folder_digest

    snapshot = current_snapshot(corpus, settings.promotion, kind)
    finetune = settings.asr if kind == "asr" else settings.intent
    pseudo = choose_pseudo(corpus, settings, kind, snapshot)
    base = folder_digest(registry.base_folder(settings.models, kind))
    how = digest([finetune.model_dump(mode="json"), base, *filter(None, [pseudo.digest()])])
    with corpus.read() as conn:
        newest = [version for version in store.versions(conn, kind) if version.origin != "outside"][-1]
        champion = store.alias(conn, kind, "champion")
        learned = snapshots.snapshot(conn, newest.snapshot_id) if newest.snapshot_id else Snapshot(rows=())
        judged = judgements.of_version(conn, kind, newest.version)
    before, now = ({(row.utterance_id, row.revision) for row in each.of("train")} for each in (learned, snapshot))
    operation_id = operation_ids.retrain(kind, snapshot.snapshot_id, how)
    found = RetrainPlan(kind, cycle, operation_id, snapshot, new=len(now ^ before), pseudo=pseudo)
    # what learned from the erased can't become champion, and the champion has nobody to be judged against
    may_win = bool(newest.snapshot_id) and not newest.tainted and newest.version != champion
    if may_win and not judged:
        return replace(found, version=newest.version)
    with corpus.read() as conn:
        known = result_of(conn, found.operation_id)
    if only_if_due:
        why = _not_due(corpus, settings, found)
    else:
        why = f"version {known['version']} learned from these labels with these settings" if known else ""
        why = why or ("" if now else "no training label yet; merge annotations, or ingest a manifest with known texts")
    if why and may_win and _may_judge_again(judged, snapshot):
        return replace(found, version=newest.version)
    return replace(found, skipped=why)


def _may_judge_again(judged: Sequence[Judgement], snapshot: Snapshot) -> bool:
    """Say whether the last judgement had too few rows and there are others by now."""
    return bool(judged) and judged[-1].decision == "indicative" and judged[-1].rows_id != snapshot.eval_set_id


def _not_due(corpus: Corpus, settings: Settings, found: RetrainPlan) -> str:
    if found.new < settings.night.min_new_labels:
        return f"{found.new} new training labels, a retraining is due at {settings.night.min_new_labels}"
    audit = audit_set(corpus, settings.promotion, found.kind, found.snapshot.of("audit"))
    rows, speakers = len(audit.labels), len(set(audit.speaker_ids.values()))
    gate = settings.promotion
    if rows < gate.min_audit_rows or speakers < gate.min_speakers:
        return (
            f"{rows} audit rows of {speakers} speakers can't judge it yet, "
            f"the gate needs {gate.min_audit_rows} of {gate.min_speakers}"
        )
    return ""
