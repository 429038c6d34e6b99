"""What the inventory holds, and where each name is from."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotation.inventory import InventorySettings, join_inventory
from corpus.handle import Corpus
from corpus.records.inventory import NAME_KINDS, Inventory, NameKind
from corpus.tables import annotations as annotations_table
from corpus.tables import inventory as inventory_table
from corpus.tables.inventory import StoredNames
from flows.models.inventory import champion_names
from flows.runtime.results import Result
from flows.runtime.yaml_text import dump_yaml


@dataclass(frozen=True, slots=True)
class NameRow(Result):
    """A name of the inventory.

    Attributes:
        kind: `intent` or `slot`.
        name: the name.
        sources: where it is from: `config`, `labels`, `added`, `adopted`, `champion`, `always`.
        labels: how many current labels have it; None for slots, whose names are encrypted in the labels.
        also: former names and mapped proposals that mean it.
        description, examples: what annotators see.
    """

    kind: NameKind
    name: str
    sources: tuple[str, ...]
    labels: int | None
    also: tuple[str, ...]
    description: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InventoryReport(Result):
    """The inventory.

    Attributes:
        names: every name, in the order in which annotators see them.
        proposing: how many utterances have an answer that named something outside the inventory of its time.
    """

    names: tuple[NameRow, ...]
    proposing: int


def list_inventory(corpus: Corpus, home: Path, settings: InventorySettings) -> InventoryReport:
    """Return the names in use, each with its sources and the number of its labels."""
    champion = champion_names(corpus, home)
    with corpus.read() as conn:
        stored, counts = inventory_table.stored_names(conn), inventory_table.labels_by_intent(conn)
        proposing = len(annotations_table.proposing(conn))
    inventory = join_inventory(settings, stored, champion)
    rows: list[NameRow] = []
    for kind in NAME_KINDS:
        names = inventory.of(kind)
        sources = _sources(kind, inventory, settings, stored[kind], champion[kind])
        also: dict[str | None, list[str]] = {}
        for old in sorted(stored[kind].mapped):
            also.setdefault(names.resolve(old), []).append(old)
        labels: Counter[str | None] = Counter()
        for given, count in counts.items() if kind == "intent" else ():
            labels[names.resolve(given)] += count
        for name in names.names:
            note = names.notes.get(name)
            rows.append(
                NameRow(
                    kind=kind,
                    name=name,
                    sources=tuple(sources.get(name, ("always",))),
                    labels=labels[name] if kind == "intent" else None,
                    also=tuple(also.get(name, ())),
                    description=note.description if note else "",
                    examples=note.examples if note else (),
                )
            )
    return InventoryReport(tuple(rows), proposing)


def _sources(
    kind: NameKind,
    inventory: Inventory,
    settings: InventorySettings,
    stored: StoredNames,
    champion: Sequence[str],
) -> dict[str, list[str]]:
    """Return the sources of each name in use."""
    given = [(name, "config") for name in settings.names(kind)]
    given += [(name, str(source)) for name, source in stored.sources.items()]
    given += [(name, "champion") for name in (champion if settings.champion else ())]
    found: dict[str, list[str]] = {}
    for name, source in given:
        known = inventory.of(kind).resolve(name)
        if known is not None and source not in found.setdefault(known, []):
            found[known].append(source)
    return found


def as_config(report: InventoryReport) -> dict[str, Any]:
    """Return the inventory as the branch `inventory` of a configuration file."""
    branches: dict[str, Any] = {"intents": {}, "slots": {}}
    for row in report.names:
        note: dict[str, Any] = {"description": row.description} if row.description else {}
        note |= {"examples": list(row.examples)} if row.examples else {}
        branches["intents" if row.kind == "intent" else "slots"][row.name] = note
    return {"inventory": branches}


def as_yaml(report: InventoryReport) -> str:
    """Return the branch `inventory` as YAML; former names, which no configuration has, are commands in its comments."""
    text = dump_yaml(as_config(report), width=100)
    commands = [
        f"#   earmark inventory merge {'--slot ' if row.kind == 'slot' else ''}{shlex.join(['--', old, row.name])}\n"
        for row in report.names
        for old in row.also
    ]
    return (
        text
        + ("# Former names; in another home these commands give them their meaning:\n" if commands else "")
        + ("".join(commands))
    )
