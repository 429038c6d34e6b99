"""Simulation of the loop on labelled pools: one run of a strategy, and pools that are made harder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from corpus.errors import UsageError
from corpus.records.base import Floats, Strings
from sampling.learning_curves import Curve, first_at_target
from sampling.measures import measure
from sampling.pool import Mask, Pool, Rows, Scores
from sampling.seeds import generator
from sampling.strategies.registry import in_phase, pick, ranks_by_score

Learn: TypeAlias = Callable[[Rows], tuple[Floats, Mask]]
"""A learner: takes labelled rows, returns (N, C) probabilities on the pool and (M,) bool, correct on the test set."""


@dataclass(frozen=True, slots=True)
class SimulatedPool:
    """The N rows that a simulated run chooses from.

    Attributes:
        features: (N, D) float32, rows of unit length.
        durations: (N,) [s].
        seconds: (N,) cost of each label [annotator seconds].
        classes: number of intents.
    """

    features: Floats
    durations: Scores
    seconds: Scores
    classes: int

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Settings of a simulated run.

    Attributes:
        batch: labels bought in a round.
        target: accuracy at which the run ends, once it is reached to stay.
        max_labels: most labels of the run; None: the whole pool.
        cold_start_labels: below this many labels `default` chooses by typicality.
        groups: by group of test rows, (M,) bool; the accuracy on each group is recorded, too.
    """

    batch: int
    target: float
    max_labels: int | None = None
    cold_start_labels: int = 20
    groups: Mapping[str, Mask] = field(default_factory=dict)


def simulate_run(pool: SimulatedPool, learn: Learn, strategy: str, seed: int, settings: RunSettings) -> Curve:
    """Return the learning curve of one run, which ends when the target is reached to stay or no label remains.

    Args:
        pool: the rows to choose from.
        learn: the learner, which has the labels of all rows.
        strategy: name of a strategy, or `strategy:measure`; without a measure, rows are ranked by `margin`.
        seed: of all draws of the run.
        settings: batch size, target and limits.
    """
    names = np.array([f"{row:07d}" for row in range(len(pool))])
    labelled = np.zeros(0, np.intp)
    probs = np.full((len(pool), pool.classes), 1.0 / pool.classes, np.float32)
    labels: list[int] = []
    accuracy: list[float] = []
    seconds: list[float] = []
    groups: list[list[float]] = []
    most = min(len(pool), settings.max_labels or len(pool))
    while len(labelled) < most and first_at_target(accuracy, settings.target) is None:
        count = min(settings.batch, most - len(labelled))
        rng = generator(seed, f"round {len(labels)}", "replay")
        chosen = _choose(pool, names, probs, labelled, strategy, count, settings.cold_start_labels, rng)
        labelled = np.concatenate([labelled, chosen])
        probs, correct = learn(labelled)
        labels.append(len(labelled))
        accuracy.append(float(correct.mean()))
        seconds.append(float(pool.seconds[labelled].sum()))
        groups.append([float(correct[rows].mean()) for rows in settings.groups.values()])
    by_group = tuple((name, tuple(row[k] for row in groups)) for k, name in enumerate(settings.groups))
    return Curve(strategy, seed, tuple(labels), tuple(accuracy), tuple(seconds), settings.target, by_group)


def _choose(
    pool: SimulatedPool,
    names: Strings,
    probs: Floats,
    labelled: Rows,
    strategy: str,
    count: int,
    cold_start_labels: int,
    rng: np.random.Generator,
) -> Rows:
    """Return the rows that the strategy chooses among those without a label."""
    name, _, ranked_by = strategy.partition(":")
    unlabelled = np.setdiff1d(np.arange(len(names)), labelled, assume_unique=True)
    rows = Pool.from_arrays(
        names[unlabelled],
        probs[unlabelled],
        pool.features[unlabelled],
        duration=pool.durations[unlabelled],
        known_embeddings=pool.features[labelled] if len(labelled) else None,
    )
    if not ranked_by:
        name = in_phase(name, len(labelled), pool.classes, cold_start_labels)
    if not len(labelled) and ranks_by_score(name):
        name = "random"  # without any label all scores are equal
    return unlabelled[pick(name, rows, count, measure(ranked_by or "margin", rows.predictions), rng)]


# --- harder pools -----------------------------------------------------------------------------------------------------


def rare_rows(speakers: Strings, shares: Mapping[str, float], seed: int) -> Rows:
    """Return the rows of a pool in which some speakers are rare.

    Args:
        speakers: (N,) str, speaker of each row of the pool.
        shares: by rare speaker, the speaker's share of the pool that is returned.
        seed: of the draw.

    Raises:
        UsageError: a rare speaker without a row, or shares that leave no room for other speakers.
    """
    rows = np.arange(len(speakers))
    named = np.isin(speakers, list(shares))
    common, rest = int((~named).sum()), 1.0 - sum(shares.values())
    if shares and (rest <= 0 or not common):
        raise UsageError("rare: the shares leave nothing for the other speakers; give shares such as 0.05")
    keep = [rows[~named]]
    for speaker, share in sorted(shares.items()):
        of_speaker = rows[speakers == speaker]
        if not len(of_speaker):
            raise UsageError(f"rare: speaker {speaker!r} speaks nowhere in train.jsonl")
        count = min(len(of_speaker), max(1, round(share / rest * common)))
        keep.append(generator(seed, "pool", f"rare {speaker}").permutation(of_speaker)[:count])
    return np.sort(np.concatenate(keep))


def zipf_rows(labels: Rows, classes: int, rows: Rows, seed: int) -> Rows:
    """Return a subset of the rows in which the frequencies of intents fall as 1 / rank (Zipf); the first keeps all.

    Args:
        labels: (N,) intents of the pool.
        classes: number of intents.
        rows: the rows to choose from.
        seed: of the order of the intents and of the draw.
    """
    rng = generator(seed, "pool", "zipf")
    order = rng.permutation(classes)
    most = np.bincount(labels[rows], minlength=len(order)).max()
    keep = []
    for rank, intent in enumerate(order, 1):
        of_intent = rows[labels[rows] == intent]
        keep.append(rng.permutation(of_intent)[: max(1, int(most / rank))])
    return np.sort(np.concatenate(keep))


def noisy_labels(labels: Rows, classes: int, share: float, seed: int) -> Rows:
    """Return the labels, with a share of them replaced by another intent.

    Args:
        labels: (N,) intents.
        classes: number of intents.
        share: share of wrong labels, in [0, 1].
        seed: of the draw.
    """
    rng = generator(seed, "pool", "noise")
    wrong = rng.permutation(len(labels))[: round(share * len(labels))]
    out: npt.NDArray[np.intp] = labels.copy()
    out[wrong] = (labels[wrong] + rng.integers(1, classes, len(wrong))) % classes
    return out
