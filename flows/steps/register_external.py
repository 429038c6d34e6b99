"""Register: add a model that was trained elsewhere as a version, and measure it on the evaluation set of all others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.evaluation import Interval
from corpus.records.models import ModelVersion
from corpus.storage import operation_ids
from corpus.tables import models as store
from flows.models import registry
from flows.models.aliases import mirror_registry
from flows.models.anchor_log import log_anchor
from flows.models.base_models import OnOther, ensure_champions
from flows.models.eval_set import audit_set
from flows.models.evaluation_store import MEASURE, evaluate_versions
from flows.models.model_check import check_model
from flows.models.run_log import log_version
from flows.models.slices import shown_slices
from flows.runtime import progress
from flows.runtime.results import Result
from flows.runtime.settings_parts import HasHome, HasModels, HasNight, HasPromotion, HasScore, HasTracking

if TYPE_CHECKING:
    from training.tracking.store import Tracking


class SettingsOfRegister(HasHome, HasModels, HasTracking, HasScore, HasPromotion, HasNight, Protocol):
    """The settings that a registration reads; the last three are for the measurement of the version."""


@dataclass(frozen=True, slots=True)
class RegisterReport(Result):
    """A version whose model was trained elsewhere.

    Attributes:
        kind, version: `asr` or `intent`, and the version's number.
        base: digest of its files.
        rate: its error rate on the evaluation set, with a 95 % interval; None where no row is labelled yet.
        measure: name of the error rate.
        eval_set_id: id of the evaluation set; None where no row is labelled yet.
        already: True where the same files were registered before.
    """

    kind: Kind
    version: str
    base: str
    rate: Interval | None
    measure: str
    eval_set_id: str | None = None
    already: bool | None = None


def register_external(
    corpus: Corpus, settings: SettingsOfRegister, folder: Path, kind: Kind, name: str = "", on_other: OnOther = "keep"
) -> RegisterReport:
    """Register the folder's model as a version, and measure it where the evaluation set has labelled rows.

    The model learned from no label of this corpus, so it has no snapshot and is its own base; no alias moves. The same
    files always give the same version. The files of a version that was trained here give that version, with its
    snapshot, by which an erasure finds it.

    Args:
        corpus: the handle.
        settings: of the registry and the measurement.
        folder: a model in the format of transformers, with weights in safetensors only.
        kind: `asr` or `intent`.
        name: name of its run; the folder's name where "".
        on_other: what to do where the settings name another base than the home's.

    Raises:
        UsageError: there is no such folder, or earmark can't load the model in it.
        Damaged: its weights are cut short or don't fit its configuration.
    """
    from training.tracking.store import open_tracking
    from training.tracking.version_files import folder_digest

    if not folder.is_dir():
        raise UsageError(f"model {folder}: no such folder; give one with config.json, model.safetensors and tokenizer")
    with progress.track("checking the model's files", None, "files"):
        check_model(folder, kind)
        digest = folder_digest(folder)
    ensure_champions(corpus, settings.home, settings.models, settings.tracking, on_other)
    tracking = open_tracking(settings.tracking, settings.home)
    existing = _find_version(corpus, tracking, kind, digest)
    if existing is not None:
        return replace(_measure(corpus, settings, tracking, existing), already=True)
    with progress.track(f"registering the model as a version of {kind}", None, "files"):
        version = _register(corpus, settings.home, tracking, folder, kind, digest, name or folder.resolve().name)
    mirror_registry(corpus, tracking)
    return _measure(corpus, settings, tracking, version)


def _find_version(corpus: Corpus, tracking: Tracking, kind: Kind, digest: str) -> ModelVersion | None:
    """Return the version with these files, preferring one that was trained here; None where there is none."""
    from training.tracking.registry import versions_with_digest

    with_files = set(versions_with_digest(tracking, kind, digest))
    with corpus.read() as conn:
        versions = store.versions(conn, kind)
    # `base` is the digest of a version's own files for bases and external models, which have no snapshot
    found = [each for each in versions if each.version in with_files or (not each.snapshot_id and each.base == digest)]
    return min(found, key=lambda version: not version.snapshot_id, default=None)


def _register(
    corpus: Corpus, home: Path, tracking: Tracking, folder: Path, kind: Kind, digest: str, name: str
) -> ModelVersion:
    """Register the files in MLflow and store the version; a repeat stores nothing twice."""
    from training.tracking import run_names
    from training.tracking.facts import RunFacts
    from training.tracking.registry import register
    from training.tracking.runs import rename_run, tracked_run

    operation_id = operation_ids.register_external(kind, digest)
    parent = registry.champion(corpus, kind).version
    facts = RunFacts(
        operation_id, run_names.external(kind, name), kind, base=digest, parent=parent, strategy="external"
    )
    with tracked_run(tracking, facts) as run_id:
        number, uri = register(tracking, kind, folder, run_id, operation_id, {"earmark.origin": "external"})
        rename_run(tracking, run_id, run_names.external(kind, name, number))
    with corpus.operation(operation_id, "register") as op:
        if not op.done:
            made = ModelVersion(kind, number, run_id, "", digest, parent, registry.portable(home, uri))
            store.put_version(op.conn, made)
            op.result = {"kind": kind, "version": number}
    return registry.by_name(corpus, kind, number)


def _measure(corpus: Corpus, settings: SettingsOfRegister, tracking: Tracking, version: ModelVersion) -> RegisterReport:
    """Return the version's error rate on the evaluation set, and log its metrics to its run."""
    from training.evaluation.intervals import IntervalSettings, report_interval

    audit = audit_set(corpus, settings.promotion, version.kind, window=settings.score.transcribe.window)
    registered = RegisterReport(version.kind, version.version, version.base, None, MEASURE[version.kind])
    if not audit.labels:
        return registered
    reports = evaluate_versions(corpus, settings.home, settings.score.transcribe, audit, [version])
    report = reports[version.version]
    log_anchor(corpus, tracking, audit, reports)
    log_version(corpus, tracking, version, report, audit, shown_slices(corpus, settings.night, audit, report))
    rate = report_interval(report, IntervalSettings(alpha=0.05), weights=audit.weights)
    return replace(registered, rate=rate, eval_set_id=audit.eval_set_id)
