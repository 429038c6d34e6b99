"""The Prefect flows: the path of an utterance from ingest to promotion; each line names the file to open next.

The parameters of a flow are names and dates only, since Prefect stores them in clear text. The settings come from the
running command or, where a schedule started the flow, from the config that it names. A Prefect task is a step or a
shard, never an utterance.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

from prefect import flow, runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from corpus import home_id
from corpus.errors import EarmarkError, TrainingRefused, UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.storage import operation_ids
from corpus.tables import nights, utterances
from flows.models.base_models import ensure_champions
from flows.models.inventory import names_in_use
from flows.models.known_texts import champions_on_labels
from flows.models.registry import KINDS
from flows.nights.night import Night
from flows.nights.sampling_frame import closed_night, is_sampled, sampling_frame
from flows.reports import night_html
from flows.reports.night_page import night_markdown
from flows.reports.night_report import NightReport
from flows.rounds import label_evidence
from flows.runtime import progress
from flows.runtime.results import Result, Skipped
from flows.runtime.session import open_for_flow, without_content
from flows.runtime.settings import Settings
from flows.steps import annotation_backends, inventory, merge_total, promote, retrain_plan, review_annotators
from flows.steps import export as export_step
from flows.steps import import_corpus as import_corpus_step
from flows.steps import ingest as ingest_step
from flows.steps import merge as merge_step
from flows.steps import retrain as retrain_step
from flows.steps import sample as sample_step
from flows.steps import score as score_step
from flows.steps.annotation_backends import NotDone
from flows.steps.export import ExportReport
from flows.steps.import_corpus import ImportReport
from flows.steps.ingest import IngestReport
from flows.steps.label_studio_sync import SettleReport
from flows.steps.merge import MergeReport
from flows.steps.merge_total import MergeSkipped, MergeTotal
from flows.steps.retrain import RetrainReport
from flows.steps.review_annotators import ReviewReport
from flows.steps.sample import SampleReport
from flows.steps.score import ScoreReport
from flows.tasks import answer_inbox, task_status
from flows.tasks.task_status import SweepReport
from training.score import ScoreSettings
from training.tracking.store import TrackingSettings

P = ParamSpec("P")
R = TypeVar("R")


def run_name() -> str:
    """Return the name of a flow run on Prefect's pages: the flow, its kind of model, and the night or today."""
    given = runtime.flow_run.parameters or {}
    when = given.get("night") or f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
    return " ".join(str(part) for part in (runtime.flow_run.flow_name, given.get("kind"), when) if part)


@flow(name="ingest", flow_run_name=run_name)
@without_content
def ingest(manifest: str, config: str | None = None) -> IngestReport:
    """Ingest the utterances of a manifest."""
    with open_for_flow(config) as (corpus, settings):
        return _run("ingest", ingest_step.ingest_manifests, corpus, settings, [Path(manifest)], from_inbox=False)


@flow(name="import", flow_run_name=run_name)
@without_content
def import_corpus(
    source: str,
    split: str | None = None,
    subset: str | None = None,
    limit: int | None = None,
    config: str | None = None,
) -> ImportReport:
    """Import the utterances and labels of a labelled corpus."""
    with open_for_flow(config) as (corpus, settings):
        return _run("import", import_corpus_step.import_corpus, corpus, settings, source, split, subset, limit)


@flow(name="score", flow_run_name=run_name)
@without_content
def score(night: str | None = None, config: str | None = None) -> ScoreReport:
    """Score the utterances that the champions have not scored yet."""
    with open_for_flow(config) as (corpus, settings):
        ensure_champions(corpus, settings.home, settings.models, settings.tracking)
        when = closed_night(settings.night, night) if night else None
        with corpus.read() as conn:
            ids = utterances.in_window(conn, when.start, when.end) if when else utterances.in_window(conn)
        scored, rescored = _score(corpus, settings, ids), _rescore(corpus, settings)
        again = rescored.scored if isinstance(rescored, ScoreReport) else 0
        return replace(scored, rescored=again, champions=champions_on_labels(corpus))


@flow(name="sample", flow_run_name=run_name)
@without_content
def sample(night: str | None = None, config: str | None = None) -> SampleReport:
    """Choose the few utterances of the night that annotators are to label."""
    with open_for_flow(config) as (corpus, settings):
        return _sample(corpus, settings, closed_night(settings.night, night))


@flow(name="export", flow_run_name=run_name)
@without_content
def export(night: str | None = None, config: str | None = None) -> ExportReport:
    """Export the chosen utterances as tasks for annotators."""
    with open_for_flow(config) as (corpus, settings):
        return _export(corpus, settings, closed_night(settings.night, night).name, again=True)


@flow(name="merge", flow_run_name=run_name)
@without_content
def merge(files: list[str] | None = None, config: str | None = None) -> MergeTotal | MergeSkipped:
    """Merge annotators' answers into labels; without files, the answers in the inbox and in the annotation backend."""
    with open_for_flow(config) as (corpus, settings):
        return _merge(corpus, settings, [Path(file) for file in files] if files is not None else None)


@flow(name="retrain", flow_run_name=run_name)
@without_content
def retrain(kind: str, config: str | None = None) -> RetrainReport | Skipped:
    """Train a version of the kind, `asr` or `intent`, judge it, and promote it where the gate allows."""
    if kind not in KINDS:
        raise UsageError(f"kind {kind!r} is unknown; known are {', '.join(KINDS)}")
    with open_for_flow(config) as (corpus, settings):
        ensure_champions(corpus, settings.home, settings.models, settings.tracking)
        return _retrain(corpus, settings, kind, cycle="by-hand", only_if_due=False)


@dataclass(frozen=True, slots=True)
class MorningReport(Result):
    """What the first half of a nightly run did, step by step."""

    merge: MergeTotal | MergeSkipped
    retrain_asr: RetrainReport | Skipped = field(metadata={"key": "retrain asr"})
    retrain_intent: RetrainReport | Skipped = field(metadata={"key": "retrain intent"})


@dataclass(frozen=True, slots=True)
class NightlyReport(Result):
    """What a nightly run did, step by step; `night` is its name, `page` the file of its page or why there is none."""

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
    page: str = ""


@flow(name="nightly", flow_run_name=run_name)
@without_content
def nightly(night: str | None = None, config: str | None = None) -> NightlyReport:
    """Run the main job for one night; a step with nothing due says why it was skipped."""
    with open_for_flow(config) as (corpus, settings):
        when = closed_night(settings.night, night)
        ensure_champions(corpus, settings.home, settings.models, settings.tracking)
        with _mlflow_cycle(corpus, settings.home, settings.tracking, when.name):
            report = _night(corpus, settings, when)
        with corpus.operation(operation_ids.nightly(when.name), "nightly") as op:
            nights.put_done(op.conn, when.name, corpus.clock())
            op.result = {"night": when.name}
        page, shown = _page(corpus, settings, when.name)
        report = replace(report, page=page)
    create_markdown_artifact(night_markdown(report.to_json(), shown), key="night", description=f"night {when.name}")
    return report


@flow(name="morning", flow_run_name=run_name)
@without_content
def morning(night: str, config: str | None = None) -> MorningReport:
    """Run the first half of a nightly run: merge the answers, and retrain where enough labels are new."""
    with open_for_flow(config) as (corpus, settings):
        ensure_champions(corpus, settings.home, settings.models, settings.tracking)
        with _mlflow_cycle(corpus, settings.home, settings.tracking, night):
            merged = _merge(corpus, settings, None)
            asr = _retrain(corpus, settings, "asr", cycle=night, only_if_due=True)
            intent = _retrain(corpus, settings, "intent", cycle=night, only_if_due=True)
        return MorningReport(merged, asr, intent)


def _night(corpus: Corpus, settings: Settings, when: Night) -> NightlyReport:
    """Run the steps of a night, each on what the steps before it left."""
    swept = _sweep(corpus, settings)
    merged = _merge(corpus, settings, None)
    asr = _retrain(corpus, settings, "asr", cycle=when.name, only_if_due=True)
    intent = _retrain(corpus, settings, "intent", cycle=when.name, only_if_due=True)
    manifests = ingest_step.waiting_manifests(settings.inbox)
    ingested = _run("ingest", ingest_step.ingest_manifests, corpus, settings, manifests, from_inbox=True)
    with corpus.read() as conn:
        ids, sampled_before = sampling_frame(conn, settings.night, when)[0], is_sampled(conn, when)
    skipped = Skipped("the night's round was chosen before")
    scored = skipped if sampled_before else _score(corpus, settings, ids)
    rescored = skipped if sampled_before else _rescore(corpus, settings)
    if isinstance(scored, ScoreReport):
        scored = replace(scored, champions=champions_on_labels(corpus))
    sampled = _sample(corpus, settings, when)
    exported = _export(corpus, settings, when.name)
    return NightlyReport(when.name, swept, merged, asr, intent, ingested, scored, rescored, sampled, exported)


def _mlflow_cycle(corpus: Corpus, home: Path, store: TrackingSettings, cycle: str) -> AbstractContextManager[str]:
    """Return a context in which the night's run in MLflow is RUNNING; it ends after its last child."""
    from training.tracking.runs import tracked_cycle
    from training.tracking.store import open_tracking

    tracking = open_tracking(store, home)
    return tracked_cycle(tracking, cycle, home_id.of_records(corpus.records))


def _run(name: str, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a step as a Prefect task: neither cached nor stored, and without content in its error when it fails."""
    made: Callable[P, R] = task(name=name, task_run_name=name, cache_policy=NO_CACHE, persist_result=False)(
        without_content(step)
    )
    return made(*args, **kwargs)


def _run_on_backend(
    name: str, step: Callable[[Corpus, Settings], R], corpus: Corpus, settings: Settings
) -> R | NotDone | None:
    """Run a step on the annotation backend; return None where tasks are only in the task folder.

    A backend that does not answer fails only this step; the next run repeats it.
    """
    if not annotation_backends.is_external(settings.export):
        return None
    try:
        return _run(name, step, corpus, settings)
    except EarmarkError as error:
        return NotDone(str(error))


def _sweep(corpus: Corpus, settings: Settings) -> SweepReport:
    folder, answers, due_days = settings.task_folder, settings.answers, settings.export.due_days
    report = _run("sweep", task_status.sweep, corpus, folder, answers, due_days)
    settled = _settle(corpus, settings)
    if isinstance(settled, NotDone):
        return replace(report, not_done=settled.not_done)
    return report if settled is None else replace(report, removed=settled.removed)


def _settle(corpus: Corpus, settings: Settings) -> SettleReport | NotDone | None:
    return _run_on_backend("settle", annotation_backends.settle, corpus, settings)


def _score(corpus: Corpus, settings: Settings, ids: list[str]) -> ScoreReport:
    learned_from = label_evidence.labelled_rows(corpus, settings.learned).learned_from
    plan = score_step.plan(corpus, settings.score, ids, learned_from)
    return score_step.total(plan, _score_shards(corpus, settings.score, settings.home, plan))


def _rescore(corpus: Corpus, settings: Settings) -> ScoreReport | Skipped:
    """Score, with today's champions, the labelled rows from which sampling learns."""
    labelled = label_evidence.labelled_rows(corpus, settings.learned)
    ids = [row.utterance_id for row in labelled.rows]
    plan = score_step.plan(corpus, settings.score, ids, labelled.learned_from)
    if not plan.shards:
        return Skipped("no labelled utterance is unscored by the champions")
    return score_step.total(plan, _score_shards(corpus, settings.score, settings.home, plan))


def _score_shards(
    corpus: Corpus, settings: ScoreSettings, home: Path, plan: score_step.ScorePlan
) -> list[score_step.ShardReport]:
    count = len(plan.shards)
    shards = progress.over(plan.shards, "scoring shards of clips", count, "shards") if count > 1 else plan.shards
    return [_run("score", score_step.score_shard, corpus, settings, home, plan, shard) for shard in shards]


def _sample(corpus: Corpus, settings: Settings, when: Night) -> SampleReport:
    report = _run("sample", sample_step.sample_round, corpus, settings, when)
    sample_step.track(settings.tracking, settings.home, when.name, report)
    return report


def _export(corpus: Corpus, settings: Settings, round_: str, *, again: bool = False) -> ExportReport:
    report = _run("export", export_step.export_round, corpus, settings, round_, again=again)
    pushed = _run_on_backend("push", annotation_backends.push, corpus, settings)
    if isinstance(pushed, NotDone):
        return replace(report, not_done=pushed.not_done)
    if pushed is None:
        return report
    return replace(report, sent=pushed.sent, removed=pushed.removed, open_there=pushed.open_there)


def _page(corpus: Corpus, settings: Settings, night: str) -> tuple[str, NightReport | None]:
    """Write the page of a night; return its file and report, or why it was not written, which fails no nightly run."""
    try:
        report, file = _run("report", night_html.write_night_page, corpus, settings, night)
    except EarmarkError as error:
        return f"not written: {error}", None
    return str(file), report


def _merge(corpus: Corpus, settings: Settings, files: list[Path] | None) -> MergeTotal | MergeSkipped:
    """Merge the files or, where None, the answers in the inbox and in the annotation backend; review the annotators."""
    _run("settle inventory", inventory.settle, corpus, names_in_use(corpus, settings.home, settings.inventory))
    waiting = answer_inbox.waiting_files(settings.answers) if files is None else files
    from_backend = files is None and annotation_backends.is_external(settings.export)
    if not waiting and not from_backend:
        # a killed run may not have reviewed
        return MergeSkipped("no annotations came back", _review(corpus, settings))
    reports: list[tuple[str, MergeReport]] = []
    failed: dict[str, str] = {}
    backend = annotation_backends.backend_name(settings.export)
    if from_backend:
        try:
            reports.append((backend, _run("pull", annotation_backends.pull, corpus, settings)))
        except EarmarkError as error:
            failed[backend] = str(error)
    for file in waiting:
        name = answer_inbox.original_name(file)
        try:
            answer_inbox.check(file)
            merged = _run("merge", merge_step.merge_file, corpus, settings, file, from_inbox=files is None)
            reports.append((name, merged))
        except UsageError as error:
            if files is not None:
                raise
            # at night nobody can fix the file: the other files are merged all the same
            failed[name] = str(error).removeprefix(f"annotation file {name} ")
    reviewed = _review(corpus, settings)
    if from_backend and backend not in failed:
        settled = _settle(corpus, settings)
        export_step.distribute(corpus, settings)
        pushed = _run_on_backend("push", annotation_backends.push, corpus, settings)
        for step, done in (("settle", settled), ("push", pushed)):
            failed |= {step: done.not_done} if isinstance(done, NotDone) else {}
    return merge_total.total(reports, failed, reviewed)


def _review(corpus: Corpus, settings: Settings) -> ReviewReport | None:
    names = names_in_use(corpus, settings.home, settings.inventory)
    reviewed = _run("review", review_annotators.review, corpus, names, settings.crowd)
    return None if isinstance(reviewed, Skipped) else reviewed


def _retrain(
    corpus: Corpus, settings: Settings, kind: Kind, *, cycle: str, only_if_due: bool
) -> RetrainReport | Skipped:
    """Train a version and let the gate judge it, or only judge one that was trained before, where any is due.

    At night a training that diverged, or made the model clearly worse, is reported and the other steps go on.
    """
    inventory.settle(corpus, names_in_use(corpus, settings.home, settings.inventory))
    plan = retrain_plan.plan(corpus, settings, kind, cycle, only_if_due=only_if_due)
    if plan.skipped:
        return Skipped(plan.skipped)
    flow_run = str(runtime.flow_run.id or "")
    own_cycle = nullcontext() if only_if_due else _mlflow_cycle(corpus, settings.home, settings.tracking, cycle)
    try:
        with own_cycle:
            learned = _run(f"retrain {kind}", retrain_step.retrain, corpus, settings, plan, flow_run)
            judgement = _run(
                f"judge {kind}", promote.judge_and_promote, corpus, settings, kind, learned.version, plan.snapshot
            )
    except TrainingRefused as error:
        if not only_if_due:
            raise
        progress.note(str(error))
        return Skipped(str(error))
    return RetrainReport(learned, judgement)
