"""One answer on the server that can't be read costs itself alone: it is named, counted, and its task is asked again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annotation.files import TASK_FILE, read_tasks
from annotation.label_studio import studio_task
from corpus.tables import annotations
from flows.models.inventory import names_in_use
from flows.runtime import console
from flows.runtime.settings import LabelStudioSettings
from flows.steps import label_studio_sync
from flows.steps.merge_report import MergeReport
from flows.steps.merge_total import total
from flows.tasks import label_studio_faults
from tests.flows.small_round import World, round_of
from tests.studio_server import TITLE, Studio, studio_server

SHOWN = "turn on, the kitchen light"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with round_of(tmp_path_factory.mktemp("round") / "home", 16) as made:
        made.export()
        yield made


@pytest.fixture
def server() -> Iterator[Studio]:
    with studio_server() as made:
        yield made


def pull(world: World, server: Studio) -> label_studio_sync.PullReport:
    told = LabelStudioSettings(url=server.url, token="x", title=TITLE)
    names = names_in_use(world.corpus, world.settings.home, world.settings.inventory)
    return label_studio_sync.pull(world.corpus, names, told, world.settings.people)


def answer(*marks: dict[str, Any], **more: Any) -> dict[str, Any]:
    result = [control("textarea", "transcript", text=[SHOWN]), control("choices", "intent", choices=["other"]), *marks]
    at = "2026-11-22T13:00:00Z"
    return {"completed_by": 1, "lead_time": 4.0, "updated_at": at, "was_cancelled": False, "result": result} | more


def control(kind: str, name: str, **value: Any) -> dict[str, Any]:
    return {"from_name": name, "to_name": "audio", "type": kind, "value": value}


def mark(start: int, end: int, *labels: str) -> dict[str, Any]:
    return control("labels", "slots", start=start, end=end, labels=list(labels or ("room",)))


OVERLAP = (mark(9, 20), mark(13, 26))

FAULTS = {
    "marks that overlap": ([answer(*OVERLAP)], "bad_span", "ls-1"),
    "a comma": ([answer(mark(7, 8))], "bad_span", "ls-1"),
    "one region, two slots": ([answer(mark(13, 20, "room", "device"))], "bad_span", "ls-1"),
    "beside another person's answer": ([answer(*OVERLAP, completed_by=2), answer()], "bad_span", "ls-2"),
    "before a cancelled one": ([answer(*OVERLAP), answer(was_cancelled=True)], "bad_span", "ls-1"),
    "behind a cancelled one": ([answer(was_cancelled=True), answer(*OVERLAP)], "bad_span", "ls-1"),
    "a time of the year 1": ([answer(updated_at="0001-01-01T00:00:00Z")], "bad_field", "ls-1"),
    "a time of the year 9999": ([answer(updated_at="9999-12-31T23:59:59-23:59")], "bad_field", "ls-1"),
    "no time": ([answer(updated_at="yesterday")], "bad_field", "ls-1"),
    "nobody": ([answer(completed_by=None)], "bad_field", None),
    "a truth for a person": ([answer(completed_by=True)], "bad_field", None),
    "an unknown verdict": ([answer(control("choices", "verdict", choices=["Noise"]))], "unknown_verdict", "ls-1"),
    "half a character": ([answer(control("textarea", "proposal", text=["\ud83d"]))], "malformed", "ls-1"),
    "no intent": ([answer(result=[control("textarea", "transcript", text=["x"])])], "missing_field", "ls-1"),
    "a mark without a place": ([answer({"type": "labels", "from_name": "slots"})], "bad_span", "ls-1"),
}


def test_each_is_refused_alone_named_and_asked_again_and_all_others_count(
    world: World, server: Studio, capsys: pytest.CaptureFixture[str]
):
    tasks = world.tasks()
    for task, (answers, *_) in zip(tasks, FAULTS.values(), strict=False):
        data = studio_task(task, "http://clips/1")["data"] | {"asr_text": SHOWN}
        server.put({"data": data, "annotations": answers})
    good = tasks[len(FAULTS)]
    server.put({"data": studio_task(good, "http://clips/1")["data"], "annotations": [answer(lead_time="00:08")]})

    report = pull(world, server)

    refused = {row.task_id: row for row in report.merged.refused_lines}
    expected = {task.task_id: fault[1:] for task, fault in zip(tasks, FAULTS.values(), strict=False)}
    assert {task_id: (row.reason, row.annotator_id) for task_id, row in refused.items()} == expected
    assert sum(report.merged.refused.values()) == report.asked_again == len(FAULTS)
    assert (report.merged.annotations, report.skipped_there) == (2, 2)
    assert MergeReport.from_json(report.merged.to_json()) == report.merged
    _asked_again(server, set(expected))
    console.show_refused([row.to_json() for row in total([("label-studio", report.merged)], {}, None).refused_lines])
    shown = capsys.readouterr().out
    assert f"task {tasks[0].task_id} of ls-1" in shown or "tasks (" in shown
    assert "kitchen" not in shown
    again = pull(world, server)
    assert (again.merged.annotations, again.merged.refused, again.asked_again) == (1, {}, 0)


def _asked_again(server: Studio, expected: set[str]) -> None:
    """Check that the server has each task once, those of the faults as new ones without answers."""
    by_task = {row["data"]["task_id"]: row for row in server.tasks.values()}
    assert len(by_task) == len(server.tasks) == len(expected) + 1
    assert {task_id for task_id, row in by_task.items() if not row["annotations"]} == expected
    headings = {by_task[task_id]["data"]["heading"] for task_id in expected}
    assert headings == {*label_studio_faults.HEADINGS.values(), label_studio_faults.OTHER_HEADING} - {
        label_studio_faults.HEADINGS["lost_slot"]
    }


@pytest.mark.parametrize("words", [None, 7, ["turn on"], ...])
def test_a_task_without_a_text_as_its_transcript_is_asked_again(world: World, server: Studio, words: Any):
    (task,) = world.tasks()[-1:]
    data = studio_task(task, "http://clips/1")["data"] | {"asr_text": words}
    if words is ...:
        del data["asr_text"]
    server.put({"data": data, "annotations": [answer(mark(0, 1), mark(90, 99))]})
    report = pull(world, server)
    assert (report.merged.refused, report.asked_again) == ({"bad_span": 1}, 1)


def test_a_task_that_the_server_does_not_take_back_is_reported_once_and_blocks_no_other(world: World, server: Studio):
    broken, good = world.tasks()[-2:]
    for task, more in ((broken, {"audio": None}), (good, {})):
        data = studio_task(task, "http://clips/1")["data"] | {"asr_text": SHOWN} | more
        server.put({"data": data, "annotations": [answer(*OVERLAP, updated_at="2026-11-29T13:00:00Z")]})
    report = pull(world, server)
    assert (report.merged.refused, report.asked_again) == ({"bad_span": 2}, 1)
    assert [bool(row["annotations"]) for row in server.tasks.values()] == [True, False]
    report = pull(world, server)
    assert (report.merged.refused, report.asked_again) == ({}, 0)


def test_a_task_id_with_half_a_character_is_none_of_earmark(world: World, server: Studio):
    data = studio_task(world.tasks()[-1], "http://clips/1")["data"] | {"task_id": "\ud83d"}
    server.put({"data": data, "annotations": [answer()]})
    report = pull(world, server)
    assert (report.merged.refused, report.asked_again) == ({"unknown_task": 1}, 0)


def test_an_answer_whose_user_was_removed_stays_that_persons_or_is_the_holders(tmp_path: Path):
    people = "people.people=[{annotator_id: ann}]"
    with round_of(tmp_path / "home", 2, people) as world, studio_server(f"{TITLE}: ann") as server:
        world.export()
        merged, new = read_tasks(world.folder / "ann" / TASK_FILE)
        for task, user in ((merged, 1), (new, None)):
            data = studio_task(task, "http://clips/1")["data"]
            server.put({"data": data, "annotations": [answer(completed_by=user)]})
        assert (pull(world, server).merged.refused, _answers(world)) == (
            {},
            {(merged.task_id, "ann"), (new.task_id, "ann")},
        )
        for row in server.tasks.values():
            row["annotations"][0]["completed_by"] = None
        assert (pull(world, server).asked_again, set(server.tasks)) == (0, {1, 2})
        server.tasks[1]["annotations"] = [answer(*OVERLAP, updated_at="2026-11-23T13:00:00Z")]
        report = pull(world, server)
        assert (report.merged.refused, report.asked_again, set(server.tasks)) == ({"bad_span": 1}, 0, {1, 2})
        pull(world, server)
        assert _answers(world) == {(merged.task_id, "ann"), (new.task_id, "ann")}


def test_a_faulty_edit_of_a_merged_answer_is_reported_once_and_again_when_it_changes(tmp_path: Path):
    people = "people.people=[{annotator_id: ann, login: jo\u0308RG@example.org}]"
    with round_of(tmp_path / "home", 2, people) as world, studio_server(f"{TITLE}: ann") as server:
        world.export()
        server.users = {1: "J\u00f6rg@example.org"}
        one, other = (studio_task(t, "http://clips/1")["data"] for t in read_tasks(world.folder / "ann" / TASK_FILE))
        server.put({"data": one, "annotations": [answer(id=5)]})
        pull(world, server)
        merged = _answers(world)
        assert merged == {(one["task_id"], "ann")}
        for hour, marks, reason in ((14, OVERLAP, "bad_span"), (15, OVERLAP, "bad_span"), (16, (), "missing_field")):
            edit = answer(*marks, id=5, updated_at=f"2026-11-23T{hour}:00:00Z")
            edit["result"] = [each for each in edit["result"] if marks or each["from_name"] != "intent"]
            server.tasks[1]["annotations"] = [edit]
            assert (pull(world, server).merged.refused, _answers(world)) == ({reason: 1}, merged)
            for _ in range(2):
                assert (pull(world, server).merged.refused, _answers(world)) == ({}, merged)
            server.put({"data": other, "annotations": [answer(id=hour, updated_at=f"2026-11-23T{hour}:30:00Z")]})
            report = pull(world, server)  # others have answered meanwhile
            assert (report.merged.refused, report.asked_again) == ({}, 0)
            server.tasks.popitem()
            merged = _answers(world)
        server.tasks[1]["annotations"] = [answer(id=5, updated_at="2026-11-23T17:00:00Z")]
        assert pull(world, server).merged.refused == {}
        server.tasks[1]["annotations"] = [answer(*OVERLAP, id=5, updated_at="2026-11-23T18:00:00Z")]
        assert pull(world, server).merged.refused == {"bad_span": 1}


def test_in_a_shared_project_a_merged_answer_keeps_its_person(world: World, server: Studio):
    (task,) = world.tasks()[-1:]
    data = studio_task(task, "http://clips/1")["data"]
    server.put({"data": data, "annotations": [answer(completed_by=2, updated_at="2026-11-24T13:00:00Z")]})
    pull(world, server)
    found = _answers(world)
    server.tasks[1]["annotations"][0]["completed_by"] = None
    assert (pull(world, server).merged.refused, _answers(world)) == ({}, found)
    server.tasks[1]["annotations"][0]["updated_at"] = "2026-11-24T14:00:00Z"
    report = pull(world, server)
    assert (report.merged.refused, report.asked_again, set(server.tasks)) == ({"bad_field": 1}, 0, {1})


def _answers(world: World) -> set[tuple[str, str]]:
    with world.corpus.read() as conn:
        return {(row.task_id, row.annotator_id) for row in annotations.latest_answers(conn) if row.verdict != "help"}


def test_a_server_that_refuses_the_draft_gets_the_task_without_it(world: World, server: Studio):
    server.refuses_drafts = True
    (task,) = world.tasks()[-1:]
    data = studio_task(task, "http://clips/1")["data"] | {"asr_text": SHOWN}
    server.put({"data": data, "annotations": [answer(*OVERLAP)]})
    assert pull(world, server).asked_again == 1
    (row,) = server.tasks.values()
    assert (row["annotations"], "predictions" in row) == ([], False)


def test_what_is_refused_next_is_reported_then_and_not_what_was_before(world: World, server: Studio):
    (task,) = world.tasks()[-1:]
    data = studio_task(task, "http://clips/1")["data"] | {"asr_text": SHOWN}
    long = control("textarea", "question", text=["q" * 3000])
    help_ = control("choices", "verdict", choices=["Help"])
    for given, field in ((answer(updated_at=None), "revision"), (answer(help_, long), "question")):
        server.tasks.clear()
        server.put({"data": data, "annotations": [given]})
        ((reason, found),) = {(row.reason, row.field) for row in pull(world, server).merged.refused_lines}
        assert (reason, found) == ("bad_field", field)
