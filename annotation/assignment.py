"""People: who is asked what. Audit rows twice, others once, more where answers disagree; nobody the same clip twice.

Everything here works on ids, counts and the settings' list of people; whose turn it is follows from ids by a hash, so
neither a restart nor the order of the tasks changes it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, field_validator

from corpus.records.base import AssignmentKind, digest

if TYPE_CHECKING:
    from corpus.tables.annotations import AnswerRow
    from corpus.tables.labels import LabelRow
    from corpus.tables.people import Assignment
    from corpus.tables.rounds import TaskRow


class Person(BaseModel):
    """An annotator.

    Attributes:
        annotator_id: The name in answers, and of the person's folder of tasks.
        locales: Which locales the person understands, such as en-GB; empty for all.
        hours: How long the person works a day [h].
        login: E-mail address or user name in Label Studio; `annotator_id` where empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    annotator_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")
    locales: tuple[str, ...] = ()
    hours: float = Field(default=9.0, gt=0.0, le=24.0)
    login: str = ""

    def understands(self, locale: str) -> bool:
        """Say whether clips of this locale may be put before the person."""
        return not self.locales or locale in self.locales


class PeopleSettings(BaseModel):
    """Who is asked, how many of them, and how much.

    Attributes:
        people: Who annotates. Without any, tasks are open to whoever has the task folder, and one answer is enough.
        audit_answers: How many people answer an audit row.
        other_answers: How many people answer any other row.
        most_answers: How many people are asked at most where the answers disagree.
        clips_per_shift: Most short clips that a person listens to in `shift_hours`; 1,000 is the known ceiling.
        shift_hours: Length of the shift that `clips_per_shift` is for [h].
        gold_share: Settled clips that are asked again, as a share of a person's tasks; they show whom to believe.
        gold_answers: How many people must have settled a clip, in full agreement, before it may be asked again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: tuple[Person, ...] = ()
    audit_answers: int = Field(default=2, ge=1)
    other_answers: int = Field(default=1, ge=1)
    most_answers: int = Field(default=3, ge=1)
    clips_per_shift: int = Field(default=600, ge=1, le=1000)
    shift_hours: float = Field(default=9.0, gt=0.0)
    gold_share: float = Field(default=0.05, ge=0.0, le=1.0)
    gold_answers: int = Field(default=2, ge=1)

    @field_validator("people")
    @classmethod
    def _once(cls, value: tuple[Person, ...]) -> tuple[Person, ...]:
        if len({person.annotator_id for person in value}) < len(value):
            raise ValueError("somebody stands twice; give each annotator_id once")
        return value

    def answers_for(self, reason: str) -> int:
        """Return how many people a row chosen for this reason is put before; one where nobody is listed."""
        if not self.people:
            return 1
        return min(len(self.people), self.audit_answers if reason == "audit" else self.other_answers)

    def capacity(self, person: Person) -> int:
        """Return how many clips the person hears a day."""
        return int(self.clips_per_shift * person.hours / self.shift_hours)

    def clips_by_locale(self, locales: Sequence[str]) -> dict[str, int]:
        """Return how many clips a day can be heard in each locale; who understands several is counted in each."""
        return {
            locale: sum(self.capacity(person) for person in self.people if person.understands(locale))
            for locale in sorted(locales)
        }


@dataclass(frozen=True, slots=True)
class Need:
    """A task that needs people.

    Attributes:
        task_id, locale: of its clip.
        count: how many more are to be asked.
        kind: why.
        barred: people who may not be asked: they answered or hold it already.
    """

    task_id: str
    locale: str
    count: int
    kind: AssignmentKind
    barred: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """Who gets what: (task, person, kind) in the order of the needs; and the tasks for which somebody is missing."""

    given: list[tuple[str, str, AssignmentKind]] = field(default_factory=list)
    short: list[str] = field(default_factory=list)


def verdicts(answers: Iterable[AnswerRow]) -> dict[str, dict[str, str]]:
    """Return everyone's verdict on each utterance: utterance -> annotator -> verdict, help included."""
    found: dict[str, dict[str, str]] = {}
    for row in answers:
        found.setdefault(row.utterance_id, {})[row.annotator_id] = row.verdict
    return found


def needs_of(
    tasks: Sequence[TaskRow],
    held: Sequence[Assignment],
    said: Mapping[str, Mapping[str, str]],
    locales: Mapping[str, str],
    settings: PeopleSettings,
) -> list[Need]:
    """Return which open tasks need more people, how many and why, in the order of the tasks.

    Args:
        tasks: open ones.
        held: who was asked what.
        said: see `verdicts`.
        locales: utterance id -> locale.
        settings: see `PeopleSettings`.
    """
    holding: dict[str, set[str]] = {}
    for each in held:
        if each.waits and each.kind != "gold":
            holding.setdefault(each.utterance_id, set()).add(each.annotator_id)
    found = []
    for row in tasks:
        answers, waiting = said.get(row.utterance_id, {}), holding.get(row.utterance_id, set())
        voices = sum(verdict != "help" for verdict in answers.values())
        base = settings.answers_for(row.reason)
        # An open task that has its answers is one that they did not settle.
        wanted = max(base, min(voices + 1, settings.most_answers)) if answers else base
        count = wanted - voices - len(waiting)
        kind: AssignmentKind = "first"
        if "help" in answers.values():
            kind = "help"
        elif voices >= base:
            kind = "more"
        elif voices or waiting:
            kind = "second"
        if count > 0:
            barred = frozenset({*answers, *waiting})
            found.append(Need(row.task_id, locales[row.utterance_id], count, kind, barred))
    return found


def settled_tasks(
    tasks: Sequence[TaskRow], labels: Sequence[LabelRow], closed: Collection[str], settings: PeopleSettings
) -> list[str]:
    """Return the tasks that may be gold: answered, and enough people agreed in full; sorted.

    Args:
        tasks: of all rounds.
        labels: current ones.
        closed: ids of utterances that may not be opened.
        settings: see `PeopleSettings`.
    """
    sure = {
        row.utterance_id
        for row in labels
        if row.annotators >= settings.gold_answers and row.agreement >= 0.999 and row.source == "annotators"
    }
    return sorted(
        row.task_id
        for row in tasks
        if row.state == "answered" and row.utterance_id in sure and row.utterance_id not in closed
    )


def assign(needs: Sequence[Need], load: Mapping[str, int], days: float, settings: PeopleSettings, seed: int) -> Plan:
    """Return who is asked what, most valuable first, each task by different people.

    Among those who understand the locale and have room, whoever has the smallest share of their capacity filled is
    next; among equals a hash of seed, task and person decides.

    Args:
        needs: in order of value.
        load: annotator -> tasks that they hold.
        days: over which a person's capacity counts.
        settings: see `PeopleSettings`.
        seed: of the hash.
    """
    room = {person.annotator_id: max(1.0, settings.capacity(person) * days) for person in settings.people}
    held = {who: load.get(who, 0) for who in room}
    plan = Plan()
    for need in needs:
        able = [p.annotator_id for p in settings.people if p.understands(need.locale)]
        free = [who for who in able if who not in need.barred and held[who] < room[who]]
        free.sort(key=lambda who: (held[who] / room[who], digest([seed, need.task_id, who])))
        for who in free[: need.count]:
            held[who] += 1
            plan.given.append((need.task_id, who, need.kind))
        if len(free) < need.count:
            plan.short.append(need.task_id)
    return plan


def rotate_gold(
    settled: Mapping[str, Collection[str]], locales: Mapping[str, str], load: Mapping[str, int], turn: str,
    settings: PeopleSettings, seed: int,
) -> list[tuple[str, str, AssignmentKind]]:  # fmt: skip
    """Return which settled tasks are asked again of whom: a share of each person's load, other ones at each turn.

    Args:
        settled: task id -> people who know the clip already.
        locales: task id -> locale of its clip.
        load: annotator -> tasks that they are given this time; nobody without any gets gold.
        turn: name of the round; another turn draws other clips.
        settings: see `PeopleSettings`.
        seed: of the draw.
    """
    given: list[tuple[str, str, AssignmentKind]] = []
    for person in settings.people:
        who = person.annotator_id
        count = round(settings.gold_share * load.get(who, 0) + _uniform([seed, turn, who, "gold"]) - 0.5)
        able = [task for task, known in settled.items() if who not in known and person.understands(locales[task])]
        able.sort(key=lambda task: digest([seed, turn, who, task]))
        given += [(task, who, "gold") for task in able[: max(0, count)]]
    return given


def _uniform(key: list[object]) -> float:
    return int(digest(key)[:13], 16) / 16**13
