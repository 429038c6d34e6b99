"""Count the annotators' work week by week: throughput, agreement, minutes per point of WER, accidental activations.

The figures are ids, counts and rates alone, so a report of them may be sent to anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from annotation.agreement import Agreement, measure_agreement
from annotation.answer_weeks import answers_by_week
from annotation.pooled_agreement import pooled, with_others
from annotation.proposals import resolved
from corpus import door
from corpus.errors import EarmarkError
from corpus.handle import Corpus
from corpus.records.annotations import Annotation
from corpus.records.evaluation import Interval
from corpus.records.inventory import Inventory
from corpus.settings import places
from corpus.tables import annotations as annotations_table
from corpus.tables import labels, rounds, utterances
from corpus.tables import models as store
from flows.models.audit_rows import Outcome, outcomes_of, speakers_of
from flows.models.label_reliability import stored_crowd
from flows.runtime.results import Result

if TYPE_CHECKING:
    from training.asr.transcribe import TranscribeSettings
    from training.evaluation.gate import PromotionSettings


@dataclass(frozen=True, slots=True)
class Week:
    """The annotators' work in one week.

    Attributes:
        monday: first day of the week.
        answers, minutes_spent, people: how many answers, how long they took, and how many annotators gave them.
        agreement: between the answers to tasks whose last answer came in this week.
        accidental: share of accidental activations in the traffic, estimated from the audit rows whose last answer
            came in this week, each row once as in `earmark estimate`; None without any.
    """

    monday: date
    answers: int
    minutes_spent: float
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
        minutes_so_far: of all annotators.
        wer_base, wer_champion: on all rows that judge now, as `Comparison` has them; None where nothing was judged.
        minutes_a_point: for each point (0.01) by which WER fell; None where it did not fall.
        rows: how many judge; None where nothing was judged.
        eval_set_id: the rows; None where nothing was judged.
        not_judged: why the WER is missing; None where it is known, and where no version was judged yet.
    """

    minutes_so_far: float
    wer_base: float | None = None
    wer_champion: float | None = None
    minutes_a_point: float | None = None
    rows: int | None = None
    eval_set_id: str | None = None
    not_judged: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document: the minutes, and why, where nothing was judged."""
        document: dict[str, Any] = {"minutes_so_far": self.minutes_so_far}
        if self.not_judged is not None:
            document["not_judged"] = self.not_judged
        if self.wer_base is None:
            return document
        return document | {
            "wer_base": self.wer_base,
            "wer_champion": self.wer_champion,
            "minutes_a_point": self.minutes_a_point,
            "rows": self.rows,
            "eval_set_id": self.eval_set_id,
        }


def weeks(corpus: Corpus, count: int, inventory: Inventory) -> list[Week]:
    """Return the last `count` weeks with answers, oldest first; answers are compared by the names in use."""
    with corpus.read() as conn:
        rows = [row for row in annotations_table.latest_answers(conn) if row.at is not None]
        drawn = {row.task_id: (row.utterance_id, row.inclusion_prob) for row in rounds.tasks(conn)}
        ids = sorted({utterance_id for utterance_id, _ in drawn.values()})
        speakers = speakers_of(ids, utterances.pool_columns(conn, ids).speaker_ids)
        speaker_of = dict(zip(ids, speakers.tolist(), strict=True))
        outcome_of = dict(zip(ids, outcomes_of(corpus, conn, ids), strict=True))
    shared = _shared_annotations(corpus, rows, inventory)
    return [
        Week(
            monday=week.monday,
            answers=week.answers,
            minutes_spent=week.minutes_spent,
            people=week.people,
            agreement=measure_agreement([each for each in shared if each.task_id in week.completed]),
            accidental=_accidental(dict(drawn[task] for task in week.audit if task in drawn), outcome_of, speaker_of),
        )
        for week in answers_by_week(rows, count)
    ]


def _accidental(
    probs: Mapping[str, float], outcome_of: Mapping[str, Outcome], speaker_of: Mapping[str, str]
) -> Interval | None:
    """Return the share of accidental activations in the traffic, by the audit rows with a label or that verdict.

    Args:
        probs: inclusion probability of each audit row, by utterance.
        outcome_of: what became of it, by utterance.
        speaker_of: by utterance.
    """
    from sampling.estimation import weighted_share

    ids = [i for i in probs if outcome_of[i] in ("labelled", "accidental")]
    if not ids:
        return None
    hits = [outcome_of[i] == "accidental" for i in ids]
    return weighted_share(hits, [probs[i] for i in ids], np.array([speaker_of[i] for i in ids], np.str_))


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


def cost_of_a_point(corpus: Corpus, how: TranscribeSettings, gate: PromotionSettings) -> PointCost:
    """Return annotator minutes, WER of base and champion on all rows that judge now, and minutes a point.

    The WER is that of the traffic, as everywhere else: each row counts 1 / its inclusion probability. It is computed
    where rows came after the last decision, so that it is the figure of `earmark compare`.

    Args:
        corpus: the corpus.
        how: settings of transcription.
        gate: which rows judge.
    """
    from flows.reports.champion_vs_base import compare_champion
    from training.evaluation.metrics import minutes_per_point

    with corpus.read() as conn:
        minutes = labels.minutes_so_far(conn)
        judged = bool(store.promotions(conn, "asr")) and store.alias(conn, "asr", "champion") is not None
        judged = judged and store.base_of_home(conn, "asr") is not None
    if not judged:
        return PointCost(round(minutes, 1))
    try:
        found = compare_champion(corpus, places(corpus.settings).home, how, gate, "asr")
    except EarmarkError as error:  # such as a base whose files are gone: the other figures need no model
        return PointCost(round(minutes, 1), not_judged=str(error))
    if found.rate is None or found.base_rate is None:
        return PointCost(round(minutes, 1))
    a_point = minutes_per_point(minutes, found.base_rate.value, found.rate.value)
    return PointCost(
        minutes_so_far=round(minutes, 1),
        wer_base=round(found.base_rate.value, 4),
        wer_champion=round(found.rate.value, 4),
        minutes_a_point=None if a_point is None else round(a_point, 1),
        rows=found.rate.n,
        eval_set_id=found.eval_set_id,
    )
