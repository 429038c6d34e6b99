"""What became of the utterances of one night: the funnel from received to learned, the choice, and people's minutes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

import sqlalchemy as sa

from corpus.tables import annotations as annotations_table
from corpus.tables import labels, night_funnel, nights, rounds
from corpus.tables.annotations import AnswerRow
from corpus.tables.night_funnel import ArrivedUtterance
from corpus.tables.rounds import RoundRow
from flows.nights.night import Night, last_night, night_of
from flows.runtime.results import Result
from flows.runtime.settings import NightSettings

CAME_AFTER: Final = "came in after the round"
"""Why an utterance was not chosen that a later round has."""


@dataclass(frozen=True, slots=True)
class FunnelStep(Result):
    """One step of the funnel.

    Attributes:
        step: its name.
        count: how many utterances (of `received`: manifest rows) got as far.
        lost: those of the step before that did not, by reason.
    """

    step: str
    count: int
    lost: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Funnel(Result):
    """The funnel of a night.

    Attributes:
        steps: received, accepted, scored, chosen, answered, labelled, learned.
        late: chosen utterances that arrived before the night and were ingested after its round.
        after: scored utterances of the night that were ingested after its round was chosen, so that a later one has
            them.
    """

    steps: tuple[FunnelStep, ...]
    late: int
    after: int = 0

    def count(self, step: str) -> int:
        """Return how many utterances got as far as a step."""
        return next(each.count for each in self.steps if each.step == step)


@dataclass(frozen=True, slots=True)
class ChoiceRow(Result):
    """How many utterances were chosen for one reason with one question, and the annotator time expected [min]."""

    reason: str
    ask: str
    chosen: int
    minutes_expected: float


@dataclass(frozen=True, slots=True)
class MinutesRow(Result):
    """The answers to the round of one night: how many, how long they took, and the minutes of all nights so far."""

    night: str
    answers: int
    minutes_spent: float
    minutes_so_far: float


def funnel(conn: sa.Connection, settings: NightSettings, night: Night) -> Funnel:
    """Return the funnel of a night. Every count is of today: an answer that comes later counts in its night."""
    arrived = night_funnel.arrived(conn, night.start, night.end)
    refused = _refused(conn, settings, night)
    scored = [each for each in arrived if each.scored]
    reasons = {
        utterance_id: reason
        for row in rounds.rounds(conn)
        if row.night == night.name
        for utterance_id, reason in night_funnel.chosen_ids(conn, row.round).items()
    }
    here = {each.utterance_id for each in arrived}
    late = sum(utterance_id not in here for utterance_id in reasons)
    after = _after_the_round(conn, night, [each for each in scored if each.utterance_id not in reasons])
    not_chosen = len(scored) - after + late - len(reasons)
    return Funnel(
        steps=(
            FunnelStep("received", len(arrived) + sum(refused.values())),
            FunnelStep("accepted", len(arrived), refused),
            FunnelStep("scored", len(scored), _unscored(arrived)),
            FunnelStep("chosen", len(reasons), _some({"not chosen": not_chosen, CAME_AFTER: after})),
            *_after_the_choice(conn, night, reasons),
        ),
        late=late,
        after=after,
    )


def _after_the_round(conn: sa.Connection, night: Night, among: Sequence[ArrivedUtterance]) -> int:
    """Return how many of the utterances were ingested after the night's round was chosen; 0 before there is one."""
    up_to = next((frame.up_to for frame in nights.frames(conn) if frame.night == night.name), None)
    return 0 if up_to is None else sum(each.order > up_to for each in among)


def choice(conn: sa.Connection, night: str) -> tuple[ChoiceRow, ...]:
    """Return what the round of a night chose, by reason and question."""
    return tuple(
        ChoiceRow(row.reason, row.ask, row.count, round(row.seconds / 60.0, 4))
        for each in rounds.rounds(conn)
        if each.night == night
        for row in night_funnel.chosen(conn, each.round)
    )


def minutes_by_night(conn: sa.Connection, last: str) -> tuple[MinutesRow, ...]:
    """Return the annotators' answers and minutes by night, oldest first, up to the night `last`."""
    night_of = {row.round: row.night for row in rounds.rounds(conn) if row.night <= last}
    seconds: dict[str, list[float]] = {night: [] for night in sorted(night_of.values())}
    for row in annotations_table.latest_answers(conn):
        if row.round in night_of:
            seconds[night_of[row.round]].append(row.lead_time)
    so_far = accumulate(sum(of_night) for of_night in seconds.values())
    return tuple(
        MinutesRow(night, len(of_night), round(sum(of_night) / 60.0, 1), round(total / 60.0, 1))
        for (night, of_night), total in zip(seconds.items(), so_far, strict=True)
    )


def round_of(conn: sa.Connection, night: str) -> RoundRow | None:
    """Return the round of a night; None where it was not chosen yet."""
    return next((row for row in rounds.rounds(conn) if row.night == night), None)


def _refused(conn: sa.Connection, settings: NightSettings, night: Night) -> dict[str, int]:
    """Return the refused manifest rows by reason; those of a batch without an accepted row count when it came."""
    found: Counter[str] = Counter()
    for rows in night_funnel.refused_beside_accepted(conn, night.start):
        if rows.moment < night.end:
            found[rows.reason] += rows.count
    for rows in night_funnel.refused_alone(conn):
        night_of_rows = (night_of if rows.arrived else last_night)(rows.moment, settings.time_zone, settings.ends_at)
        if night_of_rows.name == night.name:
            found[rows.reason] += rows.count
    return _sorted(found)


def _unscored(arrived: Sequence[ArrivedUtterance]) -> dict[str, int]:
    names = {"accepted": "not scored yet", "set_aside": "set aside", "erased": "erased"}
    names["expired"] = "ended by retention"
    return _sorted(Counter(names[each.state] for each in arrived if not each.scored))


def _after_the_choice(conn: sa.Connection, night: Night, reasons: Mapping[str, str]) -> list[FunnelStep]:
    """Return the steps answered, labelled and learned of the utterances that were chosen, each with its reason."""
    round_names = [row.round for row in rounds.rounds(conn) if row.night == night.name]
    answers = [row for name in round_names for row in annotations_table.latest_answers(conn, name)]
    answered = {row.utterance_id for row in answers if row.verdict != "help"} & set(reasons)
    states = {row.utterance_id: row.state for name in round_names for row in rounds.tasks(conn, name)}
    waiting = {"open": "waiting to be exported", "exported": "waiting for an answer", "closed": "closed unanswered"}
    unanswered = Counter(waiting.get(states.get(i, "open"), "asked for help") for i in set(reasons) - answered)
    labelled = {row.utterance_id for row in labels.current(conn, sorted(answered))}
    unlabelled = Counter(_verdict(i, answers) for i in answered - labelled)
    used = night_funnel.roles(conn, sorted(labelled))
    learned = {i for i in labelled if i in used and used[i]["train"]}
    unlearned = Counter(_use(reasons[i], used.get(i, Counter())) for i in labelled - learned)
    return [
        FunnelStep("answered", len(answered), _sorted(unanswered)),
        FunnelStep("labelled", len(labelled), _sorted(unlabelled)),
        FunnelStep("learned", len(learned), _sorted(unlearned)),
    ]


def _verdict(utterance_id: str, answers: Sequence[AnswerRow]) -> str:
    """Return why an answered utterance has no label: a verdict of its answers, or that they gave none."""
    verdicts = sorted({row.verdict for row in answers if row.utterance_id == utterance_id} - {"labelled", "help"})
    return verdicts[0].replace("_", " ") if verdicts else "no label from the answers"


def _use(reason: str, used: Mapping[str, int]) -> str:
    """Return what a label that no version learned from is used for."""
    if reason == "audit" or used.get("audit"):
        return "audit rows, which judge and never teach"
    return "dev rows, on which trainings are checked" if used.get("dev") else "not in a version yet"


def _some(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count > 0}


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts above 0, the largest first."""
    return dict(sorted(_some(counts).items(), key=lambda pair: (-pair[1], pair[0])))
