"""The bases that there are: of the catalogue, and those that were added to the home."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from corpus.errors import Damaged, NoHome, RecordError, SettingsError, UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.tables import models as store
from flows.models import registry
from flows.models.base_catalog import CatalogueEntry, catalogue
from flows.models.model_check import kind_of
from flows.runtime.results import Result
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from training.loop.base_facts import FILE, BaseFacts, family_of, read_facts
from training.loop.model_files import check_model_folder
from training.tracking.version_files import files_differ, folder_digest, local_path


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
        rest = {"version": self.version, "note": self.note, "damaged": self.damaged}
        return document | {name: value for name, value in rest.items() if value}


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
    found = tuple(each for each in every if name == each.facts.name or (name == each.facts.source and "/" in name))
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
        remedy = f"earmark base add FOLDER --name {folder.name} with the folder that it was made of"
        if facts is not None:
            damage = _damage(folder, facts)
            note = f"{damage}; {remedy} restores it" if damage else ""
            yield ListedBase(facts.model_copy(update={"name": folder.name}), added=True, note=note, damaged=bool(note))
            continue
        known = BaseFacts(name=folder.name, kind=_likely_kind(folder), source="unknown", family=family_of(folder))
        yield ListedBase(known, added=True, note=f"{wrong}; {remedy} writes it anew", damaged=True)


def _damage(folder: Path, facts: BaseFacts) -> str:
    """Return what is wrong with the files of a base, "" where they are those that were added."""
    try:
        check_model_folder(folder)
    except SettingsError as error:
        return str(error).partition(": ")[2].partition(";")[0]
    return "its files are not those that were added" if facts.files and files_differ(folder, facts.files) else ""


def _likely_kind(folder: Path) -> Kind:
    """Return the kind of a model whose facts are lost: by its configuration, else by what only speech models have."""
    has_features = any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json"))
    return "asr" if not family_of(folder) and has_features else kind_of(folder)


def _facts(entry: CatalogueEntry) -> BaseFacts:
    """Return what the catalogue says about a base."""
    known = entry.model_dump(exclude={"hub_id", "note", "digest"})  # the facts of one that is in a home have its own
    return BaseFacts(source=entry.hub_id or registry.EMBEDDED, **known)


def _listed(corpus: Corpus, home: Path, base: ListedBase) -> ListedBase:
    """Return a base with its version in the home, if it is registered; a damaged one has the kind of its version."""
    is_embedded = base.facts.name == registry.EMBEDDED
    folder = registry.BASES / base.facts.kind if is_embedded else registry.added_bases(home) / base.facts.name
    if base.damaged and base.facts.source == "unknown" and (kind := _registered_kind(corpus, home, base.facts.name)):
        base = replace(base, facts=base.facts.model_copy(update={"kind": kind}))
    kind = base.facts.kind
    try:
        digest = base.facts.files or folder_digest(folder)
    except (RecordError, OSError):
        note = f"its files can't be read; earmark base remove {base.facts.name}, or restore {folder}"
        return replace(base, note=note, damaged=True)
    with corpus.read() as conn:
        versions = [each.version for each in store.versions(conn, kind) if each.base == digest]
        in_use = store.base_of_home(conn, kind)
    version = next((each for each in versions if each == in_use), versions[0] if versions else None)
    return replace(base, version=version, in_use=version is not None and version == in_use)


def _registered_kind(corpus: Corpus, home: Path, name: str) -> Kind | None:
    """Return the kind of the version whose own files say that it was added by a name, None where there is none."""
    for kind in registry.KINDS:
        with corpus.read() as conn:
            bases = [each for each in store.versions(conn, kind) if each.origin == "base"]
        for version in bases:
            place = local_path(registry.located(home, version.model_uri))
            with suppress(Damaged):
                facts = None if place is None else read_facts(place)
                if facts is not None and facts.name == name:
                    return kind
    return None
