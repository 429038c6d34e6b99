"""The inventory: intents and slots of the configuration, of the corpus and of the champion together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from corpus.names import clean_name
from corpus.records.annotations import NameNote
from corpus.records.base import OTHER_INTENT
from corpus.records.inventory import Inventory, NameKind, Names, names_of
from corpus.tables.inventory import StoredNames

_OTHER_NOTE: Final = NameNote("something else than the other intents")


class NameSettings(BaseModel):
    """What annotators see beside the name of an intent or a slot.

    Attributes:
        description: One sentence on what the name means.
        examples: Sentences that have the intent, or values of the slot.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    description: str = Field(default="", max_length=500)
    examples: tuple[str, ...] = Field(default=(), max_length=20)


class InventorySettings(BaseModel):
    """The intents and slots that annotators choose from, beside those of the labels in the corpus.

    Attributes:
        intents: Intents by name, each with a description and examples; a list of names will do.
        slots: Slots by name, each with a description and examples; a list of names will do.
        fold_case: Whether names that differ only in case are the same.
        champion: Whether the names of the champion's inventory are offered, too. Without them a base's own intents that
            no label has stay out of the tasks; answers that name one are proposals.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    intents: dict[str, NameSettings] = Field(default_factory=dict)
    slots: dict[str, NameSettings] = Field(default_factory=dict)
    fold_case: bool = False
    champion: bool = True

    @field_validator("intents", "slots", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        """Return the names with their settings; a list has names alone, and a text is a description."""
        if value is None:
            return {}
        if isinstance(value, list):
            if not all(isinstance(name, str) for name in value):
                raise ValueError("a list holds names alone; write names with descriptions as `name: description`")
            value = dict.fromkeys(value)
        if not isinstance(value, Mapping):
            return value
        return {name: {"description": each} if isinstance(each, str) else each or {} for name, each in value.items()}

    @field_validator("intents", "slots")
    @classmethod
    def _named(cls, value: dict[str, NameSettings]) -> dict[str, NameSettings]:
        for name in value:
            if not clean_name(name) or len(name) > 128 or not name.isprintable():
                raise ValueError("a name has 1 to 128 characters, none of them a control character")
        return {clean_name(name): each for name, each in value.items()}

    def names(self, kind: NameKind) -> dict[str, NameSettings]:
        """Return the configured names of a kind."""
        return self.intents if kind == "intent" else self.slots


def join_inventory(
    settings: InventorySettings,
    stored: Mapping[NameKind, StoredNames],
    champion: Mapping[NameKind, Sequence[str]],
) -> Inventory:
    """Return the union of the names: those of the configuration first, then the stored ones, then the champion's.

    Args:
        settings: configured names.
        stored: names of labels, and names that people added or adopted.
        champion: names that the intent model can predict.
    """
    return Inventory(_join("intent", settings, stored, champion), _join("slot", settings, stored, champion))


def _join(
    kind: NameKind,
    settings: InventorySettings,
    stored: Mapping[NameKind, StoredNames],
    champion: Mapping[NameKind, Sequence[str]],
) -> Names:
    configured, known = settings.names(kind), stored[kind]
    learned = champion[kind] if settings.champion else ()
    notes = ({OTHER_INTENT: _OTHER_NOTE} if kind == "intent" else {}) | known.notes
    notes |= {name: NameNote(each.description, each.examples) for name, each in configured.items()}
    given = (*configured, *known.sources, *learned)
    return names_of(kind, given, known.mapped, notes, fold_case=settings.fold_case)
