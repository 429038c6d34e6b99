"""Find the utterances that a version gets most wrong, with reference and hypothesis, for a person who may read them.

The stored report names the worst rows. Their clips and labels are opened again through the door, with one row on the
audit chain for each clip, and the model transcribes the clips again. The content is shown, never stored or logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from corpus import door
from corpus.errors import RecordError, UsageError
from corpus.handle import Corpus
from corpus.locales import canonical_locale
from corpus.records.annotations import Label
from corpus.records.arrivals import SlotSpan
from corpus.records.base import Floats, Kind, Strings
from corpus.tables.people import holder
from corpus.text import normalise
from flows.models import registry
from flows.models.eval_set import AuditSet, set_that_judges
from flows.models.evaluate import IntentReading, classify_texts, transcribe_clips
from flows.models.evaluation_store import evaluate_versions
from flows.models.slices import shown_slices
from flows.runtime.results import Result
from flows.runtime.settings_parts import HasHome, HasNight, HasPromotion, HasScore

if TYPE_CHECKING:
    from corpus.edits import Step

Opened: TypeAlias = dict[str, tuple[Floats, Label]]
"""Audio and label by utterance id."""


class SettingsOfMistakes(HasHome, HasScore, HasPromotion, HasNight, Protocol):
    """The settings by which the mistakes of a version are found: how it is evaluated, and on which rows."""


@dataclass(frozen=True, slots=True)
class SlotText(Result):
    """A slot's name and its words; content."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake(Result):
    """One utterance that a version got wrong; content, never to be stored or logged.

    Attributes:
        utterance_id: of the utterance.
        slices: its value in each dimension.
        errors, words: word errors, and words of the reference; None where the label has no transcript.
        reference: the label's transcript, in the normal form of texts.
        hypothesis: the model's transcript.
        steps: a shortest alignment of the two.
        intent, predicted, confidence: for an intent model: the label's intent, the predicted one and its probability.
        slots, predicted_slots: for an intent model: the label's slots, and the predicted ones.
    """

    utterance_id: str
    slices: Mapping[str, str]
    errors: int | None = None
    words: int | None = None
    reference: str | None = None
    hypothesis: str
    steps: tuple[Step, ...] | None = None
    intent: str | None = None
    predicted: str | None = None
    confidence: float | None = None
    slots: tuple[SlotText, ...] | None = None
    predicted_slots: tuple[SlotText, ...] | None = None


@dataclass(frozen=True, slots=True)
class MistakesReport(Result):
    """The worst utterances of a version; content.

    Attributes:
        kind, version: of the model.
        eval_set_id: the rows that it was judged on.
        slices: to which the rows were restricted.
        rows, wrong: rows that judge in these slices, and those with a mistake.
        closed: how many of the worst rows may not be opened any more.
        utterances: worst first.
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
    corpus: Corpus, settings: SettingsOfMistakes, name: str, wanted: Sequence[str], worst: int, person: str
) -> MistakesReport:
    """Return the worst rows of a version with their content, which is never to be stored or logged.

    Args:
        corpus: the corpus.
        settings: how versions are evaluated, and on which rows.
        name: kind and version, such as `asr/2`.
        wanted: slices such as `device=doorbell`; only rows in all of them are returned.
        worst: how many rows at most.
        person: name of the person who reads them, for the audit chain.

    Raises:
        UsageError: there is no such version or slice, or no row that judges is labelled.
    """
    from training.evaluation.error_ranking import worst_first

    kind, number = registry.parse(name)
    version = registry.by_name(corpus, kind, number)
    audit = set_that_judges(corpus, settings.promotion, kind, settings.score.transcribe.window)
    how = settings.score.transcribe
    report = evaluate_versions(corpus, settings.home, how, audit, [version])[version.version]
    slices = shown_slices(corpus, settings.night, audit, report)
    inside = _inside(slices, wanted, len(report))
    order = [row for row in worst_first(report) if inside[row]]
    rows = {str(report.utterance_ids[row]): row for row in order[:worst]}
    opened = _open(corpus, audit, list(rows), person)
    outputs = transcribe_clips(
        settings.home,
        how,
        audit.speech_model or version,
        [(i, audio) for i, (audio, _) in opened.items()],
        audit.locales(),
    )
    texts = {output.utterance_id: output.text for output in outputs}
    reading = classify_texts(corpus, settings.home, version, texts) if kind == "intent" and texts else None
    shown = []
    for i, row in ((i, row) for i, row in rows.items() if i in opened):
        where = {dimension: str(values[row]) for dimension, values in sorted(slices.items()) if values[row]}
        label = opened[i][1]
        if reading is None:
            shown.append(_asr_mistake(i, where, label, texts[i]))
        else:
            shown.append(_intent_mistake(i, where, label, reading))
    return MistakesReport(
        kind=kind,
        version=version.version,
        eval_set_id=audit.eval_set_id,
        slices=tuple(wanted),
        rows=int(inside.sum()),
        wrong=len(order),
        closed=len(rows) - len(opened),
        utterances=tuple(shown),
    )


def _inside(slices: Mapping[str, Strings], wanted: Sequence[str], rows: int) -> npt.NDArray[np.bool_]:
    """Return which of the rows are in all wanted slices, (rows,) bool."""
    from training.evaluation.metrics import rows_in_slices, values_of_slice

    pairs = []
    for each in wanted:
        dimension, separator, value = each.partition("=")
        if not separator or dimension not in slices:
            raise UsageError(f"--slice {each}: give dimension=value; dimensions are {', '.join(sorted(slices))}")
        if dimension == "locale":
            try:
                value = canonical_locale(value)
            except RecordError as error:
                raise UsageError(f"--slice {each}: {error}") from None
        possible = values_of_slice(slices, dimension)
        if value not in possible:
            raise UsageError(f"--slice {each}: {dimension} is one of {', '.join(possible)}")
        pairs.append((dimension, value))
    return rows_in_slices(slices, pairs, rows)


def _open(corpus: Corpus, audit: AuditSet, ids: Sequence[str], person: str) -> Opened:
    """Return audio and label by utterance id, without utterances that may not be opened any more."""
    revisions = {i: audit.labels[i].revision for i in ids}
    opened = door.open(
        corpus, ids, "judge", actor=holder(person), parts=("audio", "label"), strict=False, label_revisions=revisions
    )
    return {c.utterance.utterance_id: (c.audio, c.label) for c in opened if c.audio is not None and c.label is not None}


def _asr_mistake(utterance_id: str, slices: Mapping[str, str], label: Label, text: str) -> Mistake:
    from corpus.edits import align

    reference, hypothesis = normalise(label.transcript or "").split(), normalise(text).split()
    steps = align(reference, hypothesis)
    return Mistake(
        utterance_id=utterance_id,
        slices=slices,
        errors=sum(kind != "same" for kind, _, _ in steps),
        words=len(reference),
        reference=" ".join(reference),
        hypothesis=" ".join(hypothesis),
        steps=tuple(steps),
    )


def _intent_mistake(utterance_id: str, slices: Mapping[str, str], label: Label, reading: IntentReading) -> Mistake:
    hypothesis = reading.hypotheses()[utterance_id]
    mistake = Mistake(utterance_id=utterance_id, slices=slices, hypothesis=hypothesis.text)
    if label.transcript is not None:
        mistake = _asr_mistake(utterance_id, slices, label, hypothesis.text)
    return replace(
        mistake,
        hypothesis=hypothesis.text,
        intent=label.intent,
        predicted=hypothesis.intent,
        confidence=round(reading.confidence()[utterance_id], 4),
        slots=_slot_texts(label.transcript or "", label.slots),
        predicted_slots=_slot_texts(hypothesis.text, hypothesis.slots),
    )


def _slot_texts(text: str, slots: Sequence[SlotSpan]) -> tuple[SlotText, ...]:
    return tuple(SlotText(slot.name, text[slot.start : slot.end]) for slot in slots)
