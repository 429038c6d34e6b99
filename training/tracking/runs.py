"""Runs: one for each training, found again by its operation id, so that a repeat never makes a second one."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from corpus.errors import RecordError
from corpus.records.base import canonical_json
from training.evaluation.metrics import metric_name
from training.tracking.facts import (
    CYCLE_TAG,
    OPERATION_TAG,
    RunFacts,
    check_operation_id,
    git_sha,
    params_of,
    plain,
    tags_of,
)
from training.tracking.store import Tracking, reached

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.entities import Run

SUPERSEDED_TAG = "earmark.superseded_operation_id"

LEARNING = ("config.", "snapshot_id", "base", "seed")
"""Parameters, by how they begin, that decide what is learned; the others tell where the labels came from."""

BATCH = 100
"""Parameters or metrics in one call; MLflow's limits are 100 and 1000."""


@contextmanager
def tracked_run(tracking: Tracking, facts: RunFacts) -> Iterator[str]:
    """Yield the id of the run; it ends as FINISHED, or as FAILED where the block raises."""
    run_id = start_run(tracking, facts)
    try:
        yield run_id
    except BaseException:
        finish_run(tracking, run_id, "FAILED")
        raise
    finish_run(tracking, run_id)


def start_run(tracking: Tracking, facts: RunFacts) -> str:
    """Return the id of the run of this operation, with all its facts logged and its state RUNNING.

    A run that an earlier attempt left is taken up again. Where that attempt did not finish and learned otherwise
    (`LEARNING`), its run ends as KILLED, no longer answers to the operation, and a new one begins.
    """
    params, tags = params_of(facts), tags_of(facts)
    with reached(tracking.uri):
        if facts.cycle:
            tags["mlflow.parentRunId"] = cycle_run(tracking, facts.cycle)
        found = _find(tracking, facts.operation_id)
        if found is not None and found.info.status != "FINISHED" and _learned_otherwise(found.data.params, params):
            _supersede(tracking, found.info.run_id, facts.operation_id)
            found = None
        if found is None:
            run_id = _create(tracking, facts.name, facts.operation_id, tags)
            logged: Mapping[str, str] = {}
        else:
            run_id, logged = found.info.run_id, found.data.params
            tracking.client.update_run(run_id, status="RUNNING")
        _log_params(tracking, run_id, {key: value for key, value in params.items() if key not in logged}, tags)
        judged = (facts.eval_set_id, "evaluation")
        _log_inputs(tracking, run_id, {"snapshot": (facts.snapshot_id, "training"), "evaluation-set": judged})
        tracking.client.log_dict(run_id, plain(facts.config), "config.json")
    log_metrics(tracking, run_id, {"labels": facts.labels, "annotator_minutes": facts.annotator_minutes})
    return str(run_id)


def cycle_run(tracking: Tracking, cycle: str) -> str:
    """Return the id of the parent run of a night or a replay, made where there is none."""
    operation = f"cycle/{cycle}"
    check_operation_id(operation)
    with reached(tracking.uri):
        found = _find(tracking, operation)
        if found is not None:
            return str(found.info.run_id)
        run_id = _create(tracking, cycle, operation, {CYCLE_TAG: cycle, "mlflow.source.git.commit": git_sha()})
        # A cycle only holds others together: it is never at work itself, so a kill leaves nothing open.
        tracking.client.set_terminated(run_id)
        return run_id


def run_tags(tracking: Tracking, run_id: str) -> dict[str, str]:
    """Return the tags of a run by name."""
    with reached(tracking.uri):
        return dict(tracking.client.get_run(run_id).data.tags)


def finish_run(tracking: Tracking, run_id: str, status: str = "FINISHED") -> None:
    """The run has ended with the status FINISHED, FAILED or KILLED."""
    with reached(tracking.uri):
        tracking.client.set_terminated(run_id, status)


def log_metrics(tracking: Tracking, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
    """The run holds the metrics; those that it held with the same value are left alone.

    Raises:
        RecordError: a value is not finite; the message names the metric.
    """
    log_series(tracking, run_id, {name: {step: value} for name, value in metrics.items()})


def log_series(tracking: Tracking, run_id: str, series: Mapping[str, Mapping[int, float]]) -> None:
    """The run holds every value of every series, such as the loss by epoch: `{"train_loss": {1: 2.5, 2: 1.7}}`.

    What it held with the same value is left alone, so that a repeat draws no line twice.

    Raises:
        RecordError: a value is not finite; the message names the metric.
    """
    from mlflow.entities import Metric

    for name, points in series.items():
        if not all(math.isfinite(value) for value in points.values()):
            raise RecordError(f"metric {name} is not finite; leave it out or repair what it is computed from")
    now = int(time.time() * 1000)
    with reached(tracking.uri):
        last = tracking.client.get_run(run_id).data.metrics
        fresh = []
        for name, points in series.items():
            held = _held(tracking, run_id, name) if name in last else {}
            fresh += [Metric(name, float(v), now, step) for step, v in points.items() if held.get(step) != float(v)]
        for start in range(0, len(fresh), BATCH):
            tracking.client.log_batch(run_id, metrics=fresh[start : start + BATCH])


def log_figures(tracking: Tracking, run_id: str, figures: Mapping[str, Figure]) -> None:
    """The run shows the figures as `figures/<name>.png`; a figure of the same name is replaced."""
    with reached(tracking.uri):
        for name, figure in figures.items():
            tracking.client.log_figure(run_id, figure, f"figures/{metric_name(name)}.png")


def log_evaluation_set(tracking: Tracking, run_id: str, eval_set_id: str) -> None:
    """The run names the set that judged it, as a tag to search by and as a data input; the latest one counts."""
    with reached(tracking.uri):
        tracking.client.set_tag(run_id, "earmark.eval_set_id", eval_set_id)
        _log_inputs(tracking, run_id, {"evaluation-set": (eval_set_id, "evaluation")})


def log_document(tracking: Tracking, run_id: str, name: str, document: Mapping[str, Any] | str) -> None:
    """The run holds a JSON document or a text under its name, such as `decision.json`. Never content of utterances."""
    with reached(tracking.uri):
        if isinstance(document, str):
            tracking.client.log_text(run_id, document, name)
        else:
            tracking.client.log_dict(run_id, dict(document), name)


def _find(tracking: Tracking, operation_id: str) -> Run | None:
    found = tracking.client.search_runs(
        [tracking.experiment_id],
        filter_string=f"tags.`{OPERATION_TAG}` = '{operation_id}'",
        order_by=["attributes.start_time ASC"],
        max_results=1,
    )
    return found[0] if found else None


def _create(tracking: Tracking, name: str, operation_id: str, tags: Mapping[str, str]) -> str:
    every = {**tags, OPERATION_TAG: operation_id}
    return str(tracking.client.create_run(tracking.experiment_id, tags=every, run_name=name).info.run_id)


def _learned_otherwise(logged: Mapping[str, str], params: Mapping[str, str]) -> bool:
    both = [name for name in logged if name.startswith(LEARNING) and name in params]
    return any(logged[name] != params[name] for name in both)


def _supersede(tracking: Tracking, run_id: str, operation_id: str) -> None:
    tracking.client.set_tag(run_id, SUPERSEDED_TAG, operation_id)
    tracking.client.delete_tag(run_id, OPERATION_TAG)
    tracking.client.set_terminated(run_id, "KILLED")


def _held(tracking: Tracking, run_id: str, name: str) -> dict[int, float]:
    return {metric.step: metric.value for metric in tracking.client.get_metric_history(run_id, name)}


def _log_params(tracking: Tracking, run_id: str, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
    from mlflow.entities import Param, RunTag

    rows = [Param(key, value) for key, value in params.items()]
    tracking.client.log_batch(run_id, params=rows[:BATCH], tags=[RunTag(key, value) for key, value in tags.items()])
    for start in range(BATCH, len(rows), BATCH):
        tracking.client.log_batch(run_id, params=rows[start : start + BATCH])


def _log_inputs(tracking: Tracking, run_id: str, named: Mapping[str, tuple[str, str]]) -> None:
    """The run names data inputs, (digest, context) by name, by earmark's own digest of all their rows."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = []
    for name, (full, context) in named.items():
        if full:
            # MLflow holds 36 characters of a digest; the whole of it is in the source.
            dataset = Dataset(name, full[:36], "earmark", canonical_json({"sha256": full}))
            inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", context)]))
    if inputs:
        tracking.client.log_inputs(run_id, inputs)


PROMOTED_TAG = "earmark.promoted"


def mark_promoted(tracking: Tracking, run_id: str, how: str) -> None:
    """The run says how its version became champion, `forced` or `gate`; who did it and why is on the audit chain."""
    with reached(tracking.uri):
        tracking.client.set_tag(run_id, PROMOTED_TAG, how)
