"""The inventory of a home: what tasks offer, what answers may name and what models learn."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from annotation.inventory import InventorySettings, join_inventory
from corpus.handle import Corpus
from corpus.records.inventory import Inventory, NameKind
from corpus.tables import models
from corpus.tables.inventory import stored_names
from flows.models import registry


def champion_names(corpus: Corpus, home: Path) -> dict[NameKind, tuple[str, ...]]:
    """Return the names that the champion of the intent models can predict; none before the first version."""
    with corpus.read() as conn:
        if models.alias(conn, "intent", "champion") is None:
            return {"intent": (), "slot": ()}
    names = registry.inventory(home, registry.champion(corpus, "intent"))
    return {"intent": names.intents, "slot": names.slot_names}


def inventory_of(corpus: Corpus, home: Path, settings: InventorySettings) -> Inventory:
    """Return the names in use: of the configuration, of the labels in the corpus, and of the champion."""
    with corpus.read() as conn:
        return inventory_at(conn, settings, champion_names(corpus, home))


def inventory_at(
    conn: sa.Connection, settings: InventorySettings, champion: dict[NameKind, tuple[str, ...]]
) -> Inventory:
    """Return the names in use as a transaction sees them.

    Args:
        conn: a connection on the records.
        settings: configured names.
        champion: see `champion_names`.
    """
    return join_inventory(settings, stored_names(conn), champion)
