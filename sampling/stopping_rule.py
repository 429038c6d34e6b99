"""What the next labels will bring: a learning curve through the versions that were judged, and whether to stop.

Each version's error is held against that of the base on the same rows, since sets that judge grow from night to night.
The share of the base's error that is left after n labels falls as a power of n (Figueroa et al. 2012, "Predicting
sample size required for classification performance"; Hestness et al. 2017, "Deep learning scaling is predictable,
empirically"): r(n) = (1 + n / scale)^(-power), with r(0) = 1, as the base is where it starts. The uncertainty is that
of the speakers who judged: they are drawn anew, the same for all versions at once, and the curve is fitted again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import RecordError
from corpus.records.base import Strings
from sampling.pool import Scores

MIN_VERSIONS: Final = 3
"""Judged versions on different numbers of labels; two parameters through fewer points say nothing."""

MIN_SPEAKERS: Final = 10
"""Speakers who judged the newest version, for their resampling to mean anything."""

DRAWS: Final = 400
STEPS: Final = 60
"""Resampled curves, and scales that each fit tries, evenly in their logarithm."""


class StoppingSettings(BaseModel):
    """When more labels are not worth their cost.

    Attributes:
        labels: For how many more labels the gain is estimated.
        least_gain: Points of error rate that so many labels have to bring; below that, the advice is to stop.
        confidence: Confidence of the interval of the gain.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: int = Field(default=100, ge=1)
    least_gain: float = Field(default=0.005, ge=0, lt=1)
    confidence: float = Field(default=0.9, gt=0, lt=1)


@dataclass(frozen=True, slots=True)
class Judged:
    """A version and the base on the same rows, summed by speaker.

    Attributes:
        labels: that the version learned from.
        speaker_ids: (S,) str, unique.
        errors, base_errors: (S,) float64, weighted errors of the version and of the base.
        units: (S,) float64, weighted words or utterances.
    """

    labels: int
    speaker_ids: Strings
    errors: Scores
    base_errors: Scores
    units: Scores

    def __post_init__(self) -> None:
        columns = (self.errors, self.base_errors, self.units)
        if self.labels < 0 or any(column.shape != self.speaker_ids.shape for column in columns):
            raise RecordError("stopping: labels below 0, or columns of unequal length")
        if not all(np.isfinite(column).all() and (column >= 0).all() for column in columns):
            raise RecordError("stopping: a sum is negative or not finite")


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the next labels are expected to bring.

    Attributes:
        advice: `go on`, `stop` or, where the data do not tell, `unknown`.
        why: one line for people.
        versions: that were judged, on different numbers of labels.
        labels, more: what the newest learned from, and how many labels more are asked about.
        now, then: error rate on the curve now and after that many more.
        gain: now - then; low, high: its interval.
    """

    advice: Literal["go on", "stop", "unknown"]
    why: str
    versions: int
    labels: int = 0
    more: int = 0
    now: float | None = None
    then: float | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the outlook as a JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}


def outlook(judged: Sequence[Judged], settings: StoppingSettings | None = None, seed: int = 0) -> Outlook:
    """Return what `settings.labels` more labels are expected to bring, or why that can't be said yet.

    `stop` where even the upper end of the interval is below `least_gain`; `go on` otherwise, since a label not bought
    by mistake costs more than one bought.

    Args:
        judged: versions, each with the base on its own rows; of several on the same number of labels all count.
        settings: what is asked.
        seed: of the resampling.
    """
    settings = settings or StoppingSettings()
    usable = [each for each in judged if each.units.sum() > 0 and each.base_errors.sum() > 0 and each.labels > 0]
    sizes = len({each.labels for each in usable})
    if sizes < MIN_VERSIONS:
        return Outlook("unknown", f"needs at least {MIN_VERSIONS} judged versions, there are {sizes}", sizes)
    newest = max(usable, key=lambda each: (each.labels, each.units.sum()))
    if len(newest.speaker_ids) < MIN_SPEAKERS:
        why = f"needs {MIN_SPEAKERS} speakers who judge, there are {len(newest.speaker_ids)}"
        return Outlook("unknown", why, sizes)
    names = np.unique(np.concatenate([each.speaker_ids for each in usable]))
    counts = np.concatenate([np.ones((1, len(names))), _resampled(len(names), seed)])
    left, rows = zip(*(_left(each, names, counts) for each in usable), strict=True)
    labels = np.array([each.labels for each in usable], np.float64)
    base = _rates(newest.base_errors, newest, names, counts)
    # A version judged by more rows tells more; 1 / variance would swing with each draw.
    curve = fit_curve(labels, np.stack(left), np.array(rows))
    total, more = float(labels.max()), settings.labels
    now, then = base * remaining(curve, total), base * remaining(curve, total + more)
    gain = now - then
    tail = (1.0 - settings.confidence) / 2.0
    low, high = (float(x) for x in np.quantile(gain[1:], [tail, 1.0 - tail]))
    low, high = min(low, float(gain[0])), max(high, float(gain[0]))
    advice: Literal["go on", "stop"] = "stop" if high < settings.least_gain else "go on"
    why = (
        f"the next {more} labels are expected to bring {100 * gain[0]:.1f} points [{100 * low:.1f}, {100 * high:.1f}]"
        f", from {100 * now[0]:.1f} % to {100 * then[0]:.1f} %"
    )
    if advice == "stop":
        why += f": less than {100 * settings.least_gain:g} points"
    return Outlook(advice, why, sizes, int(total), more, float(now[0]), float(then[0]), float(gain[0]), low, high)


def fit_curve(labels: Scores, left: Scores, rows: Scores) -> tuple[Scores, Scores]:
    """Return (B,) scale and (B,) power of the curve nearest to the logarithms, for each of B draws.

    For a given scale the power has a closed form; scales are tried from a twentieth of the fewest to twenty times the
    most labels. A power below 0, labels that do harm, becomes 0: then nothing is expected of more of them.

    Args:
        labels: (V,) above 0.
        left: (V, B) error of the version / error of the base.
        rows: (V,) weight of each version.
    """
    scales = np.geomspace(labels.min() / 20.0, labels.max() * 20.0, STEPS)
    steps = np.log1p(labels[None, :] / scales[:, None])  # (G, V)
    target = -np.log(np.clip(left, 1e-3, 1e3))  # (V, B)
    weight = rows / rows.sum()
    power = np.maximum(0.0, (steps * weight) @ target / ((steps**2) @ weight)[:, None])  # (G, B)
    misfit = np.stack([weight @ (target - s[:, None] * p[None, :]) ** 2 for s, p in zip(steps, power, strict=True)])
    best = misfit.argmin(axis=0)
    return scales[best], power[best, np.arange(left.shape[1])]


def remaining(curve: tuple[Scores, Scores], labels: float) -> Scores:
    """Return (B,) the share of the base's error that is left after so many labels."""
    scale, power = curve
    left: Scores = (1.0 + labels / scale) ** -power
    return left


def _resampled(speakers: int, seed: int) -> Scores:
    """Return (DRAWS, speakers) how often each speaker is drawn with replacement."""
    rng = np.random.default_rng([seed, speakers])
    drawn = rng.multinomial(speakers, np.full(speakers, 1.0 / speakers), size=DRAWS)
    return drawn.astype(np.float64)


def _left(judged: Judged, names: Strings, counts: Scores) -> tuple[Scores, float]:
    """Return (B,) the share of the base's error that the version leaves, and how much it was judged by."""
    mine, base = (_rates(column, judged, names, counts) for column in (judged.errors, judged.base_errors))
    return np.divide(mine, base, out=np.ones_like(mine), where=base > 0), float(len(judged.speaker_ids))


def _rates(column: Scores, judged: Judged, names: Strings, counts: npt.NDArray[np.float64]) -> Scores:
    drawn = counts[:, np.searchsorted(names, judged.speaker_ids)]
    units = drawn @ judged.units
    return np.divide(drawn @ column, units, out=np.zeros(len(counts)), where=units > 0)
