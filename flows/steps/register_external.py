"""Register: a model that was made elsewhere becomes a version, judged on the rows that judge all others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from corpus.errors import EarmarkError, UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.evaluation import Interval
from corpus.records.models import ModelVersion
from corpus.storage import operation_ids
from corpus.tables import models as store
from flows.models import registry
from flows.models.base_models import ensure_champions
from flows.models.eval_set import audit_set
from flows.models.evaluation_store import MEASURE, evaluate_versions
from flows.runtime.results import Result
from flows.runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class RegisterReport(Result):
    """A version whose model was made elsewhere.

    Attributes:
        kind, version: what it is.
        base: digest of its files.
        rate: its error rate on the rows that judge, with a 95 % interval; None where none is labelled yet.
        measure: what the rate measures.
        eval_set_id: the rows; None where none is labelled yet.
        already: True where the same files were registered before.
    """

    kind: Kind
    version: str
    base: str
    rate: Interval | None
    measure: str
    eval_set_id: str | None = None
    already: bool | None = None


def register_external(corpus: Corpus, settings: Settings, folder: Path, kind: Kind, name: str = "") -> RegisterReport:
    """Register the folder's model as a version and judge it, where any row judges by now.

    It learned from no label here, so it has no snapshot and is its own base; no alias moves. The same files are the
    same version, however often they are registered: those of a version that learned here are that version, with the
    snapshot by which an erasure finds it.

    Args:
        corpus: the handle.
        settings: of the home.
        folder: in transformers' format, safetensors alone.
        kind: of the model.
        name: shown with its run; the folder's own name where "".

    Raises:
        UsageError: there is no such folder, or earmark can't load what lies in it.
        Damaged: its weights are cut short or don't fit its configuration.
    """
    from training.tracking.version_files import folder_digest

    if not folder.is_dir():
        raise UsageError(f"model {folder}: no such folder; give one with config.json, model.safetensors and tokenizer")
    _check(folder, kind)
    digest = folder_digest(folder)
    ensure_champions(corpus, settings)
    known = _known(corpus, settings, kind, digest)
    if known is not None:
        return replace(_judged(corpus, settings, known), already=True)
    version = _registered(corpus, settings, folder, kind, digest, name or folder.resolve().name)
    return _judged(corpus, settings, version)


def _known(corpus: Corpus, settings: Settings, kind: Kind, digest: str) -> ModelVersion | None:
    """Return the version with these files, None where there is none; one that learned here comes before all others."""
    from training.tracking.registry import holding
    from training.tracking.store import open_tracking

    held = set(holding(open_tracking(settings.tracking, settings.home), kind, digest))
    with corpus.read() as conn:
        versions = store.versions(conn, kind)
    # a base and a model from outside name the digest of their own files, and one that learned here that of its base
    found = [each for each in versions if each.version in held or (not each.snapshot_id and each.base == digest)]
    return min(found, key=lambda version: not version.snapshot_id, default=None)


def _check(folder: Path, kind: Kind) -> None:
    """Pass where the model loads and can say something of silence or of a sentence."""
    try:
        with _without_warnings():
            said = _transcribes(folder) if kind == "asr" else _predicts_intents(folder)
    except EarmarkError:
        raise
    except Exception as error:  # of whatever a model of another kind lacks
        raise UsageError(f"model {folder} is none that earmark can use as {kind} ({type(error).__name__})") from None
    if not said:
        raise UsageError(f"model {folder}: its numbers are not finite; repair its weights")


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep transformers from warning about models that don't fit, until the block ends: the error is one line."""
    import corpus.audio.torchaudio_guard  # noqa: F401  (has to come before transformers)

    # isort: split
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _transcribes(folder: Path) -> bool:
    from corpus.audio.resample import RATE
    from training.asr.loading import load_asr
    from training.asr.transcribe import TranscribeSettings, transcribe

    asr = load_asr(folder)
    if asr.sample_rate != RATE:
        raise UsageError(f"model {folder}: it hears {asr.sample_rate} Hz, and clips here have {RATE} Hz")
    return not transcribe(asr, [("silence", np.zeros(RATE, np.float32))], TranscribeSettings(draws=1))[0].problem


def _predicts_intents(folder: Path) -> bool:
    from training.intent.model import classify, load_intent

    return bool(np.isfinite(classify(load_intent(folder), ["turn on the light"]).logits).all())


def _registered(corpus: Corpus, settings: Settings, folder: Path, kind: Kind, digest: str, name: str) -> ModelVersion:
    from training.tracking.facts import RunFacts
    from training.tracking.registry import register
    from training.tracking.runs import tracked_run
    from training.tracking.store import open_tracking

    operation_id = operation_ids.register_external(kind, digest)
    parent = registry.champion(corpus, kind).version
    tracking = open_tracking(settings.tracking, settings.home)
    facts = RunFacts(operation_id, name, kind, base=digest, parent=parent, strategy="outside")
    with tracked_run(tracking, facts) as run_id:
        number, uri = register(tracking, kind, folder, run_id, operation_id, {"earmark.origin": "outside"})
    with corpus.operation(operation_id, "register") as op:
        if not op.done:
            made = ModelVersion(kind, number, run_id, "", digest, parent, registry.portable(settings.home, uri))
            store.put_version(op.conn, made)
            op.result = {"kind": kind, "version": number}
    return registry.by_name(corpus, kind, number)


def _judged(corpus: Corpus, settings: Settings, version: ModelVersion) -> RegisterReport:
    """Return how the version does on the rows that judge, and log that to its run."""
    from training.evaluation.intervals import IntervalSettings, report_interval
    from training.evaluation.metrics import finite, metrics
    from training.tracking import runs
    from training.tracking.store import open_tracking

    audit = audit_set(corpus, settings.promotion, version.kind)
    registered = RegisterReport(version.kind, version.version, version.base, None, MEASURE[version.kind])
    if not audit.labels:
        return registered
    report = evaluate_versions(corpus, settings, audit, [version])[version.version]
    tracking = open_tracking(settings.tracking, settings.home)
    runs.log_metrics(tracking, version.run_id, finite(metrics(report, audit.slices, weights=audit.weights)))
    runs.log_evaluation_set(tracking, version.run_id, audit.eval_set_id)
    rate = report_interval(report, IntervalSettings(alpha=0.05), weights=audit.weights)
    return replace(registered, rate=rate, eval_set_id=audit.eval_set_id)
