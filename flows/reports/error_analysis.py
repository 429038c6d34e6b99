"""What a version gets wrong, the reference beside the hypothesis, for a person who may read it.

The stored report tells which rows are worst; their content is opened again through the door, one audit row a clip, and
transcribed again by the model. None of it is written anywhere but to the terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from corpus import door
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records.annotations import Label
from corpus.records.arrivals import SlotSpan
from corpus.records.base import Floats, Kind, Strings
from corpus.tables.people import holder
from corpus.text import normalise
from flows.models import registry
from flows.models.eval_set import AuditSet, audit_set
from flows.models.evaluate import IntentReading, classify_texts, transcribe_clips
from flows.models.evaluation_store import evaluate_versions
from flows.models.slices import shown_slices
from flows.runtime.results import Result
from flows.runtime.settings import Settings

if TYPE_CHECKING:
    from corpus.edits import Step

Opened: TypeAlias = dict[str, tuple[Floats, Label]]
"""Audio and label by utterance id."""


@dataclass(frozen=True, slots=True)
class SlotText(Result):
    """A slot's name and the words in it; content."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake(Result):
    """One utterance that a version got wrong; content, never to be stored or logged.

    Attributes:
        utterance_id: which.
        slices: its value by dimension.
        errors, words: word errors, and words of the reference; None where the label has no transcript.
        said: the reference, in the normal form of texts.
        heard: the hypothesis.
        steps: a shortest alignment of the two.
        intent, predicted, confidence: of an intent model: the label's intent, the predicted one and its probability.
        slots, slots_read: of an intent model: the label's slots and the predicted ones.
    """

    utterance_id: str
    slices: Mapping[str, str]
    errors: int | None = None
    words: int | None = None
    said: str | None = None
    heard: str
    steps: tuple[Step, ...] | None = None
    intent: str | None = None
    predicted: str | None = None
    confidence: float | None = None
    slots: tuple[SlotText, ...] | None = None
    slots_read: tuple[SlotText, ...] | None = None


@dataclass(frozen=True, slots=True)
class MistakesReport(Result):
    """The worst utterances of a version; content.

    Attributes:
        kind, version, eval_set_id: what was judged on what.
        slices: that were asked for.
        rows, wrong: audit rows in these slices, and those with a mistake.
        closed: of the worst, how many may not be opened any more.
        utterances: the worst first.
    """

    kind: Kind
    version: str
    eval_set_id: str
    slices: tuple[str, ...]
    rows: int
    wrong: int
    closed: int
    utterances: tuple[Mistake, ...]


def mistakes(
    corpus: Corpus, settings: Settings, reference: str, wanted: Sequence[str], worst: int, who: str
) -> MistakesReport:
    """Return the worst rows of a version with their content: never to be stored or logged.

    Args:
        corpus: the handle.
        settings: how clips are transcribed.
        reference: kind and version, such as `asr/2`.
        wanted: slices such as `device=doorbell`, all of which a row is in.
        worst: rows at most.
        who: the person who reads them, as the audit chain names them.

    Raises:
        UsageError: no such version or slice, or no audit row is labelled.
    """
    from training.evaluation.error_ranking import worst_first

    kind, name = registry.parse(reference)
    version = registry.by_name(corpus, kind, name)
    audit = audit_set(corpus, settings.promotion, kind)
    if not audit.labels:
        raise UsageError("no audit row is labelled yet; merge annotations first")
    report = evaluate_versions(corpus, settings, audit, [version])[version.version]
    slices = shown_slices(corpus, settings.night, audit, report)
    inside = _inside(slices, wanted, len(report))
    order = [row for row in worst_first(report) if inside[row]]
    rows = {str(report.utterance_ids[row]): row for row in order[:worst]}
    held = _open(corpus, audit, list(rows), who)
    heard = transcribe_clips(settings, audit.speech_model or version, [(i, audio) for i, (audio, _) in held.items()])
    texts = {output.utterance_id: output.text for output in heard}
    reading = classify_texts(settings, version, texts) if kind == "intent" and texts else None
    shown = []
    for i, row in ((i, row) for i, row in rows.items() if i in held):
        where = {dimension: str(values[row]) for dimension, values in sorted(slices.items()) if values[row]}
        label = held[i][1]
        made = (
            _asr_mistakes(i, where, label, texts[i]) if reading is None else _intent_mistakes(i, where, label, reading)
        )
        shown.append(made)
    return MistakesReport(
        kind=kind,
        version=version.version,
        eval_set_id=audit.eval_set_id,
        slices=tuple(wanted),
        rows=int(inside.sum()),
        wrong=len(order),
        closed=len(rows) - len(held),
        utterances=tuple(shown),
    )


def _inside(slices: Mapping[str, Strings], wanted: Sequence[str], rows: int) -> npt.NDArray[np.bool_]:
    inside = np.ones(rows, dtype=bool)
    for each in wanted:
        dimension, separator, value = each.partition("=")
        if not separator or dimension not in slices:
            raise UsageError(f"--slice {each}: give dimension=value; dimensions are {', '.join(sorted(slices))}")
        named = np.where(slices[dimension] == "", "unknown", slices[dimension])  # as the tables of slices name it
        known = np.unique(named)
        if value not in known:
            raise UsageError(f"--slice {each}: {dimension} is one of {', '.join(known)}")
        inside &= named == value
    return inside


def _open(corpus: Corpus, audit: AuditSet, ids: Sequence[str], who: str) -> Opened:
    """Return audio and label by utterance id; what was withdrawn since is left out."""
    revisions = {i: audit.labels[i].revision for i in ids}
    opened = door.open(
        corpus, ids, "judge", actor=holder(who), parts=("audio", "label"), strict=False, label_revisions=revisions
    )
    return {c.utterance.utterance_id: (c.audio, c.label) for c in opened if c.audio is not None and c.label is not None}


def _asr_mistakes(utterance_id: str, slices: Mapping[str, str], label: Label, text: str) -> Mistake:
    from corpus.edits import align

    said, heard = normalise(label.transcript or "").split(), normalise(text).split()
    steps = align(said, heard)
    return Mistake(
        utterance_id=utterance_id,
        slices=slices,
        errors=sum(kind != "same" for kind, _, _ in steps),
        words=len(said),
        said=" ".join(said),
        heard=" ".join(heard),
        steps=tuple(steps),
    )


def _intent_mistakes(utterance_id: str, slices: Mapping[str, str], label: Label, reading: IntentReading) -> Mistake:
    hypothesis = reading.hypotheses()[utterance_id]
    words = Mistake(utterance_id=utterance_id, slices=slices, heard=hypothesis.text)
    if label.transcript is not None:
        words = _asr_mistakes(utterance_id, slices, label, hypothesis.text)
    return replace(
        words,
        heard=hypothesis.text,
        intent=label.intent,
        predicted=hypothesis.intent,
        confidence=round(reading.confidence()[utterance_id], 4),
        slots=_slots(label.transcript or "", label.slots),
        slots_read=_slots(hypothesis.text, hypothesis.slots),
    )


def _slots(text: str, slots: Sequence[SlotSpan]) -> tuple[SlotText, ...]:
    return tuple(SlotText(slot.name, text[slot.start : slot.end]) for slot in slots)
