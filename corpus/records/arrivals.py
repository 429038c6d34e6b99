"""Records of ingest: utterances and their hypotheses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from corpus.records.base import Split, _one_of, _require


@dataclass(frozen=True, slots=True)
class Wake:
    """How the device was woken: by a wake word that was detected with a score in [0, 1], or by a button."""

    word: str | None = None
    score: float | None = None
    button: bool = False

    def __post_init__(self) -> None:
        if self.button:
            _require(self.word is None and self.score is None, "wake is a button or a word, not both")
        else:
            _require(bool(self.word) and self.score is not None, "wake needs a word and a score, or button: true")
            _require(0.0 <= float(self.score or 0.0) <= 1.0, f"wake score {self.score} is outside [0, 1]")


@dataclass(frozen=True, slots=True)
class Utterance:
    """One accepted utterance, without account or serial number, which are in the vault and nowhere else.

    Attributes:
        arrived_at: with a time zone.
        sample_rate: [Hz].
        num_samples: length of its audio [samples].
        attributes: further categories of the manifest row, by name.
    """

    utterance_id: str
    speaker_id: str
    arrived_at: datetime
    sample_rate: int
    num_samples: int
    locale: str
    device_type: str
    wake: Wake
    split: Split
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require(self.sample_rate > 0, f"utterance {self.utterance_id}: sample_rate must be above 0")
        _require(self.num_samples > 0, f"utterance {self.utterance_id}: num_samples must be above 0")
        _require(self.arrived_at.tzinfo is not None, f"utterance {self.utterance_id}: arrived_at needs a time zone")
        _one_of(self.split, Split, f"utterance {self.utterance_id}: split")

    @property
    def duration(self) -> float:
        """Return the length [s]."""
        return self.num_samples / self.sample_rate


@dataclass(frozen=True, slots=True)
class SlotSpan:
    """A slot: the characters `text[start:end]` of the text that it belongs to; `end` is exclusive."""

    name: str
    start: int
    end: int

    def __post_init__(self) -> None:
        _require(bool(self.name), "a slot needs a name")
        _require(0 <= self.start < self.end, f"slot {self.name}: span {self.start}:{self.end} is empty or negative")


def check_spans(text: str, slots: Sequence[SlotSpan], item: str) -> None:
    """Check that all spans are inside `text` and do not overlap.

    Raises:
        RecordError: a span ends after the text or overlaps another; the message names `item`, never the text.
    """
    end = 0
    for slot in sorted(slots, key=lambda s: s.start):
        _require(slot.end <= len(text), f"{item}: slot {slot.name} ends after the text")
        _require(slot.start >= end, f"{item}: slot {slot.name} overlaps another slot")
        end = slot.end


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One transcript of the speech model with its share of the posterior draws, its intent and its slots."""

    text: str
    weight: float
    intent: str = ""
    slots: tuple[SlotSpan, ...] = ()
