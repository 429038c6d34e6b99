"""Snapshots of the current labels: which of them train a model, which watch the training, and which judge it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
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

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    min_agreement: float = Field(default=0.0, ge=0.0, le=1.0)
    min_reliability: float = Field(default=0.3, ge=0.0, le=1.0)
    min_weight: float = Field(default=0.25, gt=0.0, le=1.0)


@dataclass(frozen=True, slots=True)
class LabelAccount:
    """Where the current labels of a corpus are, for one kind of model: each label is counted once.

    Attributes:
        train: learned.
        dev: of dev speakers, on which a training is checked.
        audit: of rows drawn for the audit share.
        held_out: of rows that were ingested for judging only. Of the two, those of `promotion.judged_on` judge.
        left_out: used for nothing, by reason.
    """

    train: int
    dev: int
    audit: int
    held_out: int
    left_out: Mapping[str, int]

    @property
    def labels(self) -> int:
        """Return the number of all labels."""
        return self.train + self.dev + self.audit + self.held_out + sum(self.left_out.values())

    def without(self, unlearned: Mapping[str, int]) -> LabelAccount:
        """Return the account after a training that could not learn some of the train labels, by reason."""
        left_out = Counter(self.left_out) + Counter(unlearned)
        return replace(self, train=self.train - sum(unlearned.values()), left_out=dict(sorted(left_out.items())))

    def as_counts(self) -> dict[str, int]:
        """Return all counts by name, such as `left_out.no_transcript`, and their sum as `all`."""
        counts = {name: getattr(self, name) for name in ("train", "dev", "audit", "held_out")}
        return {"all": self.labels, **counts, **{f"left_out.{name}": n for name, n in sorted(self.left_out.items())}}

    @classmethod
    def from_counts(cls, counts: Mapping[str, int]) -> LabelAccount:
        """Return the account that `as_counts` gave."""
        prefix = "left_out."
        left_out = {name.removeprefix(prefix): n for name, n in counts.items() if name.startswith(prefix)}
        train, dev, audit, held_out = (counts.get(name, 0) for name in ("train", "dev", "audit", "held_out"))
        return cls(train, dev, audit, held_out, left_out)


def account_labels(
    rows: Iterable[LabelFacts],
    kind: Kind,
    may_use: Callable[[LabelFacts], bool],
    settings: SnapshotSettings | None = None,
) -> LabelAccount:
    """Return where the current labels are for a kind of model, by the rules of `build_snapshot`.

    Args:
        rows: all current labels.
        kind: `asr` or `intent`.
        may_use: whether the customer consents to the use of a label; one that may not be used is left out.
        settings: the defaults where None.
    """
    counts: Counter[str] = Counter()
    for row in rows:
        place = row.reason if row.reason in JUDGES else row.split
        if not may_use(row):
            place = "no_consent"
        elif row.reason in JUDGES or row.split == "dev":
            place = _why_unusable(row, kind) or place
        else:
            place = _why_not_learned(row, kind, settings or SnapshotSettings()) or place
        counts[place] += 1
    used = {name: counts.pop(name, 0) for name in ("train", "dev", *JUDGES)}
    return LabelAccount(used["train"], used["dev"], used["audit"], used["held_out"], dict(sorted(counts.items())))


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


@dataclass(frozen=True, slots=True)
class LabelChanges:
    """How the training labels of a snapshot differ from those that a version learned.

    Attributes:
        new: labels that it did not learn.
        changed: labels that it learned in another revision.
        gone: labels that it learned and that train no more: withdrawn, erased, or left out.
    """

    new: int = 0
    changed: int = 0
    gone: int = 0

    @property
    def count(self) -> int:
        """Return how many labels differ."""
        return self.new + self.changed + self.gone

    def text(self) -> str:
        """Return the changes in words, such as `1 training label is new, 2 labels that it learned from are gone`."""
        parts = []
        if self.new or not self.count:
            parts.append(f"{self.new} training {'label is' if self.new == 1 else 'labels are'} new")
        if self.changed:
            parts.append(f"{self.changed} {_ones(self.changed)} {'was' if self.changed == 1 else 'were'} corrected")
        if self.gone:
            parts.append(f"{self.gone} {_ones(self.gone)} {'is' if self.gone == 1 else 'are'} gone")
        return ", ".join(parts)


def _ones(count: int) -> str:
    return "label that it learned from" if count == 1 else "labels that it learned from"


NO_CHANGES: Final = LabelChanges()


def label_changes(learned: Snapshot, now: Snapshot) -> LabelChanges:
    """Return how the training labels differ from those of the snapshot that a version learned."""
    before, after = ({row.utterance_id: row.revision for row in each.of("train")} for each in (learned, now))
    both = before.keys() & after.keys()
    return LabelChanges(
        new=len(after.keys() - before.keys()),
        changed=sum(before[i] != after[i] for i in both),
        gone=len(before.keys() - after.keys()),
    )


def _row(row: LabelFacts, kind: Kind, settings: SnapshotSettings, judged_on: str) -> SnapshotRow | None:
    if _why_unusable(row, kind):
        return None
    if row.reason in JUDGES:
        return SnapshotRow(row.utterance_id, row.revision, "audit", 1.0) if row.reason == judged_on else None
    if row.split == "dev":
        return SnapshotRow(row.utterance_id, row.revision, "dev", 1.0)
    if _why_not_learned(row, kind, settings):
        return None
    weight = round(max(settings.min_weight, float(row.agreement) * float(row.reliability)), 6)
    return SnapshotRow(row.utterance_id, row.revision, "train", weight)


def _why_unusable(row: LabelFacts, kind: Kind) -> str:
    """Return why a label says nothing to the kind of model; "" where it does."""
    if kind == "asr":
        return "" if row.has_transcript else "no_transcript"
    return "" if row.has_intent else "no_intent"


def _why_not_learned(row: LabelFacts, kind: Kind, settings: SnapshotSettings) -> str:
    """Return why a label that does not judge is not learned, apart from those of dev speakers; "" where it is."""
    if row.split != "train":
        return _why_unusable(row, kind) or f"{row.split}_speaker"
    if row.agreement < settings.min_agreement:
        return _why_unusable(row, kind) or "low_agreement"
    return _why_unusable(row, kind) or ("low_reliability" if row.reliability < settings.min_reliability else "")
