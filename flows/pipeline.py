"""The Prefect flows: the journey from arrival to promotion, each line naming the file to open next.

A flow takes names and dates only, since Prefect stores parameters in clear; the settings come from the running command
or, where a schedule started the flow, from the config that it names. A task is a step or a shard, never an utterance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from prefect import flow, runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from corpus.errors import EarmarkError, UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.storage import operation_ids
from corpus.tables import nights, utterances
from flows.models.base_models import ensure_champions
from flows.models.registry import KINDS
from flows.nights.night import Night
from flows.nights.sampling_frame import closed_night, is_sampled, sampling_frame
from flows.reports.night_page import night_markdown
from flows.rounds import label_evidence
from flows.runtime.results import Result, Skipped
from flows.runtime.session import at_work, without_content
from flows.runtime.settings import Settings
from flows.steps import annotation_backends, merge_total, promote, retrain_plan, review_annotators
from flows.steps import export as export_step
from flows.steps import import_corpus as import_corpus_step
from flows.steps import ingest as ingest_step
from flows.steps import merge as merge_step
from flows.steps import retrain as retrain_step
from flows.steps import sample as sample_step
from flows.steps import score as scoring
from flows.steps.export import ExportReport
from flows.steps.import_corpus import ImportReport
from flows.steps.ingest import IngestReport
from flows.steps.label_studio_sync import PushReport, SettleReport
from flows.steps.merge import MergeReport
from flows.steps.merge_total import MergeSkipped, MergeTotal
from flows.steps.retrain import RetrainReport
from flows.steps.review_annotators import ReviewReport
from flows.steps.sample import SampleReport
from flows.steps.score import ScoreReport
from flows.tasks import answer_inbox, task_status
from flows.tasks.task_status import SweepReport

P = ParamSpec("P")
R = TypeVar("R")


def _step(function: Callable[P, R], name: str) -> Callable[P, R]:
    """Return the function as a Prefect task: not cached, not stored, and leaking nothing when it fails."""
    made = task(name=name, cache_policy=NO_CACHE, persist_result=False)(without_content(function))
    return cast(Callable[P, R], made)


sweeping = _step(task_status.sweep, "sweep")
arrivals = _step(ingest_step.ingest_manifests, "ingest")
labelled = _step(import_corpus_step.import_corpus, "import")
scores = _step(scoring.score_shard, "score")
choice = _step(sample_step.sample_round, "sample")
tasks_out = _step(export_step.export_round, "export")
pushing = _step(annotation_backends.push, "push")
pulling = _step(annotation_backends.pull, "pull")
settling = _step(annotation_backends.settle, "settle")
answers_in = _step(merge_step.merge_file, "merge")
reviewing = _step(review_annotators.review, "review")
learning = _step(retrain_step.retrain, "retrain")
judging = _step(promote.judge_and_promote, "judge")


@flow(name="ingest")
@without_content
def ingest(manifest: str, config: str | None = None) -> IngestReport:
    """Ingest the manifest."""
    with at_work(config) as (corpus, settings):
        return arrivals(corpus, settings, [Path(manifest)], ours=False)


@flow(name="import")
@without_content
def import_corpus(
    source: str,
    split: str | None = None,
    subset: str | None = None,
    limit: int | None = None,
    config: str | None = None,
) -> ImportReport:
    """Import the utterances and labels of a labelled corpus."""
    with at_work(config) as (corpus, settings):
        return labelled(corpus, settings, source, split, subset, limit)


@flow(name="score")
@without_content
def score(night: str | None = None, config: str | None = None) -> ScoreReport:
    """Score what the champions have not scored yet."""
    with at_work(config) as (corpus, settings):
        ensure_champions(corpus, settings)
        when = closed_night(settings.night, night) if night else None
        with corpus.read() as conn:
            ids = utterances.in_window(conn, when.start, when.end) if when else utterances.in_window(conn)
        report, again = _score(corpus, settings, ids), _rescore(corpus, settings)
        return replace(report, rescored=again.scored if isinstance(again, ScoreReport) else 0)


@flow(name="sample")
@without_content
def sample(night: str | None = None, config: str | None = None) -> SampleReport:
    """Choose the night's few."""
    with at_work(config) as (corpus, settings):
        return _choose(corpus, settings, closed_night(settings.night, night))


@flow(name="export")
@without_content
def export(night: str | None = None, config: str | None = None) -> ExportReport:
    """Export the chosen utterances as tasks for annotators."""
    with at_work(config) as (corpus, settings):
        return _export(corpus, settings, closed_night(settings.night, night).name, again=True)


@flow(name="merge")
@without_content
def merge(files: list[str] | None = None, config: str | None = None) -> MergeTotal | MergeSkipped:
    """Make labels of what annotators answered; without files, of what lies in the answers folder or on Label Studio."""
    with at_work(config) as (corpus, settings):
        return _merge(corpus, settings, [Path(file) for file in files] if files is not None else None)


@flow(name="retrain")
@without_content
def retrain(kind: str, config: str | None = None) -> RetrainReport | Skipped:
    """Learn a version of the kind, `asr` or `intent`, judge it, and promote it where the gate allows."""
    if kind not in KINDS:
        raise UsageError(f"kind {kind!r} is unknown; known are {', '.join(KINDS)}")
    with at_work(config) as (corpus, settings):
        ensure_champions(corpus, settings)
        return _retrain(corpus, settings, kind, cycle="by-hand", only_if_due=False)


@dataclass(frozen=True, slots=True)
class MorningReport(Result):
    """What the first half of a nightly run did, step by step."""

    merge: MergeTotal | MergeSkipped
    retrain_asr: RetrainReport | Skipped = field(metadata={"key": "retrain asr"})
    retrain_intent: RetrainReport | Skipped = field(metadata={"key": "retrain intent"})


@dataclass(frozen=True, slots=True)
class NightlyReport(Result):
    """What a nightly run did, step by step; `night` is its name."""

    night: str
    sweep: SweepReport
    merge: MergeTotal | MergeSkipped
    retrain_asr: RetrainReport | Skipped = field(metadata={"key": "retrain asr"})
    retrain_intent: RetrainReport | Skipped = field(metadata={"key": "retrain intent"})
    ingest: IngestReport
    score: ScoreReport | Skipped
    rescore: ScoreReport | Skipped
    sample: SampleReport
    export: ExportReport


@flow(name="nightly")
@without_content
def nightly(night: str | None = None, config: str | None = None) -> NightlyReport:
    """Run the main job for one night; a step with nothing due says why it was skipped."""
    with at_work(config) as (corpus, settings):
        when = closed_night(settings.night, night)
        ensure_champions(corpus, settings)
        swept = _sweep(corpus, settings)
        merged = _merge(corpus, settings, None)
        asr = _retrain(corpus, settings, "asr", cycle=when.name, only_if_due=True)
        intent = _retrain(corpus, settings, "intent", cycle=when.name, only_if_due=True)
        arrived = arrivals(corpus, settings, ingest_step.waiting_manifests(settings.inbox), ours=True)
        with corpus.read() as conn:
            ids, chosen_before = sampling_frame(conn, settings.night, when)[0], is_sampled(conn, when)
        skipped = Skipped("the night's round stands")
        scored = skipped if chosen_before else _score(corpus, settings, ids)
        rescored = skipped if chosen_before else _rescore(corpus, settings)
        chosen = _choose(corpus, settings, when)
        exported = _export(corpus, settings, when.name)
        report = NightlyReport(when.name, swept, merged, asr, intent, arrived, scored, rescored, chosen, exported)
        with corpus.operation(operation_ids.nightly(when.name), "nightly") as op:
            nights.put_done(op.conn, when.name, corpus.clock())
            op.result = {"night": when.name}
    create_markdown_artifact(night_markdown(report.to_json()), key="night", description=f"night {when.name}")
    return report


@flow(name="morning")
@without_content
def morning(night: str, config: str | None = None) -> MorningReport:
    """Run the first half of a nightly run: merge what came back, and retrain where enough is new."""
    with at_work(config) as (corpus, settings):
        ensure_champions(corpus, settings)
        merged = _merge(corpus, settings, None)
        asr = _retrain(corpus, settings, "asr", cycle=night, only_if_due=True)
        intent = _retrain(corpus, settings, "intent", cycle=night, only_if_due=True)
        return MorningReport(merged, asr, intent)


def _sweep(corpus: Corpus, settings: Settings) -> SweepReport:
    report, settled = sweeping(corpus, settings), _settle(corpus, settings)
    if isinstance(settled, NotDone):
        return replace(report, not_done=settled.not_done)
    return report if settled is None else replace(report, removed=settled.removed)


def _export(corpus: Corpus, settings: Settings, round_: str, *, again: bool = False) -> ExportReport:
    report, pushed = tasks_out(corpus, settings, round_, again=again), _push(corpus, settings)
    if isinstance(pushed, NotDone):
        return replace(report, not_done=pushed.not_done)
    if pushed is None:
        return report
    return replace(report, sent=pushed.sent, removed=pushed.removed, standing=pushed.standing)


def _merge(corpus: Corpus, settings: Settings, files: list[Path] | None) -> MergeTotal | MergeSkipped:
    waiting = answer_inbox.waiting_files(settings.answers) if files is None else files
    there = files is None and annotation_backends.is_external(settings.export)
    if not waiting and not there:
        reviewed = reviewing(corpus, settings)  # what a killed run may have left
        return MergeSkipped("no annotations came back", _found(reviewed))
    reports: list[tuple[str, MergeReport]] = []
    failed: dict[str, str] = {}
    if there:
        try:
            reports.append((annotation_backends.backend_name(settings.export), pulling(corpus, settings)))
        except EarmarkError as error:
            failed[annotation_backends.backend_name(settings.export)] = str(error)
    for file in waiting:
        try:
            report = answers_in(corpus, settings, file, ours=files is None)
            reports.append((answer_inbox.name_of(file), report))
        except UsageError as error:
            if files is not None:
                raise
            failed[answer_inbox.name_of(file)] = str(error)  # nobody watches at night: one file costs only itself
    reviewed = reviewing(corpus, settings)
    if there and not failed:
        settled = _settle(corpus, settings)
        export_step.distribute(corpus, settings)
        pushed = _push(corpus, settings)
        for name, done in (("settle", settled), ("push", pushed)):
            failed |= {name: done.not_done} if isinstance(done, NotDone) else {}
    return merge_total.total(reports, failed, _found(reviewed))


def _found(reviewed: ReviewReport | Skipped) -> ReviewReport | None:
    return None if isinstance(reviewed, Skipped) else reviewed


@dataclass(frozen=True, slots=True)
class NotDone(Result):
    """A step that the place of annotation could not do now, and why; the next run does it."""

    not_done: str


def _push(corpus: Corpus, settings: Settings) -> PushReport | NotDone | None:
    """Push what is exported to the place of annotation, where there is one; a server that is down costs only time."""
    if not annotation_backends.is_external(settings.export):
        return None
    try:
        return pushing(corpus, settings)
    except EarmarkError as error:
        return NotDone(str(error))


def _settle(corpus: Corpus, settings: Settings) -> SettleReport | NotDone | None:
    """Remove what is merged, or may not be opened any more, from Label Studio or another place, where there is one."""
    if not annotation_backends.is_external(settings.export):
        return None
    try:
        return settling(corpus, settings)
    except EarmarkError as error:
        return NotDone(str(error))


def _score(corpus: Corpus, settings: Settings, ids: list[str]) -> ScoreReport:
    taught = label_evidence.labelled_rows(corpus, settings.learned).learned_from
    plan = scoring.plan(corpus, settings.score, ids, taught)
    return scoring.total(plan, _shards(corpus, settings, plan))


def _shards(corpus: Corpus, settings: Settings, plan: scoring.ScorePlan) -> list[scoring.ShardReport]:
    return [scores(corpus, settings.score, settings.home, plan, shard) for shard in plan.shards]


def _rescore(corpus: Corpus, settings: Settings) -> ScoreReport | Skipped:
    """Score the labelled rows that teach a choice with the champions of today."""
    held = label_evidence.labelled_rows(corpus, settings.learned)
    plan = scoring.plan(corpus, settings.score, [row.utterance_id for row in held.rows], held.learned_from)
    if not plan.shards:
        return Skipped("no labelled utterance is unscored by the champions")
    return scoring.total(plan, _shards(corpus, settings, plan))


def _choose(corpus: Corpus, settings: Settings, when: Night) -> SampleReport:
    report = choice(corpus, settings, when)
    sample_step.track(settings.tracking, settings.home, when.name, report)
    return report


def _retrain(
    corpus: Corpus, settings: Settings, kind: Kind, *, cycle: str, only_if_due: bool
) -> RetrainReport | Skipped:
    plan = retrain_plan.plan(corpus, settings, kind, cycle, only_if_due=only_if_due)
    if plan.skipped:
        return Skipped(plan.skipped)
    flow_run = str(runtime.flow_run.id or "")
    learned = learning(corpus, settings, plan, flow_run)
    judgement = judging(corpus, settings, kind, learned.version, plan.snapshot)
    return RetrainReport(learned, judgement)
