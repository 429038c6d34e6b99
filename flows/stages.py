"""The stages of a flow: each step as Prefect tasks, with what belongs around it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

from prefect import runtime, task
from prefect.cache_policies import NO_CACHE

from corpus import home_id
from corpus.errors import Damaged, EarmarkError, TrainingRefused, UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.storage.database import writing
from corpus.tables import erased
from flows.models.inventory import names_in_use
from flows.nights.night import Night
from flows.reports import night_html
from flows.reports.night_report import NightReport
from flows.rounds import label_evidence, request_evidence
from flows.runtime import progress
from flows.runtime.results import Skipped
from flows.runtime.session import without_content
from flows.runtime.settings import Settings
from flows.steps import (
    annotation_backends,
    draw_temperature,
    erase,
    inventory,
    merge_total,
    promote,
    retain,
    retrain_plan,
    review_annotators,
    window_check,
)
from flows.steps import export as export_step
from flows.steps import merge as merge_step
from flows.steps import replace_tainted as replace_tainted_step
from flows.steps import retrain as retrain_step
from flows.steps import sample as sample_step
from flows.steps import score as score_step
from flows.steps import score_part as score_part_step
from flows.steps.annotation_backends import NotDone
from flows.steps.erase import FinishReport
from flows.steps.export import ExportReport
from flows.steps.import_corpus import ImportReport
from flows.steps.ingest import IngestReport
from flows.steps.label_studio_sync import SettleReport
from flows.steps.merge_report import MergeReport
from flows.steps.merge_total import MergeSkipped, MergeTotal
from flows.steps.replace_tainted import TaintedReport
from flows.steps.retain import RetainReport
from flows.steps.retrain import RetrainReport
from flows.steps.review_annotators import ReviewReport
from flows.steps.sample import SampleReport
from flows.steps.score import ScoreReport
from flows.tasks import answer_inbox, task_status
from flows.tasks.open_questions import open_questions
from flows.tasks.task_status import SweepReport
from training.tracking.store import TrackingSettings

P = ParamSpec("P")
R = TypeVar("R")
Ingested = TypeVar("Ingested", IngestReport, ImportReport)


def mlflow_cycle(corpus: Corpus, home: Path, store: TrackingSettings, cycle: str) -> AbstractContextManager[str]:
    """Return a context in which the night's run in MLflow is RUNNING; it ends after its last child."""
    from training.tracking.runs import tracked_cycle
    from training.tracking.store import open_tracking

    tracking = open_tracking(store, home)
    return tracked_cycle(tracking, cycle, home_id.of_records(corpus.records))


def run_step(name: str, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
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
        return run_step(name, step, corpus, settings)
    except EarmarkError as error:
        return NotDone(str(error))


def finish_erasures(corpus: Corpus, settings: Settings) -> FinishReport | Skipped:
    """Finish what erasures that were killed, or did not reach a server, and withdrawals left to do."""
    return run_step("finish erasures", erase.finish, corpus, settings)


def finish_withdrawals(corpus: Corpus, settings: Settings, since: datetime) -> None:
    """Reach out for what was withdrawn while this flow had the home; what can't be done is left to the next night."""
    if not erase.is_noted_since(corpus, since):
        return
    try:
        done = run_step("finish withdrawals", erase.finish, corpus, settings)
    except EarmarkError as error:
        progress.note(f"a withdrawal of consent did not reach every place: {error}")
        return
    if isinstance(done, FinishReport) and (done.tasks or done.not_done):
        left = "".join(f"; not {hop}: {why}" for hop, why in done.not_done.items())
        progress.note(f"a withdrawal of consent came meanwhile: {done.tasks} of its tasks are closed{left}")


def end_expired(corpus: Corpus, settings: Settings) -> RetainReport | Skipped:
    """End what is older than its class may become."""
    return run_step("retain", retain.nightly, corpus, settings)


def replace_tainted(corpus: Corpus, settings: Settings) -> TaintedReport | Skipped:
    """Replace champions that learned from an utterance that was erased or withdrawn since."""
    return run_step(
        "replace tainted",
        replace_tainted_step.replace_tainted,
        corpus,
        settings.home,
        settings.erasure,
        settings.tracking,
    )


def close_tasks(corpus: Corpus, settings: Settings) -> SweepReport:
    """Close tasks that are over, in the task folder and on the annotation backend."""
    folder, answers, due_days = settings.task_folder, settings.answers, settings.export.due_days
    report = run_step("sweep", task_status.sweep, corpus, folder, answers, due_days)
    settled = _settle(corpus, settings)
    if isinstance(settled, NotDone):
        return replace(report, not_done=settled.not_done)
    return report if settled is None else replace(report, removed=settled.removed)


def settle_withdrawn(corpus: Corpus, settings: Settings, report: Ingested) -> Ingested:
    """Remove tasks from the annotation backend after an ingest that withdrew consent; return its report.

    Tasks may be in Label Studio from before, where they are only in the task folder today. A server that does not
    answer is tried again by the next night.
    """
    if report.narrowed is None:
        return report
    settled = _settle(corpus, settings) if annotation_backends.is_external(settings.export) else None
    if annotation_backends.in_studio_before(settings.export, settings.label_studio):
        try:
            run_step("remove from Label Studio", annotation_backends.remove_closed, corpus, settings)
        except EarmarkError as error:
            settled = NotDone(str(error))
    if not isinstance(settled, NotDone):
        return report
    with writing(corpus.records) as conn:
        erased.note_withdrawal(conn, ["annotation server"], corpus.clock())
    return replace(report, not_done=settled.not_done)


def _settle(corpus: Corpus, settings: Settings) -> SettleReport | NotDone | None:
    return _run_on_backend("settle", annotation_backends.settle, corpus, settings)


def score(corpus: Corpus, settings: Settings, ids: list[str]) -> ScoreReport:
    """Score the utterances that the champions have not scored yet, a task a shard."""
    learned_from = label_evidence.labelled_rows(corpus, settings.learned).learned_from
    plan = score_step.plan(corpus, settings.score, ids, learned_from)
    return score_step.total(plan, _score_shards(corpus, settings, plan))


def rescore(corpus: Corpus, settings: Settings) -> ScoreReport | Skipped:
    """Score, with today's champions, the labelled rows and the clips with a verdict from which sampling learns."""
    labelled = label_evidence.labelled_rows(corpus, settings.learned)
    judged = request_evidence.verdict_shares(corpus, settings.learned) if settings.sampling.requests.weigh else {}
    ids = sorted({row.utterance_id for row in labelled.rows} | set(judged))
    plan = score_step.plan(corpus, settings.score, ids, labelled.learned_from)
    if not plan.shards:
        return Skipped("no labelled utterance is unscored by the champions")
    return score_step.total(plan, _score_shards(corpus, settings, plan))


def _score_shards(corpus: Corpus, settings: Settings, plan: score_step.ScorePlan) -> list[score_step.ShardReport]:
    if not plan.shards:
        return []
    run_step(
        "check window",
        window_check.note_window_of_version,
        settings.home,
        settings.tracking,
        settings.score.transcribe,
        plan.asr,
    )
    how = run_step("calibrate draws", draw_temperature.score_settings, corpus, settings, plan.asr)
    count = len(plan.shards)
    shards = progress.over(plan.shards, "scoring shards of clips", count, "shards") if count > 1 else plan.shards
    return [run_step("score", score_step.score_shard, corpus, how, settings.home, plan, shard) for shard in shards]


def score_part(corpus: Corpus, settings: Settings, part: str) -> ScoreReport:
    """Score the clips of a damaged part again, by the versions that scored it."""
    plan = score_part_step.plan_part(corpus, part)
    if plan is None:
        return score_part_step.sound_part(corpus, part)
    how = run_step("calibrate draws", draw_temperature.score_settings, corpus, settings, plan.asr)
    return run_step("score", score_part_step.score_part, corpus, how, settings.home, plan)


def sample(corpus: Corpus, settings: Settings, when: Night) -> SampleReport:
    """Choose the round of a night, and log its figures to the night's run in MLflow."""
    report = run_step("sample", sample_step.sample_round, corpus, settings, when)
    sample_step.track(settings.tracking, settings.home, when.name, report)
    return report


def export(corpus: Corpus, settings: Settings, round_: str, *, again: bool = False) -> ExportReport:
    """Export the tasks of a round, and push them to the annotation backend."""
    report = run_step("export", export_step.export_round, corpus, settings, round_, again=again)
    pushed = _run_on_backend("push", annotation_backends.push, corpus, settings)
    if isinstance(pushed, NotDone):
        return replace(report, not_done=pushed.not_done)
    if pushed is None:
        return report
    return replace(report, sent=pushed.sent, removed=pushed.removed, open_there=pushed.open_there)


def page(corpus: Corpus, settings: Settings, night: str) -> tuple[str, NightReport | None]:
    """Write the page of a night; return its file and report, or why it was not written, which fails no nightly run."""
    try:
        report, file = run_step("report", night_html.write_night_page, corpus, settings, night)
    except EarmarkError as error:
        return f"not written: {error}", None
    return str(file), report


def merge(corpus: Corpus, settings: Settings, files: list[Path] | None) -> MergeTotal | MergeSkipped:
    """Merge the files or, where None, the answers in the inbox and in the annotation backend; review the annotators."""
    if files:
        with task_status.sweep_after(corpus, settings.task_folder, settings.answers, settings.export.due_days):
            for file in files:  # all of them before the first is merged: one that is named by mistake stops them all
                answer_inbox.check(file)
    names = names_in_use(corpus, settings.home, settings.inventory)
    run_step("settle inventory", inventory.settle, corpus, names, settings.people)
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
            reports.append((backend, run_step("pull", annotation_backends.pull, corpus, settings)))
        except EarmarkError as error:
            failed[backend] = str(error)
    for file in waiting:
        name = answer_inbox.original_name(file)
        try:
            answer_inbox.check(file)
            merged = run_step("merge", merge_step.merge_file, corpus, settings, file, from_inbox=files is None)
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
    return merge_total.total(reports, failed, reviewed, open_questions(corpus, settings.people))


def _review(corpus: Corpus, settings: Settings) -> ReviewReport | None:
    names = names_in_use(corpus, settings.home, settings.inventory)
    reviewed = run_step("review", review_annotators.review, corpus, names, settings.crowd, settings.people)
    return None if isinstance(reviewed, Skipped) else reviewed


def retrain(
    corpus: Corpus, settings: Settings, kind: Kind, *, cycle: str, only_if_due: bool
) -> RetrainReport | Skipped:
    """Train a version and let the gate judge it, or only judge one that was trained before, where any is due.

    At night a training that diverged, or made the model clearly worse, or whose base is damaged, is reported and the
    other steps go on.
    """
    inventory.settle(corpus, names_in_use(corpus, settings.home, settings.inventory), settings.people)
    flow_run = str(runtime.flow_run.id or "")
    own_cycle = nullcontext() if only_if_due else mlflow_cycle(corpus, settings.home, settings.tracking, cycle)
    try:
        plan = retrain_plan.plan(corpus, settings, kind, cycle, only_if_due=only_if_due)
        if plan.skipped:
            return Skipped(plan.skipped)
        with own_cycle:
            learned = run_step(f"retrain {kind}", retrain_step.retrain, corpus, settings, plan, flow_run)
            judgement = run_step(
                f"judge {kind}", promote.judge_and_promote, corpus, settings, kind, learned.version, plan.snapshot
            )
    except (TrainingRefused, Damaged) as error:
        if not only_if_due:
            raise
        progress.note(str(error))
        return Skipped(str(error))
    return RetrainReport(learned, judgement)
