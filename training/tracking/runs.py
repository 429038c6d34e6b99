"""Runs: one for each training, found by its operation id, so that a repeated step never makes a second one."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from corpus.errors import EarmarkError, RecordError
from corpus.records.base import canonical_json
from training.evaluation.metrics import metric_name
from training.tracking import run_names
from training.tracking.facts import (
    CYCLE_TAG,
    OPERATION_TAG,
    RunFacts,
    check_operation_id,
    git_sha,
    params_of,
    plain_json,
    tags_of,
)
from training.tracking.store import LONGEST_TEXT, Tracking, store_errors

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.entities import Run

SUPERSEDED_TAG = "earmark.superseded_operation_id"
HOME_TAG = "earmark.home"
ANCHOR_TAG = "earmark.anchor_set"
REASON_TAG = "earmark.failed_because"
TABLES_TAG = "mlflow.loggedArtifacts"
NOTE_TAG = "mlflow.note.content"

LONGEST_REASON = 500
"""Most characters of a reason."""

LEARNING = ("config.", "snapshot_id", "base", "seed")
"""Prefixes of the parameters that decide what is learned; the others describe where the labels come from."""

DIGITS = 6
"""Significant digits of a metric; MLflow's columns show the first eight characters of a number."""

BATCH = 100
"""Most parameters or metrics in one call; MLflow's limits are 100 and 1000."""


@contextmanager
def tracked_run(tracking: Tracking, facts: RunFacts) -> Iterator[str]:
    """Start a run and yield its id; the run ends as FINISHED, or as FAILED if the block raises.

    The message of an `EarmarkError`, which has no content, is the tag `REASON_TAG` of a failed run.
    """
    run_id = start_run(tracking, facts)
    with _ended(tracking, run_id):
        yield run_id


@contextmanager
def tracked_cycle(tracking: Tracking, cycle: str, home: str = "", name: str = "") -> Iterator[str]:
    """Yield the id of the parent run of a night, which is RUNNING until the block ends; all its children end before.

    The runs of earlier cycles of the same home that are still RUNNING are of processes that were killed, since one
    process at a time uses a home: they end as KILLED.

    Args:
        tracking: the open store.
        cycle: name of the night.
        home: id of the home; "" for a cycle of no home, such as a replay, after which nothing is ended as KILLED.
        name: of the run in lists; `run_names.cycle_name` where "".
    """
    run_id = cycle_run(tracking, cycle, name)
    with store_errors(tracking.uri):
        _end_killed(tracking, home)
        if home:
            tracking.client.set_tag(run_id, HOME_TAG, home)
        _reopen(tracking, tracking.client.get_run(run_id))
    with _ended(tracking, run_id):
        yield run_id


@contextmanager
def _ended(tracking: Tracking, run_id: str) -> Iterator[None]:
    """End the run with the block: as FINISHED or, where the store can take it, as FAILED with an `EarmarkError`."""
    try:
        yield
    except BaseException as error:
        with suppress(EarmarkError), store_errors(tracking.uri):
            if isinstance(error, EarmarkError):
                tracking.client.set_tag(run_id, REASON_TAG, str(error)[:LONGEST_REASON])
            finish_run(tracking, run_id, "FAILED")
        raise
    finish_run(tracking, run_id)


def _end_killed(tracking: Tracking, home: str) -> None:
    """End the runs of a home's cycles that are still RUNNING as KILLED, and their children."""
    if not home:
        return
    of_home = f"attributes.status = 'RUNNING' and tags.`{HOME_TAG}` = '{home}'"
    for run in tracking.client.search_runs([tracking.experiment_id], of_home, max_results=1000):
        children = f"attributes.status = 'RUNNING' and tags.`mlflow.parentRunId` = '{run.info.run_id}'"
        for child in tracking.client.search_runs([tracking.experiment_id], children, max_results=1000):
            tracking.client.set_terminated(child.info.run_id, "KILLED")
        tracking.client.set_terminated(run.info.run_id, "KILLED")


def start_run(tracking: Tracking, facts: RunFacts) -> str:
    """Return the id of the run of this operation, after logging all its facts; its status is RUNNING.

    The run of an earlier attempt is continued. But if that attempt did not finish and had other settings of learning
    (`LEARNING`), its run ends as KILLED, loses the operation id, and a new run begins.

    Raises:
        RecordError: a figure of the facts is not finite.
        EarmarkError: the store can't be reached.
    """
    params, tags = params_of(facts), tags_of(facts)
    with store_errors(tracking.uri):
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
            _reopen(tracking, found)
        _log_params(tracking, run_id, {key: value for key, value in params.items() if key not in logged}, tags)
        judged = (facts.eval_set_id, "evaluation")
        _log_inputs(tracking, run_id, {"snapshot": (facts.snapshot_id, "training"), "evaluation-set": judged})
        tracking.client.log_dict(run_id, plain_json(facts.config), "config.json")
    counts = {"labels": facts.labels, "minutes_so_far": facts.minutes_so_far}
    log_metrics(tracking, run_id, {name: float(count) for name, count in counts.items() if count is not None})
    return str(run_id)


def cycle_run(tracking: Tracking, cycle: str, name: str = "") -> str:
    """Return the id of the parent run of a night or a replay; the run is created, as FINISHED, if there is none.

    Args:
        tracking: the open store.
        cycle: name of the night or replay.
        name: of the run in lists; `run_names.cycle_name` where "".
    """
    operation = f"cycle/{cycle}"
    check_operation_id(operation)
    with store_errors(tracking.uri):
        found = _find(tracking, operation)
        if found is not None:
            return str(found.info.run_id)
        tags = {CYCLE_TAG: cycle, "mlflow.source.git.commit": git_sha()}
        run_id = _create(tracking, name or run_names.cycle_name(cycle), operation, tags)
        # Outside of `tracked_cycle` nothing ends it, so it must not be left RUNNING.
        tracking.client.set_terminated(run_id)
        return run_id


def rename_run(tracking: Tracking, run_id: str, name: str) -> None:
    """Give a run another name, such as that with the number of its version, which is known once it is registered."""
    with store_errors(tracking.uri):
        tracking.client.update_run(run_id, name=name)


def run_tags(tracking: Tracking, run_id: str) -> dict[str, str]:
    """Return the tags of a run by name."""
    with store_errors(tracking.uri):
        return dict(tracking.client.get_run(run_id).data.tags)


def run_params(tracking: Tracking, run_id: str) -> dict[str, str]:
    """Return the parameters of a run by name."""
    with store_errors(tracking.uri):
        return dict(tracking.client.get_run(run_id).data.params)


def run_metrics(tracking: Tracking, run_id: str) -> dict[str, float] | None:
    """Return the latest value of each metric of a run by name; None for a run that was deleted, which takes no more."""
    run = _active_run(tracking, run_id)
    return None if run is None else dict(run.data.metrics)


def anchor_of(tracking: Tracking, run_id: str) -> str | None:
    """Return the key of the anchor rows that a run has a rate on, "" where it has none; None for a deleted run."""
    run = _active_run(tracking, run_id)
    return None if run is None else str(run.data.tags.get(ANCHOR_TAG, ""))


def set_anchor(tracking: Tracking, run_id: str, key: str) -> None:
    """Log the key of the anchor rows that a run has a rate on: runs with the same one can be compared."""
    with store_errors(tracking.uri):
        tracking.client.set_tag(run_id, ANCHOR_TAG, key)


def _active_run(tracking: Tracking, run_id: str) -> Run | None:
    from mlflow.exceptions import MlflowException

    with store_errors(tracking.uri):
        try:
            run = tracking.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
    return run if run.info.lifecycle_stage == "active" else None


def finish_run(tracking: Tracking, run_id: str, status: str = "FINISHED") -> None:
    """End the run with the status FINISHED, FAILED or KILLED."""
    with store_errors(tracking.uri):
        tracking.client.set_terminated(run_id, status)


def log_metrics(tracking: Tracking, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
    """Log metrics of the run; those that it has with the same value are not logged again.

    Args:
        tracking: the open store.
        run_id: of the run.
        metrics: value by name.
        step: step of all values.

    Raises:
        RecordError: a value is not finite; the message names the metric.
    """
    log_series(tracking, run_id, {name: {step: value} for name, value in metrics.items()})


def log_series(tracking: Tracking, run_id: str, series: Mapping[str, Mapping[int, float]]) -> None:
    """Log series of the run, such as the loss by epoch: `{"train_loss": {1: 2.5, 2: 1.7}}`.

    Values that the run has already are not logged again, so that a repeated step draws no line twice.

    Args:
        tracking: the open store.
        run_id: of the run.
        series: by name, value by step.

    Raises:
        RecordError: a value is not finite; the message names the metric.
    """
    from mlflow.entities import Metric

    for name, points in series.items():
        if not all(math.isfinite(value) for value in points.values()):
            raise RecordError(f"metric {name} is not finite; leave it out or repair what it is computed from")
    now = int(time.time() * 1000)
    with store_errors(tracking.uri):
        last = tracking.client.get_run(run_id).data.metrics
        fresh = []
        for name, points in series.items():
            logged = _logged_values(tracking, run_id, name) if name in last else {}
            shown = {step: _short(value) for step, value in points.items()}
            fresh += [Metric(name, value, now, step) for step, value in shown.items() if logged.get(step) != value]
        for start in range(0, len(fresh), BATCH):
            tracking.client.log_batch(run_id, metrics=fresh[start : start + BATCH])


def log_figures(tracking: Tracking, run_id: str, figures: Mapping[str, Figure]) -> None:
    """Log figures of the run as `figures/<name>.png`; a figure of the same name is replaced."""
    with store_errors(tracking.uri):
        for name, figure in figures.items():
            tracking.client.log_figure(run_id, figure, f"figures/{metric_name(name)}.png")


def log_evaluation_set(tracking: Tracking, run_id: str, eval_set_id: str) -> None:
    """Log which evaluation set judged the run, as a tag for searches and as a data input; the latest one counts."""
    with store_errors(tracking.uri):
        tracking.client.set_tag(run_id, "earmark.eval_set_id", eval_set_id)
        _log_inputs(tracking, run_id, {"evaluation-set": (eval_set_id, "evaluation")})


def log_document(tracking: Tracking, run_id: str, name: str, document: Mapping[str, Any] | str) -> None:
    """Log a JSON document or a text of the run, such as `decision.json`; never pass content of utterances."""
    with store_errors(tracking.uri):
        if isinstance(document, str):
            tracking.client.log_text(run_id, document, name)
        else:
            tracking.client.log_dict(run_id, dict(document), name)


def log_table(
    tracking: Tracking, run_id: str, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """Log a table of the run as an artifact that MLflow's pages show as one; a table of the same name is replaced.

    `mlflow.log_table` would add the rows to those of an earlier attempt. The format is its own.

    Args:
        tracking: the open store.
        run_id: of the run.
        name: of the artifact, such as `slices.json`.
        columns: names of the columns.
        rows: numbers, texts, booleans or None by column; never content of utterances.
    """
    with store_errors(tracking.uri):
        tracking.client.log_dict(run_id, {"columns": list(columns), "data": [list(row) for row in rows]}, name)
        known = json.loads(tracking.client.get_run(run_id).data.tags.get(TABLES_TAG, "[]"))
        table = {"path": name, "type": "table"}
        if table not in known:
            tracking.client.set_tag(run_id, TABLES_TAG, json.dumps([*known, table]))


def describe_run(tracking: Tracking, run_id: str, markdown: str) -> None:
    """Set the description of the run, which its page shows above all figures."""
    with store_errors(tracking.uri):
        tracking.client.set_tag(run_id, NOTE_TAG, markdown[:LONGEST_TEXT])


def log_params(tracking: Tracking, run_id: str, params: Mapping[str, str]) -> None:
    """Log parameters of the run; those that it has already stay as they are."""
    with store_errors(tracking.uri):
        logged = tracking.client.get_run(run_id).data.params
        _log_params(tracking, run_id, {key: value for key, value in params.items() if key not in logged}, {})


def _reopen(tracking: Tracking, run: Run) -> None:
    """Set an ended run to RUNNING, without the reason why it failed."""
    if REASON_TAG in run.data.tags:
        tracking.client.delete_tag(run.info.run_id, REASON_TAG)
    tracking.client.update_run(run.info.run_id, status="RUNNING")


def _find(tracking: Tracking, operation_id: str) -> Run | None:
    """Return the oldest run of an operation, None if there is none."""
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
    """Return whether the logged settings of learning differ from the present ones."""
    both = [name for name in logged if name.startswith(LEARNING) and name in params]
    return any(logged[name] != params[name] for name in both)


def _supersede(tracking: Tracking, run_id: str, operation_id: str) -> None:
    """End a run as KILLED and move its operation id to another tag."""
    tracking.client.set_tag(run_id, SUPERSEDED_TAG, operation_id)
    tracking.client.delete_tag(run_id, OPERATION_TAG)
    tracking.client.set_terminated(run_id, "KILLED")


def _short(value: float) -> float:
    """Return the value with `DIGITS` significant digits, or as it is where it is a whole number."""
    return float(value) if float(value).is_integer() else float(f"{value:.{DIGITS}g}")


def _logged_values(tracking: Tracking, run_id: str, name: str) -> dict[int, float]:
    return {metric.step: metric.value for metric in tracking.client.get_metric_history(run_id, name)}


def _log_params(tracking: Tracking, run_id: str, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
    from mlflow.entities import Param, RunTag

    rows = [Param(key, value) for key, value in params.items()]
    tracking.client.log_batch(run_id, params=rows[:BATCH], tags=[RunTag(key, value) for key, value in tags.items()])
    for start in range(BATCH, len(rows), BATCH):
        tracking.client.log_batch(run_id, params=rows[start : start + BATCH])


def _log_inputs(tracking: Tracking, run_id: str, named: Mapping[str, tuple[str, str]]) -> None:
    """Log data inputs of the run, (digest, context) by name; the digest is earmark's own over all rows."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = []
    for name, (full, context) in named.items():
        if full:
            # MLflow stores only 36 characters of a digest, so the whole digest is in the source.
            dataset = Dataset(name, full[:36], "earmark", canonical_json({"sha256": full}))
            inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", context)]))
    if inputs:
        tracking.client.log_inputs(run_id, inputs)


PROMOTED_TAG = "earmark.promoted"


def mark_promoted(tracking: Tracking, run_id: str, how: str) -> None:
    """Log how the run's version became champion, `forced` or `gate`; who promoted it and why is on the audit chain."""
    with store_errors(tracking.uri):
        tracking.client.set_tag(run_id, PROMOTED_TAG, how)
