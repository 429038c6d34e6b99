"""Champions and bases of the home that can't be used: found, and replaced where nothing was learned yet.

Before bases were checked, a folder that does not load could become base and champion of a home, which nothing could
replace. Such a champion has learned from nobody, so another base takes its place; one that learned is for a person.
"""

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
from flows.models import registry
from flows.models.aliases import ChampionMoved
from flows.models.base_models import use_base
from flows.models.model_check import check_model
from flows.runtime.results import Result

if TYPE_CHECKING:
    from training.tracking.store import Tracking


@dataclass(frozen=True, slots=True)
class BlockedModel(Result):
    """A champion or base that can't be used.

    Attributes:
        kind, version: of the model.
        roles: `champion`, `base` or both.
        why: why it can't be used, in one sentence.
        repairable: whether another base can take its place: its files are there, and it learned from no label.
        instead: version of the base that would take its place; None for the one that comes with earmark.
    """

    kind: Kind
    version: str
    roles: tuple[str, ...]
    why: str
    repairable: bool
    instead: str | None = None

    @property
    def problem(self) -> str:
        """Return what is wrong, with the remedy."""
        name = f"{self.kind}/{self.version}"
        remedy = f"earmark rollback {self.kind}, or earmark promote {self.kind}/VERSION --force --why TEXT"
        if self.repairable:
            remedy = "earmark doctor --repair"
        elif "champion" not in self.roles:
            remedy = f"earmark base use embedded --kind {self.kind}, or another base"
        what = {"base": f"the base that {self.kind} learns from"}
        roles = " and ".join(what.get(role, role) for role in self.roles)
        return f"{name} is {roles} and can't be used: {self.why}; restore its files, or run {remedy}"

    @property
    def repair(self) -> str:
        """Return what a repair does about it."""
        other = f"{self.kind}/{self.instead}" if self.instead else "the base that comes with earmark"
        return f"{other} becomes {' and '.join(self.roles)} in place of {self.kind}/{self.version}, which can't be used"


def blocked_models(corpus: Corpus, home: Path) -> list[BlockedModel]:
    """Load the champion and the base of each kind; return those that can't be used."""
    return [each for kind in registry.KINDS for each in _of_kind(corpus, home, kind)]


def replace_blocked(corpus: Corpus, home: Path, tracking: Tracking) -> list[BlockedModel]:
    """Put another base in the place of each champion or base that can't be used and learned from nobody; return them.

    It is the newest other base of the home that loads, else the one that comes with earmark.
    """
    replaced = [each for each in blocked_models(corpus, home) if each.repairable]
    for each in replaced:
        _replace(corpus, home, tracking, each)
    return replaced


def _of_kind(corpus: Corpus, home: Path, kind: Kind) -> list[BlockedModel]:
    with corpus.read() as conn:
        known = {version.version: version for version in store.versions(conn, kind)}
        held = {"champion": store.alias(conn, kind, "champion"), "base": store.base_of_home(conn, kind)}
    found = []
    for number in dict.fromkeys(number for number in held.values() if number is not None):
        why, is_there = _why_not(home, known[number])
        if why:
            roles = tuple(role for role, version in held.items() if version == number)
            repairable = is_there and known[number].origin == "base"
            instead = _other_base(home, known, number) if repairable else None
            found.append(BlockedModel(kind, number, roles, why, repairable, instead))
    return found


def _why_not(home: Path, version: ModelVersion) -> tuple[str, bool]:
    """Return why a version can't be used, "" where it can, and whether its files can be had."""
    try:
        folder = registry.local_files(registry.located(home, version.model_uri))
    except EarmarkError as error:
        return str(error), False
    try:
        check_model(folder, version.kind)
    except EarmarkError as error:
        return str(error), True
    return "", True


def _other_base(home: Path, known: dict[str, ModelVersion], number: str) -> str | None:
    """Return the newest other base that can be used, None where there is none."""
    others = [each for each in known.values() if each.origin == "base" and each.version != number]
    for version in reversed(others):
        if not _why_not(home, version)[0]:
            return version.version
    return None


def _replace(corpus: Corpus, home: Path, tracking: Tracking, blocked: BlockedModel) -> None:
    kind, number = blocked.kind, blocked.instead
    if number is None:
        number = use_base(corpus, home, registry.BASES / kind, kind, tracking).version
    with corpus.operation(operation_ids.replace_blocked(kind), "promote") as op:
        for role in blocked.roles:
            before = store.alias(op.conn, kind, role)
            if before != number:
                store.move_alias(op.conn, kind, role, before, number)
        op.result = ChampionMoved(kind, number, blocked.version, "repair").to_json()
