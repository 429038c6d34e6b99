"""A home whose tasks were exported, with one intent in its inventory; the fixture `world` of the steps gives it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from annotation.assignment import PeopleSettings
from annotation.inventory import InventorySettings
from corpus import door
from corpus.handle import Corpus
from corpus.records.annotations import AnnotationTask, Label
from corpus.records.arrivals import SlotSpan
from tests.flows.small_round import World, round_of

DECK = SlotSpan("deck", 10, 14)
"""A slot of the transcript that `answer` gives, outside the inventory."""


@dataclass
class Asked(World):
    """A world whose tasks were exported; answered ones leave the task folder, and stay here."""

    first: list[AnnotationTask] = field(default_factory=list)


@contextmanager
def asked_world(home: Path) -> Iterator[Asked]:
    """Give the home with four tasks."""
    with round_of(home, 4, "inventory.intents={find_ship: asks for a ship}") as made:
        made.export()
        yield Asked(**vars(made), first=made.tasks())


def arguments(world: Asked) -> tuple[Corpus, Path, InventorySettings]:
    """Return the first arguments of whatever reads the inventory."""
    return world.corpus, world.settings.home, world.settings.inventory


def changing(world: Asked) -> tuple[Corpus, Path, InventorySettings, PeopleSettings]:
    """Return the first arguments of whatever changes the inventory."""
    return *arguments(world), world.settings.people


def label_of(world: Asked, index: int) -> Label | None:
    """Return the label of the utterance of a task."""
    (content,) = door.open(world.corpus, [world.first[index].utterance_id], "annotate", parts=("label",))
    return content.label
