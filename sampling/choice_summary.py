"""A round's choice in numbers: by reason and question, by cohort, and row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sampling.cohorts import SLICE, Cohort
from sampling.pool import Pool
from sampling.selection import Choice


@dataclass(frozen=True, slots=True)
class ChoiceSummary:
    """A choice in numbers.

    Attributes:
        pool: number of utterances that could be chosen.
        chosen: number of chosen utterances.
        answers: number of answers that they are asked for, all people together.
        fraction: share of the scored utterances that was chosen; 0 where none was scored.
        reasons, asks: number of chosen utterances by reason and by question.
        minutes_expected: annotator time [min].
        notes: caps that made the choice smaller than the settings ask for, one line each.
    """

    pool: int
    chosen: int
    answers: int
    fraction: float
    reasons: dict[str, int]
    asks: dict[str, int]
    minutes_expected: float
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CohortChoice:
    """A cohort, and how many of its utterances a round chose.

    Attributes:
        name, measure, rows, speakers, rate, rest, shrunk, p_value: as in `Cohort`.
        pool: how many of its utterances could be chosen.
        chosen: how many were chosen because of it.
    """

    name: str
    measure: str
    rows: int
    speakers: int
    rate: float
    rest: float
    shrunk: float
    p_value: float
    pool: int
    chosen: int


@dataclass(frozen=True, slots=True)
class ChosenRow:
    """A chosen utterance with rounded numbers.

    Attributes:
        utterance, reason, ask, score, inclusion: as in `Selection`.
        seconds: expected time of annotators, all answers together [s].
        duration: length of the clip [s].
        locale: of the clip; "" where the pool has no such slice.
        expected_errors: word errors and wrong intents that the label is expected to correct.
    """

    utterance: str
    reason: str
    ask: str
    score: float
    inclusion: float
    seconds: float
    duration: float
    locale: str
    expected_errors: float


def summarise(choice: Choice, pool: Pool, scored: int) -> ChoiceSummary:
    """Return the choice in numbers.

    Args:
        choice: the choice of a round.
        pool: the utterances that it could choose from.
        scored: number of the night's scored utterances.
    """
    selection = choice.selection
    return ChoiceSummary(
        pool=len(pool),
        chosen=len(selection),
        answers=choice.answers,
        fraction=len(selection) / scored if scored else 0.0,
        reasons=dict(sorted(Counter(selection.reasons.tolist()).items())),
        asks=dict(sorted(Counter(selection.asks.tolist()).items())),
        minutes_expected=float(np.round(selection.costs.sum() / 60.0, 2)),
        notes=choice.notes,
    )


def cohort_choices(choice: Choice, pool: Pool, cohorts: Sequence[Cohort]) -> tuple[CohortChoice, ...]:
    """Return how many utterances of each cohort the pool had and the round chose."""
    selection = choice.selection
    names = pool.slices.get(SLICE, np.full(len(pool), ""))
    chosen = names[np.isin(pool.utterance_ids, selection.utterance_ids[selection.reasons == "slice"])]
    return tuple(
        CohortChoice(
            name=cohort.name,
            measure=cohort.measure,
            rows=cohort.rows,
            speakers=cohort.speakers,
            rate=cohort.rate,
            rest=cohort.rest,
            shrunk=cohort.shrunk,
            p_value=cohort.p_value,
            pool=int((names == cohort.name).sum()),
            chosen=int((chosen == cohort.name).sum()),
        )
        for cohort in cohorts
    )


def chosen_rows(choice: Choice, pool: Pool) -> tuple[ChosenRow, ...]:
    """Return the rows of a selection, most valuable first, with rounded numbers.

    Args:
        choice: the choice of a round.
        pool: the utterances that it could choose from.
    """
    selection = choice.selection
    places = {utterance: place for place, utterance in enumerate(pool.utterance_ids.tolist())}
    rows = np.array([places[utterance] for utterance in selection.utterance_ids.tolist()], np.intp)
    locales = pool.slices.get("locale", np.full(len(pool), ""))[rows]
    columns = zip(
        selection.utterance_ids.tolist(),
        selection.reasons.tolist(),
        selection.asks.tolist(),
        np.round(selection.scores, 4).tolist(),
        np.round(selection.inclusion_probs, 4).tolist(),
        np.round(selection.costs, 1).tolist(),
        np.round(pool.predictions.column("duration")[rows].astype(np.float64), 2).tolist(),
        locales.tolist(),
        np.round(choice.risks, 3).tolist(),
        strict=True,
    )
    return tuple(ChosenRow(*values) for values in columns)
