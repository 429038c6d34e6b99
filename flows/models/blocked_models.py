"""Champions and bases of the home that can't be used: found, and replaced where nothing was learned yet.

A base whose files were damaged is restored where a copy of them is at hand: one that was added, the one that comes with
earmark, or the folder that the settings name. Before bases were checked, a folder that does not load could become base
and champion of a home, which nothing could replace. Such a champion has learned from nobody, so another base takes its
place; one that learned is for a person.
"""

from __future__ import annotations

from contextlib import suppress
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
from flows.models.base_models import restore_files, use_base
from flows.models.model_check import check_model
from flows.runtime.results import Result
from flows.runtime.settings import ModelSettings
from training.tracking.version_files import files_differ, folder_digest, local_path

if TYPE_CHECKING:
    from training.tracking.store import Tracking


@dataclass(frozen=True, slots=True)
class BlockedModel(Result):
    """A champion or base that can't be used.

    Attributes:
        kind, version: of the model.
        roles: `champion`, `base` or both.
        why: why it can't be used, in one sentence.
        repairable: whether its files can be restored, or another base can take its place: its files are there, and it
            learned from no label.
        instead: version of the base that would take its place; None for the one that comes with earmark.
        copy: name or folder of the base from which its files can be restored; no other one takes its place then.
        named: what the settings name as the base of the kind, where that is not the one that would take its place.
    """

    kind: Kind
    version: str
    roles: tuple[str, ...]
    why: str
    repairable: bool
    instead: str | None = None
    copy: str | None = None
    named: str | None = None

    @property
    def problem(self) -> str:
        """Return what is wrong, with the remedy."""
        name = f"{self.kind}/{self.version}"
        remedies = []
        if "champion" in self.roles:
            remedies.append(f"earmark rollback {self.kind}, or earmark promote {self.kind}/VERSION --force --why TEXT")
        if "base" in self.roles:
            remedies.append(f"earmark base use NAME with another base, such as embedded --kind {self.kind}")
        remedy = "earmark doctor --repair" if self.repairable else "; and ".join(remedies)
        what = {"base": f"the base that {self.kind} learns from"}
        roles = " and ".join(what.get(role, role) for role in self.roles)
        return f"{name} is {roles} and can't be used: {self.why}; restore its files, or run {remedy}"

    @property
    def repair(self) -> str:
        """Return what a repair does about it."""
        if self.copy:
            return f"the files of {self.kind}/{self.version} are restored from the base {self.copy}"
        other = f"{self.kind}/{self.instead}" if self.instead else "the base that comes with earmark"
        also = f"; set models.{self.kind} to null in the settings, where it is {self.named}" if self.named else ""
        return (
            f"{other} becomes {' and '.join(self.roles)} in place of {self.kind}/{self.version}, which can't be used"
            f"{also}"
        )


def blocked_models(corpus: Corpus, home: Path, models: ModelSettings) -> list[BlockedModel]:
    """Load the champion and the base of each kind; return those that can't be used."""
    return [each for kind in registry.KINDS for each in _of_kind(corpus, home, models, kind)]


def replace_blocked(corpus: Corpus, home: Path, models: ModelSettings, tracking: Tracking) -> list[BlockedModel]:
    """Restore each base whose files are damaged, or put another one in its place; return what was done.

    Another one takes the place of a champion or base that can't be used or restored and that learned from nobody: the
    newest other base of the home that loads, else the one that comes with earmark.
    """
    replaced = [each for each in blocked_models(corpus, home, models) if each.repairable]
    for each in replaced:
        if each.copy is None:
            _replace(corpus, home, tracking, each)
        else:
            _restore(corpus, home, models, each)
    return replaced


def _of_kind(corpus: Corpus, home: Path, models: ModelSettings, kind: Kind) -> list[BlockedModel]:
    with corpus.read() as conn:
        known = {version.version: version for version in store.versions(conn, kind)}
        held = {"champion": store.alias(conn, kind, "champion"), "base": store.base_of_home(conn, kind)}
    found = []
    for number in dict.fromkeys(number for number in held.values() if number is not None):
        why, is_there = _why_not(home, known[number])
        copy = _copy_of(home, models, known[number])
        if not why and copy is None:
            continue
        why = why or "its files are not what was registered"
        roles = tuple(role for role, version in held.items() if version == number)
        repairable = copy is not None or (is_there and known[number].origin == "base")
        if copy is not None or not repairable:
            found.append(BlockedModel(kind, number, roles, why, repairable, copy=copy and copy[0]))
            continue
        instead = _other_base(home, known, number)
        digest = known[instead].base if instead else folder_digest(registry.BASES / kind)
        named = getattr(models, kind) if "base" in roles and not _names(home, models, kind, digest) else None
        found.append(BlockedModel(kind, number, roles, why, repairable, instead, named=named))
    return found


def _copy_of(home: Path, models: ModelSettings, version: ModelVersion) -> tuple[str, Path] | None:
    """Return an intact copy of a base whose files on this machine are damaged or missing, with its name.

    None where they are as they were registered, or there is no copy.
    """
    place = local_path(registry.located(home, version.model_uri))
    if version.origin != "base" or place is None or not files_differ(place, version.base):
        return None
    added = [folder for folder in sorted(registry.added_bases(home).glob("*")) if registry.NAME.fullmatch(folder.name)]
    copies = [(registry.EMBEDDED, registry.BASES / version.kind), *((folder.name, folder) for folder in added)]
    with suppress(EarmarkError):
        named = registry.named_base(home, models, version.kind)
        copies += [] if named is None else [(str(getattr(models, version.kind)), named)]
    return next((each for each in copies if not files_differ(each[1], version.base)), None)


def _names(home: Path, models: ModelSettings, kind: Kind, digest: str) -> bool:
    """Return whether the settings name no base, or the one of a digest."""
    with suppress(EarmarkError):
        named = registry.named_base(home, models, kind)
        return named is None or not files_differ(named, digest)
    return False


def _why_not(home: Path, version: ModelVersion) -> tuple[str, bool]:
    """Return why a version can't be used, "" where it can, and whether its files can be had."""
    try:
        folder = registry.local_files(registry.located(home, version.model_uri))
    except EarmarkError as error:
        return _reason(error), False
    try:
        check_model(folder, version.kind)
    except EarmarkError as error:
        return _reason(error), True
    return "", True


def _reason(error: EarmarkError) -> str:
    """Return what is wrong, without a remedy, which depends on the role of the version."""
    return str(error).partition("; ")[0]


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


def _restore(corpus: Corpus, home: Path, models: ModelSettings, blocked: BlockedModel) -> None:
    with corpus.read() as conn:
        version = store.version(conn, blocked.kind, blocked.version)
    copy = _copy_of(home, models, version)
    if copy is not None:
        restore_files(copy[1], registry.located(home, version.model_uri), version.base)
