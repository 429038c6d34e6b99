"""An estimate of the traffic in the terminal: what the audit rows are, the rates, and the rates by slice."""

from __future__ import annotations

from typing import Final

from flows.models.traffic_estimate import FIGURES, AuditCounts, SliceEstimate, TrafficEstimate
from flows.runtime import console
from training.evaluation.interval_text import LEAST_SPEAKERS, TOO_FEW, TOO_FEW_NOTE, rate_text, says_enough, slice_text
from training.evaluation.metrics import THIN_NOTE

NAMES: Final = {
    "wer": "WER",
    "intent_error": "intent error",
    "end_to_end_success": "end-to-end success",
    "accidental": "accidental activations",
    "nonresponse": "non-response",
}
"""Names of the figures in tables."""

REST: Final = {
    "labelled_before": "came with labels, so that no round draws them",
    "not_allowed": "are of customers who allow no annotation",
    "waiting": "are those of audit rows that wait for an answer",
    "closed": "are those of audit rows that are closed since",
    "unlabelled": "are those of audit rows that nobody could label",
    "draw": "are the chance of the draw, whose rows stand for a little less than all",
}
"""Words of the parts that the rates say nothing of."""


def show_estimate(report: TrafficEstimate) -> None:
    """Print the estimate; one line says where there are too few rows."""
    for line in filter(None, (frame_line(report), rest_line(report), counts_line(report.audit), report.too_few)):
        console.show_line(line)
    if report.too_few is not None:
        return
    versions = " and ".join(f"{kind}/{version}" for kind, version in report.versions.items())
    rows = [
        (NAMES[name], rate_text(rate), "-" if rate is None else rate.n, "-" if rate is None else rate.speakers)
        for name, rate in report.rates.items()
    ]
    console.show_table(f"traffic with {versions}", ("", "estimate [95 % interval]", "rows", "speakers"), rows)
    if report.slices:
        console.show_table(
            "by slice, with 95 % intervals",
            ("slice", "rows, speakers", *(NAMES[name] for name in FIGURES)),
            [
                (each.slice, f"{each.rows}, {each.speakers}{' thin' if each.thin else ''}", *_texts(each))
                for each in report.slices
            ],
        )
        if any(each.thin for each in report.slices):
            console.show_line(THIN_NOTE)
    every = [*report.rates.values(), *(rate for each in report.slices for rate in each.rates.values())]
    if not all(says_enough(rate) for rate in every if rate is not None):
        console.show_line(TOO_FEW_NOTE)


def frame_line(report: TrafficEstimate) -> str:
    """Return of which traffic the rates are, in one line."""
    when = f"{report.nights} nights from {report.first} to {report.last}"
    if report.nights == 1:
        when = f"the night {report.first}"
    return (
        f"{when}: {report.arrivals:,} arrivals were scored; audit rows with a result stand for "
        f"{console.percent(report.represented)} of them, each for 1 / its probability of being drawn"
    )


def rest_line(report: TrafficEstimate) -> str:
    """Return of which traffic the rates are not, each part with its share; "" where that is next to nothing."""
    from sampling.traffic_rates import tenths_of_percent

    parts = tenths_of_percent(report.rest)
    if not parts:
        return ""
    named = "; ".join(f"{console.percent(parts[name])} {REST[name]}" for name in REST if name in parts)
    return f"the rates say nothing of the other {console.percent(sum(parts.values()))}: {named}"


def counts_line(audit: AuditCounts) -> str:
    """Return what became of the audit rows, in one line."""
    return (
        f"audit rows: {audit.drawn} drawn, {audit.answered} answered ({audit.labelled} labelled, "
        f"{audit.accidental} accidental, {audit.unlabelled} unlabelled), {audit.waiting} waiting, "
        f"{audit.closed} closed since"
    )


def _texts(each: SliceEstimate) -> list[str]:
    """Return the rates of a slice for a table, each interval below its rate, so that all fit side by side."""
    missing = TOO_FEW if each.speakers < LEAST_SPEAKERS else "-"
    found = [each.rates[name] for name in FIGURES]
    return [missing if rate is None else slice_text(rate).replace(" [", "\n[") for rate in found]
