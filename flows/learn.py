"""Learn and register: a version from the base and the current snapshot."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus.handle import Corpus
from corpus.operations import Operation, result_of
from corpus.records import Kind, ModelVersion, Role, Snapshot, digest
from corpus.store import labels, rounds, utterances
from corpus.store import models as store
from corpus.text import NORMALISER
from flows import models, progress
from flows.eval_set import audit_set, current_snapshot
from flows.examples import NOTHING_PSEUDO, Pseudo, asr_examples, choose_pseudo, intent_examples
from flows.promote import Judgement, judgements
from flows.results import Result
from flows.settings import Settings

if TYPE_CHECKING:
    from training.tracking.facts import RunFacts
    from training.tracking.store import Tracking

LEARN_FROM: tuple[Role, ...] = ("train", "dev")
"""What is learned from, and what watches over it: speakers that the model did not learn from."""


@dataclass(frozen=True, slots=True)
class LearnPlan:
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


@dataclass(frozen=True, slots=True)
class Training(Result):
    """What a fine-tuning took and left out.

    Attributes:
        examples: learned from.
        left_out: examples that could not be learned from.
        too_long, unspellable: ids of these by reason, see `training.finetune_asr.FinetuneResult`; None without any.
        resumed_at_step: step at which it went on after a kill; None where it ran through.
        seconds: it took [s].
    """

    examples: int
    left_out: int
    too_long: tuple[str, ...] | None = None
    unspellable: tuple[str, ...] | None = None
    resumed_at_step: int | None = None
    seconds: float = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class LearnedVersion(Result):
    """A version that was learned and registered.

    Attributes:
        version: its number.
        snapshot: what it learned from; None, as the other numbers, where an earlier run had learned it.
        labels: training labels.
        new_labels: of these, those that the version before did not learn from, and those of that one that are gone.
        training: what the fine-tuning took; None where an earlier run registered the version and was killed then.
        pseudo: how many pseudo-labels it learned from; None without any.
        already: True where an earlier run had learned it; None where this one did.
    """

    version: str
    snapshot: str | None = None
    labels: int | None = None
    new_labels: int | None = None
    training: Training | None = None
    pseudo: int | None = None
    already: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the document, with what the training took among the other figures."""
        document: dict[str, Any] = {}
        for name, value in Result.to_json(self).items():
            document |= value if name == "training" else {name: value}
        return document

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> LearnedVersion:
        """Return the version whose retraining was stored; pseudo-labels are stored by their ids."""
        training = None
        if "examples" in stored:
            training = Training(
                examples=stored["examples"],
                left_out=stored["left_out"],
                too_long=_tuple(stored.get("too_long")),
                unspellable=_tuple(stored.get("unspellable")),
                resumed_at_step=stored.get("resumed_at_step"),
                seconds=stored["seconds"],
            )
        return cls(
            version=stored["version"],
            snapshot=stored["snapshot"],
            labels=stored["labels"],
            new_labels=stored["new_labels"],
            training=training,
            pseudo=len(stored["pseudo"]["ids"]) if "pseudo" in stored else None,
            already=stored.get("already"),
        )


def _tuple(ids: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if ids is None else tuple(ids)


@dataclass(frozen=True, slots=True)
class RetrainReport(Result):
    """A version that was learned and judged.

    Attributes:
        learned: what it learned from.
        judgement: what the gate said of it.
    """

    learned: LearnedVersion
    judgement: Judgement

    def to_json(self) -> dict[str, Any]:
        """Return the document: the version's figures and the gate's decision, side by side."""
        return {**self.learned.to_json(), **self.judgement.to_json()}


def plan(corpus: Corpus, settings: Settings, kind: Kind, cycle: str, *, only_if_due: bool) -> LearnPlan:
    """Return what there is to learn or to judge, or why nothing is due."""
    from training.tracking.version_files import folder_digest

    snapshot = current_snapshot(corpus, settings.promotion, kind)
    finetune = settings.asr if kind == "asr" else settings.intent
    pseudo = choose_pseudo(corpus, settings, kind, snapshot)
    base = folder_digest(models.base_folder(settings.models, kind))
    how = digest([finetune.model_dump(mode="json"), base, *filter(None, [pseudo.digest()])])
    with corpus.read() as conn:
        newest = [version for version in store.versions(conn, kind) if version.origin != "outside"][-1]
        champion = store.alias(conn, kind, "champion")
        learned = store.snapshot(conn, newest.snapshot_id) if newest.snapshot_id else Snapshot(rows=())
        judged = judgements(conn, kind, newest.version)
    before, now = ({(row.utterance_id, row.revision) for row in each.of("train")} for each in (learned, snapshot))
    operation_id = f"retrain/{kind}/{snapshot.snapshot_id}/{how[:16]}"
    found = LearnPlan(kind, cycle, operation_id, snapshot, new=len(now ^ before), pseudo=pseudo)
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


def _not_due(corpus: Corpus, settings: Settings, found: LearnPlan) -> str:
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


# --- learn ------------------------------------------------------------------------------------------------------------


def learn(corpus: Corpus, settings: Settings, plan: LearnPlan, flow_run: str) -> LearnedVersion:
    """Register a version that learned from the plan's snapshot; take up an earlier attempt's, never double it."""
    if plan.version is not None:
        return LearnedVersion(plan.version, already=True)
    with corpus.read() as conn:
        stored = result_of(conn, plan.operation_id)
    if stored is not None:
        return replace(LearnedVersion.from_json(stored), already=True)
    from training.tracking import registry, runs
    from training.tracking.store import open_tracking
    from training.tracking.system import measured
    from training.tracking.version_files import folder_digest

    tracking = open_tracking(settings.tracking, settings.home)
    base = folder_digest(models.base_folder(settings.models, plan.kind))
    facts = _facts(corpus, settings, plan, base, flow_run)
    folder = settings.home / "work" / digest(plan.operation_id)[:16]
    training = None
    with runs.tracked_run(tracking, facts) as run_id:
        earlier = registry.registered(tracking, plan.kind, plan.operation_id)
        if earlier is not None:
            number, uri = earlier.version, earlier.model_uri
        else:
            with measured(tracking, run_id):
                training = _fit(corpus, settings, plan, folder, tracking, run_id)
            tags = {registry.SNAPSHOT_TAG: plan.snapshot.snapshot_id}
            number, uri = registry.register(tracking, plan.kind, folder, run_id, plan.operation_id, tags)
        for done in (folder, kept_folder(folder, plan.kind)):
            shutil.rmtree(done, ignore_errors=True)
    parent = models.champion(corpus, plan.kind).version
    uri = models.portable(settings.home, uri)
    version = ModelVersion(plan.kind, number, run_id, plan.snapshot.snapshot_id, base, parent, uri)
    with corpus.operation(plan.operation_id, "retrain") as op:
        if not op.done:
            _put_version(op, plan, version, training)
        return LearnedVersion.from_json(op.result)


def _put_version(op: Operation, plan: LearnPlan, version: ModelVersion, training: Training | None) -> None:
    """Store the version with its snapshot; it is tainted where something it learned from was erased meanwhile."""
    store.put_snapshot(op.conn, plan.snapshot, plan.kind)
    taught = [row.utterance_id for row in plan.snapshot.of("train")] + list(plan.pseudo.ids)
    gone = utterances.erased(op.conn, taught)
    store.put_version(op.conn, replace(version, tainted=bool(gone)))
    learned = LearnedVersion(
        version=version.version,
        snapshot=plan.snapshot.snapshot_id,
        labels=len(plan.snapshot.of("train")),
        new_labels=plan.new,
        training=training,
        already=None if training else True,
    )
    op.result = learned.to_json()
    if plan.pseudo.ids:  # by them an erasure finds the versions that they taught
        heard_by = list(plan.pseudo.heard_by)
        op.result["pseudo"] = {"weight": plan.pseudo.weight, "by": heard_by, "ids": list(plan.pseudo.ids)}


def _facts(corpus: Corpus, settings: Settings, plan: LearnPlan, base: str, flow_run: str) -> RunFacts:
    from training.tracking.facts import RunFacts

    finetune = settings.asr if plan.kind == "asr" else settings.intent
    with corpus.read() as conn:
        newest, minutes = rounds.rounds(conn)[-1:], labels.annotator_minutes(conn)
    return RunFacts(
        operation_id=plan.operation_id,
        name=f"{plan.kind} {plan.cycle}",
        kind=plan.kind,
        cycle=plan.cycle,
        config={
            plan.kind: finetune.model_dump(mode="json"),
            "sampling": settings.sampling.model_dump(mode="json"),
            "promotion": settings.promotion.model_dump(mode="json"),
            "text": {"normaliser": NORMALISER},
            "pseudo": {"count": len(plan.pseudo.ids), "weight": plan.pseudo.weight},
        },
        snapshot_id=plan.snapshot.snapshot_id,
        base=base,
        parent=models.champion(corpus, plan.kind).version,
        round=newest[0].round if newest else "",
        strategy=settings.sampling.strategy,
        seed=settings.sampling.seed,
        flow_run_id=flow_run,
        labels=len(plan.snapshot.of("train")),
        annotator_minutes=minutes,
    )


def kept_folder(folder: Path, kind: Kind) -> Path:
    """Return where a long training of that work folder is kept, beside it."""
    return folder.with_name(f"{folder.name}-{kind}-kept")


def _fit(
    corpus: Corpus, settings: Settings, plan: LearnPlan, folder: Path, tracking: Tracking, run_id: str
) -> Training:
    """Fine-tune the base into the folder and log its losses; what a killed run kept of it is taken up."""
    from training.metrics import learning_series
    from training.tracking.runs import log_series

    kept = kept_folder(folder, plan.kind)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    others = [other for other in folder.parent.glob(f"*-{plan.kind}-kept") if other != kept]
    # what learned from other labels, of which somebody may have had some erased, and drafts of a killed run
    for left in (folder, *others, *folder.parent.glob(".tmp-*")):
        shutil.rmtree(left, ignore_errors=True)
    base = models.base_folder(settings.models, plan.kind)
    train, dev = (plan.snapshot.of(role) for role in LEARN_FROM)
    with progress.track(f"fine-tune {plan.kind}", None) as advance:

        def on_progress(done: int, total: int, loss: float) -> None:
            advance(done, total)

        if plan.kind == "asr":
            from training.finetune_asr import finetune_asr

            clips, watching = asr_examples(corpus, train, plan.pseudo), asr_examples(corpus, dev)
            heard = finetune_asr(base, clips, folder, settings.asr, on_progress, watching, checkpoint=kept)
            series = learning_series(heard.losses, {"dev_wer": heard.dev_wer}, {"dev_wer": heard.watched})
            took = Training(
                examples=heard.examples,
                left_out=len(heard.too_long) + len(heard.unspellable),
                too_long=heard.too_long or None,
                unspellable=heard.unspellable or None,
                resumed_at_step=heard.resumed or None,
                seconds=round(heard.seconds, 1),
            )
        else:
            from training.finetune_intent import finetune_intent

            texts, watching_texts = intent_examples(corpus, train, plan.pseudo), intent_examples(corpus, dev)
            read = finetune_intent(base, texts, folder, settings.intent, on_progress, watching_texts, checkpoint=kept)
            series = learning_series(read.losses, {"dev_accuracy": read.dev_accuracy}, {"dev_error": read.watched})
            took = Training(
                examples=read.examples,
                left_out=0,
                resumed_at_step=read.resumed or None,
                seconds=round(read.seconds, 1),
            )
    log_series(tracking, run_id, series)
    return took
