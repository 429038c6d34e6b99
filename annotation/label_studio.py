"""Label Studio's formats: the labelling page, and tasks with drafts; `label_studio_answers` reads what comes back.

This module does not connect to a server. Formats as of Label Studio 1.23; https://labelstud.io/guide/task_format.
"""

from __future__ import annotations

from typing import Any, Final, TypedDict
from xml.sax.saxutils import quoteattr

from corpus.records.annotations import AnnotationTask
from corpus.records.arrivals import SlotSpan
from corpus.records.base import OTHER_INTENT, Verdict
from corpus.records.inventory import Inventory, Names

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
    <Text name="asr_text" value="$asr_text" granularity="word"/>
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
