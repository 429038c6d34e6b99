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


@dataclass(frozen=True, slots=True)
class RequestFigures(Result):
    """How many clips of the pool are believed to be no requests.

    Attributes:
        clips: in the pool.
        none: share of them that is expected to be no request.
        left_out: how many are not chosen to learn from for that.
        doubtful: about how many only "was the assistant meant" would be asked.
        verdicts: clips with a verdict from which this was learned.
        verdicts_none: how many of these are no requests.
        auc: how well it separates the verdicts of both kinds, each judged without itself; None with too few.
    """

    clips: int
    none: float
    left_out: int
    doubtful: int
    verdicts: int
    verdicts_none: int
    auc: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleEvidence(Result):
    """What the choice learned from earlier answers, without centres, curves or embeddings.

    Attributes:
        known: labelled rows that it could learn from.
        calibration: how well the measures predict errors, by kind of error.
        expected_errors: of the chosen utterances and of the pool.
        costs: annotator seconds, by question.
        cohorts: groups of utterances with clearly more errors.
        requests: clips that are believed to be no requests.
    """

    known: EvidenceCounts | None = None
    calibration: Mapping[str, Reliability] | None = None
    expected_errors: ExpectedErrors | None = None
    costs: Mapping[str, QuestionCost] | None = None
    cohorts: Sequence[CohortChoice] | None = None
    requests: RequestFigures | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> SampleEvidence:
        """Return the evidence in a document that `to_json` made; keys of other figures are ignored."""
        from sampling.choice_summary import CohortChoice
        from sampling.reliability import Reliability

        known, expected, calibration, costs, cohorts, requests = (
            document.get(name) for name in ("known", "expected_errors", "calibration", "costs", "cohorts", "requests")
        )
        return cls(
            known=None if known is None else EvidenceCounts(**known),
            calibration=None if calibration is None else {k: Reliability(**row) for k, row in calibration.items()},
            expected_errors=None if expected is None else ExpectedErrors(**expected),
            costs=None if costs is None else {ask: QuestionCost(**row) for ask, row in costs.items()},
            cohorts=None if cohorts is None else tuple(CohortChoice(**row) for row in cohorts),
            requests=None if requests is None else RequestFigures(**requests),
        )
