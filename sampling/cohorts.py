"""Hidden cohorts: similar utterances with more errors than the rest, for which no attribute has a name.

Labelled rows are clustered by their embeddings alone, without attributes of people and without errors. After that, the
error rate of each cluster is tested. The same rows may form and test a cluster, because errors play no part in forming
it. Rates of small clusters vary by chance, so they are shrunk towards the overall rate. Many clusters are tested, so
the share of false finds is bounded (Benjamini & Hochberg 1995). The errors of one speaker are related, so standard
errors are computed over speakers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import RecordError
from corpus.records.base import Floats, Strings
from corpus.settings import MOST_ROWS
from sampling.pool import Mask, Rows, Scores, codes

SLICE: Final = "cohort"
"""Name of the slice that holds the cohort of each row of a pool."""

REACH: Final = 0.8
"""Least cosine of a member to the cohort's centre, as a share of the cosine of the cohort's median row."""


class CohortSettings(BaseModel):
    """What counts as a cohort, and the cohorts' share of the clips.

    Attributes:
        share: Share of a round's clips, audit rows not counted, that goes to cohorts if there are any; 0: no search for
            cohorts.
        min_rows: Fewest labelled rows of a cohort; clusters have twice as many on average, so that few are too small.
        min_speakers: Fewest speakers of a cohort, because one unusual voice is no cohort.
        false_finds: Expected share of false ones among the cohorts found.
        prior_rows: Weight of the overall rate when a cohort's rate is shrunk towards it [rows].
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    share: float = Field(default=0.1, ge=0, le=1)
    min_rows: int = Field(default=15, ge=2, le=MOST_ROWS)
    min_speakers: int = Field(default=4, ge=2, le=MOST_ROWS)
    false_finds: float = Field(default=0.1, gt=0, lt=1)
    prior_rows: float = Field(default=10.0, ge=0, le=MOST_ROWS)


@dataclass(frozen=True, slots=True)
class Cohort:
    """A cluster of utterances with more errors than the others.

    Attributes:
        name: `cohort-1`, ..., the worst first.
        measure: kind of error, such as `words` or `intent`.
        rows, speakers: number of labelled rows and of their speakers.
        rate, rest: weighted mean error of its rows, and of all others.
        shrunk: its rate, shrunk towards the overall rate.
        p_value: one-sided, for a rate that is not higher than that of the rest.
        centre: (D,) float32 of unit length.
        reach: least cosine to the centre of a row that belongs to it.
        others: (K - 1, D) float32, centres of the other clusters; a row belongs to the nearest.
    """

    name: str
    measure: str
    rows: int
    speakers: int
    rate: float
    rest: float
    shrunk: float
    p_value: float
    centre: Floats
    reach: float
    others: Floats

    def as_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object, without the centres."""
        names = ("name", "measure", "rows", "speakers", "rate", "rest", "shrunk", "p_value")
        return {name: getattr(self, name) for name in names}


def find_cohorts(
    embeddings: Floats,
    errors: dict[str, Scores],
    weights: npt.ArrayLike,
    speaker_ids: Strings,
    rng: np.random.Generator,
    settings: CohortSettings | None = None,
) -> list[Cohort]:
    """Return the cohorts among labelled rows, the worst first; none if there are too few rows.

    A cluster is returned once, with the measure that has the smallest p-value.

    Args:
        embeddings: (L, D) float32 of unit length.
        errors: by measure, (L,) in [0, 1]; NaN where a row's label does not have it.
        weights: (L,) 1 / inclusion probability.
        speaker_ids: (L,) str.
        rng: starts the clusters.
        settings: what counts as a cohort; the defaults where None.

    Raises:
        RecordError: unequal lengths.
    """
    from sampling.strategies.clusters import clusters

    settings = settings or CohortSettings()
    n, weight = len(embeddings), np.asarray(weights, np.float64)
    if any(column.shape != (n,) for column in (weight, speaker_ids, *errors.values())):
        raise RecordError("cohorts: embeddings, errors, weights and speakers are of unequal length")
    count = n // (2 * settings.min_rows)
    if count < 2:
        return []
    assigned = clusters(embeddings, count, rng)
    tests = _test_clusters(assigned, errors, weight, speaker_ids, settings)
    kept = _discoveries(np.array([test.p_value for *_, test in tests]), settings.false_finds)
    best: dict[int, tuple[str, _ClusterTest]] = {}
    for (cluster, measure, test), keep in zip(tests, kept.tolist(), strict=True):
        if keep and (cluster not in best or test.p_value < best[cluster][1].p_value):
            best[cluster] = (measure, test)
    worst_first = sorted(best.items(), key=lambda item: (item[1][1].rest - item[1][1].shrunk, item[0]))
    centres = _centres(embeddings, assigned)
    return [
        Cohort(
            name=f"{SLICE}-{k}",
            measure=measure,
            rows=test.rows,
            speakers=test.speakers,
            rate=test.rate,
            rest=test.rest,
            shrunk=test.shrunk,
            p_value=test.p_value,
            centre=centres[cluster],
            reach=REACH * float(np.median(embeddings[assigned == cluster] @ centres[cluster])),
            others=np.delete(centres, cluster, axis=0),
        )
        for k, (cluster, (measure, test)) in enumerate(worst_first, 1)
    ]


def members(cohorts: list[Cohort], embeddings: Floats) -> Strings:
    """Return the name of the cohort of every row, (N,) str; "" for a row of no cohort.

    Args:
        cohorts: C cohorts.
        embeddings: (N, D) float32 of unit length.
    """
    names = np.full(len(embeddings), "", dtype="<U32")
    if not cohorts or not len(embeddings):
        return names
    nearest = np.full(len(embeddings), -np.inf, np.float32)
    for cohort in cohorts:
        similar = embeddings @ cohort.centre
        inside = (similar >= cohort.reach) & (similar > nearest)
        if len(cohort.others):
            inside &= similar >= (embeddings @ cohort.others.T).max(axis=1)
        names[inside], nearest[inside] = cohort.name, similar[inside]
    return names


@dataclass(frozen=True, slots=True)
class _ClusterTest:
    """The figures of one cluster and one measure, as in `Cohort`."""

    rows: int
    speakers: int
    rate: float
    rest: float
    shrunk: float
    p_value: float


def _test_clusters(
    assigned: Rows, errors: dict[str, Scores], weights: Scores, speaker_ids: Strings, settings: CohortSettings
) -> list[tuple[int, str, _ClusterTest]]:
    """Return cluster, measure and figures of each cluster that has enough rows and speakers with the measure."""
    tests = []
    for cluster in range(int(assigned.max()) + 1):
        for measure, column in sorted(errors.items()):
            rows = np.isfinite(column)
            test = _test_cluster(assigned[rows] == cluster, column[rows], weights[rows], speaker_ids[rows], settings)
            if test is not None:
                tests.append((cluster, measure, test))
    return tests


def _test_cluster(
    inside: Mask, errors: Scores, weights: Scores, speaker_ids: Strings, settings: CohortSettings
) -> _ClusterTest | None:
    """Return the figures of one cluster and one measure; None if it has too few rows or speakers."""
    from scipy.stats import t as student_t

    speakers = len(np.unique(speaker_ids[inside]))
    outside = len(np.unique(speaker_ids[~inside]))
    if inside.sum() < settings.min_rows or min(speakers, outside) < settings.min_speakers:
        return None
    means = (_mean(errors[rows], weights[rows], speaker_ids[rows]) for rows in (inside, ~inside))
    (rate, rate_error), (rest, rest_error) = means
    error, excess = float(np.hypot(rate_error, rest_error)), rate - rest
    p_value = float(student_t.sf(excess / error, speakers - 1)) if error > 0 else float(excess <= 0)
    overall = float(np.average(errors, weights=weights))
    prior, rows = settings.prior_rows, int(inside.sum())
    shrunk = (rows * rate + prior * overall) / (rows + prior)
    return _ClusterTest(rows, speakers, rate, rest, shrunk, p_value)


def _mean(errors: Scores, weights: Scores, speaker_ids: Strings) -> tuple[float, float]:
    """Return the weighted mean and its standard error over speakers (linearised, with replacement)."""
    value = float(np.average(errors, weights=weights))
    speakers, count = codes(speaker_ids)
    sums = np.bincount(speakers, weights=weights * (errors - value)) / weights.sum()
    return value, float(np.sqrt(count / (count - 1) * (sums**2).sum()))


def _discoveries(p_values: Scores, level: float) -> Mask:
    """Return which tests are significant, with an expected share `level` of false ones (Benjamini & Hochberg 1995)."""
    count = len(p_values)
    if not count:
        return np.zeros(0, np.bool_)
    ranked = np.sort(p_values)
    passed = np.flatnonzero(ranked <= level * np.arange(1, count + 1) / count)
    found: Mask = p_values <= (ranked[passed[-1]] if len(passed) else -1.0)
    return found


def _centres(embeddings: Floats, assigned: Rows) -> Floats:
    """Return the centres of all clusters, (K, D) float32 of unit length."""
    sums = np.stack([embeddings[assigned == k].sum(axis=0, dtype=np.float64) for k in range(int(assigned.max()) + 1)])
    centres: Floats = (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    return centres
