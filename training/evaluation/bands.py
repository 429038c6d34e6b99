"""Values of slices, (N,) str: bands of duration and noise, true intent, and new or returning speakers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from corpus.records.base import Floats, Strings
from corpus.records.evaluation import EvaluationReport

DURATIONS = (1.0, 2.0, 4.0)
"""Limits between bands of duration [s]."""

SNRS = (10.0, 20.0, 30.0)
"""Limits between bands of signal-to-noise ratio [dB]."""


def band_slices(report: EvaluationReport) -> dict[str, Strings]:
    """Return the slices `duration`, `snr` and true `intent` of a report's rows; none for an older report format."""
    if not report.detailed:
        return {}
    names = np.array([*report.intents, "unknown"], dtype=np.str_)  # -1 is the last
    return {
        "duration": band_names(report.duration, DURATIONS, "s"),
        "snr": band_names(report.snr, SNRS, "dB"),
        "intent": names[report.truth],
    }


def familiarity(first_nights: Sequence[str], nights: Sequence[str]) -> Strings:
    """Return `returning` for each row whose speaker has utterances of an earlier night, else `new`, (N,) str.

    Args:
        first_nights: name of the night of the first utterance of each row's speaker.
        nights: name of each row's own night; names sort by date.
    """
    returning = [first < night for first, night in zip(first_nights, nights, strict=True)]
    return np.where(np.array(returning, dtype=bool), "returning", "new").astype(np.str_)


def band_names(values: Floats, edges: Sequence[float], unit: str) -> Strings:
    """Return the band of each value, such as `1-2 s`, (N,) str.

    Args:
        values: (N,) of 0 or more.
        edges: limits between bands, rising.
        unit: unit of the values.
    """
    shown = [f"{edge:g}" for edge in (0.0, *edges)]
    names = [f"{low}-{high} {unit}" for low, high in pairwise(shown)] + [f"{shown[-1]} {unit} and more"]
    return np.array(names, dtype=np.str_)[np.searchsorted(edges, values, side="right")]
