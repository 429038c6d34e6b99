"""Promotion by hand: a person asks the gate about a version, or overrules it and says why.

Moving the alias is compare-and-set: whoever read a champion that another promotion has replaced since is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from corpus.errors import PromotionRefused, UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.models import ModelVersion
from corpus.tables import judgements
from flows.models import registry
from flows.models.aliases import ChampionMoved, mirror_aliases, move_champion
from flows.models.eval_set import current_snapshot
from flows.runtime.results import Result
from flows.runtime.settings import Settings
from flows.steps.promote import Judgement, asr_of_judgement, judge_and_promote

MOST_WHY = 500
"""Characters of a reason; it stays on the audit chain for good."""


@dataclass(frozen=True, slots=True)
class PromotionReport(Result):
    """What came of asking for a version to be champion.

    Attributes:
        kind: of the model.
        version: that was asked for.
        promoted: whether it is the champion now.
        judgement: what the gate said; None where it was not asked.
        moved: how the champion moved; None where a person did not move it.
    """

    kind: Kind
    version: str
    promoted: bool
    judgement: Judgement | None = None
    moved: ChampionMoved | None = None

    @property
    def already(self) -> bool:
        """Whether the version was the champion before anybody asked."""
        return self.judgement is None and self.moved is None

    def to_json(self) -> dict[str, Any]:
        """Return the document: the gate's judgement, or who moved the champion and why, with the outcome."""
        if self.judgement is not None:
            outcome = {"kind": self.kind, "version": self.version, "promoted": self.promoted}
            return {**self.judgement.to_json(), **outcome}
        if self.moved is not None:
            return {**self.moved.to_json(), "promoted": self.promoted}
        return {"kind": self.kind, "champion": self.version, "promoted": self.promoted, "already": True}


def promote_manually(
    corpus: Corpus, settings: Settings, reference: str, who: str, *, force: bool = False, why: str = ""
) -> PromotionReport:
    """Make a version the champion where the gate allows it, or a person overrules the gate.

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
    kind, name = registry.parse(reference)
    version, champion = registry.by_name(corpus, kind, name), registry.champion(corpus, kind)
    reason = _reason(why, force=force)
    if version.version == champion.version:
        return PromotionReport(kind, champion.version, True)
    if version.tainted:
        raise PromotionRefused(
            f"{kind} {version.version} learned from an utterance that was erased since; earmark retrain {kind} makes "
            "a version without it"
        )
    if force:
        moved = _moved(corpus, settings, version, champion.version, how="forced", why=reason, who=who)
        return PromotionReport(kind, version.version, True, moved=moved)
    judgement = _gate(corpus, settings, version, champion)
    if judgement.decision != "promote":
        return PromotionReport(kind, version.version, False, judgement)
    if judgement.already:  # it was promoted once on these rows, and rolled back since
        _moved(corpus, settings, version, champion.version, how="gate", why=reason, who=who)
    return PromotionReport(kind, version.version, True, replace(judgement, already=None))


def _reason(why: str, *, force: bool) -> str:
    reason = " ".join(why.split())
    if force and not reason:
        raise UsageError("--force overrules the gate: say why with --why TEXT, which goes on the audit chain")
    if len(reason) > MOST_WHY:
        raise UsageError(f"--why has {len(reason)} characters, at most {MOST_WHY} are kept; shorten it")
    return reason


def _moved(
    corpus: Corpus, settings: Settings, version: ModelVersion, champion: str, *, how: str, why: str, who: str
) -> ChampionMoved:
    """Move the alias in the records and in MLflow, whose run says how."""
    from training.tracking.runs import mark_promoted
    from training.tracking.store import open_tracking

    moved = move_champion(corpus, version.kind, champion, version.version, how=how, why=why, actor=who)
    tracking = open_tracking(settings.tracking, settings.home)
    mirror_aliases(corpus, settings, tracking)
    mark_promoted(tracking, version.run_id, how)
    return moved


def _gate(corpus: Corpus, settings: Settings, version: ModelVersion, champion: ModelVersion) -> Judgement:
    """Return the gate's decision on the version and this champion, on the audit rows of today."""
    kind, number = version.kind, version.version
    snapshot = current_snapshot(corpus, settings.promotion, kind)
    with corpus.read() as conn:
        held = judgements.of_version(conn, kind, number)
    before = next((each for each in held if each.rows_id == snapshot.eval_set_id), None)
    listener = registry.champion(corpus, "asr") if kind == "intent" else None
    now = asr_of_judgement(listener, champion)
    against = "" if before is None or before.against == now else now
    return judge_and_promote(corpus, settings, kind, number, snapshot, against)
