"""A content store that tries at each request whether the databases of the home can be written to meanwhile."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fsspec.implementations.memory import MemoryFileSystem

from corpus.handle import Corpus

_NUMBERS = itertools.count()


class Probed(MemoryFileSystem):  # type: ignore[misc]
    """Each request fails where a database is locked; `meanwhile` is called once, before the next file is stored."""

    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.databases: tuple[Path, ...] = ()
        self.requests: list[str] = []
        self.meanwhile: Callable[[], object] | None = None

    def _probe(self, request: str) -> None:
        for database in self.databases:
            connection = sqlite3.connect(database, timeout=0, isolation_level=None)
            connection.execute("BEGIN IMMEDIATE").close()  # raises where another connection has the lock
            connection.close()
        self.requests.append(request)

    def pipe_file(self, path: str, value: bytes, **kwargs: Any) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        self._probe("store")
        super().pipe_file(path, value, **kwargs)

    def cat_file(self, path: str, **kwargs: Any) -> bytes:
        self._probe("load")
        return bytes(super().cat_file(path, **kwargs))

    def rm_file(self, path: str) -> None:
        self._probe("remove")
        super().rm_file(path)


def probed(corpus: Corpus, home: Path, *names: str) -> tuple[Corpus, Probed]:
    """Return the handle on an empty store, which tries the databases of these names, and the store."""
    store = Probed()
    store.databases = tuple(home / name for name in names)
    return replace(corpus, fs=store, root=f"/{home.name}-{next(_NUMBERS)}"), store
