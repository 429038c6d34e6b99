"""The Prefect flows: the journey from arrival to promotion, each line naming the file to open next.

A flow takes names and dates only, since Prefect stores parameters in clear; the settings come from the running command
or, where a schedule started the flow, from the config that it names. A task is a step or a shard, never an utterance.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import flow, runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from corpus.errors import EarmarkError, UsageError
from corpus.records import Kind
from corpus.store import utterances
from flows import answers, arrive, ask, backends, bring, choose, hear, known, learn, promote, review
from flows import score as scoring
from flows.frame import frame, stands, the_night
from flows.models import KINDS
from flows.night import Night, through
from flows.session import at_work, without_content
from flows.settings import Settings
from flows.summary import night_markdown


def _step(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Returns the function as a Prefect task: not cached, not stored, and leaking nothing when it fails."""
    made: Callable[..., Any] = task(name=name, cache_policy=NO_CACHE, persist_result=False)(without_content(function))
    return made


sweeping = _step(ask.sweep, "sweep")
arrivals = _step(arrive.arrive, "ingest")
labelled = _step(bring.bring, "import")
scores = _step(scoring.score_shard, "score")
choice = _step(choose.choose_round, "sample")
tasks_out = _step(ask.export_round, "export")
pushing = _step(backends.push, "push")
pulling = _step(backends.pull, "pull")
settling = _step(backends.settle, "settle")
answers_in = _step(hear.merge_file, "merge")
reviewing = _step(review.review, "review")
learning = _step(learn.learn, "retrain")
judging = _step(promote.judge_and_promote, "judge")


@flow(name="ingest")
@without_content
def ingest(manifest: str, config: str | None = None) -> dict[str, Any]:
    """The manifest's utterances are in the corpus."""
    with at_work(config) as (corpus, settings):
        return dict(arrivals(corpus, settings, [Path(manifest)], ours=False))


@flow(name="import")
@without_content
def import_corpus(
    source: str,
    split: str | None = None,
    subset: str | None = None,
    limit: int | None = None,
    config: str | None = None,
) -> dict[str, Any]:
    """The utterances and labels of a labelled corpus are in the corpus."""
    with at_work(config) as (corpus, settings):
        return dict(labelled(corpus, settings, source, split, subset, limit))


@flow(name="score")
@without_content
def score(night: str | None = None, config: str | None = None) -> dict[str, Any]:
    """What the champions have not scored yet is scored."""
    with at_work(config) as (corpus, settings):
        learn.ensure_champions(corpus, settings)
        when = the_night(settings, night) if night else None
        with corpus.read() as conn:
            ids = utterances.in_window(conn, when.start, when.end) if when else utterances.in_window(conn)
        return {**_score(corpus, settings, ids), "rescored": _rescore(corpus, settings).get("scored", 0)}


@flow(name="sample")
@without_content
def sample(night: str | None = None, config: str | None = None) -> dict[str, Any]:
    """The night's few are chosen."""
    with at_work(config) as (corpus, settings):
        return _choose(corpus, settings, the_night(settings, night))


@flow(name="export")
@without_content
def export(night: str | None = None, config: str | None = None) -> dict[str, Any]:
    """The chosen stand as tasks before the annotators."""
    with at_work(config) as (corpus, settings):
        report = dict(tasks_out(corpus, settings, the_night(settings, night).name, again=True))
        return {**report, **_before_people(corpus, settings)}


@flow(name="merge")
@without_content
def merge(files: list[str] | None = None, config: str | None = None) -> dict[str, Any]:
    """What annotators answered is labels; without files, what lies in the answers folder or on Label Studio."""
    with at_work(config) as (corpus, settings):
        return _merge(corpus, settings, [Path(file) for file in files] if files is not None else None)


@flow(name="retrain")
@without_content
def retrain(kind: str, config: str | None = None) -> dict[str, Any]:
    """A version of the kind, `asr` or `intent`, is learned, judged and, where the gate allows, champion."""
    if kind not in KINDS:
        raise UsageError(f"kind {kind!r} is unknown; known are {', '.join(KINDS)}")
    with at_work(config) as (corpus, settings):
        learn.ensure_champions(corpus, settings)
        return _retrain(corpus, settings, kind, cycle="by-hand", only_if_due=False)


@flow(name="nightly")
@without_content
def nightly(night: str | None = None, config: str | None = None) -> dict[str, Any]:
    """The main job has run for one night; a step with nothing due says why it was skipped."""
    with at_work(config) as (corpus, settings):
        when = the_night(settings, night)
        learn.ensure_champions(corpus, settings)
        report: dict[str, Any] = {"night": when.name, "sweep": dict(sweeping(corpus, settings))}
        report["sweep"] |= _off_label_studio(corpus, settings)
        report["merge"] = _merge(corpus, settings, None)
        report["retrain asr"] = _retrain(corpus, settings, "asr", cycle=when.name, only_if_due=True)
        report["retrain intent"] = _retrain(corpus, settings, "intent", cycle=when.name, only_if_due=True)
        report["ingest"] = dict(arrivals(corpus, settings, arrive.waiting(settings), ours=True))
        with corpus.read() as conn:
            ids, standing = frame(conn, settings, when)[0], stands(conn, when)
        report["score"] = {"skipped": "the night's round stands"} if standing else _score(corpus, settings, ids)
        report["rescore"] = {"skipped": "the night's round stands"} if standing else _rescore(corpus, settings)
        report["sample"] = _choose(corpus, settings, when)
        report["export"] = dict(tasks_out(corpus, settings, when.name))
        report["export"] |= _before_people(corpus, settings)
        with corpus.operation(through(when.name), "nightly") as op:
            op.result = {"night": when.name}
    create_markdown_artifact(night_markdown(report), key="night", description=f"night {when.name}")
    return report


@flow(name="morning")
@without_content
def morning(night: str, config: str | None = None) -> dict[str, Any]:
    """The first half of a nightly run alone: what came back is merged, and models learn where enough is new."""
    with at_work(config) as (corpus, settings):
        learn.ensure_champions(corpus, settings)
        return {
            "merge": _merge(corpus, settings, None),
            "retrain asr": _retrain(corpus, settings, "asr", cycle=night, only_if_due=True),
            "retrain intent": _retrain(corpus, settings, "intent", cycle=night, only_if_due=True),
        }


def _merge(corpus: Any, settings: Settings, files: list[Path] | None) -> dict[str, Any]:
    waiting = answers.waiting(settings) if files is None else files
    there = files is None and backends.at_a_place(settings)
    if not waiting and not there:
        reviewed = reviewing(corpus, settings)  # what a killed run may have left
        return {"skipped": "no annotations came back", **({} if "skipped" in reviewed else {"review": reviewed})}
    reports, failed = [], {}
    if there:
        try:
            reports.append(dict(pulling(corpus, settings)))
        except EarmarkError as error:
            failed[settings.export.backend.replace("_", "-")] = str(error)
    for file in waiting:
        try:
            report = answers_in(corpus, settings, file, ours=files is None)
            reports.append({**report, "file": answers.name_of(file)})
        except UsageError as error:
            if files is not None:
                raise
            failed[answers.name_of(file)] = str(error)  # nobody watches at night: one file costs only itself
    reviewed = reviewing(corpus, settings)
    if there and not failed:
        removed = _off_label_studio(corpus, settings)
        ask.distribute(corpus, settings)
        sent = _before_people(corpus, settings)
        failed |= {name: row["not_done"] for name, row in (("settle", removed), ("push", sent)) if "not_done" in row}
    return {**hear.total(reports, failed), **({} if "skipped" in reviewed else {"review": reviewed})}


def _before_people(corpus: Any, settings: Settings) -> dict[str, Any]:
    """What is exported stands on Label Studio, or another place; a server that is down costs only time."""
    if not backends.at_a_place(settings):
        return {}
    try:
        return dict(pushing(corpus, settings))
    except EarmarkError as error:
        return {"not_done": str(error)}


def _off_label_studio(corpus: Any, settings: Settings) -> dict[str, Any]:
    """What nobody may hear any more, or is merged, is gone from Label Studio or another place of annotation."""
    if not backends.at_a_place(settings):
        return {}
    try:
        return dict(settling(corpus, settings))
    except EarmarkError as error:
        return {"not_done": str(error)}


def _score(corpus: Any, settings: Settings, ids: list[str]) -> dict[str, Any]:
    plan = scoring.plan(corpus, settings, ids, known.labelled(corpus, settings).learned_from)
    if not plan.shards:
        return {"skipped": "nothing is unscored", **scoring.total(plan, [])}
    return scoring.total(plan, [scores(corpus, settings, plan, shard) for shard in plan.shards])


def _rescore(corpus: Any, settings: Settings) -> dict[str, Any]:
    """The labelled rows that teach a choice are scored by the models that are at work now."""
    held = known.labelled(corpus, settings)
    plan = scoring.plan(corpus, settings, [row.utterance_id for row in held.rows], held.learned_from)
    if not plan.shards:
        return {"skipped": "no labelled utterance is unscored by the champions"}
    return scoring.total(plan, [scores(corpus, settings, plan, shard) for shard in plan.shards])


def _choose(corpus: Any, settings: Settings, when: Night) -> dict[str, Any]:
    report = dict(choice(corpus, settings, when))
    choose.track(settings, when.name, report)
    return report


def _retrain(corpus: Any, settings: Settings, kind: Kind, *, cycle: str, only_if_due: bool) -> dict[str, Any]:
    plan = learn.plan(corpus, settings, kind, cycle, only_if_due=only_if_due)
    if plan.skipped:
        return {"skipped": plan.skipped}
    flow_run = str(runtime.flow_run.id or "")
    learned = learning(corpus, settings, plan, flow_run)
    return {**learned, **judging(corpus, settings, kind, learned["version"], plan.snapshot)}
