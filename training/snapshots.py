"""Snapshots of the current labels: which of them train a model, which watch the training, and which judge it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import RecordError
from corpus.records.base import Kind
from corpus.records.models import Snapshot, SnapshotRow


class LabelFacts(Protocol):
    """The facts on a current label that a snapshot needs: numbers and ids, no content."""

    @property
    def utterance_id(self) -> str:
        """Return the id of the labelled utterance."""

    @property
    def revision(self) -> int:
        """Return the number of the current revision."""

    @property
    def has_transcript(self) -> bool:
        """Return whether the label has a transcript; "" for silence counts as one."""

    @property
    def has_intent(self) -> bool:
        """Return whether the label has an intent."""

    @property
    def agreement(self) -> float:
        """Return the agreement between the annotators, in [0, 1]."""

    @property
    def reliability(self) -> float:
        """Return the reliability of the annotators, in [0, 1]."""

    @property
    def reason(self) -> str:
        """Return the reason why the utterance was chosen; `audit` and `held_out` rows judge."""

    @property
    def split(self) -> str:
        """Return the split of the speaker: `train`, `dev` or `test`."""


JUDGES: Final = ("audit", "held_out")
"""Reasons of rows that judge and never train."""


class SnapshotSettings(BaseModel):
    """Which labels are learned, and with which weight.

    Attributes:
        min_agreement: train labels with a lower agreement between annotators are left out.
        min_reliability: train labels with a lower reliability of the annotators are left out.
        min_weight: lowest weight of a label; above it, the weight is agreement x reliability.
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

    Audit and held-out rows never train, whatever the split of their speaker. Those whose reason is `judged_on` judge,
    in the role `audit`; the others are left out. Of all other rows, those of train speakers are learned, weighted by
    agreement and reliability; those of dev speakers are for early stopping; those of test speakers are left out. So no
    speaker is in two of the splits. A speech model needs a transcript, an intent model an intent. The order of the
    labels does not change the snapshot.

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
