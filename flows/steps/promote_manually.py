"""Promote manually: a person asks for a version to be champion; the gate decides, or the person overrules it.

The alias moves by compare-and-set: the promotion is refused where another one has replaced the champion meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from corpus.errors import PromotionRefused, UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.models import ModelVersion
from corpus.tables import judgements
from flows.models import registry
from flows.models.aliases import ChampionMoved, mirror_registry, move_champion
from flows.models.eval_set import current_snapshot
from flows.models.judgement import Judgement
from flows.models.promotion_wait import promotion_wait
from flows.runtime import progress
from flows.runtime.results import Result
from flows.steps.promote import SettingsOfPromote, judge_and_promote, judged_against

if TYPE_CHECKING:
    from training.tracking.store import Tracking

MOST_WHY = 500
"""Most characters of a reason, which stays on the audit chain for ever."""


@dataclass(frozen=True, slots=True)
class PromotionReport(Result):
    """What came of asking for a version to be champion.

    Attributes:
        kind: `asr` or `intent`.
        version: the version that was asked for.
        promoted: whether it is the champion now.
        judgement: the gate's decision; None where the gate was not asked.
        moved: how the champion moved; None where no person moved it.
    """

    kind: Kind
    version: str
    promoted: bool
    judgement: Judgement | None = None
    moved: ChampionMoved | None = None

    @property
    def already(self) -> bool:
        """Return whether the version was the champion already."""
        return self.judgement is None and self.moved is None

    def to_json(self) -> dict[str, Any]:
        """Return the document: the gate's judgement, or which person moved the champion and why, with the outcome."""
        if self.judgement is not None:
            outcome = {"kind": self.kind, "version": self.version, "promoted": self.promoted}
            return {**self.judgement.to_json(), **outcome}
        if self.moved is not None:
            return {**self.moved.to_json(), "promoted": self.promoted}
        return {"kind": self.kind, "champion": self.version, "promoted": self.promoted, "already": True}


def promote_manually(
    corpus: Corpus, settings: SettingsOfPromote, reference: str, actor: str, *, force: bool = False, why: str = ""
) -> PromotionReport:
    """Make a version the champion where the gate allows it, or where a person overrules the gate.

    Without `force` the gate decides on today's audit rows, which spends a look unless it decided on the same rows and
    the same champion before. With `force` the version becomes champion, and the reason goes on the audit chain.

    Args:
        corpus: the handle.
        settings: the rule, and how versions are evaluated.
        reference: kind and version, such as `asr/3`.
        actor: the person who asks.
        force: whether to promote without asking the gate.
        why: the reason; it may not name a customer or quote one.

    Raises:
        UsageError: there is no such version, `force` has no reason, or the reason is too long.
        PromotionRefused: the version learned from an utterance that was erased or withdrawn since, or the champion
            moved meanwhile.
    """
    from training.tracking.store import open_tracking

    kind, name = registry.parse(reference)
    version, champion = registry.by_name(corpus, kind, name), registry.champion(corpus, kind)
    reason = _reason(why, force=force)
    if version.version == champion.version:
        return PromotionReport(kind, champion.version, True)
    if version.tainted:
        raise PromotionRefused(
            f"{kind} {version.version} learned from an utterance that was erased or withdrawn since; "
            f"earmark retrain {kind} makes "
            "a version without it"
        )
    tracking = open_tracking(settings.tracking, settings.home)
    if force:
        moved = _moved(corpus, tracking, version, champion.version, how="forced", why=reason, actor=actor)
        return PromotionReport(kind, version.version, True, moved=moved)
    judgement = _gate(corpus, settings, version, champion)
    if judgement.decision != "promote":
        return PromotionReport(kind, version.version, False, judgement)
    if judgement.already:  # it was promoted on these rows before, and rolled back since
        _moved(corpus, tracking, version, champion.version, how="gate", why=reason, actor=actor)
    return PromotionReport(kind, version.version, True, replace(judgement, already=None))


def _reason(why: str, *, force: bool) -> str:
    reason = " ".join(why.split())
    if force and not reason:
        raise UsageError("--force overrules the gate: give the reason with --why TEXT, which goes on the audit chain")
    if len(reason) > MOST_WHY:
        raise UsageError(f"--why has {len(reason)} characters, at most {MOST_WHY} are kept; shorten it")
    return reason


def _moved(
    corpus: Corpus, tracking: Tracking, version: ModelVersion, champion: str, *, how: str, why: str, actor: str
) -> ChampionMoved:
    """Move the champion in the records and in MLflow, and mark the version's run with how it was promoted."""
    from training.tracking.runs import mark_promoted

    moved = move_champion(corpus, version.kind, champion, version.version, how=how, why=why, actor=actor)
    mirror_registry(corpus, tracking)
    mark_promoted(tracking, version.run_id, how)
    return moved


def _gate(corpus: Corpus, settings: SettingsOfPromote, version: ModelVersion, champion: ModelVersion) -> Judgement:
    """Return the gate's decision on the version against this champion, on today's audit rows.

    Where these are too few to decide, a note says so first, as judging takes long.
    """
    kind, number = version.kind, version.version
    snapshot = current_snapshot(corpus, settings.promotion, kind)
    wait = promotion_wait(corpus, settings.promotion, kind, snapshot)
    if wait.nights != 0:
        progress.note(
            f"{kind}/{number} can't be promoted yet, what follows is only indicative: {wait.text}; merge more answers "
            f"first, or overrule the gate: earmark promote {kind}/{number} --force --why TEXT"
        )
    with corpus.read() as conn:
        stored = judgements.of_version(conn, kind, number)
    before = next((each for each in stored if each.rows_id == snapshot.eval_set_id), None)
    asr = registry.champion(corpus, "asr") if kind == "intent" else None
    now = judged_against(asr, champion)
    against = "" if before is None or before.against == now else now
    return judge_and_promote(corpus, settings, kind, number, snapshot, against)
