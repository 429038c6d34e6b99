"""Preview a retraining: whether it is due and why, on how many rows, and how long it will take; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.models import ModelVersion, Snapshot
from corpus.tables import costs
from corpus.tables import models as store
from flows.models.eval_set import snapshot_and_account
from flows.runtime.results import Result
from flows.runtime.settings import NightSettings
from flows.steps import retrain_plan
from flows.steps.decoder import check_decoder
from flows.steps.retrain_plan import SettingsOfRetrainPlan
from training.evaluation.gate import PromotionSettings
from training.snapshots import LabelAccount, LabelChanges


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainPreview(Result):
    """What a retraining would do now.

    Attributes:
        kind: `asr` or `intent`.
        due: whether a version would be trained or judged.
        why: the reason, in one sentence.
        new_labels: how many training labels were added, removed or changed since the newest version learned.
        account: where all current labels are.
        pseudo: how many pseudo-labels would be learned besides.
        judged_on: how many rows would judge it.
        versions: how many versions would be judged on these rows.
        training_seconds: how long the training takes [s], by the labels and the time of `measured_on`; None where no
            training was measured yet, and where none is due.
        judging_seconds: how long the judgement takes [s], by the last one; None where there was none.
        measured_on: the version whose training was measured.
    """

    kind: Kind
    due: bool
    why: str
    new_labels: int
    account: LabelAccount = field(metadata={"key": "label_account"})
    pseudo: int
    judged_on: int
    versions: int
    training_seconds: float | None = None
    judging_seconds: float | None = None
    measured_on: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the document, with the account as counts by name."""
        return Result.to_json(self) | {"label_account": self.account.as_counts()}


def preview(corpus: Corpus, settings: SettingsOfRetrainPlan, kind: Kind, *, only_if_due: bool) -> RetrainPreview:
    """Return what a retraining would do now; nothing is stored but the audit chain's entry on reading labels.

    Args:
        corpus: the handle.
        settings: what is learned how, and when it is due.
        kind: `asr` or `intent`.
        only_if_due: whether it is the retraining of a night, which waits for enough new labels.

    Raises:
        SettingsError: the decoder that is asked for can't be built.
    """
    if kind == "asr":
        check_decoder(settings.asr)
    with corpus.read() as conn:
        versions = store.versions(conn, kind)
    if not versions:
        return _first_preview(corpus, settings.night, settings.promotion, kind, only_if_due=only_if_due)
    plan = retrain_plan.plan(corpus, settings, kind, "dry-run", only_if_due=only_if_due)
    new = retrain_plan.since_newest(plan.changes) if plan.changes.count else ""
    why = plan.skipped or new or "no version learned from these labels with these settings"
    if plan.version is not None:
        why = f"version {plan.version} is trained and has still to be judged"
    assert plan.account is not None
    return _measured(
        corpus, kind, plan.snapshot, plan.account, versions,
        due=not plan.skipped, why=why, new_labels=plan.changes.count, pseudo=len(plan.pseudo.ids),
        trains=not plan.skipped and plan.version is None,
    )  # fmt: skip


def _first_preview(
    corpus: Corpus, night: NightSettings, gate: PromotionSettings, kind: Kind, *, only_if_due: bool
) -> RetrainPreview:
    """Return the preview in a home where no version is registered yet, not even the base."""
    snapshot, account = snapshot_and_account(corpus, gate, kind)
    needed = night.min_new_labels if only_if_due else 1
    due = account.train >= needed
    why = f"{LabelChanges(new=account.train).text()}; a retraining is due at {needed}"
    return _measured(
        corpus, kind, snapshot, account, (), due=due, why=why, new_labels=account.train, pseudo=0, trains=due
    )


def _measured(
    corpus: Corpus,
    kind: Kind,
    snapshot: Snapshot,
    account: LabelAccount,
    versions: Sequence[ModelVersion],
    *,
    due: bool,
    why: str,
    new_labels: int,
    pseudo: int,
    trains: bool,
) -> RetrainPreview:
    """Return the preview with the times that the costs of earlier versions let expect."""
    rows = len(snapshot.of("audit"))
    with corpus.read() as conn:
        trained, judged = costs.newest_training(conn, kind), costs.newest_evaluation(conn, kind)
        standing = {store.alias(conn, kind, "champion"), store.base_of_home(conn, kind)} - {None}
    count = 1 + len(standing) if due else 0
    training = trained.seconds * account.train / trained.labels if trained and trained.labels and trains else None
    # intent versions read the same transcripts, which take nearly all of it
    transcribing = count if kind == "asr" else 1
    judging = judged.seconds / judged.rows * rows * transcribing if judged and due else None
    return RetrainPreview(
        kind=kind,
        due=due,
        why=why,
        new_labels=new_labels,
        account=account,
        pseudo=pseudo,
        judged_on=rows,
        versions=count,
        training_seconds=None if training is None else round(training, 1),
        judging_seconds=None if judging is None else round(judging, 1),
        measured_on=f"{kind}/{trained.version}" if trained and training is not None else None,
    )
