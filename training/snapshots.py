"""What a model learns from and is judged on: a snapshot of the labels that are current."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import RecordError
from corpus.records.base import Kind
from corpus.records.models import Snapshot, SnapshotRow


class LabelFacts(Protocol):
    """What a snapshot asks of a current label: numbers and ids, no content."""

    @property
    def utterance_id(self) -> str:
        """Whose label it is."""

    @property
    def revision(self) -> int:
        """Which revision is current."""

    @property
    def has_transcript(self) -> bool:
        """Whether it holds a transcript, "" for silence included."""

    @property
    def has_intent(self) -> bool:
        """Whether it holds an intent."""

    @property
    def agreement(self) -> float:
        """Between the annotators, in [0, 1]."""

    @property
    def reliability(self) -> float:
        """How far its annotators can be relied on, in [0, 1]."""

    @property
    def reason(self) -> str:
        """Why the utterance was chosen; `audit` and `held_out` rows judge."""

    @property
    def split(self) -> str:
        """`train`, `dev` or `test`, by the speaker."""


JUDGES: Final = ("audit", "held_out")
"""Reasons whose rows never train."""


class SnapshotSettings(BaseModel):
    """Which labels count, and how much.

    Attributes:
        min_agreement: a train label with less is left out, as annotators did not find the same.
        min_reliability: a train label of people who can be relied on less is left out.
        min_weight: weight of a label that is kept, at least; above it, the weight is agreement x reliability.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_agreement: float = Field(default=0.0, ge=0.0, le=1.0)
    min_reliability: float = Field(default=0.3, ge=0.0, le=1.0)
    min_weight: float = Field(default=0.25, gt=0.0, le=1.0)


def build_snapshot(
    rows: Iterable[LabelFacts],
    kind: Kind,
    settings: SnapshotSettings | None = None,
    judged_on: Literal["audit", "held_out"] = "audit",
) -> Snapshot:
    """Return the snapshot of the current labels that a model of `kind` can use.

    Audit and held-out rows never train, whatever their speaker's split; those of the reason `judged_on` judge, in the
    role `audit`, and the others stay out. Of the rest, those of train speakers are learned, weighted by agreement and
    reliability, and those of dev speakers watch over the learning; those of test speakers stay out, so that no speaker
    is in two of the three. A speech model needs a transcript, an intent model an intent. The same labels in any order
    give the same snapshot.

    Raises:
        RecordError: an utterance has two current labels.
    """
    settings = settings or SnapshotSettings()
    chosen: dict[str, SnapshotRow] = {}
    seen: set[str] = set()
    for row in rows:
        if row.utterance_id in seen:
            raise RecordError(f"utterance {row.utterance_id} has two current labels; run earmark doctor")
        seen.add(row.utterance_id)
        found = _row(row, kind, settings, judged_on)
        if found is not None:
            chosen[row.utterance_id] = found
    return Snapshot(rows=tuple(chosen[name] for name in sorted(chosen)))


def _row(row: LabelFacts, kind: Kind, settings: SnapshotSettings, judged_on: str) -> SnapshotRow | None:
    usable = row.has_transcript if kind == "asr" else row.has_intent
    if not usable:
        return None
    if row.reason in JUDGES:
        return SnapshotRow(row.utterance_id, row.revision, "audit", 1.0) if row.reason == judged_on else None
    if row.split == "dev":
        return SnapshotRow(row.utterance_id, row.revision, "dev", 1.0)
    sure = row.agreement >= settings.min_agreement and row.reliability >= settings.min_reliability
    if row.split == "train" and sure:
        weight = round(max(settings.min_weight, float(row.agreement) * float(row.reliability)), 6)
        return SnapshotRow(row.utterance_id, row.revision, "train", weight)
    return None
