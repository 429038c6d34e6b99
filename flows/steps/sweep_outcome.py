"""How the trials of a sweep ended, and which of them earlier sweeps stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import sqlalchemy as sa

from corpus.storage import operation_ids
from corpus.storage.operations import Operation, result_of
from corpus.tables import trials
from corpus.tables.trials import TrialFigures
from flows.runtime.results import Result
from training.evaluation.intervals import SpeakerSums

State: TypeAlias = Literal["trained", "refused", "diverged", "failed"]
"""How a trial ended: `refused` is clearly worse than the base, as a retraining would refuse it; `failed` is any other
error, after which it is trained again the next time."""

BY_SPEAKER: Final = ("errors", "base_errors", "units")
"""Fields that are stored apart, so that an erasure finds them."""


@dataclass(frozen=True, slots=True)
class Outcome(Result):
    """How a trial ended, as it is stored: numbers and the id of its MLflow run.

    Attributes:
        state: how it ended.
        why: the reason in one sentence where it is not `trained`.
        run_id: MLflow run.
        seconds: how long it took [s].
        epochs: how many were run.
        train_loss: mean loss of the last epoch.
        rows: how many dev rows it was measured on.
        errors, base_errors, units: by dev speaker, in the order of their ids, which are not stored: errors of the
            trained model, those of the base, and how much could be wrong (words, or texts). Empty where nothing was
            measured.
    """

    state: State
    why: str
    run_id: str
    seconds: float
    epochs: int = 0
    train_loss: float | None = None
    rows: int = 0
    errors: tuple[float, ...] = ()
    base_errors: tuple[float, ...] = ()
    units: tuple[float, ...] = ()

    @property
    def sums(self) -> SpeakerSums:
        """Return the errors by speaker."""
        return SpeakerSums(np.array(self.errors), np.array(self.units), self.rows)

    @property
    def base_sums(self) -> SpeakerSums:
        """Return the errors of the base by speaker."""
        return SpeakerSums(np.array(self.base_errors), np.array(self.units), self.rows)


def put_outcome(op: Operation, outcome: Outcome, dev_ids: Sequence[str]) -> None:
    """Store how a trial ended; what it has of speakers is stored with the dev rows that it was measured on.

    Args:
        op: the trial.
        outcome: how it ended.
        dev_ids: ids of the dev rows.
    """
    op.result = {name: value for name, value in outcome.to_json().items() if name not in BY_SPEAKER}
    if outcome.units:
        trials.put(op.conn, op.operation_id, TrialFigures(outcome.errors, outcome.base_errors, outcome.units), dev_ids)


def earlier_outcomes(conn: sa.Connection, trial_ids: Sequence[str]) -> tuple[int, dict[str, Outcome]]:
    """Return how trials on the same labels ended in earlier sweeps, by operation id, as far as they can be compared.

    Where a row of the figures of one was erased, or they were not measured on the same rows, since one could not be
    opened at one time, none of them is used: all are trained again, under ids of their own.

    Args:
        conn: a connection on the records.
        trial_ids: ids of the first time; see `operation_ids.trial_again`.

    Returns:
        How often they were to be trained again so far, and the outcomes.
    """
    number = 0
    while True:
        ids = [operation_ids.trial_again(each, number) for each in trial_ids]
        results = {each: result for each in ids if (result := result_of(conn, each)) is not None}
        found = {each: _outcome(conn, each, result) for each, result in results.items()}
        outcomes = {each: outcome for each, outcome in found.items() if outcome is not None}
        if (
            len(outcomes) == len(found)
            and len({(each.rows, each.units) for each in outcomes.values() if each.units}) < 2
        ):
            return number, outcomes
        number += 1


def _outcome(conn: sa.Connection, operation_id: str, result: Mapping[str, Any]) -> Outcome | None:
    """Return the outcome that was stored; None where its figures were erased."""
    figures = trials.figures(conn, operation_id)
    if figures is None:
        return None if result["rows"] else Outcome(**result)
    return Outcome(**result, errors=figures.errors, base_errors=figures.base_errors, units=figures.units)
