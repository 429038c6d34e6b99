"""Conversion between rows of the published format and records, with the reason where a row is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from pydantic import BaseModel, ValidationError

from annotation.answer_faults import fault_of, slot_fault, unknown_field, without_names
from annotation.schema import AnnotationRow, AnswerSlot, DraftRow, SlotRow, TaskRow
from corpus.errors import RecordError
from corpus.ingest.manifest_slots import place_slots
from corpus.names import clean_name
from corpus.records.annotations import Annotation, AnnotationTask, NameNote
from corpus.records.arrivals import Hypothesis, SlotSpan
from corpus.records.base import OTHER_INTENT, Ask
from corpus.records.inventory import Inventory, plain_inventory
from corpus.silence_mark import spoken
from corpus.storage.json_lines import strict_json
from corpus.text import normalise

MOST_OF_NAME: Final = 256
"""Characters that a name in an answer may have, as those of slots in the published format."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

RefusedReason = Literal[
    "too_long",  # the line is longer than a row can be
    "malformed",  # not one JSON object in UTF-8 with every key once
    "unknown_field",  # a field that the format does not have
    "missing_field",  # a field that ask and verdict require
    "bad_field",  # a field of the wrong type or out of range
    "unknown_verdict",
    "unknown_task",  # there is no such task
    "closed_task",  # the answer came too late
    "wrong_ask",  # another question than the task's
    "bad_span",  # a slot outside the transcript, empty, overlapping, or without a transcript
    "lost_slot",  # a slot that was marked on other words and has no place on these
]


@dataclass(frozen=True, slots=True)
class Asked:
    """A task as it was exported, for checking its answers.

    Attributes:
        utterance_id: the utterance of the task.
        ask: the kind of question.
        inventory: intents and slots in use; another name in an answer is a proposal.
        closed: answers are no longer accepted, as after an erasure or the end of a round.
        people: number of answers that the task needs.
    """

    utterance_id: str
    ask: Ask
    inventory: Inventory
    closed: bool = False
    people: int = 1


def asked(tasks: Iterable[AnnotationTask]) -> dict[str, Asked]:
    """Return the tasks by id as `read_annotations` needs them, all open."""
    return {
        task.task_id: Asked(task.utterance_id, task.ask, plain_inventory(task.intents, task.slot_names))
        for task in tasks
    }


class RowError(Exception):
    """A row that is refused; `reason`, `field` and `detail` are as in `annotation.files.RefusedRow`."""

    def __init__(self, reason: RefusedReason, field: str = "", detail: str = "") -> None:
        self.reason = reason
        self.field = field
        self.detail = detail or fault_of(reason, field)
        super().__init__(reason)


def task_row(task: AnnotationTask) -> TaskRow:
    """Return the task as its published row."""
    draft = None
    if task.draft is not None:
        draft = DraftRow(text=task.draft.text, intent=task.draft.intent, slots=_slot_rows(task.draft.slots))
    return TaskRow(
        task_id=task.task_id,
        round=task.round,
        utterance_id=task.utterance_id,
        ask=task.ask,
        audio=task.audio,
        duration=task.duration,
        intents=list(task.intents),
        slot_names=list(task.slot_names),
        draft=draft,
        question=task.question,
        intent_notes={name: note.as_text() for name, note in sorted(task.intent_notes.items())},
        slot_notes={name: note.as_text() for name, note in sorted(task.slot_notes.items())},
    )


def annotation_row(annotation: Annotation) -> AnnotationRow:
    """Return the annotation as its published row.

    Raises:
        RecordError: a field is outside the published format; the message names the task and the field.
    """
    try:
        return AnnotationRow(
            task_id=annotation.task_id,
            annotator_id=annotation.annotator_id,
            ask=annotation.ask,
            verdict=annotation.verdict,
            transcript=annotation.transcript,
            intent=annotation.intent or annotation.proposal,
            slots=[AnswerSlot(name=slot.name, start=slot.start, end=slot.end) for slot in annotation.slots],
            lead_time=annotation.lead_time,
            revision=annotation.revision,
            proposal=annotation.proposal if annotation.intent is not None else None,
            question=annotation.question,
        )
    except ValidationError as error:
        field = _shape_error(error, AnnotationRow, {}).field
        raise RecordError(f"annotation of task {annotation.task_id}: {field} is outside the published format") from None


def _slot_rows(slots: Sequence[SlotSpan]) -> list[SlotRow]:
    return [SlotRow(name=slot.name, start=slot.start, end=slot.end) for slot in slots]


def parse_task(line: bytes | None) -> AnnotationTask:
    """Return the task of a line of a task file (None: a line that was too long to read).

    Raises:
        RowError: the line is not a task.
    """
    value = _json_object(line)
    try:
        row = TaskRow.model_validate(value)
        draft = None
        if row.draft is not None:
            draft = Hypothesis(row.draft.text, 1.0, row.draft.intent, _slots(row.draft.slots))
        return AnnotationTask(
            task_id=row.task_id,
            round=row.round,
            utterance_id=row.utterance_id,
            ask=row.ask,
            audio=row.audio,
            duration=row.duration,
            intents=tuple(row.intents),
            slot_names=tuple(row.slot_names),
            draft=draft,
            question=row.question,
            intent_notes={name: NameNote(text) for name, text in row.intent_notes.items()},
            slot_notes={name: NameNote(text) for name, text in row.slot_notes.items()},
        )
    except ValidationError as error:
        raise _shape_error(error, TaskRow, value) from None
    except RecordError:
        raise RowError("bad_field") from None


def _json_object(line: bytes | None) -> dict[str, Any]:
    """Return the line as a JSON object whose texts are all valid UTF-8."""
    if line is None:
        raise RowError("too_long")
    try:
        value = strict_json(line)  # refuses repeated keys: of two verdicts in one row either could be meant
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate passes the parser, not the database
    except (ValueError, RecursionError):
        raise RowError("malformed") from None
    if not isinstance(value, dict):
        raise RowError("malformed")
    return value


def parse_annotation(line: bytes | None, tasks: Mapping[str, Asked]) -> Annotation:
    """Return the annotation of a line (None: a line that was too long to read), with texts in normal form.

    Raises:
        RowError: the line breaks a rule; the error names the rule, never the content.
    """
    return annotation_of(_json_object(line), tasks)


def annotation_of(value: Mapping[str, Any], tasks: Mapping[str, Asked]) -> Annotation:
    """Return the annotation of a published row's fields, with texts in normal form.

    Raises:
        RowError: the fields break a rule; the error names the rule, never the content.
    """
    try:
        row = AnnotationRow.model_validate(value)
    except ValidationError as error:
        raise _shape_error(error, AnnotationRow, value) from None
    task = tasks.get(row.task_id)
    if task is None:
        raise RowError("unknown_task", "task_id")
    if task.closed:
        raise RowError("closed_task", "task_id")
    if row.ask != task.ask:
        raise RowError("wrong_ask", "ask", f"field ask: this task asks another question; write {task.ask}")
    return _labelled(row, task) if row.verdict == "labelled" else _unlabelled(row)


def _shape_error(error: ValidationError, model: type[BaseModel], row: Mapping[str, Any]) -> RowError:
    """Return the reason of one fault: an unknown name where there is one, as it may be meant for a missing field.

    `field` is a field of the format or "", never a key of the row.
    """
    errors = error.errors(include_url=False, include_input=False)
    first = next((each for each in errors if each["type"] == "extra_forbidden" and len(each["loc"]) == 1), errors[0])
    name, *inside = first["loc"] or ("",)
    field = str(name) if name in model.model_fields else ""
    if first["type"] == "extra_forbidden" and not inside:
        return RowError("unknown_field", "", unknown_field(name, list(model.model_fields), row))
    if field == "slots" and first["type"] == "slots_text":
        return RowError("bad_span", field, f"field slots, {without_names(first['ctx']['fault'])}")
    reason: RefusedReason = "bad_span" if field == "slots" else "bad_field"
    if first["type"] == "missing":
        reason = "missing_field"
    elif first["type"] == "extra_forbidden":
        reason = "unknown_field"
    elif field in ("verdict", "ask") and first["type"] == "literal_error":
        reason = "unknown_verdict" if field == "verdict" else "wrong_ask"
    return RowError(reason, field, slot_fault(inside, first["type"]) if field == "slots" and inside else "")


def _unlabelled(row: AnnotationRow) -> Annotation:
    return Annotation(
        task_id=row.task_id,
        annotator_id=row.annotator_id,
        ask=row.ask,
        verdict=row.verdict,
        lead_time=row.lead_time,
        revision=row.revision,
        question=(row.question or "").strip() or None if row.verdict == "help" else None,
    )


def _labelled(row: AnnotationRow, task: Asked) -> Annotation:
    if row.transcript is None and row.ask == "transcribe":
        raise RowError("missing_field", "transcript")
    intent, proposal = _intent(row, task)
    if intent is None and proposal is None and row.ask != "triage":
        raise RowError("missing_field", "intent")
    transcript, slots = _transcript(row, task)
    return Annotation(
        task_id=row.task_id,
        annotator_id=row.annotator_id,
        ask=row.ask,
        verdict=row.verdict,
        transcript=transcript,
        intent=intent,
        slots=slots,
        lead_time=row.lead_time,
        revision=row.revision,
        proposal=proposal,
    )


def _intent(row: AnnotationRow, task: Asked) -> tuple[str | None, str | None]:
    """Return the intent and the proposal; a name outside the inventory is a proposal, and the intent is then open."""
    given, proposal = clean_name(row.intent or ""), clean_name(row.proposal or "") or None
    for field, name in (("intent", given), ("proposal", proposal or "")):
        if len(name) > MOST_OF_NAME or _CONTROL.search(name):
            raise RowError("bad_field", field)
    known = task.inventory.intents.resolve(given)
    if known == OTHER_INTENT:
        return OTHER_INTENT, proposal
    return (known, None) if known is not None else (None, given or None)


def _transcript(row: AnnotationRow, task: Asked) -> tuple[str | None, tuple[SlotSpan, ...]]:
    if row.transcript is None:
        if row.slots:
            raise RowError("bad_span", "slots", "field slots: slots without a transcript; give the transcript")
        return None, ()
    try:
        given = spoken(row.transcript)
    except RecordError as error:
        raise RowError("bad_field", "transcript", f"field transcript: {error}") from None
    if not row.slots:
        return normalise(given), ()
    names = {slot.name: _slot_name(slot.name, task) for slot in row.slots}
    try:
        transcript, slots = place_slots(given, row.slots)
    except RecordError as error:
        raise RowError("bad_span", "slots", f"field slots, {without_names(str(error))}") from None
    return transcript, tuple(replace(slot, name=names[slot.name]) for slot in slots)


def _slot_name(given: str, task: Asked) -> str:
    """Return the name in use that a slot's name means, or the clean name, which is then a proposal."""
    name = clean_name(given)
    if not name or _CONTROL.search(name):
        raise RowError("bad_span", "slots", "field slots: the name of a slot is empty or holds a control character")
    return task.inventory.slots.resolve(name) or name


def _slots(rows: Sequence[SlotRow]) -> tuple[SlotSpan, ...]:
    return tuple(SlotSpan(slot.name, slot.start, slot.end) for slot in rows)
