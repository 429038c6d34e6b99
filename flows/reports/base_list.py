"""The bases that there are: of the catalogue, and those that were added to the home."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from corpus.errors import Damaged, NoHome, RecordError, UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.tables import models as store
from flows.models import registry
from flows.models.base_catalog import CatalogueEntry, catalogue
from flows.models.bring_base import kind_of
from flows.runtime.results import Result
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from training.loop.base_facts import FILE, BaseFacts, family_of, read_facts
from training.tracking.version_files import folder_digest


@dataclass(frozen=True, slots=True)
class ListedBase(Result):
    """A base that can be used, or added.

    Attributes:
        facts: what is known about it.
        added: whether it is in the home, or comes with earmark.
        version: its version in the home; None where it is not registered.
        in_use: whether the home learns from it.
        note: one sentence more.
        damaged: whether its files or the facts on it can't be read; the note says which.
    """

    facts: BaseFacts
    added: bool
    version: str | None = None
    in_use: bool = False
    note: str = ""
    damaged: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the document: the facts and where the base stands."""
        document = self.facts.model_dump(mode="json") | {"in_home": self.added, "in_use": self.in_use}
        return (
            document | ({"version": self.version} if self.version else {}) | ({"note": self.note} if self.note else {})
        )


def bases_of(settings: Settings) -> tuple[ListedBase, ...]:
    """Return all bases, speech first, those that are in the home before those of the catalogue.

    There may be no home yet.
    """
    home = settings.home
    added = list(_added(home))
    names = {(each.facts.kind, each.facts.name) for each in added}
    embedded = [_facts(each) for each in catalogue() if each.hub_id is None]
    others = [_facts(each) for each in catalogue() if each.hub_id is not None and (each.kind, each.name) not in names]
    notes = {(each.kind, each.name): each.note for each in catalogue() if each.hub_id is None}
    found = [ListedBase(each, added=True, note=notes.get((each.kind, each.name), "")) for each in embedded] + added
    with suppress(NoHome), opened(settings, create=False) as corpus:
        found = [_listed(corpus, home, each) for each in found]
    found += [ListedBase(each, added=False) for each in others]
    return tuple(sorted(found, key=lambda each: (each.facts.kind, not each.added)))


def base_named(settings: Settings, name: str) -> tuple[ListedBase, ...]:
    """Return the bases of a name; `embedded` is one of each kind.

    Raises:
        UsageError: there is none.
    """
    every = bases_of(settings)
    found = tuple(each for each in every if name in (each.facts.name, each.facts.source))
    if not found:
        raise UsageError(f"there is no base {name}; there are {', '.join(sorted({each.facts.name for each in every}))}")
    return found


def _added(home: Path) -> Iterator[ListedBase]:
    """Yield the bases in the home; one whose facts can't be read is known by its folder alone."""
    for folder in sorted(registry.added_bases(home).glob("*")):
        if not registry.NAME.fullmatch(folder.name) or not folder.is_dir():
            continue  # a draft of a killed addition
        try:
            facts = read_facts(folder)
            wrong = "" if facts else f"there is no {FILE} in its folder"
        except Damaged:
            facts, wrong = None, f"its {FILE} can't be read"
        if facts is not None:
            yield ListedBase(facts.model_copy(update={"name": folder.name}), added=True)
            continue
        known = BaseFacts(name=folder.name, kind=kind_of(folder), source="unknown", family=family_of(folder))
        remedy = f"earmark base add FOLDER --name {folder.name} with the folder that it was made of writes it anew"
        yield ListedBase(known, added=True, note=f"{wrong}; {remedy}", damaged=True)


def _facts(entry: CatalogueEntry) -> BaseFacts:
    """Return what the catalogue says about a base."""
    known = entry.model_dump(exclude={"hub_id", "note"})
    return BaseFacts(source=entry.hub_id or registry.EMBEDDED, **known)


def _listed(corpus: Corpus, home: Path, base: ListedBase) -> ListedBase:
    """Return a base with its version in the home, if it is registered."""
    kind: Kind = base.facts.kind
    is_embedded = base.facts.source == registry.EMBEDDED
    folder = registry.BASES / kind if is_embedded else registry.added_bases(home) / base.facts.name
    try:
        digest = folder_digest(folder)
    except (RecordError, OSError):
        return replace(base, note=f"its files can't be read; remove {folder}, or restore it", damaged=True)
    with corpus.read() as conn:
        versions = [each.version for each in store.versions(conn, kind) if each.base == digest]
        in_use = store.base_of_home(conn, kind)
    version = next((each for each in versions if each == in_use), versions[0] if versions else None)
    return replace(base, version=version, in_use=version is not None and version == in_use)
