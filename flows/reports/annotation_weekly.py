"""Count the annotators' work week by week: throughput, agreement, minutes per point of WER, accidental activations.

The figures are ids, counts and rates alone, so a report of them may be sent to anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from annotation.agreement import Agreement, measure_agreement
from annotation.answer_weeks import answers_by_week
from annotation.pooled_agreement import pooled, with_others
from annotation.proposals import resolved
from corpus import door
from corpus.handle import Corpus
from corpus.records.annotations import Annotation
from corpus.records.evaluation import Interval
from corpus.records.inventory import Inventory
from corpus.tables import annotations as annotations_table
from corpus.tables import labels, rounds, utterances
from corpus.tables import models as store
from flows.models.evaluation_store import stored_report
from flows.models.label_reliability import stored_crowd
from flows.runtime.results import Result


@dataclass(frozen=True, slots=True)
class Week:
    """The annotators' work in one week.

    Attributes:
        monday: first day of the week.
        answers, minutes, people: how many answers, how long they took, and how many annotators gave them.
        agreement: between the answers to tasks whose last answer came in this week.
        accidental: share of accidental activations in the traffic, estimated from the audit rows; None without any.
    """

    monday: date
    answers: int
    minutes: float
    people: int
    agreement: Agreement
    accidental: Interval | None


@dataclass(frozen=True, slots=True)
class PersonRow(Result):
    """One annotator.

    Attributes:
        annotator: pseudonym.
        answers: how many.
        compared: pairs of answers to the same question, one of this annotator and one of another.
        same_intent: share of these pairs with the same intent; None without pairs, as the next two.
        wer_to_others, slot_f1: WER and slot F1 between the two answers.
        weight: of the annotator's answers where several are merged to a label.
        careless: whether the weight is below `crowd.careless_below`, with enough answers compared.
    """

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
    """Agreement between annotators in one locale; None where nothing was compared."""

    locale: str
    compared: int
    same_intent: float | None
    wer_to_others: float | None
    slot_f1: float | None
    alpha_intent: float | None


@dataclass(frozen=True, slots=True)
class PointCost(Result):
    """The annotators' minutes for each point by which WER fell.

    Attributes:
        minutes: of all annotators so far.
        wer_base, wer_champion: on the newest evaluation set; None where nothing was judged.
        minutes_a_point: for each point (0.01) by which WER fell; None where it did not fall.
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


def weeks(corpus: Corpus, count: int, inventory: Inventory) -> list[Week]:
    """Return the last `count` weeks with answers, oldest first; answers are compared by the names in use."""
    with corpus.read() as conn:
        rows = [row for row in annotations_table.latest_answers(conn) if row.at is not None]
        drawn = {row.task_id: (row.utterance_id, row.inclusion_prob) for row in rounds.tasks(conn)}
        ids = sorted({utterance_id for utterance_id, _ in drawn.values()})
        speaker_of = dict(zip(ids, utterances.pool_columns(conn, ids).speaker_ids.tolist(), strict=True))
    shared = _shared_annotations(corpus, rows, inventory)
    return [
        Week(
            monday=week.monday,
            answers=week.answers,
            minutes=week.minutes,
            people=week.people,
            agreement=measure_agreement([each for each in shared if each.task_id in week.completed]),
            accidental=_accidental(
                [(*drawn[task_id], hit) for task_id, hit in week.audit if task_id in drawn], speaker_of
            ),
        )
        for week in answers_by_week(rows, count)
    ]


def _accidental(answers: Sequence[tuple[str, float, bool]], speaker_of: Mapping[str, str]) -> Interval | None:
    """Return the share of accidental activations in the traffic, by the audit rows that were answered.

    Args:
        answers: utterance, inclusion probability, and whether it was accidental.
        speaker_of: speakers by utterance.
    """
    from sampling.estimation import weighted_share

    if not answers:
        return None
    ids, probs, hits = zip(*answers, strict=True)
    return weighted_share(hits, probs, np.array([speaker_of[i] for i in ids], np.str_))


def _shared_annotations(
    corpus: Corpus, rows: Iterable[annotations_table.AnswerRow], inventory: Inventory
) -> list[Annotation]:
    """Return the annotations of utterances that several annotators answered, with the names in use.

    A proposal is an intent of its own, so two answers with different proposals differ, as one with and one without do.
    """
    annotators: dict[str, set[str]] = {}
    again = {row.task_id for row in rows if row.reason == "again"}
    for row in rows:
        if row.task_id not in again:
            annotators.setdefault(row.utterance_id, set()).add(row.annotator_id)
    ids = sorted(utterance_id for utterance_id, several in annotators.items() if len(several) > 1)
    opened = door.open(corpus, ids, "annotate", parts=("annotations",), strict=False)
    given = [each for content in opened for each in content.annotations if each.task_id not in again]
    return [resolved(each, inventory) for each in given]


def by_person(corpus: Corpus, inventory: Inventory) -> tuple[PersonRow, ...]:
    """Return each annotator's answers, agreement with all others, weight and carelessness, by pseudonym."""
    with corpus.read() as conn:
        rows = annotations_table.latest_answers(conn)
        crowd = stored_crowd(conn)
    shared = _shared_annotations(corpus, rows, inventory)
    careless = set(crowd.careless())
    found = []
    for annotator_id in sorted({row.annotator_id for row in rows}):
        agreement = with_others(annotator_id, shared)
        found.append(
            PersonRow(
                annotator=annotator_id,
                answers=sum(row.annotator_id == annotator_id for row in rows),
                compared=agreement.compared,
                same_intent=agreement.same_intent,
                wer_to_others=agreement.wer,
                slot_f1=agreement.slot_f1,
                weight=round(crowd.weight(annotator_id), 3),
                careless=annotator_id in careless,
            )
        )
    return tuple(found)


def by_locale(corpus: Corpus, inventory: Inventory) -> tuple[LocaleRow, ...]:
    """Return the agreement between annotators, by locale."""
    with corpus.read() as conn:
        rows = annotations_table.latest_answers(conn)
        locale_of = utterances.locales(conn, sorted({row.utterance_id for row in rows}))
    task_locale = {row.task_id: locale_of[row.utterance_id] for row in rows}
    shared = _shared_annotations(corpus, rows, inventory)
    found = []
    for locale in sorted(set(task_locale.values())):
        agreement = measure_agreement([a for a in shared if task_locale.get(a.task_id) == locale])
        rates = pooled([agreement])
        found.append(
            LocaleRow(locale, rates.compared, rates.same_intent, rates.wer, rates.slot_f1, agreement.alpha_intent)
        )
    return tuple(found)


def cost_of_a_point(corpus: Corpus) -> PointCost:
    """Return annotator minutes, WER of base and champion on the newest evaluation set, and minutes a point.

    The WER is that of the traffic, as everywhere else: each row counts 1 / its inclusion probability.
    """
    from training.evaluation.intervals import report_rate, traffic_weights
    from training.evaluation.metrics import minutes_per_point

    with corpus.read() as conn:
        minutes = sum(row.lead_time for row in annotations_table.latest_answers(conn)) / 60
        champion = store.alias(conn, "asr", "champion")
        decisions = store.promotions(conn, "asr")
        base = store.base_of_home(conn, "asr")
        if not decisions or champion is None or base is None:
            return PointCost(round(minutes, 1))
        eval_set_id = decisions[-1].eval_set_id
        of_base, of_champion = (stored_report(conn, "asr", version, eval_set_id) for version in (base, champion))
        if of_base is None or of_champion is None:
            return PointCost(round(minutes, 1))
        drawn = labels.draws(conn, of_base.utterance_ids.tolist())
    wer_base, wer_champion = (
        report_rate(each, weights=traffic_weights([drawn[i].inclusion_prob for i in each.utterance_ids.tolist()]))
        for each in (of_base, of_champion)
    )
    a_point = minutes_per_point(minutes, wer_base, wer_champion)
    return PointCost(
        minutes=round(minutes, 1),
        wer_base=round(wer_base, 4),
        wer_champion=round(wer_champion, 4),
        minutes_a_point=None if a_point is None else round(a_point, 1),
    )
