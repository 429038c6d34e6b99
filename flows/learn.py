"""Learn, judge, register, promote: a version from the base and the current snapshot, and what becomes of it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpus.handle import Corpus
from corpus.operations import result_of
from corpus.records import Kind, ModelVersion, Snapshot, digest
from corpus.store import labels, rounds
from corpus.store import models as store
from flows import console, judge, models
from flows.settings import Settings

KINDS: tuple[Kind, ...] = ("asr", "intent")


@dataclass(frozen=True, slots=True)
class LearnPlan:
    """What a retraining does.

    Attributes:
        skipped: why nothing is due; "" where something is.
        version: learned by an earlier run that was killed before it was judged; None where it is to be learned.
        new: training labels that no version of the kind has learned from.
    """

    kind: Kind
    cycle: str
    snapshot: Snapshot
    skipped: str = ""
    version: str | None = None
    new: int = 0

    @property
    def operation_id(self) -> str:
        """The same labels make the same version once."""
        return f"retrain/{self.kind}/{self.snapshot.snapshot_id}"


def ensure_champions(corpus: Corpus, settings: Settings) -> None:
    """Each kind has a champion: where there is none, its base is registered as version 1; MLflow's aliases agree."""
    from training.tracking.store import open_tracking

    missing = []
    with corpus.read() as conn:
        missing = [kind for kind in KINDS if store.alias(conn, kind, "champion") is None]
    tracking = open_tracking(settings.tracking, settings.home)
    for kind in missing:
        _register_base(corpus, settings, kind, tracking)
    judge.mirror_aliases(corpus, settings, tracking)


def _register_base(corpus: Corpus, settings: Settings, kind: Kind, tracking: Any) -> None:
    from training.tracking.registry import folder_digest, register
    from training.tracking.runs import RunFacts, tracked_run

    folder = models.base_folder(settings, kind)
    base = folder_digest(folder)
    operation_id = f"base/{kind}/{base}"
    with tracked_run(tracking, RunFacts(operation_id, f"base {kind}", kind, base=base)) as run_id:
        number, uri = register(tracking, kind, folder, run_id, operation_id)
    with corpus.operation(operation_id, "register") as op:
        if not op.done:
            store.put_version(op.conn, ModelVersion(kind, number, run_id, "", base, "", models.portable(settings, uri)))
            store.move_alias(op.conn, kind, "champion", None, number)
            op.result = {"kind": kind, "version": number}


def plan(corpus: Corpus, settings: Settings, kind: Kind, cycle: str, *, only_if_due: bool) -> LearnPlan:
    """Returns what there is to learn, or why nothing is due."""
    snapshot = judge.current_snapshot(corpus, kind)
    with corpus.read() as conn:
        newest = max(store.versions(conn, kind), key=lambda version: int(version.version))
        learned = store.snapshot(conn, newest.snapshot_id) if newest.snapshot_id else Snapshot(rows=())
        judged = result_of(conn, _judge_id(kind, newest.version, learned))
    if newest.snapshot_id and judged is None:
        return LearnPlan(kind, cycle, learned, version=newest.version)
    before = {(row.utterance_id, row.revision) for row in learned.of("train")}
    new = sum((row.utterance_id, row.revision) not in before for row in snapshot.of("train"))
    found = LearnPlan(kind, cycle, snapshot, new=new)
    why = _not_due(corpus, settings, found) if only_if_due else "" if new else "no label that was not learned from yet"
    return LearnPlan(kind, cycle, snapshot, skipped=why, new=new)


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

    tracking = open_tracking(settings.tracking, settings.home)
    base = registry.folder_digest(models.base_folder(settings, plan.kind))
    facts = _facts(corpus, settings, plan, base, flow_run)
    with runs.tracked_run(tracking, facts) as run_id:
        earlier = registry.registered(tracking, plan.kind, plan.operation_id)
        if earlier is not None:
            number, uri, report = earlier.version, earlier.model_uri, {"already": True}
        else:
            folder = settings.home / "work" / digest(plan.operation_id)[:16]
            report = _fit(corpus, settings, plan, folder, tracking, run_id)
            tags = {registry.SNAPSHOT_TAG: plan.snapshot.snapshot_id}
            number, uri = registry.register(tracking, plan.kind, folder, run_id, plan.operation_id, tags)
            shutil.rmtree(folder, ignore_errors=True)
    parent = models.champion(corpus, plan.kind).version
    with corpus.operation(plan.operation_id, "retrain") as op:
        if not op.done:
            store.put_snapshot(op.conn, plan.snapshot, plan.kind)
            uri = models.portable(settings, uri)
            version = ModelVersion(plan.kind, number, run_id, plan.snapshot.snapshot_id, base, parent, uri)
            store.put_version(op.conn, version)
            op.result = {
                "version": number,
                "snapshot": plan.snapshot.snapshot_id,
                "labels": len(plan.snapshot.of("train")),
                "new_labels": plan.new,
                **report,
            }
        return dict(op.result)


def _facts(corpus: Corpus, settings: Settings, plan: LearnPlan, base: str, flow_run: str) -> Any:
    from training.tracking.runs import RunFacts

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
        },
        snapshot_id=plan.snapshot.snapshot_id,
        eval_set_id=plan.snapshot.eval_set_id,
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


def _fit(
    corpus: Corpus, settings: Settings, plan: LearnPlan, folder: Path, tracking: Any, run_id: str
) -> dict[str, Any]:
    """The folder holds the fine-tuned model; the run holds its losses."""
    from training.tracking.runs import log_series

    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    base = models.base_folder(settings, plan.kind)
    with console.progress(f"fine-tune {plan.kind}", None) as advance:

        def on_progress(done: int, total: int, loss: float) -> None:
            advance(done)

        if plan.kind == "asr":
            from training.finetune_asr import finetune_asr

            result: Any = finetune_asr(base, _asr_examples(corpus, plan), folder, settings.asr, on_progress)
            left_out = len(result.too_long) + len(result.unspellable)
        else:
            from training.finetune_intent import finetune_intent

            result = finetune_intent(base, _intent_examples(corpus, plan), folder, settings.intent, on_progress)
            left_out = 0
    log_series(tracking, run_id, {"train_loss": {k + 1: float(v) for k, v in enumerate(result.losses)}})
    return {"examples": result.examples, "left_out": left_out, "seconds": round(result.seconds, 1)}


def _asr_examples(corpus: Corpus, plan: LearnPlan) -> list[Any]:
    from training.ctc_loop import AsrExample

    rows = {row.utterance_id: row for row in plan.snapshot.of("train")}
    revisions = {i: row.revision for i, row in rows.items()}
    opened = corpus.open(sorted(rows), "train", parts=("audio", "label"), strict=False, label_revisions=revisions)
    return [
        AsrExample(c.utterance.utterance_id, c.audio, c.label.transcript, rows[c.utterance.utterance_id].weight)
        for c in opened
        if c.audio is not None and c.label is not None and c.label.transcript
    ]


def _intent_examples(corpus: Corpus, plan: LearnPlan) -> list[Any]:
    """Returns transcripts with their slots and, as the model hears errors at work, drafts with the intent alone."""
    from training.finetune_intent import IntentExample

    rows = {row.utterance_id: row for row in plan.snapshot.of("train")}
    revisions = {i: row.revision for i, row in rows.items()}
    opened = corpus.open(sorted(rows), "train", parts=("hypotheses", "label"), strict=False, label_revisions=revisions)
    examples = []
    for content in opened:
        label, utterance_id = content.label, content.utterance.utterance_id
        if label is None or label.intent is None:
            continue
        weight = rows[utterance_id].weight
        draft = content.hypotheses[0].text if content.hypotheses else ""
        if label.transcript:
            examples.append(IntentExample(utterance_id, label.transcript, label.intent, label.slots, weight))
        if draft and draft != label.transcript:
            examples.append(IntentExample(f"{utterance_id}/draft", draft, label.intent, None, weight))
    return examples


# --- judge and promote ------------------------------------------------------------------------------------------------


def _judge_id(kind: Kind, version: str, snapshot: Snapshot) -> str:
    return f"judge/{kind}/{version}/{snapshot.eval_set_id}"


def judge_and_promote(corpus: Corpus, settings: Settings, plan: LearnPlan, number: str) -> dict[str, Any]:
    """The gate has decided on the version, once for an evaluation set, and the aliases stand accordingly."""
    operation_id = _judge_id(plan.kind, number, plan.snapshot)
    with corpus.read() as conn:
        stored = result_of(conn, operation_id)
        looks = store.looks(conn, plan.kind)
    if stored is not None:
        return {**stored, "already": True}
    from training.promotion import decide, decision_text
    from training.tracking.store import open_tracking

    challenger = models.by_name(corpus, plan.kind, number)
    champion = models.champion(corpus, plan.kind)
    audit = judge.audit_set(corpus, settings, plan.kind, plan.snapshot.of("audit"))
    if not audit.labels:
        return {"decision": "indicative", "why": "no audit row is labelled, so nothing can judge it"}
    found = judge.reports(corpus, settings, audit, [champion, challenger, models.by_name(corpus, plan.kind, "base")])
    decision = decide(found[champion.version], found[challenger.version], looks + 1, settings.promotion, audit.slices)
    text = decision_text(decision)
    tracking = open_tracking(settings.tracking, settings.home)
    _log(corpus, tracking, challenger, audit, found, decision, text)
    with corpus.operation(operation_id, "judge") as op:
        if not op.done:
            if decision.decision != "indicative":  # nothing could move, so no look is spent
                store.put_promotion(
                    op.conn, plan.kind, number, champion.version, audit.eval_set_id, looks + 1, decision.decision,
                    decision.as_json(),
                )  # fmt: skip
            _move(op.conn, plan.kind, number, champion.version, promote=decision.promotes)
            op.result = {
                "decision": decision.decision,
                "why": "; ".join(decision.reasons),
                "champion": number if decision.promotes else champion.version,
                "decision_text": text + "\n",
            }
        result = dict(op.result)
    judge.mirror_aliases(corpus, settings, tracking)
    return result


def _move(conn: Any, kind: Kind, number: str, champion: str, *, promote: bool) -> None:
    store.move_alias(conn, kind, "challenger", store.alias(conn, kind, "challenger"), number)
    if promote:
        store.move_alias(conn, kind, "previous", store.alias(conn, kind, "previous"), champion)
        store.move_alias(conn, kind, "champion", champion, number)


def _log(
    corpus: Corpus, tracking: Any, version: ModelVersion, audit: judge.AuditSet, found: Any, decision: Any, text: str
) -> None:
    """The version's run holds its figures, the champion's, the decision and the plots."""
    from training.intervals import IntervalSettings, report_interval
    from training.metrics import gain_per_100_labels, metrics, rightness, slice_rows
    from training.tracking import figures, runs

    report, base = found[version.version], found["1"]
    rate, base_rate = (report_interval(each, IntervalSettings()) for each in (report, base))
    with corpus.read() as conn:
        count = len(store.snapshot(conn, version.snapshot_id).of("train"))
    values = metrics(report, audit.slices)
    values |= {
        "base_error": base_rate.value,
        "champion_error": decision.champion.value,
        "difference": decision.difference.value,
        "difference_low": decision.difference.low,
        "difference_high": decision.difference.high,
        "promoted": float(decision.promotes),
        "gain_per_100_labels": gain_per_100_labels(base_rate.value, rate.value, count),
    }
    runs.log_metrics(tracking, version.run_id, {k: v for k, v in values.items() if np.isfinite(v)})
    runs.log_document(tracking, version.run_id, "decision.json", decision.as_json())
    runs.log_document(tracking, version.run_id, "decision.txt", text + "\n")
    measure = judge.MEASURE[version.kind]
    plots = {
        "reliability": figures.reliability(report.confidence, rightness(report)),
        "slices": figures.slice_intervals(slice_rows(report, audit.slices), rate, measure),
        "learning_curve": figures.learning_curve({version.kind: _curve(corpus, version.kind, audit, found)}, measure),
    }
    runs.log_figures(tracking, version.run_id, plots)


def _curve(corpus: Corpus, kind: Kind, audit: judge.AuditSet, found: Any) -> list[tuple[float, Any]]:
    """Returns (labels, error rate) of the versions that were judged on this set."""
    from training.intervals import IntervalSettings, report_interval

    points: list[tuple[float, Any]] = []
    with corpus.read() as conn:
        for version in store.versions(conn, kind):
            report = found.get(version.version) or store.report(conn, kind, version.version, audit.eval_set_id)
            if report is not None:
                count = len(store.snapshot(conn, version.snapshot_id).of("train")) if version.snapshot_id else 0
                points.append((float(count), report_interval(report, IntervalSettings())))
    return points


def promoted(results: Sequence[dict[str, Any]]) -> list[str]:
    """Returns the versions that became champion."""
    return [result["champion"] for result in results if result.get("decision") == "promote"]
