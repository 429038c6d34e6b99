"""One simulated run of a replay: a strategy, a seed, an annotator who knows the answers, round after round."""

from __future__ import annotations

import multiprocessing
import os
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import UsageError
from sampling.cost import CostModel
from sampling.curves import Curve, first_held
from sampling.measures import measure
from sampling.pool import Pool
from sampling.seeds import generator
from sampling.strategies import in_phase, pick, ranks_by_score
from training.quick.learners import LEARNERS
from training.quick.problem import Problem, Rows, load_problem


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


def stage(problem: Problem, settings: ReplaySettings, seed: int) -> Problem:
    """Returns the problem of one seed: the same for every strategy.

    Raises:
        UsageError: a rare speaker who speaks nowhere, or a pool that nothing is left of.
    """
    rows = _rare(problem, settings.rare, seed)
    if settings.skew == "zipf":
        rows = _zipf(problem, rows, seed)
    return problem.take(rows, _noisy(problem.labels[rows], len(problem.intents), settings.label_noise, seed))


def _rare(problem: Problem, rare: dict[str, float], seed: int) -> Rows:
    rows = np.arange(len(problem.labels))
    named = np.isin(problem.speakers, list(rare))
    common, left = int((~named).sum()), 1.0 - sum(rare.values())
    if rare and (left <= 0 or not common):
        raise UsageError("rare: the shares leave nothing for the other speakers; give shares such as 0.05")
    keep = [rows[~named]]
    for speaker, share in sorted(rare.items()):
        theirs = rows[problem.speakers == speaker]
        if not len(theirs):
            raise UsageError(f"rare: speaker {speaker!r} speaks nowhere in train.jsonl")
        count = min(len(theirs), max(1, round(share / left * common)))
        keep.append(generator(seed, "pool", f"rare {speaker}").permutation(theirs)[:count])
    return np.sort(np.concatenate(keep))


def _zipf(problem: Problem, rows: Rows, seed: int) -> Rows:
    """Returns rows whose intents' frequencies fall as 1 / rank; the commonest keeps what it has."""
    rng = generator(seed, "pool", "zipf")
    order = rng.permutation(len(problem.intents))
    most = np.bincount(problem.labels[rows], minlength=len(order)).max()
    keep = []
    for rank, intent in enumerate(order, 1):
        mine = rows[problem.labels[rows] == intent]
        keep.append(rng.permutation(mine)[: max(1, int(most / rank))])
    return np.sort(np.concatenate(keep))


def _noisy(labels: Rows, intents: int, share: float, seed: int) -> Rows:
    rng = generator(seed, "pool", "noise")
    wrong = rng.permutation(len(labels))[: round(share * len(labels))]
    out = labels.copy()
    out[wrong] = (labels[wrong] + rng.integers(1, intents, len(wrong))) % intents
    return out


def simulate(problem: Problem, settings: ReplaySettings, strategy: str, seed: int, full: float) -> Curve:
    """Returns the learning curve of one run; it ends once the target was held, or the labels are used up.

    Args:
        problem: of the seed, as `stage` gives it.
        settings: how.
        strategy: key of `STRATEGIES`, or `strategy:measure`; without a measure `margin` ranks.
        seed: of all draws of the run.
        full: accuracy that the whole pool teaches.
    """
    learn = LEARNERS[settings.learner](problem)
    names = np.array([f"{row:07d}" for row in range(len(problem.labels))])
    spent = annotator_seconds(problem)
    known = np.zeros(0, np.intp)
    probs = np.full((len(names), len(problem.intents)), 1.0 / len(problem.intents), np.float32)
    labels: list[int] = []
    accuracy: list[float] = []
    seconds: list[float] = []
    groups: list[list[float]] = []
    most = min(len(names), settings.max_labels or len(names))
    while len(known) < most and first_held(accuracy, settings.until * full) is None:
        count = min(settings.batch, most - len(known))
        rng = generator(seed, f"round {len(labels)}", "replay")
        known = np.concatenate([known, _choose(problem, names, probs, known, strategy, count, settings, rng)])
        beliefs = learn(known, problem.labels[known])
        probs = beliefs.probs
        right = beliefs.predicted == problem.test_labels
        labels.append(len(known))
        accuracy.append(float(right.mean()))
        seconds.append(float(spent[known].sum()))
        groups.append([float(right[problem.test_speakers == name].mean()) for name in sorted(settings.rare)])
    by_group = tuple((name, tuple(row[k] for row in groups)) for k, name in enumerate(sorted(settings.rare)))
    return Curve(strategy, seed, tuple(labels), tuple(accuracy), tuple(seconds), settings.until * full, by_group)


def _choose(
    problem: Problem,
    names: npt.NDArray[np.str_],
    probs: npt.NDArray[np.float32],
    known: Rows,
    strategy: str,
    count: int,
    settings: ReplaySettings,
    rng: np.random.Generator,
) -> Rows:
    name, _, ranked_by = strategy.partition(":")
    open_ = np.setdiff1d(np.arange(len(names)), known, assume_unique=True)
    pool = Pool.from_arrays(
        names[open_],
        probs[open_],
        problem.features[open_],
        duration=problem.durations[open_],
        known_embeddings=problem.features[known] if len(known) else None,
    )
    if not ranked_by:
        name = in_phase(name, len(known), len(problem.intents), settings.cold_start_labels)
    if not len(known) and ranks_by_score(name):
        name = "random"  # nobody has learned anything yet, so no score says anything
    return open_[pick(name, pool, count, measure(ranked_by or "margin", pool.predictions), rng)]


def annotator_seconds(problem: Problem, costs: CostModel | None = None) -> npt.NDArray[np.float64]:
    """Returns (N,) what each label costs: an intent label of a text, a transcript of a clip [annotator seconds]."""
    cost = (costs or CostModel()).of("transcribe" if problem.speech else "label_intent")
    return cost.base + cost.per_second * problem.durations + cost.per_token * problem.words


def full_pool(problem: Problem, settings: ReplaySettings) -> float:
    """Returns the accuracy of the learner that was taught all of the pool."""
    rows = np.arange(len(problem.labels))
    beliefs = LEARNERS[settings.learner](problem)(rows, problem.labels)
    return float((beliefs.predicted == problem.test_labels).mean())


# --- in a process of its own ------------------------------------------------------------------------------------------

_problem: Problem | None = None
_settings: ReplaySettings = ReplaySettings()


def prepare_worker(path: str, settings: str) -> None:
    """The process has the problem of the folder, mapped into memory, and ends as soon as the one that began it does."""
    global _problem, _settings
    threading.Thread(target=_follow_parent, daemon=True).start()
    _problem, _settings = load_problem(Path(path)), ReplaySettings.model_validate_json(settings)


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def work(job: tuple[str, int, float | None]) -> dict[str, Any]:
    """Returns one line of a replay's results: the full pool's accuracy for a job without one, else a curve."""
    strategy, seed, full = job
    assert _problem is not None
    problem = stage(_problem, _settings, seed)
    if full is None:
        return {"full_pool": full_pool(problem, _settings), "seed": seed}
    return asdict(simulate(problem, _settings, strategy, seed, full))
