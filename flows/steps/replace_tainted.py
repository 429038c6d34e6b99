"""Replace tainted champions: a champion that learned from an erased utterance gives way before anything is scored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from corpus.errors import EarmarkError
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.models import ModelVersion
from corpus.storage import operation_ids
from corpus.tables import models as store
from flows.models.aliases import ChampionMoved, mirror_registry
from flows.models.tainted import RULE, TaintedChampion, find_tainted, successor
from flows.runtime.results import Result, Skipped
from flows.runtime.settings import ErasureSettings
from flows.steps.destroy_weights import destroy_weights

if TYPE_CHECKING:
    from training.tracking.store import TrackingSettings


@dataclass(frozen=True, slots=True)
class TaintedReport(Result):
    """What became of the tainted champions.

    Attributes:
        replaced: those that gave way, by kind: which, for which version, and by which rule, in one sentence.
        waits: those that may stay for a while yet, and those that nothing can replace, by kind, in one sentence.
        destroyed: versions whose weights were destroyed, as they gave way.
        not_done: why weights could not be destroyed; the next night tries again. None where they were.
    """

    replaced: dict[Kind, str]
    waits: dict[Kind, str]
    destroyed: tuple[str, ...] = ()
    not_done: str | None = None


def replace_tainted(
    corpus: Corpus, home: Path, erasure: ErasureSettings, tracking: TrackingSettings
) -> TaintedReport | Skipped:
    """Give the alias of each tainted champion whose time is over to the version that follows by `tainted.RULE`.

    It is done before a retraining is judged, which therefore has to be better than what may serve, and before anything
    is scored.

    Args:
        corpus: the handle.
        home: EARMARK_HOME.
        erasure: how long a tainted champion may stay.
        tracking: where MLflow's registry is, which gets the same aliases.
    """
    with corpus.read() as conn:
        found = find_tainted(conn, erasure, corpus.clock())
    if not found:
        return Skipped("no champion learned from an erased utterance")
    replaced: dict[Kind, str] = {}
    waits: dict[Kind, str] = {}
    for each in found:
        name = f"{each.kind}/{each.version} learned from an utterance that was erased or withdrawn since"
        following = None if each.until is not None else successor(corpus, home, each.kind)
        if each.until is not None:
            waits[each.kind] = f"{name} and stays champion until {each.until:%Y-%m-%d %H:%M} UTC at most: {RULE}"
        elif following is None:
            waits[each.kind] = f"{name}, and no other version can be used; earmark base add and use another base"
        else:
            replaced[each.kind] = _move(corpus, each, following, name)
    if replaced:
        from training.tracking.store import open_tracking

        mirror_registry(corpus, open_tracking(tracking, home))
        try:
            return TaintedReport(replaced, waits, destroy_weights(corpus, home, tracking))
        except EarmarkError as error:
            return TaintedReport(replaced, waits, not_done=str(error))
    return TaintedReport(replaced, waits)


def _move(corpus: Corpus, champion: TaintedChampion, following: ModelVersion, name: str) -> str:
    kind, number = champion.kind, following.version
    is_base = ", a base," if following.origin == "base" else ""
    why = f"{name} and gave way to {kind}/{number}{is_base} by the rule: {RULE}"
    with corpus.operation(operation_ids.replace_tainted(kind), "promote") as op:
        store.move_alias(op.conn, kind, "champion", champion.version, number)
        store.move_alias(op.conn, kind, "previous", store.alias(op.conn, kind, "previous"), champion.version)
        op.result = ChampionMoved(kind, number, champion.version, "erased", why).to_json()
    return why
