"""Judge: versions on the same audit rows, what the gate decides, and where the aliases point."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from corpus import door
from corpus.errors import PromotionRefused
from corpus.handle import Corpus
from corpus.operations import results_of
from corpus.records import EvaluationReport, Interval, Kind, Label, ModelVersion, Snapshot, SnapshotRow, Strings, digest
from corpus.store import labels, utterances
from corpus.store import models as store
from corpus.text import NORMALISER
from flows import models
from flows.evaluation import evaluate
from flows.review import relied
from flows.settings import Settings

if TYPE_CHECKING:
    from training.tracking.store import Tracking

MEASURE = {"asr": "WER", "intent": "intent error"}


@dataclass(frozen=True, slots=True)
class AuditSet:
    """The audit rows that judge a kind, in the order of their ids.

    Attributes:
        eval_set_id: digest of the rows; for the intent model also of the speech model that it listens through.
        labels: reference by utterance id.
        speaker_ids: by utterance id.
        slices: by dimension, (N,) str.
        weights: (N,) float64, 1 / inclusion probability, so that rates are those of the traffic and not of the rows
            that were drawn; held-out rows count once.
        listener: version of the speech model that the intent model listens through; None for `asr`.
    """

    kind: Kind
    eval_set_id: str
    labels: dict[str, Label]
    speaker_ids: dict[str, str]
    slices: dict[str, Strings]
    weights: npt.NDArray[np.float64]
    listener: ModelVersion | None


def audit_set(corpus: Corpus, settings: Settings, kind: Kind, rows: Sequence[SnapshotRow] | None = None) -> AuditSet:
    """Returns the evaluation set of the given rows that judge, or of all that are labelled by now."""
    if rows is None:
        rows = current_snapshot(corpus, settings, kind).of("audit")
    listener = models.champion(corpus, "asr") if kind == "intent" else None
    revisions = {row.utterance_id: row.revision for row in rows}
    held: dict[str, Label] = {}
    opened = door.open(corpus, sorted(revisions), "judge", parts=("label",), strict=False, label_revisions=revisions)
    for content in opened:
        if content.label is not None:
            held[content.utterance.utterance_id] = content.label
    ids = sorted(held)
    with corpus.read() as conn:
        columns = utterances.pool_columns(conn, ids)
        drawn = {row.utterance_id: row.inclusion_prob for row in labels.current(conn, ids)}
    return AuditSet(
        kind=kind,
        eval_set_id=digest([[[i, revisions[i]] for i in ids], listener.version if listener else ""]),
        labels=held,
        speaker_ids=dict(zip(ids, columns.speaker_ids.tolist(), strict=True)),
        slices={"locale": columns.locales, "device": columns.device_types, **columns.attributes},
        weights=np.array([1.0 / drawn.get(i, 1.0) for i in ids]),
        listener=listener,
    )


def current_snapshot(corpus: Corpus, settings: Settings, kind: Kind) -> Snapshot:
    """Returns the snapshot of all labels that the kind can use and whose customers allow the use."""
    from corpus import vault
    from training.snapshots import build_snapshot

    with corpus.read() as conn:
        rows = relied(conn, labels.current(conn))
    ids = [row.utterance_id for row in rows]
    train = vault.consenting(corpus.vault, ids, "train").tolist()
    judge = vault.consenting(corpus.vault, ids, "annotate").tolist()
    allowed = [row for row, t, j in zip(rows, train, judge, strict=True) if (j if row.judges else t)]
    return build_snapshot(allowed, kind, judged_on=settings.promotion.judged_on)


def reports(
    corpus: Corpus, settings: Settings, audit: AuditSet, versions: Sequence[ModelVersion], beside: str | None = None
) -> dict[str, EvaluationReport]:
    """Returns each version's report on the audit set; what was judged before is not computed again.

    Unless it was judged under another normal form of texts, or by an earmark that counted less.

    Args:
        corpus: the handle.
        settings: how clips are heard.
        audit: the rows that judge.
        versions: of the kind.
        beside: intent champion, where what a speech model leads to in the end has to be that model's; None for any.
    """
    found: dict[str, EvaluationReport] = {}
    for version in versions:
        prefix = _judged(audit.kind, version.version, audit.eval_set_id)
        with corpus.read() as conn:
            held = stored(conn, audit.kind, version.version, audit.eval_set_id)
            before = len(results_of(conn, prefix))
        if held is not None and beside in (None, held.beside):
            found[version.version] = held
            continue
        report, took = evaluate(corpus, settings, audit, version)
        found[version.version] = report
        operation_id = f"{prefix}{report.beside}" + (f"/{before}" if before else "")  # again, as the report is gone
        with corpus.operation(operation_id, "evaluate") as op:
            if not op.done:
                store.put_report(op.conn, report)
                op.result = took
    return found


def stored(conn: sa.Connection, kind: Kind, version: str, eval_set_id: str) -> EvaluationReport | None:
    """Returns a stored report, None where there is none or texts had another normal form then: those never meet."""
    report = store.report(conn, kind, version, eval_set_id)
    return report if report is not None and report.normaliser == NORMALISER else None


def judging_cost(corpus: Corpus, kind: Kind, version: str, eval_set_id: str) -> dict[str, Any]:
    """Returns what judging took: seconds, and as `speed` real-time factor and latency; empty where not measured."""
    with corpus.read() as conn:
        return next(reversed(results_of(conn, _judged(kind, version, eval_set_id)).values()), {})


def _judged(kind: Kind, version: str, eval_set_id: str) -> str:
    return f"evaluate/{kind}/{version}/{eval_set_id}/{NORMALISER}/"


def standing(corpus: Corpus, settings: Settings, kind: Kind) -> dict[str, Any]:
    """Returns champion and base on all labelled rows that judge, and their paired difference, with 95 % intervals."""
    from training.intervals import IntervalSettings, paired_difference, report_interval

    champion, base = models.champion(corpus, kind), models.by_name(corpus, kind, "base")
    audit = audit_set(corpus, settings, kind)
    name = "wer" if kind == "asr" else "accuracy"
    if not audit.labels:
        empty = {"value": None, "low": None, "high": None, "n": 0, "speakers": 0}
        return {"champion": champion.version, name: empty, f"base_{name}": empty, "difference": empty}
    found = reports(corpus, settings, audit, [champion, base])
    interval = IntervalSettings(alpha=0.05)
    mine, theirs = (report_interval(found[v.version], interval, weights=audit.weights) for v in (champion, base))
    difference = paired_difference(found[base.version], found[champion.version], interval, weights=audit.weights)
    if kind == "intent":
        mine, theirs, difference = _accuracy(mine), _accuracy(theirs), _turned(difference)
    return {
        "champion": champion.version,
        name: mine.as_json(),
        f"base_{name}": theirs.as_json(),
        "difference": difference.as_json(),
        "eval_set_id": audit.eval_set_id,
    }


def by_speaker(corpus: Corpus, settings: Settings, kind: Kind) -> dict[str, Any]:
    """Returns the newest version on all rows that judge: the rate of all with its interval, and each speaker's."""
    from training.intervals import IntervalSettings, report_interval, report_rate

    with corpus.read() as conn:
        newest = store.versions(conn, kind)[-1]
    audit = audit_set(corpus, settings, kind)
    report = reports(corpus, settings, audit, [newest])[newest.version]
    rate = report_interval(report, IntervalSettings(alpha=0.05), weights=audit.weights)
    speakers = {}
    for speaker_id in np.unique(report.speaker_ids).tolist():
        mine = report.speaker_ids == speaker_id
        share = report_rate(report, rows=mine, weights=audit.weights)
        speakers[speaker_id] = {"value": share if kind == "asr" else 1 - share, "n": int(mine.sum())}
    whole = rate if kind == "asr" else _accuracy(rate)
    return {"version": newest.version, "all": whole.as_json(), "speakers": speakers}


def _accuracy(error: Interval) -> Interval:
    return Interval(1 - error.value, 1 - error.high, 1 - error.low, error.n, error.speakers)


def _turned(difference: Interval) -> Interval:
    value, low, high = (0.0 - each for each in (difference.value, difference.high, difference.low))  # 0, never -0
    return Interval(value, low, high, difference.n, difference.speakers)


# --- aliases ----------------------------------------------------------------------------------------------------------


def mirror_aliases(corpus: Corpus, settings: Settings, tracking: Tracking | None = None) -> None:
    """MLflow's aliases are those of the records."""
    from training.tracking.aliases import set_aliases
    from training.tracking.store import open_tracking

    tracking = tracking or open_tracking(settings.tracking, settings.home)
    for kind in ("asr", "intent"):
        with corpus.read() as conn:
            held = {name: store.alias(conn, kind, name) for name in ("champion", "challenger", "previous")}
        set_aliases(tracking, kind, held)


def roll_back(corpus: Corpus, settings: Settings, kind: Kind) -> dict[str, Any]:
    """The previous champion is the champion again, and the one that was is `previous`.

    Raises:
        PromotionRefused: there is no previous champion.
    """
    with corpus.read() as conn:
        champion, previous = store.alias(conn, kind, "champion"), store.alias(conn, kind, "previous")
    if champion is None or previous is None:
        raise PromotionRefused(f"{kind} has no previous champion to go back to")
    with corpus.read() as conn:
        if store.version(conn, kind, previous).tainted:
            raise PromotionRefused(
                f"{kind} {previous} learned from an utterance that was erased since; it can't be used"
            )
    with corpus.operation(f"rollback/{kind}/{uuid.uuid4().hex}", "rollback") as op:
        if not op.done:
            store.move_alias(op.conn, kind, "champion", champion, previous)
            store.move_alias(op.conn, kind, "previous", previous, champion)
            op.result = {"kind": kind, "champion": previous, "was": champion}
        result = dict(op.result)
    mirror_aliases(corpus, settings)
    return result
