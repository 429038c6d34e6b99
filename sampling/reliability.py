"""Reliability of a measure: its curve to actual errors, and figures on rows that the curve was not fitted to.

Evidence consists of labelled rows that the current models scored but were not trained on, because a model makes fewer
errors on its training rows. Audit rows are such rows, so their labels calibrate, too. They can still judge models:
no model is trained on them; a curve only weighs measures against each other and against costs, for the choice of
*other* utterances; and the inclusion probabilities of a round are fixed by labels of earlier rounds, before its own
rows are drawn, so weighted estimates stay unbiased. Held-out rows are not used: they are often a published test set,
which must not influence the choice.

The figures are weighted by 1 / inclusion probability. If there are enough audit rows, the figures use them alone, as
only audit rows are drawn from the traffic with given probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corpus.errors import RecordError
from corpus.records.base import Strings
from sampling.calibration import MIN_ROWS, PRIOR_ROWS, Calibrator, calibrate, fit_calibrator
from sampling.pool import Mask, Rows, Scores, codes

FOLDS: Final = 5
"""Number of groups of speakers; the curve for one group is fitted to the others."""

BIN_ROWS: Final = (15, 10)
"""Fewest rows of a bin of the calibration error, and most bins: bins of few rows measure noise."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A measure beside the actual errors on L labelled rows.

    Attributes:
        scores: (L,) values of the measure.
        outcomes: (L,) word errors, or 1 where the intent was wrong.
        weights: (L,) 1 / inclusion probability; 1 for rows that were not drawn at random.
        speaker_ids: (L,) str.
        audit: (L,) bool, rows of the audit share.

    Raises:
        RecordError: columns of unequal length, or a number that is not finite or below 0 where it must not be.
    """

    scores: Scores
    outcomes: Scores
    weights: Scores
    speaker_ids: Strings
    audit: Mask

    def __post_init__(self) -> None:
        shape = self.scores.shape
        if len(shape) != 1 or any(
            column.shape != shape for column in (self.outcomes, self.weights, self.speaker_ids, self.audit)
        ):
            raise RecordError("evidence: scores, outcomes, weights, speakers and audit are of unequal length")
        if not all(np.isfinite(column).all() for column in (self.scores, self.outcomes, self.weights)):
            raise RecordError("evidence: a score, outcome or weight is not finite")
        if (self.outcomes < 0).any() or (self.weights <= 0).any():
            raise RecordError("evidence: an outcome is below 0 or a weight not above 0")

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, rows: Rows | Mask) -> Evidence:
        """Return the evidence of the given rows."""
        return Evidence(
            self.scores[rows], self.outcomes[rows], self.weights[rows], self.speaker_ids[rows], self.audit[rows]
        )


@dataclass(frozen=True, slots=True)
class Reliability:
    """How well a measure estimates errors; a figure is None if there are too few rows for it.

    Attributes:
        rows: rows that the curve is fitted to.
        judged, speakers: rows and speakers that the figures are computed from.
        of: `traffic` if the figures come from audit rows alone, `chosen` if from all rows.
        error_share: weighted share of rows with an error.
        mean: weighted mean outcome.
        ece_before, ece_after: expected calibration error of the measure itself and of the out-of-fold curve, in the
            unit of the outcome: word errors an utterance, or probability.
        nce: normalised cross entropy of the out-of-fold probability of an error; 1 is perfect, 0 is as informative as
            the share of errors alone, below 0 is less.
        auc_roc, auc_pr: how well the measure itself separates rows with an error from those without; by chance, the
            second equals `error_share`.
        note: why there is no curve or no figure; "" if there are both.
    """

    rows: int
    judged: int = 0
    speakers: int = 0
    of: str = "traffic"
    error_share: float | None = None
    mean: float | None = None
    ece_before: float | None = None
    ece_after: float | None = None
    nce: float | None = None
    auc_roc: float | None = None
    auc_pr: float | None = None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return asdict(self)


def fit_all(evidence: Mapping[str, Evidence], seed: int = 0) -> tuple[dict[str, Calibrator], dict[str, Reliability]]:
    """Return by measure its curve to expected errors, the identity if rows are few, and its reliability."""
    curves = {name: _fit(rows, MIN_ROWS) for name, rows in sorted(evidence.items())}
    return curves, {name: reliability(rows, seed) for name, rows in sorted(evidence.items())}


def reliability(evidence: Evidence, seed: int = 0) -> Reliability:
    """Return the reliability of a measure and of its out-of-fold curve.

    Args:
        evidence: L rows.
        seed: of the assignment of speakers to folds.
    """
    n = len(evidence)
    if n < MIN_ROWS:
        return Reliability(n, note=f"{n} labelled rows were chosen and never learned from, a curve needs {MIN_ROWS}")
    if len(np.unique(evidence.speaker_ids)) < 2:
        return Reliability(n, note="one speaker: nothing can be held out")
    folds = speaker_folds(evidence.speaker_ids, seed)
    curve = out_of_fold(evidence, folds)
    wrong = Evidence(
        evidence.scores,
        (evidence.outcomes > 0).astype(np.float64),
        evidence.weights,
        evidence.speaker_ids,
        evidence.audit,
    )
    chance = out_of_fold(wrong, folds)
    on_audit = int(evidence.audit.sum()) >= MIN_ROWS
    rows = evidence.audit if on_audit else np.ones(n, np.bool_)
    weights, outcomes, scores = evidence.weights[rows], evidence.outcomes[rows], evidence.scores[rows]
    error, share = wrong.outcomes[rows], float(np.average(wrong.outcomes[rows], weights=weights))
    one_class = share in (0.0, 1.0)
    roc, pr = (None, None) if one_class else _areas(error, scores, weights)
    return Reliability(
        rows=n,
        judged=int(rows.sum()),
        speakers=len(np.unique(evidence.speaker_ids[rows])),
        of="traffic" if on_audit else "chosen",
        error_share=share,
        mean=float(np.average(outcomes, weights=weights)),
        ece_before=calibration_error(scores, outcomes, weights),
        ece_after=calibration_error(curve[rows], outcomes, weights),
        nce=None if one_class else normalised_cross_entropy(chance[rows], error, weights),
        auc_roc=roc,
        auc_pr=pr,
        note=("every row" if share else "no row") + " has an error" if one_class else "",
    )


def speaker_folds(speaker_ids: Strings, seed: int = 0) -> Rows:
    """Return the fold of every row, (L,); there are at most `FOLDS`, of similar size, and a speaker is in one."""
    speakers, count = codes(speaker_ids)
    rows_of = np.bincount(speakers, minlength=count)
    shuffled = np.random.default_rng([seed, FOLDS]).permutation(count)
    size, fold_of = np.zeros(min(FOLDS, count)), np.zeros(count, np.intp)
    for speaker in shuffled[np.argsort(-rows_of[shuffled], kind="stable")]:
        fold_of[speaker] = int(np.argmin(size))
        size[fold_of[speaker]] += rows_of[speaker]
    return fold_of[speakers]


def out_of_fold(evidence: Evidence, folds: Rows) -> Scores:
    """Return every row's score mapped by the curve that is fitted to the other folds, (L,) float64."""
    out = np.empty(len(evidence))
    for fold in np.unique(folds):
        rows = folds == fold
        out[rows] = calibrate({"": _fit(evidence.take(~rows), 1)}, "", evidence.scores[rows])
    return out


def calibration_error(predicted: npt.ArrayLike, outcomes: npt.ArrayLike, weights: npt.ArrayLike) -> float:
    """Return sum_b w_b |mean predicted - mean outcome| / sum_b w_b over bins of about equal numbers of rows.

    Expected calibration error (Naeini et al. 2015; Guo et al. 2017, equation 3) with bins of equal numbers of rows
    (Nguyen & O'Connor 2015), because counts and skewed scores would leave bins of equal width empty. Equal predictions
    share a bin.

    Args:
        predicted: (L,), L at least 1.
        outcomes: (L,).
        weights: (L,) above 0.
    """
    p, y, w = (np.asarray(column, np.float64) for column in (predicted, outcomes, weights))
    bins = int(np.clip(len(p) // BIN_ROWS[0], 1, BIN_ROWS[1]))
    edges = np.quantile(p, np.arange(1, bins) / bins)
    of = np.searchsorted(edges, p, side="right")
    gaps = np.bincount(of, weights=w * (p - y), minlength=bins)
    return float(np.abs(gaps).sum() / w.sum())


def normalised_cross_entropy(chance: npt.ArrayLike, wrong: npt.ArrayLike, weights: npt.ArrayLike) -> float:
    """Return (H_max - H) / H_max: the share of the uncertainty about errors that the probabilities remove.

    H = -sum w (y log p + (1 - y) log(1 - p)), and H_max is the same with the share of errors for p (Siu, Gish &
    Richardson 1997; NIST's evaluations of word confidence). Probabilities are clipped to [0.5 / L, 1 - 0.5 / L].

    Args:
        chance: (L,) probability of an error.
        wrong: (L,) 1 or 0, not all the same.
        weights: (L,) above 0.
    """
    p, y, w = (np.asarray(column, np.float64) for column in (chance, wrong, weights))
    p = np.clip(p, 0.5 / len(p), 1.0 - 0.5 / len(p))
    base = float(np.average(y, weights=w))
    entropy = -float(w @ (y * np.log(p) + (1.0 - y) * np.log(1.0 - p)))
    most = -float(w.sum()) * (base * np.log(base) + (1.0 - base) * np.log(1.0 - base))
    return float((most - entropy) / most)


def _fit(evidence: Evidence, min_rows: int) -> Calibrator:
    return fit_calibrator(
        evidence.scores, evidence.outcomes, evidence.weights, min_rows=min_rows, prior_rows=PRIOR_ROWS
    )


def _areas(error: Scores, scores: Scores, weights: Scores) -> tuple[float, float]:
    """Return the areas under the ROC curve and under the precision-recall curve."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    return (
        float(roc_auc_score(error, scores, sample_weight=weights)),
        float(average_precision_score(error, scores, sample_weight=weights)),
    )
