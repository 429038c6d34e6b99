"""Label Studio's formats: the labelling page, tasks with drafts, and conversion of raw annotations to answers.

This module does not connect to a server. Formats as of Label Studio 1.23; https://labelstud.io/guide/task_format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypedDict
from xml.sax.saxutils import quoteattr

from annotation.alignment import carry_spans
from annotation.row_parsing import Asked, RowError, annotation_of
from corpus.errors import RecordError
from corpus.records.annotations import LONGEST_LEAD_TIME, Annotation, AnnotationTask
from corpus.records.arrivals import SlotSpan
from corpus.records.base import OTHER_INTENT, Verdict
from corpus.records.inventory import Inventory, Names
from corpus.slot_text import find_value, split_slots
from corpus.text import normalise, normalise_with_spans, place_in_original
from corpus.timestamps import time_of

MODEL_VERSION: Final = "earmark-draft"
"""Model version of the predictions that hold the drafts; the project shows predictions of this version."""

VERDICTS: Final[dict[str, tuple[Verdict, str]]] = {
    "Unintelligible": ("unintelligible", "u"),
    "Accidental activation": ("accidental", "a"),
    "Critical data": ("critical_data", "k"),
    "Distress": ("distress", "d"),
    "Help": ("help", "h"),
}
"""Choices of the page, each with its verdict and its key; without a choice the verdict is `labelled`."""

MOST_RADIO: Final = 30
"""Most intents that are shown as buttons, the first nine with a key; more become a list with a search."""


class StudioData(TypedDict, total=False):
    """Data of a task: what the page shows, and the id of the earmark task."""

    task_id: str
    audio: str
    player: str
    asr_text: str
    question: str
    heading: str


class StudioPrediction(TypedDict):
    """A draft: its model version and its raw results."""

    model_version: str
    result: list[dict[str, Any]]


class StudioAnnotation(TypedDict, total=False):
    """A raw answer of a person, as the server returns it; any field may be missing or of another type."""

    id: int
    completed_by: int | dict[str, Any] | None
    was_cancelled: bool
    lead_time: float | None
    updated_at: str
    result: list[dict[str, Any]]


class StudioTask(TypedDict, total=False):
    """A task of Label Studio; only a task that the server returns has an id and annotations."""

    id: int
    data: StudioData
    predictions: list[StudioPrediction]
    annotations: list[StudioAnnotation]


def label_config(inventory: Inventory) -> str:
    """Return the labelling page: player with speed and loop, transcript, intent, slots, verdicts, question.

    Args:
        inventory: intents and slots to choose from; their notes are shown where the mouse rests on a name.
    """
    intents, slot_names = inventory.intents, inventory.slots
    names = [name for name in intents.names if name != OTHER_INTENT] + [OTHER_INTENT]
    layout = "inline" if len(names) <= MOST_RADIO else "select"
    choice = "single-radio" if layout == "inline" else "single"
    intent_rows = "\n".join(
        f"      <Choice value={quoteattr(name)}{_key(k)}{_hint(intents, name)}/>" for k, name in enumerate(names)
    )
    slots = "\n".join(f"      <Label value={quoteattr(name)}{_hint(slot_names, name)}/>" for name in slot_names.names)
    verdicts = "\n".join(f'      <Choice value={quoteattr(v)} hotkey="{key}"/>' for v, (_, key) in VERDICTS.items())
    return f"""<View>
  <Header value="$heading" size="4"/>
  <Text name="question_asked" value="$question"/>
  <Audio name="audio" value="$audio" hotkey="ctrl+space" sync="none" defaultspeed="1" height="64"/>
  <HyperText name="player" value="$player" inline="true"/>
  <Header value="What was said (empty: nothing)" size="5"/>
  <TextArea name="transcript" toName="audio" rows="1" maxSubmissions="1" editable="true"
    placeholder="type, then Enter"/>
  <Header value="What was meant" size="5"/>
  <View>
    <Choices name="intent" toName="audio" choice="{choice}" layout="{layout}">
{intent_rows}
    </Choices>
    <TextArea name="proposal" toName="audio" rows="1" maxSubmissions="1" editable="true"
      placeholder="or a name that is not in the list"/>
  </View>
  <Header value="Slots: mark them in the machine's transcript, or type them: room=kitchen; device=light" size="5"/>
  <View>
    <Labels name="slots" toName="asr_text">
{slots}
    </Labels>
    <Text name="asr_text" value="$asr_text"/>
    <TextArea name="slot_words" toName="audio" rows="1" maxSubmissions="1" editable="true" placeholder="name=words"/>
  </View>
  <Header value="Or it can't be labelled" size="5"/>
  <View>
    <Choices name="verdict" toName="audio" choice="single" layout="inline">
{verdicts}
    </Choices>
    <TextArea name="question" toName="audio" rows="1" maxSubmissions="1" editable="true"
      placeholder="help: what do you want to know?"/>
  </View>
</View>
"""


def _hint(names: Names, name: str) -> str:
    note = names.notes.get(name)
    return f" hint={quoteattr(note.as_text())}" if note is not None else ""


def _key(k: int) -> str:
    return f' hotkey="{k + 1}"' if k < 9 else ""


def studio_task(task: AnnotationTask, audio_url: str) -> StudioTask:
    """Return the task in Label Studio's format, with its draft as a prediction; a blind task has none.

    Args:
        task: the task.
        audio_url: address of the clip.
    """
    draft = task.draft
    data: StudioData = {
        "task_id": task.task_id,
        "audio": audio_url,
        "player": f'<audio controls loop src="{audio_url}"></audio>',
        "asr_text": draft.text if draft is not None else "",
        "question": task.question or "",
        "heading": "Correct the machine's transcript" if draft is not None else "Listen and write what was said",
    }
    converted: StudioTask = {"data": data}
    if draft is not None:
        result = [_textarea("transcript", draft.text), *([_choice("intent", draft.intent)] if draft.intent else [])]
        result += [_span(slot, draft.text) for slot in draft.slots]
        converted["predictions"] = [
            {"model_version": MODEL_VERSION, "result": result}
        ]  # no score: the page would show it
    return converted


def _textarea(name: str, text: str) -> dict[str, Any]:
    # A list: with a plain string the page stays empty without an error (label-studio#3941).
    return {"id": name, "from_name": name, "to_name": "audio", "type": "textarea", "value": {"text": [text]}}


def _choice(name: str, value: str) -> dict[str, Any]:
    return {"id": name, "from_name": name, "to_name": "audio", "type": "choices", "value": {"choices": [value]}}


def _span(slot: SlotSpan, text: str) -> dict[str, Any]:
    value = {
        "start": _utf16_length(text[: slot.start]),
        "end": _utf16_length(text[: slot.end]),
        "text": text[slot.start : slot.end],
        "labels": [slot.name],
    }
    key = f"{slot.name}-{slot.start}"
    return {"id": key, "from_name": "slots", "to_name": "asr_text", "type": "labels", "value": value}


def _utf16_length(text: str) -> int:
    """Return the length of a text in UTF-16 units, which browsers count."""
    return len(text.encode("utf-16-le")) // 2


def revision_of(updated_at: str) -> int:
    """Return the revision of an annotation: the time of its last change since 1970 [us].

    Raises:
        RowError: `updated_at` is not a time.
    """
    try:
        moment = time_of(updated_at)
        return int(moment.timestamp() * 1_000_000)
    except (TypeError, ValueError):
        raise RowError("bad_field", "revision") from None


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
    task_id = str(data.get("task_id", ""))
    result = annotation.get("result")
    results = [row for row in result if isinstance(row, Mapping)] if isinstance(result, list) else []
    texts = {row.get("from_name"): _value(row, "text") for row in results if row.get("type") == "textarea"}
    choices = {row.get("from_name"): _value(row, "choices") for row in results if row.get("type") == "choices"}
    verdict = "labelled"
    if "verdict" in choices:
        if choices["verdict"] not in VERDICTS:
            raise RowError("unknown_verdict", "verdict")
        verdict = VERDICTS[choices["verdict"]][0]
    transcript = texts.get("transcript", "") if verdict == "labelled" else None
    asked = tasks.get(task_id)
    if asked is not None and asked.ask != "transcribe" and not transcript:
        transcript = None
    slots = _slots(results, str(data.get("asr_text") or ""), transcript, texts.get("slot_words", ""))
    row = {
        "task_id": task_id,
        "annotator_id": annotator_id,
        "ask": asked.ask if asked is not None else "transcribe",
        "verdict": verdict,
        "transcript": transcript,
        "intent": choices.get("intent") or texts.get("proposal") or None,
        "slots": slots,
        "lead_time": _lead_time(float(annotation.get("lead_time") or 0.0)),
        "proposal": texts.get("proposal") or None,
        "question": texts.get("question") or None,
    }
    revision = revision_of(str(annotation.get("updated_at", "")))
    return replace(annotation_of(row, tasks), revision=revision)


def _lead_time(seconds: float) -> float:
    """Return the time of an answer; 0 for "not measured" where the server counted a tab that stayed open for days."""
    return seconds if 0.0 <= seconds <= LONGEST_LEAD_TIME else 0.0


def _value(row: Mapping[str, Any], key: str) -> str:
    """Return the text of a text area or choice, "" for none; several texts are joined, as each Enter adds one."""
    value = row.get("value")
    found = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(found, list):
        return " ".join(str(part) for part in found)
    return str(found) if found is not None else ""


def _slots(
    results: Sequence[Mapping[str, Any]], asr_text: str, transcript: str | None, typed: str
) -> list[dict[str, Any]]:
    """Return the slots as rows: the typed ones, and those that were marked in the machine's transcript."""
    if transcript is None:
        return []
    found = _typed(typed, transcript)
    marked = [slot for row in results if row.get("type") == "labels" and (slot := _marked(row, asr_text)) is not None]
    if not marked:
        return found
    # Alignment needs the normal forms; the spans of the row are on the transcript as it was typed.
    source, spans = normalise_with_spans(asr_text, marked)
    target, _ = normalise_with_spans(transcript, ())
    carried, lost = carry_spans(spans, source, target)
    if lost:
        raise RowError("lost_slot", "slots")
    return found + [{"name": s.name, **_original(s, target, transcript)} for s in carried]


def _typed(cell: str, transcript: str) -> list[dict[str, Any]]:
    """Return slots that were typed as `room=kitchen; device=light`, at the place of their words in the transcript."""
    normal, rows = normalise(transcript), []
    try:
        for name, value in split_slots(cell):
            start, end = place_in_original(transcript, *find_value(value, normal))
            rows.append({"name": name, "start": start, "end": end})
    except RecordError:
        raise RowError("bad_span", "slots") from None
    return rows


def _original(slot: SlotSpan, normal: str, typed: str) -> dict[str, int]:
    """Return start and end of a slot of the normal form in the text as it was typed."""
    if normal == typed:
        return {"start": slot.start, "end": slot.end}
    words = len(normal[: slot.start].split()), len(normal[: slot.end].split())
    pieces, at = [], 0
    for piece in typed.split():
        start = typed.index(piece, at)
        at = start + len(piece)
        pieces += [(start, at)] * len(normalise_with_spans(piece, ())[0].split())
    if len(pieces) != len(normal.split()):
        raise RowError("lost_slot", "slots")
    return {"start": pieces[words[0]][0], "end": pieces[words[1] - 1][1]}


def _marked(row: Mapping[str, Any], asr_text: str) -> SlotSpan | None:
    """Return a slot that was marked in the machine's transcript; its offsets are UTF-16 units."""
    value = row.get("value")
    if not isinstance(value, Mapping):
        raise RowError("bad_span", "slots")
    try:
        units = asr_text.encode("utf-16-le")
        start = len(units[: 2 * int(value["start"])].decode("utf-16-le"))
        end = len(units[: 2 * int(value["end"])].decode("utf-16-le"))
        name = str(value["labels"][0])
        inside = int(value["start"]) >= 0 and 2 * int(value["end"]) <= len(units)
        if not inside or not start < end or not asr_text[start:end].strip():
            raise ValueError
        return SlotSpan(name, start, end)
    except (KeyError, IndexError, TypeError, ValueError, UnicodeDecodeError):
        raise RowError("bad_span", "slots") from None
