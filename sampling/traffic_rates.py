"""Rates of the traffic, or of slices of it, from figures that only some of the audit rows have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from corpus.records.base import Strings
from corpus.records.evaluation import Interval
from sampling.estimation import horvitz_thompson_mean, weighted_ratio, weighted_share
from sampling.pool import Mask, Rows, Scores

LEAST_SPEAKERS: Final = 2
"""Fewest speakers of a rate: the clips of one speaker say nothing about how speakers differ."""


@dataclass(frozen=True, slots=True)
class RowFigure:
    """A figure of M of the N audit rows.

    Attributes:
        numerators: (M,) float64, 0 or more; 0 or 1 for a share.
        denominators: (M,) float64, 0 or more; None for a share, whose rows count 1 each.
        places: (M,) places of the rows among the audit rows.
    """

    numerators: Scores
    denominators: Scores | None
    places: Rows


def share_of(hits: Mask, among: Mask) -> RowFigure:
    """Return the share of hits among some audit rows; both are (N,) bool."""
    places = np.flatnonzero(among)
    return RowFigure(hits[places].astype(np.float64), None, places)


def figure_of_report(
    utterance_ids: Strings,
    usable: Mask,
    report_ids: Strings,
    numerators: npt.ArrayLike,
    denominators: npt.ArrayLike | None = None,
    judged: Mask | None = None,
) -> RowFigure:
    """Return a figure of a report on those of its rows that are usable audit rows.

    Args:
        utterance_ids: (N,) str of the audit rows, sorted.
        usable: (N,) bool, the audit rows that count.
        report_ids: (R,) str of the report's rows, which may be more or fewer.
        numerators: (R,) of the report's rows.
        denominators: (R,); None for a share.
        judged: (R,) bool, rows of the report that have the figure; None: all.
    """
    places = np.searchsorted(utterance_ids, report_ids)
    keep = places < len(utterance_ids)
    keep[keep] = (utterance_ids[places[keep]] == report_ids[keep]) & usable[places[keep]]
    keep &= np.ones(len(keep), np.bool_) if judged is None else judged
    below = None if denominators is None else np.asarray(denominators, np.float64)[keep]
    return RowFigure(np.asarray(numerators, np.float64)[keep], below, places[keep].astype(np.intp))


def rate_of(figure: RowFigure, inclusion_probs: Scores, speaker_ids: Strings, where: Mask) -> Interval | None:
    """Return the rate of the traffic that the audit rows `where` stand for; None for fewer than `LEAST_SPEAKERS`.

    Args:
        figure: of M of the rows.
        inclusion_probs: (N,) float64 in (0, 1].
        speaker_ids: (N,) str.
        where: (N,) bool, such as the rows of a slice.
    """
    inside = where[figure.places]
    places = figure.places[inside]
    probs, speakers = inclusion_probs[places], speaker_ids[places]
    if len(np.unique(speakers)) < LEAST_SPEAKERS:
        return None
    if figure.denominators is None:
        return weighted_share(figure.numerators[inside], probs, speakers)
    below = figure.denominators[inside]
    return weighted_ratio(figure.numerators[inside], below, probs, speakers) if below.any() else None


def represented(usable: Mask, inclusion_probs: Scores, frame_size: int) -> float:
    """Return the estimated share of the frame that the usable audit rows stand for, in [0, 1].

    Args:
        usable: (N,) bool.
        inclusion_probs: (N,) float64 in (0, 1].
        frame_size: rows of the frame, those that could not be drawn included.
    """
    if not len(inclusion_probs) or frame_size <= 0:
        return 0.0
    return min(1.0, horvitz_thompson_mean(usable.astype(np.float64), inclusion_probs, frame_size))


def parts_of_rest(represented: float, counted: Mapping[str, float], estimated: Mapping[str, float]) -> dict[str, float]:
    """Return the shares of the frame that the usable audit rows do not stand for, which add up to 1 - `represented`.

    What neither explains is the chance of the draw, `draw`: the rows drawn stand for a little less than the frame.
    Where they stand for more, the estimated parts are smaller by as much.

    Args:
        represented: share that usable audit rows stand for, in [0, 1].
        counted: shares of the frame that were counted, 0 or more.
        estimated: shares that audit rows without a result stand for, 0 or more.
    """
    rest, known, drawn = 1.0 - represented, sum(counted.values()), sum(estimated.values())
    of_counted = min(1.0, rest / known) if known else 1.0
    of_drawn = min(1.0, max(0.0, rest - known) / drawn) if drawn else 1.0
    parts = {name: of_counted * share for name, share in counted.items()}
    parts |= {name: of_drawn * share for name, share in estimated.items()}
    parts["draw"] = max(0.0, rest - sum(parts.values()))
    return {name: share for name, share in parts.items() if share > 0.0}


def tenths_of_percent(parts: Mapping[str, float]) -> dict[str, float]:
    """Return the shares in steps of 0.001 that add up to their rounded sum: the largest remainders are rounded up."""
    whole = {name: math.floor(1000.0 * share) for name, share in parts.items()}
    missing = round(1000.0 * sum(parts.values())) - sum(whole.values())
    for name in sorted(parts, key=lambda each: whole[each] - 1000.0 * parts[each])[:missing]:
        whole[name] += 1
    return {name: count / 1000.0 for name, count in whole.items() if count}
