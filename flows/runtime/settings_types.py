"""Values that a settings model would turn into a number in silence: a text such as `1_000`, or a truth value."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from flows.runtime.environment import Json


def not_numbers(given: Json, taken: object, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each value that became a number but is none, with its keys and what it should be.

    Args:
        given: the value, in the types of YAML.
        taken: what the settings model made of it.
        keys: of the branches above it.
    """
    if isinstance(given, dict):
        for key, member in given.items():
            found = getattr(taken, key, None) if isinstance(taken, BaseModel) else None
            found = taken.get(key) if isinstance(taken, dict) else found
            yield from not_numbers(member, found, (*keys, key))
    elif isinstance(given, list) and isinstance(taken, list | tuple):
        for index, (member, found) in enumerate(zip(given, taken, strict=False)):
            yield from not_numbers(member, found, (*keys, str(index)))
    elif isinstance(taken, int | float) and not isinstance(taken, bool) and isinstance(given, str | bool):
        yield keys, "give a number" + (", without quotes and without underscores" if isinstance(given, str) else "")
