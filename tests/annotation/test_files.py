from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.files import ReadSettings, read_annotations, write_annotations
from annotation.row_parsing import RowError, asked, parse_annotation
from annotation.schema import schema_path
from annotation.simulated import AnnotatorSettings, Truth, answer
from corpus.errors import RecordError, UsageError
from corpus.records.annotations import Annotation
from corpus.records.arrivals import SlotSpan
from tests.annotation.worlds import tasks

TASKS = tasks(12, asks=("transcribe", "label_intent", "triage"))
ASKED = asked(TASKS)
TRANSCRIBE, LABEL_INTENT, TRIAGE = (TASKS[i].task_id for i in range(3))
SECRET = "confidential"


def row(**changes: object) -> dict[str, object]:
    """A good answer to the first task, changed; `...` takes a field away."""
    good: dict[str, object] = {
        "task_id": TRANSCRIBE,
        "annotator_id": "ann",
        "ask": "transcribe",
        "verdict": "labelled",
        "transcript": "Turn on the Kitchen light!",
        "intent": "light_on",
        "slots": [{"name": "room", "start": 12, "end": 19}],
        "lead_time": 4.5,
        "revision": 1,
        "proposal": None,
    }
    return {key: value for key, value in {**good, **changes}.items() if value is not ...}


def read(tmp_path: Path, *lines: dict[str, object] | str | bytes, **kw: object):
    path = tmp_path / "answers.jsonl"
    encoded = [json.dumps(line).encode() if isinstance(line, dict) else line for line in lines]
    path.write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in encoded))
    return read_annotations(path, ASKED, **kw)


def test_a_good_row_becomes_a_normalised_annotation_with_its_spans_carried_along(tmp_path) -> None:
    parsed = read(tmp_path, row(transcript="  Turn on, the KITCHEN  light!", slots=[slot("room", 15, 22)]))
    assert parsed.refused == []
    [annotation] = parsed.annotations
    assert annotation.transcript == "turn on the kitchen light"
    assert [annotation.transcript[s.start : s.end] for s in annotation.slots] == ["kitchen"]
    assert (annotation.lead_time, annotation.revision, annotation.proposal) == (4.5, 1, None)


def slot(name: str, start: object, end: object) -> dict[str, object]:
    return {"name": name, "start": start, "end": end}


BAD = {
    "not json": (b"{", "malformed", ""),
    "an array": (b"[1]", "malformed", ""),
    "not UTF-8": (b'{"task_id": "\xff"}', "malformed", ""),
    "a lone surrogate": (json.dumps(row(transcript="\ud800")), "malformed", ""),
    "NaN": (json.dumps(row(lead_time=float("nan"))), "malformed", ""),
    "a key twice": (json.dumps(row())[:-1] + ', "verdict": "help"}', "malformed", ""),
    "deep nesting": ("[" * 20_000, "malformed", ""),
    "a number of 5,000 digits": (json.dumps(row())[:-1] + ', "x": ' + "9" * 5000 + "}", "malformed", ""),
    "an infinite time": (
        json.dumps(row(lead_time=1)).replace('"lead_time": 1', '"lead_time": 1e999'),
        "bad_field",
        "lead_time",
    ),
    "a long line": (json.dumps(row(transcript=SECRET * 9000)), "too_long", ""),
    "an unknown field": (row(email=SECRET), "unknown_field", ""),
    "an unknown task": (row(task_id="t" + SECRET), "unknown_task", "task_id"),
    "another ask": (row(task_id=LABEL_INTENT), "wrong_ask", "ask"),
    "an unknown ask": (row(ask=SECRET), "wrong_ask", "ask"),
    "no task": (row(task_id=...), "missing_field", "task_id"),
    "no annotator": (row(annotator_id=...), "missing_field", "annotator_id"),
    "an empty annotator": (row(annotator_id=""), "bad_field", "annotator_id"),
    "an annotator with a NUL": (row(annotator_id="a\x00b"), "bad_field", "annotator_id"),
    "no verdict": (row(verdict=...), "missing_field", "verdict"),
    "an unknown verdict": (row(verdict=SECRET), "unknown_verdict", "verdict"),
    "a null verdict": (row(verdict=None), "unknown_verdict", "verdict"),
    "no transcript": (row(transcript=..., slots=...), "missing_field", "transcript"),
    "no intent": (row(intent=...), "missing_field", "intent"),
    "a blank intent": (row(intent="  "), "missing_field", "intent"),
    "no intent where only that was asked": (
        row(task_id=LABEL_INTENT, ask="label_intent", intent=None),
        "missing_field",
        "intent",
    ),
    "a transcript that is a number": (row(transcript=5), "bad_field", "transcript"),
    "revision 0": (row(revision=0), "bad_field", "revision"),
    "a true revision": (row(revision=True), "bad_field", "revision"),
    "a revision past the database": (row(revision=2**31), "bad_field", "revision"),
    "a negative time": (row(lead_time=-1), "bad_field", "lead_time"),
    "a time of more than a day": (row(lead_time=86_400.5), "bad_field", "lead_time"),
    "a time in words": (row(lead_time="4"), "bad_field", "lead_time"),
    "a span after the text": (row(slots=[slot("room", 12, 99)]), "bad_span", "slots"),
    "an empty span": (row(slots=[slot("room", 12, 12)]), "bad_span", "slots"),
    "a negative span": (row(slots=[slot("room", -3, 2)]), "bad_span", "slots"),
    "a span in fractions": (row(slots=[slot("room", 1.5, 3)]), "bad_span", "slots"),
    "overlapping spans": (row(slots=[slot("room", 0, 7), slot("artist", 5, 10)]), "bad_span", "slots"),
    "a span of punctuation": (row(slots=[slot("room", 25, 26)]), "bad_span", "slots"),
    "slots without a transcript": (
        row(task_id=LABEL_INTENT, ask="label_intent", transcript=None),
        "bad_span",
        "slots",
    ),
    "a slot with an invisible name": (row(slots=[slot("\u200b ", 12, 19)]), "bad_span", "slots"),
    "a slot without a name": (row(slots=[{"start": 1, "end": 2}]), "missing_field", "slots"),
    "a slot with a start alone": (row(slots=[{"name": "room", "start": 12}]), "bad_span", "slots"),
    "a slot's words that nobody said": (row(slots=[{"name": "room", "value": SECRET}]), "bad_span", "slots"),
    "text that is no slot": (row(slots=SECRET), "bad_span", "slots"),
}


@pytest.mark.parametrize("case", BAD)
def test_each_bad_row_is_named_by_line_and_reason_and_costs_only_itself(tmp_path, case: str) -> None:
    bad, reason, field = BAD[case]
    parsed = read(tmp_path, row(), bad, "", row(annotator_id="bob"))
    [refused] = parsed.refused
    assert (refused.line, refused.reason, refused.field) == (2, reason, field)
    assert [a.annotator_id for a in parsed.annotations] == ["ann", "bob"]
    assert SECRET not in str(refused)
    assert SECRET not in repr(refused)


def test_slots_have_three_forms_of_the_same_meaning(tmp_path) -> None:
    words = {"name": "room", "value": "KITCHEN"}
    forms: list[object] = [[slot("room", 12, 19)], [words], [{**words, **slot("room", 12, 19)}], "room = Kitchen;"]
    parsed = read(tmp_path, *(row(slots=form) for form in forms))
    assert parsed.refused == []
    assert {annotation.slots for annotation in parsed.annotations} == {(SlotSpan("room", 12, 19),)}


def test_every_form_of_slots_passes_the_published_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="no jsonschema is installed; pip install 'earmark[dev]'")
    checker = jsonschema.Draft202012Validator(json.loads(schema_path("annotation").read_text()))
    for form in ([slot("room", 12, 19)], [{"name": "room", "value": "kitchen"}], "room=kitchen"):
        checker.validate(row(slots=form))


def test_slots_that_are_not_given_are_none(tmp_path) -> None:
    [annotation] = read(tmp_path, row(slots=...)).annotations
    assert annotation.slots == ()


def test_written_slots_have_offsets_alone(tmp_path) -> None:
    parsed = read(tmp_path, row())
    path = write_annotations(tmp_path / "written.jsonl", parsed.annotations)
    assert json.loads(path.read_text())["slots"] == [slot("room", 12, 19)]


def test_a_late_answer_is_set_aside(tmp_path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps(row()))
    closed = {TRANSCRIBE: dataclasses.replace(ASKED[TRANSCRIBE], closed=True)}
    [refused] = read_annotations(path, closed).refused
    assert str(refused) == "line 1: closed_task (task_id)"


def test_a_name_outside_the_inventory_is_kept_as_a_proposal_and_never_becomes_other(tmp_path) -> None:
    outside = row(intent=" dim_light ", slots=[slot(" deck", 12, 19), slot("room", 0, 4)])
    named = row(intent="other", proposal="set_scene")
    known = row(proposal="dim_light")
    parsed = read(tmp_path, outside, named, known)
    assert [(a.intent, a.proposal) for a in parsed.annotations] == [
        (None, "dim_light"),
        ("other", "set_scene"),
        ("light_on", None),
    ]
    assert [s.name for s in parsed.annotations[0].slots] == ["deck", "room"]


def test_a_name_that_nobody_could_adopt_is_refused_and_costs_no_other_verdict(tmp_path) -> None:
    long, control = "x" * 257, "light\x1b[2J"
    parsed = read(tmp_path, row(intent=long), row(intent="other", proposal=control), row(slots=[slot("\x00", 12, 19)]))
    assert [str(refused) for refused in parsed.refused] == [
        "line 1: bad_field (intent)",
        "line 2: bad_field (proposal)",
        "line 3: bad_span (slots)",
    ]
    assert len(read(tmp_path, row(verdict="critical_data", intent=long)).annotations) == 1


@pytest.mark.parametrize("verdict", ["unintelligible", "accidental", "critical_data", "distress", "help"])
def test_other_verdicts_need_nothing_and_keep_no_text(tmp_path, verdict: str) -> None:
    bare = row(verdict=verdict, transcript=..., intent=..., slots=...)
    wordy = row(verdict=verdict, transcript=SECRET, slots=[], proposal=SECRET)
    parsed = read(tmp_path, bare, wordy)
    assert parsed.refused == []
    assert parsed.annotations[0] == parsed.annotations[1]
    assert SECRET not in repr(parsed)


def test_silence_is_a_transcript(tmp_path) -> None:
    parsed = read(tmp_path, row(transcript="", slots=[], intent="other"))
    assert parsed.annotations[0].transcript == ""


def test_a_triage_needs_a_verdict_alone(tmp_path) -> None:
    bare = {"task_id": TRIAGE, "annotator_id": "ann", "ask": "triage", "verdict": "labelled"}
    [annotation] = read(tmp_path, bare).annotations
    assert (annotation.transcript, annotation.intent, annotation.lead_time, annotation.revision) == (None, None, 0.0, 1)


def test_byte_order_mark_windows_ends_blank_lines_and_a_missing_last_newline_are_no_fault(tmp_path) -> None:
    one, two = json.dumps(row()).encode(), json.dumps(row(annotator_id="bob")).encode()
    parsed = read(tmp_path, b"\xef\xbb\xbf" + one + b"\r", b"  ", b"\r", two)
    assert parsed.refused == []
    assert len(parsed.annotations) == 2


def test_a_line_without_end_is_read_in_bounded_pieces(tmp_path) -> None:
    limit = ReadSettings(max_line_bytes=1024)
    exact = json.dumps(row()).encode().ljust(1024)
    parsed = read(tmp_path, b"x" * 100_000, exact, exact + b" ", row(), settings=limit)
    assert [(r.line, r.reason) for r in parsed.refused] == [(1, "too_long"), (3, "too_long")]
    assert len(parsed.annotations) == 2


def test_a_missing_file_and_a_folder_are_bad_usage(tmp_path) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        read_annotations(tmp_path / "nowhere.jsonl", ASKED)
    with pytest.raises(UsageError, match="can't be read"):
        read_annotations(tmp_path, ASKED)


def test_an_empty_file_has_no_rows(tmp_path) -> None:
    parsed = read(tmp_path, b"")
    assert (parsed.annotations, parsed.refused) == ([], [])


def good_answers() -> list[Annotation]:
    truth = {t.utterance_id: Truth("turn on the kitchen light", "light_on", (SlotSpan("room", 12, 19),)) for t in TASKS}
    people = [AnnotatorSettings(annotator_id=name, word_error_rate=0.2, help_rate=0.1) for name in ("ann", "bob")]
    return [annotation for person in people for annotation in answer(TASKS, truth, person)]


def test_annotations_come_back_as_they_were_written_and_pass_the_published_schema(tmp_path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="no jsonschema is installed; pip install 'earmark[dev]'")
    checker = jsonschema.Draft202012Validator(json.loads(schema_path("annotation").read_text()))
    given_ = good_answers()
    path = write_annotations(tmp_path / "answers.jsonl", given_)
    for line in path.read_text().splitlines():
        checker.validate(json.loads(line))
    parsed = read_annotations(path, ASKED)
    assert parsed.annotations == given_
    assert parsed.refused == []


def test_the_published_schema_refuses_what_the_reader_refuses_for_its_shape() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="no jsonschema is installed; pip install 'earmark[dev]'")
    checker = jsonschema.Draft202012Validator(json.loads(schema_path("annotation").read_text()))
    shape = {"missing_field", "bad_field", "unknown_field", "unknown_verdict"}
    for case, (bad, reason, _) in BAD.items():
        if isinstance(bad, dict) and reason in shape:
            assert not checker.is_valid(bad), case


def test_an_annotator_id_outside_the_format_cannot_be_written(tmp_path) -> None:
    with pytest.raises(RecordError, match="annotator_id"):
        write_annotations(tmp_path / "a.jsonl", [Annotation(TRIAGE, "a\nb", "triage", "help")])
    assert list(tmp_path.iterdir()) == []


# --- mutations --------------------------------------------------------------------------------------------------------


def mutate(line: bytes, rng: random.Random) -> bytes:
    """Damages one line in one of the ways that files get damaged; never makes it more than one line."""
    kind = rng.randrange(7)
    i, j = sorted((rng.randrange(len(line)), rng.randrange(len(line))))
    noise = bytes(b for b in rng.randbytes(rng.randrange(1, 5)) if b != 0x0A)
    if kind == 0:
        return line[:i]
    if kind == 1:
        return line[:i] + noise + line[i:]
    if kind == 2:
        return line[:i] + line[j:]
    if kind == 3:
        return line[:j] + line[i:]
    if kind == 4:
        return line.replace(rng.choice([b'"', b":", b",", b"labelled", b"transcribe", b"null"]), noise)
    value = json.loads(line)
    key = rng.choice(sorted(value))
    junk = [None, True, -1, 1e308, "", "\x00", "x" * 70_000, [], [None], {}, {"a": 1}, [[]], 2**70, "other", "help"]
    if kind == 5:
        value[key] = rng.choice(junk)
    else:
        del value[key]
    return json.dumps(value).encode()


def damaged(source: list[bytes], rng: random.Random) -> tuple[list[bytes], list[int]]:
    """Return the lines with some of them damaged, and the numbers of the good ones."""
    hurt = {number for number in range(1, len(source) + 1) if rng.random() < 0.4}
    lines = [mutate(line, rng) if number in hurt else line for number, line in enumerate(source, start=1)]
    return lines, [number for number in range(1, len(source) + 1) if number not in hurt]


@pytest.mark.parametrize("seed", [*range(20), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(20, 500))])
def test_mutated_files_lose_no_good_row_and_account_for_every_line(tmp_path, seed: int) -> None:
    rng = random.Random(seed)
    source = write_annotations(tmp_path / "good.jsonl", good_answers()).read_bytes().splitlines()
    for _ in range(20):
        lines, kept = damaged(source, rng)
        path = tmp_path / "mutated.jsonl"
        path.write_bytes(b"\n".join(lines) + b"\n")
        parsed = read_annotations(path, ASKED)
        refused = {r.line for r in parsed.refused}
        assert not refused & set(kept)
        filled = sum(bool(line.strip()) for line in lines)
        assert len(parsed.annotations) + len(parsed.refused) == filled
        good = [parse_annotation(lines[number - 1], ASKED) for number in kept]
        assert all(annotation in parsed.annotations for annotation in good)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["help", "other"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted(row())


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), values, max_size=4), st.booleans())
def test_any_json_is_an_annotation_or_a_reason(tmp_path_factory, changes: dict[str, object], escaped: bool) -> None:
    line = json.dumps({**row(), **changes}, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    path = tmp_path_factory.getbasetemp() / "fuzzed.jsonl"
    path.write_bytes(line)
    parsed = read_annotations(path, ASKED)
    assert len(parsed.annotations) + len(parsed.refused) == 1
    assert all(refused.field in {"", *FIELDS} for refused in parsed.refused)


@settings(max_examples=120, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_reason(line: bytes) -> None:
    with pytest.raises(RowError):
        parse_annotation(line, ASKED)
