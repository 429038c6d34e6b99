"""Assignment of tasks to annotators: audit rows to two, others to one, to more where answers disagree.

Nobody is asked about the same clip twice, except for gold. The module needs only ids, counts and the list of people.
Ties are broken by a hash of ids, so neither a restart nor the order of the tasks changes an assignment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, field_validator

from corpus.locales import canonical_locale
from corpus.records.base import AssignmentKind, digest

if TYPE_CHECKING:
    from datetime import datetime

    from corpus.tables.annotations import AnswerRow
    from corpus.tables.labels import LabelRow
    from corpus.tables.people import Assignment
    from corpus.tables.rounds import TaskRow


class Person(BaseModel):
    """An annotator.

    Attributes:
        annotator_id: Name of the person in answers, and of the person's folder of tasks.
        locales: Locales that the person understands, such as en-GB (also written en_gb); empty for all.
        hours: How long the person works a day [h].
        login: E-mail address or user name in Label Studio; `annotator_id` where empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    annotator_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")
    locales: tuple[str, ...] = ()
    hours: float = Field(default=9.0, gt=0.0, le=24.0)
    login: str = ""

    @field_validator("locales")
    @classmethod
    def _canonical(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(canonical_locale(locale) for locale in value))

    def understands(self, locale: str) -> bool:
        """Return whether the person understands this locale."""
        return not self.locales or locale in self.locales


class PeopleSettings(BaseModel):
    """The annotators, how many of them answer a task, and how much they can do.

    Attributes:
        people: The annotators. Without any, tasks are open to everybody with the task folder, and one answer is enough.
        audit_answers: How many people answer an audit row.
        other_answers: How many people answer any other row.
        most_answers: How many people are asked at most where the answers disagree.
        clips_per_shift: Most short clips that a person listens to in `shift_hours`; 1,000 is the known ceiling.
        shift_hours: Length of the shift that `clips_per_shift` is for [h].
        gold_share: Settled clips that are asked again, as a share of a person's tasks, to estimate reliability.
        gold_answers: How many people must agree in full on a clip before it may be asked again.
        privacy_officers: Logins of the people who may run `earmark access`, which shows what is held about a customer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    people: tuple[Person, ...] = ()
    audit_answers: int = Field(default=2, ge=1, le=1000)
    other_answers: int = Field(default=1, ge=1, le=1000)
    most_answers: int = Field(default=3, ge=1, le=1000)
    clips_per_shift: int = Field(default=600, ge=1, le=1000)
    shift_hours: float = Field(default=9.0, gt=0.0, le=168.0)
    gold_share: float = Field(default=0.05, ge=0.0, le=1.0)
    gold_answers: int = Field(default=2, ge=1, le=1000)
    privacy_officers: tuple[str, ...] = ()

    @field_validator("people")
    @classmethod
    def _each_once(cls, value: tuple[Person, ...]) -> tuple[Person, ...]:
        if len({person.annotator_id for person in value}) < len(value):
            raise ValueError("an annotator_id appears twice; give each once")
        return value

    def answers_for(self, reason: str) -> int:
        """Return how many people answer a row with this reason; one where nobody is listed."""
        if not self.people:
            return 1
        return min(len(self.people), self.audit_answers if reason == "audit" else self.other_answers)

    def unlisted(self, annotator_ids: Iterable[str]) -> dict[str, int]:
        """Return how many answers each person gave who is not listed, by id; none where nobody is listed."""
        listed = {person.annotator_id for person in self.people}
        counts = Counter(each for each in annotator_ids if listed and each not in listed)
        return dict(sorted(counts.items()))

    def left_for(self, locale: str, answered: Collection[str]) -> bool:
        """Return whether somebody is listed who understands the locale and has not answered."""
        return any(each.understands(locale) and each.annotator_id not in answered for each in self.people)

    def capacity(self, person: Person) -> int:
        """Return how many clips a day the person can answer."""
        return int(self.clips_per_shift * person.hours / self.shift_hours)

    def day_of(self, person: Person) -> int:
        """Return how many clips the person may have on a day, at least one."""
        return max(1, self.capacity(person))

    def clips_by_locale(self, locales: Sequence[str]) -> dict[str, int]:
        """Return how many clips a day can be answered in each locale; a person counts in each of theirs."""
        return {
            locale: sum(self.capacity(person) for person in self.people if person.understands(locale))
            for locale in sorted(locales)
        }


@dataclass(frozen=True, slots=True)
class Need:
    """A task that needs more annotators.

    Attributes:
        task_id: of the task.
        locale: of its clip.
        count: how many more people are needed.
        kind: why they are needed.
        barred: people who may not be asked, since they answered the task or have it already.
    """

    task_id: str
    locale: str
    count: int
    kind: AssignmentKind
    barred: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """New assignments.

    Attributes:
        given: (task id, annotator id, kind) in the order of the needs.
        short: ids of tasks with too few people who are free.
    """

    given: list[tuple[str, str, AssignmentKind]] = field(default_factory=list)
    short: list[str] = field(default_factory=list)


def verdicts(answers: Iterable[AnswerRow]) -> dict[str, dict[str, str]]:
    """Return the verdicts on each utterance: utterance id -> annotator id -> verdict, `help` included."""
    found: dict[str, dict[str, str]] = {}
    for row in answers:
        found.setdefault(row.utterance_id, {})[row.annotator_id] = row.verdict
    return found


def needs_of(
    tasks: Sequence[TaskRow],
    assignments: Sequence[Assignment],
    verdicts: Mapping[str, Mapping[str, str]],
    locales: Mapping[str, str],
    settings: PeopleSettings,
) -> list[Need]:
    """Return which open tasks need more people, how many and why, in the order of the tasks.

    Args:
        tasks: open ones.
        assignments: of these tasks so far.
        verdicts: utterance id -> annotator id -> verdict, see the function `verdicts`.
        locales: utterance id -> locale.
        settings: see `PeopleSettings`.
    """
    assigned: dict[str, set[str]] = {}
    for each in assignments:
        if each.waits and each.kind != "gold":
            assigned.setdefault(each.utterance_id, set()).add(each.annotator_id)
    found = []
    for row in tasks:
        answers, waiting = verdicts.get(row.utterance_id, {}), assigned.get(row.utterance_id, set())
        answered = sum(verdict != "help" for verdict in answers.values())
        base = settings.answers_for(row.reason)
        # A task that is open although it has all its answers has a conflict.
        wanted = max(base, min(answered + 1, settings.most_answers)) if answers else base
        count = wanted - answered - len(waiting)
        kind: AssignmentKind = "first"
        if "help" in answers.values():
            kind = "help"
        elif answered >= base:
            kind = "more"
        elif answered or waiting:
            kind = "second"
        if count > 0:
            barred = frozenset({*answers, *waiting})
            found.append(Need(row.task_id, locales[row.utterance_id], count, kind, barred))
    return found


def settled_tasks(
    tasks: Sequence[TaskRow], labels: Sequence[LabelRow], closed: Collection[str], settings: PeopleSettings
) -> list[str]:
    """Return the ids of tasks that may be gold: answered, with enough people in full agreement; sorted.

    Args:
        tasks: of all rounds.
        labels: current ones.
        closed: ids of utterances whose content may not be opened.
        settings: see `PeopleSettings`.
    """
    agreed = {
        row.utterance_id
        for row in labels
        if row.annotators >= settings.gold_answers and row.agreement >= 0.999 and row.source == "annotators"
    }
    return sorted(
        row.task_id
        for row in tasks
        if row.state == "answered"
        and row.reason != "again"  # its utterance has another task: nobody gets both
        and row.utterance_id in agreed
        and row.utterance_id not in closed
    )


def load_of(assignments: Iterable[Assignment], day: datetime) -> Counter[str]:
    """Return how many clips each person has on a day: those that wait, and those that were given that day.

    Args:
        assignments: all so far.
        day: when it began.
    """
    return Counter(each.annotator_id for each in assignments if each.waits or each.at >= day)


def assign(
    needs: Sequence[Need], load: Mapping[str, int], settings: PeopleSettings, seed: int, *, kept: float = 0.0
) -> Plan:
    """Return new assignments, most valuable task first, with different people for each task.

    Of the people who understand the locale and have free capacity, the one with the smallest load relative to capacity
    is next. A hash of seed, task and person breaks ties. Nobody gets more than a day's capacity: what nobody is free
    for waits for another day.

    Args:
        needs: in order of value.
        load: annotator id -> number of clips that the person has, see `load_of`.
        settings: see `PeopleSettings`.
        seed: of the hash.
        kept: what is kept free of each day for control tasks, as a share of the new tasks.
    """
    capacity = {
        person.annotator_id: max(1, int(settings.day_of(person) / (1.0 + kept) + 1e-9)) for person in settings.people
    }
    tasks = {person: load.get(person, 0) for person in capacity}
    plan = Plan()
    for need in needs:
        able = [p.annotator_id for p in settings.people if p.understands(need.locale)]
        free = [person for person in able if person not in need.barred and tasks[person] < capacity[person]]
        free.sort(key=lambda person: (tasks[person] / capacity[person], digest([seed, need.task_id, person])))
        for person in free[: need.count]:
            tasks[person] += 1
            plan.given.append((need.task_id, person, need.kind))
        if len(free) < need.count:
            plan.short.append(need.task_id)
    return plan


def rotate_gold(
    settled: Mapping[str, Collection[str]], locales: Mapping[str, str], load: Mapping[str, int],
    free: Mapping[str, int], turn: str, settings: PeopleSettings, seed: int,
) -> list[tuple[str, str, AssignmentKind]]:  # fmt: skip
    """Return gold assignments: settled tasks that are asked again, as a share of each person's load.

    Args:
        settled: task id -> people who have answered it.
        locales: task id -> locale of its clip.
        load: annotator id -> number of new tasks in this round; a person without any gets no gold.
        free: annotator id -> number of clips that the person may still be given today.
        turn: name of the round; each round draws other clips.
        settings: see `PeopleSettings`.
        seed: of the draw.
    """
    given: list[tuple[str, str, AssignmentKind]] = []
    for person in settings.people:
        name = person.annotator_id
        count = round(settings.gold_share * load.get(name, 0) + _uniform([seed, turn, name, "gold"]) - 0.5)
        new = [task for task, people in settled.items() if name not in people and person.understands(locales[task])]
        new.sort(key=lambda task: digest([seed, turn, name, task]))
        given += [(task, name, "gold") for task in new[: max(0, min(count, free.get(name, 0)))]]
    return given


def _uniform(key: list[object]) -> float:
    """Return a number in [0, 1) by a hash of the key."""
    return int(digest(key)[:13], 16) / 16**13
