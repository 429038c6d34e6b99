"""Costs of questions to annotators in seconds, learned from the lead times of their answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np

from corpus.handle import Corpus
from corpus.records.base import Ask
from corpus.tables import annotations as annotations_table
from corpus.tables import rounds, scores
from flows.runtime.results import Result
from flows.runtime.settings import LearnedSettings
from sampling.cost import MIN_ROWS, CostModel, fit_costs


@dataclass(frozen=True, slots=True)
class QuestionCost(Result):
    """The cost of one question: base + per_second * duration + per_token * tokens [annotator seconds].

    Attributes:
        base, per_second, per_token: the coefficients.
        answers: number of timed answers to the question so far.
        learned: whether the answers are enough to learn from; if not, the coefficients are those of the settings.
    """

    base: float
    per_second: float
    per_token: float
    answers: int
    learned: bool


def fitted_costs(corpus: Corpus, settings: LearnedSettings, prior: CostModel) -> tuple[CostModel, dict[str, int]]:
    """Return the costs fitted to the lead times of the newest answers, and the number of timed answers by question.

    A question with few answers keeps its cost in `prior`.
    """
    with corpus.read() as conn:
        order = {row.round: k for k, row in enumerate(rounds.rounds(conn))}
        answers = [row for row in annotations_table.latest_answers(conn) if row.lead_time > 0]
    answers.sort(key=lambda row: (-order.get(row.round, -1), row.task_id, row.annotator_id))
    answers = answers[: settings.answers]
    tokens = scores.column(corpus, sorted({row.utterance_id for row in answers}), "num_tokens")
    answers = [row for row in answers if row.utterance_id in tokens]
    asks = np.array([row.ask for row in answers], dtype=np.str_)
    fitted = fit_costs(
        asks,
        np.array([row.duration for row in answers]),
        np.array([tokens[row.utterance_id] for row in answers]),
        np.array([row.lead_time for row in answers]),
        prior=prior,
    )
    return fitted, dict(sorted(Counter(asks.tolist()).items()))


def costs_by_question(costs: CostModel, answers: Mapping[str, int]) -> dict[str, QuestionCost]:
    """Return the cost of each question, with its number of timed answers and whether the cost was learned."""
    return {ask: _question_cost(costs, ask, answers.get(ask, 0)) for ask in get_args(Ask)}


def _question_cost(costs: CostModel, ask: str, answers: int) -> QuestionCost:
    cost = costs.of(ask)
    return QuestionCost(cost.base, cost.per_second, cost.per_token, answers, answers >= MIN_ROWS)
