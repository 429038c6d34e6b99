"""Evaluation sets: the labelled rows that judge the versions of a kind, and the snapshot that they are taken from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from corpus import door
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records.annotations import Label
from corpus.records.base import Kind, Strings, digest
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.tables import labels, utterances
from corpus.tables.inventory import meaning_digest
from flows.models import registry
from flows.models.label_reliability import reliable_labels
from flows.runtime import progress

if TYPE_CHECKING:
    from training.evaluation.gate import PromotionSettings
    from training.evaluation.intervals import Numbers
    from training.evaluation.number_forms import NumberForm
    from training.snapshots import LabelAccount


@dataclass(frozen=True, slots=True)
class AuditSet:
    """The N labelled rows that judge a kind of model, in the order of their ids.

    Attributes:
        kind: kind of the model.
        eval_set_id: digest of the rows; for the intent model also of the speech model whose transcripts it gets, and
            of what former names mean, and of the window of transcription, where there are any.
        labels: reference labels by utterance id.
        speaker_ids: speakers by utterance id.
        slices: (N,) str, value of each row, by dimension.
        weights: (N,) float64, 1 / inclusion probability, so that rates are estimates for the traffic and not for the
            rows that were drawn; held-out rows have weight 1.
        speech_model: the speech model whose transcripts the intent model gets; None for `asr`.
        marks: keyed digests of the reference texts by utterance id, see `EvaluationReport`; none for `intent`.
        numbers: form in which numbers are counted a second time; None for none.
    """

    kind: Kind
    eval_set_id: str
    labels: dict[str, Label]
    speaker_ids: dict[str, str]
    slices: dict[str, Strings]
    weights: Numbers
    speech_model: ModelVersion | None
    marks: Mapping[str, str] = field(default_factory=dict)
    numbers: NumberForm | None = None

    def locales(self) -> dict[str, str]:
        """Return the locale of each utterance, by id."""
        return dict(zip(sorted(self.labels), self.slices["locale"].tolist(), strict=True))


def audit_set(
    corpus: Corpus,
    gate: PromotionSettings,
    kind: Kind,
    rows: Sequence[SnapshotRow] | None = None,
    *,
    window: float | None = None,
) -> AuditSet:
    """Return the evaluation set of the given rows of a snapshot, or for None of all rows labelled so far.

    Args:
        corpus: the corpus.
        gate: which rows judge.
        kind: kind of the models that are judged.
        rows: rows of a snapshot.
        window: of transcription [s]; a model writes other transcripts in another one, so it is part of the set's id.
    """
    from training.evaluation.intervals import traffic_weights

    if rows is None:
        rows = judging_rows(corpus, gate, kind)
    speech_model = registry.champion(corpus, "asr") if kind == "intent" else None
    revisions = {row.utterance_id: row.revision for row in rows}
    reference: dict[str, Label] = {}
    opened = door.open(corpus, sorted(revisions), "judge", parts=("label",), strict=False, label_revisions=revisions)
    for content in progress.over(opened, "reading the labels of the evaluation set", len(revisions), "labels"):
        if content.label is not None:
            reference[content.utterance.utterance_id] = content.label
    ids = sorted(reference)
    with corpus.read() as conn:
        columns = utterances.pool_columns(conn, ids)
        drawn = labels.draws(conn, ids)
        # a name that means another since then is read otherwise in predictions, too, also where no label had it
        meant = list(filter(None, [meaning_digest(conn)]))
    windows = [] if window is None else [window]
    return AuditSet(
        kind=kind,
        eval_set_id=digest(
            [[[i, revisions[i]] for i in ids], speech_model.version if speech_model else "", *meant, *windows]
        ),
        labels=reference,
        speaker_ids=dict(zip(ids, columns.speaker_ids.tolist(), strict=True)),
        slices=_slices(columns),
        weights=traffic_weights([drawn[i].inclusion_prob for i in ids]),
        speech_model=speech_model,
        marks=labels.text_marks(corpus, reference.values()) if kind == "asr" else {},
        numbers=gate.numbers,
    )


def _slices(columns: utterances.PoolColumns) -> dict[str, Strings]:
    """Return the dimensions that slice rows; an attribute of a manifest does not take the place of a field."""
    fields = {"locale": columns.locales, "device": columns.device_types}
    return {**fields, **{name: values for name, values in columns.attributes.items() if name not in fields}}


def set_that_judges(corpus: Corpus, gate: PromotionSettings, kind: Kind, window: float | None) -> AuditSet:
    """Return the evaluation set of all rows labelled so far.

    Raises:
        UsageError: there are none; the message says which would judge.
    """
    audit = audit_set(corpus, gate, kind, window=window)
    if audit.labels:
        return audit
    if gate.judged_on == "held_out":
        raise UsageError("no held-out row is labelled yet; ingest labelled rows with `held_out`")
    held_out = len(judging_rows(corpus, gate.model_copy(update={"judged_on": "held_out"}), kind))
    beside = f", or judge by the {held_out} held-out rows: --set promotion.judged_on=held_out" if held_out else ""
    raise UsageError(f"no audit row is labelled yet; merge the answers to audit rows first{beside}")


def judging_rows(corpus: Corpus, gate: PromotionSettings, kind: Kind) -> tuple[SnapshotRow, ...]:
    """Return the rows of `current_snapshot` that judge, without reading the labels that are learned."""
    from corpus.vault import consent
    from training.snapshots import build_snapshot

    with corpus.read() as conn:
        rows = labels.judging(conn)
    allowed = consent.consenting(corpus.vault, [row.utterance_id for row in rows], "annotate").tolist()
    may_judge = [row for row, may in zip(rows, allowed, strict=True) if may]
    return build_snapshot(may_judge, kind, judged_on=gate.judged_on).of("audit")


def current_snapshot(corpus: Corpus, gate: PromotionSettings, kind: Kind) -> Snapshot:
    """Return the snapshot of all current labels that the kind can use and whose customers consent to the use."""
    return snapshot_and_account(corpus, gate, kind)[0]


def snapshot_and_account(corpus: Corpus, gate: PromotionSettings, kind: Kind) -> tuple[Snapshot, LabelAccount]:
    """Return the snapshot of all current labels, see `current_snapshot`, and where each of the labels is."""
    from corpus.tables import consent_use
    from training.snapshots import account_labels, build_snapshot

    with corpus.read() as conn:
        rows = reliable_labels(conn, labels.current(conn))
    allowed = {row.utterance_id for row in consent_use.usable(corpus, rows)}
    snapshot = build_snapshot((row for row in rows if row.utterance_id in allowed), kind, judged_on=gate.judged_on)
    return snapshot, account_labels(rows, kind, lambda row: row.utterance_id in allowed)
