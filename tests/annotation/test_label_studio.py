from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from annotation.label_studio import VERDICTS, label_config, read_studio, revision_of, studio_task
from annotation.row_parsing import RowError, asked
from corpus.records.arrivals import SlotSpan
from corpus.records.inventory import plain_inventory
from tests.annotation.worlds import INTENTS, SLOTS, tasks

(TASK,) = tasks(1)
ASKED = asked([TASK])
AT = "2026-11-22T13:00:00.123456Z"


def said(transcript: str | None = "turn on the kitchen light", **more: Any) -> dict[str, Any]:
    """Return a raw annotation as the server gives it."""
    result = []
    if transcript is not None:
        result.append(area("transcript", transcript))
    for name, value in more.items():
        result += (
            value
            if name == "spans"
            else [choice(name, value)]
            if name in ("intent", "verdict")
            else [area(name, value)]
        )
    return {"id": 7, "completed_by": 1, "lead_time": 8.25, "updated_at": AT, "was_cancelled": False, "result": result}


def area(name: str, text: str) -> dict[str, Any]:
    return {"from_name": name, "to_name": "audio", "type": "textarea", "value": {"text": [text]}}


def choice(name: str, value: str) -> dict[str, Any]:
    return {"from_name": name, "to_name": "audio", "type": "choices", "value": {"choices": [value]}}


def span(start: int, end: int, name: str = "room") -> dict[str, Any]:
    value = {"start": start, "end": end, "text": "?", "labels": [name]}
    return {"from_name": "slots", "to_name": "asr_text", "type": "labels", "value": value}


DATA = studio_task(TASK, "http://clips/1")["data"]


def read(annotation: dict[str, Any], **data: str) -> Any:
    return read_studio(annotation, {**DATA, **data}, "ann", ASKED)


def test_the_page_names_all_that_can_be_answered() -> None:
    page = ElementTree.fromstring(label_config(plain_inventory(INTENTS, SLOTS)))
    choices = {c.get("name"): [o.get("value") for o in c] for c in page.iter("Choices")}
    assert choices["intent"] == ["light_on", "light_off", "play_music", "other"]
    assert choices["verdict"] == list(VERDICTS)
    keys = [e.get("hotkey") for e in page.iter() if e.get("hotkey")]
    assert len(set(keys)) == len(keys)
    assert [label.get("value") for label in page.iter("Label")] == list(SLOTS)
    odd = ElementTree.fromstring(label_config(plain_inventory(['a "quoted" <one>', *map(str, range(40))], SLOTS)))
    assert next(odd.iter("Choice")).get("value") == 'a "quoted" <one>'


def test_a_draft_is_a_prediction_and_a_blind_task_has_none() -> None:
    shown = studio_task(TASK, "http://clips/1")
    (prediction,) = shown["predictions"]
    by_name = {row["from_name"]: row["value"] for row in prediction["result"]}
    assert by_name["transcript"] == {"text": ["turn on the kitchen light"]}
    assert by_name["intent"] == {"choices": ["light_on"]}
    assert by_name["slots"] == {"start": 12, "end": 19, "text": "kitchen", "labels": ["room"]}
    (blind,) = tasks(1, blind_share=1.0)
    made = studio_task(blind, "http://clips/1")
    assert "predictions" not in made
    assert "kitchen" not in str(made)


def test_what_was_shown_and_left_comes_back_as_it_was() -> None:
    results = studio_task(TASK, "x")["predictions"][0]["result"]
    answer = read({**said(None), "result": results})
    assert (answer.transcript, answer.intent, answer.slots) == (TASK.draft.text, TASK.draft.intent, TASK.draft.slots)
    assert (answer.annotator_id, answer.verdict, answer.lead_time) == ("ann", "labelled", 8.25)
    assert answer.revision == revision_of(AT) == 1795352400123456
    for days in (86_400.5, -1.0, 1e308):  # a tab that stayed open: the answer counts, its time does not
        assert read({**said(None), "result": results, "lead_time": days}).lead_time == 0.0


def test_slots_marked_on_what_was_heard_lie_on_the_corrected_words() -> None:
    answer = read(said("Please, turn on the Kitchen lights!", intent="light_on", spans=[span(12, 19)]))
    assert answer.transcript == "please turn on the kitchen lights"
    assert answer.slots == (SlotSpan("room", 19, 26),)


def test_slots_that_have_no_place_any_more_ask_again() -> None:
    with pytest.raises(RowError, match="lost_slot"):
        read(said("turn on the light", intent="light_on", spans=[span(12, 19)]))


def test_slots_are_typed_where_nothing_was_shown() -> None:
    answer = read(said("turn on the kitchen light", intent="light_on", slot_words="room=kitchen"), asr_text="")
    assert answer.slots == (SlotSpan("room", 12, 19),)


def test_offsets_are_those_of_browsers() -> None:
    text = "\U0001f600 the kitchen light"
    answer = read(said("the kitchen light", intent="light_on", spans=[span(7, 14)]), asr_text=text)
    assert answer.slots == (SlotSpan("room", 4, 11),)


@pytest.mark.parametrize(("shown", "verdict"), [(shown, verdict) for shown, (verdict, _) in VERDICTS.items()])
def test_every_verdict_comes_back_and_brings_no_text(shown: str, verdict: str) -> None:
    answer = read(said("secret words", verdict=shown, question="what is it?"))
    assert (answer.verdict, answer.transcript, answer.slots) == (verdict, None, ())
    assert answer.question == ("what is it?" if verdict == "help" else None)


def test_an_intent_outside_the_inventory_is_proposed() -> None:
    answer = read(said("dim it", intent="other", proposal="dim_light"))
    assert (answer.intent, answer.proposal) == ("other", "dim_light")


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (said("lights"), "missing_field"),
        (said("lights", intent="light_on", spans=[span(3, 2)]), "bad_span"),
        (said("lights", intent="light_on", spans=[span(0, 4000)]), "bad_span"),
        (said("lights", intent="light_on", slot_words="kitchen"), "bad_span"),
        (said("lights", intent="light_on", verdict="Whatever"), "unknown_verdict"),
        ({**said("lights", intent="light_on"), "updated_at": None}, "bad_field"),
        ({**said("lights"), "result": "nonsense"}, "missing_field"),
        ({**said("lights", intent="light_on"), "result": [{"type": "labels"}, 3]}, "bad_span"),
    ],
)
def test_a_bad_annotation_is_named_by_its_reason(annotation: dict[str, Any], reason: str) -> None:
    with pytest.raises(RowError) as refused:
        read(annotation)
    assert refused.value.reason == reason


def test_a_strange_task_is_refused() -> None:
    with pytest.raises(RowError, match="unknown_task"):
        read(said("lights", intent="light_on"), task_id="nobody")


def test_no_confidence_stands_beside_the_draft() -> None:
    assert "score" not in studio_task(TASK, "x")["predictions"][0]
