"""Reading of raw annotations of Label Studio: each is an answer, or is refused with a reason, whatever a person marked.

The page lets people mark words twice, one inside another, or a comma alone, and the server returns fields that are
missing or of another type. Nothing of this raises another error than `RowError`, so that one answer costs only itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, TypeGuard

from annotation.alignment import carry_spans
from annotation.answer_faults import without_names
from annotation.label_studio import VERDICTS
from annotation.row_parsing import Asked, RowError, annotation_of
from annotation.schema import AnswerSlot
from corpus.errors import RecordError
from corpus.ingest.manifest_slots import place_slots
from corpus.records.annotations import LONGEST_LEAD_TIME, Annotation
from corpus.slot_text import find_value, split_slots
from corpus.text import normalise, place_in_original
from corpus.timestamps import time_of

FIRST_REVISION: Final = 10**15
"""Lowest revision of an answer from Label Studio, a time in 2001 [us since 1970]; those from files are far lower."""

_END_OF_TIMES: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""Later times are of a broken clock: the answer would be the latest one for ever."""


def revision_of(updated_at: object) -> int:
    """Return the revision of an annotation: the time of its last change since 1970 [us].

    Raises:
        RowError: `updated_at` is not a time of this century.
    """
    try:
        moment = time_of(str(updated_at))
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        revision = int(moment.timestamp() * 1_000_000)
        if moment < _END_OF_TIMES and revision >= FIRST_REVISION:
            return revision
    except (ValueError, OverflowError):
        pass
    fault = "the server's time of the answer, updated_at, is not a time of this century; submit the answer again"
    raise RowError("bad_field", "revision", fault)


def author_of(annotation: Mapping[str, Any], names: Mapping[int, str]) -> str:
    """Return the annotator id of the person who answered; `ls-NUMBER` for a user whom `names` lacks.

    Args:
        annotation: as for `read_studio`.
        names: number of a user on the server -> annotator id.

    Raises:
        RowError: the server does not say who it was.
    """
    user = annotation.get("completed_by")
    number = user.get("id") if isinstance(user, Mapping) else user
    if not _is_whole(number):
        fault = "the server does not say who answered, in completed_by; let somebody submit the answer again"
        raise RowError("bad_field", "annotator_id", fault)
    return names.get(number, f"ls-{number}")


def read_studio(
    annotation: Mapping[str, Any], data: Mapping[str, Any], annotator_id: str, tasks: Mapping[str, Asked]
) -> Annotation:
    """Return the answer of a raw annotation, with texts in normal form.

    Slots that were marked in the machine's transcript are moved to their words in the corrected transcript.

    Args:
        annotation: from the export or the API, not from a converter: converters drop unknown fields.
        data: of its task.
        annotator_id: of the answer.
        tasks: task id -> the question.

    Raises:
        RowError: it breaks a rule of the published format, or a marked slot has no place in the corrected transcript
            (`lost_slot`); the error names the rule, never the content.
    """
    asked = tasks.get(str(data.get("task_id", "")))
    if asked is None:
        raise RowError("unknown_task", "task_id")
    if asked.closed:
        raise RowError("closed_task", "task_id")
    results = results_of(annotation)
    if not can_be_sent(results, numbers=False):
        raise RowError("malformed", "", "the answer holds half a character; write its texts again")
    texts = {row.get("from_name"): text_of(row, "text") for row in results if row.get("type") == "textarea"}
    choices = {row.get("from_name"): text_of(row, "choices") for row in results if row.get("type") == "choices"}
    verdict = "labelled"
    if "verdict" in choices:
        if choices["verdict"] not in VERDICTS:
            raise RowError("unknown_verdict", "verdict")
        verdict = VERDICTS[choices["verdict"]][0]
    transcript = texts.get("transcript", "") if verdict == "labelled" else None
    if asked.ask != "transcribe" and not transcript:
        transcript = None
    slots = _slots(results, str(data.get("asr_text") or ""), transcript, texts.get("slot_words", ""))
    row = {
        "task_id": str(data["task_id"]),
        "annotator_id": annotator_id,
        "ask": asked.ask,
        "verdict": verdict,
        "transcript": transcript,
        "intent": choices.get("intent") or texts.get("proposal") or None,
        "slots": slots,
        "lead_time": _lead_time(annotation.get("lead_time")),
        "proposal": texts.get("proposal") or None,
        "question": texts.get("question") or None,
    }
    revision = revision_of(annotation.get("updated_at"))
    return replace(annotation_of(row, tasks), revision=revision)


def results_of(annotation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what a person filled in and marked, each of a named control; anything else is left out."""
    result = annotation.get("result")
    rows = result if isinstance(result, list) else []
    return [row for row in rows if isinstance(row, Mapping) and isinstance(row.get("from_name", ""), str)]


def text_of(row: Mapping[str, Any], key: str) -> str:
    """Return the text of a text area or choice, "" for none; several texts are joined, as each Enter adds one."""
    value = row.get("value")
    found = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(found, list):
        return " ".join(str(part) for part in found)
    return str(found) if found is not None else ""


def can_be_sent(value: object, *, numbers: bool = True) -> bool:
    """Return whether a value that was read as JSON is JSON in UTF-8 again; half a character is not, nor is NaN.

    Args:
        value: as Python's parser returns it.
        numbers: whether to look at numbers, too.
    """
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=not numbers).encode("utf-8")
    except (ValueError, RecursionError):
        return False
    return True


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _lead_time(value: object) -> float:
    """Return the time of an answer [s]; 0 for "not measured" where the server's is no number of seconds of one day.

    A tab that stayed open for days is counted by the server, too.
    """
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        return 0.0
    return seconds if 0.0 <= seconds <= LONGEST_LEAD_TIME else 0.0


# --- slots ------------------------------------------------------------------------------------------------------------


def _slots(
    results: Sequence[Mapping[str, Any]], asr_text: str, transcript: str | None, typed: str
) -> list[dict[str, Any]]:
    """Return the slots as rows: the typed ones, and those that were marked in the machine's transcript."""
    if transcript is None:
        return []
    found = _typed(typed, transcript)
    marked = [slot for row in results if row.get("type") == "labels" for slot in marks_of(row, asr_text)]
    if not marked:
        return found
    try:
        source, spans = place_slots(asr_text, marked)
    except RecordError as error:
        raise _bad_span(error) from None
    # Alignment needs the normal forms; the spans of the row are on the transcript as it was typed.
    carried, lost = carry_spans(spans, source, normalise(transcript))
    if lost:
        raise RowError("lost_slot", "slots")
    return found + [_row(slot.name, transcript, slot.start, slot.end) for slot in carried]


def _typed(cell: str, transcript: str) -> list[dict[str, Any]]:
    """Return slots that were typed as `room=kitchen; device=light`, at the place of their words in the transcript."""
    normal = normalise(transcript)
    try:
        return [_row(name, transcript, *find_value(value, normal)) for name, value in split_slots(cell)]
    except RecordError as error:
        raise _bad_span(error) from None


def _row(name: str, typed: str, start: int, end: int) -> dict[str, Any]:
    """Return a slot with its place in the text as it was typed, from its place in the normal form."""
    first, last = place_in_original(typed, start, end)
    return {"name": name, "start": first, "end": last}


def marks_of(row: Mapping[str, Any], asr_text: str) -> list[AnswerSlot]:
    """Return a region's slots in the machine's transcript, one for each of its labels; offsets are UTF-16 units.

    Raises:
        RowError: the region is outside the transcript, has no label, or is of another form.
    """
    try:
        value = row["value"]
        start, end, names = value["start"], value["end"], value["labels"]
        units = asr_text.encode("utf-16-le")
        if not (_is_whole(start) and _is_whole(end) and 0 <= start < end <= len(units) // 2):
            raise ValueError
        if not isinstance(names, list) or not names:
            raise ValueError
        first, last = (len(units[: 2 * at].decode("utf-16-le")) for at in (start, end))
        return [AnswerSlot(name=name, start=first, end=last) for name in names]
    except (LookupError, TypeError, ValueError):
        fault = "field slots: a mark is outside the words, or has no name; mark the words again"
        raise RowError("bad_span", "slots", fault) from None


def _bad_span(error: RecordError) -> RowError:
    return RowError("bad_span", "slots", f"field slots, {without_names(str(error))}")
