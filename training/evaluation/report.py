"""One model version is judged on one evaluation set: word, character, intent and slot counts by utterance.

Every figure derives from these counts: `training.evaluation.metrics` and `training.evaluation.intervals`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from corpus.edits import Counts, edit_counts
from corpus.errors import RecordError
from corpus.records.annotations import Label
from corpus.records.arrivals import Hypothesis, SlotSpan
from corpus.records.base import Strings
from corpus.records.evaluation import EvaluationReport
from corpus.text import NORMALISER, normalise, words
from training.evaluation.signal_quality import SignalQuality


def word_edits(references: Mapping[str, str], hypotheses: Mapping[str, str]) -> Counts:
    """Return word substitutions, deletions and insertions of the normalised texts, (N, 3), rows by sorted id."""
    ids = sorted(references)
    return edit_counts([words(references[name]) for name in ids], [words(hypotheses[name]) for name in ids])


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
        hypotheses: best transcripts; more ids than `references` are fine.
        speaker_ids: by utterance id.
        confidence: mean word confidence in [0, 1].
        intents: true ones, which only tell the utterances apart; an id may lack one.
        sounds: of the clips; an id may lack one.
        success: of the intent model that read the hypotheses, see `succeeded`; an id may lack it.
        beside: version of that model.

    Raises:
        RecordError: an utterance has no hypothesis, speaker or confidence; the message names the first.
    """
    ids = sorted(references)
    _require_all(f"asr {version}", ids, {"hypothesis": hypotheses, "speaker": speaker_ids, "confidence": confidence})
    spoken = [normalise(references[name]) for name in ids]
    heard = [normalise(hypotheses[name]) for name in ids]
    spoken_words, heard_words = [text.split() for text in spoken], [text.split() for text in heard]
    edits = edit_counts(spoken_words, heard_words)
    nothing = dict.fromkeys(ids, "")
    return EvaluationReport(
        kind="asr",
        version=version,
        eval_set_id=eval_set_id,
        utterance_ids=_strings(ids),
        speaker_ids=_strings([speaker_ids[name] for name in ids]),
        errors=edits.sum(axis=1),
        words=np.array([len(row) for row in spoken_words], dtype=np.int64),
        char_errors=edit_counts(spoken, heard).sum(axis=1),
        chars=np.array([len(text) for text in spoken], dtype=np.int64),
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
        intents: the top intent by utterance id; more ids than `references` are fine.
        confidence: probability of the top intent.
        speaker_ids: by utterance id.
        readings: the text that was read with its slots, where slots are judged. Slots count where the label has a
            transcript; see `slot_matches`.
        raw_confidence: probability of the top intent before temperature scaling; as `confidence` where None.
        sounds: of the clips that were heard; an id may lack one.
        beside: version of the speech model that heard them.

    Raises:
        RecordError: a label has no intent, or an utterance has no prediction, speaker or confidence; names the first.
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
        if truth.transcript is not None:
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


def _details(
    ids: Sequence[str],
    truth: Mapping[str, str],
    predicted: Mapping[str, str],
    raw_confidence: Mapping[str, float],
    sounds: Mapping[str, SignalQuality] | None,
) -> dict[str, Any]:
    """Return the columns that both kinds of report fill alike; "" among the intents is none."""
    names = sorted({each[name] for each in (truth, predicted) for name in ids} - {""})
    at = {"": -1, **{name: k for k, name in enumerate(names)}}
    unheard = SignalQuality(0.0, 0.0)
    heard = [(sounds or {}).get(name, unheard) for name in ids]
    return {
        "duration": np.array([sound.duration for sound in heard], dtype=np.float32),
        "snr": np.array([sound.snr for sound in heard], dtype=np.float32),
        "truth": np.array([at[truth[name]] for name in ids], dtype=np.int64),
        "predicted": np.array([at[predicted[name]] for name in ids], dtype=np.int64),
        "raw_confidence": np.array([raw_confidence[name] for name in ids], dtype=np.float32),
        "intents": tuple(names),
        "normaliser": NORMALISER,
    }


def succeeded(truth: Label, intent: str, reading: Hypothesis) -> int:
    """Return 1 where intent and all slots are right, so that a device does what was asked; 0 where not.

    -1 where the label can't tell, as it lacks an intent or a transcript.
    """
    if truth.intent is None or truth.transcript is None:
        return -1
    _, invented, missed = slot_matches(truth.transcript, truth.slots, reading.text, reading.slots)
    return int(intent == truth.intent and not invented and not missed)


def slot_matches(
    text: str, slots: Sequence[SlotSpan], read_text: str, read_slots: Sequence[SlotSpan]
) -> tuple[int, int, int]:
    """Return slots found, invented and missed, compared by name and normalised words.

    Positions are not compared, as the text that was heard is seldom letter for letter the one that was said (SLURP's
    strict entity score, Bastianelli et al. 2020, section 5). A slot that stands twice must be found twice.
    """
    true = Counter((slot.name, normalise(text[slot.start : slot.end])) for slot in slots)
    read = Counter((slot.name, normalise(read_text[slot.start : slot.end])) for slot in read_slots)
    found = sum((true & read).values())
    return found, sum(read.values()) - found, sum(true.values()) - found


def _require_all(model: str, ids: Sequence[str], needed: Mapping[str, Mapping[str, object]]) -> None:
    for what, given in needed.items():
        missing = [name for name in ids if name not in given]
        if missing:
            raise RecordError(
                f"{model}: utterance {missing[0]} (and {len(missing) - 1} more) has no {what}; score it first"
            )


def _strings(values: Sequence[str]) -> Strings:
    return np.array(values, dtype=np.str_)
