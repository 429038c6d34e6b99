"""Hidden cohorts: utterances that are alike and err more than the rest, though no attribute names them.

Nothing is known of people here but what their utterances sound like: labelled rows are clustered by their embeddings
alone, and only then is it looked at where errors lie. That a cluster's rate is tested by rows that also drew the
cluster does no harm, as its draft knew no error. Rates of small clusters stray, so they are shrunk towards the rate of
all; many clusters are looked at, so the share of false finds is bounded (Benjamini & Hochberg 1995); a speaker's rows
err together, so speakers are what is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import RecordError
from corpus.records.base import Floats, Strings
from sampling.pool import Mask, Rows, Scores, codes

SLICE: Final = "cohort"
"""Name of the slice that a pool's rows are told apart by."""

REACH: Final = 0.8
"""How near to a cohort's centre a row must lie, as a share of the cosine of the cohort's own median row."""


class CohortSettings(BaseModel):
    """What a cohort is, and its share of the clips.

    Attributes:
        share: Share of a round's clips, audit rows aside, that goes to cohorts while there are any; 0: none are looked
            for.
        min_rows: Fewest labelled rows of a cohort; clusters have twice that on average, so that few are too small.
        min_speakers: Fewest speakers of a cohort, because one odd voice is no cohort.
        false_finds: Expected share of the found cohorts that are none.
        prior_rows: How many rows of the overall rate a cohort's rate is shrunk by.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(default=0.1, ge=0, le=1)
    min_rows: int = Field(default=15, ge=2)
    min_speakers: int = Field(default=4, ge=2)
    false_finds: float = Field(default=0.1, gt=0, lt=1)
    prior_rows: float = Field(default=10.0, ge=0)


@dataclass(frozen=True, slots=True)
class Cohort:
    """A cluster of utterances that err more than the others.

    Attributes:
        name: `cohort-1`, ..., the worst first.
        measure: what errs, such as `words` or `intent`.
        rows, speakers: labelled rows and their speakers.
        rate, rest: weighted mean error of its rows, and of all others.
        shrunk: its rate, drawn towards that of all.
        p_value: of its rate being no higher than the rest's.
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
        """Return its figures, without its centre, as a JSON object."""
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
    """Return the cohorts among labelled rows, the worst first; none where rows are too few to tell.

    A cluster counts once, with the measure that shows it most clearly.

    Args:
        embeddings: (L, D) float32 of unit length.
        errors: by measure, (L,) in [0, 1]; NaN where a row tells nothing of it.
        weights: (L,) 1 / inclusion probability.
        speaker_ids: (L,) str.
        rng: starts the clusters.
        settings: what is a cohort.

    Raises:
        RecordError: unequal lengths.
    """
    from sampling.strategies.clusters import clusters

    settings = settings or CohortSettings()
    n, w = len(embeddings), np.asarray(weights, np.float64)
    if any(column.shape != (n,) for column in (w, speaker_ids, *errors.values())):
        raise RecordError("cohorts: embeddings, errors, weights and speakers are of unequal length")
    count = n // (2 * settings.min_rows)
    if count < 2:
        return []
    assigned = clusters(embeddings, count, rng)
    tried = []
    for cluster in range(int(assigned.max()) + 1):
        for measure, column in sorted(errors.items()):
            known = np.isfinite(column)
            found = _tested(assigned[known] == cluster, column[known], w[known], speaker_ids[known], settings)
            if found is not None:
                tried.append((cluster, measure, found))
    kept = _discoveries(np.array([found["p_value"] for *_, found in tried]), settings.false_finds)
    best: dict[int, tuple[str, dict[str, Any]]] = {}
    for (cluster, measure, found), keep in zip(tried, kept.tolist(), strict=True):
        if keep and (cluster not in best or found["p_value"] < best[cluster][1]["p_value"]):
            best[cluster] = (measure, found)
    worst_first = sorted(best.items(), key=lambda item: (item[1][1]["rest"] - item[1][1]["shrunk"], item[0]))
    return [
        Cohort(f"{SLICE}-{k}", measure, **found, **_place(embeddings, assigned, cluster))
        for k, (cluster, (measure, found)) in enumerate(worst_first, 1)
    ]


def members(cohorts: list[Cohort], embeddings: Floats) -> Strings:
    """Return (N,) str the name of the cohort of every row, "" where it belongs to none.

    Args:
        cohorts: C of them.
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


def _tested(
    inside: Mask, errors: Scores, weights: Scores, speaker_ids: Strings, settings: CohortSettings
) -> dict[str, Any] | None:
    """Return the figures of one cluster and measure, None where rows or speakers are too few to tell."""
    from scipy.stats import t as student_t

    speakers = len(np.unique(speaker_ids[inside]))
    outside = len(np.unique(speaker_ids[~inside]))
    if inside.sum() < settings.min_rows or min(speakers, outside) < settings.min_speakers:
        return None
    mine, others = (_mean(errors[rows], weights[rows], speaker_ids[rows]) for rows in (inside, ~inside))
    error = float(np.hypot(mine[1], others[1]))
    excess = mine[0] - others[0]
    p_value = float(student_t.sf(excess / error, speakers - 1)) if error > 0 else float(excess <= 0)
    everyone = float(np.average(errors, weights=weights))
    k, rows = settings.prior_rows, int(inside.sum())
    shrunk = (rows * mine[0] + k * everyone) / (rows + k)
    return {
        "rows": rows,
        "speakers": speakers,
        "rate": mine[0],
        "rest": others[0],
        "shrunk": shrunk,
        "p_value": p_value,
    }


def _mean(errors: Scores, weights: Scores, speaker_ids: Strings) -> tuple[float, float]:
    """Return the weighted mean and its standard error over speakers (linearised, with replacement)."""
    value = float(np.average(errors, weights=weights))
    speakers, count = codes(speaker_ids)
    sums = np.bincount(speakers, weights=weights * (errors - value)) / weights.sum()
    return value, float(np.sqrt(count / (count - 1) * (sums**2).sum()))


def _discoveries(p_values: Scores, level: float) -> Mask:
    """Return the tests that stand out with an expected share of false ones of `level` (Benjamini & Hochberg 1995)."""
    count = len(p_values)
    if not count:
        return np.zeros(0, np.bool_)
    ranked = np.sort(p_values)
    passed = np.flatnonzero(ranked <= level * np.arange(1, count + 1) / count)
    found: Mask = p_values <= (ranked[passed[-1]] if len(passed) else -1.0)
    return found


def _place(embeddings: Floats, assigned: Rows, cluster: int) -> dict[str, Any]:
    """Return where the cluster lies, and where the others do."""
    sums = np.stack([embeddings[assigned == k].sum(axis=0, dtype=np.float64) for k in range(int(assigned.max()) + 1)])
    centres = (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    middle = float(np.median(embeddings[assigned == cluster] @ centres[cluster]))
    return {"centre": centres[cluster], "reach": REACH * middle, "others": np.delete(centres, cluster, axis=0)}
