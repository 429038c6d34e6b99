"""What annotators did week by week: throughput, agreement, minutes per point of WER, accidental activations.

Ids, counts and rates alone, so that it may be sent around.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from annotation.agreement import Agreement, measure_agreement
from annotation.pooled_agreement import pooled, with_others
from corpus import door
from corpus.handle import Corpus
from corpus.records.annotations import Annotation
from corpus.records.evaluation import Interval
from corpus.tables import annotations as annotations_table
from corpus.tables import models as store
from corpus.tables import rounds, utterances
from flows.models.evaluation_store import stored_report
from flows.models.label_reliability import stored_crowd
from flows.runtime.results import Result


@dataclass(frozen=True, slots=True)
class Week:
    """What annotators did in a week that begins on a Monday.

    Attributes:
        answers, minutes, people: of the week.
        agreement: of the answers of which the last came in this week.
        accidental: share of accidental activations in the traffic, by the audit rows; None without any.
    """

    monday: date
    answers: int
    minutes: float
    people: int
    agreement: Agreement
    accidental: Interval | None


@dataclass(frozen=True, slots=True)
class PersonRow(Result):
    """One annotator: answers, agreement with everybody else, weight of the answers, and whether they are careless."""

    annotator: str
    answers: int
    compared: int
    same_intent: float | None
    wer_to_others: float | None
    slot_f1: float | None
    weight: float
    careless: bool


@dataclass(frozen=True, slots=True)
class LocaleRow(Result):
    """How far annotators agree in one locale."""

    locale: str
    compared: int
    same_intent: float | None
    wer_to_others: float | None
    slot_f1: float | None
    alpha_intent: float | None


@dataclass(frozen=True, slots=True)
class PointCost(Result):
    """What a point of WER costs.

    Attributes:
        minutes: of all annotators so far.
        wer_base, wer_champion: on the rows that judged last; None where nothing was judged.
        minutes_a_point: for each point by which WER fell; None where it did not fall.
    """

    minutes: float
    wer_base: float | None = None
    wer_champion: float | None = None
    minutes_a_point: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document: the minutes alone where nothing was judged."""
        document = {"minutes": self.minutes}
        if self.wer_base is None:
            return document
        return document | {
            "wer_base": self.wer_base,
            "wer_champion": self.wer_champion,
            "minutes_a_point": self.minutes_a_point,
        }


def weeks(corpus: Corpus, count: int) -> list[Week]:
    """Return the last `count` weeks in which anybody answered, oldest first."""
    from training.evaluation.proportions import weighted_share

    with corpus.read() as conn:
        rows = [row for row in annotations_table.latest_answers(conn) if row.at is not None]
        drawn = {row.task_id: row.inclusion_prob for row in rounds.tasks(conn)}
    given = _shared(corpus, rows)
    mondays = sorted({_monday(row.at) for row in rows})[-count:]
    last: dict[str, date] = {}
    for row in rows:
        last[row.task_id] = max(last.get(row.task_id, date.min), _monday(row.at))
    found = []
    for monday in mondays:
        mine = [row for row in rows if _monday(row.at) == monday]
        audit = [row for row in mine if row.reason == "audit" and row.verdict != "help"]
        accidental = [row.verdict == "accidental" for row in audit]
        found.append(
            Week(
                monday=monday,
                answers=len(mine),
                minutes=sum(row.lead_time for row in mine) / 60,
                people=len({row.annotator_id for row in mine}),
                agreement=measure_agreement([a for a in given if last.get(a.task_id) == monday]),
                accidental=weighted_share(accidental, [1 / drawn.get(row.task_id, 1.0) for row in audit]),
            )
        )
    return found


def _monday(moment: datetime | None) -> date:
    assert moment is not None
    day = moment.date()
    return day - timedelta(days=day.weekday())


def _shared(corpus: Corpus, rows: Iterable[annotations_table.AnswerRow]) -> list[Annotation]:
    """Return the answers to utterances that several annotators answered."""
    people: dict[str, set[str]] = {}
    for row in rows:
        people.setdefault(row.utterance_id, set()).add(row.annotator_id)
    ids = sorted(i for i, who in people.items() if len(who) > 1)
    opened = door.open(corpus, ids, "annotate", parts=("annotations",), strict=False)
    return [annotation for content in opened for annotation in content.annotations]


def by_person(corpus: Corpus) -> tuple[PersonRow, ...]:
    """Return agreement with everybody else, and what is known of the person, by annotator."""
    with corpus.read() as conn:
        rows = annotations_table.latest_answers(conn)
        crowd = stored_crowd(conn)
    given = _shared(corpus, rows)
    careless = set(crowd.careless())
    found = []
    for who in sorted({row.annotator_id for row in rows}):
        agreement = with_others(who, given)
        found.append(
            PersonRow(
                annotator=who,
                answers=sum(row.annotator_id == who for row in rows),
                compared=agreement.compared,
                same_intent=agreement.same_intent,
                wer_to_others=agreement.wer,
                slot_f1=agreement.slot_f1,
                weight=round(crowd.weight(who), 3),
                careless=who in careless,
            )
        )
    return tuple(found)


def by_locale(corpus: Corpus) -> tuple[LocaleRow, ...]:
    """Return how far annotators agree, by locale."""
    with corpus.read() as conn:
        rows = annotations_table.latest_answers(conn)
        place = utterances.locales(conn, sorted({row.utterance_id for row in rows}))
    task_place = {row.task_id: place[row.utterance_id] for row in rows}
    given = _shared(corpus, rows)
    found = []
    for locale in sorted(set(task_place.values())):
        agreement = measure_agreement([a for a in given if task_place.get(a.task_id) == locale])
        rates = pooled([agreement])
        found.append(
            LocaleRow(locale, rates.compared, rates.same_intent, rates.wer, rates.slot_f1, agreement.alpha_intent)
        )
    return tuple(found)


def cost_of_a_point(corpus: Corpus) -> PointCost:
    """Return annotator minutes, WER of base and champion on the rows that judged last, and minutes a point."""
    from training.evaluation.metrics import minutes_per_point

    with corpus.read() as conn:
        minutes = sum(row.lead_time for row in annotations_table.latest_answers(conn)) / 60
        champion = store.alias(conn, "asr", "champion")
        looked = store.promotions(conn, "asr")
        versions = [v for v in store.versions(conn, "asr") if v.origin == "base"]
        if not looked or champion is None or not versions:
            return PointCost(round(minutes, 1))
        held = looked[-1].eval_set_id
        base, now = (stored_report(conn, "asr", version, held) for version in (versions[-1].version, champion))
    if base is None or now is None:
        return PointCost(round(minutes, 1))
    a_point = minutes_per_point(minutes, base.wer, now.wer)
    return PointCost(
        minutes=round(minutes, 1),
        wer_base=round(base.wer, 4),
        wer_champion=round(now.wer, 4),
        minutes_a_point=None if a_point is None else round(a_point, 1),
    )
