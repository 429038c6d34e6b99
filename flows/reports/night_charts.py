"""The charts of a night's page as SVG files of their own, for documents and slides."""

from __future__ import annotations

from pathlib import Path

from flows.reports import night_sections as sections
from flows.reports.night_report import NightReport
from flows.reports.page_templates import page_template
from flows.reports.svg_chart import Chart
from flows.runtime.output_files import write_output
from training.evaluation.gate import PromotionSettings


def write_charts(report: NightReport, gate: PromotionSettings, folder: Path, home: Path) -> tuple[Path, ...]:
    """Write each chart of the page that has something to show into a folder, such as `asr-nights.svg`.

    Raises:
        UsageError: the folder can't be written to.
    """
    written = []
    for name, (title, chart) in charts_of(report, gate).items():
        written.append(write_output(folder / f"{name}.svg", chart_svg(title, chart).encode(), "--charts", home))
    return tuple(written)


def charts_of(report: NightReport, gate: PromotionSettings) -> dict[str, tuple[str, Chart]]:
    """Return title and chart by name; those without anything to show are left out."""
    night = f"night {report.night}"
    found: dict[str, tuple[str, Chart | None]] = {
        "funnel": (f"{night}: from received to learned", sections.funnel_chart(report))
    }
    for kind in report.kinds:
        of = sections.kind_section(report, kind, gate)
        found[f"{kind.kind}-anchor"] = (f"{of.measure} on the same audit rows, 95 % intervals", of.anchor_chart)
        found[f"{kind.kind}-nights"] = (f"{of.measure} on all audit rows so far, 95 % intervals", of.growing_chart)
        found[f"{kind.kind}-slices"] = (f"{night}: {of.measure} by slice, 95 % intervals", of.slices_chart)
    found["choice"] = (f"{night}: what was chosen", sections.choice_chart(report))
    found["minutes"] = ("annotator minutes and errors saved", sections.minutes_chart(report))
    return {name: (title, chart) for name, (title, chart) in found.items() if chart is not None}


def chart_svg(title: str, chart: Chart) -> str:
    """Return a chart as an SVG document with its title, legend and style."""
    return page_template("chart.svg").render(title=title, of=chart)
