"""The published format: the fields of a line in a task file and in an annotation file, and no others.

The models below are the allow-list. `python -m annotation.schema` writes `annotation/schemas/*.json` from them, so that
tools in any language can check a line before they deliver it. Neither format has a field about the person who spoke: no
account, speaker, device, place or time of day.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from corpus.errors import RecordError
from corpus.ingest.manifest_slots import slots_of_text
from corpus.names import clean_name
from corpus.records.annotations import LONGEST_LEAD_TIME
from corpus.records.base import Ask, Verdict

SCHEMA_FOLDER: Final = Path(__file__).parent / "schemas"

Name = Annotated[str, Field(min_length=1, max_length=256)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, description="[s]")]


ONE_LINE: Final = r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$"
"""A name that any database column takes: no control characters, no space at the ends."""


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class SlotRow(_Row):
    """A slot: the characters `start` to `end` (exclusive, counted in Unicode code points) of the text beside it."""

    name: Name
    start: Count
    end: Count


class AnswerSlot(_Row):
    """A slot of an answer: `start` and `end` as in a task, or `value`, words that the transcript has once, or all."""

    name: Name
    start: Count | None = None
    end: Count | None = None
    value: str | None = None


def _listed(value: object) -> object:
    """Return slots that are text such as `room=kitchen; device=light` as a list, all others as they are."""
    if not isinstance(value, str):
        return value
    try:
        return slots_of_text(value)
    except RecordError as error:
        raise PydanticCustomError("slots_text", "{fault}", {"fault": str(error)}) from error


def _one_form(name: str) -> str:
    """Return a name in its one form: what a person typed on two systems is one name."""
    clean = clean_name(name)
    if not clean:
        raise ValueError("a name that nobody sees")
    return clean


class DraftRow(_Row):
    """The models' transcript, intent and slots, to be corrected; a confidence is left out, as it would bias people."""

    text: str
    intent: str = ""
    slots: list[SlotRow] = []


class TaskRow(_Row):
    """A question to a person: one line of a task file."""

    task_id: Name
    round: str
    utterance_id: Name
    ask: Ask
    audio: Annotated[str, Field(description="file name of the clip beside the task file")]
    duration: Seconds
    intents: Annotated[list[str], Field(description="the inventory; any other name in an answer is a proposal")]
    slot_names: list[str]
    draft: Annotated[DraftRow | None, Field(description="null where it is withheld: answer from the clip alone")] = None
    question: Annotated[str | None, Field(description="the question of a person who asked for help")] = None
    intent_notes: Annotated[dict[str, str], Field(description="what intents mean, by name, with examples")] = {}
    slot_notes: Annotated[dict[str, str], Field(description="what slots mean, by name, with examples")] = {}


# The fields that ask and verdict require, as JSON Schema; `annotation.row_parsing` has the same rules in code.
_REQUIRED_BY_ASK: Final[dict[str, Any]] = {
    "allOf": [
        {
            "if": {"properties": {"verdict": {"const": "labelled"}, "ask": {"const": "transcribe"}}},
            "then": {
                "required": ["transcript", "intent"],
                "properties": {"transcript": {"type": "string"}, "intent": {"type": "string", "pattern": "\\S"}},
            },
        },
        {
            "if": {"properties": {"verdict": {"const": "labelled"}, "ask": {"const": "label_intent"}}},
            "then": {"required": ["intent"], "properties": {"intent": {"type": "string", "pattern": "\\S"}}},
        },
    ]
}


class AnnotationRow(_Row):
    """An answer of one person to one task: one line of an annotation file.

    An intent, or the name of a slot, that the task does not offer is a proposal: it is kept, and counts once it is
    adopted.

    With the verdict `labelled`, `transcribe` needs a transcript ("" for silence) and an intent, `label_intent` an
    intent, `triage` nothing more. With any other verdict the texts are ignored. Without `slots` the answer says that
    there are none. A corrected answer is a new line with a higher `revision`. A `lead_time` of 0 means that it was not
    measured.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, json_schema_extra=_REQUIRED_BY_ASK
    )

    task_id: Name
    annotator_id: Annotated[str, Field(max_length=128, pattern=ONE_LINE), AfterValidator(_one_form)]
    ask: Annotated[Ask, Field(description="as in the task")]
    verdict: Verdict
    transcript: str | None = None
    intent: str | None = None
    slots: Annotated[
        list[AnswerSlot],
        BeforeValidator(_listed, json_schema_input_type=list[AnswerSlot] | str),
        Field(description="spans of `transcript` that don't overlap; or text such as `room=kitchen; device=light`"),
    ] = []
    lead_time: Annotated[float, Field(ge=0, le=LONGEST_LEAD_TIME, allow_inf_nan=False, description="[s]")] = 0.0
    revision: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1
    proposal: Annotated[str | None, Field(description="with the intent `other`: a name for what was meant")] = None
    question: Annotated[
        str | None, Field(max_length=2_000, description="with the verdict `help`: the question to a second person")
    ] = None


ROWS: Final[dict[str, type[_Row]]] = {"task": TaskRow, "annotation": AnnotationRow}


def schema_text(name: str) -> str:
    """Return the JSON Schema of one format, `task` or `annotation`, as the text of its published file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **ROWS[name].model_json_schema()}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def schema_path(name: str) -> Path:
    """Return the path of the published JSON Schema of one format."""
    return SCHEMA_FOLDER / f"{name}.schema.json"


def write_schemas() -> None:
    """Write the published schemas from the models of this module."""
    SCHEMA_FOLDER.mkdir(exist_ok=True)
    for name in ROWS:
        schema_path(name).write_text(schema_text(name), encoding="utf-8")


if __name__ == "__main__":
    write_schemas()
