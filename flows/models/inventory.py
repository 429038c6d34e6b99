"""The inventory of a home: what tasks offer, what answers may name and what models learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from annotation.inventory import InventorySettings, join_inventory
from corpus.handle import Corpus
from corpus.records.inventory import Inventory, NameKind
from corpus.tables import models
from corpus.tables.inventory import StoredNames, stored_names
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
        """Return the inventory as a transaction on the records sees it."""
        return self.joined(stored_names(conn))

    def joined(self, stored: Mapping[NameKind, StoredNames]) -> Inventory:
        """Return the inventory with the given stored names."""
        return join_inventory(self.settings, stored, self.champion)


def names_in_use(corpus: Corpus, home: Path, settings: InventorySettings) -> NamesInUse:
    """Return the configured names and those of the champion."""
    return NamesInUse(settings, champion_names(corpus, home))


def inventory_of(corpus: Corpus, home: Path, settings: InventorySettings) -> Inventory:
    """Return the names in use: of the configuration, of the labels in the corpus, and of the champion."""
    names = names_in_use(corpus, home, settings)
    with corpus.read() as conn:
        return names.at(conn)
