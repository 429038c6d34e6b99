"""The rows of a round while they are chosen, and how much room every cap still leaves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from corpus.errors import SettingsError
from corpus.records.base import Floats
from sampling.budget import SamplingSettings
from sampling.near_duplicates import without_duplicates
from sampling.pool import Mask, Pool, Rows, Scores, codes
from sampling.strategies.registry import pick, ranks_by_score

LEARNS: Final = ("train", "dev")
"""Splits of the speakers whose utterances are chosen to learn from; a training is checked on those of dev speakers."""

SHORT_LIST: Final = (2_000, 10, 50_000)
"""Rows that a strategy is given: at least, per clip, and at most. A diverse batch does not need a million rows."""


@dataclass(slots=True)
class CappedBatch:
    """The rows that a round has taken so far, and the remaining budget; `choose` changes it row by row.

    Attributes:
        pool: N rows in the order of their ids.
        costs: (N,) float64 [annotator seconds].
        max_per_speaker, near_duplicate: the caps, as in `SamplingSettings`.
        clips, seconds: the remaining budget.
        free: (N,) bool, rows that may still be taken.
        unlikely: (N,) bool, rows that are probably no requests; at first none.
        rows, reasons: the rows taken, in order, and why.
        speakers: (N,) number of each row's speaker.
        room: by speaker, how many more rows may be taken.
    """

    pool: Pool
    costs: Scores
    max_per_speaker: int
    near_duplicate: float
    clips: int
    seconds: float
    free: Mask
    rows: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    speakers: Rows = field(init=False)
    room: Rows = field(init=False)
    unlikely: Mask = field(init=False)

    def __post_init__(self) -> None:
        self.speakers, count = codes(self.pool.speaker_ids)
        self.room = np.full(count, self.max_per_speaker, np.intp)
        self.unlikely = np.zeros(len(self.pool), np.bool_)

    def put(self, row: int, reason: str, cost: float) -> None:
        """Take one row, and subtract it from clips, seconds and the room of its speaker."""
        self.rows.append(row)
        self.reasons.append(reason)
        self.free[row] = False
        self.clips -= 1
        self.seconds -= cost
        self.room[self.speakers[row]] -= 1

    def drop(self, rows: Rows) -> None:
        """Leave out rows that are near-duplicates of rows taken."""
        self.free[rows] = False

    def binding(self) -> list[str]:
        """Return what keeps the rest of the pool out, most rows first: each rule with the number of its rows.

        Each row that could be chosen counts once: by its split, which never trains, as a near-duplicate, by the cap on
        its speaker, as probably no request, or as too long for the minutes that are left.
        """
        left = self.pool.fresh()
        left[self.rows] = False
        learns = np.isin(self.pool.splits, LEARNS)
        has_room = self.room[self.speakers] > 0
        open_ = self.free & has_room & ~self.unlikely
        counts = {
            "the test split, which is drawn from for the audit alone": int((left & ~learns).sum()),
            f"near_duplicate {self.near_duplicate:g}": int((left & learns & ~self.free).sum()),
            f"max_per_speaker {self.max_per_speaker}": int((self.free & ~has_room).sum()),
            "clips that are probably no requests": int((self.free & has_room & self.unlikely).sum()),
            "minutes": int((open_ & (self.costs > self.seconds)).sum()),
        }
        kept = sorted((name for name, count in counts.items() if count), key=lambda name: -counts[name])
        return [f"{name} ({counts[name]})" for name in kept] or ["the pool, of which nothing is left"]

    def taken(self) -> Floats:
        """Return the embeddings of the rows taken to train on, (M, D) float32; audit rows make no duplicates."""
        rows = [row for row, reason in zip(self.rows, self.reasons, strict=True) if reason != "audit"]
        return self.pool.embeddings[rows]

    def candidates(self, priority: Scores, seconds: float, only: Mask | None = None) -> Rows:
        """Return the rows that fit every cap, largest priority first, and per speaker no more than fit together."""
        free = self.free if only is None else self.free & only
        rows = np.flatnonzero(free & (self.room[self.speakers] > 0) & (self.costs <= seconds))
        order = rows[np.lexsort((-priority[rows], self.speakers[rows]))]
        speakers = self.speakers[order]
        first = np.concatenate([[True], speakers[1:] != speakers[:-1]]) if len(order) else np.zeros(0, np.bool_)
        starts = np.flatnonzero(first)
        rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
        rows = np.sort(order[rank < self.room[speakers]])
        return rows[np.argsort(-priority[rows], kind="stable")]


def fill(
    batch: CappedBatch,
    reason: str,
    name: str,
    scores: Scores,
    count: int,
    seconds: float,
    rng: np.random.Generator,
    only: Mask | None = None,
) -> int:
    """Add up to `count` rows to the batch, chosen by the named strategy within `seconds`; return how many.

    The strategy is given a short list without near-duplicates in which no speaker is over the cap, so everything that
    it picks fits. Further lists follow until the count, the budget or the rows are used up.

    Args:
        batch: takes the rows.
        reason: why they are taken.
        name: name of a strategy.
        scores: (N,) float64.
        count: most rows.
        seconds: most annotator seconds to spend.
        rng: all randomness.
        only: (N,) bool, the rows that may be taken; None: all.
    """
    priority = scores if ranks_by_score(name) else rng.random(len(scores))
    count, unspent, added = min(count, batch.clips), min(seconds, batch.seconds), 0
    while added < count:
        candidates = batch.candidates(priority, unspent, only)
        least, factor, most = SHORT_LIST
        short = candidates[: min(most, max(least, factor * (count - added)))]
        if not len(short):
            break
        keep = without_duplicates(batch.pool.embeddings, short, batch.taken(), batch.near_duplicate)
        if not len(keep):
            batch.drop(short)
            continue
        keep = np.sort(keep)
        pool = batch.pool.take(keep)
        if reason == "novel":
            pool = replace(pool, known_embeddings=np.concatenate([pool.known, batch.pool.embeddings[batch.rows]]))
        mean_cost = max(float(batch.costs[keep].mean()), 1e-6)
        fitting = len(keep) if math.isinf(unspent) else max(1, int(unspent / mean_cost))
        for row in keep[pick(name, pool, min(count - added, len(keep), fitting), scores[keep], rng)].tolist():
            cost = float(batch.costs[row])
            if cost <= unspent:
                batch.put(row, reason, cost)
                added, unspent = added + 1, unspent - cost
    return added


def fill_quotas(batch: CappedBatch, quotas: Mapping[tuple[str, str], int], scores: Scores) -> int:
    """Add the rows that the quotas of slices ask for, best first; return how many.

    A row that counts for several open quotas goes before a row that counts for fewer.

    Args:
        batch: takes the rows.
        quotas: clips asked for, by (slice, value).
        scores: (N,) float64.

    Raises:
        SettingsError: a quota that the other caps leave no room for; the message names them.
    """
    missing, added = dict(quotas), 0
    member = {quota: batch.pool.slices[quota[0]] == quota[1] for quota in missing}
    while any(missing.values()):
        gain = sum((member[quota].astype(np.int8) for quota, n in missing.items() if n), np.zeros(len(scores), np.int8))
        fits = batch.free & (gain > 0) & (batch.room[batch.speakers] > 0) & (batch.costs <= batch.seconds)
        if not fits.any() or not batch.clips:
            raise _conflict(batch, quotas, missing)
        best = fits & (gain == gain[fits].max())
        row = int(np.flatnonzero(best)[np.argmax(scores[best])])
        if not len(without_duplicates(batch.pool.embeddings, np.array([row]), batch.taken(), batch.near_duplicate)):
            batch.drop(np.array([row]))
            continue
        batch.put(row, "slice", float(batch.costs[row]))
        added += 1
        missing = {quota: n - int(n > 0 and member[quota][row]) for quota, n in missing.items()}
    return added


def _conflict(
    batch: CappedBatch, quotas: Mapping[tuple[str, str], int], missing: Mapping[tuple[str, str], int]
) -> SettingsError:
    """Return the error that names the first quota that the other caps leave no room for."""
    (name, value), unfilled = next((quota, n) for quota, n in missing.items() if n)
    asked = quotas[name, value]
    rest = "no clip of the round is left" if not batch.clips else "no further clip of the train split fits"
    return SettingsError(
        f"slice_quotas {name}={value} asks for {asked} clips, of which {asked - unfilled} fit: {rest} under "
        f"max_per_speaker {batch.max_per_speaker}, near_duplicate {batch.near_duplicate:g} and the round's budget; "
        "lower the quota"
    )


def owed_clips(pool: Pool, settings: SamplingSettings, clips: int) -> dict[tuple[str, str], int]:
    """Return how many of `clips` the quota of each slice asks for, rounded up, by (slice, value).

    Raises:
        SettingsError: a slice that the pool does not have; the message lists those that it has.
    """
    owed = {}
    for name, shares in sorted(settings.slice_quotas.items()):
        if name not in pool.slices:
            raise SettingsError(f"slice_quotas: slice {name!r} is unknown; known are {', '.join(sorted(pool.slices))}")
        for value, share in sorted(shares.items()):
            owed[name, value] = math.ceil(share * clips - 1e-9)
    return owed
