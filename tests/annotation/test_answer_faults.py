"""What is wrong with a refused answer is named with its field and its remedy, and never with a value."""

from __future__ import annotations

import json

import pytest

from annotation.answer_faults import fault_of, nearest, unknown_columns, unknown_field
from annotation.csv_tables import COLUMNS
from annotation.files import parse_annotations
from annotation.row_parsing import asked
from annotation.schema import AnnotationRow
from tests.annotation.worlds import tasks

TASK = tasks(1)[0]
ASKED = asked([TASK])
SECRET = "confidential"


def detail(**changes: object) -> str:
    """Return the message on an answer with these changes; `...` takes a field away."""
    good = {
        "task_id": TASK.task_id, "annotator_id": "ann", "ask": "transcribe", "verdict": "labelled",
        "transcript": f"turn on the kitchen light {SECRET}", "intent": "light_on", "slots": [],
    }  # fmt: skip
    row = {key: value for key, value in {**good, **changes}.items() if value is not ...}
    (refused,) = parse_annotations(json.dumps(row).encode(), ASKED).refused
    return refused.detail


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("intents", "intent"), ("text", "transcript"), ("Transcript", "transcript"), ("lead-time", "lead_time"),
        ("annotator", "annotator_id"), ("zebra", None),
    ],
)  # fmt: skip
def test_the_nearest_field_is_found_by_letters_and_by_what_other_formats_call_it(name: str, meant: str | None):
    assert nearest(name, COLUMNS) == meant


def test_an_unknown_field_is_named_before_the_one_that_is_missing_for_it():
    assert detail(intents="light_on", intent=...).startswith(
        "unknown field `intents`; write `intent` if you meant that, else leave it out, known are task_id, "
    )
    assert "if you meant" not in detail(intents="light_on")  # there is an intent already
    assert unknown_field("turn on the light", COLUMNS, ()).startswith("an unknown field; leave it out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verdict": SECRET}, "field verdict: give one of labelled, unintelligible, accidental, critical_data, "),
        ({"verdict": ...}, "field verdict: is missing; give one of labelled, "),
        ({"transcript": ...}, 'field transcript: is missing; give a string, "" (in a table <silence>) where nobody '),
        (
            {"lead_time": "8,9"},
            "field lead_time: give seconds, 0 to 86400 (24 hours), such as 8.9",
        ),
        ({"revision": 0}, "field revision: give a whole number from 1 on; the first correction of an answer is 2"),
        ({"ask": "triage"}, "field ask: this task asks another question; write transcribe"),
        ({"task_id": SECRET}, "field task_id: there is no such task here; give the id of a task, "),
        (
            {"slots": [{"name": "room", "value": SECRET[:5]}]},
            "field slots, slot 1: its value is not in the text;",
        ),
        ({"slots": f"room={SECRET[:5]}"}, "field slots, slot 1: its value is not in the text; correct it, "),
        ({"slots": "room"}, "field slots, slot 1: is no name=value; write each as room=kitchen, "),
        ({"slots": [{"name": "room", "start": 12}]}, "field slots, slot 1: has a start but no end; give both"),
        ({"slots": [{"value": "kitchen"}]}, "field slots, slot 1: name is missing; give a name, and either start "),
        ({"slots": [{"name": "room", "words": 1}]}, "field slots, slot 1: holds an unknown key; give a name, "),
        ({"slots": [{"name": SECRET, "value": "nowhere"}]}, "field slots, slot 1: its value is not in the text;"),
        ({"slots": [{"name": f"{SECRET} (x): y", "words": 1}]}, "field slots, slot 1: holds an unknown key; "),
        ({"slots": f"{SECRET}=nowhere"}, "field slots, slot 1: its value is not in the text;"),
        ({SECRET.title().replace(" ", ""): 1}, "an unknown field; leave it out, known are "),
    ],
)
def test_each_fault_has_its_field_and_remedy_and_no_content(changes: dict[str, object], message: str):
    found = detail(**changes)
    assert found.startswith(message)
    assert SECRET[:5] not in found


def test_a_column_is_shown_on_one_short_line():
    named = unknown_columns(["text", "x" * 99, "a\x1bb", ""], COLUMNS, ["task_id"])
    assert named == f"`text` (do you mean `transcript`?), `{'x' * 64}`, `a b`, one without a name"


def test_every_field_of_an_answer_has_its_remedy():
    assert [name for name in AnnotationRow.model_fields if not fault_of("missing_field", name)] == []
