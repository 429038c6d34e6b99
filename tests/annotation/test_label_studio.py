from __future__ import annotations

from xml.etree import ElementTree

from annotation.label_studio import VERDICTS, label_config, studio_task
from corpus.records.inventory import plain_inventory
from tests.annotation.worlds import INTENTS, SLOTS, tasks

(TASK,) = tasks(1)


def test_the_page_names_all_that_can_be_answered() -> None:
    page = ElementTree.fromstring(label_config(plain_inventory(INTENTS, SLOTS)))
    choices = {c.get("name"): [o.get("value") for o in c] for c in page.iter("Choices")}
    assert choices["intent"] == ["light_on", "light_off", "play_music", "other"]
    assert choices["verdict"] == list(VERDICTS)
    keys = [e.get("hotkey") for e in page.iter() if e.get("hotkey")]
    assert len(set(keys)) == len(keys)
    assert [label.get("value") for label in page.iter("Label")] == list(SLOTS)
    (marked,) = [text for text in page.iter("Text") if text.get("name") == "asr_text"]
    assert marked.get("granularity") == "word"
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


def test_no_confidence_stands_beside_the_draft() -> None:
    assert "score" not in studio_task(TASK, "x")["predictions"][0]
