"""Evaluation reports: word, character, intent and slot counts by utterance, of one model version on one set.

All figures are computed from these counts, in `training.evaluation.rates` and `training.evaluation.intervals`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from corpus.edits import Counts, edit_counts
from corpus.errors import RecordError
from corpus.records.annotations import Label
from corpus.records.arrivals import Hypothesis, SlotSpan
from corpus.records.base import Floats, Strings
from corpus.records.evaluation import EvaluationReport
from corpus.text import NORMALISER, normalise, words
from training.evaluation.number_forms import NAMES, NumberForm, in_number_form
from training.evaluation.signal_quality import SignalQuality


def word_edits(references: Mapping[str, str], hypotheses: Mapping[str, str]) -> Counts:
    """Return word substitutions, deletions and insertions of the normalised texts, (N, 3), in the order of the ids."""
    ids = sorted(references)
    return edit_counts([words(references[name]) for name in ids], [words(hypotheses[name]) for name in ids])


def with_numbers(
    report: EvaluationReport,
    references: Mapping[str, str],
    hypotheses: Mapping[str, str],
    form: NumberForm | None,
    locales: Mapping[str, str],
) -> EvaluationReport:
    """Return the report of a speech model with its word errors under a form in which numbers agree, too.

    Args:
        report: of the speech model.
        references: true transcripts by utterance id.
        hypotheses: best transcripts by utterance id.
        form: the form; None for none.
        locales: by utterance id; the texts of another language than English are counted in their plain form.
    """
    if form is None:
        return report
    both = [
        [in_number_form(texts[i], form, locales.get(i, "")).split() for i in report.utterance_ids.tolist()]
        for texts in (references, hypotheses)
    ]
    return replace(
        report,
        number_errors=edit_counts(*both).sum(axis=1),
        number_words=np.array([len(row) for row in both[0]], dtype=np.int64),
        numbers=NAMES[form],
    )


def evaluate_asr(
    version: str,
    eval_set_id: str,
    references: Mapping[str, str],
    hypotheses: Mapping[str, str],
    speaker_ids: Mapping[str, str],
    confidence: Mapping[str, float],
    intents: Mapping[str, str] | None = None,
    sounds: Mapping[str, SignalQuality] | None = None,
    success: Mapping[str, int] | None = None,
    beside: str = "",
) -> EvaluationReport:
    """Return the report of a speech model: word and character errors by utterance, rows sorted by utterance id.

    Both texts are normalised by `corpus.text`; characters include the spaces between words.

    Args:
        version: of the speech model.
        eval_set_id: digest of the evaluation set.
        references: true transcripts by utterance id; "" is silence.
        hypotheses: best transcripts by utterance id; there may be more ids than in `references`.
        speaker_ids: speakers by utterance id.
        confidence: mean word confidence by utterance id, in [0, 1].
        intents: true intents by utterance id, for slices; ids may be missing.
        sounds: signal quality of the clips by utterance id; ids may be missing.
        success: result of the intent model on the hypotheses, see `succeeded`; ids may be missing.
        beside: version of that intent model.

    Raises:
        RecordError: an utterance has no hypothesis, speaker or confidence; the message names the first.
    """
    ids = sorted(references)
    _require_all(f"asr {version}", ids, {"hypothesis": hypotheses, "speaker": speaker_ids, "confidence": confidence})
    true_texts = [normalise(references[name]) for name in ids]
    best_texts = [normalise(hypotheses[name]) for name in ids]
    true_words, best_words = [text.split() for text in true_texts], [text.split() for text in best_texts]
    edits = edit_counts(true_words, best_words)
    nothing = dict.fromkeys(ids, "")
    return EvaluationReport(
        kind="asr",
        version=version,
        eval_set_id=eval_set_id,
        utterance_ids=_strings(ids),
        speaker_ids=_strings([speaker_ids[name] for name in ids]),
        errors=edits.sum(axis=1),
        words=np.array([len(row) for row in true_words], dtype=np.int64),
        char_errors=edit_counts(true_texts, best_texts).sum(axis=1),
        chars=np.array([len(text) for text in true_texts], dtype=np.int64),
        correct=np.zeros(len(ids), dtype=bool),
        confidence=np.array([confidence[name] for name in ids], dtype=np.float32),
        slot_counts=np.zeros((len(ids), 3), dtype=np.int64),
        word_edits=edits,
        success=np.array([(success or {}).get(name, -1) for name in ids], dtype=np.int64),
        beside=beside,
        **_details(ids, {**nothing, **(intents or {})}, nothing, confidence, sounds),
    )


def evaluate_intent(
    version: str,
    eval_set_id: str,
    references: Mapping[str, Label],
    intents: Mapping[str, str],
    confidence: Mapping[str, float],
    speaker_ids: Mapping[str, str],
    readings: Mapping[str, Hypothesis] | None = None,
    raw_confidence: Mapping[str, float] | None = None,
    sounds: Mapping[str, SignalQuality] | None = None,
    beside: str = "",
) -> EvaluationReport:
    """Return the report of an intent model: right or wrong and slots found by utterance, rows sorted by utterance id.

    Args:
        version: of the intent model.
        eval_set_id: digest of the evaluation set.
        references: labels by utterance id, each with an intent.
        intents: the top intent by utterance id; there may be more ids than in `references`.
        confidence: probability of the top intent by utterance id.
        speaker_ids: speakers by utterance id.
        readings: input text with the predicted slots by utterance id; None: slots are not judged. They are judged for
            labels with a transcript and complete slots; see `slot_matches`.
        raw_confidence: probability of the top intent before temperature scaling; as `confidence` where None.
        sounds: signal quality of the transcribed clips by utterance id; ids may be missing.
        beside: version of the speech model that transcribed them.

    Raises:
        RecordError: a label has no intent, or an utterance has no prediction, speaker or confidence; the message names
            the first.
    """
    ids = sorted(references)
    needed: dict[str, Mapping[str, object]] = {"intent": intents, "speaker": speaker_ids, "confidence": confidence}
    if readings is not None:
        needed["reading"] = readings
    _require_all(f"intent {version}", ids, needed)
    unlabelled = [name for name in ids if references[name].intent is None]
    if unlabelled:
        raise RecordError(f"intent {version}: the label of utterance {unlabelled[0]} has no intent to judge by")
    correct = np.array([intents[name] == references[name].intent for name in ids], dtype=bool)
    slots = np.zeros((len(ids), 3), dtype=np.int64)
    success = np.full(len(ids), -1, dtype=np.int64)
    for row, name in enumerate(ids if readings is not None else ()):
        truth, reading = references[name], (readings or {})[name]
        if truth.transcript is not None and truth.slots_complete:
            slots[row] = slot_matches(truth.transcript, truth.slots, reading.text, reading.slots)
            success[row] = succeeded(truth, intents[name], reading)
    zeros = np.zeros(len(ids), dtype=np.int64)
    return EvaluationReport(
        kind="intent",
        version=version,
        eval_set_id=eval_set_id,
        utterance_ids=_strings(ids),
        speaker_ids=_strings([speaker_ids[name] for name in ids]),
        errors=zeros,
        words=zeros,
        char_errors=zeros,
        chars=zeros,
        correct=correct,
        confidence=np.array([confidence[name] for name in ids], dtype=np.float32),
        slot_counts=slots,
        word_edits=np.zeros((len(ids), 3), dtype=np.int64),
        success=success,
        beside=beside,
        **_details(ids, {i: references[i].intent or "" for i in ids}, intents, raw_confidence or confidence, sounds),
    )


class _Details(TypedDict):
    """The columns that both kinds of report have, see `EvaluationReport`."""

    duration: Floats
    snr: Floats
    truth: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    raw_confidence: Floats
    intents: tuple[str, ...]
    normaliser: str


def _details(
    ids: Sequence[str],
    truth: Mapping[str, str],
    predicted: Mapping[str, str],
    raw_confidence: Mapping[str, float],
    sounds: Mapping[str, SignalQuality] | None,
) -> _Details:
    """Return the columns that both kinds of report have; "" among the intents means that there is none."""
    names = sorted({each[name] for each in (truth, predicted) for name in ids} - {""})
    at = {"": -1, **{name: k for k, name in enumerate(names)}}
    no_sound = SignalQuality(0.0, 0.0)
    qualities = [(sounds or {}).get(name, no_sound) for name in ids]
    return {
        "duration": np.array([quality.duration for quality in qualities], dtype=np.float32),
        "snr": np.array([quality.snr for quality in qualities], dtype=np.float32),
        "truth": np.array([at[truth[name]] for name in ids], dtype=np.int64),
        "predicted": np.array([at[predicted[name]] for name in ids], dtype=np.int64),
        "raw_confidence": np.array([raw_confidence[name] for name in ids], dtype=np.float32),
        "intents": tuple(names),
        "normaliser": NORMALISER,
    }


def succeeded(truth: Label, intent: str, reading: Hypothesis) -> int:
    """Return 1 if intent and all slots are correct, so that a device does what was asked, else 0.

    -1 if this can't be judged, because the label has no intent, no transcript or open slots.
    """
    if truth.intent is None or truth.transcript is None or not truth.slots_complete:
        return -1
    _, invented, missed = slot_matches(truth.transcript, truth.slots, reading.text, reading.slots)
    return int(intent == truth.intent and not invented and not missed)


def slot_matches(
    text: str, slots: Sequence[SlotSpan], read_text: str, read_slots: Sequence[SlotSpan]
) -> tuple[int, int, int]:
    """Return the numbers of slots found, invented and missed, compared by name and normalised words.

    Positions are not compared, because a hypothesis is seldom letter for letter the true transcript (SLURP's strict
    entity score, Bastianelli et al. 2020, section 5). A slot that occurs twice must be found twice.

    Args:
        text: the true transcript.
        slots: its slots.
        read_text: the text that the intent model was given.
        read_slots: the slots that it predicted.
    """
    true = Counter((slot.name, normalise(text[slot.start : slot.end])) for slot in slots)
    read = Counter((slot.name, normalise(read_text[slot.start : slot.end])) for slot in read_slots)
    found = sum((true & read).values())
    return found, sum(read.values()) - found, sum(true.values()) - found


def _require_all(model: str, ids: Sequence[str], needed: Mapping[str, Mapping[str, object]]) -> None:
    """Check that every utterance has all that is needed, by name."""
    for what, given in needed.items():
        missing = [name for name in ids if name not in given]
        if missing:
            raise RecordError(
                f"{model}: utterance {missing[0]} (and {len(missing) - 1} more) has no {what}; score it first"
            )


def _strings(values: Sequence[str]) -> Strings:
    return np.array(values, dtype=np.str_)
