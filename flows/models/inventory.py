"""The inventory of a home: what tasks offer, what answers may name and what models learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa

from annotation.inventory import InventorySettings, join_inventory
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.names import name_key
from corpus.records.inventory import NAME_KINDS, Inventory, NameKind, fold_collisions
from corpus.tables import models
from corpus.tables.inventory import StoredNames, folds_case, stored_names
from flows.models import registry


def champion_names(corpus: Corpus, home: Path) -> dict[NameKind, tuple[str, ...]]:
    """Return the names that the champion of the intent models can predict; none before the first version."""
    with corpus.read() as conn:
        if models.alias(conn, "intent", "champion") is None:
            return {"intent": (), "slot": ()}
    names = registry.inventory(home, registry.champion(corpus, "intent"))
    return {"intent": names.intents, "slot": names.slot_names}


@dataclass(frozen=True, slots=True)
class NamesInUse:
    """What an inventory is joined from, beside the names that the records store.

    Attributes:
        settings: configured names.
        champion: names that the champion can predict, by kind.
    """

    settings: InventorySettings
    champion: Mapping[NameKind, Sequence[str]]

    def at(self, conn: sa.Connection) -> Inventory:
        """Return the inventory as a transaction on the records sees it.

        Raises:
            UsageError: case does not count any more, and names can't be compared without it.
        """
        stored = stored_names(conn)
        if not folds_case(conn):
            self.check_case(stored)
        return self.joined(stored)

    def joined(self, stored: Mapping[NameKind, StoredNames]) -> Inventory:
        """Return the inventory with the given stored names."""
        return join_inventory(self.settings, stored, self.champion)

    def by_case(self, fold_case: bool) -> NamesInUse:
        """Return the same with names that compare with or without regard to case."""
        return replace(self, settings=self.settings.model_copy(update={"fold_case": fold_case}))

    def spelled_like(self, stored: StoredNames, kind: NameKind, name: str) -> list[str]:
        """Return all given spellings of a name, sorted."""
        given = {*self.settings.names(kind), *stored.sources, *self.champion[kind]}
        key = name_key(name, self.settings.fold_case)
        return sorted(each for each in given if name_key(each, self.settings.fold_case) == key)

    def check_case(self, stored: Mapping[NameKind, StoredNames]) -> None:
        """Check that no former name is another spelling of a name with another meaning, where case does not count.

        Raises:
            UsageError: one is; the message names the first.
        """
        names = self.by_case(False).joined(stored)
        for kind in NAME_KINDS if self.settings.fold_case else ():
            for name, other in fold_collisions(names.of(kind)):
                means, slot = names.of(kind).resolve(name), " --slot" if kind == "slot" else ""
                raise UsageError(
                    f"inventory.fold_case: without case, {kind} {name}, a former name of {means}, is also {other}; "
                    f"run earmark inventory unmap{slot} {name}, or set inventory.fold_case to false"
                )


def names_in_use(corpus: Corpus, home: Path, settings: InventorySettings) -> NamesInUse:
    """Return the configured names and those of the champion."""
    return NamesInUse(settings, champion_names(corpus, home))


def inventory_of(corpus: Corpus, home: Path, settings: InventorySettings) -> Inventory:
    """Return the names in use: of the configuration, of the labels in the corpus, and of the champion."""
    names = names_in_use(corpus, home, settings)
    with corpus.read() as conn:
        return names.at(conn)
