"""Describe the settings from the code: type, default and sentence of every key.

The page `docs/settings.md`, `earmark config show --explain` and the comments of `earmark init` are made from it.
"""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticUndefined

WORDS: dict[Any, str] = {str: "text", int: "whole number", float: "number", bool: "yes or no", Path: "path", Any: "any"}
BOUNDS = (("ge", "{} or more"), ("gt", "above {}"), ("le", "at most {}"), ("lt", "below {}"))

NEEDED = "needed"
"""Shown as the default of what must be given."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the settings, as text; a group of settings has neither type nor default."""

    key: str
    kind: str
    default: str
    sentence: str


def kind_name(kind: Any) -> str:
    """Return the name of a type for people, such as `list of text` or `number or null`."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is typing.Annotated:
        return kind_name(parts[0])
    if origin is Literal:
        return " or ".join(json.dumps(part) if not isinstance(part, str) else part for part in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("null" if part is type(None) else kind_name(part) for part in parts)
    if origin is dict:
        return f"{kind_name(parts[0]) if parts[0] is str else 'field'} -> {kind_name(parts[1])}"
    if origin in (list, tuple) and (origin is list or parts[-1] is Ellipsis):
        return f"list of {kind_name(parts[0])}"
    if origin is tuple:
        return f"{len(parts)} {kind_name(parts[0])}s"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "group"
    return WORDS.get(kind) or str(getattr(kind, "__name__", kind))


def settings(model: type[BaseModel], instance: BaseModel | None = None, prefix: str = "") -> Iterator[Setting]:
    """Yield every key under a model, groups before their members.

    Args:
        model: the settings model.
        instance: the defaults that the branch above gives it; those of the model itself where None.
        prefix: keys of the branches above, with a dot at the end.
    """
    sentences = attribute_sentences(model)
    for name, field in model.model_fields.items():
        value = getattr(instance, name) if instance is not None else field.get_default(call_default_factory=True)
        kind, inner = field.annotation, _inner(field.annotation)
        sentence = field.description or sentences.get(name, "")
        if inner is None:
            bounds = [
                text.format(bound if isinstance(bound, int) else f"{bound:g}")
                for bound_name, text in BOUNDS
                for item in field.metadata
                if (bound := getattr(item, bound_name, None)) is not None
            ]
            yield Setting(f"{prefix}{name}", ", ".join([kind_name(kind), *bounds]), _default(kind, value), sentence)
            continue
        many = get_origin(kind) in (list, tuple, dict)
        group = Setting(f"{prefix}{name}", "", "", sentence or (inspect.getdoc(inner) or "").partition("\n")[0])
        yield (
            group
            if isinstance(value, BaseModel)
            else replace(group, kind=kind_name(kind), default=_default(kind, value))
        )
        yield from settings(
            inner, value if isinstance(value, BaseModel) else None, f"{prefix}{name}." + ("*." if many else "")
        )


def _inner(kind: Any) -> type[BaseModel] | None:
    """Return the settings model in a type, also in a list of it or a union with null; None where there is none."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    return next((found for part in get_args(kind) if (found := _inner(part)) is not None), None)


def _default(kind: Any, value: Any) -> str:
    """Return a default as it is written in YAML, on one line."""
    if value is PydanticUndefined:
        return NEEDED
    plain = TypeAdapter(kind).dump_python(value, mode="json")
    if isinstance(plain, str):
        return plain or '""'
    return json.dumps(plain, ensure_ascii=False)


def attribute_sentences(model: type) -> dict[str, str]:
    """Return the texts under `Attributes:` in the docstrings of a model and of its bases, by attribute."""
    found: dict[str, str] = {}
    for base in (part for part in reversed(model.__mro__) if part not in BaseModel.__mro__):
        block = (inspect.cleandoc(base.__dict__.get("__doc__") or "") + "\n").partition("\nAttributes:\n")[2]
        for names, text in re.findall(r"^    ([\w, ]+): (.*(?:\n {8}.*)*)$", block, re.MULTILINE):
            found |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return found
