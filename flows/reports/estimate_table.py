"""An estimate of the traffic in the terminal: what the audit rows are, the rates, and the rates by slice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from corpus.records.evaluation import Interval
from flows.models.traffic_estimate import FIGURES, AuditCounts, TrafficEstimate
from flows.runtime import console

NAMES: Final = {
    "wer": "WER",
    "intent_error": "intent error",
    "end_to_end_success": "end-to-end success",
    "accidental": "accidental activations",
    "nonresponse": "non-response",
}
"""Names of the figures in tables."""

FAR: Final = 10.0
"""Bound from which on an interval has no upper end in a table: a rate of 1000 % is known of nothing."""


def show_estimate(report: TrafficEstimate) -> None:
    """Print the estimate; one line says where there are too few rows."""
    print(frame_line(report))
    print(counts_line(report.audit))
    if report.too_few is not None:
        print(report.too_few)
        return
    versions = " and ".join(f"{kind}/{version}" for kind, version in report.versions.items())
    rows = [
        (NAMES[name], rate_text(rate), "-" if rate is None else rate.n, "-" if rate is None else rate.speakers)
        for name, rate in report.rates.items()
    ]
    console.show_table(
        f"traffic with {versions}, 95 % intervals by speaker", ("", "estimate", "rows", "speakers"), rows
    )
    if report.slices:
        console.show_table(
            "by slice",
            ("slice", "rows, speakers", *(NAMES[name] for name in FIGURES)),
            [
                (each.slice, f"{each.rows}, {each.speakers}{' thin' if each.thin else ''}", *_texts(each.rates))
                for each in report.slices
            ],
        )
        if any(each.thin for each in report.slices):
            print("thin: too few labelled rows or speakers to conclude from")


def frame_line(report: TrafficEstimate) -> str:
    """Return of which traffic the rates are, in one line."""
    if report.nights == 1:
        when = f"the night {report.first}"
    else:
        when = f"{report.nights} nights from {report.first} to {report.last}"
    return (
        f"{when}: {report.arrivals} arrivals were scored; audit rows with a result represent "
        f"{console.percent(report.represented)} of them"
    )


def counts_line(audit: AuditCounts) -> str:
    """Return what became of the audit rows, in one line."""
    return (
        f"audit rows: {audit.drawn} drawn, {audit.answered} answered ({audit.labelled} labelled, "
        f"{audit.accidental} accidental, {audit.unlabelled} unlabelled), {audit.waiting} waiting, "
        f"{audit.closed} closed since"
    )


def rate_text(rate: Interval | None) -> str:
    """Return `12.3 % [10.1, 14.6]`, `-` where there is no rate, and `[10.1, no bound]` where it could be anything."""
    if rate is None:
        return "-"
    if rate.high >= FAR:
        return f"{console.percent(rate.value)} [{100 * rate.low:.1f}, no bound]"
    return console.percent(rate.value, rate.low, rate.high)


def _texts(rates: Mapping[str, Interval | None]) -> list[str]:
    """Return the rates for a table by slice, each interval below its rate, so that all fit side by side."""
    return [rate_text(rates[name]).replace(" [", "\n[") for name in FIGURES]
