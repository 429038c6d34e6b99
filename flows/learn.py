"""Learn and register: a version from the base and the current snapshot."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from corpus import operation_ids
from corpus.handle import Corpus
from corpus.operations import result_of
from corpus.records import Kind, ModelVersion, Role, Snapshot, digest
from corpus.store import costs, judgements, labels, pseudo_labels, rounds, utterances
from corpus.store import models as store
from corpus.store.judgements import Judgement
from corpus.text import NORMALISER
from flows import console, judge, models
from flows.examples import NOTHING_PSEUDO, Pseudo, asr_examples, choose_pseudo, intent_examples
from flows.settings import Settings

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


def ensure_champions(corpus: Corpus, settings: Settings) -> None:
    """Each kind has a champion: where there is none, its base is registered as version 1; MLflow's aliases agree."""
    from training.tracking.store import open_tracking

    tracking = open_tracking(settings.tracking, settings.home)
    for kind in models.KINDS:
        _register_base(corpus, settings, kind, tracking)
    judge.mirror_aliases(corpus, settings, tracking)


def _register_base(corpus: Corpus, settings: Settings, kind: Kind, tracking: Any) -> None:
    """The base that the settings name is a version; the first base of all is the champion, too."""
    from training.tracking.facts import RunFacts
    from training.tracking.registry import register
    from training.tracking.runs import tracked_run
    from training.tracking.version_files import folder_digest

    folder = models.base_folder(settings, kind)
    base = folder_digest(folder)
    with corpus.read() as conn:
        if any(each.origin == "base" and each.base == base for each in store.versions(conn, kind)):
            return
    operation_id = operation_ids.register_base(kind, base)
    with tracked_run(tracking, RunFacts(operation_id, f"base {kind}", kind, base=base)) as run_id:
        number, uri = register(tracking, kind, folder, run_id, operation_id)
    with corpus.operation(operation_id, "register") as op:
        if not op.done:
            store.put_version(op.conn, ModelVersion(kind, number, run_id, "", base, "", models.portable(settings, uri)))
            if store.alias(op.conn, kind, "champion") is None:
                store.move_alias(op.conn, kind, "champion", None, number)
            op.result = {"kind": kind, "version": number}


def plan(corpus: Corpus, settings: Settings, kind: Kind, cycle: str, *, only_if_due: bool) -> LearnPlan:
    """Returns what there is to learn or to judge, or why nothing is due."""
    from training.tracking.version_files import folder_digest

    snapshot = judge.current_snapshot(corpus, settings, kind)
    finetune = settings.asr if kind == "asr" else settings.intent
    pseudo = choose_pseudo(corpus, settings, kind, snapshot)
    base = folder_digest(models.base_folder(settings, kind))
    how = digest([finetune.model_dump(mode="json"), base, *filter(None, [pseudo.digest()])])
    with corpus.read() as conn:
        newest = [version for version in store.versions(conn, kind) if version.origin != "outside"][-1]
        champion = store.alias(conn, kind, "champion")
        learned = store.snapshot(conn, newest.snapshot_id) if newest.snapshot_id else Snapshot(rows=())
        judged = judgements.of_version(conn, kind, newest.version)
    before, now = ({(row.utterance_id, row.revision) for row in each.of("train")} for each in (learned, snapshot))
    operation_id = operation_ids.retrain(kind, snapshot.snapshot_id, how)
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
    """Returns whether the last judgement had too few rows and there are others by now."""
    last = judged[-1:]
    return bool(last) and last[0].decision == "indicative" and last[0].rows_id != snapshot.eval_set_id


def _not_due(corpus: Corpus, settings: Settings, found: LearnPlan) -> str:
    if found.new < settings.night.min_new_labels:
        return f"{found.new} new training labels, a retraining is due at {settings.night.min_new_labels}"
    audit = judge.audit_set(corpus, settings, found.kind, found.snapshot.of("audit"))
    rows, speakers = len(audit.labels), len(set(audit.speaker_ids.values()))
    gate = settings.promotion
    if rows < gate.min_audit_rows or speakers < gate.min_speakers:
        return (
            f"{rows} audit rows of {speakers} speakers can't judge it yet, "
            f"the gate needs {gate.min_audit_rows} of {gate.min_speakers}"
        )
    return ""


# --- learn ------------------------------------------------------------------------------------------------------------


def learn(corpus: Corpus, settings: Settings, plan: LearnPlan, flow_run: str) -> dict[str, Any]:
    """A version learned from the plan's snapshot is registered; an earlier attempt's is taken up, never doubled."""
    if plan.version is not None:
        return {"version": plan.version, "already": True}
    with corpus.read() as conn:
        stored = result_of(conn, plan.operation_id)
    if stored is not None:
        return {**stored, "already": True}
    from training.tracking import registry, runs
    from training.tracking.store import open_tracking
    from training.tracking.system import measured
    from training.tracking.version_files import folder_digest

    tracking = open_tracking(settings.tracking, settings.home)
    base = folder_digest(models.base_folder(settings, plan.kind))
    facts = _facts(corpus, settings, plan, base, flow_run)
    folder = settings.home / "work" / digest(plan.operation_id)[:16]
    with runs.tracked_run(tracking, facts) as run_id:
        earlier = registry.registered(tracking, plan.kind, plan.operation_id)
        if earlier is not None:
            number, uri, report = earlier.version, earlier.model_uri, {"already": True}
        else:
            with measured(tracking, run_id):
                report = _fit(corpus, settings, plan, folder, tracking, run_id)
            tags = {registry.SNAPSHOT_TAG: plan.snapshot.snapshot_id}
            number, uri = registry.register(tracking, plan.kind, folder, run_id, plan.operation_id, tags)
        for done in (folder, kept_folder(folder, plan.kind)):
            shutil.rmtree(done, ignore_errors=True)
    parent = models.champion(corpus, plan.kind).version
    with corpus.operation(plan.operation_id, "retrain") as op:
        if not op.done:
            store.put_snapshot(op.conn, plan.snapshot, plan.kind)
            uri = models.portable(settings, uri)
            version = ModelVersion(plan.kind, number, run_id, plan.snapshot.snapshot_id, base, parent, uri)
            taught = [row.utterance_id for row in plan.snapshot.of("train")] + list(plan.pseudo.ids)
            gone = utterances.erased(op.conn, taught)  # while it learned
            store.put_version(op.conn, replace(version, tainted=bool(gone)))
            op.result = {
                "version": number,
                "snapshot": plan.snapshot.snapshot_id,
                "labels": len(plan.snapshot.of("train")),
                "new_labels": plan.new,
                **report,
            }
            if plan.pseudo.ids:  # by their rows an erasure finds the versions that they taught
                left = [i for i in plan.pseudo.ids if i not in gone]
                by, weight = plan.pseudo.heard_by, plan.pseudo.weight
                pseudo_labels.put(op.conn, plan.kind, number, left, weight, by)
                op.result["pseudo"] = len(plan.pseudo.ids)
            if "seconds" in report:
                costs.put_training(op.conn, plan.kind, number, report["seconds"])
        return dict(op.result)


def _facts(corpus: Corpus, settings: Settings, plan: LearnPlan, base: str, flow_run: str) -> Any:
    from training.tracking.facts import RunFacts

    finetune = settings.asr if plan.kind == "asr" else settings.intent
    with corpus.read() as conn:
        newest = rounds.rounds(conn)[-1:]
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
        annotator_minutes=_minutes(corpus),
    )


def _minutes(corpus: Corpus) -> float:
    with corpus.read() as conn:
        return round(sum(row.lead_time for row in labels.latest_answers(conn)) / 60.0, 3)


def kept_folder(folder: Path, kind: Kind) -> Path:
    """Returns where a long training of that work folder is kept, beside it."""
    return folder.with_name(f"{folder.name}-{kind}-kept")


def _fit(
    corpus: Corpus, settings: Settings, plan: LearnPlan, folder: Path, tracking: Any, run_id: str
) -> dict[str, Any]:
    """The folder holds the fine-tuned model; the run holds its losses. What a killed run kept of it is taken up."""
    from training.tracking.runs import log_series

    kept = kept_folder(folder, plan.kind)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    others = [other for other in folder.parent.glob(f"*-{plan.kind}-kept") if other != kept]
    # what learned from other labels, of which somebody may have had some erased, and drafts of a killed run
    for left in (folder, *others, *folder.parent.glob(".tmp-*")):
        shutil.rmtree(left, ignore_errors=True)
    base = models.base_folder(settings, plan.kind)
    train, dev = (plan.snapshot.of(role) for role in LEARN_FROM)
    with console.progress(f"fine-tune {plan.kind}", None) as advance:

        def on_progress(done: int, total: int, loss: float) -> None:
            advance(done, total)

        if plan.kind == "asr":
            from training.finetune_asr import finetune_asr

            clips, watching = asr_examples(corpus, train, plan.pseudo), asr_examples(corpus, dev)
            result: Any = finetune_asr(base, clips, folder, settings.asr, on_progress, watching, checkpoint=kept)
            before_after, watched = {"dev_wer": result.dev_wer}, {"dev_wer": result.watched}
            left_out = {"too_long": list(result.too_long), "unspellable": list(result.unspellable)}
        else:
            from training.finetune_intent import finetune_intent

            texts, told = intent_examples(corpus, train, plan.pseudo), intent_examples(corpus, dev)
            result = finetune_intent(base, texts, folder, settings.intent, on_progress, told, checkpoint=kept)
            before_after, watched = {"dev_accuracy": result.dev_accuracy}, {"dev_error": result.watched}
            left_out = {}
    series = {"train_loss": {k + 1: float(v) for k, v in enumerate(result.losses)}}
    series |= {f"{name}_by_epoch": {k + 1: v for k, v in enumerate(found)} for name, found in watched.items() if found}
    series |= {
        name: {0: pair[0], len(result.losses): pair[1]} for name, pair in before_after.items() if pair is not None
    }
    log_series(tracking, run_id, series)
    return {
        "examples": result.examples,
        "left_out": sum(map(len, left_out.values())),
        **{why: ids for why, ids in left_out.items() if ids},
        **({"resumed_at_step": result.resumed} if result.resumed else {}),
        "seconds": round(result.seconds, 1),
    }
