"""JSON Lines: lines of files that may be hostile, strict JSON, and whole files of objects that must all be good."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO, Final

from corpus.errors import UsageError

LONGEST: Final = 1 << 24
"""Longest line of a file that has to be good as a whole [bytes]."""


class RepeatedKey(ValueError):
    """A key stands twice in an object; `args[0]` is the key, which belongs in no message."""


def read_lines(file: BinaryIO, longest: int) -> Iterator[tuple[int, bytes | None]]:
    """Yield (number from 1, line) of every line that is not blank; None for a line that is too long.

    A byte order mark is left out. A long line is stepped over in pieces, so that none fills the memory.

    Args:
        file: opened for reading bytes.
        longest: bytes that a line may have, its end not counted.
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


def strict_json(line: bytes) -> object:
    """Return the value of a line in which no object has a key twice and every number is finite.

    Raises:
        RepeatedKey: of two values either could be meant.
        UnicodeDecodeError: the line is not UTF-8.
        ValueError: the line is no JSON, or holds NaN, Infinity or a number of thousands of digits.
        RecursionError: it is nested too deep.
    """
    return json.loads(line.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)


def read_objects(content: bytes, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of every line of a file that has to be good as a whole, such as a labelled corpus.

    Args:
        content: of the file.
        name: of the file, for messages.

    Raises:
        UsageError: a line is no JSON object, or the file holds none; names file and line.
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
            raise UsageError(f"{name} line {number} is no object; write one object a line")
        yield number, value
    if not number:
        raise UsageError(f"{name} is empty; write one object a line")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made: dict[str, object] = {}
    for key, value in pairs:
        if key in made:
            raise RepeatedKey(key)
        made[key] = value
    return made


def _no_constant(_: str) -> object:
    raise ValueError("NaN and Infinity are not JSON")
