"""What promotion still waits for: audit rows and speakers, and for how many nights at the rate of the past rounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.models import Snapshot
from corpus.tables import labels, rounds
from flows.models.eval_set import judging_rows
from flows.runtime.results import Result

if TYPE_CHECKING:
    from training.evaluation.gate import PromotionSettings

NEWEST_ROUNDS: Final = 5
"""Number of rounds, the newest with labelled audit rows, from which the rate is taken."""

MIN_ROUNDS: Final = 2
"""Fewest rounds with labelled audit rows for a rate."""

ROWS: Final[dict[str, str]] = {"audit": "audit rows", "held_out": "held-out rows"}
"""What judges, in words, by `promotion.judged_on`."""


@dataclass(frozen=True, slots=True)
class PromotionWait(Result):
    """How many rows and speakers judge a kind of model, and how many the gate needs.

    Attributes:
        judged_on: `audit` or `held_out`.
        rows, speakers: labelled rows that judge, and their speakers.
        min_rows, min_speakers: how many the gate needs.
        rows_a_night, speakers_a_night: mean number of labelled audit rows, and of speakers who had none before, of the
            past rounds; None where there are too few rounds, or where held-out rows judge.
        nights: how many more nights it takes at this rate; 0 where the gate decides already, None where unknown.
    """

    judged_on: str
    rows: int
    speakers: int
    min_rows: int
    min_speakers: int
    rows_a_night: float | None
    speakers_a_night: float | None
    nights: int | None

    @property
    def text(self) -> str:
        """Return the wait in one line."""
        counts = ", ".join(
            f"{have} of {needed} {what}" if have < needed else f"{have} {what} are enough"
            for have, needed, what in (
                (self.rows, self.min_rows, ROWS[self.judged_on]),
                (self.speakers, self.min_speakers, "speakers"),
            )
        )
        if self.nights == 0:
            have = f"{self.rows} {ROWS[self.judged_on]} of {self.speakers} speakers"
            return f"{have}, enough ({self.min_rows} of {self.min_speakers}): the gate decides"
        if self.judged_on == "held_out":
            return f"{counts}; bring more labels that judge (held_out: true)"
        if self.rows_a_night is None or self.speakers_a_night is None:
            return f"{counts}; for how many more nights is unknown before {MIN_ROUNDS} rounds are answered"
        rate = f"at {self.rows_a_night:.3g} rows and {self.speakers_a_night:.3g} new speakers a night"
        if self.nights is None:
            return f"{counts}; for how many more nights is unknown {rate}"
        return f"{counts}; about {self.nights} more night{'s' if self.nights > 1 else ''} {rate}"


def promotion_wait(
    corpus: Corpus, gate: PromotionSettings, kind: Kind, snapshot: Snapshot | None = None
) -> PromotionWait:
    """Return what the promotion of a kind waits for.

    Args:
        corpus: the handle.
        gate: settings of the gate.
        kind: `asr` or `intent`.
        snapshot: its audit rows judge; that of today's labels where None.
    """
    rows = judging_rows(corpus, gate, kind) if snapshot is None else snapshot.of("audit")
    ids = [row.utterance_id for row in rows]
    with corpus.read() as conn:
        judging = labels.current(conn, ids)
        order = {row.round: place for place, row in enumerate(rounds.rounds(conn))}
    speakers_by_round: dict[int, list[str]] = {}
    for row in judging if gate.judged_on == "audit" else ():
        speakers_by_round.setdefault(order.get(row.round, -1), []).append(row.speaker_id)
    rows_a_night, speakers_a_night = _rates(speakers_by_round)
    speakers = len({row.speaker_id for row in judging})
    missing = gate.min_audit_rows - len(judging), gate.min_speakers - speakers
    return PromotionWait(
        judged_on=gate.judged_on,
        rows=len(judging),
        speakers=speakers,
        min_rows=gate.min_audit_rows,
        min_speakers=gate.min_speakers,
        rows_a_night=rows_a_night,
        speakers_a_night=speakers_a_night,
        nights=_nights(missing, (rows_a_night, speakers_a_night)),
    )


def _rates(speakers_by_round: Mapping[int, Sequence[str]]) -> tuple[float | None, float | None]:
    """Return rows and new speakers a round, by the newest rounds; the argument has the speaker of each row by round."""
    if len(speakers_by_round) < MIN_ROUNDS:
        return None, None
    seen: set[str] = set()
    gained = []
    for place in sorted(speakers_by_round):
        speakers = set(speakers_by_round[place])
        gained.append((len(speakers_by_round[place]), len(speakers - seen)))
        seen |= speakers
    newest = gained[-NEWEST_ROUNDS:]
    rows, new_speakers = (sum(column) / len(newest) for column in zip(*newest, strict=True))
    return rows, new_speakers


def _nights(missing: tuple[int, int], rates: tuple[float | None, float | None]) -> int | None:
    """Return after how many nights nothing is missing; None where a rate is unknown or 0."""
    nights = 0
    for count, rate in zip(missing, rates, strict=True):
        if count > 0:
            if not rate:
                return None
            nights = max(nights, math.ceil(count / rate))
    return nights
