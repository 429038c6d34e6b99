"""Several people: who finds which clip, a question goes to one other person, and whom to believe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from annotation.files import TASK_FILE, read_tasks
from corpus.records.annotations import AnnotationTask
from corpus.tables import annotations as annotations_table
from corpus.tables import labels, people
from flows.models.inventory import NamesInUse, names_in_use
from flows.models.label_reliability import reliable_labels, stored_crowd
from flows.runtime.results import Skipped
from flows.steps.export import export_round
from flows.steps.review_annotators import ReviewReport, review
from tests.corpus.stored import arrive, choose, score
from tests.flows.small_round import ROUND, World, answer, round_of

TEAM_IDS = ("ann", "bob", "cid")
TEAM = "people.people=" + json.dumps([{"annotator_id": who} for who in TEAM_IDS])


def names_of(world: World) -> NamesInUse:
    return names_in_use(world.corpus, world.settings.home, world.settings.inventory)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with round_of(tmp_path / "home", 4, TEAM) as made:
        yield made


@pytest.fixture
def doubled(tmp_path: Path) -> Iterator[World]:
    with round_of(tmp_path / "home", 9, TEAM, "people.other_answers=2", "people.gold_share=0.5") as made:
        yield made


def tasks_of(world: World, who: str) -> list[AnnotationTask]:
    file = world.folder / who / TASK_FILE
    return read_tasks(file) if file.exists() else []


def holders(world: World) -> dict[str, set[str]]:
    """Return the people in whose folders a task's clip and line lie, by task."""
    found: dict[str, set[str]] = {}
    for who in ("ann", "bob", "cid"):
        lines = {task.task_id for task in tasks_of(world, who)}
        assert lines == {path.stem for path in (world.folder / who).glob("*.wav")}
        for task in lines:
            found.setdefault(task, set()).add(who)
    return found


def test_each_task_is_before_one_person_and_nobody_elses(world: World):
    report = world.export()
    assert sum(report.people.values()) == 4
    assert {len(who) for who in holders(world).values()} == {1}
    assert not list(world.folder.glob("*.wav"))
    before = {path: path.read_bytes() for path in world.folder.rglob("*") if path.is_file()}
    world.export()
    assert {path: path.read_bytes() for path in world.folder.rglob("*") if path.is_file()} == before
    assert world.problems() == []


def test_a_question_goes_to_a_second_person_with_the_clip_and_to_nobody_else(world: World):
    world.export()
    task, asker = next((task, who) for who in ("ann", "bob", "cid") for task in tasks_of(world, who))
    world.merge(answer(task, asker, "help", question="Is that a name?"))
    (second,) = holders(world)[task.task_id]
    assert second != asker
    assert next(t for t in tasks_of(world, second) if t.task_id == task.task_id).question == "Is that a name?"
    with world.corpus.read() as conn:
        given = [each for each in people.assigned(conn, world.corpus.clock(), [task.task_id]) if not each.answered]
    assert [(each.annotator_id, each.kind) for each in given] == [(second, "help")]
    world.merge(answer(task, second))
    assert task.task_id not in holders(world)
    assert b"Is that a name" not in b"".join(p.read_bytes() for p in world.settings.home.rglob("*") if p.is_file())


def test_a_disagreement_goes_to_a_third_person_who_settles_it(doubled: World):
    doubled.export()
    held = holders(doubled)
    assert {len(who) for who in held.values()} == {2}
    task = next(t for t in tasks_of(doubled, "ann"))
    first, second = sorted(held[task.task_id])
    doubled.merge(answer(task, first, intent="other"), answer(task, second, transcript="stop", intent="other"))
    (third,) = holders(doubled)[task.task_id]
    assert third not in (first, second)
    report = doubled.merge(answer(task, third, intent="other"))
    assert report.labels == 1
    assert task.task_id not in holders(doubled)


def test_who_is_through_with_a_clip_hears_it_no_more_while_another_still_does(doubled: World):
    doubled.export()
    task = tasks_of(doubled, "ann")[0]
    doubled.merge(answer(task, "ann"))
    assert "ann" not in holders(doubled)[task.task_id]
    assert len(holders(doubled)[task.task_id]) == 1
    doubled.after(4)
    doubled.sweep()
    assert holders(doubled) == {}
    assert doubled.problems() == []


def test_who_says_anything_is_found_out_and_their_labels_weigh_little(doubled: World):
    """Everybody answers everything here, which no assignment would do: what is learned is in the answers alone."""
    doubled.export()
    tasks = {t.task_id: t for who in ("ann", "bob", "cid") for t in tasks_of(doubled, who)}
    for k, task in enumerate(tasks.values()):
        good = {"transcript": f"play song number {k}", "intent": task.intents[k % 5]}
        bad = {"transcript": "la la la la", "intent": task.intents[7]}
        doubled.merge(answer(task, "ann", **good), answer(task, "bob", **good), answer(task, "eve", **bad))
    found = review(doubled.corpus, names_of(doubled), doubled.settings.crowd, doubled.settings.people)
    assert isinstance(found, ReviewReport)
    assert found.careless == ("eve",)
    again = review(doubled.corpus, names_of(doubled), doubled.settings.crowd, doubled.settings.people)
    assert again == Skipped("no answer is new")
    with doubled.corpus.read() as conn:
        rows = reliable_labels(conn, labels.current(conn))
    assert len(rows) == len(tasks)
    assert all(row.reliability >= 0.9 and row.agreement > 0.99 for row in rows)
    alone = [("eve", "labelled", next(iter(tasks.values())).intents[7])]
    with doubled.corpus.read() as conn:
        assert stored_crowd(conn).reliability(alone) < 0.3


def test_settled_clips_come_again_as_gold_for_somebody_who_does_not_know_them(doubled: World):
    doubled.export()
    for task, who in [(t, w) for t, ws in holders(doubled).items() for w in ws]:
        mine = next(t for t in tasks_of(doubled, who) if t.task_id == task)
        doubled.merge(answer(mine, who))
    from flows.steps.export import export_round
    from tests.corpus.stored import arrive, choose, score

    now = doubled.corpus.clock()
    more = arrive(doubled.corpus, 6, start=50, arrived_at=now, speakers=60, operation_id="ingest/50")
    score(doubled.corpus, more, operation_id="score/50")
    choose(doubled.corpus, more, "2026-11-04")
    given = export_round(doubled.corpus, doubled.settings, "2026-11-04").given
    assert given["gold"] >= 1
    again = export_round(doubled.corpus, doubled.settings, "2026-11-04").given
    assert "gold" not in again
    with doubled.corpus.read() as conn:
        gold = [each for each in people.assigned(conn, now) if each.kind == "gold"]
        said = annotations_table.answers_by_utterance(conn)
    for each in gold:
        assert each.annotator_id not in {who for who, *_ in said[each.utterance_id]}
        assert (doubled.folder / each.annotator_id / f"{each.task_id}.wav").exists()


def test_nobody_has_more_than_a_day_of_work_however_often_tasks_are_given(tmp_path: Path):
    with round_of(tmp_path / "home", 9, TEAM, "people.clips_per_shift=2", "export.due_days=14") as world:
        for _ in range(3):  # nine clips, six of which people are free for today
            assert world.export().people == dict.fromkeys(TEAM_IDS, 2)
        done = [(task, who) for who in TEAM_IDS for task in tasks_of(world, who)]
        world.merge(*(answer(task, who) for task, who in done))
        assert holders(world) == {}, "the day's work is done, and more was given on the same day"
        assert world.export().given == {"nobody_free": 3}
        world.after(1)
        assert sum(world.export().people.values()) == 3


def test_an_overdue_task_that_is_given_again_counts_for_the_day_on_which_it_is_given(tmp_path: Path):
    team = "people.people=" + json.dumps([{"annotator_id": "ann"}])
    with round_of(tmp_path / "home", 4, team, "people.clips_per_shift=2", "people.audit_answers=1") as world:
        assert world.export().people == {"ann": 2}
        world.after(4)
        assert world.sweep().closed == 2
        assert world.export(again=True).people == {"ann": 2}
        with world.corpus.read() as conn:
            given = [each for each in people.assigned(conn, world.now[0]) if each.waits]
        assert [(each.at, each.until) for each in given] == [(world.now[0], world.now[0] + timedelta(days=3))] * 2
        world.merge(*(answer(task, "ann") for task in tasks_of(world, "ann")))
        assert world.export(again=True).given == {"nobody_free": 2}, "the day's work is done"
        world.after(1)
        assert world.export(again=True).people == {"ann": 2}


def test_an_export_names_the_folders_of_other_rounds_in_which_a_persons_tasks_lie(world: World):
    first = world.export()
    assert (first.elsewhere, first.folder) == (None, str(world.folder))
    new = arrive(world.corpus, 2, start=50, arrived_at=world.now[0] - timedelta(hours=1), operation_id="ingest/later")
    score(world.corpus, new, operation_id="score/later")
    choose(world.corpus, new, "2026-11-04")
    second = export_round(world.corpus, world.settings, "2026-11-04")
    assert second.people is not None
    assert second.elsewhere is not None
    here = {who: len(read_tasks(file)) for who in TEAM_IDS if (file := new_folder(world, who)).exists()}
    for who, count in second.people.items():
        assert count == here.get(who, 0) + second.elsewhere.get(f"{ROUND}/{who}", 0)
    assert sum(second.elsewhere.values()) == 4


def new_folder(world: World, who: str) -> Path:
    return world.settings.task_folder / "2026-11-04" / who / TASK_FILE
