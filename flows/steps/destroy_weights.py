"""Destroy the weights of tainted versions everywhere, once they do not serve; their counts stay in lineage.

Which are due follows from the records alone, so what is killed, or does not answer, is done the next time. What the
records do not name is left alone: it may be somebody's model, or what a restored home of before has no rows of. A
training that was killed after it registered is repeated with the files that it left, and is tainted then where what it
learned from is gone.
"""

from __future__ import annotations

from pathlib import Path

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.storage import operation_ids, work_folder
from corpus.tables import models as store
from flows.models import registry
from flows.models.aliases import mirror_versions
from flows.models.registry import KINDS
from training.tracking.store import Tracking, TrackingSettings


def destroy_weights(corpus: Corpus, home: Path, settings: TrackingSettings) -> tuple[str, ...]:
    """Destroy the weights of the tainted versions that do not serve; return `kind/version` of each.

    Args:
        corpus: the handle.
        home: EARMARK_HOME.
        settings: where MLflow's store is.
    """
    from training.tracking.store import open_tracking

    with corpus.read() as conn:
        due = store.to_destroy(conn)
    if not due:
        return ()
    tracking = open_tracking(settings, home)
    for kind, number in due:
        _destroy(corpus, home, tracking, kind, number)
    registry.forget_loaded()
    work_folder.clear(home)
    mirror_versions(corpus, tracking)
    return tuple(f"{kind}/{number}" for kind, number in due)


def _destroy(corpus: Corpus, home: Path, tracking: Tracking, kind: Kind, number: str) -> None:
    from training.tracking.weights import destroy_files

    with corpus.read() as conn:
        version = store.version(conn, kind, number)
    kept = _kept(corpus, home)
    destroy_files(tracking, version.run_id, registry.located(home, version.model_uri), kept)
    with corpus.operation(operation_ids.destroy_weights(kind, number), "destroy weights") as op:
        if not op.done:
            store.put_destroyed(op.conn, kind, number, corpus.clock())
            op.result = {"kind": kind, "version": number}


def _kept(corpus: Corpus, home: Path) -> list[str]:
    """Return where the files of all versions are that stay: those that are not tainted, and those that serve."""
    with corpus.read() as conn:
        due = set(store.to_destroy(conn))
        versions = [each for kind in KINDS for each in store.versions(conn, kind)]
    return [registry.located(home, each.model_uri) for each in versions if (each.kind, each.version) not in due]
