"""Answers of Label Studio: what they become, and that whatever a person marks costs that answer alone."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.label_studio import VERDICTS, studio_task
from annotation.label_studio_answers import author_of, read_studio, revision_of
from annotation.row_parsing import RefusedReason, RowError, asked
from corpus.records.arrivals import SlotSpan
from tests.annotation.worlds import SLOTS, tasks

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


# --- marks that a page lets a person make -----------------------------------------------------------------------------

SHOWN = "turn on, the kitchen light \U0001f600"


@pytest.mark.parametrize(
    ("marks", "detail"),
    [
        ([(9, 20), (13, 26)], "overlaps slot 1"),
        ([(13, 20), (13, 20)], "overlaps slot 1"),
        ([(0, 26), (13, 20)], "overlaps slot 1"),
        ([(7, 8)], "no letter or digit"),
        ([(7, 9)], "no letter or digit"),
        ([(27, 29)], "no letter or digit"),
        ([(27, 28)], "outside the words"),  # half of a character
        ([(13, 99)], "outside the words"),
        ([(0, 0)], "outside the words"),
        ([(-1, 4)], "outside the words"),
        ([(float("inf"), 4)], "outside the words"),
        ([(True, 4)], "outside the words"),
        ([(None, "4")], "outside the words"),
    ],
)
def test_a_mark_that_fits_no_words_is_a_bad_span_and_says_why(marks: list[tuple[Any, Any]], detail: str) -> None:
    with pytest.raises(RowError) as refused:
        read(said(SHOWN, intent="light_on", spans=[span(*each) for each in marks]), asr_text=SHOWN)
    assert (refused.value.reason, refused.value.field) == ("bad_span", "slots")
    assert detail in refused.value.detail
    assert "kitchen" not in refused.value.detail


@pytest.mark.parametrize("names", [["room", "device"], [], None, "room", [None], [""], ["r" * 300], [3]])
def test_a_region_with_two_names_or_none_is_a_bad_span(names: object) -> None:
    marked = span(13, 20)
    marked["value"]["labels"] = names
    with pytest.raises(RowError, match="bad_span"):
        read(said(SHOWN, intent="light_on", spans=[marked]), asr_text=SHOWN)


@pytest.mark.parametrize("typed", [SHOWN, "Please turn on the KITCHEN light"])
@pytest.mark.parametrize("place", [(13, 16), (15, 18), (12, 21), (13, 20)])
def test_a_mark_on_a_part_of_a_word_means_the_word(place: tuple[int, int], typed: str) -> None:
    (slot,) = (answer := read(said(typed, intent="light_on", spans=[span(*place)]), asr_text=SHOWN)).slots
    assert answer.transcript[slot.start : slot.end] == "kitchen"


def test_a_mark_after_an_inner_apostrophe_keeps_its_place_in_a_transcript_that_was_typed() -> None:
    answer = read(said("L'eau, chaude!", intent="light_on", spans=[span(2, 5)]), asr_text="l'eau chaude")
    assert (answer.transcript, answer.slots) == ("l'eau chaude", (SlotSpan("room", 2, 5),))


# --- fields of the server ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "time", ["abc", "12,5", "00:08", [3], {}, True, None, 10**400, float("nan"), float("inf"), "nan", -1]
)
def test_a_time_that_is_no_number_of_seconds_was_not_measured(time: object) -> None:
    assert read({**said("lights", intent="light_on"), "lead_time": time}).lead_time == 0.0


@pytest.mark.parametrize(
    "time",
    [
        *["0001-01-01T00:00:00Z", "0001-01-01T00:00:00", "9999-12-31T23:59:59-23:59", "9999-12-31", "1970-01-01"],
        *["yesterday", "", None, 5, [], {}],
    ],
)
def test_an_answer_whose_time_is_of_no_use_is_refused_by_that_field(time: object) -> None:
    with pytest.raises(RowError) as refused:
        read({**said("lights", intent="light_on"), "updated_at": time})
    assert (refused.value.reason, refused.value.field) == ("bad_field", "revision")
    assert "updated_at" in refused.value.detail


@pytest.mark.parametrize("time", ["2026-11-22T13:00:00.123456z", "2026-11-22 14:00:00.123456+01:00", AT[:-1]])
def test_a_time_is_read_in_every_usual_form(time: str) -> None:
    assert revision_of(time) == revision_of(AT)


def test_the_author_is_a_user_of_the_server_or_the_answer_is_refused() -> None:
    names = {1: "ann"}
    assert author_of({"completed_by": 1}, names) == author_of({"completed_by": {"id": 1}}, names) == "ann"
    assert author_of({"completed_by": 7}, names) == "ls-7"
    for odd in (None, "x", "1", True, [1], {}, {"id": None}, {"id": "1"}, 1.0):
        with pytest.raises(RowError, match="bad_field"):
            author_of({"completed_by": odd}, names)


# --- anything at all --------------------------------------------------------------------------------------------------

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
sayings = st.sampled_from([SHOWN, "turn on the kitchen light", "l'eau", "\u53f0\u6240 lights", "", "\ud83d"]) | st.text(
    max_size=20
)
regions = st.builds(
    lambda start, length, names: {
        **span(start, start + length),
        "value": {"start": start, "end": start + length, "labels": names},
    },
    st.integers(0, 30),
    st.integers(0, 12),
    st.lists(st.sampled_from(SLOTS), max_size=2),
)
fields = st.builds(area, st.sampled_from(["transcript", "slot_words", "proposal", "question"]), sayings) | st.builds(
    choice, st.sampled_from(["intent", "verdict"]), st.sampled_from(["light_on", "other", "nap", *VERDICTS])
)
raw = st.fixed_dictionaries(
    {
        "result": st.lists(
            regions | fields | st.fixed_dictionaries({"type": st.just("labels"), "value": anything}), max_size=8
        )
        | anything
    },
    optional={
        "lead_time": anything,
        "completed_by": anything,
        "updated_at": st.just(AT) | st.datetimes().map(str) | anything,
    },
)


@given(annotation=raw, shown=sayings)
@settings(max_examples=300, deadline=None)
def test_whatever_a_person_does_there_is_an_answer_or_a_reason(annotation: dict[str, Any], shown: str) -> None:
    data = {"task_id": TASK.task_id, "asr_text": shown}
    try:
        answer = read_studio(annotation, data, author_of(annotation, {}), ASKED)
    except RowError as refused:
        reason: Any = refused.reason
        answer = None
    assert answer is not None or reason in get_args(RefusedReason)
    for slot in answer.slots if answer is not None else ():
        assert answer.transcript is not None
        assert answer.transcript[slot.start : slot.end].strip()
