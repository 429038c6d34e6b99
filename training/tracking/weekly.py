"""Figures of the weekly report on annotation, with weeks on the x axis and without content of utterances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from corpus.records.evaluation import Interval
from training.tracking.figures import name_ticks, named_legend, new_figure

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure


def throughput_figure(weeks: Sequence[str], answers: Sequence[int], minutes: Sequence[float]) -> Figure:
    """Return a figure of answers (bars) and annotator minutes (line) by week."""
    figure, axes = new_figure(6.4, 3.6)
    axes.bar(range(len(weeks)), answers, color="0.75")
    axes.set_ylabel("answers")
    other = axes.twinx()
    other.plot(range(len(weeks)), minutes, marker="o")
    other.set_ylabel("annotator minutes")
    other.set_ylim(bottom=0)
    name_ticks(axes.xaxis, weeks)
    axes.set_xlabel("week that begins on")
    return figure


def agreement_figure(weeks: Sequence[str], alpha: Sequence[float | None], wer: Sequence[float | None]) -> Figure:
    """Return a figure of Krippendorff's alpha of the intents and the WER between annotators by week."""
    figure, axes = new_figure(6.4, 3.6)
    named: list[tuple[str, Artist]] = []
    for name, values, marker in (("alpha, intents", alpha, "o"), ("WER between annotators", wer, "s")):
        points = [(k, value) for k, value in enumerate(values) if value is not None]
        line = axes.plot([k for k, _ in points], [value for _, value in points], marker=marker)
        named += [(name, each) for each in line]
    name_ticks(axes.xaxis, weeks)
    axes.set_xlabel("week that begins on")
    axes.axhline(0, color="0.8", linewidth=0.8)
    named_legend(axes, named)
    return figure


def false_starts_figure(weeks: Sequence[str], shares: Sequence[Interval | None]) -> Figure:
    """Return a figure of the share of accidental activations with its 95 % interval by week."""
    figure, axes = new_figure(6.4, 3.6)
    points = [(k, share) for k, share in enumerate(shares) if share is not None]
    if points:
        x = [k for k, _ in points]
        y = [100 * share.value for _, share in points]
        low = [100 * max(0.0, share.value - share.low) for _, share in points]
        high = [100 * max(0.0, share.high - share.value) for _, share in points]
        axes.errorbar(x, y, yerr=[low, high], marker="o", capsize=3)
    name_ticks(axes.xaxis, weeks)
    axes.set_xlabel("week that begins on")
    axes.set_ylabel("accidental activations [%]")
    axes.set_ylim(bottom=0)
    return figure
