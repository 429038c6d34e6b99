"""Retrain: train a version from the base and the current snapshot, and register it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from corpus.errors import EarmarkError, TrainingRefused
from corpus.handle import Corpus
from corpus.records.base import Kind, digest
from corpus.records.models import ModelVersion
from corpus.storage.operations import Operation, result_of
from corpus.tables import consent_use, costs, labels, left_out, pseudo_labels, retention, rounds, snapshots, utterances
from corpus.tables import models as store
from corpus.text import NORMALISER
from flows.models import registry as model_registry
from flows.models.judgement import Judgement
from flows.runtime import progress
from flows.runtime.results import Result
from flows.runtime.settings_parts import (
    HasHome,
    HasModels,
    HasPromotion,
    HasSampling,
    HasScore,
    HasTracking,
)
from flows.steps.fine_tune import Trained, Training, checkpoint_folder, fine_tune
from flows.steps.refused_training import RefusedTraining, reason_in
from flows.steps.retrain_plan import RetrainPlan
from flows.steps.window_check import note_window_of_training
from sampling.budget import SamplingSettings
from training.asr.finetune import AsrFinetuneSettings
from training.evaluation.gate import PromotionSettings
from training.loop.work import Epoch
from training.snapshots import LabelAccount

if TYPE_CHECKING:
    from training.tracking.facts import RunFacts
    from training.tracking.store import Tracking


Learn = Callable[[Callable[[Epoch], None]], Trained]
"""Trains, and calls its argument after each epoch."""


class SettingsOfRetrain(HasHome, HasModels, HasTracking, HasScore, HasSampling, HasPromotion, Protocol):
    """The settings that a retraining reads; the last two are only recorded with the version."""


@dataclass(frozen=True, slots=True)
class LearnedVersion(Result):
    """A version that was trained and registered.

    Attributes:
        version: its number.
        snapshot: id of the labels that it learned from; None, like the other figures, where an earlier run trained it.
        labels: how many training labels it learned from: `train` of the account.
        new_labels: how many training labels were added, removed or changed since the version before it.
        training: how the fine-tuning ran; None where an earlier run registered the version and was killed then.
        pseudo: how many pseudo-labels it learned from; None where there were none.
        already: True where an earlier run trained it; None where this run did.
        account: where all labels were when it learned; those that it could not learn are left out.
        checked: what the dev rows say about it, in one sentence.
    """

    version: str
    snapshot: str | None = None
    labels: int | None = None
    new_labels: int | None = None
    training: Training | None = None
    pseudo: int | None = None
    already: bool | None = None
    account: LabelAccount | None = field(default=None, metadata={"key": "label_account"})
    checked: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the document, with the figures of the training among the others."""
        document: dict[str, Any] = {}
        for name, value in Result.to_json(self).items():
            document |= value if name == "training" else {name: value}
        if self.account is not None:
            document["label_account"] = self.account.as_counts()
        return document

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> LearnedVersion:
        """Return the version whose retraining was stored."""
        return cls(
            version=stored["version"],
            snapshot=stored["snapshot"],
            labels=stored["labels"],
            new_labels=stored["new_labels"],
            training=Training.from_json(stored) if "examples" in stored else None,
            pseudo=stored.get("pseudo"),
            already=stored.get("already"),
            account=LabelAccount.from_counts(stored["label_account"]) if "label_account" in stored else None,
            checked=stored.get("checked"),
        )


@dataclass(frozen=True, slots=True)
class RetrainReport(Result):
    """A version that was trained and judged.

    Attributes:
        learned: the version and what it learned from.
        judgement: the gate's decision on it.
    """

    learned: LearnedVersion
    judgement: Judgement

    def to_json(self) -> dict[str, Any]:
        """Return the document: the version's figures and the gate's decision, side by side."""
        return {**self.learned.to_json(), **self.judgement.to_json()}


def retrain(corpus: Corpus, settings: SettingsOfRetrain, plan: RetrainPlan, flow_run: str) -> LearnedVersion:
    """Train and register a version from the plan's snapshot; where an earlier run registered it, return that one.

    Raises:
        TrainingRefused: the training diverged, or the model is clearly worse than its base on the dev rows. The reason
            is stored, and nothing is registered. The same retraining again raises it without training.
    """
    if plan.version is not None:
        return LearnedVersion(plan.version, already=True)
    with corpus.read() as conn:
        stored = result_of(conn, plan.operation_id)
    if stored is not None and reason_in(stored):
        raise TrainingRefused(reason_in(stored))
    if stored is not None:
        return replace(LearnedVersion.from_json(stored), already=True)
    from training.tracking.run_names import retrained
    from training.tracking.runs import rename_run, tracked_run
    from training.tracking.store import open_tracking

    tracking = open_tracking(settings.tracking, settings.home)
    found = model_registry.base_to_learn_from(corpus, settings.home, settings.models, plan.kind).checked()
    base = found.digest
    if isinstance(plan.finetune, AsrFinetuneSettings):
        note_window_of_training(found.folder, plan.finetune.loop.window, settings.score.transcribe)
    folder = settings.home / "work" / digest(plan.operation_id)[:16]
    try:
        with tracked_run(
            tracking, _facts(corpus, settings.sampling, settings.promotion, plan, base, flow_run)
        ) as run_id:
            learn = partial(fine_tune, corpus, found.folder, plan, folder)
            number, uri, trained = _train_and_register(learn, tracking, run_id, plan, folder)
            labels, strategy = _labels_learned(plan, trained), settings.sampling.strategy
            rename_run(tracking, run_id, retrained(plan.kind, plan.cycle, labels, strategy, number))
    except TrainingRefused as error:
        _remove(folder, plan.kind)
        with corpus.operation(plan.operation_id, "retrain") as op:
            op.result = op.result or RefusedTraining(str(error)).to_json()
        raise
    _remove(folder, plan.kind)
    parent = model_registry.champion(corpus, plan.kind).version
    uri = model_registry.portable(settings.home, uri)
    version = ModelVersion(plan.kind, number, run_id, plan.snapshot.snapshot_id, base, parent, uri)
    with corpus.operation(plan.operation_id, "retrain") as op:
        if not op.done:
            _put_version(corpus, op, plan, version, trained, corpus.clock())
        return LearnedVersion.from_json(op.result)


def _train_and_register(
    learn: Learn, tracking: Tracking, run_id: str, plan: RetrainPlan, folder: Path
) -> tuple[str, str, Trained | None]:
    """Return the version's number, the URI of its files, and how it was trained; None where a killed run trained it."""
    from training.tracking import registry
    from training.tracking.system import system_metrics

    earlier = registry.find_registered(tracking, plan.kind, plan.operation_id)
    if earlier is not None:
        return earlier.version, earlier.model_uri, None
    with system_metrics(tracking, run_id):
        trained = _fine_tune(learn, tracking, run_id, plan)
    tags = {registry.SNAPSHOT_TAG: plan.snapshot.snapshot_id}
    with progress.track(f"registering the new version of {plan.kind}", None, "files"):
        number, uri = registry.register(tracking, plan.kind, folder, run_id, plan.operation_id, tags)
    return number, uri, trained


def _fine_tune(learn: Learn, tracking: Tracking, run_id: str, plan: RetrainPlan) -> Trained:
    """Train, and log the curves while it learns; return the training, which passed the check on the dev rows."""
    from training.tracking import runs

    measure = "dev_wer" if plan.kind == "asr" else "dev_error"

    curves: dict[str, dict[int, float]] = {}

    def log_epoch(epoch: Epoch) -> None:
        if epoch.restarts:  # the curves are those of what was learned
            return
        figures = {"train_loss": epoch.train_loss, f"{measure}_by_epoch": epoch.dev_error}
        values = {name: value for name, value in figures.items() if value is not None}
        for name, value in values.items():
            curves.setdefault(name, {})[epoch.number] = value
        with contextlib.suppress(EarmarkError):  # a server that is away for a moment ends no training
            runs.log_metrics(tracking, run_id, values, step=epoch.number)

    trained = learn(log_epoch)
    names = {**trained.series, **curves}
    runs.log_series(tracking, run_id, {n: {**trained.series.get(n, {}), **curves.get(n, {})} for n in names})
    account = _account(plan, trained)
    params = {f"labels.{name}": str(n) for name, n in account.as_counts().items()} if account is not None else {}
    runs.log_params(tracking, run_id, params | trained.training.params())
    return trained


def _account(plan: RetrainPlan, trained: Trained | None) -> LabelAccount | None:
    """Return where all labels are, with those that the training could not learn as left out."""
    if plan.account is None or trained is None:
        return plan.account
    learned = {row.utterance_id for row in plan.snapshot.of("train")}
    unlearned = {reason: sum(i in learned for i in ids) for reason, ids in trained.left_out.items()}
    return plan.account.without({reason: count for reason, count in unlearned.items() if count})


def _labels_learned(plan: RetrainPlan, trained: Trained | None) -> int:
    """Return how many labels were learned from: as many as the account names."""
    account = _account(plan, trained)
    return len(plan.snapshot.of("train")) if account is None else account.train


def _remove(folder: Path, kind: Kind) -> None:
    """Remove the files of a training that ended."""
    for unneeded in (folder, checkpoint_folder(folder, kind)):
        shutil.rmtree(unneeded, ignore_errors=True)


def _put_version(
    corpus: Corpus, op: Operation, plan: RetrainPlan, version: ModelVersion, trained: Trained | None, now: datetime
) -> None:
    """Store the version with its snapshot; it is tainted where what it learned from was erased or withdrawn meanwhile.

    Where retention ended some of it meanwhile, it is marked as such.

    Without `trained`, which a killed run took with it, nothing is stored of the examples that the version left out.
    """
    snapshots.put_snapshot(op.conn, plan.snapshot, plan.kind)
    learned_from = [row.utterance_id for row in plan.snapshot.of("train")] + list(plan.pseudo.ids)
    expired = retention.ended_as(op.conn, learned_from)
    erased = set(utterances.erased(op.conn, learned_from)) - set(expired)
    tainted = bool(erased) or not consent_use.trainable(corpus, learned_from)
    store.put_version(op.conn, replace(version, tainted=tainted), plan.cycle, now)
    learned = LearnedVersion(
        version=version.version,
        snapshot=plan.snapshot.snapshot_id,
        labels=_labels_learned(plan, trained),
        new_labels=plan.changes.count,
        training=trained.training if trained else None,
        pseudo=len(plan.pseudo.ids) or None,
        already=None if trained else True,
        account=_account(plan, trained),
        checked=trained.checked if trained else None,
    )
    if plan.pseudo.ids:  # by these rows an erasure finds the versions that learned from pseudo-labels
        remaining = [i for i in plan.pseudo.ids if i not in erased]
        pseudo_labels.put(op.conn, plan.kind, version.version, remaining, plan.pseudo.weight, plan.pseudo.versions)
    store.mark_expired(op.conn, sorted(expired), now)
    if trained is not None:
        costs.put_training(op.conn, plan.kind, version.version, trained.training.seconds)
        ids_by_reason = {reason: [i for i in ids if i not in erased] for reason, ids in trained.left_out.items()}
        left_out.put(op.conn, plan.kind, version.version, ids_by_reason)
    op.result = learned.to_json()


def _facts(
    corpus: Corpus,
    sampling: SamplingSettings,
    promotion: PromotionSettings,
    plan: RetrainPlan,
    base: str,
    flow_run: str,
) -> RunFacts:
    """Return what the version's MLflow run records about its origin."""
    from training.tracking import run_names
    from training.tracking.facts import RunFacts

    with corpus.read() as conn:
        newest, minutes = rounds.rounds(conn)[-1:], labels.minutes_so_far(conn)
    labelled = len(plan.snapshot.of("train"))
    return RunFacts(
        operation_id=plan.operation_id,
        name=run_names.retrained(plan.kind, plan.cycle, labelled, sampling.strategy),
        kind=plan.kind,
        cycle=plan.cycle,
        config={
            plan.kind: plan.finetune.model_dump(mode="json"),
            "sampling": sampling.model_dump(mode="json"),
            "promotion": promotion.model_dump(mode="json"),
            "text": {"normaliser": NORMALISER},
            "pseudo": {"count": len(plan.pseudo.ids), "weight": plan.pseudo.weight},
        },
        snapshot_id=plan.snapshot.snapshot_id,
        base=base,
        parent=model_registry.champion(corpus, plan.kind).version,
        round=newest[0].round if newest else "",
        strategy=sampling.strategy,
        seed=sampling.seed,
        flow_run_id=flow_run,
        labels=labelled,
        minutes_so_far=minutes,
    )
