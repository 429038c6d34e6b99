from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.files import Parsed, parse_annotations
from annotation.row_parsing import asked
from corpus.errors import UsageError
from corpus.records.arrivals import SlotSpan
from corpus.records.inventory import plain_inventory
from tests.annotation.worlds import tasks

MADE = tasks(3)
ASKED = asked(MADE)
IDS = [task.task_id for task in MADE]


def read(*lines: str, suffix: str = ".csv", encoding: str = "utf-8") -> Parsed:
    return parse_annotations("\n".join(lines).encode(encoding), ASKED, suffix=suffix)


HEADER = "task_id,annotator_id,verdict,transcript,intent,slots,lead_time,revision"


def test_a_row_is_the_annotation_that_its_fields_make() -> None:
    parsed = read(HEADER, f'{IDS[0]},ann,labelled,"Turn on the light, please",light_on,room=light,4.5,2')
    (row,) = parsed.annotations
    assert (row.transcript, row.intent, row.lead_time, row.revision) == ("turn on the light please", "light_on", 4.5, 2)
    assert row.slots == (SlotSpan("room", 12, 17),)


def test_verdict_and_question_may_be_left_out_and_columns_stand_in_any_order() -> None:
    (row,) = read("intent,transcript,annotator_id,task_id", f"light_on,lights,ann,{IDS[0]}").annotations
    assert (row.verdict, row.ask, row.intent) == ("labelled", "transcribe", "light_on")


@pytest.mark.parametrize(("mark", "suffix"), [(";", ".csv"), ("\t", ".csv"), ("\t", ".tsv")])
def test_what_spreadsheets_write_is_read(mark: str, suffix: str) -> None:
    lines = [
        mark.join(["task_id", "annotator_id", "transcript", "intent"]),
        mark.join([IDS[0], "ann", "a, b", "other"]),
    ]
    assert read(*lines, suffix=suffix, encoding="utf-8-sig").annotations[0].transcript == "a b"


def test_silence_has_a_mark_and_an_empty_cell_is_missing() -> None:
    parsed = read("task_id,annotator_id,transcript,intent", f"{IDS[0]},ann,<silence>,other", f"{IDS[1]},ann,,other")
    assert parsed.annotations[0].transcript == ""
    assert [str(row) for row in parsed.refused] == ["line 3: missing_field (transcript)"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{id},ann,labelled,lights,light_on,,soon,1", "bad_field"),
        ("{id},ann,labelled,lights,light_on,,1,1.5", "bad_field"),
        ("{id},ann,maybe,lights,light_on,,1,1", "unknown_verdict"),
        ("{id},ann,labelled,lights,light_on,room=kitchen,1,1", "bad_span"),
        ("{id},ann,labelled,lights lights,light_on,room=lights,1,1", "bad_span"),
        ("nobody,ann,labelled,lights,light_on,,1,1", "unknown_task"),
        ("{id},ann,labelled,lights,light_on,,1,1,more", "malformed"),
        ('{id},ann,labelled,"lights,light_on,,1,1', "malformed"),
        ('{id},ann,labelled,"li"ghts,light_on,,1,1', "malformed"),
    ],
)
def test_a_bad_line_is_named_and_costs_only_itself(line: str, reason: str) -> None:
    good = f"{IDS[1]},ann,labelled,lights,light_on,,1,1"
    parsed = read(HEADER, good, line.format(id=IDS[0]), good)
    assert [(row.line, row.reason) for row in parsed.refused] == [(3, reason)]
    assert len(parsed.annotations) == 2


def test_bytes_that_are_no_text_cost_their_line() -> None:
    data = f"task_id,annotator_id,transcript,intent\n{IDS[0]},ann,li\xffghts,other\n{IDS[1]},ann,ok,other".encode(
        "latin-1"
    )
    parsed = parse_annotations(data, ASKED, suffix=".csv")
    assert [(row.line, row.reason) for row in parsed.refused] == [(2, "malformed")]
    assert len(parsed.annotations) == 1


@pytest.mark.parametrize(("mark", "cell", "seconds"), [(";", "8,9", 8.9), ("\t", "8,9", 8.9), (";", "8.5", 8.5)])
def test_a_decimal_comma_is_read_where_commas_part_no_cells(mark: str, cell: str, seconds: float) -> None:
    header = mark.join(["task_id", "annotator_id", "transcript", "intent", "lead_time"])
    (row,) = read(header, mark.join([IDS[0], "ann", "lights", "other", cell])).annotations
    assert row.lead_time == seconds


@pytest.mark.parametrize("cell", ["1.234,5", "8,9,1", "-1", "1e999", "8,"])
def test_another_number_is_refused_with_what_is_expected(cell: str) -> None:
    (refused,) = read("task_id;annotator_id;transcript;intent;lead_time", f"{IDS[0]};ann;lights;other;{cell}").refused
    assert (refused.reason, refused.detail) == (
        "bad_field",
        "field lead_time: give seconds, 0 to 86400 (24 hours), such as 8.9",
    )


@pytest.mark.parametrize(
    ("cell", "seconds"), [('"8,9"', 8.9), ('",5"', 0.5), ("1e1", 10.0), ("\uff18.5", 8.5), ("\u0663", 3.0), (".5", 0.5)]
)
def test_seconds_are_read_as_any_country_writes_them_where_commas_part_the_cells(cell: str, seconds: float) -> None:
    (row,) = read("task_id,annotator_id,transcript,intent,lead_time", f"{IDS[0]},ann,lights,other,{cell}").annotations
    assert row.lead_time == seconds


@pytest.mark.parametrize("cell", ["1_0", '"1,234"', "nan", "inf", "0x1F", "8.5 s", "+8"])
def test_what_only_python_takes_for_a_number_or_may_be_thousands_is_refused(cell: str) -> None:
    parsed = read("task_id,annotator_id,transcript,intent,lead_time", f"{IDS[0]},ann,lights,other,{cell}")
    assert [str(row) for row in parsed.refused] == ["line 2: bad_field (lead_time)"]


@pytest.mark.parametrize(
    ("cell", "revision"),
    [("2", 2), ("2.0", 2), ('"2,0"', 2), ("\uff12", 2), ("1_0", None), ("2.5", None), ("-1", None)],
)
def test_a_revision_is_a_whole_number_however_a_spreadsheet_shows_it(cell: str, revision: int | None) -> None:
    parsed = read("task_id,annotator_id,transcript,intent,revision", f"{IDS[0]},ann,lights,other,{cell}")
    assert [row.revision for row in parsed.annotations] == ([] if revision is None else [revision])
    assert [str(row) for row in parsed.refused] == ([] if revision else ["line 2: bad_field (revision)"])


WIDE = {ord(char): ord(char) + 0xFEE0 for char in map(chr, range(0x21, 0x7F))}


@st.composite
def spelled(draw: st.DrawFn, word: str) -> str:
    """The word as another keyboard or program writes it: any case, any width, unseen characters, blanks at its ends."""
    text = "".join(draw(st.sampled_from((char.lower(), char.upper()))) for char in word)
    text = text.translate(WIDE) if draw(st.booleans()) else text
    around = st.sampled_from(("", " ", "\u00a0", "\u200b", "\ufeff", "\u3000"))
    return draw(around) + text + draw(around)


@given(spelled("<silence>"), spelled("other"), spelled("labelled"), spelled("transcribe"))
def test_marks_and_fixed_words_are_read_in_any_case_and_width(mark: str, intent: str, verdict: str, ask: str) -> None:
    header = "task_id;annotator_id;transcript;intent;verdict;ask"
    (row,) = read(header, f"{IDS[0]};ann;{mark};{intent};{verdict};{ask}").annotations
    assert (row.transcript, row.intent, row.proposal, row.verdict) == ("", "other", None, "labelled")


@pytest.mark.parametrize("mark", ["< silence >", "<silence>.", "[Silence]", "\u2039silence\u203a", '"&lt;silence&gt;"'])
def test_the_mark_of_silence_is_known_in_other_brackets(mark: str) -> None:
    (row,) = read("task_id,annotator_id,transcript,intent", f"{IDS[0]},ann,{mark},other").annotations
    assert row.transcript == ""


@pytest.mark.parametrize("mark", ["<Stille>", "<silent>", "<noise>", "\uff1cnoise\uff1e"])
def test_another_mark_does_not_become_a_spoken_word(mark: str) -> None:
    (refused,) = read("task_id,annotator_id,transcript,intent", f"{IDS[0]},ann,{mark},other").refused
    assert str(refused) == "line 2: bad_field (transcript)"
    assert "write <silence> where nobody spoke" in refused.detail


@pytest.mark.parametrize(
    ("cell", "verdict"), [("Critical data", "critical_data"), ("Critical-Data", "critical_data"), ("HELP", "help")]
)
def test_a_verdict_is_read_with_blanks_for_underscores(cell: str, verdict: str) -> None:
    (row,) = read("task_id,annotator_id,verdict", f"{IDS[0]},ann,{cell}").annotations
    assert row.verdict == verdict


def test_a_name_in_use_is_meant_by_any_case_unless_two_names_differ_in_case_alone() -> None:
    header = "task_id;annotator_id;transcript;intent;slots"
    (row,) = read(header, f"{IDS[0]};ann;kitchen lights;LIGHT_ON;ROOM=kitchen").annotations
    assert (row.intent, row.proposal, row.slots) == ("light_on", None, (SlotSpan("room", 0, 7),))
    (row,) = read(header, f"{IDS[0]};ann;kitchen lights;Dim_Lights;").annotations
    assert (row.intent, row.proposal) == (None, "Dim_Lights")
    two = {IDS[0]: replace(ASKED[IDS[0]], inventory=plain_inventory(("light_on", "Light_On"), ()))}
    for spelling, meant in {"light_on": "light_on", "Light_On": "Light_On", "LIGHT_ON": None}.items():
        data = f"{header}\n{IDS[0]};ann;lights;{spelling};\n".encode()
        assert parse_annotations(data, two, suffix=".csv").annotations[0].intent == meant


@given(st.sampled_from(("NFC", "NFD", "NFKC", "NFKD")), st.sampled_from(("", "\u200b", "\ufeff")))
def test_a_person_is_one_person_in_every_form_of_unicode(form: Any, unseen: str) -> None:
    name = unicodedata.normalize(form, "J\u00f6rg \u00c5s") + unseen
    (row,) = read("task_id,annotator_id,transcript,intent", f"{IDS[0]},{name},lights,other").annotations
    line = json.dumps({"task_id": IDS[0], "annotator_id": name, "ask": "transcribe", "verdict": "help"})
    (other,) = parse_annotations(line.encode(), ASKED).annotations
    assert row.annotator_id == other.annotator_id == "J\u00f6rg \u00c5s"


def test_a_name_of_unseen_characters_alone_is_refused() -> None:
    line = json.dumps({"task_id": IDS[0], "annotator_id": "\u200b", "ask": "transcribe", "verdict": "help"})
    assert [str(row) for row in parse_annotations(line.encode(), ASKED).refused] == ["line 1: bad_field (annotator_id)"]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "empty", ["{0}{0}{0}{0}", '""{0}""{0}""{0}""', " {0} {0}\u00a0{0}", "   ", "{0}{0}{0}{0}{0}{0}{0}"]
)
def test_rows_of_empty_cells_are_passed_over(mark: str, empty: str) -> None:
    header = mark.join(("task_id", "annotator_id", "transcript", "intent"))
    good = mark.join((IDS[0], "ann", "lights", "other"))
    parsed = read(header, good, empty.format(mark), good)
    assert (len(parsed.annotations), parsed.refused) == (2, [])


@pytest.mark.parametrize("more", ["", ";", ";;", "; ;\u00a0"])
@pytest.mark.parametrize("cells", ["", ";", ";;;"])
def test_columns_without_a_name_are_passed_over_where_they_are_empty(more: str, cells: str) -> None:
    (row,) = read(f"task_id;annotator_id;transcript;intent{more}", f"{IDS[0]};ann;lights;other{cells}").annotations
    assert row.transcript == "lights"
    parsed = read("task_id;annotator_id;transcript;intent;", f"{IDS[0]};ann;lights;other;secret")
    (refused,) = parsed.refused
    assert (refused.reason, "cell 5" in refused.detail, "secret" in refused.detail) == ("malformed", True, False)


@pytest.mark.parametrize("kept", range(2, 9))
def test_empty_cells_at_the_end_of_a_row_may_be_cut_off(kept: int) -> None:
    cells = [IDS[0], "ann", "help"]
    parsed = read(HEADER, ",".join([*cells, "", "", "", "", ""][: max(kept, 3)]))
    assert [row.verdict for row in parsed.annotations] == ["help"]


@pytest.mark.parametrize(
    "header",
    [
        "Task_ID,Annotator_ID,Transcript,Intent",
        "task id,ANNOTATOR ID,transcript , Intent",
        "Task-Id,Annotator-Id,\ufeffTranscript,INTENT",
        "\uff54ask_id,annotator_id,transcript,intent",
    ],
)
def test_columns_are_named_in_any_case_and_width(header: str) -> None:
    assert read(header, f"{IDS[0]},ann,lights,other").annotations[0].intent == "other"


@pytest.mark.parametrize("stated", ["sep=;", "SEP=;", '"sep=;"', "sep=;;;", "sep=,", "sep=|", "sep=^", "sep=\t"])
def test_the_separator_that_a_table_states_is_taken(stated: str) -> None:
    mark = stated.strip('"')[4]
    rows = [mark.join(("task_id", "annotator_id", "transcript", "intent")), mark.join((IDS[0], "ann", "hi", "other"))]
    parsed = read(stated, *rows, mark.join((IDS[1], "ann", "hi")))
    assert [row.transcript for row in parsed.annotations] == ["hi"]
    assert [row.line for row in parsed.refused] == [4]
    with pytest.raises(UsageError, match="lacks task_id"):
        read(stated)


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("last", ["", "end"])
def test_every_line_end_and_unicode_file_is_read(ends: str, encoding: str, last: str) -> None:
    lines = ["task_id\tannotator_id\ttranscript\tintent", f"{IDS[0]}\tann\tein \u00fcbel\tother", "x\tann\ta\tother"]
    data = (ends.join(lines) + (ends if last else "")).encode(encoding)
    parsed = parse_annotations(data, ASKED, suffix=".tsv")
    assert [row.transcript for row in parsed.annotations] == ["ein \u00fcbel"]
    assert [str(row) for row in parsed.refused] == ["line 3: unknown_task (task_id)"]


def test_a_cut_utf_16_table_is_one_line() -> None:
    with pytest.raises(UsageError, match="damaged UTF-16"):
        parse_annotations("task_id,annotator_id\n".encode("utf-16")[:-1], ASKED, suffix=".csv")


def test_unknown_columns_are_named_with_the_ones_that_they_may_mean() -> None:
    message = r"unknown columns: `text` \(do you mean `transcript`\?\), `notes 2`; rename or remove them, known are"
    with pytest.raises(UsageError, match=message):
        read("task_id,annotator_id,text,intent,notes 2", "a,b,c,d,e")


@pytest.mark.parametrize("header", ["a,b,c", "task_id,transcript", HEADER + ",notes", HEADER + ",intent", '"task_id'])
def test_a_file_without_the_columns_is_refused_as_a_whole(header: str) -> None:
    with pytest.raises(UsageError, match=r"known are|twice|lacks"):
        read(header, "x,y,z")
    assert read().annotations == []
