"""A comparison of two versions as tables in the terminal; the page shows the same texts in its cells."""

from __future__ import annotations

from corpus.records.evaluation import Interval
from flows.reports.compare import NAMES, Comparison, SliceComparison
from flows.runtime import console


def rate_text(rate: Interval | None) -> str:
    """Return `12.3 % [10.1, 14.6]`, or `-` where there is no rate."""
    return "-" if rate is None else console.percent(rate.value, rate.low, rate.high)


def figure_text(rate: Interval | None) -> str:
    """Return `12.3 % [10.1, 14.6]`, or that the figure can't be judged where it has no meaning."""
    return "can't be judged" if rate is None else rate_text(rate)


def points_text(difference: Interval | None) -> str:
    """Return a difference of two rates in points, `-9.6 [-12.3, -7.1]`, or `-` where there is none."""
    if difference is None:
        return "-"
    value, low, high = (100 * each for each in (difference.value, difference.low, difference.high))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def speed_text(rate: Interval | None) -> str:
    """Return `0.021 [0.018, 0.025]`, or `-` where nothing was measured."""
    return "-" if rate is None else f"{rate.value:.3g} [{rate.low:.3g}, {rate.high:.3g}]"


def size_text(row: SliceComparison) -> str:
    """Return the numbers of rows and speakers of a slice, with `thin` where they are few."""
    return f"{row.rows}, {row.speakers}" + (" thin" if row.thin else "")


def versions_of(report: Comparison) -> tuple[str, str]:
    """Return the names of the two versions, such as `asr 2`."""
    return f"{report.kind} {report.first}", f"{report.kind} {report.second}"


def cost_rows(report: Comparison) -> list[tuple[str, ...]]:
    """Return the cost of both versions, one row a figure: its name, the first version's, the second's."""
    first, second = report.cost
    rows: list[tuple[str, ...]] = [
        ("labels learned from", console.cell(first.labels), console.cell(second.labels)),
        ("annotator minutes", console.cell(first.annotator_minutes), console.cell(second.annotator_minutes)),
        ("training [s]", console.cell(first.training_seconds), console.cell(second.training_seconds)),
    ]
    speeds = [name for name in NAMES if name in first.speed or name in second.speed]
    rows += [(NAMES[n], speed_text(first.speed.get(n)), speed_text(second.speed.get(n))) for n in speeds]
    return rows


def show_comparison(report: Comparison) -> None:
    """Print the comparison: figures, slices and cost."""
    names, difference = versions_of(report), report.difference
    print(
        f"{difference.n} audit rows of {difference.speakers} speakers, set {report.eval_set_id[:12]}, "
        f"{report.forms}, 95 % intervals by speaker"
    )
    figures = [
        (row.name, figure_text(row.first), figure_text(row.second), points_text(row.difference))
        for row in report.figures
    ]
    console.show_table("", ("", *names, "difference, points"), figures)
    slices = [
        (row.slice, size_text(row), rate_text(row.first), rate_text(row.second), points_text(row.difference))
        for row in report.slices
    ]
    console.show_table(f"{report.measure} by slice", ("slice", "rows, speakers", *names, "difference, points"), slices)
    console.show_table("cost", ("", *names), cost_rows(report))
    print(f"{report.better} utterances are better in {names[1]}, {report.worse} are worse")
    if report.page is not None:
        print(f"page: {report.page}")
    if report.run is not None:
        print(f"MLflow run: {report.run}")
