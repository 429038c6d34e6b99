"""Registration of base models: a kind without a champion gets its base as the first one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.models import ModelVersion
from corpus.storage import operation_ids
from corpus.tables import models as store
from flows.models import registry
from flows.models.aliases import mirror_registry
from flows.runtime import progress
from flows.runtime.settings import ModelSettings

if TYPE_CHECKING:
    from training.tracking.store import Tracking, TrackingSettings


def ensure_champions(corpus: Corpus, home: Path, models: ModelSettings, tracking_settings: TrackingSettings) -> None:
    """Register the base of each kind, as champion where there is none, and set what MLflow shows of the versions."""
    from training.tracking.store import open_tracking
    from training.tracking.views import save_views

    tracking = open_tracking(tracking_settings, home)
    for kind in registry.KINDS:
        _register_base(corpus, home, registry.base_folder(models, kind), kind, tracking)
    mirror_registry(corpus, tracking)
    save_views(tracking)


def _register_base(corpus: Corpus, home: Path, folder: Path, kind: Kind, tracking: Tracking) -> None:
    """Register the base in the folder as a version, if it is new; make it the champion where there is none."""
    from training.tracking import run_names
    from training.tracking.facts import RunFacts
    from training.tracking.registry import register
    from training.tracking.runs import rename_run, tracked_run
    from training.tracking.version_files import folder_digest

    base = folder_digest(folder)
    with corpus.read() as conn:
        if any(each.origin == "base" and each.base == base for each in store.versions(conn, kind)):
            return
    operation_id = operation_ids.register_base(kind, base)
    facts = RunFacts(operation_id, run_names.base(kind), kind, base=base, labels=0)
    with progress.track(f"registering the base of {kind}", None, "files"), tracked_run(tracking, facts) as run_id:
        number, uri = register(tracking, kind, folder, run_id, operation_id)
        rename_run(tracking, run_id, run_names.base(kind, number))
    with corpus.operation(operation_id, "register") as op:
        if not op.done:
            store.put_version(op.conn, ModelVersion(kind, number, run_id, "", base, "", registry.portable(home, uri)))
            if store.alias(op.conn, kind, "champion") is None:
                store.move_alias(op.conn, kind, "champion", None, number)
            op.result = {"kind": kind, "version": number}
