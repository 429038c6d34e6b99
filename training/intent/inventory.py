"""The intents and slot types of an intent model, read from its configuration without loading the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from corpus.errors import Damaged, SettingsError
from corpus.records.base import OTHER_INTENT
from corpus.records.inventory import Names

MODEL_TYPE: Final = "earmark-joint-intent"
"""`model_type` in the `config.json` of earmark's intent models; any other is a plain text encoder."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The names that an intent model can predict.

    Attributes:
        intents: names of its C intents, in the order of its outputs.
        slot_names: names of its S slot types.
    """

    intents: tuple[str, ...]
    slot_names: tuple[str, ...]


def inventory(folder: Path) -> Inventory:
    """Return the intents and slot types of the model in a folder; a plain text encoder has only the intent `other`.

    Raises:
        SettingsError: the folder has no `config.json`.
        Damaged: the file can't be read, or holds no list of intents or slots.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config["model_type"] != MODEL_TYPE:
            return Inventory((OTHER_INTENT,), ())
        names = (config["intents"], config["slot_names"])
    except FileNotFoundError:
        raise SettingsError(f"intent model {folder}: no config.json; give a folder in transformers' format") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(f"intent model {folder}: config.json can't be read; restore the folder") from error
    if not all(isinstance(kind, list) and all(isinstance(name, str) for name in kind) for kind in names):
        raise Damaged(f"intent model {folder}: config.json holds no list of intents or slots; restore the folder")
    return Inventory(tuple(names[0]), tuple(names[1]))


def named_now(own: Sequence[str], names: Names) -> list[str]:
    """Return the outputs of a model by the names of now; of several that are one name now, the first has it."""
    taken, found = set(own), []
    for name in own:
        now = names.current(name)
        found.append(name if now in taken else now)
        taken.add(now)
    return found
