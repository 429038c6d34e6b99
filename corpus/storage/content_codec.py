"""What is encrypted, as bytes: samples and texts, and the name under which each is sealed."""

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
    """One utterance as the door hands it out; what was not asked for is None or empty.

    Attributes:
        audio: (num_samples,) float32 in [-1, 1).
        sample_rate: [Hz].
        hypotheses: heaviest first, of the versions asked for; None where never scored.
        annotations: what people answered, superseded revisions included.
        label: the current one, or the revision asked for; None where there is none.
    """

    utterance: Utterance
    audio: Floats | None
    sample_rate: int
    hypotheses: tuple[Hypothesis, ...] | None
    annotations: tuple[Annotation, ...]
    label: Label | None


def seal_name(utterance_id: str, what: str) -> str:
    """Return the associated data of a ciphertext: it opens only as what it was sealed as, for whom it was sealed."""
    return f"{utterance_id}/{what}"


def encode_audio(samples: Floats) -> bytes:
    """Return little-endian PCM16; exact for samples that came from PCM16, clipped to [-1, 1).

    Raises:
        RecordError: not a vector, or a sample is not finite.
    """
    if samples.ndim != 1 or not bool(np.isfinite(samples).all()):
        raise RecordError("audio must be one channel of finite samples")
    scaled = np.clip(np.rint(samples.astype(np.float32) * _SCALE), -_SCALE, _SCALE - 1)
    data: bytes = scaled.astype("<i2").tobytes()
    return data


def decode_audio(data: bytes, utterance: Utterance) -> Floats:
    """Return the samples, (num_samples,) float32.

    Raises:
        Damaged: the length is not the utterance's.
    """
    if len(data) != SAMPLE_BYTES * utterance.num_samples:
        raise Damaged(f"the audio of utterance {utterance.utterance_id} has another length than its row")
    samples: Floats = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(_SCALE)
    return samples


def encode_hypotheses(hypotheses: Sequence[Hypothesis]) -> bytes:
    """Return the hypotheses as canonical JSON."""
    return canonical_json([[h.text, float(h.weight), h.intent, _slots(h.slots)] for h in hypotheses]).encode()


def decode_hypotheses(data: bytes) -> tuple[Hypothesis, ...]:
    """Return what `encode_hypotheses` took."""
    return tuple(Hypothesis(text, weight, intent, _spans(slots)) for text, weight, intent, slots in json.loads(data))


def encode_texts(
    transcript: str | None, slots: Sequence[SlotSpan], proposal: str | None = None, question: str | None = None
) -> bytes:
    """Return the texts of an annotation or a label as canonical JSON; a question only where there is one."""
    asked = [] if question is None else [question]  # without one the bytes are those of older versions
    return canonical_json([transcript, _slots(slots), proposal, *asked]).encode()


def decode_texts(data: bytes) -> tuple[str | None, tuple[SlotSpan, ...], str | None, str | None]:
    """Return transcript, slots, proposal and question, as `encode_texts` took them."""
    transcript, slots, proposal, *asked = json.loads(data)
    return transcript, _spans(slots), proposal, asked[0] if asked else None


def mac(key: bytes, data: bytes) -> str:
    """Return a keyed digest that tells equal texts from different ones without opening them."""
    # A label of its own keeps the data key's two uses apart.
    return hmac.digest(hmac.digest(key, b"earmark content mac", "sha256"), data, "sha256").hex()


def _slots(slots: Sequence[SlotSpan]) -> list[list[str | int]]:
    return [[slot.name, int(slot.start), int(slot.end)] for slot in slots]


def _spans(slots: Sequence[tuple[str, int, int]]) -> tuple[SlotSpan, ...]:
    return tuple(SlotSpan(name, start, end) for name, start, end in slots)
