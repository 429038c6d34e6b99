# ruff: noqa: RUF001
"""Known slots in three forms, and messages that name the slot, the key and the remedy, never a value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.ingest.manifest import read
from corpus.ingest.manifest_row import BadRow, ManifestRow, parse
from corpus.records.arrivals import SlotSpan
from corpus.text import normalise
from tests.corpus.ingest.test_manifest import ROW, write

TEXT = "Wake me at 7:30, in the Kitchen!"
PLACED = (SlotSpan("time", 11, 15), SlotSpan("room", 23, 30))
OFFSETS = [{"name": "time", "start": 11, "end": 15}, {"name": "room", "start": 24, "end": 31}]
VALUES = [{"name": "time", "value": "7.30"}, {"name": "room", "value": "kitchen"}]
FORMS: dict[str, Any] = {
    "offsets": OFFSETS,
    "values": VALUES,
    "text": "time=7:30; room=KITCHEN",
    "mixed": [VALUES[0], OFFSETS[1]],
    "both": [OFFSETS[0] | {"value": "7 30"}, VALUES[1] | {"start": None, "end": None}],
}


@pytest.mark.parametrize("form", FORMS)
def test_slots_of_every_form_have_the_same_places(tmp_path: Path, form: str) -> None:
    row = ROW | {"text": TEXT, "slots": FORMS[form]}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "m.parquet")
    for (found,) in (read(write(tmp_path / "m.jsonl", row)), read(tmp_path / "m.parquet")):
        assert isinstance(found, ManifestRow), found
        assert (found.text, found.slots) == (normalise(TEXT), PLACED)


@pytest.mark.parametrize("nothing", [None, [], "", " ; "])
def test_a_row_without_slots_needs_no_text(nothing: Any) -> None:
    row = parse(1, ROW | {"slots": nothing})
    assert isinstance(row, ManifestRow)
    assert row.slots == ()


def slot(**keys: Any) -> list[dict[str, Any]]:
    return [{"name": "who", "value": "anna"}, {"name": "date"} | keys]


@pytest.mark.parametrize(
    ("slots", "message"),
    [
        (slot(value="secret"), "slot 2 (date): its value is not in the text; correct it, or give start and end"),
        (slot(value="go"), "slot 2 (date): its value is in the text 2 times; give start and end"),
        (slot(value="..."), "slot 2 (date): its value has no letter or digit; correct it"),
        (slot(value="for anna"), "slot 2 (date): overlaps slot 1 (who); correct one of them"),
        (slot(), "slot 2 (date): has neither start and end nor a value; give one of the two"),
        (slot(start=3), "slot 2 (date): has a start but no end; give both"),
        (slot(end=3), "slot 2 (date): has an end but no start; give both"),
        (slot(start=3, end=3), "slot 2 (date): its start is not before its end; correct them"),
        (slot(start=3, end=999), "slot 2 (date): ends after the text; correct its start and end"),
        (slot(start=2, end=3), "slot 2 (date): has no letter or digit between start and end; correct them"),
        (slot(start=0, end=2, value="for"), "slot 2 (date): its value is not between its start and end; leave one"),
        (slot(start="0", end=2), "slot 2 (date): start is of the wrong type; give a name, and either start and end"),
        (slot(start=-1, end=2), "slot 2 (date): start has a value that is not allowed; give a name, and either"),
        (slot(value=3), "slot 2 (date): value is of the wrong type; give a name"),
        (slot(value="go", text="secret"), "slot 2 (date): holds an unknown key `text`; give a name"),
        (slot(value="go", **{"anna k": 1}), "slot 2 (date): holds an unknown key; give a name"),
        ([{"name": "a\nb" + "c" * 99, "value": "go"}], f"slot 1 (a b{'c' * 61}): name is too long; give a name"),
        ([{"name": "\u200b ", "value": "go"}], "slot 1: name is empty; give a name"),
        ([{"value": "go"}], "slot 1: name is missing; give a name"),
        (["secret"], "slot 1: is of the wrong type; give a name"),
        ("who=anna; date=secret", "slot 2 (date): its value is not in the text; correct it, or give start and end"),
        ("who=anna; secret", "slot 2: is no name=value; write each as room=kitchen, with semicolons between"),
        ("who=anna; date=", "slot 2 (date): has no value; write name=value"),
    ],
)
def test_a_wrong_slot_is_named_by_number_and_name_and_its_value_never(slots: Any, message: str) -> None:
    bad = parse(4, ROW | {"text": "Go, go for anna!", "slots": slots})
    assert isinstance(bad, BadRow)
    assert bad.detail.startswith(f"field slots, {message}"), bad.detail
    assert bad.detail.isprintable()
    assert "secret" not in bad.detail
    assert "anna" not in bad.detail


def test_slots_without_a_text_are_refused() -> None:
    bad = parse(1, ROW | {"slots": "room=kitchen"})
    assert isinstance(bad, BadRow)
    assert bad.detail == "field slots: slots without a text; give the text that they belong to"


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("arived_at", "unknown field `arived_at`; leave it out, or put it into attributes; known are"),  # it has both
        ("Intent", "unknown field `Intent`; write `intent` if you meant that, leave it out, or put it into attributes"),
        ("speaker_gender", "unknown field `speaker_gender`; leave it out, or put it into attributes; known are audio,"),
        ("anna k", "an unknown field; leave it out, or put it into attributes; known are audio, account"),
        ("a" * 42, "an unknown field; leave it out"),
        ("\u0430nna", "an unknown field; leave it out"),
    ],
)
def test_an_unknown_field_is_named_where_it_looks_like_one(field: str, message: str) -> None:
    bad = parse(1, ROW | {field: "secret"})
    assert isinstance(bad, BadRow)
    assert bad.detail.startswith(message), bad.detail
    assert "secret" not in bad.detail


def test_an_unknown_field_is_named_before_the_field_that_is_missing_for_it() -> None:
    for meant in ("arived_at", "recieved_at", "Arrived_At"):
        bad = parse(1, ROW | {"arrived_at": None, meant: ROW["arrived_at"]})
        assert isinstance(bad, BadRow)
        assert bad.detail == f"unknown field `{meant}`, and `arrived_at` is missing: rename it to arrived_at"


@pytest.mark.parametrize(
    ("renamed", "message"),
    [
        ({"account": "speaker"}, "unknown field `speaker`, and `account` is missing: rename it to account"),
        ({"audio": "audio_filepath"}, "unknown field `audio_filepath`, and `audio` is missing: rename it to audio"),
        (
            {"account": "speaker", "wake": "take", "consent": "accent"},
            "unknown field `speaker`, and `account`, `consent`, `wake` are missing: rename it to account",
        ),
        ({"locale": "Language"}, "unknown field `Language`, and `locale` is missing: rename it to locale"),
        (
            {"account": "client_id", "device_type": "device"},
            "unknown fields `client_id`, `device`, and `account`, `device_type` are missing: rename `client_id` to"
            " account, `device` to device_type",
        ),
        ({"account": "made_up"}, "unknown field `made_up`; leave it out, or put it into attributes; `account` is miss"),
    ],
)
def test_a_field_under_a_usual_other_name_is_to_be_renamed(renamed: dict[str, str], message: str) -> None:
    bad = parse(1, {renamed.get(name, name): value for name, value in ROW.items()})
    assert isinstance(bad, BadRow)
    assert bad.detail.startswith(message), bad.detail


def test_an_optional_field_under_another_name_is_proposed() -> None:
    bad = parse(1, ROW | {"transcript": "secret"})
    assert isinstance(bad, BadRow)
    assert bad.detail.startswith("unknown field `transcript`; write `text` if you meant that, leave it out, or put")


def test_intents_and_names_of_slots_are_stored_clean_and_locales_canonical() -> None:
    given = {"locale": " en_gb", "intent": " order\u00a0 cof\u200bfee ", "text": "to go"}
    row = parse(1, ROW | given | {"slots": [{"name": "how\u3000 much", "value": "to"}]})
    assert isinstance(row, ManifestRow)
    assert (row.locale, row.intent, row.slots) == ("en-GB", "order coffee", (SlotSpan("how much", 0, 2),))
    for empty in ("\u200b", " ", ""):
        bad = parse(1, ROW | {"intent": empty})
        assert isinstance(bad, BadRow)
        assert bad.detail.startswith("field intent: is empty; give a string")


@pytest.mark.parametrize("place", [(24, 27), (26, 31), (23, 32)])
@pytest.mark.parametrize("value", [None, "kitchen"])
def test_offsets_on_a_part_of_a_word_mean_the_word(place: tuple[int, int], value: str | None) -> None:
    slot = {"name": "room", "start": place[0], "end": place[1]} | ({"value": value} if value else {})
    row = parse(1, ROW | {"text": TEXT, "slots": [slot]})
    assert isinstance(row, ManifestRow)
    assert row.slots == PLACED[1:]


@pytest.mark.parametrize(
    ("text", "given", "placed"),
    [
        ("Wake me at 7am", [(11, 12), (12, 14)], [(11, 12), (12, 14)]),
        ("20grad", [(2, 6), (0, 2)], [(2, 6), (0, 2)]),
        ("7am tomorrow", [(0, 1), (1, 8)], [(0, 1), (1, 12)]),  # the word that the second has alone is widened
        ("at 7am today", [(1, 4), (4, 6)], [(0, 4), (4, 6)]),
    ],
)
def test_two_slots_in_one_word_stay_as_they_are(text: str, given: list[Any], placed: list[Any]) -> None:
    slots = [{"name": f"s{start}", "start": start, "end": end} for start, end in given]
    row = parse(1, ROW | {"text": text, "slots": slots})
    assert isinstance(row, ManifestRow), row
    assert [(slot.start, slot.end) for slot in row.slots] == placed


@pytest.mark.parametrize("second", [{"start": 26, "end": 31}, {"value": "kitchen"}])
def test_places_that_overlap_are_refused(second: dict[str, Any]) -> None:
    row = parse(1, ROW | {"text": TEXT, "slots": [{"name": "room", "start": 24, "end": 27}, {"name": "x"} | second]})
    assert isinstance(row, BadRow)
    assert "slot 2 (x): overlaps slot 1 (room); correct one of them" in row.detail


words = st.lists(st.sampled_from(["Go", "to,", "the", "café", "7:30", "don't", "ＢＡＤ", "½"]), min_size=1, max_size=12)


@given(words, st.data())
@settings(deadline=None)
def test_a_value_and_its_offsets_are_the_same_slot(text: list[str], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(text) - 1))
    last = data.draw(st.integers(first, len(text) - 1))
    start, value = len(" ".join([*text[:first], ""])), " ".join(text[first : last + 1])
    offsets = {"name": "x", "start": start, "end": start + len(value)}
    by_offsets = parse(1, ROW | {"text": " ".join(text), "slots": [offsets]})
    by_both = parse(1, ROW | {"text": " ".join(text), "slots": [offsets | {"value": value}]})
    by_value = parse(1, ROW | {"text": " ".join(text), "slots": [{"name": "x", "value": value}]})
    by_text = parse(1, ROW | {"text": " ".join(text), "slots": f"x={value};"})
    assert isinstance(by_offsets, ManifestRow)
    assert by_both == by_offsets
    if isinstance(by_value, BadRow):
        assert re.search(r"in the text \d+ times", by_value.detail)
    else:
        assert by_value == by_text == by_offsets


@given(st.text(max_size=30), st.text(max_size=30))
@settings(deadline=None)
def test_any_text_for_slots_is_a_row_or_a_reason(text: str, slots: str) -> None:
    row = parse(1, ROW | {"text": text, "slots": slots})
    if isinstance(row, BadRow):
        assert row.detail.startswith(("field slots", "field text"))
        assert len(row.detail.splitlines()) == 1
