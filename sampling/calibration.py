"""Curves from a measure to the error that it estimates: word errors, or the probability that the intent is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from corpus.errors import RecordError
from sampling.pool import Scores

MIN_ROWS: Final = 30
"""Fewest labelled rows for a curve; with fewer, the measure itself is the better estimate."""

PRIOR_ROWS: Final = 10.0
"""Weight of the straight line [labelled rows]; the line keeps the order of scores where the curve is level."""


@dataclass(frozen=True, slots=True)
class Calibrator:
    """A rising curve through K knots; the identity where K = 0.

    Attributes:
        scores, outcomes: (K,) each, rising; between the knots the curve is straight, outside of them it is level.
        line: slope of a straight line through 0, which is mixed into the curve.
        share: weight of the line, in [0, 1].
    """

    scores: tuple[float, ...] = ()
    outcomes: tuple[float, ...] = ()
    line: float = 0.0
    share: float = 0.0

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.outcomes):
            raise RecordError("calibrator: scores and outcomes are of unequal length")
        if any(np.diff(self.scores) <= 0) or any(np.diff(self.outcomes) < 0):
            raise RecordError("calibrator: the knots do not rise")
        if not (self.line >= 0.0 and 0.0 <= self.share <= 1.0):
            raise RecordError("calibrator: the line falls, or its share is outside [0, 1]")

    @property
    def identity(self) -> bool:
        """Return whether scores pass unchanged."""
        return not self.scores


def calibrate(calibrators: Mapping[str, Calibrator], name: str, scores: Scores) -> Scores:
    """Return the scores mapped by the curve of the measure `name`, (N,) float64; unchanged without a curve."""
    calibrator = calibrators.get(name)
    if calibrator is None or calibrator.identity:
        return scores
    level = np.interp(scores, calibrator.scores, calibrator.outcomes)
    if calibrator.share == 0.0:
        return level
    return (1.0 - calibrator.share) * level + calibrator.share * calibrator.line * scores


def fit_calibrator(
    scores: npt.ArrayLike,
    outcomes: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    min_rows: int = MIN_ROWS,
    prior_rows: float = 0.0,
) -> Calibrator:
    """Return the rising curve nearest to the outcomes in least squares; the identity below `min_rows` rows.

    Isotonic regression by pooling adjacent violators (Barlow et al. 1972). Each pooled block has a knot at its weighted
    centre, with straight lines between the knots, so that few ties remain inside a block (centred isotonic regression,
    Oron & Flournoy 2017). Beyond the outer knots, where the most and the least certain rows lie, the curve is level.
    There `prior_rows` keeps the order of the rows: it mixes in the line sum(outcomes) / sum(scores) with the weight of
    that many labelled rows. Curve, line and mixture all have the same sum as the outcomes.

    Args:
        scores: (L,) a measure on labelled rows.
        outcomes: (L,) word errors, or 1 where the intent was wrong.
        weights: (L,) above 0, such as 1 / inclusion probability; None: all 1.
        min_rows: fewest rows to fit a curve to.
        prior_rows: weight of the line [rows]; above 0 the scores must be 0 or more.

    Raises:
        RecordError: unequal lengths, or a number that is not finite or not above 0 where it must be.
    """
    x, y = np.asarray(scores, np.float64), np.asarray(outcomes, np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, np.float64)
    if not (x.shape == y.shape == w.shape and x.ndim == 1):
        raise RecordError(f"calibration: scores {x.shape}, outcomes {y.shape} and weights {w.shape} differ in length")
    if not (np.isfinite(x).all() and np.isfinite(y).all() and np.isfinite(w).all() and (w > 0).all()):
        raise RecordError("calibration: a score, outcome or weight is not finite, or a weight is not above 0")
    if len(x) < min_rows:
        return Calibrator()
    values, inverse = np.unique(x, return_inverse=True)
    mass = np.bincount(inverse, weights=w)
    mean = np.bincount(inverse, weights=w * y) / mass
    fitted = isotonic_regression(mean, weights=mass)
    block = np.repeat(np.arange(len(fitted.blocks) - 1), np.diff(fitted.blocks))
    centre = np.bincount(block, weights=mass * values) / np.bincount(block, weights=mass)
    level = np.maximum.accumulate(fitted.x[fitted.blocks[:-1]])
    slope = float(w @ y) / max(float(w @ x), 1e-12) if (x >= 0).all() and w @ x > 0 and w @ y > 0 else 0.0
    share = prior_rows / (prior_rows + len(x)) if slope > 0.0 else 0.0
    return Calibrator(tuple(centre.tolist()), tuple(level.tolist()), slope, share)
