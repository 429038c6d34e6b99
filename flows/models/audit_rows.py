"""The audit rows that the rounds of some nights drew, and what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from corpus import door
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records.base import Strings
from corpus.tables import annotations as annotations_table
from corpus.tables import labels, retention, rounds, scores, utterances
from corpus.tables.retention import retention_limits
from corpus.tables.rounds import RoundRow
from corpus.vault import consent
from flows.nights.sampling_frame import frames_of
from flows.runtime.settings import NightSettings

Outcome = Literal["labelled", "accidental", "unlabelled", "waiting", "closed"]
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)


@dataclass(frozen=True, slots=True)
class AuditRows:
    """The N audit rows of some nights, sorted by id.

    Attributes:
        nights: names of the nights that have a round, oldest first.
        arrivals: how many scored utterances the rounds of these nights chose from.
        utterance_ids, speaker_ids: (N,) str.
        inclusion_probs: (N,) float64 in (0, 1], as they were logged at the draw.
        outcomes: (N,) str, each one of `OUTCOMES`. `labelled`: it has a label. `accidental`: it has none, and most
            answers say that nobody meant the device. `unlabelled`: answered, and neither of these. `waiting`: no answer
            yet. `closed`: it may not be opened any more, or became a held-out row.
        recent: (N,) bool, whether it arrived so lately that `corpus.retention_days` closes no row without a label. Of
            older rows only the labelled ones are left, so they do not show how many have no label.
        slices: (N,) str by dimension: locale, device and the attributes of the manifest; "" where a row has none.
        labelled_before: how many of the arrivals no round could choose as they came with a label.
        not_allowed: how many others it could not, as their customer allows no annotation now.
    """

    nights: tuple[str, ...]
    arrivals: int
    utterance_ids: Strings
    speaker_ids: Strings
    inclusion_probs: npt.NDArray[np.float64]
    outcomes: Strings
    recent: npt.NDArray[np.bool_]
    slices: dict[str, Strings]
    labelled_before: int = 0
    not_allowed: int = 0

    def among(self, *outcomes: Outcome) -> npt.NDArray[np.bool_]:
        """Return which rows have one of the outcomes, (N,) bool."""
        found: npt.NDArray[np.bool_] = np.isin(self.outcomes, outcomes)
        return found


def audit_rows(corpus: Corpus, when: NightSettings, first: str | None, last: str | None) -> AuditRows:
    """Return the audit rows of the rounds from night `first` to night `last`; None for no limit.

    Args:
        corpus: the handle.
        when: when nights close, as it was when they were sampled.
        first: name of the first night.
        last: name of the last night.

    Raises:
        UsageError: no night has a round, or none of these.
    """
    with corpus.read() as conn:
        within = _rounds_within(rounds.rounds(conn), first, last)
        drawn = _drawn(conn, within)
        ids = sorted(drawn)
        outcomes = outcomes_of(corpus, conn, ids)
        columns = utterances.pool_columns(conn, ids)
        arrived = [utterance.arrived_at for utterance in utterances.get(conn, ids)]
        before, not_allowed = _never_drawn(corpus, conn, when, within)
    oldest, _ = retention_limits(corpus)
    return AuditRows(
        nights=tuple(dict.fromkeys(row.night for row in within)),
        arrivals=sum(row.pool_size for row in within),
        utterance_ids=np.array(ids, np.str_),
        speaker_ids=speakers_of(ids, columns.speaker_ids),
        inclusion_probs=np.array([drawn[i] for i in ids], np.float64),
        outcomes=np.array(outcomes, np.str_),
        recent=np.array([moment >= oldest for moment in arrived], np.bool_),
        slices={"locale": columns.locales, "device": columns.device_types, **columns.attributes},
        labelled_before=before,
        not_allowed=not_allowed,
    )


def speakers_of(ids: Sequence[str], speaker_ids: Strings) -> Strings:
    """Return the speakers of utterances; one of which it is not known any more counts as a speaker of its own."""
    unknown = np.array([f"unknown {i}" for i in ids], np.str_)
    return np.where(speaker_ids == "", unknown, speaker_ids)


def outcomes_of(corpus: Corpus, conn: sa.Connection, ids: Sequence[str]) -> list[Outcome]:
    """Return what became of each of the audit rows, see `AuditRows.outcomes`."""
    ended = retention.ended_as(conn, ids)
    # an accidental activation is kept a day: what it was is known all the same, and the traffic has no fewer of them
    closed = {i for i in door.closures(corpus, conn, ids, "judge") if ended.get(i) != "accidental"}
    found = labels.current(conn, ids)
    answers = annotations_table.answers_by_utterance(conn, ids)
    closed |= {row.utterance_id for row in found if row.reason == "held_out"}
    labelled = {row.utterance_id for row in found}
    verdicts = {i: [each.verdict for each in given] for i, given in answers.items()}
    return [_outcome(i in closed, i in labelled, verdicts.get(i, [])) for i in ids]


def _never_drawn(
    corpus: Corpus, conn: sa.Connection, when: NightSettings, within: Sequence[RoundRow]
) -> tuple[int, int]:
    """Return how many scored utterances of the rounds' frames have a label without being chosen, or no consent."""
    found = set(scores.first_versions(conn, sorted(frames_of(conn, when, {row.night for row in within}))))
    for row in within:
        found -= set(rounds.selection(conn, row.round).utterance_ids.tolist())
    before = {row.utterance_id for row in labels.current(conn, sorted(found))}
    others = sorted(found - before)
    return len(before), int((~consent.consenting(corpus.vault, others, "annotate")).sum())


def _rounds_within(of_home: Sequence[RoundRow], first: str | None, last: str | None) -> list[RoundRow]:
    """Return the rounds of the nights from `first` to `last`, sorted by night."""
    if not of_home:
        raise UsageError("no night has a round yet; earmark sample chooses one, with its audit rows")
    nights = sorted({row.night for row in of_home})
    within = [row for row in of_home if (first or nights[0]) <= row.night <= (last or nights[-1])]
    if not within:
        asked = f"{f' from {first}' if first else ''}{f' to {last}' if last else ''}"
        raise UsageError(f"no night{asked} has a round; those with one are from {nights[0]} to {nights[-1]}")
    return sorted(within, key=lambda row: row.night)


def _drawn(conn: sa.Connection, within: Sequence[RoundRow]) -> dict[str, float]:
    """Return the inclusion probability of each audit row of the rounds, by id."""
    drawn: dict[str, float] = {}
    for row in within:
        selection = rounds.selection(conn, row.round)
        audit = selection.reasons == "audit"
        ids, probs = selection.utterance_ids[audit].tolist(), selection.inclusion_probs[audit].tolist()
        drawn |= dict(zip(ids, probs, strict=True))
    return drawn


def _outcome(closed: bool, labelled: bool, verdicts: Sequence[str]) -> Outcome:
    """Return what became of a row; `verdicts` are of the latest answers, requests for help left out."""
    if closed:
        return "closed"
    if labelled:
        return "labelled"
    if not verdicts:
        return "waiting"
    return "accidental" if retention.is_accidental(verdicts) else "unlabelled"
