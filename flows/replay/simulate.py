"""One run of a replay on a labelled corpus: a strategy, a seed, and a learner that is taught round after round."""

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
from sampling.cost import CostModel
from sampling.learning_curves import Curve
from sampling.pool import Mask, Scores
from sampling.simulation import RunSettings, SimulatedPool, noisy_labels, rare_rows, simulate_run, zipf_rows
from training.replay_learners.learners import LEARNERS
from training.replay_learners.problem import Problem, Rows, load_problem


class ReplaySettings(BaseModel):
    """What is simulated.

    Attributes:
        learner: key of `LEARNERS`.
        batch: labels bought in a round.
        until: share of the accuracy of the whole pool at which a run has arrived.
        skew: `zipf` thins the pool until the intents' frequencies fall as 1 / rank, in an order drawn by seed.
        label_noise: share of the pool's labels that name another intent, for every strategy the same.
        rare: by speaker, the share of the pool to which their rows are cut.
        neighbours: rows of the pool whose average stands beside each row's features; 0: none.
        max_labels: a run ends there at the latest; None: with the pool.
        cold_start_labels: as in `sampling`, labels below which `default` chooses by typicality.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    learner: str = "linear"
    batch: int = Field(default=20, ge=1)
    until: float = Field(default=0.97, gt=0, le=1)
    skew: Literal["none", "zipf"] = "none"
    label_noise: float = Field(default=0.0, ge=0, lt=1)
    rare: dict[str, float] = Field(default_factory=dict)
    neighbours: int = Field(default=15, ge=0)
    max_labels: int | None = Field(default=None, ge=1)
    cold_start_labels: int = Field(default=20, ge=0)


@dataclass(frozen=True, slots=True)
class FullPool:
    """The accuracy that the whole pool of a seed teaches."""

    seed: int
    accuracy: float


def problem_of_seed(problem: Problem, settings: ReplaySettings, seed: int) -> Problem:
    """Return the problem of one seed: the same for every strategy.

    Raises:
        UsageError: a rare speaker who speaks nowhere, or a pool that nothing is left of.
    """
    rows = rare_rows(problem.speakers, settings.rare, seed)
    if settings.skew == "zipf":
        rows = zipf_rows(problem.labels, len(problem.intents), rows, seed)
    return problem.take(rows, noisy_labels(problem.labels[rows], len(problem.intents), settings.label_noise, seed))


def simulate(problem: Problem, settings: ReplaySettings, strategy: str, seed: int, full: float) -> Curve:
    """Return the learning curve of one run; it ends once the target was held, or the labels are used up.

    Args:
        problem: of the seed, as `problem_of_seed` gives it.
        settings: how.
        strategy: key of `STRATEGIES`, or `strategy:measure`; without a measure `margin` ranks.
        seed: of all draws of the run.
        full: accuracy that the whole pool teaches.
    """
    learner = LEARNERS[settings.learner](problem)

    def learn(known: Rows) -> tuple[Floats, Mask]:
        beliefs = learner(known, problem.labels[known])
        return beliefs.probs, beliefs.predicted == problem.test_labels

    pool = SimulatedPool(problem.features, problem.durations, annotator_seconds(problem), len(problem.intents))
    how = RunSettings(
        batch=settings.batch,
        target=settings.until * full,
        max_labels=settings.max_labels,
        cold_start_labels=settings.cold_start_labels,
        groups={name: problem.test_speakers == name for name in sorted(settings.rare)},
    )
    return simulate_run(pool, learn, strategy, seed, how)


def annotator_seconds(problem: Problem, costs: CostModel | None = None) -> Scores:
    """Return (N,) what each label costs: an intent label of a text, a transcript of a clip [annotator seconds]."""
    ask = "transcribe" if problem.speech else "label_intent"
    return (costs or CostModel()).of(ask).seconds(problem.durations, problem.words)


def full_pool_accuracy(problem: Problem, settings: ReplaySettings) -> float:
    """Return the accuracy of the learner that was taught all of the pool."""
    rows = np.arange(len(problem.labels))
    beliefs = LEARNERS[settings.learner](problem)(rows, problem.labels)
    return float((beliefs.predicted == problem.test_labels).mean())


# --- in a process of its own ------------------------------------------------------------------------------------------

_problem: Problem | None = None
_settings: ReplaySettings = ReplaySettings()


def prepare_worker(path: str, settings: str) -> None:
    """Give the process the folder's problem, mapped into memory; it ends as soon as the one that started it does."""
    global _problem, _settings
    threading.Thread(target=_follow_parent, daemon=True).start()
    _problem, _settings = load_problem(Path(path)), ReplaySettings.model_validate_json(settings)


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def run_job(job: tuple[str, int, float | None]) -> FullPool | Curve:
    """Return what a job found: the full pool's accuracy for a job without one, else a curve."""
    strategy, seed, full = job
    assert _problem is not None
    problem = problem_of_seed(_problem, _settings, seed)
    if full is None:
        return FullPool(seed, full_pool_accuracy(problem, _settings))
    return simulate(problem, _settings, strategy, seed, full)
