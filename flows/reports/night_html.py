"""The report of a night as one HTML file, which includes its style and charts and needs no other."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from corpus.handle import Corpus
from flows.reports import night_sections as sections
from flows.reports import night_traffic
from flows.reports.curve_sketch import sketch
from flows.reports.night_report import NightReport, night_report
from flows.reports.page_templates import page_template
from flows.reports.sample_summary import no_requests
from flows.runtime import console
from flows.runtime.output_files import write_output
from flows.runtime.settings_parts import HasHome, HasNight, HasPromotion, HasSampling
from training.evaluation.gate import PromotionSettings


class SettingsOfNight(HasHome, HasNight, HasPromotion, HasSampling, Protocol):
    """The settings that a night's report reads: when nights close, and under which caps they are."""


def night_file(home: Path, night: str) -> Path:
    """Return where the page of a night is in a home."""
    return home / "report" / f"night-{night}.html"


def write_night_page(
    corpus: Corpus, settings: SettingsOfNight, night: str | None, out: Path | None = None
) -> tuple[NightReport, Path]:
    """Write the page of a night; return its report and the file.

    Args:
        corpus: the handle.
        settings: of the home.
        night: its name; the newest one where None.
        out: the file; in the home where None.

    Raises:
        UsageError: there is no such night, or the file can't be written.
    """
    report = night_report(corpus, settings.night, settings.promotion, settings.sampling, night)
    file = out or night_file(settings.home, report.night)
    place = write_output(file, night_html(report, settings.promotion).encode(), "--out", settings.home)
    return report, place


def night_html(report: NightReport, gate: PromotionSettings) -> str:
    """Return the page as one HTML document that needs no other file."""
    return page_template("night.html").render(
        report=report,
        tiles=sections.tiles(report),
        funnel_chart=sections.funnel_chart(report),
        funnel_table=sections.funnel_table(report),
        kinds=[sections.kind_section(report, kind, gate) for kind in report.kinds],
        traffic_finding=night_traffic.traffic_finding(report.traffic),
        traffic_table=night_traffic.traffic_table(report.traffic),
        audit_table=night_traffic.audit_table(report.traffic),
        choice_finding=sections.choice_finding(report),
        no_requests="" if report.requests is None else no_requests(report.requests),
        choice_chart=sections.choice_chart(report),
        choice_table=sections.choice_table(report),
        minutes_chart=sections.minutes_chart(report),
        minutes_table=sections.minutes_table(report),
        slices_note=sections.slices_note(),
        decisions_table=sections.decisions_table(report),
        caps_note=sections.caps_note(report),
        caps_table=sections.caps_table(report),
    )


def show_night(report: NightReport, file: Path) -> None:
    """Print both curves as sketches with what they show in one sentence, and where the page is."""
    for kind in report.kinds:
        where = "anchor rows" if kind.anchor else "growing set"
        rates = [(row.champion_rate, row.base_rate, row.challenger_rate) for row in kind.shown]
        champion, base, challenger = zip(*rates, strict=True) if rates else ((), (), ())
        curves = {"C champion": champion, "b base": base, "x challenger": challenger}
        values = {name: [None if rate is None else rate.value for rate in found] for name, found in curves.items()}
        console.show_line("\n".join(sketch(f"{kind.measure}, {where}", [row.night for row in kind.shown], values)))
        console.show_line(f"{sections.finding(kind)}\n")
    console.show_line(f"page  {file}")
