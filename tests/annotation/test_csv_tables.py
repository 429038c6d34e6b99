from __future__ import annotations

import pytest

from annotation.files import Parsed, parse_annotations
from annotation.row_parsing import asked
from corpus.errors import UsageError
from corpus.records.arrivals import SlotSpan
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
        ("{id},ann,labelled,lights,light_on,,1", "malformed"),
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
    quoted = read("task_id,annotator_id,transcript,intent,lead_time", f'{IDS[0]},ann,lights,other,"8,9"')
    assert [row.reason for row in quoted.refused] == ["bad_field"]


def test_unknown_columns_are_named_with_the_ones_that_they_may_mean() -> None:
    message = r"unknown columns: `text` \(do you mean `transcript`\?\), `notes 2`; rename or remove them, known are"
    with pytest.raises(UsageError, match=message):
        read("task_id,annotator_id,text,intent,notes 2", "a,b,c,d,e")


@pytest.mark.parametrize("header", ["a,b,c", "task_id,transcript", HEADER + ",notes", HEADER + ",intent", '"task_id'])
def test_a_file_without_the_columns_is_refused_as_a_whole(header: str) -> None:
    with pytest.raises(UsageError, match=r"known are|twice|lacks"):
        read(header, "x,y,z")
    assert read().annotations == []
