"""One run of a replay on a labelled corpus: a strategy, a seed, and a learner that is trained round after round."""

from __future__ import annotations

import multiprocessing
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from corpus.records.base import Floats
from corpus.settings import MOST_ROWS
from sampling.cost import CostModel
from sampling.learning_curves import Curve
from sampling.pool import Mask, Scores
from sampling.simulation import RunSettings, SimulatedPool, noisy_labels, rare_rows, simulate_run, zipf_rows
from training.replay_learners.learners import LEARNERS
from training.replay_learners.problem import Problem, Rows, load_problem


class ReplaySettings(BaseModel):
    """The settings of a simulated run.

    Attributes:
        learner: key of `LEARNERS`.
        batch: number of labels bought in a round.
        until: target of a run, as a share of the accuracy with the whole pool labelled.
        skew: `zipf` removes rows of the pool until the frequencies of intents fall as 1 / rank, in an order drawn by
            seed.
        label_noise: share of the pool's labels that name a wrong intent, the same for every strategy.
        rare: share of the pool to which the rows of a speaker are cut, by speaker.
        neighbours: number of neighbours whose average is added to each row's features; 0: none.
        max_labels: number of labels after which a run ends at the latest; None: the whole pool.
        cold_start_labels: number of labels below which `default` chooses by typicality, as in `sampling`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    learner: str = "linear"
    batch: int = Field(default=20, ge=1, le=MOST_ROWS)
    until: float = Field(default=0.97, gt=0, le=1)
    skew: Literal["none", "zipf"] = "none"
    label_noise: float = Field(default=0.0, ge=0, lt=1)
    rare: dict[str, float] = Field(default_factory=dict)
    neighbours: int = Field(default=15, ge=0, le=MOST_ROWS)
    max_labels: int | None = Field(default=None, ge=1, le=MOST_ROWS)
    cold_start_labels: int = Field(default=20, ge=0, le=MOST_ROWS)


@dataclass(frozen=True, slots=True)
class FullPool:
    """The accuracy of a learner that is trained on the whole pool of a seed."""

    seed: int
    accuracy: float


def problem_of_seed(problem: Problem, settings: ReplaySettings, seed: int) -> Problem:
    """Return the problem of one seed, which is the same for every strategy.

    Raises:
        UsageError: a rare speaker has no rows, or no row of the pool is left.
    """
    rows = rare_rows(problem.speakers, settings.rare, seed)
    if settings.skew == "zipf":
        rows = zipf_rows(problem.labels, len(problem.intents), rows, seed)
    return problem.take(rows, noisy_labels(problem.labels[rows], len(problem.intents), settings.label_noise, seed))


def simulate(problem: Problem, settings: ReplaySettings, strategy: str, seed: int, full: float) -> Curve:
    """Return the learning curve of one run; it ends when the target is reached and kept, or no label is left.

    Args:
        problem: problem of the seed, as `problem_of_seed` returns it.
        settings: the settings of the run.
        strategy: key of `STRATEGIES`, or `strategy:measure`; without a measure `margin` ranks.
        seed: seed of all draws of the run.
        full: accuracy of a learner trained on the whole pool.
    """
    learner = LEARNERS[settings.learner](problem)

    def learn(rows: Rows) -> tuple[Floats, Mask]:
        output = learner(rows, problem.labels[rows])
        return output.probs, output.predicted == problem.test_labels

    pool = SimulatedPool(problem.features, problem.durations, annotator_seconds(problem), len(problem.intents))
    run = RunSettings(
        batch=settings.batch,
        target=settings.until * full,
        max_labels=settings.max_labels,
        cold_start_labels=settings.cold_start_labels,
        groups={name: problem.test_speakers == name for name in sorted(settings.rare)},
    )
    return simulate_run(pool, learn, strategy, seed, run)


def annotator_seconds(problem: Problem, costs: CostModel | None = None) -> Scores:
    """Return (N,) costs of the labels: an intent for a text, a transcript for a clip [annotator seconds]."""
    ask = "transcribe" if problem.speech else "label_intent"
    return (costs or CostModel()).of(ask).seconds(problem.durations, problem.words)


def full_pool_accuracy(problem: Problem, settings: ReplaySettings) -> float:
    """Return the test accuracy of the learner after training on the whole pool."""
    rows = np.arange(len(problem.labels))
    output = LEARNERS[settings.learner](problem)(rows, problem.labels)
    return float((output.predicted == problem.test_labels).mean())


# --- worker process ---------------------------------------------------------------------------------------------------

_problem: Problem | None = None
_settings: ReplaySettings = ReplaySettings()


def prepare_worker(path: str, settings: str) -> None:
    """Load the problem of the folder and the settings into this worker process, which ends when its parent ends."""
    global _problem, _settings
    threading.Thread(target=_follow_parent, daemon=True).start()
    _problem, _settings = load_problem(Path(path)), ReplaySettings.model_validate_json(settings)


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def run_job(job: tuple[str, int, float | None]) -> FullPool | Curve:
    """Return the result of a job: the accuracy of the full pool for a job that has none, a learning curve otherwise."""
    strategy, seed, full = job
    assert _problem is not None
    problem = problem_of_seed(_problem, _settings, seed)
    if full is None:
        return FullPool(seed, full_pool_accuracy(problem, _settings))
    return simulate(problem, _settings, strategy, seed, full)
