"""Report one night from the records alone: funnel, models, traffic, choice, minutes, slices, decisions, caps.

The report has ids of versions, counts and rates; no content, and no id of an utterance or a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

import sqlalchemy as sa

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind, digest
from corpus.records.evaluation import EvaluationReport, Interval
from corpus.tables import models as store
from corpus.tables import night_funnel, rounds, utterances
from corpus.tables.rounds import RoundRow
from flows.models.judged_nights import (
    GateDecision,
    JudgedNights,
    NightReports,
    difference,
    is_paired,
    judged_nights,
    rates,
    slices_of,
)
from flows.models.registry import KINDS
from flows.nights.night import Night, night_named, night_of
from flows.reports.night_funnel import ChoiceRow, Funnel, MinutesRow, choice, funnel, minutes_by_night, round_of
from flows.reports.night_traffic import NightTraffic, night_traffic
from flows.rounds.request_evidence import stored_figures
from flows.rounds.sample_evidence import RequestFigures
from flows.runtime.console import percent
from flows.runtime.results import Result
from flows.runtime.settings import NightSettings
from sampling.budget import SamplingSettings
from training.evaluation.gate import PromotionSettings

CapsFrom = Literal["round", "now", "unknown"]

MEASURES: Final[dict[Kind, str]] = {"asr": "WER", "intent": "intent accuracy"}
"""What is reported of each kind of model; less WER is better, and more accuracy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NightRates(Result):
    """The rates of one night on one set of rows, each with its 95 % interval by speaker.

    Attributes:
        night: its name.
        rows, speakers: of the set; 0 where nothing was judged.
        champion: version that was champion after the night.
        challenger: version that the gate decided on; None where it decided on none.
        decision: what it decided.
        champion_rate, base_rate, challenger_rate: None where the version was not judged on these rows.
        better_by: how much better the champion is than the base, paired, so that more is better.
        champion_numbers: the champion's WER where numbers in digits and in words agree; None where not counted.
    """

    night: str
    rows: int
    speakers: int
    champion: str
    challenger: str | None
    decision: str | None
    champion_rate: Interval | None
    base_rate: Interval | None
    challenger_rate: Interval | None
    better_by: Interval | None
    champion_numbers: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRates(Result):
    """The rates of base and champion in one slice of the newest judged rows; `thin` where these are few."""

    slice: str
    rows: int
    speakers: int
    thin: bool
    base: Interval
    champion: Interval
    better_by: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class KindReport(Result):
    """One kind of model over the nights.

    Attributes:
        kind: of the models.
        measure: name of the rate.
        base: version of the base.
        anchor: by night, on the rows on which the gate decided for the first time; empty before.
        growing: by night, on all rows that were labelled when the night was judged.
        anchor_night: night of the newest anchor row; "" before there are any.
        anchor_note: which anchor rows have left the set, and why; "" where none has.
        slices: of the newest judged rows.
        slices_night: the night of these; "" where nothing is judged.
        looks: how many challengers the gate has judged, up to today.
    """

    kind: Kind
    measure: str
    base: str
    anchor: tuple[NightRates, ...]
    growing: tuple[NightRates, ...]
    anchor_night: str
    anchor_note: str
    slices: tuple[SliceRates, ...]
    slices_night: str
    looks: int

    @property
    def shown(self) -> tuple[NightRates, ...]:
        """Return the rates that nights can be compared by: on the anchor rows, else on the growing set."""
        return self.anchor or self.growing


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow(Result):
    """A decision of the gate or of a person; `look` is None where it spent none, `at` where it is not stored.

    `better_by` is how much better the challenger was than the champion, with the interval of coverage `level` by which
    the gate decided, or at 95 % where it was indicative; both are None where they are not stored.
    """

    night: str
    kind: Kind
    version: str
    against: str
    decision: str
    reasons: tuple[str, ...]
    rows: int
    speakers: int
    look: int | None
    at: datetime | None
    better_by: Interval | None
    level: float | None


@dataclass(frozen=True, slots=True)
class CapRow(Result):
    """One cap of the night: its setting, the value, and what that means."""

    setting: str
    value: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NightReport(Result):
    """The report of one night.

    Attributes:
        night: its name.
        start, end: of its window (UTC).
        written_at: when the report was made.
        funnel: from received to learned.
        choice: what was chosen and why.
        pool: scored utterances that the round could choose from; None where it was not chosen yet.
        requests: how many of these were believed to be no requests; None where it was not chosen yet.
        minutes: answers and annotator minutes by night.
        kinds: the models.
        decisions: of the gate, and of people who promoted a version, newest first.
        traffic: rates of the traffic as its audit rows estimate them.
        caps: budget and rules.
        caps_from: `round` where the budget is the one that the round was chosen with, `now` where it is the one that is
            set now, as none was chosen yet; `unknown` where the round is of a version of earmark that did not store it.
    """

    night: str
    start: datetime
    end: datetime
    written_at: datetime
    funnel: Funnel
    choice: tuple[ChoiceRow, ...]
    pool: int | None
    minutes: tuple[MinutesRow, ...]
    kinds: tuple[KindReport, ...]
    decisions: tuple[DecisionRow, ...]
    traffic: NightTraffic
    caps: tuple[CapRow, ...]
    caps_from: CapsFrom
    requests: RequestFigures | None = None


def night_report(
    corpus: Corpus, when: NightSettings, gate: PromotionSettings, sampling_settings: SamplingSettings, name: str | None
) -> NightReport:
    """Return the report of a night, from the records alone.

    Args:
        corpus: the handle.
        when: when nights close.
        gate: how the gate decides.
        sampling_settings: caps and budget of a round that is chosen now.
        name: of the night; the newest one with a round where None, else the newest with arrivals.

    Raises:
        UsageError: the name is no date, or nothing of that night is in the home.
    """
    with corpus.read() as conn:
        night = _night(conn, when, name)
        chosen = round_of(conn, night.name)
        judged = [judged_nights(corpus, conn, kind, night.name) for kind in KINDS]
        bound, caps_from = _bound_by(chosen, sampling_settings)
        return NightReport(
            night=night.name,
            start=night.start,
            end=night.end,
            written_at=corpus.clock().replace(microsecond=0),
            funnel=funnel(conn, when, night),
            choice=choice(conn, night.name),
            pool=None if chosen is None else chosen.pool_size,
            minutes=minutes_by_night(conn, night.name),
            kinds=tuple(_kind_report(conn, each) for each in judged),
            decisions=tuple(_newest_first(_decisions(judged))),
            traffic=night_traffic(corpus, when, night.name),
            caps=_caps(when, bound, gate),
            caps_from=caps_from,
            requests=stored_figures(conn, night.name),
        )


def _night(conn: sa.Connection, settings: NightSettings, name: str | None) -> Night:
    """Return the night of that name, or the newest one with a round, else with arrivals.

    Raises:
        UsageError: the home has nothing of it; the message names nights that it has.
    """
    zone, hour = settings.time_zone, settings.ends_at
    known = sorted({row.night for row in rounds.rounds(conn)})
    newest = utterances.newest_arrival(conn)
    if name is None:
        if newest is None:
            raise UsageError("the home has no night yet; earmark ingest MANIFEST brings the first utterances")
        return night_named(known[-1], zone, hour) if known else night_of(newest, zone, hour)
    night = night_named(name, zone, hour)
    if night.name not in known and not night_funnel.arrived(conn, night.start, night.end):
        nights = f"nights with a round: {', '.join(known[-5:])}" if known else "no night has a round yet"
        raise UsageError(f"night {night.name}: nothing arrived and nothing was chosen; {nights}")
    return night


def _kind_report(conn: sa.Connection, judged: JudgedNights) -> KindReport:
    newest = next((each for each in reversed(judged.growing) if each.of_base is not None and each.of_champion), None)
    return KindReport(
        kind=judged.kind,
        measure=MEASURES[judged.kind],
        base=judged.base,
        anchor=tuple(_rates(judged, each) for each in judged.anchor) if judged.anchor_rows else (),
        growing=tuple(_rates(judged, each) for each in judged.growing),
        anchor_night=judged.anchor_night,
        anchor_note=judged.anchor_note,
        slices=_slices(conn, judged, newest) if newest is not None else (),
        slices_night=newest.night if newest is not None else "",
        looks=store.looks(conn, judged.kind),
    )


def _rates(judged: JudgedNights, of_night: NightReports) -> NightRates:
    reports = (of_night.of_champion, of_night.of_base, of_night.of_challenger)
    champion, base, challenger = (
        rates(each, judged.weights_of(each)) if each is not None else None for each in reports
    )
    some = champion or base or challenger
    decision = of_night.decision
    return NightRates(
        night=of_night.night,
        rows=some.n if some is not None else 0,
        speakers=some.speakers if some is not None else 0,
        champion=of_night.champion,
        challenger=None if decision is None else decision.version,
        decision=None if decision is None else decision.decision,
        champion_rate=champion,
        base_rate=base,
        challenger_rate=challenger,
        better_by=_better_by(judged, of_night),
        champion_numbers=_with_numbers_alike(judged, of_night.of_champion),
    )


def _with_numbers_alike(judged: JudgedNights, report: EvaluationReport | None) -> Interval | None:
    from training.evaluation.rates import figure

    if report is None or not report.numbers:
        return None
    return figure(report, "wer_numbers", weights=judged.weights_of(report))


def _better_by(judged: JudgedNights, of_night: NightReports) -> Interval | None:
    base, champion = of_night.of_base, of_night.of_champion
    return None if base is None or champion is None else difference(base, champion, judged.weights_of(base))


def _slices(conn: sa.Connection, judged: JudgedNights, newest: NightReports) -> tuple[SliceRates, ...]:
    from training.evaluation.intervals import complement, reversed_difference
    from training.evaluation.report_pairs import slice_pairs

    base, champion = newest.of_base, newest.of_champion
    if base is None or champion is None or not is_paired(base, champion):
        return ()
    found = []
    for pair in slice_pairs(base, champion, slices_of(conn, base), judged.weights_of(base)):
        two = (pair.first.rate, pair.second.rate)
        of_base, of_champion = two if judged.kind == "asr" else map(complement, two)
        row = SliceRates(
            slice=f"{pair.first.dimension}={pair.first.value}",
            rows=pair.first.rate.n,
            speakers=pair.first.rate.speakers,
            thin=pair.first.thin,
            base=of_base,
            champion=of_champion,
            better_by=reversed_difference(pair.difference),
        )
        found.append(row)
    return tuple(found)


def _newest_first(decisions: Sequence[DecisionRow]) -> list[DecisionRow]:
    """Return the decisions by night; within one those without a moment, which are indicative, come last."""
    first = datetime.min.replace(tzinfo=UTC)
    return sorted(decisions, key=lambda row: (row.night, row.at or first, row.look or 0), reverse=True)


def _decisions(judged: Sequence[JudgedNights]) -> list[DecisionRow]:
    return [_decision(each.kind, row) for each in judged for row in each.decisions]


def _decision(kind: Kind, row: GateDecision) -> DecisionRow:
    gone = (f"measured on {row.rows} rows, of which {row.gone} were erased or have expired since",) if row.gone else ()
    return DecisionRow(
        night=row.night,
        kind=kind,
        version=row.version,
        against=row.against,
        decision=row.decision,
        reasons=row.reasons + gone,
        rows=row.rows,
        speakers=row.speakers,
        look=row.look,
        at=None if row.at is None else row.at.replace(microsecond=0),
        better_by=row.better_by,
        level=row.level,
    )


def _bound_by(chosen: RoundRow | None, now: SamplingSettings) -> tuple[SamplingSettings, CapsFrom]:
    """Return the budget of a round, and whether that is the one that it was chosen with."""
    if chosen is None:
        return now, "now"
    if chosen.settings is None:
        return now, "round" if chosen.settings_digest == digest(now.model_dump(mode="json")) else "unknown"
    known = {name: value for name, value in chosen.settings.items() if name in SamplingSettings.model_fields}
    return SamplingSettings(**known), "round"


def _caps(when: NightSettings, sampling: SamplingSettings, gate: PromotionSettings) -> tuple[CapRow, ...]:
    """Return the budget of a round and the rules of the gate."""
    share = percent(sampling.max_fraction)
    audit = f"{percent(sampling.audit_share)}, {percent(sampling.audit_share_while_few)} while few"
    return (
        CapRow("sampling.strategy", sampling.strategy, "how the utterances to learn from are ranked"),
        CapRow("sampling.clips", _limit(sampling.clips), "most clips of a round, each once for every answer"),
        CapRow("sampling.minutes", _limit(sampling.minutes), "most expected annotator minutes of a round"),
        CapRow("sampling.max_fraction", share, f"largest share of the pool; {sampling.floor} clips are always allowed"),
        CapRow("sampling.max_per_speaker", str(sampling.max_per_speaker), "most clips of one speaker in a round"),
        CapRow("sampling.audit_share", audit, f"share of the audit sample; few is below {sampling.audit_target} rows"),
        CapRow("night.min_new_labels", str(when.min_new_labels), "new labels that make a retraining due"),
        CapRow("promotion.min_audit_rows", str(gate.min_audit_rows), "with fewer rows the gate promotes nothing"),
        CapRow("promotion.min_speakers", str(gate.min_speakers), "with fewer speakers the gate promotes nothing"),
        CapRow(
            "promotion.slice_min_rows, slice_min_speakers",
            f"{gate.slice_min_rows}, {gate.slice_min_speakers}",
            f"a slice with as many may not become worse by {100 * gate.slice_margin:g} points; a smaller one can only "
            "show harm",
        ),
        CapRow("promotion.alpha", percent(gate.alpha), "probability of a false promotion, over all looks together"),
    )


def _limit(value: float | None) -> str:
    return "no limit" if value is None else f"{value:g}"
