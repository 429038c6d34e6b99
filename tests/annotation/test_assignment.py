from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from annotation.assignment import Need, PeopleSettings, Person, assign, load_of, needs_of, rotate_gold, settled_tasks
from corpus.tables.labels import LabelRow
from corpus.tables.people import Assignment
from corpus.tables.rounds import TaskRow

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)

TEAM = PeopleSettings(people=(Person(annotator_id="ann"), Person(annotator_id="bob"), Person(annotator_id="cid")))


def needs(count: int, each: int = 1, **kw: object) -> list[Need]:
    return [Need(f"t{k:03d}", "en-GB", each, "first", **kw) for k in range(count)]  # type: ignore[arg-type]


def test_work_is_shared_evenly_and_nobody_hears_a_clip_twice() -> None:
    plan = assign(needs(60, each=2), {}, TEAM, seed=1)
    assert Counter(who for _, who, _ in plan.given) == {"ann": 40, "bob": 40, "cid": 40}
    assert len({(task, who) for task, who, _ in plan.given}) == 120
    assert not plan.short
    assert assign(needs(60, each=2), {}, TEAM, seed=1) == plan


def test_who_answered_is_not_asked_again_and_what_is_missing_is_reported() -> None:
    plan = assign(needs(1, each=3, barred=frozenset({"bob"})), {}, TEAM, seed=1)
    assert {who for _, who, _ in plan.given} == {"ann", "cid"}
    assert plan.short == ["t000"]


def test_locales_and_capacity_are_kept() -> None:
    team = PeopleSettings(
        people=(Person(annotator_id="ann", locales=("de-DE",)), Person(annotator_id="bob", hours=0.09)),
    )
    assert (team.capacity(team.people[0]), team.capacity(team.people[1])) == (600, 6)
    plan = assign(needs(10), {"bob": 2}, team, seed=1)
    assert plan.given == [(f"t{k:03d}", "bob", "first") for k in range(4)]
    assert plan.short == [f"t{k:03d}" for k in range(4, 10)]
    assert team.clips_by_locale(["de-DE", "en-GB"]) == {"de-DE": 606, "en-GB": 6}


def test_a_day_of_work_is_given_and_not_a_fortnight() -> None:
    team = PeopleSettings(people=(Person(annotator_id="ann"),), clips_per_shift=10)
    assert len(assign(needs(300), {}, team, seed=1).given) == 10
    assert len(assign(needs(300), {}, team, seed=1, kept=0.05).given) == 9  # one clip is left for a control task


@given(
    shift=st.integers(1, 12),
    hours=st.sampled_from([0.5, 4.0, 9.0]),
    each=st.integers(1, 3),
    runs=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.booleans()), min_size=1, max_size=8),
)
@settings(max_examples=60, deadline=None)
def test_nobody_gets_more_than_a_day_of_work_on_any_day(
    shift: int, hours: float, each: int, runs: list[tuple[int, int, bool]]
) -> None:
    """Each run brings new tasks, then some answers; between two runs a day may begin."""
    people = [Person(annotator_id="ann"), Person(annotator_id="bob", hours=hours), Person(annotator_id="cid")]
    team = PeopleSettings(people=tuple(people), clips_per_shift=shift)
    day, held, number = NOW, [], 0
    for new, answers, next_day in runs:
        day += timedelta(days=int(next_day))
        tasks = [Need(f"t{k:03d}", "en-GB", each, "first") for k in range(number, number + new)]
        number += new
        plan = assign(tasks, load_of(held, day), team, seed=1)
        held += [Assignment(t, t, who, "first", day, False, day) for t, who, _ in plan.given]
        for person in people:
            name, most = person.annotator_id, team.day_of(person)
            assert sum(a.annotator_id == name and a.waits for a in held) <= most
            assert sum(a.annotator_id == name and a.at >= day for a in held) <= most
        waiting = [k for k, a in enumerate(held) if a.waits][:answers]
        for k in waiting:
            held[k] = replace(held[k], answered=True, until=None)


def test_a_person_s_locales_are_canonical_and_what_is_no_tag_is_named() -> None:
    assert Person(annotator_id="ann", locales=("en_gb", "EN-GB", "iw")).locales == ("en-GB", "he")
    assert Person(annotator_id="ann", locales=("de_at",)).understands("de-AT")
    with pytest.raises(ValidationError, match="'english' is no language tag; give one such as en-GB"):
        Person(annotator_id="ann", locales=("english",))


def test_audit_rows_are_asked_twice_where_there_are_two() -> None:
    assert (TEAM.answers_for("audit"), TEAM.answers_for("uncertain")) == (2, 1)
    assert PeopleSettings().answers_for("audit") == 1
    assert PeopleSettings(people=TEAM.people[:1]).answers_for("audit") == 1


def test_the_settings_refuse_doubles_and_names_that_are_no_folder() -> None:
    with pytest.raises(ValidationError, match="appears twice"):
        PeopleSettings(people=(Person(annotator_id="a"), Person(annotator_id="a")))
    for name in ("../x", "", ".hidden", "a b"):
        with pytest.raises(ValidationError):
            Person(annotator_id=name)
    with pytest.raises(ValidationError):
        PeopleSettings(clips_per_shift=1001)


def test_gold_rotates_and_is_never_a_clip_that_the_person_knows() -> None:
    settled = {f"g{k}": {"ann"} if k % 2 else {"bob", "cid"} for k in range(40)}
    locales = dict.fromkeys(settled, "en-GB")
    load = {"ann": 100, "bob": 100}
    turns = [rotate_gold(settled, locales, load, {"ann": 9, "bob": 9}, turn, TEAM, seed=1) for turn in ("r1", "r2")]
    for gold in turns:
        assert Counter(who for _, who, _ in gold) in ({"ann": 5, "bob": 5}, {"ann": 5, "bob": 4}, {"ann": 4, "bob": 5})
        assert all(who not in settled[task] for task, who, _ in gold)
    assert {task for task, _, _ in turns[0]} != {task for task, _, _ in turns[1]}
    full = rotate_gold(settled, locales, load, {"ann": 2, "bob": -1}, "r1", TEAM, seed=1)
    assert [who for _, who, _ in full] == ["ann", "ann"]


def task(number: int, reason: str = "uncertain", state: str = "open") -> TaskRow:
    return TaskRow(f"t{number}", "r1", f"u{number}", "transcribe", state, reason, 1.0, False)


def asked(number: int, who: str, kind: str = "first", *, answered: bool = False) -> Assignment:
    return Assignment(f"t{number}", f"u{number}", who, kind, NOW, answered, NOW)


def test_a_task_needs_as_many_people_as_its_reason_asks_for_and_one_more_where_they_disagree() -> None:
    tasks = [task(0), task(1, "audit"), task(2), task(3), task(4), task(5)]
    held = [asked(1, "ann"), asked(4, "bob"), asked(5, "cid", "gold")]
    said = {"u2": {"ann": "help"}, "u3": {"ann": "labelled"}}
    found = needs_of(tasks, held, said, {f"u{k}": "en-GB" for k in range(6)}, TEAM)
    assert [(n.task_id, n.count, n.kind, n.barred) for n in found] == [
        ("t0", 1, "first", frozenset()),
        ("t1", 1, "second", frozenset({"ann"})),
        ("t2", 1, "help", frozenset({"ann"})),
        ("t3", 1, "more", frozenset({"ann"})),
        ("t5", 1, "first", frozenset()),  # gold is no opinion on it
    ]
    asked_out = {"u0": {"ann": "labelled", "bob": "labelled", "cid": "labelled"}}
    assert needs_of([task(0)], [], asked_out, {"u0": "en-GB"}, TEAM) == []


def test_only_answered_clips_that_enough_people_agree_on_are_gold() -> None:
    tasks = [task(k, state="answered") for k in range(5)] + [task(5)]
    rows = [label(0), label(1, annotators=1), label(2, agreement=0.9), label(3, source="manifest"), label(4), label(5)]
    assert settled_tasks(tasks, rows, {"u4"}, TEAM) == ["t0"]


def label(number: int, *, annotators: int = 2, agreement: float = 1.0, source: str = "annotators") -> LabelRow:
    return LabelRow(f"u{number}", 1, True, True, agreement, annotators, source, "uncertain", "r1", 1.0, "train", "s1")
