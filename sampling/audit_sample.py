"""The audit share: a stratified probability sample over all speakers, the only data that judges.

Every row's inclusion probability is fixed before the draw and exact: the probabilities of all rows add up to the size
of the sample, those of a speaker to at most the cap on speakers, and within a speaker they are larger where errors are
expected. The draw keeps these sums:

1. Within a speaker the pivotal method (Deville & Tille 1998) moves probability between its rows until all but one are
   0 or 1. Each step is fair, so every row keeps its expectation.
2. What is left, at most one row a speaker, is drawn systematically in the order of the strata (Madow 1949), so that
   every stratum gets its share up to rounding.

A speaker's rows add up to t, so between floor(t) and ceil(t) of them are drawn: the cap holds by design and not by
dropping rows afterwards, which would make the logged probabilities untrue.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from corpus.errors import RecordError
from corpus.records.base import Strings
from sampling.pool import Mask, Rows, Scores, codes

STRATA: Final = 5
"""Strata of equal size by expected error."""

TILT: Final = 2.0
"""How much likelier than the average, or less likely, a stratum may be drawn; sure rows keep a floor."""

EXACT: Final = 1e-9
"""Probabilities this near to 1 count as 1."""


def strata_of(risk: Scores) -> Rows:
    """Return (N,) the stratum of every row, by quantiles of the expected error; equal values share one."""
    edges = np.quantile(risk, np.arange(1, STRATA) / STRATA)
    return np.searchsorted(edges, risk, side="right").astype(np.intp)


def rates(risk: Scores, strata: Rows) -> Scores:
    """Return (N,) float64, the relative rate at which each row's stratum is drawn, within [1 / TILT, TILT].

    Neyman's allocation (1934): in proportion to the spread of the errors in a stratum, which for counts is the root of
    their mean.

    Args:
        risk: (N,) expected errors, 0 or more.
        strata: (N,) stratum of every row.
    """
    size = np.bincount(strata, minlength=STRATA)
    mean = np.bincount(strata, weights=risk, minlength=STRATA) / np.maximum(size, 1)
    spread = np.sqrt(np.maximum(mean, 0.0))
    average = float(spread @ size) / max(1, int(size.sum()))
    if average <= 0.0:
        return np.ones(len(risk))
    return np.clip(spread / average, 1.0 / TILT, TILT)[strata]


def allowance(speaker_ids: Strings, per_speaker: int) -> int:
    """Return how many rows can be drawn with at most `per_speaker` of each speaker."""
    return int(np.minimum(np.unique(speaker_ids, return_counts=True)[1], per_speaker).sum())


def inclusion_probabilities(speakers: Rows, sizes: Scores, count: int, per_speaker: int) -> Scores:
    """Return (N,) float64 in (0, 1] that sum to `count`, and to at most `per_speaker` within each speaker.

    As few rows of a speaker are allowed as the count permits, so the sample spreads over speakers; a speaker's sum
    grows with its rows until that bound, and within a speaker the probabilities go with `sizes` until they reach 1.

    Args:
        speakers: (N,) number of each row's speaker.
        sizes: (N,) relative rates, above 0.
        count: at most what `allowance` gives.
        per_speaker: cap.

    Raises:
        RecordError: the cap leaves no room for the count.
    """
    rows_of = np.bincount(speakers)
    bounds = next((b for b in range(1, per_speaker + 1) if np.minimum(rows_of, b).sum() >= count), 0)
    if not bounds:
        raise RecordError(
            f"audit: {count} rows do not fit {len(rows_of)} speakers with max_per_speaker {per_speaker}; lower either"
        )
    bound: Scores = np.minimum(rows_of, bounds).astype(np.float64)
    mass = np.bincount(speakers, weights=sizes).astype(np.float64)
    totals = _share(bound, mass, float(count))
    probs = sizes * (totals / mass)[speakers]
    for _ in range(bounds):  # each pass settles at least one row at 1 in every speaker that has one above
        full = probs >= 1.0
        if not (probs > 1.0).any():
            break
        left = totals - np.bincount(speakers, weights=full)
        open_mass = np.bincount(speakers, weights=np.where(full, 0.0, sizes))
        scale = np.divide(left, open_mass, out=np.zeros_like(left), where=open_mass > 0)
        probs = np.where(full, 1.0, sizes * scale[speakers])
    return np.minimum(probs, 1.0)


def _share(bound: Scores, mass: Scores, count: float) -> Scores:
    """Return min(bound, rate * mass) with the one rate that makes it sum to `count`."""
    order = np.argsort(bound / mass, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(bound[order])[:-1]])
    above = np.cumsum(mass[order][::-1])[::-1]
    rate = (count - below) / above
    first = int(np.argmax(rate <= (bound / mass)[order] * (1 + 1e-12)))
    shares: Scores = np.minimum(bound, float(rate[first]) * mass)
    return shares


def draw(probs: Scores, speakers: Rows, strata: Rows, rng: np.random.Generator) -> Rows:
    """Return sorted rows, each drawn with exactly its probability, as many as the probabilities sum to.

    Args:
        probs: (N,) float64 in (0, 1], of a whole sum.
        speakers: (N,) number of each row's speaker.
        strata: (N,) stratum of every row.
        rng: all randomness of the draw.
    """
    totals = np.bincount(speakers, weights=probs)
    single = totals <= 1.0 + EXACT
    rows, left = _one_each(probs, speakers, single, rng)
    sure: list[int] = []
    several = np.flatnonzero(~single[speakers])
    several = several[np.argsort(speakers[several], kind="stable")]
    starts = np.flatnonzero(np.diff(speakers[several])) + 1
    for group in np.split(several, starts) if len(several) else ():
        members = rng.permutation(group)
        certain, row, rest = _pivotal(members.tolist(), probs[members].tolist(), rng)
        sure += certain
        rows, left = np.append(rows, row), np.append(left, rest)
    certain_rows = left >= 1.0 - EXACT
    sure += rows[certain_rows].tolist()
    open_rows = ~certain_rows & (left > EXACT)
    drawn = _systematic(rows[open_rows], left[open_rows], strata, rng)
    return np.sort(np.concatenate([np.array(sure, np.intp), drawn]))


def _one_each(probs: Scores, speakers: Rows, single: Mask, rng: np.random.Generator) -> tuple[Rows, Scores]:
    """Return one row of every speaker whose sum is at most 1, which carries that sum: the pivotal method at once."""
    order = np.argsort(speakers, kind="stable")
    order = order[single[speakers[order]]]
    if not len(order):
        return np.zeros(0, np.intp), np.zeros(0)
    mine = speakers[order]
    first = np.flatnonzero(np.concatenate([[True], mine[1:] != mine[:-1]]))
    last = np.append(first[1:], len(order)) - 1
    cumulative = np.cumsum(probs[order])
    before = np.where(first > 0, cumulative[first - 1], 0.0)
    total = cumulative[last] - before
    at = np.searchsorted(cumulative, before + rng.random(len(first)) * total, side="right")
    return order[np.clip(at, first, last)], np.minimum(total, 1.0)


def _pivotal(rows: list[int], probs: list[float], rng: np.random.Generator) -> tuple[list[int], int, float]:
    """Return the rows that are drawn for sure, and one row with the probability that is left."""
    sure: list[int] = []
    row, left = rows[0], probs[0]
    for other, prob, dice in zip(rows[1:], probs[1:], rng.random(len(rows) - 1).tolist(), strict=True):
        if left >= 1.0 - EXACT:
            sure.append(row)
            row, left = other, prob
            continue
        total = left + prob
        if total <= 1.0:
            row = other if dice * total < prob else row
            left = total
        else:
            winner, loser = (row, other) if dice * (2.0 - total) < 1.0 - prob else (other, row)
            sure.append(winner)
            row, left = loser, total - 1.0
    return sure, row, left


def _systematic(rows: Rows, probs: Scores, strata: Rows, rng: np.random.Generator) -> Rows:
    count = round(float(probs.sum()))
    if count == 0:
        return np.zeros(0, np.intp)
    order = np.lexsort((rng.random(len(rows)), strata[rows]))
    cumulative = np.cumsum(probs[order])
    cumulative *= count / cumulative[-1]
    at = np.searchsorted(cumulative, rng.random() + np.arange(count), side="right")
    return rows[order[np.minimum(at, len(rows) - 1)]]


def audit_sample(
    speaker_ids: Strings, risk: Scores, count: int, per_speaker: int, rng: np.random.Generator
) -> tuple[Rows, Scores]:
    """Return the drawn rows, sorted, and (N,) float64 the true inclusion probability of every row of the frame.

    Args:
        speaker_ids: (N,) str, the whole frame: all speakers, before any other cap or deduplication.
        risk: (N,) expected errors, 0 or more, finite; it sets strata and rates.
        count: size of the sample; 0 draws nothing.
        per_speaker: most rows of one speaker.
        rng: all randomness of the draw.

    Raises:
        RecordError: the cap leaves no room for the count.
    """
    if count == 0:
        return np.zeros(0, np.intp), np.zeros(len(speaker_ids))
    speakers, _ = codes(speaker_ids)
    strata = strata_of(risk)
    probs = inclusion_probabilities(speakers, rates(risk, strata), count, per_speaker)
    return draw(probs, speakers, strata, rng), probs
