"""Figures that compare two versions: slices with their intervals, and reliability diagrams."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from corpus.records.base import Floats
from training.evaluation.interval_text import says_enough
from training.evaluation.metrics import SliceRow
from training.tracking.figures import COLOURS, MOST_SLICES, name_ticks, named_legend, new_figure

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

FIRST, SECOND = "#777777", COLOURS[0]


def slices_side_by_side(
    first: Sequence[SliceRow], second: Sequence[SliceRow], names: tuple[str, str], measure: str
) -> Figure:
    """Return a figure of the rates of both versions by slice with intervals; thin slices are hollow and pale.

    Slices of too few rows or speakers for an interval are left out and, of more than `MOST_SLICES` others, those
    with fewest rows; the title reports their number.

    Args:
        first: rates of one version by slice.
        second: rates of the other version, in the same slices in the same order.
        names: names of the versions.
        measure: name of the rate.
    """
    enough = [k for k, row in enumerate(first) if says_enough(row.rate)]
    largest = sorted(enough, key=lambda k: -first[k].rate.n)[:MOST_SLICES]
    kept = sorted(largest, key=lambda k: (first[k].dimension, first[k].value), reverse=True)
    figure, axes = new_figure(8.0, 1.8 + 0.34 * max(1, len(kept)))
    for place, k in enumerate(kept):
        for row, colour, shift in ((first[k], FIRST, 0.16), (second[k], SECOND, -0.16)):
            at, pale = place + shift, 0.45 if row.thin else 1.0
            axes.plot([row.rate.low, row.rate.high], [at, at], color=colour, lw=2, alpha=pale)
            face = "white" if row.thin else colour
            axes.plot(row.rate.value, at, "o", color=colour, markerfacecolor=face, markersize=5, alpha=pale)
    lines = [line for colour in (FIRST, SECOND) for line in axes.plot([], [], "o-", color=colour)]
    labels = [f"{first[k].dimension}={first[k].value} ({first[k].rate.n})" for k in kept]
    name_ticks(axes.yaxis, labels, fontsize=8)
    axes.set_ylim(-0.7, max(1, len(kept)) - 0.3)
    reach = max([0.1, *(rows[k].rate.value for rows in (first, second) for k in kept)])
    axes.set_xlim(0.0, min(1.25 * reach, max(1.02, 1.05 * reach)))  # thin slices reach far out
    left_out = f", {len(first) - len(kept)} of few rows left out" if len(first) > len(kept) else ""
    axes.set(xlabel=measure, title=f"{measure} by slice (rows), thin ones hollow{left_out}")
    named_legend(figure, list(zip(names, lines, strict=True)), frameon=False, loc="outside upper right", ncols=2)
    return figure


def reliability_of_both(
    confidence: Sequence[Floats], correct: Sequence[npt.NDArray[np.float64]], names: Sequence[str], bins: int = 10
) -> Figure:
    """Return the reliability diagram of the versions: correctness by confidence; larger points stand for more rows.

    Args:
        confidence: by version, (N,) in [0, 1].
        correct: by version, (N,) in [0, 1], such as `training.evaluation.rates.correctness`.
        names: names of the versions.
        bins: number of bins of equal width.
    """
    figure, axes = new_figure(5.2, 4.6)
    axes.plot([0, 1], [0, 1], "--", color="#BBBBBB", lw=1)
    named: list[tuple[str, Artist]] = []
    for one_confidence, one_correct, name, colour in zip(confidence, correct, names, (FIRST, SECOND), strict=False):
        clipped = np.clip(np.asarray(one_confidence, dtype=np.float64), 0.0, 1.0)
        bin_of = np.minimum((clipped * bins).astype(np.intp), bins - 1)
        counts = np.bincount(bin_of, minlength=bins)
        filled = counts > 0
        x = np.bincount(bin_of, weights=clipped, minlength=bins)[filled] / counts[filled]
        y = np.bincount(bin_of, weights=one_correct, minlength=bins)[filled] / counts[filled]
        axes.plot(x, y, "-", color=colour, lw=1)
        sizes = 8 + 160 * counts[filled] / max(1, counts.sum())
        named.append((name, axes.scatter(x, y, s=sizes, color=colour, zorder=3)))
    axes.set(xlabel="confidence", ylabel="right", xlim=(0, 1), ylim=(0, 1.02), title="Reliability")
    named_legend(axes, named, frameon=False, loc="upper left")
    return figure


def embedded(figure: Figure) -> str:
    """Return the figure as a `data:` URL, so that a page needs no other file."""
    made = io.BytesIO()
    figure.savefig(made, format="png", dpi=110)
    return "data:image/png;base64," + base64.b64encode(made.getvalue()).decode("ascii")
