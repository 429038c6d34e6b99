"""Figures of a run as matplotlib figures, drawn without a window and without matplotlib's global state.

Each function returns a new `Figure`; log it with `runs.log_figures`, or write it with `figure.savefig(path)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from corpus.names import printable
from corpus.records.base import Floats
from corpus.records.evaluation import Interval
from training.evaluation.metrics import SliceRow

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours that colour-blind readers can distinguish, too (Okabe & Ito 2008)."""

MOST_CLASSES = 25
"""Most intents in a confusion matrix; all others become `(other intents)`."""

MOST_SLICES = 40
"""Most slices in a figure: those with most rows."""


@dataclass(frozen=True, slots=True)
class Night:
    """The champion's error rate on one night's audit rows; `promoted` is the version promoted in that night, if any."""

    name: str
    rate: Interval
    promoted: str = ""


def learning_curve(
    curves: Mapping[str, Sequence[tuple[float, Interval]]],
    measure: str = "WER",
    cost: str = "labels",
    levels: Sequence[tuple[str, float]] = (),
) -> Figure:
    """Return a figure of the error rate by the cost of labels, a line with its interval for each name.

    Args:
        curves: by name, such as a strategy, (cost, error rate) of each round.
        measure: name of the error rate.
        cost: unit of the cost.
        levels: name and error rate of each horizontal line.
    """
    figure, axes = new_figure(6.4, 4.2)
    named: list[tuple[str, Artist]] = []
    for row, (name, points) in enumerate(curves.items()):
        ordered = sorted(points, key=lambda point: point[0])
        x = [float(spent) for spent, _ in ordered]
        colour = COLOURS[row % len(COLOURS)]
        axes.fill_between(x, [p.low for _, p in ordered], [p.high for _, p in ordered], color=colour, alpha=0.15, lw=0)
        (line,) = axes.plot(x, [p.value for _, p in ordered], "o-", color=colour, markersize=4)
        named.append((name, line))
    for row, (name, level) in enumerate(levels):
        named.append((name, axes.axhline(level, color="#666666", lw=0.8, ls=(":", "--")[row % 2])))
    axes.set(xlabel=cost, ylabel=measure, title=f"{measure} by {cost}")
    axes.set_ylim(bottom=0.0)
    named_legend(axes, named, frameon=False)
    return figure


def with_log_labels(figure: Figure) -> None:
    """Give the first axes of a figure a logarithmic x axis with plain numbers at 1, 2 and 5 of each power of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    axis = figure.axes[0].xaxis
    figure.axes[0].set_xscale("log")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(ScalarFormatter())
    axis.set_minor_formatter(NullFormatter())


def reliability(confidence: Floats, correct: npt.NDArray[np.float64], bins: int = 10) -> Figure:
    """Return the reliability diagram: correctness by confidence, with the share of rows of each bin.

    Args:
        confidence: (N,) in [0, 1].
        correct: (N,) in [0, 1], such as `training.evaluation.rates.correctness`.
        bins: number of bins of equal width.
    """
    figure, axes = new_figure(5.0, 4.6)
    clipped = np.clip(np.asarray(confidence, dtype=np.float64), 0.0, 1.0)
    bin_of = np.minimum((clipped * bins).astype(np.intp), bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    filled = counts > 0
    mean_confidence = np.bincount(bin_of, weights=clipped, minlength=bins)[filled] / counts[filled]
    mean_correct = np.bincount(bin_of, weights=correct, minlength=bins)[filled] / counts[filled]
    share = counts / max(1, len(clipped))
    axes.bar((np.arange(bins) + 0.5) / bins, share, width=0.9 / bins, color="#BBBBBB", label="share of rows")
    axes.plot([0, 1], [0, 1], "--", color="#777777", lw=1)
    axes.plot(mean_confidence, mean_correct, "o-", color=COLOURS[0], label="right")
    title = f"Reliability, {len(clipped)} rows"
    axes.set(xlabel="confidence", ylabel="right", xlim=(0, 1), ylim=(0, 1.02), title=title)
    axes.legend(frameon=False, loc="upper left")
    return figure


def confusion(truth: Sequence[str], predicted: Sequence[str]) -> Figure:
    """Return the confusion matrix of intents: rows are true intents, cells are coloured by share and show counts.

    If there are more than `MOST_CLASSES` intents, the rarest become one row and column.
    """
    names, table = confusion_counts(truth, predicted)
    size = 2.6 + 0.32 * len(names)
    figure, axes = new_figure(size + 0.6, size)
    share = table / np.maximum(1, table.sum(axis=1, keepdims=True))
    if names:
        axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    name_ticks(axes.xaxis, names, rotation=90, fontsize=7)
    name_ticks(axes.yaxis, names, fontsize=7)
    for row, column in zip(*np.nonzero(table), strict=True):
        colour = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, str(table[row, column]), ha="center", va="center", fontsize=6, color=colour)
    axes.set(xlabel="predicted", ylabel="true", title="Intents")
    axes.spines[["top", "right"]].set_visible(True)
    return figure


def confusion_counts(truth: Sequence[str], predicted: Sequence[str]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return K names and how often each true intent (row) was predicted as each intent (column), (K, K) int64."""
    names, counts = np.unique(np.array([*truth, *predicted], dtype=np.str_), return_counts=True)
    kept = [str(names[row]) for row in np.lexsort((names, -counts))]
    if len(kept) > MOST_CLASSES:
        kept = [*sorted(kept[: MOST_CLASSES - 1]), "(other intents)"]
    else:
        kept.sort()
    at = {name: row for row, name in enumerate(kept)}
    table = np.zeros((len(kept), len(kept)), dtype=np.int64)
    rest = len(kept) - 1
    for true, guess in zip(truth, predicted, strict=True):
        table[at.get(true, rest), at.get(guess, rest)] += 1
    return kept, table


def slice_intervals(rows: Sequence[SliceRow], overall: Interval, measure: str = "WER") -> Figure:
    """Return a figure of the error rate by slice with intervals, beside that of all rows; thin slices are hollow.

    If there are more than `MOST_SLICES`, those with fewest rows are left out, and the title reports their number.
    """
    kept = sorted(sorted(rows, key=lambda row: -row.rate.n)[:MOST_SLICES], key=lambda row: (row.dimension, row.value))
    figure, axes = new_figure(7.0, 1.6 + 0.26 * max(1, len(kept)))
    for at, row in enumerate(reversed(kept)):
        colour = "#999999" if row.thin else COLOURS[0]
        axes.plot([row.rate.low, row.rate.high], [at, at], color=colour, lw=2)
        axes.plot(row.rate.value, at, "o", color=colour, markerfacecolor="white" if row.thin else colour)
    axes.axvspan(overall.low, overall.high, color=COLOURS[1], alpha=0.12, lw=0)
    axes.axvline(overall.value, color=COLOURS[1], lw=1)
    labels = [f"{row.dimension}={row.value} ({row.rate.n})" for row in reversed(kept)]
    axes.set_xlim(0.0, 1.15 * max([1.0, overall.high, *(row.rate.value for row in kept)]))  # thin slices reach far out
    name_ticks(axes.yaxis, labels, fontsize=7)
    left_out = f", {len(rows) - len(kept)} small ones left out" if len(rows) > len(kept) else ""
    axes.set(xlabel=measure, title=f"{measure} by slice{left_out}")
    return figure


def over_nights(nights: Sequence[Night], measure: str = "WER") -> Figure:
    """Return a figure of the champion's error rate by night with intervals; a dotted line marks each promotion."""
    figure, axes = new_figure(7.0, 4.0)
    at = np.arange(len(nights))
    values = np.array([night.rate.value for night in nights])
    below = np.array([night.rate.value - night.rate.low for night in nights])
    above = np.array([night.rate.high - night.rate.value for night in nights])
    if len(nights):
        axes.errorbar(at, values, yerr=np.maximum(0.0, [below, above]), fmt="o-", color=COLOURS[0], capsize=3)
    for row, night in enumerate(nights):
        if night.promoted:
            axes.axvline(row, color=COLOURS[2], lw=1, ls=":")
            axes.annotate(f"v{night.promoted}", (row, 1.0), xycoords=("data", "axes fraction"), fontsize=8, va="top")
    name_ticks(axes.xaxis, [night.name for night in nights], rotation=45, ha="right", fontsize=8)
    axes.set(ylabel=measure, title=f"{measure} of the champion by night")
    axes.set_ylim(bottom=0.0)
    return figure


def gain_by_labels(points: Sequence[tuple[float, Interval]], measure: str = "WER") -> Figure:
    """Return a figure of each version's gain per 100 labels over its base, in points of the error rate.

    Args:
        points: (labels, gain per 100 labels with its interval) of each version.
        measure: name of the error rate.
    """
    figure, axes = new_figure(6.4, 4.2)
    ordered = sorted(points, key=lambda point: point[0])
    at = [labels for labels, _ in ordered]
    values = np.array([100 * gain.value for _, gain in ordered])
    below = np.array([100 * (gain.value - gain.low) for _, gain in ordered])
    above = np.array([100 * (gain.high - gain.value) for _, gain in ordered])
    if ordered:
        axes.errorbar(at, values, yerr=np.maximum(0.0, [below, above]), fmt="o", color=COLOURS[0], capsize=3)
    axes.axhline(0.0, color="#777777", lw=1, ls="--")
    axes.set(xlabel="labels", ylabel=f"points of {measure} per 100 labels", title="What 100 labels brought")
    axes.set_xlim(left=0.0)
    return figure


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Return an empty figure of the given size [inch] and its axes, on the Agg canvas, which needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from training.tracking.plain_figure import PlainFigure

    figure = PlainFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def name_ticks(axis: Axis, names: Sequence[str], **style: Any) -> None:
    """Put a tick with each name at 0, 1, ... of an axis."""
    axis.set_ticks(range(len(names)), [printable(name) for name in names], **style)


def named_legend(owner: Axes | Figure, artists: Sequence[tuple[str, Artist]], **style: Any) -> None:
    """Draw a legend of the artists with their names; matplotlib itself leaves out names that begin with `_`."""
    if not artists:
        return
    legend = owner.legend([artist for _, artist in artists], [""] * len(artists), **style)
    for text, (name, _) in zip(legend.get_texts(), artists, strict=True):
        text.set_text(name)
