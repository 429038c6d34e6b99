"""Judge and promote: let the gate decide on a version, and move the aliases accordingly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.models import ModelVersion, Snapshot
from corpus.storage import operation_ids
from corpus.storage.operations import result_of
from corpus.tables import judgements
from corpus.tables import models as store
from flows.models import registry
from flows.models.aliases import mirror_registry
from flows.models.champion_lead import lead_text
from flows.models.eval_set import AuditSet, audit_set
from flows.models.evaluation_store import evaluate_versions
from flows.models.judgement import Judgement
from flows.models.promotion_wait import promotion_wait
from flows.models.run_log import JudgedVersions, log_judgement
from flows.runtime import progress
from flows.runtime.settings_parts import HasHome, HasNight, HasPromotion, HasScore, HasTracking

if TYPE_CHECKING:
    from training.evaluation.gate import Decision
    from training.tracking.store import Tracking


class SettingsOfPromote(HasHome, HasPromotion, HasTracking, HasScore, HasNight, Protocol):
    """The settings that a judgement reads: the rule, and how versions are evaluated."""


TAINTED = (
    "it learned from an utterance that was erased or withdrawn since; the next retraining makes a version without it"
)


def judged_against(asr: ModelVersion | None, champion: ModelVersion) -> str:
    """Return what a judgement compares a version with: the champion and, for intents, the speech model of both."""
    return champion.version + (f"-{asr.version}" if asr else "")


def judge_and_promote(
    corpus: Corpus, settings: SettingsOfPromote, kind: Kind, number: str, snapshot: Snapshot, against: str = ""
) -> Judgement:
    """Let the gate decide on a version, once for each evaluation set, and move the aliases accordingly.

    Args:
        corpus: the handle.
        settings: the rule, and how versions are evaluated.
        kind: `asr` or `intent`.
        number: the challenger's version.
        snapshot: its audit rows are the evaluation set.
        against: see `judged_against`; "" unless the same rows judged the version against another champion before.

    Raises:
        PromotionRefused: while the gate decided, another run moved the champion or spent the same look.
    """
    operation_id = operation_ids.judge(kind, number, snapshot.eval_set_id, against)
    with corpus.read() as conn:
        stored = result_of(conn, operation_id)
        look = store.looks(conn, kind) + 1
    if stored is not None:
        return replace(Judgement.from_json(stored), already=True)
    from training.tracking.store import open_tracking

    champion = registry.champion(corpus, kind)
    if number == champion.version:
        return Judgement("champion", "it is the champion already", "", number)
    audit = audit_set(corpus, settings.promotion, kind, snapshot.of("audit"), window=settings.score.transcribe.window)
    tracking = open_tracking(settings.tracking, settings.home)
    decided = _decide(corpus, settings, tracking, audit, champion, number, look) if audit.labels else None
    decision = decided.decision if decided is not None else None
    indicative = decision is None or decision.decision == "indicative"
    waits = promotion_wait(corpus, settings.promotion, kind, snapshot).text if indicative else None
    with corpus.operation(operation_id, "judge") as op:
        if op.done:
            judgement = Judgement.from_json(op.result)
        else:
            tainted = store.version(op.conn, kind, number).tainted  # an erasure may have tainted it since
            if decision is not None and decision.decision != "indicative":  # an indicative decision spends no look
                stored_as = replace(decision, decision="refuse", reasons=(TAINTED,)) if tainted else decision
                of_rows = (champion.version, audit.eval_set_id, look, stored_as.decision, stored_as.as_json())
                store.put_promotion(op.conn, kind, number, *of_rows)
            promote = decision is not None and decision.promotes and not tainted
            _move(op.conn, kind, number, champion.version, promote=promote)
            judged_on = audit.eval_set_id if audit.labels else None
            compared = judged_against(audit.speech_model, champion)
            judgement = _judgement(decision, champion=number if promote else champion.version)
            lead = decided.lead if decided is not None else None
            judgement = replace(judgement, eval_set_id=judged_on, against=compared, waits=waits, lead=lead)
            if tainted:
                judgement = replace(judgement, decision="refuse", why=TAINTED, waits=None, lead=None)
            row = judgements.Judgement(snapshot.eval_set_id, compared, judgement.decision)
            judgements.put(op.conn, kind, number, row)
            op.result = judgement.to_json()
    mirror_registry(corpus, tracking)
    return judgement


@dataclass(frozen=True, slots=True)
class _Decided:
    """The gate's decision; `lead` as in `Judgement`."""

    decision: Decision
    lead: str | None


def _decide(
    corpus: Corpus,
    settings: SettingsOfPromote,
    tracking: Tracking,
    audit: AuditSet,
    champion: ModelVersion,
    number: str,
    look: int,
) -> _Decided:
    """Return the gate's decision on the version, and log it to the version's run."""
    from training.evaluation.gate import decide

    challenger, base = (registry.by_name(corpus, audit.kind, name) for name in (number, "base"))
    versions = [champion, challenger, base]
    by_version = evaluate_versions(corpus, settings.home, settings.score.transcribe, audit, versions)
    compared = by_version[champion.version], by_version[challenger.version]
    with progress.track(f"deciding on {audit.kind}/{number} and logging it to MLflow", None, "rows"):
        decision = decide(*compared, look, settings.promotion, audit.slices, audit.weights)
        judged = JudgedVersions(challenger, champion, base, by_version)
        log_judgement(corpus, settings.night, tracking, audit, judged, decision)
    return _Decided(decision, lead_text(*compared, settings.promotion, look, audit.weights))


def _judgement(decision: Decision | None, *, champion: str) -> Judgement:
    """Return the decision in words; `decision` is None where no row of the evaluation set is labelled."""
    from training.evaluation.gate_text import decision_text

    if decision is None:
        why = "no row that judges is labelled; merge answers to the audit share, then retrain again"
        return Judgement("indicative", why, "", champion)
    why, text = "; ".join(decision.reasons), decision_text(decision) + "\n"
    return Judgement(decision.decision, why, text, champion)


def _move(conn: sa.Connection, kind: Kind, number: str, champion: str, *, promote: bool) -> None:
    """Make the version the challenger and, where it is promoted, the champion; then the old champion is `previous`."""
    store.move_alias(conn, kind, "challenger", store.alias(conn, kind, "challenger"), number)
    if promote:
        store.move_alias(conn, kind, "previous", store.alias(conn, kind, "previous"), champion)
        store.move_alias(conn, kind, "champion", champion, number)
