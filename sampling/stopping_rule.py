"""Stopping rule: the gain expected from more labels, by a learning curve through the judged versions.

Each version's error is divided by that of the base on the same rows, because evaluation sets grow from night to night.
The share of the base's error that remains after n labels falls as a power of n (Figueroa et al. 2012, "Predicting
sample size required for classification performance"; Hestness et al. 2017, "Deep learning scaling is predictable,
empirically"): r(n) = (1 + n / scale)^(-power). r(0) = 1, because training starts from the base. For the interval, the
speakers of the evaluation sets are resampled, the same ones for all versions, and the curve is fitted to each draw.
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
from corpus.settings import MOST_ROWS
from sampling.pool import Scores

MIN_VERSIONS: Final = 3
"""Fewest judged versions with different numbers of labels; fewer points can't determine two parameters."""

MIN_SPEAKERS: Final = 10
"""Fewest speakers of the newest version's evaluation set; resampling fewer gives no useful interval."""

DRAWS: Final = 400
"""Number of resampled curves."""

STEPS: Final = 60
"""Number of scales that each fit tries, evenly spaced in their logarithm."""


class StoppingSettings(BaseModel):
    """When more labels are not advised any more.

    Attributes:
        labels: For how many more labels the gain is estimated.
        least_gain: Gain in error rate that these labels have to bring; if less is expected, the advice is to stop.
        confidence: Confidence of the interval of the gain.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    labels: int = Field(default=100, ge=1, le=MOST_ROWS)
    least_gain: float = Field(default=0.005, ge=0, lt=1)
    confidence: float = Field(default=0.9, gt=0, lt=1)


@dataclass(frozen=True, slots=True)
class JudgedVersion:
    """The errors of a version and of the base on the same rows, summed by speaker.

    Attributes:
        labels: number of labels that the version was trained on.
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
    """The gain expected from more labels.

    Attributes:
        advice: `go on`, `stop`, or `unknown` if there are not enough data.
        why: one line to show to people.
        versions: number of judged versions with different numbers of labels.
        labels, more: labels of the newest version, and the number of further labels.
        now, then: error rate on the curve now and after the further labels.
        gain: now - then.
        low, high: interval of the gain.
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


def outlook(judged: Sequence[JudgedVersion], settings: StoppingSettings | None = None, seed: int = 0) -> Outlook:
    """Return the gain expected from `settings.labels` more labels, or why it can't be estimated yet.

    The advice is `stop` if even the upper end of the interval is below `least_gain`. Otherwise it is `go on`, because
    stopping too early costs more than buying a label too many.

    Args:
        judged: versions, each with the base on the same rows; versions with equal numbers of labels all count.
        settings: number of labels, least gain and confidence; the defaults where None.
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
    shares, weights = zip(*(_remaining_shares(each, names, counts) for each in usable), strict=True)
    labels = np.array([each.labels for each in usable], np.float64)
    base = _rates(newest.base_errors, newest, names, counts)
    # The weight is the number of speakers; 1 / variance would change with each draw.
    curve = fit_curve(labels, np.stack(shares), np.array(weights))
    total, more = float(labels.max()), settings.labels
    now, then = base * remaining_error(curve, total), base * remaining_error(curve, total + more)
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


def fit_curve(labels: Scores, shares: Scores, weights: Scores) -> tuple[Scores, Scores]:
    """Return scale and power, (B,) each, of the curve with the least squared error in the logarithm, for B draws.

    For a given scale the power has a closed form; scales are tried from a twentieth of the fewest to twenty times the
    most labels. A power below 0, with which labels would do harm, becomes 0: then more labels are expected to bring
    nothing.

    Args:
        labels: (V,) number of labels of each version, above 0.
        shares: (V, B) error of the version / error of the base.
        weights: (V,) weight of each version.
    """
    scales = np.geomspace(labels.min() / 20.0, labels.max() * 20.0, STEPS)
    steps = np.log1p(labels[None, :] / scales[:, None])  # (G, V)
    target = -np.log(np.clip(shares, 1e-3, 1e3))  # (V, B)
    weight = weights / weights.sum()
    power = np.maximum(0.0, (steps * weight) @ target / ((steps**2) @ weight)[:, None])  # (G, B)
    misfit = np.stack([weight @ (target - s[:, None] * p[None, :]) ** 2 for s, p in zip(steps, power, strict=True)])
    best = misfit.argmin(axis=0)
    return scales[best], power[best, np.arange(shares.shape[1])]


def remaining_error(curve: tuple[Scores, Scores], labels: float) -> Scores:
    """Return the share of the base's error that remains after the given number of labels, (B,)."""
    scale, power = curve
    share: Scores = (1.0 + labels / scale) ** -power
    return share


def _resampled(speakers: int, seed: int) -> Scores:
    """Return how often each speaker is drawn with replacement, (DRAWS, speakers)."""
    rng = np.random.default_rng([seed, speakers])
    drawn = rng.multinomial(speakers, np.full(speakers, 1.0 / speakers), size=DRAWS)
    return drawn.astype(np.float64)


def _remaining_shares(judged: JudgedVersion, names: Strings, counts: Scores) -> tuple[Scores, float]:
    """Return the version's share of the base's error by draw, (B,), and the number of speakers as its weight."""
    rate, base = (_rates(column, judged, names, counts) for column in (judged.errors, judged.base_errors))
    return np.divide(rate, base, out=np.ones_like(rate), where=base > 0), float(len(judged.speaker_ids))


def _rates(column: Scores, judged: JudgedVersion, names: Strings, counts: npt.NDArray[np.float64]) -> Scores:
    """Return sum of the column / sum of the units by draw, (B,); `counts` says how often each of `names` is drawn."""
    drawn = counts[:, np.searchsorted(names, judged.speaker_ids)]
    units = drawn @ judged.units
    return np.divide(drawn @ column, units, out=np.zeros(len(counts)), where=units > 0)
