from __future__ import annotations

import numpy as np
import pytest

from annotation.agreement import word_edits
from annotation.files import read_annotations, read_tasks, write_annotations
from annotation.row_parsing import asked
from annotation.simulated import AnnotatorSettings, Truth, answer
from corpus.errors import UsageError
from corpus.records.annotations import AnnotationTask
from corpus.records.arrivals import SlotSpan
from corpus.records.base import Verdict
from corpus.text import normalise
from tests.annotation.worlds import SLOTS, tasks, tasks_in

TEXT = "Turn on the kitchen light"
TRUTH = Truth(TEXT, "light_on", (SlotSpan("room", 12, 19),))


def truths(made: list[AnnotationTask], truth: Truth = TRUTH) -> dict[str, Truth]:
    return dict.fromkeys([t.utterance_id for t in made], truth)


def test_a_perfect_annotator_tells_the_truth() -> None:
    made = tasks(9, asks=("transcribe", "label_intent", "triage"))
    for given in answer(made, truths(made), AnnotatorSettings()):
        wants = {"transcribe": (normalise(TEXT), "light_on", TRUTH.slots), "label_intent": (None, "light_on", ())}
        assert (given.transcript, given.intent, given.slots) == wants.get(given.ask, (None, None, ()))


def test_answers_depend_on_seed_annotator_and_task_alone() -> None:
    made = tasks(40)
    settings = AnnotatorSettings(word_error_rate=0.3, intent_error_rate=0.3, help_rate=0.1)
    full = answer(made, truths(made), settings)
    assert answer(made[::-1], truths(made), settings) == full[::-1]
    assert answer(made[5:9], truths(made), settings) == full[5:9]
    assert answer(made, truths(made), settings.model_copy(update={"seed": 1})) != full
    other = answer(made, truths(made), settings.model_copy(update={"annotator_id": "simulated-2"}))
    assert [a.intent for a in other] != [a.intent for a in full]


def test_the_rates_are_kept() -> None:
    made = tasks(3000, blind_share=1.0)
    settings = AnnotatorSettings(
        word_error_rate=0.1, intent_error_rate=0.05, help_rate=0.04, false_unintelligible_rate=0.03
    )
    given = answer(made, truths(made), settings)
    labelled = [a for a in given if a.verdict == "labelled"]
    assert sum(a.verdict == "help" for a in given) / 3000 == pytest.approx(0.04, abs=0.015)
    assert sum(a.verdict == "unintelligible" for a in given) / 3000 == pytest.approx(0.03, abs=0.015)
    assert sum(a.intent != "light_on" for a in labelled) / len(labelled) == pytest.approx(0.05, abs=0.015)
    errors = sum(word_edits(normalise(TEXT), a.transcript or "") for a in labelled)
    assert errors / (5 * len(labelled)) == pytest.approx(0.1, abs=0.01)


def test_slots_stay_on_whole_words_whatever_is_mistyped() -> None:
    made = tasks(400, blind_share=1.0)
    for given in answer(made, truths(made), AnnotatorSettings(word_error_rate=0.5)):
        assert given.transcript == normalise(given.transcript)
        for slot in given.slots:
            span = given.transcript[slot.start : slot.end]
            assert given.transcript[: slot.start].endswith(" ") or slot.start == 0
            assert given.transcript[slot.end : slot.end + 1] in ("", " ")
            assert set(span) <= set("kitchen ")


def test_time_is_base_plus_listening_plus_typing() -> None:
    fields = {"seconds_per_task": 3.0, "seconds_per_audio_second": 2.0, "seconds_per_word": 0.5, "time_noise": 0.0}
    settings = AnnotatorSettings(**fields)
    [blind] = answer(tasks(1, blind_share=1.0), {"u0000": TRUTH}, settings)
    assert blind.lead_time == 3.0 + 2.0 * 2.0 + 0.5 * 5
    [drafted] = answer(tasks(1), {"u0000": TRUTH}, settings)
    assert drafted.lead_time == 7.0
    [corrected] = answer(tasks(1), {"u0000": Truth("turn off the light", "light_off")}, settings)
    assert corrected.lead_time == 7.0 + 0.5 * 2
    [intent] = answer(tasks(1, asks=("label_intent",)), {"u0000": TRUTH}, settings)
    assert intent.lead_time == 7.0


@pytest.mark.parametrize("verdict", ["accidental", "unintelligible", "critical_data", "distress"])
def test_clips_that_are_no_commands_are_noticed_at_the_given_rate(verdict: Verdict) -> None:
    made = tasks(1000)
    truth = truths(made, Truth("", "", (), verdict))
    assert {a.verdict for a in answer(made, truth, AnnotatorSettings())} == {verdict}
    given = answer(made, truth, AnnotatorSettings(verdict_recall=0.7))
    assert np.mean([a.verdict == verdict for a in given]) == pytest.approx(0.7, abs=0.05)
    assert {a.verdict for a in given} == {verdict, "labelled"}


def test_a_trusted_draft_comes_back_unread() -> None:
    made = tasks(5)
    given = answer(made, truths(made, Truth("play music", "play_music")), AnnotatorSettings(draft_trust=1.0))
    assert {a.transcript for a in given} == {"turn on the kitchen light"}
    assert {a.intent for a in given} == {"light_on"}


def test_an_intent_outside_the_inventory_is_proposed() -> None:
    [given] = answer(tasks(1), {"u0000": Truth("dim it", "dim_light")}, AnnotatorSettings())
    assert (given.intent, given.proposal) == (None, "dim_light")


def test_an_utterance_without_truth_is_named() -> None:
    with pytest.raises(UsageError, match="u0001"):
        answer(tasks(2), {"u0000": TRUTH}, AnnotatorSettings())


def test_the_whole_way_through_files(tmp_path) -> None:
    made = tasks(50, blind_share=0.3, asks=("transcribe", "label_intent", "triage"))
    settings = AnnotatorSettings(word_error_rate=0.2, intent_error_rate=0.2, help_rate=0.1, verdict_recall=0.8)
    given = answer(read_tasks(tasks_in(tmp_path, made)), truths(made), settings)
    path = write_annotations(tmp_path / "answers.jsonl", given)
    parsed = read_annotations(path, asked(made))
    assert parsed.refused == []
    assert parsed.annotations == given
    assert path.read_bytes() == write_annotations(tmp_path / "again.jsonl", given).read_bytes()
    assert made[0].slot_names == SLOTS
