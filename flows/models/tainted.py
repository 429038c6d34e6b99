"""Tainted champions, which learned from what was erased or withdrawn since: which they are, and what replaces them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from corpus.errors import EarmarkError
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.models import ModelVersion
from corpus.tables import judgements
from corpus.tables import models as store
from corpus.tables.manual_promotions import manual_promotions
from flows.models import registry
from flows.models.model_check import check_model
from flows.models.registry import KINDS
from flows.runtime.settings import ErasureSettings

RULE: Final = (
    "the newest judged version that did not learn from what was erased or withdrawn and that the gate did not refuse, "
    "at last the base, is "
    "champion until a version that was retrained without it passes the gate"
)
"""What becomes of a tainted champion, in one sentence."""


@dataclass(frozen=True, slots=True)
class TaintedChampion:
    """A champion that learned from an utterance that was erased or withdrawn since.

    Attributes:
        kind, version: of the champion.
        until: until when it may stay champion; None where that time is over.
    """

    kind: Kind
    version: str
    until: datetime | None


def find_tainted(conn: sa.Connection, settings: ErasureSettings, now: datetime) -> list[TaintedChampion]:
    """Return the tainted champions, each with the time until which it may stay."""
    found = []
    for kind in KINDS:
        champion = store.alias(conn, kind, "champion")
        if champion is None or not store.version(conn, kind, champion).tainted:
            continue
        since = store.tainted_since(conn, kind, champion)  # None where an older version of earmark erased: long ago
        until = None if since is None else since + timedelta(days=settings.grace)
        found.append(TaintedChampion(kind, champion, until if until is not None and until > now else None))
    return found


def successor(corpus: Corpus, home: Path, kind: Kind) -> ModelVersion | None:
    """Return the version that takes the place of a tainted champion by `RULE`; None where no version can be used.

    A version counts only once it was judged: one that was not may be of a training that was killed. A version from
    elsewhere counts only where the gate has promoted it. Files that do not load are passed over.
    """
    with corpus.read() as conn:
        versions = [each for each in reversed(store.versions(conn, kind)) if not each.tainted]
        decided = {each.version: judgements.of_version(conn, kind, each.version) for each in versions}
        base = store.base_of_home(conn, kind)
    learned = [each for each in versions if each.origin != "base" and _may_follow(each, decided[each.version])]
    bases = sorted((each for each in versions if each.origin == "base"), key=lambda each: each.version != base)
    return next((each for each in (*learned, *bases) if _loads(home, each)), None)


def _may_follow(version: ModelVersion, decided: list[judgements.Judgement]) -> bool:
    if version.origin == "external":
        return any(each.decision == "promote" for each in decided)
    return bool(decided) and decided[-1].decision != "refuse"


def _loads(home: Path, version: ModelVersion) -> bool:
    try:
        check_model(registry.local_files(registry.located(home, version.model_uri)), version.kind)
    except EarmarkError:
        return False
    return True


def tainted_champions(conn: sa.Connection, settings: ErasureSettings, now: datetime) -> list[str]:
    """Return one line for each tainted champion, with what replaces it when, and the commands that do it at once."""
    problems = []
    for each in find_tainted(conn, settings, now):
        previous = store.alias(conn, each.kind, "previous")
        clean = {version.version for version in store.versions(conn, each.kind) if not version.tainted}
        base = min(clean, key=int, default="1")
        back = f"rollback {each.kind}" if previous in clean else f"promote {each.kind}/{base} --force --why TEXT"
        when = "" if each.until is None else f" from {each.until:%Y-%m-%d %H:%M} UTC on"
        problems.append(
            f"{each.kind}/{each.version} is champion and learned from an utterance that was erased or withdrawn since;"
            " run earmark"
            f" {back}, then earmark retrain {each.kind} for a version without it, or wait for the next earmark nightly"
            f"{when}: {RULE}"
        )
    return problems


def gave_way(conn: sa.Connection) -> dict[Kind, str]:
    """Return, by kind, why today's champion is it, where it took the place of a tainted one."""
    last = {each.kind: each for each in manual_promotions(conn)}
    champions = {kind: store.alias(conn, kind, "champion") for kind in KINDS}
    return {kind: each.why for kind, each in last.items() if each.how == "erased" and champions[kind] == each.version}
