"""Rank settings of a training by the error rate on the dev rows, and say what of a difference is luck.

The settings were tried on the same labels and are measured on the same rows of the same speakers, so differences are
paired. A setting may be trained with several seeds: its errors are their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from corpus.records.base import Kind
from corpus.records.evaluation import Interval
from training.evaluation.intervals import IntervalSettings, SpeakerSums, error_interval, ratio_interval

ALPHA: Final = 0.05
"""1 - coverage of an interval."""


def mean_sums(trainings: Sequence[SpeakerSums]) -> SpeakerSums | None:
    """Return the mean errors by speaker of trainings that differ by their seed; None if their rows differ."""
    first = trainings[0]
    if not all(same_rows(first, each) for each in trainings):
        return None
    return SpeakerSums(np.mean([each.numerator for each in trainings], axis=0), first.denominator, first.rows)


def same_rows(one: SpeakerSums, other: SpeakerSums) -> bool:
    """Return whether two trainings were measured on the same rows, as far as their sums tell."""
    return one.rows == other.rows and np.array_equal(one.denominator, other.denominator)


def joined_sums(folds: Sequence[SpeakerSums]) -> SpeakerSums:
    """Return the errors by speaker of trainings that were measured on different speakers, one after the other."""
    numerator, denominator = (
        np.concatenate([getattr(f, name) for f in folds]) for name in ("numerator", "denominator")
    )
    return SpeakerSums(numerator, denominator, sum(fold.rows for fold in folds))


def dev_rate(sums: SpeakerSums, kind: Kind) -> Interval:
    """Return the error rate on the dev rows with its 95 % interval over speakers; an intent error is at most 1."""
    found = error_interval(sums, IntervalSettings(alpha=ALPHA))
    return replace(found, high=min(1.0, found.high)) if kind == "intent" else found


def dev_difference(setting: SpeakerSums, present: SpeakerSums, compared: int) -> Interval | None:
    """Return setting - present with its interval over speakers; below 0 the setting is better.

    The best of many settings is in part the luckiest, so the interval is widened by the number of settings that are
    compared with the present ones: 1 - alpha / compared (Bonferroni).

    Args:
        setting: errors by speaker of a setting.
        present: those of the present settings.
        compared: how many settings are compared with the present ones.

    Returns:
        The difference; None where the two were not measured on the same rows.
    """
    if not same_rows(setting, present):
        return None
    difference = SpeakerSums(setting.numerator - present.numerator, setting.denominator, setting.rows)
    return ratio_interval(difference, IntervalSettings(alpha=ALPHA / max(1, compared)))
