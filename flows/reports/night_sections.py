"""The sections of a night's page: texts, tables and charts from its report, which the template puts together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from corpus.records.base import Kind
from corpus.records.evaluation import Interval
from flows.models.judged_nights import WITHOUT_GATE
from flows.reports import svg_chart
from flows.reports.night_report import DecisionRow, KindReport, NightRates, NightReport
from flows.reports.page_table import Table, table
from flows.reports.svg_chart import Chart, Series
from flows.runtime.console import percent
from training.evaluation.interval_text import TOO_FEW_NOTE, points_text, rate_text, says_enough, slice_text
from training.evaluation.metrics import THIN_NOTE, minutes_per_point

if TYPE_CHECKING:
    from training.evaluation.gate import PromotionSettings

TITLES: Final[dict[Kind, str]] = {
    "asr": "Speech: WER over nights",
    "intent": "Understanding: intent accuracy over nights",
}
WHY: Final = {
    "audit": "a probability sample, which judges the models and never teaches",
    "uncertain": "most expected errors for each second of an annotator",
    "slice": "quota of a slice, or of a group with more errors than the rest",
    "novel": "least similar to all that is labelled or chosen",
}
"""Why an utterance is chosen, by reason."""

BETTER: Final = "champion better than base by, points"
"""Name of the columns that set the champion, never the challenger, against the base."""

INTERVALS: Final = "intervals are 95 %, by speaker"
"""Above each table of rates."""

STYLES: Final[dict[Kind, str]] = {"asr": "champion", "intent": "intent"}
"""The CSS class of each kind where both are in one chart."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure at the top of the page."""

    value: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSection:
    """The parts of the page on one kind of model."""

    id: str
    title: str
    measure: str
    finding: str
    no_anchor: str
    anchor_note: str
    no_slices: str
    anchor_chart: Chart | None
    growing_chart: Chart | None
    slices_chart: Chart | None
    anchor_table: Table
    growing_table: Table
    slices_table: Table


def tiles(report: NightReport) -> list[Tile]:
    """Return the figures at the top: how far the night got, and where both champions are."""
    counts = report.funnel.count
    found = [
        Tile(f"{counts('received'):,}", f"rows received, {counts('accepted'):,} accepted"),
        Tile(f"{counts('chosen'):,}", f"utterances chosen, {counts('labelled'):,} labelled"),
    ]
    newest = next((row for row in report.minutes if row.night == report.night), None)
    if newest is not None:
        so_far = f"of annotators for this night, {newest.minutes_so_far:.0f} so far"
        found.append(Tile(f"{newest.minutes_spent:.0f} min", so_far))
    for kind in report.kinds:
        last = next((row for row in reversed(kind.shown) if row.champion_rate is not None), None)
        if last is not None and last.champion_rate is not None:
            base = f", base {percent(last.base_rate.value)}" if last.base_rate is not None else ""
            name = f"{kind.measure} of {kind.kind}/{last.champion}{base}, on the {_set_of(kind)}"
            found.append(Tile(percent(last.champion_rate.value), _unbroken(name)))
    return found


def funnel_chart(report: NightReport) -> Chart | None:
    """Return a bar for each step of the funnel."""
    steps = report.funnel.steps
    rows = [(steps[0].step, float(steps[0].count), f"{steps[0].count:,}")]
    for before, step in pairwise(steps):
        share = f" ({percent(step.count / before.count)})" if before.count else ""
        rows.append((step.step, float(step.count), f"{step.count:,}{share}"))
    return svg_chart.bars("utterances that got as far as each step, and their share of the step before", rows)


def funnel_table(report: NightReport) -> Table:
    """Return the steps of the funnel, with what was left out before each, by reason."""
    rows = [(step.step, f"{step.count:,}", _counts(step.lost)) for step in report.funnel.steps]
    return table(("step", "utterances", "left out before it"), rows, numbers=(1,), wide=(2,))


def kind_section(report: NightReport, kind: KindReport, gate: PromotionSettings) -> KindSection:
    """Return the parts of the page on one kind of model."""
    thick = [row for row in kind.slices if not row.thin]
    slices = [
        Series("base", "base", "square", [row.base for row in thick], joined=False),
        Series("champion", "champion", "circle", [row.champion for row in thick], joined=False),
    ]
    return KindSection(
        id=kind.kind,
        title=TITLES[kind.kind],
        measure=kind.measure,
        finding=finding(kind),
        no_anchor=_no_anchor(kind, gate),
        anchor_note=sentence(kind.anchor_note) if kind.anchor_note else "",
        no_slices=_no_slices(kind),
        anchor_chart=_rates_chart(kind, kind.anchor),
        growing_chart=_rates_chart(kind, kind.growing),
        slices_chart=svg_chart.by_row(
            "slices with enough rows and speakers, 95 % intervals", [row.slice for row in thick], slices
        ),
        anchor_table=_rates_table(report, kind, kind.anchor),
        growing_table=_rates_table(report, kind, kind.growing),
        slices_table=_slices_table(kind),
    )


def _rates_chart(kind: KindReport, rows: Sequence[NightRates]) -> Chart | None:
    """Return champion, base and challengers over nights."""
    changed = [
        f"v{row.champion}" if number == 0 or row.champion != rows[number - 1].champion else ""
        for number, row in enumerate(rows)
    ]
    promoted = [row.decision in ("promote", *WITHOUT_GATE) for row in rows]
    series = [
        Series("base", "base", "square", [row.base_rate for row in rows]),
        Series(
            "challenger, filled where promoted",
            "challenger",
            "diamond",
            [row.challenger_rate for row in rows],
            joined=False,
            filled=promoted,
        ),
        Series("champion", "champion", "circle", [row.champion_rate for row in rows], changed),
    ]
    less = "less" if kind.kind == "asr" else "more"
    return svg_chart.over_nights(
        f"{kind.measure} by night, 95 % intervals; {less} is better", [_day(row.night) for row in rows], series
    )


def _rates_table(report: NightReport, kind: KindReport, rows: Sequence[NightRates]) -> Table:
    judged = [row for row in rows if row.rows]
    cells = [
        (
            row.night,
            f"{row.rows} of {row.speakers}",
            f"v{row.champion} {_rate(row.champion_rate)}" if row.champion_rate is not None else "not judged",
            _rate(row.base_rate),
            f"v{row.challenger} {_rate(row.challenger_rate)}; gate: {row.decision}"
            if row.challenger_rate is not None
            else "-",
            _better_than_base(kind, row),
        )
        for row in judged
    ]
    headers = ("night", "rows of speakers", "champion afterwards", "base", "challenger", BETTER)
    kinds = ["this" if row.night == report.night else "" for row in judged]
    return table(headers, cells, kinds, caption=f"{kind.measure}; {INTERVALS}")


def _better_than_base(kind: KindReport, row: NightRates | None) -> str:
    if row is not None and row.champion_rate is not None and row.champion == kind.base:
        return "champion is the base"
    return _points(None if row is None else row.better_by)


def _slices_table(kind: KindReport) -> Table:
    headers = ("slice", "rows", "speakers", "champion", "base", BETTER)
    cells = [
        (
            row.slice + (" (thin)" if row.thin else ""),
            str(row.rows),
            str(row.speakers),
            _unbroken(slice_text(row.champion)),
            _unbroken(slice_text(row.base)),
            _points(row.better_by),
        )
        for row in kind.slices
    ]
    kinds = ["thin" if row.thin else "" for row in kind.slices]
    return table(headers, cells, kinds, (1, 2), wide=(0,), caption=f"{kind.measure}; {INTERVALS}")


def slices_note() -> str:
    """Return what the slices are, and what their words mean."""
    return (
        "Base and champion on the newest judged rows. The plots leave out thin slices; the tables show them in grey. "
        f"{sentence(THIN_NOTE)} {sentence(TOO_FEW_NOTE)} The gate calls a slice small by higher bounds, which are in "
        "the last table of this page, and tests it at another level."
    )


def finding(kind: KindReport) -> str:
    """Return in one sentence how the champion compares with the base."""
    where = f"on the {_set_of(kind)}"
    last = next((row for row in reversed(kind.shown) if row.champion_rate is not None), None)
    if last is None or last.champion_rate is None:
        return f"No {kind.kind} model has been judged on audit rows yet."
    rate = _rate(last.champion_rate)
    if last.champion_numbers is not None:
        rate += f" ({percent(last.champion_numbers.value)} with numbers alike)"
    if last.champion == kind.base:
        return f"The base is still the champion: {kind.measure} {rate} {where}, after {last.night}."
    better = last.better_by
    found = f"Champion {kind.kind}/{last.champion} has {kind.measure} {rate} {where}"
    if last.base_rate is not None:
        found += f", the base {_rate(last.base_rate)}"
    if better is None:
        return f"{found}."
    if not says_enough(better):
        return f"{found}. These are too few rows to say which is better."
    sure = "" if better.low > 0 or better.high < 0 else "; the interval contains 0"
    side = "better" if better.value >= 0 else "worse"
    ends = (better.low, better.high) if better.value >= 0 else (-better.high, -better.low)
    bounds = f"[{100 * ends[0]:.1f},\u00a0{100 * ends[1]:.1f}]"
    return f"{found}: {side} by {abs(100 * better.value):.1f} points {bounds}{sure}."


def _set_of(kind: KindReport) -> str:
    """Return the name of the rows that nights are compared on."""
    return "anchor rows" if kind.anchor else "growing set"


def _no_anchor(kind: KindReport, gate: PromotionSettings) -> str:
    """Return why there are no anchor rows, with how many rows there are of those that are needed."""
    if kind.anchor_note and not kind.anchor:
        return "No anchor row is left to compare versions on."
    judged = [row for row in kind.growing if row.rows]  # a night is judged when its retraining is done
    so_far = "none is judged so far"
    if judged:
        so_far = f"so far {judged[-1].rows} rows of {judged[-1].speakers} speakers are judged"
    needs = f"{gate.min_audit_rows} rows of {gate.min_speakers} speakers"
    return (
        f"There are no anchor rows yet: they are the rows of the gate's first decision, which needs {needs}; {so_far}."
    )


def _no_slices(kind: KindReport) -> str:
    if kind.slices:
        return "Every slice is thin so far: the table shows them, but nothing can be concluded."
    return "No slice can be shown: base and champion were not judged on the same rows yet."


def choice_finding(report: NightReport) -> str:
    """Return in one sentence how many utterances were chosen of how many, and the minutes expected and spent."""
    chosen, pool = report.funnel.count("chosen"), report.pool or 0
    share = f" ({percent(chosen / pool)})" if pool else ""
    expected = sum(row.minutes_expected for row in report.choice)
    spent = next((row for row in report.minutes if row.night == report.night), None)
    answers = f"; {spent.answers} answers took {spent.minutes_spent:.1f}" if spent is not None and spent.answers else ""
    expecting = f"for {expected:.1f} expected annotator minutes"
    after = f" {report.funnel.after} of this night came in after its round." if report.funnel.after else ""
    return f"{chosen} of {pool:,} scored utterances were chosen{_unbroken(share)}, {expecting}{answers}.{after}"


def choice_chart(report: NightReport) -> Chart | None:
    """Return a bar for each reason."""
    by_reason: dict[str, int] = {}
    for row in report.choice:
        by_reason[row.reason] = by_reason.get(row.reason, 0) + row.chosen
    rows = [(reason, float(count), str(count)) for reason, count in by_reason.items()]
    return svg_chart.bars("utterances by reason", rows)


def choice_table(report: NightReport) -> Table:
    """Return the choice by reason and question."""
    rows = [
        (row.reason, WHY.get(row.reason, ""), row.ask.replace("_", " "), str(row.chosen), f"{row.minutes_expected:.1f}")
        for row in report.choice
    ]
    return table(("reason", "what it is", "question", "chosen", "minutes expected"), rows, numbers=(3, 4), wide=(1,))


def minutes_chart(report: NightReport) -> Chart | None:
    """Return how much better each champion is than its base, against the annotators' minutes so far."""
    series = []
    for kind, mark in zip(report.kinds, ("circle", "diamond"), strict=True):
        gains = {row.night: row.better_by for row in kind.shown}
        points = [gains.get(row.night) for row in report.minutes]
        series.append(Series(kind.measure, STYLES[kind.kind], mark, points))  # type: ignore[arg-type]
    names = [f"{_day(row.night)}\n{row.minutes_so_far:.0f} min" for row in report.minutes]
    label = "points by which the champion is better than the base, 95 % intervals, by night and minutes until then"
    return svg_chart.over_nights(label, names, series, svg_chart.POINTS)


def minutes_table(report: NightReport) -> Table:
    """Return answers and minutes by night, and what each champion saved against its base."""
    judged = [(kind, {row.night: row for row in kind.shown}) for kind in report.kinds]
    rows = []
    for row in report.minutes:
        better = [_better_than_base(kind, of_kind.get(row.night)) for kind, of_kind in judged]
        first = judged[0][1].get(row.night)
        cost = _minutes_a_point(row.minutes_so_far, None if first is None else first.better_by)
        minutes = [f"{figure:.1f}" for figure in (row.minutes_spent, row.minutes_so_far)]
        rows.append((row.night, str(row.answers), *minutes, *better, cost))
    saved = [*(f"{kind.measure}: {BETTER}" for kind in report.kinds), f"minutes a point of {report.kinds[0].measure}"]
    headers = ("night", "answers", "minutes spent", "minutes so far", *saved)
    kinds = ["this" if row.night == report.night else "" for row in report.minutes]
    return table(headers, rows, kinds, (1, 2, 3), caption=INTERVALS)


def _minutes_a_point(minutes: float, better: Interval | None) -> str:
    found = None if better is None else minutes_per_point(minutes, better.value, 0.0)
    return "-" if found is None else f"{found:.1f}"


def decisions_table(report: NightReport) -> Table:
    """Return the decisions of the gate and of people with their reasons, newest first."""
    rows = [
        (
            row.night,
            f"{row.kind}/{row.version}" + (f" against {row.kind}/{row.against}" if row.against else ""),
            row.decision,
            f"{row.rows} of {row.speakers}" if row.decision not in WITHOUT_GATE else "-",
            _decided_by(row),
            "none" if row.look is None else str(row.look),
            "; ".join(row.reasons),
        )
        for row in report.decisions
    ]
    kinds = ["this" if row.night == report.night else "" for row in report.decisions]
    better = "version better than champion by, points"
    headers = ("night", "version", "decision", "rows of speakers", better, "look", "reasons")
    return table(headers, rows, kinds, wide=(6,))


def _decided_by(row: DecisionRow) -> str:
    """Return the difference that the gate saw, with the level of its interval."""
    if row.better_by is None or row.level is None:
        return "-"
    return _unbroken(f"{_points(row.better_by)} at {100 * row.level:.4g} %")


def caps_note(report: NightReport) -> str:
    """Return when the caps were set."""
    rules = "Rules of retraining and of the gate are as they are set now"
    if report.caps_from == "round":
        return f"Settings of sampling are those that the round was chosen with. {rules}."
    if report.caps_from == "now":
        return "As they are set now; the round of this night was not chosen yet."
    return f"{rules}; so are those of sampling, as the version of earmark that chose the round did not store its own."


def caps_table(report: NightReport) -> Table:
    """Return the budget of a round and the rules of the gate."""
    rows = [(cap.setting, cap.value, cap.meaning) for cap in report.caps]
    looks = ", ".join(f"{kind.kind} {kind.looks}" for kind in report.kinds)
    rows.append(("looks so far", looks, "decisions of the gate; each makes the next one stricter"))
    return table(("setting", "value", "meaning"), rows, wide=(2,))


def sentence(text: str) -> str:
    """Return a text with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items()) or "-"


def _rate(rate: Interval | None) -> str:
    """Return a rate with its interval, which breaks between the two alone; `-` where there is none."""
    return _unbroken(rate_text(rate))


def _unbroken(text: str) -> str:
    """Return the text with spaces that don't break before `%` and inside an interval."""
    return text.replace(" %", "\u00a0%").replace(", ", ",\u00a0")


def _points(better: Interval | None) -> str:
    """Return a difference of two rates in percentage points, with its interval; `-` where there is none."""
    if better is not None and says_enough(better) and better.low == better.high == 0:
        return "same"
    return _unbroken(points_text(better))


def _day(night: str) -> str:
    """Return month and day of a night, which is the name that fits below a chart."""
    return night[5:]
