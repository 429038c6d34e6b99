"""The loop with an annotator who knows the answers: pools made harder, and one simulated run of a strategy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from corpus.errors import UsageError
from corpus.records.base import Floats, Strings
from sampling.learning_curves import Curve, first_held
from sampling.measures import measure
from sampling.pool import Mask, Pool, Rows, Scores
from sampling.seeds import generator
from sampling.strategies.registry import in_phase, pick, ranks_by_score

Learn: TypeAlias = Callable[[Rows], tuple[Floats, Mask]]
"""Learns from the labels of the given rows; returns (N, C) probabilities on the pool and (M,) right on the test set."""


@dataclass(frozen=True, slots=True)
class SimulatedPool:
    """What a run chooses from, N rows.

    Attributes:
        features: (N, D) float32, rows of unit length.
        durations: (N,) [s].
        seconds: (N,) what each label costs [annotator seconds].
        classes: how many intents there are.
    """

    features: Floats
    durations: Scores
    seconds: Scores
    classes: int

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a run goes.

    Attributes:
        batch: labels bought in a round.
        target: accuracy at which it has arrived, once held.
        max_labels: it ends there at the latest; None: with the pool.
        cold_start_labels: labels below which `default` chooses by typicality.
        groups: by group of test rows, (M,) bool; their accuracy is followed, too.
    """

    batch: int
    target: float
    max_labels: int | None = None
    cold_start_labels: int = 20
    groups: Mapping[str, Mask] = field(default_factory=dict)


def simulate_run(pool: SimulatedPool, learn: Learn, strategy: str, seed: int, settings: RunSettings) -> Curve:
    """Return the learning curve of one run; it ends once the target was held, or the labels are used up.

    Args:
        pool: of the seed.
        learn: the learner, which knows the labels.
        strategy: key of `STRATEGIES`, or `strategy:measure`; without a measure `margin` ranks.
        seed: of all draws of the run.
        settings: how it goes.
    """
    names = np.array([f"{row:07d}" for row in range(len(pool))])
    known = np.zeros(0, np.intp)
    probs = np.full((len(pool), pool.classes), 1.0 / pool.classes, np.float32)
    labels: list[int] = []
    accuracy: list[float] = []
    seconds: list[float] = []
    groups: list[list[float]] = []
    most = min(len(pool), settings.max_labels or len(pool))
    while len(known) < most and first_held(accuracy, settings.target) is None:
        count = min(settings.batch, most - len(known))
        rng = generator(seed, f"round {len(labels)}", "replay")
        chosen = _choose(pool, names, probs, known, strategy, count, settings.cold_start_labels, rng)
        known = np.concatenate([known, chosen])
        probs, right = learn(known)
        labels.append(len(known))
        accuracy.append(float(right.mean()))
        seconds.append(float(pool.seconds[known].sum()))
        groups.append([float(right[rows].mean()) for rows in settings.groups.values()])
    by_group = tuple((name, tuple(row[k] for row in groups)) for k, name in enumerate(settings.groups))
    return Curve(strategy, seed, tuple(labels), tuple(accuracy), tuple(seconds), settings.target, by_group)


def _choose(
    pool: SimulatedPool,
    names: Strings,
    probs: Floats,
    known: Rows,
    strategy: str,
    count: int,
    cold_start_labels: int,
    rng: np.random.Generator,
) -> Rows:
    name, _, ranked_by = strategy.partition(":")
    open_ = np.setdiff1d(np.arange(len(names)), known, assume_unique=True)
    rows = Pool.from_arrays(
        names[open_],
        probs[open_],
        pool.features[open_],
        duration=pool.durations[open_],
        known_embeddings=pool.features[known] if len(known) else None,
    )
    if not ranked_by:
        name = in_phase(name, len(known), pool.classes, cold_start_labels)
    if not len(known) and ranks_by_score(name):
        name = "random"  # nobody has learned anything yet, so no score says anything
    return open_[pick(name, rows, count, measure(ranked_by or "margin", rows.predictions), rng)]


# --- harder pools -----------------------------------------------------------------------------------------------------


def rare_rows(speakers: Strings, shares: Mapping[str, float], seed: int) -> Rows:
    """Return the rows of a pool in which some speakers are rare.

    Args:
        speakers: (N,) of the pool.
        shares: by speaker, the share of the pool to which their rows are cut.
        seed: of the draw.

    Raises:
        UsageError: a rare speaker who speaks nowhere, or a pool that nothing is left of.
    """
    rows = np.arange(len(speakers))
    named = np.isin(speakers, list(shares))
    common, left = int((~named).sum()), 1.0 - sum(shares.values())
    if shares and (left <= 0 or not common):
        raise UsageError("rare: the shares leave nothing for the other speakers; give shares such as 0.05")
    keep = [rows[~named]]
    for speaker, share in sorted(shares.items()):
        theirs = rows[speakers == speaker]
        if not len(theirs):
            raise UsageError(f"rare: speaker {speaker!r} speaks nowhere in train.jsonl")
        count = min(len(theirs), max(1, round(share / left * common)))
        keep.append(generator(seed, "pool", f"rare {speaker}").permutation(theirs)[:count])
    return np.sort(np.concatenate(keep))


def zipf_rows(labels: Rows, classes: int, rows: Rows, seed: int) -> Rows:
    """Return those of the rows that leave the intents' frequencies falling as 1 / rank; the commonest keeps all.

    Args:
        labels: (N,) intents of the pool.
        classes: how many intents there are.
        rows: to choose from.
        seed: of the order of the intents and of the draw.
    """
    rng = generator(seed, "pool", "zipf")
    order = rng.permutation(classes)
    most = np.bincount(labels[rows], minlength=len(order)).max()
    keep = []
    for rank, intent in enumerate(order, 1):
        mine = rows[labels[rows] == intent]
        keep.append(rng.permutation(mine)[: max(1, int(most / rank))])
    return np.sort(np.concatenate(keep))


def noisy_labels(labels: Rows, classes: int, share: float, seed: int) -> Rows:
    """Return the labels, a share of which name another intent."""
    rng = generator(seed, "pool", "noise")
    wrong = rng.permutation(len(labels))[: round(share * len(labels))]
    out: npt.NDArray[np.intp] = labels.copy()
    out[wrong] = (labels[wrong] + rng.integers(1, classes, len(wrong))) % classes
    return out
