"""Utterances sorted by what they are like: how long, how noisy, what was meant. Values of slices, (N,) str."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from corpus.records.base import Floats, Strings
from corpus.records.evaluation import EvaluationReport

DURATIONS = (1.0, 2.0, 4.0)
"""Where bands of length begin [s]."""

SNRS = (10.0, 20.0, 30.0)
"""Where bands of speech above noise begin [dB]."""


def described(report: EvaluationReport) -> dict[str, Strings]:
    """Return `duration`, `snr` and true `intent` of a report's rows; nothing of a report of an older version."""
    if not report.detailed:
        return {}
    names = np.array([*report.intents, "unknown"], dtype=np.str_)  # -1 is the last
    return {
        "duration": banded(report.duration, DURATIONS, "s"),
        "snr": banded(report.snr, SNRS, "dB"),
        "intent": names[report.truth],
    }


def familiarity(first_nights: Sequence[str], nights: Sequence[str]) -> Strings:
    """Return `returning` for each row whose speaker was heard in an earlier night, else `new`, (N,) str.

    Args:
        first_nights: name of the night in which each row's speaker was heard first.
        nights: name of each row's own night; names sort by date.
    """
    returning = [first < night for first, night in zip(first_nights, nights, strict=True)]
    return np.where(np.array(returning, dtype=bool), "returning", "new").astype(np.str_)


def banded(values: Floats, edges: Sequence[float], unit: str) -> Strings:
    """Return the band of each value, such as `1-2 s`; values are 0 or more."""
    shown = [f"{edge:g}" for edge in (0.0, *edges)]
    names = [f"{low}-{high} {unit}" for low, high in pairwise(shown)] + [f"{shown[-1]} {unit} and more"]
    return np.array(names, dtype=np.str_)[np.searchsorted(edges, values, side="right")]
