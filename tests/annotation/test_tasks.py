from __future__ import annotations

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from annotation.files import read_tasks
from annotation.schema import TaskRow, schema_path, schema_text
from annotation.tasks import TaskSettings, is_blind, make_tasks
from corpus.errors import UsageError
from corpus.records.annotations import AnnotationTask, task_id
from corpus.records.arrivals import Hypothesis, SlotSpan
from corpus.records.inventory import plain_inventory
from tests.annotation.worlds import INTENTS, SLOTS, selection, tasks, tasks_in

PERSONAL = {"speaker", "speaker_id", "account", "device", "device_type", "serial", "name", "place", "locale", "wake"}
PERSONAL |= {"arrived_at", "time", "address", "email", "phone", "household", "attributes", "reason"}


def test_tasks_keep_the_order_of_value_and_the_id_of_the_question() -> None:
    made = tasks(20)
    assert [t.utterance_id for t in made] == [f"u{i:04d}" for i in range(20)]
    assert all(t.task_id == task_id("r1", t.utterance_id, t.ask) and t.audio == t.task_id + ".wav" for t in made)


def test_audit_rows_are_always_blind_and_others_show_their_draft_without_its_weight() -> None:
    made = tasks(20, blind_share=0.0, reasons=("audit", "uncertain"))
    assert all(t.draft is None for t in made[::2])
    assert all(t.draft is not None and t.draft.weight == 1.0 for t in made[1::2])


def test_the_blind_share_is_a_random_share() -> None:
    blind = [t.draft is None for t in tasks(2000, blind_share=0.2)]
    assert abs(sum(blind) / 2000 - 0.2) < 4 * math.sqrt(0.16 / 2000)
    assert blind != [t.draft is None for t in tasks(2000, blind_share=0.2, seed=1)]
    assert all(t.draft is None for t in tasks(50, blind_share=1.0))


@given(st.text(min_size=1), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**31))
def test_a_larger_blind_share_only_adds_tasks(id_: str, one: float, other: float, seed: int) -> None:
    low, high = sorted([one, other])
    assert is_blind(id_, high, seed) or not is_blind(id_, low, seed)


def test_blindness_does_not_depend_on_the_company() -> None:
    many = {t.task_id: t.draft is None for t in tasks(100, blind_share=0.5)}
    assert all(many[t.task_id] == (t.draft is None) for t in tasks(10, blind_share=0.5))


def test_an_utterance_without_hypotheses_is_asked_about_blind() -> None:
    [task] = make_tasks(
        selection(1), {"u0000": 1.0}, {}, plain_inventory(INTENTS, SLOTS), TaskSettings(blind_share=0), 0
    )
    assert task.draft is None


@pytest.mark.parametrize("durations", [{}, {"u0000": 0.0}, {"u0000": math.nan}, {"u0000": math.inf}])
def test_a_missing_duration_is_refused_by_name(durations: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="u0000"):
        make_tasks(selection(1), durations, {}, plain_inventory(INTENTS, SLOTS), TaskSettings(), 0)


def test_a_draft_whose_slots_leave_its_text_is_refused_without_its_text() -> None:
    draft = Hypothesis("secret words", 1.0, "", (SlotSpan("room", 0, 99),))
    with pytest.raises(UsageError, match="u0000") as caught:
        make_tasks(
            selection(1),
            {"u0000": 1.0},
            {"u0000": draft},
            plain_inventory(INTENTS, SLOTS),
            TaskSettings(blind_share=0),
            0,
        )
    assert "secret" not in str(caught.value)


def test_task_files_come_back_as_they_went_and_are_private(tmp_path) -> None:
    made = tasks(30, blind_share=0.3, reasons=("audit", "uncertain", "novel"), asks=("transcribe", "label_intent"))
    path = tasks_in(tmp_path / "out", made)
    assert read_tasks(path) == made
    assert path.stat().st_mode & 0o077 == 0
    assert path.read_bytes() == tasks_in(tmp_path / "again", made).read_bytes()
    assert [p.name for p in path.parent.iterdir()] == ["tasks.jsonl"]


def test_a_task_file_is_replaced_whole_and_a_failed_write_leaves_the_old_one(tmp_path) -> None:
    path = tasks_in(tmp_path, tasks(3))
    before = path.read_bytes()
    broken = dataclasses.replace(tasks(1)[0], draft=Hypothesis("\ud800", 1.0))
    with pytest.raises(UnicodeEncodeError):
        tasks_in(tmp_path, [broken])
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_gets_one_clear_line(tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="can't be written"):
        tasks_in(tmp_path / "file", tasks(1))


def test_a_line_that_is_no_task_is_named(tmp_path) -> None:
    path = tasks_in(tmp_path, tasks(2))
    path.write_text(path.read_text() + '{"task_id": "t"}\n')
    with pytest.raises(UsageError, match="line 3"):
        read_tasks(path)


@pytest.mark.parametrize("name", ["task", "annotation"])
def test_the_published_schema_is_the_one_of_the_code(name: str) -> None:
    assert schema_path(name).read_text(encoding="utf-8") == schema_text(name)


def test_the_allow_list_of_a_task_is_the_record_and_holds_no_personal_field() -> None:
    schema = json.loads(schema_text("task"))
    fields = set(schema["properties"])
    assert fields == {f.name for f in dataclasses.fields(AnnotationTask)} == set(TaskRow.model_fields)
    inner = set().union(*(definition["properties"] for definition in schema["$defs"].values()))
    assert inner == {"text", "intent", "slots", "name", "start", "end"}  # `name` is a slot's
    assert not fields & PERSONAL
    closed = [schema, *schema["$defs"].values()]
    assert all(part["additionalProperties"] is False for part in closed)


def test_written_tasks_pass_the_published_schema(tmp_path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="no jsonschema is installed; pip install 'earmark[dev]'")
    checker = jsonschema.Draft202012Validator(json.loads(schema_path("task").read_text()))
    path = tasks_in(tmp_path, tasks(10, blind_share=0.5))
    for line in path.read_text().splitlines():
        checker.validate(json.loads(line))


def test_clips_are_wav_files_whatever_the_settings() -> None:
    assert all(task.audio == f"{task.task_id}.wav" for task in tasks(3))
    with pytest.raises(ValidationError, match="audio_suffix"):
        TaskSettings.model_validate({"audio_suffix": ".flac"})
