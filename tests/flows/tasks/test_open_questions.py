"""What is left open after merges: a person's contradicting answers, and the disagreement of two people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from annotation.files import TASK_FILE, read_tasks
from corpus.records.annotations import AnnotationTask
from corpus.tables import labels
from flows.steps.inventory import merge_names
from flows.steps.merge_total import total
from flows.tasks.open_questions import Contradicted, OpenQuestions, open_questions
from tests.flows.small_round import ROUND, World, answer, round_of


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with round_of(tmp_path / "home", 4) as made:
        made.export()
        yield made


def test_a_correction_without_a_revision_withdraws_the_label_and_one_with_it_gives_a_label_again(world: World):
    task = world.tasks()[0]
    assert (world.merge(answer(task)).labels, open_questions(world.corpus, world.settings.people).contradicted) == (
        1,
        (),
    )
    report = world.merge(answer(task, intent="play_music"))
    assert (report.labels, report.withdrawn, report.conflicting) == (0, 1, 1)
    left = open_questions(world.corpus, world.settings.people)
    assert left.contradicted == (Contradicted(task.task_id, ROUND, "ann", 1),)
    assert left.undecided == {}  # it is listed once
    document = total([("a", report)], {}, None, left).to_json()
    assert document["contradicted"] == [{"task_id": task.task_id, "round": ROUND, "annotator_id": "ann", "revision": 1}]
    world.export()
    assert task.task_id in {each.task_id for each in world.tasks()}
    report = world.merge(answer(task, intent="play_music", revision=2))
    assert (report.labels, report.withdrawn) == (1, None)
    assert open_questions(world.corpus, world.settings.people).contradicted == ()
    assert task.task_id not in {each.task_id for each in world.tasks()}


def test_nothing_is_open_where_nobody_may_listen_any_more(world: World):
    first, second = world.tasks()[:2]
    world.merge(answer(first), answer(first, intent="play_music"))
    world.merge(answer(second), answer(second, who="bob", intent="play_music"))
    left = open_questions(world.corpus, world.settings.people)
    assert (len(left.contradicted), left.undecided) == (1, {ROUND: 1})
    world.after(40_000)  # longer than anything is kept
    assert open_questions(world.corpus, world.settings.people) == OpenQuestions()


def test_somebody_elses_answer_settles_a_contradiction(world: World):
    task = world.tasks()[0]
    world.merge(answer(task), answer(task, intent="play_music"))
    report = world.merge(answer(task, who="bob", intent="play_music"))
    assert (report.labels, report.outcomes) == (1, {"labelled": 1})
    assert open_questions(world.corpus, world.settings.people) == OpenQuestions()


def test_a_question_that_a_merge_of_two_names_settles_is_asked_no_more(world: World):
    task = world.tasks()[0]
    world.merge(answer(task, intent="other"), answer(task, who="bob", intent="play_music"))
    assert open_questions(world.corpus, world.settings.people).undecided == {ROUND: 1}
    settings = world.settings
    merge_names(world.corpus, settings.home, settings.inventory, settings.people, "intent", "play_music", "other")
    assert open_questions(world.corpus, world.settings.people) == OpenQuestions()
    world.export()
    assert task.task_id not in {each.task_id for each in world.tasks()}


def test_contradicting_answers_end_the_same_in_any_order_of_files(world: World):
    for task, order in zip(world.tasks(), permutations(range(3)), strict=False):
        rows = [answer(task), answer(task, intent="play_music"), answer(task, intent="play_music", revision=2)]
        for k in order:
            world.merge(rows[k])
    assert open_questions(world.corpus, world.settings.people).contradicted == ()
    assert world.states() == ["answered"] * 4
    with world.corpus.read() as conn:
        assert [(row.revision, row.annotators) for row in labels.current(conn)] == [(3, 1)] * 4


def test_two_answers_of_one_revision_contradict_each_other_whichever_came_first(world: World):
    first, second = world.tasks()[:2]
    for task, intents in ((first, ("other", "play_music")), (second, ("play_music", "other"))):
        for intent in intents:
            world.merge(answer(task, intent=intent))
    found = {each.task_id for each in open_questions(world.corpus, world.settings.people).contradicted}
    assert found == {first.task_id, second.task_id}


def test_a_disagreement_of_two_people_waits_for_a_third(world: World):
    task = world.tasks()[0]
    world.merge(answer(task))
    report = world.merge(answer(task, who="bob", intent="play_music"))
    assert (report.outcomes, report.withdrawn) == ({"conflict": 1}, 1)
    assert open_questions(world.corpus, world.settings.people).undecided == {ROUND: 1}
    assert task.task_id not in {each.task_id for each in world.tasks()}
    world.export()
    assert task.task_id in {each.task_id for each in world.tasks()}
    world.merge(answer(task, who="cid"))
    assert open_questions(world.corpus, world.settings.people).undecided == {}


def test_a_task_that_all_listed_people_have_answered_waits_for_nobody_and_unlisted_people_are_counted(tmp_path: Path):
    listed = [{"annotator_id": "ann"}, {"annotator_id": "bob"}, {"annotator_id": "cid", "locales": ["de-DE"]}]
    with round_of(tmp_path / "home", 4, f"people.people={json.dumps(listed)}") as world:
        world.export()
        tasks = [task for who in ("ann", "bob") if (world.folder / who).exists() for task in tasks_in(world, who)]
        report = world.merge(answer(tasks[0]), answer(tasks[1], who="dora"), answer(tasks[2], who="dora"))
        assert report.unlisted == {"dora": 2}
        world.merge(answer(tasks[0], who="bob", intent="play_music"))
        left = open_questions(world.corpus, world.settings.people)
        assert (left.undecided, left.nobody_left) == ({ROUND: 1}, {ROUND: 1})
        document = total([("a", report)], {}, None, left).to_json()
        assert (document["unlisted"], document["nobody_left"]) == ({"dora": 2}, {ROUND: 1})
        listed[2] = {"annotator_id": "cid"}
        people = world.settings.people.model_validate({"people": listed})
        assert open_questions(world.corpus, people).nobody_left == {}


def tasks_in(world: World, who: str) -> list[AnnotationTask]:
    return read_tasks(world.folder / who / TASK_FILE)
