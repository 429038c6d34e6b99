"""The rows of a round as they come in, with every cap that they leave less of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from corpus.errors import SettingsError
from corpus.records.base import Floats
from sampling.budget import SamplingSettings
from sampling.near_duplicates import distinct
from sampling.pool import Mask, Pool, Rows, Scores, codes
from sampling.strategies.registry import pick, ranks_by_score

SHORT_LIST: Final = (2_000, 10, 50_000)
"""Rows that a strategy gets to see: at least, times the clips, at most. Diversity needs no million rows."""


@dataclass(slots=True)
class CappedBatch:
    """The rows taken so far, and what is left; only `choose` holds one.

    Attributes:
        pool: N rows in the order of their ids.
        costs: (N,) float64 [annotator seconds].
        max_per_speaker, near_duplicate: the caps, as in `SamplingSettings`.
        clips, seconds: what is left to spend.
        free: (N,) bool, rows that may still be taken.
        rows, reasons: what was taken, in order.
        duplicates: rows that were near-duplicates of what was taken.
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
    duplicates: int = 0
    speakers: Rows = field(init=False)
    room: Rows = field(init=False)

    def __post_init__(self) -> None:
        self.speakers, count = codes(self.pool.speaker_ids)
        self.room = np.full(count, self.max_per_speaker, np.intp)

    def put(self, row: int, reason: str, cost: float) -> None:
        """Take one row: clips, seconds and its speaker's room become less."""
        self.rows.append(row)
        self.reasons.append(reason)
        self.free[row] = False
        self.clips -= 1
        self.seconds -= cost
        self.room[self.speakers[row]] -= 1

    def drop(self, rows: Rows) -> None:
        """Leave out rows that are near-duplicates of what was taken."""
        self.free[rows] = False
        self.duplicates += len(rows)

    def binding(self) -> list[str]:
        """Return the caps that keep the rest of the pool out, as settings with their values."""
        roomy = self.room[self.speakers] > 0
        caps = []
        if (self.free & ~roomy).any():
            caps.append(f"max_per_speaker {self.max_per_speaker}")
        if (self.free & roomy & (self.costs > self.seconds)).any():
            caps.append("minutes")
        if self.duplicates:
            caps.append(f"near_duplicate {self.near_duplicate:g}")
        return caps or ["the train split, of which nothing is left"]

    def taken(self) -> Floats:
        """Return (M, D) float32, embeddings of the rows that train; an audit row makes nothing a duplicate."""
        rows = [row for row, reason in zip(self.rows, self.reasons, strict=True) if reason != "audit"]
        return self.pool.embeddings[rows]

    def candidates(self, priority: Scores, seconds: float, only: Mask | None = None) -> Rows:
        """Return the rows that fit every cap, alone and all together by speaker, largest priority first."""
        free = self.free if only is None else self.free & only
        rows = np.flatnonzero(free & (self.room[self.speakers] > 0) & (self.costs <= seconds))
        order = rows[np.lexsort((-priority[rows], self.speakers[rows]))]
        mine = self.speakers[order]
        first = np.concatenate([[True], mine[1:] != mine[:-1]]) if len(order) else np.zeros(0, np.bool_)
        starts = np.flatnonzero(first)
        rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
        rows = np.sort(order[rank < self.room[mine]])
        return rows[np.argsort(-priority[rows], kind="stable")]


def fill(
    basket: CappedBatch,
    reason: str,
    name: str,
    scores: Scores,
    count: int,
    seconds: float,
    rng: np.random.Generator,
    only: Mask | None = None,
) -> int:
    """Put up to `count` rows into the basket, chosen by the named strategy within `seconds`; return how many.

    The strategy sees a short list without near-duplicates in which no speaker is over the cap, so whatever it picks
    fits. What a first list could not fill the next one does, until the budget or the rows are used up.

    Args:
        basket: takes the rows.
        reason: why they are taken.
        name: key of `STRATEGIES`.
        scores: (N,) float64.
        count: most rows.
        seconds: most of the basket's seconds.
        rng: all randomness.
        only: (N,) bool, the rows that may be taken; None: all.
    """
    priority = scores if ranks_by_score(name) else rng.random(len(scores))
    count, left, put = min(count, basket.clips), min(seconds, basket.seconds), 0
    while put < count:
        candidates = basket.candidates(priority, left, only)
        least, factor, most = SHORT_LIST
        short = candidates[: min(most, max(least, factor * (count - put)))]
        if not len(short):
            break
        keep = distinct(basket.pool.embeddings, short, basket.taken(), basket.near_duplicate)
        if not len(keep):
            basket.drop(short)
            continue
        keep = np.sort(keep)
        pool = basket.pool.take(keep)
        if reason == "novel":
            pool = replace(pool, known_embeddings=np.concatenate([pool.known, basket.pool.embeddings[basket.rows]]))
        fitting = len(keep) if math.isinf(left) else max(1, int(left / max(float(basket.costs[keep].mean()), 1e-6)))
        for row in keep[pick(name, pool, min(count - put, len(keep), fitting), scores[keep], rng)].tolist():
            cost = float(basket.costs[row])
            if cost <= left:
                basket.put(row, reason, cost)
                put, left = put + 1, left - cost
    return put


def fill_quotas(basket: CappedBatch, quotas: Mapping[tuple[str, str], int], scores: Scores) -> int:
    """Put the rows into the basket that the slices are owed, best first; return how many.

    A row that serves several open quotas goes before one that serves fewer.

    Args:
        basket: takes the rows.
        quotas: clips owed by (slice, value).
        scores: (N,) float64.

    Raises:
        SettingsError: a quota that the other caps leave no room for; the message names them.
    """
    owed, put = dict(quotas), 0
    member = {quota: basket.pool.slices[quota[0]] == quota[1] for quota in owed}
    while any(owed.values()):
        gain = sum((member[quota].astype(np.int8) for quota, n in owed.items() if n), np.zeros(len(scores), np.int8))
        fits = basket.free & (gain > 0) & (basket.room[basket.speakers] > 0) & (basket.costs <= basket.seconds)
        if not fits.any() or not basket.clips:
            raise _conflict(basket, quotas, owed)
        best = fits & (gain == gain[fits].max())
        row = int(np.flatnonzero(best)[np.argmax(scores[best])])
        if not len(distinct(basket.pool.embeddings, np.array([row]), basket.taken(), basket.near_duplicate)):
            basket.drop(np.array([row]))
            continue
        basket.put(row, "slice", float(basket.costs[row]))
        put += 1
        owed = {quota: n - int(n > 0 and member[quota][row]) for quota, n in owed.items()}
    return put


def _conflict(
    basket: CappedBatch, quotas: Mapping[tuple[str, str], int], owed: Mapping[tuple[str, str], int]
) -> SettingsError:
    (name, value), missing = next((quota, n) for quota, n in owed.items() if n)
    asked = quotas[name, value]
    rest = "no clip of the round is left" if not basket.clips else "no further clip of the train split fits"
    return SettingsError(
        f"slice_quotas {name}={value} asks for {asked} clips, of which {asked - missing} fit: {rest} under "
        f"max_per_speaker {basket.max_per_speaker}, near_duplicate {basket.near_duplicate:g} and the round's budget; "
        "lower the quota"
    )


def owed_clips(pool: Pool, settings: SamplingSettings, clips: int) -> dict[tuple[str, str], int]:
    """Return what each slice is owed of `clips`, rounded up, by (slice, value).

    Raises:
        SettingsError: a slice that the pool does not know; the message lists the known.
    """
    owed = {}
    for name, shares in sorted(settings.slice_quotas.items()):
        if name not in pool.slices:
            raise SettingsError(f"slice_quotas: slice {name!r} is unknown; known are {', '.join(sorted(pool.slices))}")
        for value, share in sorted(shares.items()):
            owed[name, value] = math.ceil(share * clips - 1e-9)
    return owed
