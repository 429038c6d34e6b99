"""The traffic on a night's page: the rates that audit rows estimate for this night and for all so far, as stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.evaluation import Interval
from corpus.tables import models as store
from flows.models.audit_rows import AuditRows, audit_rows
from flows.models.registry import KINDS
from flows.models.traffic_estimate import FIGURES, TrafficEstimate
from flows.models.traffic_rates import rates_of_traffic, stored_reports
from flows.reports.estimate_table import NAMES, frame_line, rest_line
from flows.reports.page_table import Table, table
from flows.runtime.results import Result
from flows.runtime.settings import NightSettings
from training.evaluation.interval_text import rate_text

OUTCOMES: Final = {
    "drawn": "drawn",
    "labelled": "labelled",
    "accidental": "accidental activations",
    "unlabelled": "nobody could label them",
    "waiting": "wait for an answer",
    "closed": "closed since",
}
"""What became of audit rows, in words."""

NO_BREAK: Final = "\u00a0"


@dataclass(frozen=True, slots=True)
class NightTraffic(Result):
    """The rates of the traffic, estimated from the audit rows with stored reports of the present champions.

    Attributes:
        this: of the night; None where it has no round.
        so_far: of all nights up to it; None where none has a round.
        unjudged: kinds whose champion has no stored report on a labelled audit row, so that its rates are missing.
    """

    this: TrafficEstimate | None
    so_far: TrafficEstimate | None
    unjudged: tuple[Kind, ...]


def night_traffic(corpus: Corpus, when: NightSettings, night: str) -> NightTraffic:
    """Return the rates of the traffic of a night and of all nights up to it; no model is loaded or run."""
    this, so_far = (_audit_rows(corpus, when, first, night) for first in (night, None))
    if so_far is None:
        return NightTraffic(None, None, ())
    with corpus.read() as conn:
        champions = _champions(conn)
        reports = stored_reports(conn, so_far, champions)
    alone = None if this is None else rates_of_traffic(this, reports, champions)
    together = rates_of_traffic(so_far, reports, champions)
    return NightTraffic(alone, together, tuple(kind for kind in KINDS if kind not in reports))


def _champions(conn: sa.Connection) -> dict[Kind, str]:
    found = {kind: store.alias(conn, kind, "champion") for kind in KINDS}
    return {kind: version for kind, version in found.items() if version is not None}


def _audit_rows(corpus: Corpus, when: NightSettings, first: str | None, last: str) -> AuditRows | None:
    try:
        return audit_rows(corpus, when, first, last)
    except UsageError:  # no such night has a round
        return None


def traffic_finding(traffic: NightTraffic) -> str:
    """Return in a few sentences of which traffic the rates are, or why there are none."""
    so_far = traffic.so_far
    if so_far is None:
        return "Nothing can be estimated: no night up to this one has a round, so no audit row was drawn."
    if so_far.too_few is not None:
        return f"Nothing can be estimated: {so_far.too_few}."
    versions = " and ".join(f"{kind}/{version}" for kind, version in so_far.versions.items())
    frame = f"with {versions}, as they are now, over {frame_line(so_far)}" if versions else frame_line(so_far)
    lines = [frame, rest_line(so_far)]
    found = " ".join(f"{line[:1].upper()}{line[1:]}.".replace(" %", NO_BREAK + "%") for line in filter(None, lines))
    missing = [f"{kind}/{so_far.versions[kind]}" for kind in traffic.unjudged if kind in so_far.versions]
    if missing:
        found += f" No stored report judges {' and '.join(missing)} on audit rows; earmark estimate computes one."
    return found


def traffic_table(traffic: NightTraffic) -> Table:
    """Return the rates of this night and of all so far, each with its rows and speakers, non-response last."""
    this, so_far = traffic.this, traffic.so_far
    if so_far is None or so_far.too_few is not None:
        return table((), ())
    nights = (
        {"this night": so_far} if so_far.nights == 1 else {f"all {so_far.nights} nights": so_far, "this night": this}
    )
    rows = [(NAMES[name], *(text for each in nights.values() for text in _texts(each, name))) for name in FIGURES]
    headers = ("rate of the traffic", *(header for each in nights for header in (f"{each} [95 %]", "rows of speakers")))
    return table(headers, rows)


def audit_table(traffic: NightTraffic) -> Table:
    """Return what became of the audit rows of this night and of all so far."""
    if traffic.so_far is None:
        return table((), ())
    together, alone = traffic.so_far.audit, None if traffic.this is None else traffic.this.audit
    rows = [
        (words, str(getattr(together, name)), "-" if alone is None else str(getattr(alone, name)))
        for name, words in OUTCOMES.items()
    ]
    return table(("audit rows", "all nights so far", "this night"), rows, numbers=(1, 2))


def _texts(estimate: TrafficEstimate | None, name: str) -> tuple[str, str]:
    """Return a rate with its interval, `63.4 % [55.8, 72.2]`, and its rows and speakers, `132 of 51`."""
    rate = _of(estimate, name)
    shown = rate_text(rate).replace(" %", NO_BREAK + "%").replace(", ", "," + NO_BREAK)
    return shown, "-" if rate is None else f"{rate.n}{NO_BREAK}of{NO_BREAK}{rate.speakers}"


def _of(estimate: TrafficEstimate | None, name: str) -> Interval | None:
    rates: Mapping[str, Interval | None] = {} if estimate is None else estimate.rates
    return rates.get(name)
