"""Promotion by hand: a person asks the gate about a version, or overrules it and says why.

Moving the alias is compare-and-set: whoever read a champion that another promotion has replaced since is refused.
"""

from __future__ import annotations

from typing import Any

from corpus import operation_ids
from corpus.errors import PromotionRefused, UsageError
from corpus.handle import Corpus
from corpus.records import Kind, ModelVersion
from corpus.store import judgements
from corpus.store import models as store
from corpus.store.people import holder
from flows import judge, models
from flows.promote import judge_and_promote, judged_beside
from flows.settings import Settings

MOST_WHY = 500
"""Characters of a reason; it stays on the audit chain for good."""


def promote_by_hand(
    corpus: Corpus, settings: Settings, reference: str, who: str, *, force: bool = False, why: str = ""
) -> dict[str, Any]:
    """Returns what came of asking for a version to be champion; `promoted` says whether it is.

    Without `force` the gate decides on the audit rows of today, which spends a look unless it decided on the same rows
    and the same champion before. With `force` the version is champion, and the reason is on the audit chain.

    Args:
        corpus: the handle.
        settings: of the gate.
        reference: kind and version, such as `asr/3`.
        who: the person who asks.
        force: whatever the gate says.
        why: the reason; it may not name a customer or quote one.

    Raises:
        UsageError: no such version, `force` without a reason, or a reason that is too long.
        PromotionRefused: the version learned from what was erased since, or the champion moved meanwhile.
    """
    kind, name = models.parse(reference)
    version, champion = models.by_name(corpus, kind, name), models.champion(corpus, kind)
    reason = _reason(why, force=force)
    if version.version == champion.version:
        return {"kind": kind, "champion": champion.version, "promoted": True, "already": True}
    if version.tainted:
        raise PromotionRefused(
            f"{kind} {version.version} learned from an utterance that was erased since; earmark retrain {kind} makes "
            "a version without it"
        )
    if force:
        return _moved(corpus, settings, version, champion.version, how="forced", why=reason, who=who)
    judged = _gate(corpus, settings, version, champion)
    if judged["decision"] != "promote":
        return {**judged, "kind": kind, "version": version.version, "promoted": False}
    if judged.pop("already", False):  # it was promoted once on these rows, and rolled back since
        _moved(corpus, settings, version, champion.version, how="gate", why=reason, who=who)
    return {**judged, "kind": kind, "version": version.version, "promoted": True}


def move_champion(
    corpus: Corpus, kind: Kind, expected: str, number: str, *, how: str, why: str, who: str
) -> dict[str, Any]:
    """Leaves the version champion and the one that was `previous`, in one transaction with its audit row.

    Raises:
        PromotionRefused: `expected` is not the champion any more.
    """
    with corpus.operation(operation_ids.promote_by_hand(kind), "promote", holder(who)) as op:
        store.move_alias(op.conn, kind, "champion", expected, number)
        store.move_alias(op.conn, kind, "previous", store.alias(op.conn, kind, "previous"), expected)
        op.result = {"kind": kind, "champion": number, "was": expected, "how": how, "why": why}
        return dict(op.result)


def _reason(why: str, *, force: bool) -> str:
    reason = " ".join(why.split())
    if force and not reason:
        raise UsageError("--force overrules the gate: say why with --why TEXT, which goes on the audit chain")
    if len(reason) > MOST_WHY:
        raise UsageError(f"--why has {len(reason)} characters, at most {MOST_WHY} are kept; shorten it")
    return reason


def _moved(
    corpus: Corpus, settings: Settings, version: ModelVersion, champion: str, *, how: str, why: str, who: str
) -> dict[str, Any]:
    """The alias has moved in the records and in MLflow, whose run says how."""
    from training.tracking.marks import mark_promoted
    from training.tracking.store import open_tracking

    moved = move_champion(corpus, version.kind, champion, version.version, how=how, why=why, who=who)
    tracking = open_tracking(settings.tracking, settings.home)
    judge.mirror_aliases(corpus, settings, tracking)
    mark_promoted(tracking, version.run_id, how)
    return {**moved, "promoted": True}


def _gate(corpus: Corpus, settings: Settings, version: ModelVersion, champion: ModelVersion) -> dict[str, Any]:
    """Returns the gate's decision on the version and this champion, on the audit rows of today."""
    kind, number = version.kind, version.version
    snapshot = judge.current_snapshot(corpus, settings, kind)
    with corpus.read() as conn:
        held = judgements.of_version(conn, kind, number)
    before = next((each for each in held if each.rows_id == snapshot.eval_set_id), None)
    listener = models.champion(corpus, "asr") if kind == "intent" else None
    now = judged_beside(listener, champion)
    against = "" if before is None or before.against == now else now
    return judge_and_promote(corpus, settings, kind, number, snapshot, against)
