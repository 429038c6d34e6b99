from __future__ import annotations

from collections import Counter

import pytest
from pydantic import ValidationError

from annotation.people import Need, PeopleSettings, Person, assign, rotate_gold

TEAM = PeopleSettings(people=(Person(annotator_id="ann"), Person(annotator_id="bob"), Person(annotator_id="cid")))


def needs(count: int, each: int = 1, **kw: object) -> list[Need]:
    return [Need(f"t{k:03d}", "en-GB", each, "first", **kw) for k in range(count)]  # type: ignore[arg-type]


def test_work_is_shared_evenly_and_nobody_hears_a_clip_twice() -> None:
    plan = assign(needs(60, each=2), {}, 1.0, TEAM, seed=1)
    assert Counter(who for _, who, _ in plan.given) == {"ann": 40, "bob": 40, "cid": 40}
    assert len({(task, who) for task, who, _ in plan.given}) == 120
    assert not plan.short
    assert assign(needs(60, each=2), {}, 1.0, TEAM, seed=1) == plan


def test_who_answered_is_not_asked_again_and_what_is_missing_is_told() -> None:
    plan = assign(needs(1, each=3, barred=frozenset({"bob"})), {}, 1.0, TEAM, seed=1)
    assert {who for _, who, _ in plan.given} == {"ann", "cid"}
    assert plan.short == ["t000"]


def test_locales_and_capacity_are_kept() -> None:
    team = PeopleSettings(
        people=(Person(annotator_id="ann", locales=("de-DE",)), Person(annotator_id="bob", hours=0.09)),
    )
    assert (team.capacity(team.people[0]), team.capacity(team.people[1])) == (600, 6)
    plan = assign(needs(10), {"bob": 2}, 1.0, team, seed=1)
    assert plan.given == [(f"t{k:03d}", "bob", "first") for k in range(4)]
    assert plan.short == [f"t{k:03d}" for k in range(4, 10)]
    assert team.clips_by_locale(["de-DE", "en-GB"]) == {"de-DE": 606, "en-GB": 6}


def test_audit_rows_are_asked_twice_where_there_are_two() -> None:
    assert (TEAM.answers_for("audit"), TEAM.answers_for("uncertain")) == (2, 1)
    assert PeopleSettings().answers_for("audit") == 1
    assert PeopleSettings(people=TEAM.people[:1]).answers_for("audit") == 1


def test_the_settings_refuse_doubles_and_names_that_are_no_folder() -> None:
    with pytest.raises(ValidationError, match="stands twice"):
        PeopleSettings(people=(Person(annotator_id="a"), Person(annotator_id="a")))
    for name in ("../x", "", ".hidden", "a b"):
        with pytest.raises(ValidationError):
            Person(annotator_id=name)
    with pytest.raises(ValidationError):
        PeopleSettings(clips_per_shift=1001)


def test_gold_rotates_and_is_never_a_clip_that_the_person_knows() -> None:
    settled = {f"g{k}": {"ann"} if k % 2 else {"bob", "cid"} for k in range(40)}
    locales = dict.fromkeys(settled, "en-GB")
    turns = [rotate_gold(settled, locales, {"ann": 100, "bob": 100}, turn, TEAM, seed=1) for turn in ("r1", "r2")]
    for given in turns:
        assert Counter(who for _, who, _ in given) in ({"ann": 5, "bob": 5}, {"ann": 5, "bob": 4}, {"ann": 4, "bob": 5})
        assert all(who not in settled[task] for task, who, _ in given)
    assert {task for task, _, _ in turns[0]} != {task for task, _, _ in turns[1]}
