"""A comparison of two versions as tables in the terminal; the page shows the same texts in its cells."""

from __future__ import annotations

from typing import Final

from corpus.records.base import Kind
from corpus.records.evaluation import Interval
from flows.reports.compare import NAMES, Comparison, FigureRow, SliceComparison
from flows.runtime import console
from training.evaluation.interval_text import TOO_FEW_NOTE, points_text, rate_text, says_enough, slice_text
from training.evaluation.metrics import THIN_NOTE
from training.evaluation.rates import CALIBRATION

CALIBRATION_NOTE: Final[dict[Kind, str]] = {
    "asr": "calibration error: mean gap between the confidence in a clip and its share of right words",
    "intent": "calibration error: mean gap between the probability of an intent and how often it is right",
}
"""What is said once below the figures where a calibration error is among them."""


def figure_text(rate: Interval | None) -> str:
    """Return `12.3 % [10.1, 14.6]`, or that the figure can't be judged where it has no meaning."""
    return "can't be judged" if rate is None else rate_text(rate)


def speed_text(rate: Interval | None) -> str:
    """Return `0.021 [0.018, 0.025]`, or `-` where nothing was measured."""
    return "-" if rate is None else f"{rate.value:.3g} [{rate.low:.3g}, {rate.high:.3g}]"


def size_text(row: SliceComparison) -> str:
    """Return the numbers of rows and speakers of a slice, with `thin` where they are few."""
    return f"{row.rows}, {row.speakers}" + (" thin" if row.thin else "")


def versions_of(report: Comparison) -> tuple[str, str]:
    """Return the names of the two versions, such as `asr/2`."""
    return f"{report.kind}/{report.first}", f"{report.kind}/{report.second}"


def points_head(names: tuple[str, str]) -> str:
    """Return the name of a column of differences, which says what is subtracted from what."""
    return f"{names[1]} - {names[0]}, points"


def side(difference: Interval | None, sign: int) -> str:
    """Return `better` or `worse`, or "" where the interval contains 0 or says nothing.

    Args:
        difference: second - first.
        sign: 1 where more is better, -1 where less is.
    """
    if difference is None or difference.low <= 0 <= difference.high or not says_enough(difference):
        return ""
    return "better" if difference.value * sign > 0 else "worse"


def figure_side(row: FigureRow) -> str:
    """Return whether the second version is better or worse by a figure."""
    return side(row.difference, -1 if row.better == "less" else 1)


def slice_side(row: SliceComparison) -> str:
    """Return whether the second version is better or worse in a slice; a thin one says neither."""
    return "" if row.thin else side(row.difference, -1)


def figure_change(row: FigureRow) -> str:
    """Return the difference of a figure, and whether that is better or worse."""
    return f"{points_text(row.difference)} {figure_side(row)}".rstrip()


def slice_change(row: SliceComparison) -> str:
    """Return the difference in a slice, and whether that is better or worse."""
    return f"{points_text(row.difference)} {slice_side(row)}".rstrip()


def notes_of(report: Comparison) -> list[str]:
    """Return what the words in the table of slices mean, of those that it has."""
    few = not all(says_enough(row.difference) for row in report.slices)
    return [*([THIN_NOTE] if any(row.thin for row in report.slices) else []), *([TOO_FEW_NOTE] if few else [])]


def figure_notes(report: Comparison) -> list[str]:
    """Return what the words in the table of figures mean, of those that it has."""
    calibration = any(row.figure in CALIBRATION for row in report.figures)
    return [f"{CALIBRATION_NOTE[report.kind]}, in points; less is better"] if calibration else []


def cost_rows(report: Comparison) -> list[tuple[str, ...]]:
    """Return the cost of both versions, one row a figure: its name, the first version's, the second's."""
    first, second = report.cost
    rows: list[tuple[str, ...]] = [
        ("labels learned from", console.cell(first.labels), console.cell(second.labels)),
        ("minutes on its labels", console.cell(first.minutes_on_labels), console.cell(second.minutes_on_labels)),
        ("training [s]", console.cell(first.training_seconds), console.cell(second.training_seconds)),
    ]
    speeds = [name for name in NAMES if name in first.speed or name in second.speed]
    rows += [(NAMES[n], speed_text(first.speed.get(n)), speed_text(second.speed.get(n))) for n in speeds]
    return rows


def show_comparison(report: Comparison) -> None:
    """Print the comparison: figures, slices and cost, with what their words mean."""
    names, difference = versions_of(report), report.difference
    console.show_line(
        f"{difference.n} rows of {difference.speakers} speakers, evaluation set {report.eval_set_id[:12]}, "
        f"{report.forms}; intervals are 95 %, by speaker"
    )
    figures = [
        (row.name, figure_text(row.first), figure_text(row.second), figure_change(row)) for row in report.figures
    ]
    console.show_table("", ("", *names, points_head(names)), figures)
    for line in figure_notes(report):
        console.show_line(line)
    slices = [
        (row.slice, size_text(row), slice_text(row.first), slice_text(row.second), slice_change(row))
        for row in report.slices
    ]
    console.show_table(f"{report.measure} by slice", ("slice", "rows, speakers", *names, points_head(names)), slices)
    for line in notes_of(report):
        console.show_line(line)
    console.show_table("cost", ("", *names), cost_rows(report))
    console.show_line(f"{report.better} utterances are better in {names[1]}, {report.worse} are worse")
    if report.page is not None:
        console.show_line(f"page: {report.page}")
    if report.run is not None:
        console.show_line(f"MLflow run: {report.run}")
