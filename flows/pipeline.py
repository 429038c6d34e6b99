"""The Prefect flows: the path of an utterance from ingest to promotion; each line names the file to open next.

The parameters of a flow are names, dates and settings to try, no content, since Prefect stores them in clear text. The
settings come from the running command or, where a schedule started the flow, from the environment of the process that
serves it: who may start a run names no file, no folder and no limit. A Prefect
task is a step or a shard, never an utterance.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow, runtime
from prefect.artifacts import create_markdown_artifact

from corpus.errors import EarmarkError, UsageError
from corpus.handle import Corpus
from corpus.storage import operation_ids
from corpus.tables import consent_use, nights, utterances
from flows import stages
from flows.models.base_models import OnOther, ensure_champions
from flows.models.inventory import names_in_use
from flows.models.known_texts import champions_on_labels
from flows.models.registry import KINDS, verify_again
from flows.nights.night import Night
from flows.nights.sampling_frame import closed_night, is_sampled, sampling_frame
from flows.reports.night_page import night_markdown
from flows.runtime.results import Result, Skipped
from flows.runtime.session import open_for_flow, without_content
from flows.runtime.settings import ACTIVE, Settings
from flows.stages import run_step
from flows.steps import import_corpus as import_corpus_step
from flows.steps import ingest as ingest_step
from flows.steps import inventory
from flows.steps import sweep as sweep_step
from flows.steps.erase import FinishReport
from flows.steps.export import ExportReport
from flows.steps.import_corpus import ImportReport
from flows.steps.ingest import IngestReport
from flows.steps.merge_total import MergeSkipped, MergeTotal
from flows.steps.replace_tainted import TaintedReport
from flows.steps.retain import RetainReport
from flows.steps.retrain import RetrainReport
from flows.steps.sample import SampleReport
from flows.steps.score import ScoreReport
from flows.steps.sweep import TrialsReport
from flows.steps.sweep_plan import plan as plan_sweep
from flows.tasks.task_status import SweepReport


def _on_other(switch_base: bool, *, unattended: bool = False) -> OnOther:
    """Return what to do where the settings name another base than the home's."""
    if switch_base:
        return "switch"
    return "keep" if unattended else "refuse"


@contextmanager
def _opened(config: str | None = None) -> Iterator[tuple[Corpus, Settings]]:
    """Open the corpus for a flow, which verifies the files of models anew: a process may run night after night.

    What customers withdraw meanwhile counts at the door at once; its tasks and versions are reached at the end.
    """
    with open_for_flow(config) as (corpus, settings):
        verify_again()
        started = corpus.clock()
        try:
            yield corpus, settings
        except EarmarkError:
            stages.finish_withdrawals(corpus, settings, started)
            raise
        stages.finish_withdrawals(corpus, settings, started)


def run_name() -> str:
    """Return the name of a flow run on Prefect's pages: the flow, its kind of model, and the night or today."""
    given = runtime.flow_run.parameters or {}
    when = given.get("night") or given.get("round_") or f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
    return " ".join(str(part) for part in (runtime.flow_run.flow_name, given.get("kind"), when) if part)


@flow(name="ingest", flow_run_name=run_name)
@without_content
def ingest(manifest: str) -> IngestReport:
    """Ingest the utterances of a manifest."""
    with _opened() as (corpus, settings):
        report = run_step("ingest", ingest_step.ingest_manifests, corpus, settings, [Path(manifest)], from_inbox=False)
        return stages.settle_withdrawn(corpus, settings, report)


@flow(name="import", flow_run_name=run_name)
@without_content
def import_corpus(
    source: str,
    split: str | None = None,
    subset: str | None = None,
    limit: int | None = None,
) -> ImportReport:
    """Import the utterances and labels of a labelled corpus."""
    with _opened() as (corpus, settings):
        report = run_step("import", import_corpus_step.import_corpus, corpus, settings, source, split, subset, limit)
        return stages.settle_withdrawn(corpus, settings, report)


@flow(name="score", flow_run_name=run_name)
@without_content
def score(night: str | None = None, switch_base: bool = False, part: str | None = None) -> ScoreReport:
    """Score the utterances that the champions have not scored yet, or those of a damaged part again."""
    with _opened() as (corpus, settings):
        if part is not None and night is not None:
            raise UsageError("--part names the clips to score: leave out --night")
        if part is not None:
            return stages.score_part(corpus, settings, part)
        ensure_champions(corpus, settings.home, settings.models, settings.tracking, _on_other(switch_base))
        when = closed_night(settings.night, night) if night else None
        with corpus.read() as conn:
            ids = utterances.in_window(conn, when.start, when.end) if when else utterances.in_window(conn)
        scored, rescored = stages.score(corpus, settings, ids), stages.rescore(corpus, settings)
        again = rescored.scored if isinstance(rescored, ScoreReport) else 0
        return replace(scored, rescored=again, champions=champions_on_labels(corpus, settings.home, settings.promotion))


@flow(name="sample", flow_run_name=run_name)
@without_content
def sample(night: str | None = None) -> SampleReport:
    """Choose the few utterances of the night that annotators are to label."""
    with _opened() as (corpus, settings):
        return stages.sample(corpus, settings, closed_night(settings.night, night))


@flow(name="export", flow_run_name=run_name)
@without_content
def export(night: str | None = None, round_: str | None = None) -> ExportReport:
    """Export the chosen utterances of a night, or those of a round that asks again, as tasks for annotators."""
    with _opened() as (corpus, settings):
        return stages.export(corpus, settings, round_ or closed_night(settings.night, night).name, again=True)


@flow(name="merge", flow_run_name=run_name)
@without_content
def merge(files: list[str] | None = None, config: str | None = None) -> MergeTotal | MergeSkipped:
    """Merge annotators' answers into labels; without files, the answers in the inbox and in the annotation backend."""
    if files is not None and ACTIVE.get() is None:
        raise UsageError("a run's parameters can't name files; copy them to the inbox of answers, and leave out files")
    with _opened(config) as (corpus, settings):
        return stages.merge(corpus, settings, [Path(file) for file in files] if files is not None else None)


@flow(name="retrain", flow_run_name=run_name)
@without_content
def retrain(kind: str, config: str | None = None, switch_base: bool = False) -> RetrainReport | Skipped:
    """Train a version of the kind, `asr` or `intent`, judge it, and promote it where the gate allows."""
    if kind not in KINDS:
        raise UsageError(f"kind {kind!r} is unknown; known are {', '.join(KINDS)}")
    with _opened(config) as (corpus, settings):
        ensure_champions(corpus, settings.home, settings.models, settings.tracking, _on_other(switch_base))
        stages.replace_tainted(corpus, settings)
        return stages.retrain(corpus, settings, kind, cycle="by-hand", only_if_due=False)


@flow(name="sweep", flow_run_name=run_name)
@without_content
def sweep(
    kind: str, tried: list[str], trials: int | None, seeds: int, folds: int | None, switch_base: bool = False
) -> TrialsReport:
    """Try settings of a kind's training on the labels of today; nothing is registered or judged."""
    if kind not in KINDS:
        raise UsageError(f"kind {kind!r} is unknown; known are {', '.join(KINDS)}")
    with _opened() as (corpus, settings):
        ensure_champions(corpus, settings.home, settings.models, settings.tracking, _on_other(switch_base))
        inventory.settle(corpus, names_in_use(corpus, settings.home, settings.inventory), settings.people)
        plan = plan_sweep(corpus, settings, kind, tried, trials, seeds, folds)
        where = (settings.home, settings.models, settings.tracking)
        return run_step(f"sweep {kind}", sweep_step.sweep, corpus, *where, plan, str(runtime.flow_run.id or ""))


@dataclass(frozen=True, slots=True)
class MorningReport(Result):
    """What the first half of a nightly run did, step by step."""

    merge: MergeTotal | MergeSkipped
    replace_tainted: TaintedReport | Skipped = field(metadata={"key": "replace tainted"})
    retrain_asr: RetrainReport | Skipped = field(metadata={"key": "retrain asr"})
    retrain_intent: RetrainReport | Skipped = field(metadata={"key": "retrain intent"})


@dataclass(frozen=True, slots=True)
class NightlyReport(Result):
    """What a nightly run did, step by step.

    `night` is its name, `page` the file of its page or why there is none; `warning` says that the settings name a base
    which the home does not learn from.
    """

    night: str
    erase: FinishReport | Skipped
    sweep: SweepReport
    merge: MergeTotal | MergeSkipped
    retain: RetainReport | Skipped
    replace_tainted: TaintedReport | Skipped = field(metadata={"key": "replace tainted"})
    retrain_asr: RetrainReport | Skipped = field(metadata={"key": "retrain asr"})
    retrain_intent: RetrainReport | Skipped = field(metadata={"key": "retrain intent"})
    ingest: IngestReport
    score: ScoreReport | Skipped
    rescore: ScoreReport | Skipped
    sample: SampleReport
    export: ExportReport
    page: str = ""
    warning: str | None = None


@flow(name="nightly", flow_run_name=run_name)
@without_content
def nightly(night: str | None = None, config: str | None = None, switch_base: bool = False) -> NightlyReport:
    """Run the main job for one night; a step with nothing due says why it was skipped.

    A run that nobody watches asks nothing: where the settings name another base than the home's, it keeps the home's.
    """
    on_other = _on_other(switch_base, unattended=ACTIVE.get() is None or not sys.stdin.isatty())
    with _opened(config) as (corpus, settings):
        when = closed_night(settings.night, night)
        warnings = ensure_champions(corpus, settings.home, settings.models, settings.tracking, on_other)
        with stages.mlflow_cycle(corpus, settings.home, settings.tracking, when.name):
            report = replace(_night(corpus, settings, when), warning="; ".join(warnings) or None)
        with corpus.operation(operation_ids.nightly(when.name), "nightly") as op:
            nights.put_done(op.conn, when.name, corpus.clock())
            op.result = {"night": when.name}
        page, shown = stages.page(corpus, settings, when.name)
        report = replace(report, page=page)
    create_markdown_artifact(night_markdown(report.to_json(), shown), key="night", description=f"night {when.name}")
    return report


@flow(name="morning", flow_run_name=run_name)
@without_content
def morning(night: str) -> MorningReport:
    """Run the first half of a nightly run: merge the answers, and retrain where enough labels are new."""
    with _opened() as (corpus, settings):
        ensure_champions(corpus, settings.home, settings.models, settings.tracking, "keep")
        with stages.mlflow_cycle(corpus, settings.home, settings.tracking, night):
            merged = stages.merge(corpus, settings, None)
            replaced = stages.replace_tainted(corpus, settings)
            asr = stages.retrain(corpus, settings, "asr", cycle=night, only_if_due=True)
            intent = stages.retrain(corpus, settings, "intent", cycle=night, only_if_due=True)
        return MorningReport(merged, replaced, asr, intent)


def _night(corpus: Corpus, settings: Settings, when: Night) -> NightlyReport:
    """Run the steps of a night, each on what the steps before it left."""
    erased = stages.finish_erasures(corpus, settings)
    # what tonight's manifests withdraw is not learned from tonight; they are ingested after the retraining
    narrowed = run_step("consent", ingest_step.apply_consent, corpus, settings.inbox)
    swept = stages.close_tasks(corpus, settings)
    merged = stages.merge(corpus, settings, None)
    retained = stages.end_expired(corpus, settings)  # what was labelled tonight is kept longer; nothing old is learned
    replaced = stages.replace_tainted(corpus, settings)
    asr = stages.retrain(corpus, settings, "asr", cycle=when.name, only_if_due=True)
    intent = stages.retrain(corpus, settings, "intent", cycle=when.name, only_if_due=True)
    manifests = ingest_step.waiting_manifests(settings.inbox)
    ingested = run_step("ingest", ingest_step.ingest_manifests, corpus, settings, manifests, from_inbox=True)
    ingested = replace(ingested, narrowed=consent_use.total(narrowed, ingested.narrowed))
    ingested = stages.settle_withdrawn(corpus, settings, ingested)
    with corpus.read() as conn:
        ids, sampled_before = sampling_frame(conn, settings.night, when)[0], is_sampled(conn, when)
    skipped = Skipped("the night's round was chosen before")
    scored = skipped if sampled_before else stages.score(corpus, settings, ids)
    rescored = skipped if sampled_before else stages.rescore(corpus, settings)
    if isinstance(scored, ScoreReport):
        scored = replace(scored, champions=champions_on_labels(corpus, settings.home, settings.promotion))
    sampled = stages.sample(corpus, settings, when)
    exported = stages.export(corpus, settings, when.name)
    steps = (swept, merged, retained, replaced, asr, intent, ingested, scored, rescored, sampled, exported)
    return NightlyReport(when.name, erased, *steps)
