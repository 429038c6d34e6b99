"""Results of an estimate of the traffic: what became of the audit rows, and rates with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from corpus.records.base import Kind
from corpus.records.evaluation import Interval
from flows.runtime.results import Result

FIGURES: Final = ("wer", "intent_error", "end_to_end_success", "accidental", "nonresponse")
"""The rates that are estimated, in the order of tables."""


@dataclass(frozen=True, slots=True)
class AuditCounts(Result):
    """What became of the audit rows; drawn = labelled + accidental + unlabelled + waiting + closed.

    Attributes:
        drawn: how many were drawn.
        labelled: have a label.
        accidental: have none, as nobody meant the device.
        unlabelled: answered, but nobody could label them: non-response. The other rates leave these rows out.
        waiting: not answered yet.
        closed: may not be opened any more: erased, set aside, consent withdrawn, or too old.
    """

    drawn: int
    labelled: int
    accidental: int
    unlabelled: int
    waiting: int
    closed: int

    @property
    def answered(self) -> int:
        """Return how many were answered and are not closed."""
        return self.labelled + self.accidental + self.unlabelled

    def to_json(self) -> dict[str, Any]:
        """Return the counts, with those that were answered."""
        return {"answered": self.answered, **Result.to_json(self)}


@dataclass(frozen=True, slots=True)
class SliceEstimate(Result):
    """The rates of one slice of the traffic.

    Attributes:
        slice: `dimension=value`.
        rows, speakers: its labelled audit rows, and their speakers.
        thin: whether these are too few to conclude from.
        rates: by figure, with 95 % intervals by speaker; None where there are too few speakers.
    """

    slice: str
    rows: int
    speakers: int
    thin: bool
    rates: Mapping[str, Interval | None]


@dataclass(frozen=True, slots=True)
class TrafficEstimate(Result):
    """The rates of the traffic of some nights, with the present champions, in ids, counts and rates alone.

    Attributes:
        first, last: first and last night that has a round.
        nights: how many of them have one.
        arrivals: how many scored utterances their rounds chose from: the traffic that the rates are of.
        represented: estimated share of the arrivals that labelled and accidental rows stand for.
        rest: the other shares by what they are, those above 0 alone; with `represented` they add up to 1. No round can
            choose `labelled_before` (came with a label) and `not_allowed` (the customer allows no annotation);
            `waiting`, `closed` and `unlabelled` are of audit rows; `draw` is the chance of the draw.
        versions: the champions, by kind.
        audit: what became of the audit rows.
        rates: by figure of `FIGURES`, with 95 % intervals by speaker; None where there are too few speakers.
        slices: the same for each slice that was asked for.
        too_few: why nothing can be said; None where something can.
    """

    first: str = field(metadata={"key": "from"})
    last: str = field(metadata={"key": "to"})
    nights: int
    arrivals: int
    represented: float
    rest: Mapping[str, float]
    versions: Mapping[Kind, str]
    audit: AuditCounts
    rates: Mapping[str, Interval | None]
    slices: tuple[SliceEstimate, ...] = ()
    too_few: str | None = None
