"""Keys of settings that are most like one that is unknown."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Final

CLOSE: Final = 4
"""How many close names an unknown key is answered with."""


def close_keys(key: str, keys: Sequence[str]) -> list[str]:
    """Return the keys that are most like an unknown one, by the whole name or by its last part."""
    last = key.rpartition(".")[2]
    by_part = [name for name in keys if name.rpartition(".")[2] == last]
    like = difflib.get_close_matches(key, keys, n=CLOSE, cutoff=0.8)
    parts = {name.rpartition(".")[2] for name in keys}
    similar = difflib.get_close_matches(last, sorted(parts), n=2, cutoff=0.75)
    by_similar = [name for part in similar for name in keys if name.rpartition(".")[2] == part]
    return list(dict.fromkeys([*by_part, *like, *by_similar]))[:CLOSE]
