"""What the choice of a round learned from earlier answers, in figures and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.rounds.annotation_costs import QuestionCost
from flows.runtime.results import Result

if TYPE_CHECKING:
    from sampling.choice_summary import CohortChoice
    from sampling.reliability import Reliability


@dataclass(frozen=True, slots=True)
class EvidenceCounts(Result):
    """How many labelled rows the choice could learn from; see `LabelEvidence`."""

    labelled: int
    scored: int
    unseen: int


@dataclass(frozen=True, slots=True)
class ExpectedErrors(Result):
    """Mean number of expected errors of an utterance.

    Attributes:
        chosen: of those chosen for training; None where there are none.
        pool: of all utterances in the pool.
    """

    chosen: float | None
    pool: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleEvidence(Result):
    """What the choice learned from earlier answers, without centres, curves or embeddings.

    Attributes:
        known: labelled rows that it could learn from.
        calibration: how well the measures predict errors, by kind of error.
        expected_errors: of the chosen utterances and of the pool.
        costs: annotator seconds, by question.
        cohorts: groups of utterances with clearly more errors.
    """

    known: EvidenceCounts | None = None
    calibration: Mapping[str, Reliability] | None = None
    expected_errors: ExpectedErrors | None = None
    costs: Mapping[str, QuestionCost] | None = None
    cohorts: Sequence[CohortChoice] | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> SampleEvidence:
        """Return the evidence in a document that `to_json` made; keys of other figures are ignored."""
        from sampling.choice_summary import CohortChoice
        from sampling.reliability import Reliability

        known, expected, calibration, costs, cohorts = (
            document.get(name) for name in ("known", "expected_errors", "calibration", "costs", "cohorts")
        )
        return cls(
            known=None if known is None else EvidenceCounts(**known),
            calibration=None if calibration is None else {k: Reliability(**row) for k, row in calibration.items()},
            expected_errors=None if expected is None else ExpectedErrors(**expected),
            costs=None if costs is None else {ask: QuestionCost(**row) for ask, row in costs.items()},
            cohorts=None if cohorts is None else tuple(CohortChoice(**row) for row in cohorts),
        )
