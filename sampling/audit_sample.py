"""The audit share: a stratified probability sample over all speakers, the only rows that judge a model.

Every row's inclusion probability is exact and fixed before the draw. The probabilities of all rows add up to the size
of the sample; those of one speaker add up to at most the cap on speakers. Within a speaker, rows with more expected
errors have larger probabilities. The draw keeps these sums:

1. Within a speaker, the pivotal method (Deville & Tille 1998) moves probability between rows until all but one are
   0 or 1. Each step is fair, so every row keeps its expectation.
2. The remaining rows, at most one per speaker, are drawn systematically in the order of the strata (Madow 1949), so
   that every stratum gets its share up to rounding.

If the probabilities of a speaker add up to t, between floor(t) and ceil(t) of the speaker's rows are drawn. So the cap
holds by design. Dropping rows afterwards would make the logged probabilities wrong.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from corpus.errors import RecordError
from corpus.records.base import Strings
from sampling.pool import Mask, Rows, Scores, codes

STRATA: Final = 5
"""Number of strata; all are of equal size, in the order of the expected error."""

TILT: Final = 2.0
"""A stratum's rate is between 1 / TILT and TILT times the average rate, so rows with few errors are drawn, too."""

EXACT: Final = 1e-9
"""Probabilities this near to 1 count as 1."""


def strata_of(risk: Scores) -> Rows:
    """Return (N,) the stratum of every row, by quantiles of the expected error; equal values share one."""
    edges = np.quantile(risk, np.arange(1, STRATA) / STRATA)
    return np.searchsorted(edges, risk, side="right").astype(np.intp)


def rates(risk: Scores, strata: Rows) -> Scores:
    """Return (N,) float64, the relative rate at which each row's stratum is drawn, within [1 / TILT, TILT].

    Neyman's allocation (1934): in proportion to the spread of the errors in a stratum. For counts the spread is the
    square root of their mean.

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
    """Return how many rows can be drawn, with at most `per_speaker` rows of each speaker."""
    return int(np.minimum(np.unique(speaker_ids, return_counts=True)[1], per_speaker).sum())


def inclusion_probabilities(speakers: Rows, sizes: Scores, count: int, per_speaker: int) -> Scores:
    """Return (N,) float64 in (0, 1] that sum to `count`, and to at most `per_speaker` within each speaker.

    The bound on each speaker is the smallest one that gives room for `count` rows, so the sample spreads over speakers.
    A speaker's sum grows with the speaker's rows up to that bound. Within a speaker the probabilities are proportional
    to `sizes` until they reach 1.

    Args:
        speakers: (N,) number of each row's speaker.
        sizes: (N,) relative rates, above 0.
        count: rows to draw, at most what `allowance` returns.
        per_speaker: most rows of one speaker.

    Raises:
        RecordError: the cap leaves no room for the count.
    """
    rows_of = np.bincount(speakers)
    most = next((limit for limit in range(1, per_speaker + 1) if np.minimum(rows_of, limit).sum() >= count), 0)
    if not most:
        raise RecordError(
            f"audit: {count} rows do not fit {len(rows_of)} speakers with max_per_speaker {per_speaker}; lower either"
        )
    bound: Scores = np.minimum(rows_of, most).astype(np.float64)
    mass = np.bincount(speakers, weights=sizes).astype(np.float64)
    totals = _share(bound, mass, float(count))
    probs = sizes * (totals / mass)[speakers]
    for _ in range(most):  # each pass fixes at least one row at 1 for every speaker with a probability above 1
        full = probs >= 1.0
        if not (probs > 1.0).any():
            break
        rest = totals - np.bincount(speakers, weights=full)
        open_mass = np.bincount(speakers, weights=np.where(full, 0.0, sizes))
        scale = np.divide(rest, open_mass, out=np.zeros_like(rest), where=open_mass > 0)
        probs = np.where(full, 1.0, sizes * scale[speakers])
    return np.minimum(probs, 1.0)


def _share(bound: Scores, mass: Scores, count: float) -> Scores:
    """Return min(bound, rate * mass), with the only rate for which it sums to `count`."""
    order = np.argsort(bound / mass, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(bound[order])[:-1]])
    above = np.cumsum(mass[order][::-1])[::-1]
    rate = (count - below) / above
    first = int(np.argmax(rate <= (bound / mass)[order] * (1 + 1e-12)))
    shares: Scores = np.minimum(bound, float(rate[first]) * mass)
    return shares


def draw(probs: Scores, speakers: Rows, strata: Rows, rng: np.random.Generator) -> Rows:
    """Return the drawn rows, sorted; each row is drawn with exactly its probability.

    As many rows are drawn as the probabilities sum to.

    Args:
        probs: (N,) float64 in (0, 1]; their sum is a whole number.
        speakers: (N,) number of each row's speaker.
        strata: (N,) stratum of every row.
        rng: all randomness of the draw.
    """
    totals = np.bincount(speakers, weights=probs)
    single = totals <= 1.0 + EXACT
    rows, chances = _one_each(probs, speakers, single, rng)
    sure: list[int] = []
    several = np.flatnonzero(~single[speakers])
    several = several[np.argsort(speakers[several], kind="stable")]
    starts = np.flatnonzero(np.diff(speakers[several])) + 1
    for group in np.split(several, starts) if len(several) else ():
        members = rng.permutation(group)
        certain, row, chance = _pivotal(members.tolist(), probs[members].tolist(), rng)
        sure += certain
        rows, chances = np.append(rows, row), np.append(chances, chance)
    certain_rows = chances >= 1.0 - EXACT
    sure += rows[certain_rows].tolist()
    open_rows = ~certain_rows & (chances > EXACT)
    drawn = _systematic(rows[open_rows], chances[open_rows], strata, rng)
    return np.sort(np.concatenate([np.array(sure, np.intp), drawn]))


def _one_each(probs: Scores, speakers: Rows, single: Mask, rng: np.random.Generator) -> tuple[Rows, Scores]:
    """Return one row of every speaker whose sum is at most 1, and these sums: the pivotal method in one step."""
    order = np.argsort(speakers, kind="stable")
    order = order[single[speakers[order]]]
    if not len(order):
        return np.zeros(0, np.intp), np.zeros(0)
    ordered = speakers[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    last = np.append(first[1:], len(order)) - 1
    cumulative = np.cumsum(probs[order])
    before = np.where(first > 0, cumulative[first - 1], 0.0)
    total = cumulative[last] - before
    at = np.searchsorted(cumulative, before + rng.random(len(first)) * total, side="right")
    return order[np.clip(at, first, last)], np.minimum(total, 1.0)


def _pivotal(rows: list[int], probs: list[float], rng: np.random.Generator) -> tuple[list[int], int, float]:
    """Return the rows that are certainly drawn, and one further row with the remaining probability."""
    sure: list[int] = []
    row, chance = rows[0], probs[0]
    for other, prob, dice in zip(rows[1:], probs[1:], rng.random(len(rows) - 1).tolist(), strict=True):
        if chance >= 1.0 - EXACT:
            sure.append(row)
            row, chance = other, prob
            continue
        total = chance + prob
        if total <= 1.0:
            row = other if dice * total < prob else row
            chance = total
        else:
            winner, loser = (row, other) if dice * (2.0 - total) < 1.0 - prob else (other, row)
            sure.append(winner)
            row, chance = loser, total - 1.0
    return sure, row, chance


def _systematic(rows: Rows, probs: Scores, strata: Rows, rng: np.random.Generator) -> Rows:
    """Return the rows of a systematic draw in the order of the strata, random within a stratum (Madow 1949)."""
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
    """Return the drawn rows, sorted, and the true inclusion probability of every row of the frame, (N,) float64.

    Args:
        speaker_ids: (N,) str, the whole frame: all speakers, before any other cap and before near-duplicates are left
            out.
        risk: (N,) expected errors, 0 or more, finite; they set strata and rates.
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
