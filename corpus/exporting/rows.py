"""The rows of an exported dataset, and the writers of its formats by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from corpus.records.arrivals import SlotSpan
from corpus.records.base import Floats

Format = Literal["hf", "nemo", "lhotse", "csv"]
"""Parquet for Hugging Face `datasets`, manifests of NVIDIA NeMo or of Lhotse, or CSV; each has a file for a split."""

NEEDS_AUDIO: Final[tuple[Format, ...]] = ("nemo", "lhotse")


@dataclass(frozen=True, slots=True)
class ExportedRow:
    """One utterance of an exported dataset. It holds no account, device, place or time.

    Attributes:
        utterance_id: id in the home.
        split: `train` or `dev`, disjoint by speaker.
        speaker: a name of the speaker in this dataset alone; in another one it is another.
        locale: language tag.
        duration: length of the clip [s].
        sample_rate: of the audio [Hz].
        text, intent, slots: the label; None where nobody was asked, or not yet.
        audio: (num_samples,) float32 in [-1, 1]; None without audio.
    """

    utterance_id: str
    split: str
    speaker: str
    locale: str
    duration: float
    sample_rate: int
    text: str | None
    intent: str | None
    slots: tuple[SlotSpan, ...] | None
    audio: Floats | None = None


class DatasetWriter(Protocol):
    """Writes rows of one format; the files are complete after `close`."""

    def add(self, row: ExportedRow) -> None:
        """Write a row."""

    def close(self) -> None:
        """Finish all files."""


def slot_rows(row: ExportedRow) -> list[dict[str, str | int]] | None:
    """Return the slots with name, start, end (exclusive) and value; None where they are unknown."""
    if row.slots is None or row.text is None:
        return None
    return [
        {"name": slot.name, "start": slot.start, "end": slot.end, "value": row.text[slot.start : slot.end]}
        for slot in row.slots
    ]


def fields(row: ExportedRow) -> Mapping[str, object]:
    """Return the fields of a row that are the same in every format."""
    return {
        "utterance_id": row.utterance_id,
        "speaker": row.speaker,
        "locale": row.locale,
        "duration": round(row.duration, 6),
        "text": row.text,
        "intent": row.intent,
    }
