"""How fast a model answers, measured on single clips, as a device that waits for it would."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from corpus.records.base import Strings
from corpus.records.evaluation import Interval
from training.evaluation.bootstrap import Statistic, statistic_interval
from training.evaluation.intervals import IntervalSettings, Numbers, ratio_interval, speaker_sums

CLIPS = 20
"""Clips that are timed, one by one."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Timing:
    """Single answers: `audio` and `seconds` (n,) float64 [s] by clip, and whose clips they are."""

    audio: Numbers
    seconds: Numbers
    speaker_ids: Strings


def timed(function: Callable[[T], object], inputs: Sequence[T]) -> Numbers:
    """Return how long the function takes for each input by itself, (n,) float64 [s]; the first call of all is apart.

    The first answer of a model carries the start of its libraries, so it is asked once before the clock runs.
    """
    if inputs:
        function(inputs[0])
    found = np.zeros(len(inputs))
    for row, each in enumerate(inputs):
        started = time.perf_counter()
        function(each)
        found[row] = time.perf_counter() - started
    return found


def spread(speaker_ids: Sequence[str], count: int = CLIPS) -> list[int]:
    """Return the positions of at most `count` rows, of as many speakers as there are, in order."""
    turn: dict[str, int] = {}
    ranked = []
    for row, speaker in enumerate(speaker_ids):
        turn[speaker] = turn.get(speaker, 0) + 1
        ranked.append((turn[speaker], row))
    return sorted(row for _, row in sorted(ranked)[:count])


def speed_figures(timing: Timing, settings: IntervalSettings | None = None) -> dict[str, Interval]:
    """Return `rtf`, seconds of computing a second of audio, and `latency_p50` and `latency_p95` [s], over speakers.

    No interval goes below 0. Of one speaker it is all from 0 to the slowest clip.
    """
    if not len(timing.seconds):
        return {}
    sums = speaker_sums(timing.seconds, timing.audio, timing.speaker_ids)
    longest = float(timing.seconds.max())
    ratios = np.divide(timing.seconds, timing.audio, out=np.zeros(len(timing.audio)), where=timing.audio > 0)
    rtf = ratio_interval(sums, settings, bounds=(0.0, float(ratios.max())))
    # A t interval of a few speakers may hold what can't be, and rounding may leave the value a hair outside.
    found = {"rtf": replace(rtf, low=max(0.0, min(rtf.low, rtf.value)), high=max(rtf.high, rtf.value))}
    for name, share in (("latency_p50", 0.5), ("latency_p95", 0.95)):
        rows, statistic = _quantile(timing.seconds, share)
        # Nothing beyond the slowest clip was seen, so no bound lies there.
        bounds = (0.0, longest)
        found[name] = statistic_interval(rows, statistic, timing.speaker_ids, settings, bounds=bounds)
    return found


def judging_speed(
    audio: Sequence[float], hearing: Numbers, understanding: Numbers | None, speaker_ids: Sequence[str]
) -> dict[str, Interval]:
    """Return how fast a model answers in use: see `speed_figures`.

    Args:
        audio: length of each clip that was timed [s].
        hearing: how long the speech model took for each clip, (n,) [s].
        understanding: how long the intent model took for each text, (n,) [s]; None where a speech model is judged.
            Then `latency` is that of both, and `own_latency_p50` and `own_latency_p95` are the intent model's part.
        speaker_ids: whose clips they are.
    """
    seconds, speakers = np.array(audio, dtype=np.float64), np.array(speaker_ids, dtype=np.str_)
    if understanding is None:
        return speed_figures(Timing(seconds, hearing, speakers))
    both = speed_figures(Timing(seconds, hearing + understanding, speakers))
    own = speed_figures(Timing(seconds, understanding, speakers))
    return {**both, **{f"own_{name}": rate for name, rate in own.items() if name != "rtf"}}


def _quantile(values: Numbers, share: float) -> tuple[Numbers, Statistic]:
    """Return rows that count each value for itself, and the quantile as a function of how often each was drawn."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    rows = np.zeros((len(values), len(values)))
    rows[order, np.arange(len(values))] = 1.0

    def of(counts: Numbers) -> Numbers:
        reached = np.cumsum(counts, axis=1) >= share * counts.sum(axis=1, keepdims=True) - 1e-9
        return np.asarray(ranked[reached.argmax(axis=1)], dtype=np.float64)

    return rows, of
