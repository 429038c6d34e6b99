"""Records of retrain and register: snapshots and model versions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpus.records.base import Kind, Origin, Role, _one_of, _require, digest


@dataclass(frozen=True, slots=True, order=True)
class SnapshotRow:
    """One label revision of a snapshot; `weight` is its weight in the loss (audit and dev rows: 0 or 1 for judging)."""

    utterance_id: str
    revision: int
    role: Role
    weight: float

    def __post_init__(self) -> None:
        _one_of(self.role, Role, f"snapshot row {self.utterance_id}: role")
        _require(np.isfinite(self.weight) and self.weight >= 0, f"snapshot row {self.utterance_id}: bad weight")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The labels that a model is trained and judged on, by id and revision; immutable, named by its own digest.

    Attributes:
        rows: sorted by utterance_id; the model is trained on train rows and judged on audit rows.
    """

    rows: tuple[SnapshotRow, ...]

    def __post_init__(self) -> None:
        ids = [row.utterance_id for row in self.rows]
        _require(len(set(ids)) == len(ids), "snapshot: an utterance appears twice")
        _require(ids == sorted(ids), "snapshot: rows are not sorted by utterance_id")

    @property
    def snapshot_id(self) -> str:
        """Return the SHA-256 of the sorted rows."""
        return digest([[r.utterance_id, r.revision, r.role, r.weight] for r in self.rows])

    @property
    def eval_set_id(self) -> str:
        """Return the SHA-256 of the audit rows alone; versions with the same id were judged on the same set."""
        return digest([[r.utterance_id, r.revision] for r in self.rows if r.role == "audit"])

    def of(self, role: Role) -> tuple[SnapshotRow, ...]:
        """Return the rows of one role."""
        return tuple(row for row in self.rows if row.role == role)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered model.

    Attributes:
        version: number as text, counted by kind from "1", which is the base.
        run_id: MLflow run that made it.
        snapshot_id: snapshot that it was trained on; "" for a base or an external model.
        base: digest of the base's weights; an external model is its own base.
        parent: version that was champion when this one was made; "" for a base.
        tainted: whether an utterance that it was trained on has been erased since.
        model_uri: folder of the model's files (safetensors and JSON).
    """

    kind: Kind
    version: str
    run_id: str
    snapshot_id: str
    base: str
    parent: str
    model_uri: str
    tainted: bool = False

    def __post_init__(self) -> None:
        _one_of(self.kind, Kind, "model version: kind")
        _require(self.version.isdigit() and int(self.version) >= 1, f"model version {self.version!r} is not a number")

    @property
    def origin(self) -> Origin:
        """Return whether it is a base, was trained here from labels, or is an external model."""
        if self.snapshot_id:
            return "learned"
        return "external" if self.parent else "base"
