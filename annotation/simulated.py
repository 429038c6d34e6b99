"""A simulated annotator: answers to tasks from the truth, with the errors and the working time of people.

It serves the demo, replays of strategies and tests. An answer depends on the seed, the annotator and the task alone, so
neither the order of the tasks nor other tasks change it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from annotation.schema import ONE_LINE
from corpus.errors import UsageError
from corpus.records.annotations import Annotation, AnnotationTask
from corpus.records.arrivals import SlotSpan
from corpus.records.base import OTHER_INTENT, Verdict, digest
from corpus.settings import MOST_SECONDS, MOST_SEED
from corpus.text import normalise_with_spans, words


@dataclass(frozen=True, slots=True)
class Truth:
    """The true label of an utterance.

    Attributes:
        text: what was spoken.
        intent: of the request; "" for none.
        slots: spans of `text`.
        verdict: `labelled` for speech to the device, else the verdict of a perfect annotator.
    """

    text: str
    intent: str
    slots: tuple[SlotSpan, ...] = field(default=())
    verdict: Verdict = "labelled"


class AnnotatorSettings(BaseModel):
    """The simulated annotator of the demo and of tests.

    Attributes:
        annotator_id: Name of the simulated person.
        seconds_per_task: Part of the time of an answer that every task takes [s].
        seconds_per_audio_second: Part of the time of an answer for each second of the clip [s].
        seconds_per_word: Part of the time of an answer for each word typed; with a draft, for each word that differs
            from it; none for an intent alone [s].
        time_noise: Standard deviation of the logarithm of the time.
        word_error_rate: Share of words that are mistyped, left out or doubled, in equal parts.
        intent_error_rate: Share of clips whose intent is another of the inventory.
        help_rate: Share of tasks answered with `help`.
        verdict_recall: Share of the clips that must not be labelled (accidental, unintelligible, ...) and get the
            right verdict; the others are labelled as if they were commands.
        false_unintelligible_rate: Share of good clips with the verdict `unintelligible`.
        draft_trust: Share of tasks with a draft whose transcript, intent and slots are copied without a check.
        manner: `careful`, or one of the careless: `random` names a random intent and types half of the words wrong,
            `first` always names the first intent, `flips` names the second intent wherever the first is true. For a
            person who copies all drafts, use `careful` with a `draft_trust` of 1.
        seed: Seed of all draws.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    annotator_id: str = Field(default="simulated-1", max_length=128, pattern=ONE_LINE)
    seconds_per_task: float = Field(default=4.0, ge=0.0, le=MOST_SECONDS)
    seconds_per_audio_second: float = Field(default=1.5, ge=0.0, le=MOST_SECONDS)
    seconds_per_word: float = Field(default=0.7, ge=0.0, le=MOST_SECONDS)
    time_noise: float = Field(default=0.15, ge=0.0, le=2.0)
    word_error_rate: float = Field(default=0.0, ge=0.0, le=1.0)
    intent_error_rate: float = Field(default=0.0, ge=0.0, le=1.0)
    help_rate: float = Field(default=0.0, ge=0.0, le=1.0)
    verdict_recall: float = Field(default=1.0, ge=0.0, le=1.0)
    false_unintelligible_rate: float = Field(default=0.0, ge=0.0, le=1.0)
    draft_trust: float = Field(default=0.0, ge=0.0, le=1.0)
    manner: Literal["careful", "random", "first", "flips"] = "careful"
    seed: int = Field(default=0, ge=0, le=MOST_SEED)


def answer(
    tasks: Sequence[AnnotationTask], truth: Mapping[str, Truth], settings: AnnotatorSettings
) -> list[Annotation]:
    """Return the annotator's answer to each task, in order; `annotation.files.write_annotations` makes it a file.

    Transcripts are in normal form. An intent outside the task's inventory is proposed.

    Raises:
        UsageError: there is no truth for the utterance of a task; the message names it.
    """
    answers = []
    for task in tasks:
        if task.utterance_id not in truth:
            raise UsageError(f"utterance {task.utterance_id} has no truth; a simulated annotator needs known labels")
        answers.append(_answer(task, truth[task.utterance_id], settings))
    return answers


def _answer(task: AnnotationTask, truth: Truth, settings: AnnotatorSettings) -> Annotation:
    rng = _generator(task.task_id, settings)
    # All draws are made for every task, so that a change of one rate does not change the draws of another.
    asks_help, misjudges, misnames, trusts = rng.random(4)
    noise = float(np.exp(settings.time_noise * rng.standard_normal()))
    verdict = _verdict(truth, asks_help, misjudges, settings)
    transcript: str | None = None
    intent: str | None = None
    slots: tuple[SlotSpan, ...] = ()
    if verdict == "labelled" and task.ask != "triage":
        intent = truth.intent or OTHER_INTENT
        if misnames < settings.intent_error_rate:
            intent = _other_intent(task.intents, intent, rng)
        intent = _in_manner(task.intents, intent, settings, rng)
        if task.ask == "transcribe":
            wrong = max(0.5, settings.word_error_rate) if settings.manner == "random" else settings.word_error_rate
            transcript, slots = _with_word_errors(truth, wrong, rng)
        if task.draft is not None and trusts < settings.draft_trust:
            intent = task.draft.intent or intent
            if task.ask == "transcribe":
                transcript, slots = normalise_with_spans(task.draft.text, task.draft.slots)
    typed = _words_typed(task, transcript)
    seconds = settings.seconds_per_task + settings.seconds_per_audio_second * task.duration
    proposal = intent if intent is not None and intent not in (*task.intents, OTHER_INTENT) else None
    return Annotation(
        task_id=task.task_id,
        annotator_id=settings.annotator_id,
        ask=task.ask,
        verdict=verdict,
        transcript=transcript,
        intent=None if proposal else intent,
        slots=slots,
        lead_time=round((seconds + settings.seconds_per_word * typed) * noise, 3),
        proposal=proposal,
    )


def _generator(task_id: str, settings: AnnotatorSettings) -> np.random.Generator:
    return np.random.default_rng(int(digest([settings.seed, settings.annotator_id, task_id])[:16], 16))


def _verdict(truth: Truth, asks_help: float, misjudges: float, settings: AnnotatorSettings) -> Verdict:
    if asks_help < settings.help_rate:
        return "help"
    if truth.verdict != "labelled":
        return truth.verdict if misjudges < settings.verdict_recall else "labelled"
    return "unintelligible" if misjudges < settings.false_unintelligible_rate else "labelled"


def _in_manner(intents: Sequence[str], intent: str, settings: AnnotatorSettings, rng: np.random.Generator) -> str:
    """Return the intent that an annotator of this manner names."""
    if settings.manner == "random":
        return intents[int(rng.integers(len(intents)))]
    if settings.manner == "first":
        return intents[0]
    return intents[1] if settings.manner == "flips" and intent == intents[0] else intent


def _other_intent(intents: Sequence[str], intent: str, rng: np.random.Generator) -> str:
    wrong = [name for name in intents if name != intent]
    return wrong[int(rng.integers(len(wrong)))] if wrong else intent


def _words_typed(task: AnnotationTask, transcript: str | None) -> int:
    if transcript is None:
        return 0
    typed = words(transcript)
    if task.draft is None:
        return len(typed)
    shown = words(task.draft.text)
    blocks = SequenceMatcher(None, shown, typed, autojunk=False).get_opcodes()
    return sum(max(b - a, d - c) for kind, a, b, c, d in blocks if kind != "equal")


def _with_word_errors(truth: Truth, error_rate: float, rng: np.random.Generator) -> tuple[str, tuple[SlotSpan, ...]]:
    """Return the transcript with the annotator's word errors, and the slots on their remaining words."""
    text, slots = normalise_with_spans(truth.text, truth.slots)
    typed_words: list[str] = []
    moved: dict[
        int, tuple[int, int]
    ] = {}  # offset of a letter of the truth -> start and end of the letters that replace it
    at = position = 0
    for word in text.split():
        draw, kind, letter = rng.random(3)
        typed = _mistype(word, int(kind * 3), letter) if draw < error_rate else word
        if typed:
            for i in range(len(word)):
                # The last letter gets all extra letters, so that a slot on whole words stays on whole words.
                moved[at + i] = position + i, position + (i + 1 if i + 1 < len(word) else len(typed))
            typed_words.append(typed)
            position += len(typed) + 1
        at += len(word) + 1
    spans = []
    for slot in slots:
        letters = [moved[i] for i in range(slot.start, slot.end) if i in moved]
        if letters:
            spans.append(SlotSpan(slot.name, letters[0][0], letters[-1][1]))
    return " ".join(typed_words), tuple(spans)


def _mistype(word: str, kind: int, letter: float) -> str:
    """Return the word mistyped (0: one letter is doubled), left out (1: "") or doubled (2: "word word")."""
    if kind == 0:
        i = int(letter * len(word))
        return word[: i + 1] + word[i:]
    return "" if kind == 1 else f"{word} {word}"
