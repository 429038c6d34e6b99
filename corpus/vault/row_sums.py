"""Sums over rows of the vault: each audit row has the sum of the rows that it adds, so that a change is found.

A sum does not say which rows it was made of, and can be compared with that of the rows that are there, in any order.
"""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from corpus.records.base import canonical_json

_BYTES: Final = 256
"""Length of a sum: with 2,048 bits nobody finds other rows that have the same."""

_MODULUS: Final = 1 << 8 * _BYTES


def sums_of_keys(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return, by operation, the sum over rows of the table `keys`: of whom, with which consent, and when received."""
    sums: dict[str, int] = defaultdict(int)
    for row in rows:
        fields = [row["utterance_id"], row["speaker_id"], row["consent"]]
        text = canonical_json([*fields, _iso(row["arrived_at"]), _iso(row["received_at"])])
        number = int.from_bytes(hashlib.shake_256(text.encode()).digest(_BYTES), "big")
        sums[row["operation_id"]] = (sums[row["operation_id"]] + number) % _MODULUS
    return dict(sums)


def minus(one: int, other: int) -> int:
    """Return the sum without the rows of another one."""
    return (one - other) % _MODULUS


def plus(one: int, other: int) -> int:
    """Return the sum of the rows of both."""
    return (one + other) % _MODULUS


def to_text(number: int) -> str:
    """Return a sum as it is stored."""
    return base64.b64encode(number.to_bytes(_BYTES, "big")).decode()


def from_text(text: str) -> int:
    """Return the sum of a stored text."""
    return int.from_bytes(base64.b64decode(text), "big")


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="microseconds")
