"""Run one trial of a sweep: train, measure on the dev rows, record a nested MLflow run; nothing is registered."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus.errors import EarmarkError, TrainingRefused
from corpus.handle import Corpus
from corpus.records.base import Kind, digest
from corpus.tables import labels, utterances
from flows.models import registry
from flows.steps.fine_tune import Learner, checkpoint_folder
from flows.steps.sweep_grid import seed_of
from flows.steps.sweep_outcome import Outcome, put_outcome
from flows.steps.sweep_plan import SweepPlan, Trial, dev_speakers
from training.loop.work import Epoch, OnEpoch

if TYPE_CHECKING:
    from training.asr.finetune import FinetuneResult as AsrResult
    from training.intent.finetune import FinetuneResult as IntentResult
    from training.tracking.facts import RunFacts
    from training.tracking.store import Tracking

    Made = AsrResult | IntentResult


@dataclass(frozen=True, slots=True)
class Place:
    """Where the trials of a sweep are recorded: the MLflow store and the flow run."""

    tracking: Tracking
    flow_run: str


def run_trial(
    corpus: Corpus, home: Path, plan: SweepPlan, trial: Trial, learner: Learner[Any, Any], place: Place
) -> Outcome:
    """Train with the settings of a trial and return how it ended; an error ends this trial alone.

    The outcome is stored, so that the same trial is never trained again, but not that of an error which another time
    may not meet, such as too little memory. The model is not kept. A killed trial goes on from its checkpoint.
    """
    from training.tracking.runs import tracked_run

    # apart from the work of retrainings, of whose checkpoints each kind keeps the newest alone
    folder = home / "work" / "trials" / digest(trial.operation_id)[:16]
    began = time.monotonic()
    run_id, outcome = "", None
    try:
        with tracked_run(place.tracking, _facts(corpus, plan, trial, place.flow_run)) as run_id:
            made: Made = learner.learn(trial.finetune, folder, _curves(place.tracking, run_id, plan.kind))
            outcome = _outcome(plan.kind, made, run_id, dev_speakers(corpus, learner.dev_ids))
            _log(place.tracking, run_id, plan.kind, made, outcome)
            if outcome.why:
                raise TrainingRefused(outcome.why)
    except TrainingRefused as error:
        outcome = outcome or Outcome("diverged", str(error), run_id, _since(began))
    except EarmarkError as error:  # also where only the tracking store was away after the training
        outcome = outcome or Outcome("failed", str(error), run_id, _since(began))
    for unneeded in (folder, checkpoint_folder(folder, plan.kind)):
        shutil.rmtree(unneeded, ignore_errors=True)
    with contextlib.suppress(OSError):  # it holds the checkpoint of another trial, which was killed
        folder.parent.rmdir()
    return outcome if outcome.state == "failed" else _stored(corpus, trial, outcome, learner.dev_ids)


def _stored(corpus: Corpus, trial: Trial, outcome: Outcome, dev_ids: Sequence[str]) -> Outcome:
    """Store the outcome and return it; of a trial that was measured on a row which was erased meanwhile, nothing is."""
    try:
        with corpus.operation(trial.operation_id, "trial") as op:
            if utterances.erased(op.conn, dev_ids):
                raise TrainingRefused("a dev row was erased while it learned; the next sweep trains it without the row")
            if not op.done:
                put_outcome(op, outcome, dev_ids)
    except TrainingRefused as error:
        return Outcome("failed", str(error), outcome.run_id, outcome.seconds)
    return outcome


def _since(began: float) -> float:
    return round(time.monotonic() - began, 2)


def _outcome(kind: Kind, made: Made, run_id: str, speakers: Sequence[str]) -> Outcome:
    """Return how a finished training ended, by the checks that a retraining makes before it registers a version."""
    import numpy as np

    from training.evaluation.dev_check import why_diverged, why_worse
    from training.evaluation.intervals import speaker_sums

    seconds, epochs, loss = round(made.seconds, 2), len(made.losses), made.losses[-1]
    dev = made.dev_errors
    if dev is None:
        return Outcome("failed", "no dev row can be opened; label more utterances", run_id, seconds, epochs, loss)
    diverged, worse = why_diverged(made.first_loss, made.losses), why_worse(kind, dev)
    after, before = (speaker_sums(errors, dev.size, np.array(speakers)) for errors in (dev.after, dev.before))
    return Outcome(
        state="diverged" if diverged else "refused" if worse else "trained",
        why=diverged or worse,
        run_id=run_id,
        seconds=seconds,
        epochs=epochs,
        train_loss=loss,
        rows=len(dev),
        errors=tuple(after.numerator.tolist()),
        base_errors=tuple(before.numerator.tolist()),
        units=tuple(after.denominator.tolist()),
    )


def _curves(tracking: Tracking, run_id: str, kind: Kind) -> OnEpoch:
    """Return what logs the curves of a trial while it learns."""
    from training.tracking import runs

    measure = "dev_wer_by_epoch" if kind == "asr" else "dev_error_by_epoch"

    def log_epoch(epoch: Epoch) -> None:
        if epoch.restarts:
            return
        figures = {"train_loss": epoch.train_loss, measure: epoch.dev_error}
        values = {name: value for name, value in figures.items() if value is not None}
        with contextlib.suppress(EarmarkError):  # a server that is away for a moment ends no training
            runs.log_metrics(tracking, run_id, values, step=epoch.number)

    return log_epoch


def _log(tracking: Tracking, run_id: str, kind: Kind, made: Made, outcome: Outcome) -> None:
    """Log the figures of a finished trial; `final_dev_error` is the one by which the sweep ranks."""
    from training.evaluation.dev_ranking import dev_rate
    from training.tracking import runs

    figures: dict[str, float] = {"epochs": outcome.epochs, "seconds": outcome.seconds, "examples": made.examples}
    if outcome.units:
        rate = dev_rate(outcome.sums, kind)
        figures |= {"final_dev_error": rate.value, "final_dev_error_low": rate.low, "final_dev_error_high": rate.high}
        figures |= {"base_dev_error": dev_rate(outcome.base_sums, kind).value, "dev_rows": outcome.rows}
    figures |= {"rate_factor": made.rate_factor}
    figures |= {"best_epoch": made.best_epoch} if made.best_epoch is not None else {}
    runs.log_metrics(tracking, run_id, figures)


def _facts(corpus: Corpus, plan: SweepPlan, trial: Trial, flow_run: str) -> RunFacts:
    """Return what the MLflow run of a trial records about its origin."""
    from training.tracking.facts import RunFacts

    with corpus.read() as conn:
        minutes = labels.minutes_so_far(conn)
    pseudo = {"count": len(trial.pseudo.ids), "weight": trial.pseudo.weight}
    return RunFacts(
        operation_id=trial.operation_id,
        name=trial.name,
        kind=plan.kind,
        cycle=plan.name,
        config={plan.kind: trial.finetune.model_dump(mode="json"), "pseudo": pseudo},
        snapshot_id=trial.snapshot.snapshot_id,
        base=plan.base,
        parent=registry.champion(corpus, plan.kind).version,
        seed=seed_of(plan.kind, trial.finetune),
        flow_run_id=flow_run,
        labels=len(trial.snapshot.of("train")),
        minutes_so_far=minutes,
    )
