"""The base class of results: frozen dataclasses that can be written as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a step, in ids and counts; never content, except where a subclass says so.

    In the JSON document the key of a field is its name, or the `metadata={"key": ...}` of the field. A field with the
    default None is left out of the document while it is None.
    """

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document, made of strings, numbers, booleans, None, lists and mappings."""
        document = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            document[field.metadata.get("key", field.name)] = as_json(value)
        return document


@dataclass(frozen=True, slots=True)
class Skipped(Result):
    """A step that had nothing to do, or could not be done now; `skipped` is the reason in one sentence."""

    skipped: str


def as_json(value: object) -> Any:
    """Return the value in the types of JSON; results and other dataclasses become mappings.

    Raises:
        TypeError: the value, or a part of it, has a type that JSON does not have.
    """
    if isinstance(value, Result):
        return value.to_json()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): as_json(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(entry) for entry in value]
    if isinstance(value, set | frozenset):
        return [as_json(entry) for entry in sorted(value)]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, datetime):
        return str(value)  # readers of --json rely on this form: a blank, not a T, between date and time
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"a {type(value).__name__} has no form in JSON; give the field a plain type")
