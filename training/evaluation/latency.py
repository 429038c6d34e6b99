"""Speed of a model, measured clip by clip, as a waiting device experiences it."""

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
"""Number of clips that are timed."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Timing:
    """Measured times by clip.

    Attributes:
        audio: (n,) float64, duration of each clip [s].
        seconds: (n,) float64, computing time of each clip [s].
        speaker_ids: (n,) str.
    """

    audio: Numbers
    seconds: Numbers
    speaker_ids: Strings


def time_calls(function: Callable[[T], object], inputs: Sequence[T]) -> Numbers:
    """Return how long the function takes for each input, (n,) float64 [s].

    One call before the measurement is not counted, because libraries initialise in the first call of a model.
    """
    if inputs:
        function(inputs[0])
    found = np.zeros(len(inputs))
    for row, each in enumerate(inputs):
        started = time.perf_counter()
        function(each)
        found[row] = time.perf_counter() - started
    return found


def spread_over_speakers(speaker_ids: Sequence[str], count: int = CLIPS) -> list[int]:
    """Return the positions of at most `count` rows, in order, spread over as many speakers as possible."""
    turn: dict[str, int] = {}
    ranked = []
    for row, speaker in enumerate(speaker_ids):
        turn[speaker] = turn.get(speaker, 0) + 1
        ranked.append((turn[speaker], row))
    return sorted(row for _, row in sorted(ranked)[:count])


def speed_figures(timing: Timing, settings: IntervalSettings | None = None) -> dict[str, Interval]:
    """Return the real-time factor `rtf` and the latencies `latency_p50` and `latency_p95` [s], with intervals.

    `rtf` is computing time / duration of the audio. Intervals are over speakers and never below 0. For one speaker, the
    interval is from 0 to the value of the slowest clip. The result is empty if no clip was timed.
    """
    if not len(timing.seconds):
        return {}
    sums = speaker_sums(timing.seconds, timing.audio, timing.speaker_ids)
    longest = float(timing.seconds.max())
    ratios = np.divide(timing.seconds, timing.audio, out=np.zeros(len(timing.audio)), where=timing.audio > 0)
    rtf = ratio_interval(sums, settings, bounds=(0.0, float(ratios.max())))
    # A t interval of a few speakers may go below 0, and rounding may put the value slightly outside of it.
    found = {"rtf": replace(rtf, low=max(0.0, min(rtf.low, rtf.value)), high=max(rtf.high, rtf.value))}
    for name, share in (("latency_p50", 0.5), ("latency_p95", 0.95)):
        rows, statistic = _quantile(timing.seconds, share)
        bounds = (0.0, longest)  # no bound goes beyond the slowest clip
        found[name] = statistic_interval(rows, statistic, timing.speaker_ids, settings, bounds=bounds)
    return found


def judging_speed(
    audio: Sequence[float], asr_seconds: Numbers, intent_seconds: Numbers | None, speaker_ids: Sequence[str]
) -> dict[str, Interval]:
    """Return how fast a model is in use, as in `speed_figures`.

    For an intent model, the latency is that of speech model and intent model together, and `own_latency_p50` and
    `own_latency_p95` are those of the intent model alone.

    Args:
        audio: duration of each timed clip [s].
        asr_seconds: time of the speech model for each clip, (n,) [s].
        intent_seconds: time of the intent model for each text, (n,) [s]; None if a speech model is judged.
        speaker_ids: speaker of each clip.
    """
    seconds, speakers = np.array(audio, dtype=np.float64), np.array(speaker_ids, dtype=np.str_)
    if intent_seconds is None:
        return speed_figures(Timing(seconds, asr_seconds, speakers))
    both = speed_figures(Timing(seconds, asr_seconds + intent_seconds, speakers))
    own = speed_figures(Timing(seconds, intent_seconds, speakers))
    return {**both, **{f"own_{name}": rate for name, rate in own.items() if name != "rtf"}}


def _quantile(values: Numbers, share: float) -> tuple[Numbers, Statistic]:
    """Return rows with one column per value, and a function from how often each value is drawn to the quantile."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    rows = np.zeros((len(values), len(values)))
    rows[order, np.arange(len(values))] = 1.0

    def of(counts: Numbers) -> Numbers:
        reached = np.cumsum(counts, axis=1) >= share * counts.sum(axis=1, keepdims=True) - 1e-9
        return np.asarray(ranked[reached.argmax(axis=1)], dtype=np.float64)

    return rows, of
