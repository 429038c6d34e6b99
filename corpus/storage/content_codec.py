"""Content as bytes for encryption: audio samples, hypotheses and texts, and the associated data of each."""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from corpus.errors import Damaged, RecordError
from corpus.records.annotations import Annotation, Label
from corpus.records.arrivals import Hypothesis, SlotSpan, Utterance
from corpus.records.base import Floats, canonical_json

Part = Literal["audio", "hypotheses", "annotations", "label"]

SAMPLE_BYTES: Final = 2

_SCALE: Final = 32768.0


@dataclass(frozen=True, slots=True)
class Content:
    """The content of one utterance, as the door returns it; parts that were not asked for are None or empty.

    Attributes:
        audio: (num_samples,) float32 in [-1, 1).
        sample_rate: [Hz].
        hypotheses: of the given versions, highest weight first; None where they did not score the utterance.
        annotations: all answers of annotators, with superseded revisions.
        label: the current label or the given revision; None where there is none.
    """

    utterance: Utterance
    audio: Floats | None
    sample_rate: int
    hypotheses: tuple[Hypothesis, ...] | None
    annotations: tuple[Annotation, ...]
    label: Label | None


def seal_name(utterance_id: str, what: str) -> str:
    """Return the associated data of a ciphertext, which binds it to its utterance and to its kind of content."""
    return f"{utterance_id}/{what}"


def encode_audio(samples: Floats) -> bytes:
    """Return samples as little-endian PCM16, clipped to [-1, 1); exact for samples that came from PCM16.

    Raises:
        RecordError: the samples are not one vector, or one is not finite.
    """
    if samples.ndim != 1 or not bool(np.isfinite(samples).all()):
        raise RecordError("audio must be one channel of finite samples")
    scaled = np.clip(np.rint(samples.astype(np.float32) * _SCALE), -_SCALE, _SCALE - 1)
    data: bytes = scaled.astype("<i2").tobytes()
    return data


def decode_audio(data: bytes, utterance: Utterance) -> Floats:
    """Return the samples, (num_samples,) float32.

    Raises:
        Damaged: the number of samples is not that of the utterance.
    """
    if len(data) != SAMPLE_BYTES * utterance.num_samples:
        raise Damaged(f"the audio of utterance {utterance.utterance_id} has another length than its row")
    samples: Floats = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(_SCALE)
    return samples


def encode_hypotheses(hypotheses: Sequence[Hypothesis]) -> bytes:
    """Return the hypotheses as canonical JSON."""
    return canonical_json([[h.text, float(h.weight), h.intent, _slots(h.slots)] for h in hypotheses]).encode()


def decode_hypotheses(data: bytes) -> tuple[Hypothesis, ...]:
    """Return the hypotheses that were given to `encode_hypotheses`."""
    return tuple(Hypothesis(text, weight, intent, _spans(slots)) for text, weight, intent, slots in json.loads(data))


def encode_texts(
    transcript: str | None, slots: Sequence[SlotSpan], proposal: str | None = None, question: str | None = None
) -> bytes:
    """Return the texts of an annotation or a label as canonical JSON; a question is added only where there is one."""
    asked = [] if question is None else [question]  # without a question the bytes are the same as in older versions
    return canonical_json([transcript, _slots(slots), proposal, *asked]).encode()


def decode_texts(data: bytes) -> tuple[str | None, tuple[SlotSpan, ...], str | None, str | None]:
    """Return transcript, slots, proposal and question, as they were given to `encode_texts`."""
    transcript, slots, proposal, *asked = json.loads(data)
    return transcript, _spans(slots), proposal, asked[0] if asked else None


def mac(key: bytes, data: bytes) -> str:
    """Return a keyed digest, so that encrypted texts can be compared without decrypting them."""
    # The data key also encrypts: a key derived for the digest separates the two uses.
    return hmac.digest(hmac.digest(key, b"earmark content mac", "sha256"), data, "sha256").hex()


def _slots(slots: Sequence[SlotSpan]) -> list[list[str | int]]:
    return [[slot.name, int(slot.start), int(slot.end)] for slot in slots]


def _spans(slots: Sequence[tuple[str, int, int]]) -> tuple[SlotSpan, ...]:
    return tuple(SlotSpan(name, start, end) for name, start, end in slots)
