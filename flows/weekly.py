"""The weekly report for whoever leads the annotators: throughput, agreement, what a point of WER costs, false starts.

A Markdown page with pictures, of ids, counts and rates alone, so that it may be sent around.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from math import sqrt
from pathlib import Path
from typing import Any

from annotation.agreement import Agreement, measure_agreement
from corpus import door
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records import Annotation
from corpus.store import labels, utterances
from corpus.store import models as store
from flows.console import cell, percent
from flows.evaluation_store import stored
from flows.label_reliability import known_crowd
from flows.settings import Settings


@dataclass(frozen=True, slots=True)
class Week:
    """What people did in a week that begins on a Monday.

    Attributes:
        answers, minutes, people: of the week.
        agreement: of the answers of which the last came in this week.
        accidental: share of accidental activations in the traffic, by the audit rows: value, low, high, rows.
    """

    monday: date
    answers: int
    minutes: float
    people: int
    agreement: Agreement
    accidental: tuple[float, float, float, int] | None


def weeks(corpus: Corpus, count: int) -> list[Week]:
    """Returns the last weeks in which anybody answered, oldest first."""
    with corpus.read() as conn:
        rows = [row for row in labels.latest_answers(conn) if row.at is not None]
    drawn = _inclusion(corpus)
    given = _shared(corpus, rows)
    mondays = sorted({_monday(row.at) for row in rows})[-count:]
    last: dict[str, date] = {}
    for row in rows:
        last[row.task_id] = max(last.get(row.task_id, date.min), _monday(row.at))
    found = []
    for monday in mondays:
        mine = [row for row in rows if _monday(row.at) == monday]
        answers = [a for a in given if last.get(a.task_id) == monday]
        audit = [row for row in mine if row.reason == "audit" and row.verdict != "help"]
        found.append(
            Week(
                monday=monday,
                answers=len(mine),
                minutes=sum(row.lead_time for row in mine) / 60,
                people=len({row.annotator_id for row in mine}),
                agreement=measure_agreement(answers),
                accidental=_share([(row.verdict == "accidental", 1 / drawn.get(row.task_id, 1.0)) for row in audit]),
            )
        )
    return found


def _monday(moment: Any) -> date:
    day: date = moment.date()
    return day - timedelta(days=day.weekday())


def _inclusion(corpus: Corpus) -> dict[str, float]:
    from corpus.store import rounds

    with corpus.read() as conn:
        return {row.task_id: row.inclusion_prob for row in rounds.tasks(conn)}


def _shared(corpus: Corpus, rows: Iterable[labels.AnswerRow]) -> list[Annotation]:
    """Returns the answers to utterances that several people heard."""
    people: dict[str, set[str]] = {}
    for row in rows:
        people.setdefault(row.utterance_id, set()).add(row.annotator_id)
    ids = sorted(i for i, who in people.items() if len(who) > 1)
    opened = door.open(corpus, ids, "annotate", parts=("annotations",), strict=False)
    return [annotation for content in opened for annotation in content.annotations]


def _share(rows: list[tuple[bool, float]]) -> tuple[float, float, float, int] | None:
    """Returns a weighted share with its 95 % interval (Wilson, on the effective number of rows); None without rows."""
    total = sum(weight for _, weight in rows)
    if not rows or total <= 0:
        return None
    p = sum(weight for hit, weight in rows if hit) / total
    n = total**2 / sum(weight**2 for _, weight in rows)
    z = 1.96
    middle, half = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return p, max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n)), len(rows)


def by_person(corpus: Corpus) -> list[dict[str, Any]]:
    """Returns agreement with everybody else, and what is known of the person, by annotator."""
    with corpus.read() as conn:
        rows = labels.latest_answers(conn)
        crowd = known_crowd(conn)
    given = _shared(corpus, rows)
    careless = set(crowd.careless())
    found = []
    for who in sorted({row.annotator_id for row in rows}):
        tasks = {a.task_id for a in given if a.annotator_id == who}
        # Pairs of two others on the same task say nothing of this person.
        theirs = [_with(who, [a for a in given if a.task_id == task]) for task in sorted(tasks)]
        pairs = [measure_agreement(pair) for group in theirs for pair in group]
        found.append({"annotator": who, "answers": sum(row.annotator_id == who for row in rows), **_rates(pairs),
                      "weight": round(crowd.weight(who), 3), "careless": who in careless})  # fmt: skip
    return found


def _with(who: str, answers: list[Annotation]) -> list[list[Annotation]]:
    mine = [a for a in answers if a.annotator_id == who]
    others = sorted({a.annotator_id for a in answers} - {who})
    return [[*mine, *(a for a in answers if a.annotator_id == other)] for other in others]


def _rates(pairs: list[Agreement]) -> dict[str, Any]:
    def ratio(part: str, whole: str, scale: int = 1) -> float | None:
        total = sum(getattr(pair, whole) for pair in pairs)
        return round(scale * sum(getattr(pair, part) for pair in pairs) / total, 4) if total else None

    return {
        "compared": sum(pair.pairs for pair in pairs),
        "same_intent": ratio("same_intent", "intents"),
        "wer_to_others": ratio("edits", "words", 2),
        "slot_f1": ratio("common_slots", "slots", 2),
    }


def by_slice(corpus: Corpus) -> list[dict[str, Any]]:
    """Returns how far people agree, by locale."""
    with corpus.read() as conn:
        rows = labels.latest_answers(conn)
        place = utterances.locales(conn, sorted({row.utterance_id for row in rows}))
    task_place = {row.task_id: place[row.utterance_id] for row in rows}
    given = _shared(corpus, rows)
    found = []
    for locale in sorted(set(task_place.values())):
        agreement = measure_agreement([a for a in given if task_place.get(a.task_id) == locale])
        found.append({"locale": locale, **_rates([agreement]), "alpha_intent": agreement.alpha_intent})
    return found


def cost_of_a_point(corpus: Corpus) -> dict[str, Any]:
    """Returns annotator minutes, WER of base and champion on the rows that judged last, and minutes a point."""
    with corpus.read() as conn:
        minutes = sum(row.lead_time for row in labels.latest_answers(conn)) / 60
        champion = store.alias(conn, "asr", "champion")
        looked = store.promotions(conn, "asr")
        versions = [v for v in store.versions(conn, "asr") if v.origin == "base"]
        found: dict[str, Any] = {"minutes": round(minutes, 1)}
        if not looked or champion is None or not versions:
            return found
        held = looked[-1].eval_set_id
        reports = [stored(conn, "asr", version, held) for version in (versions[-1].version, champion)]
    if any(report is None for report in reports):
        return found
    base, now = (report.wer for report in reports if report is not None)
    gained = 100 * (base - now)
    return {**found, "wer_base": round(base, 4), "wer_champion": round(now, 4),
            "minutes_a_point": round(minutes / gained, 1) if gained > 0 else None}  # fmt: skip


def write_report(corpus: Corpus, settings: Settings, folder: Path, count: int) -> dict[str, Any]:
    """The folder holds report.md and its pictures; returns the figures.

    Raises:
        UsageError: the folder can't be written to.
    """
    from training.tracking.weekly import agreement_figure, false_starts_figure, throughput_figure

    found = weeks(corpus, count)
    people, slices, cost = by_person(corpus), by_slice(corpus), cost_of_a_point(corpus)
    names = [f"{week.monday:%d %b}" for week in found]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if found:
            throughput_figure(names, [w.answers for w in found], [w.minutes for w in found]).savefig(
                folder / "throughput.png"
            )
            agreement_figure(
                names, [w.agreement.alpha_intent for w in found], [w.agreement.wer for w in found]
            ).savefig(folder / "agreement.png")
            false_starts_figure(names, [w.accidental for w in found]).savefig(folder / "accidental.png")
        (folder / "report.md").write_text(_page(found, people, slices, cost), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} can't be written: {type(error).__name__}; choose another --out") from None
    return {
        "weeks": [_week(week) for week in found],
        "people": people,
        "locales": slices,
        "cost": cost,
        "page": str(folder / "report.md"),
    }


def _week(week: Week) -> dict[str, Any]:
    return {
        "week": week.monday.isoformat(),
        "answers": week.answers,
        "minutes": round(week.minutes, 1),
        "people": week.people,
        "compared": week.agreement.pairs,
        "alpha_intent": week.agreement.alpha_intent,
        "alpha_verdict": week.agreement.alpha_verdict,
        "wer_between": week.agreement.wer,
        "slot_f1": week.agreement.slot_f1,
        "accidental": percent(*week.accidental[:3]) if week.accidental else None,
    }


def _page(found: list[Week], people: list[Any], slices: list[Any], cost: dict[str, Any]) -> str:
    parts = ["# Annotation, week by week", ""]
    if not found:
        return "\n".join([*parts, "Nobody has answered yet.", ""])
    parts += [*_table([_week(week) for week in found]), "", "![answers and minutes](throughput.png)", ""]
    parts += ["![agreement](agreement.png)", "", "![accidental activations](accidental.png)", ""]
    parts += ["Accidental activations are the traffic's share by the audit rows, weighted by 1 / probability.", ""]
    parts += ["## By annotator", "", *_table(people), "", "## By locale", "", *_table(slices), ""]
    parts += ["## What a point of WER costs", "", *_table([cost]), ""]
    parts += ["Minutes are all lead times so far; WER is of the rows that judged last.", ""]
    return "\n".join(parts)


def _table(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return ["none"]
    headers = list(rows[0])
    lines = ["| " + " | ".join(h.replace("_", " ") for h in headers) + " |", "|" + " --- |" * len(headers)]
    return lines + ["| " + " | ".join(cell(row.get(h)) for h in headers) + " |" for row in rows]
