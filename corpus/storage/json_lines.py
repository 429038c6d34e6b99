"""JSON Lines: readers for untrusted lines, for strict JSON, and for files in which every line must be valid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO, Final

from corpus.errors import UsageError

LONGEST: Final = 1 << 24
"""Longest line that `read_objects` accepts [bytes]."""


class RepeatedKey(ValueError):
    """A key appears twice in an object; `args[0]` is the key, which may be content and belongs in no message."""


def read_lines(file: BinaryIO, longest: int) -> Iterator[tuple[int, bytes | None]]:
    """Yield (number from 1, line) of every line that is not blank; the line is None where it is too long.

    A byte order mark is left out. A line that is too long is skipped in pieces, so that it does not fill the memory.

    Args:
        file: opened for reading bytes.
        longest: bytes that a line may have, without its end.
    """
    number = 0
    while line := file.readline(longest + 1):
        number += 1
        if len(line) > longest and not line.endswith(b"\n"):
            while (rest := file.readline(longest)) and not rest.endswith(b"\n"):
                pass
            yield number, None
            continue
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield number, line


def has_object(file: BinaryIO, longest: int, *, first_must_parse: bool = False) -> bool:
    """Return whether a line is a JSON object, however odd: a key may repeat, and a number may be NaN.

    Args:
        file: opened for reading bytes.
        longest: bytes that a line may have, without its end.
        first_must_parse: return False at the first line that is no JSON, as in an array over several lines, whose last
            line may be an object by itself.
    """
    for _, line in read_lines(file, longest):
        try:
            value = None if line is None else json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError):
            if first_must_parse:
                return False
            continue
        if isinstance(value, dict):
            return True
    return False


def strict_json(line: bytes) -> object:
    """Return the value of a line in which no object has a key twice and every number is finite.

    Raises:
        RepeatedKey: an object has a key twice.
        UnicodeDecodeError: the line is not UTF-8.
        ValueError: the line is not JSON, or contains NaN, Infinity or a number of thousands of digits.
        RecursionError: it is nested too deep.
    """
    return json.loads(line.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)


def read_objects(content: bytes, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of every line of a file in which every line must be an object.

    Args:
        content: bytes of the file.
        name: name of the file, for messages.

    Raises:
        UsageError: a line is not a JSON object, or the file is empty; the message names the file and the line.
    """
    number = 0
    for number, line in read_lines(BytesIO(content), LONGEST):
        if line is None:
            raise UsageError(f"{name} line {number} has more than {LONGEST} bytes; write one object a line")
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise UsageError(f"{name} line {number} is not JSON; write one object a line") from None
        if not isinstance(value, dict):
            raise UsageError(f"{name} line {number} is not an object; write one object a line")
        yield number, value
    if not number:
        raise UsageError(f"{name} is empty; write one object a line")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in pairs:
        if key in values:
            raise RepeatedKey(key)
        values[key] = value
    return values


def _no_constant(_: str) -> object:
    raise ValueError("NaN and Infinity are not JSON")
