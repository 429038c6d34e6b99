"""Opening an SQLite database in a folder where no file can be made, such as a home that was mounted to be read."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote


def opening_read_only(path: Path, timeout: float) -> Callable[[], sqlite3.Connection]:
    """Return a function that opens an SQLite database beside which no file can be made, and which nobody changes.

    What a killed process left in the write-ahead log counts, too: then a copy of both is read.
    """
    scratch = None
    if (log := path.with_name(path.name + "-wal")).exists() and log.stat().st_size:
        scratch = tempfile.TemporaryDirectory(prefix="earmark-read-only-")
        for file in (path, log):
            shutil.copyfile(file, Path(scratch.name) / file.name)
    place = path if scratch is None else Path(scratch.name) / path.name
    options = "mode=ro&immutable=1" if scratch is None else "mode=rw"

    def connect() -> sqlite3.Connection:
        _ = scratch  # it is there as long as this function is
        return sqlite3.connect(
            f"file:{quote(str(place))}?{options}", timeout=timeout, uri=True, check_same_thread=False
        )

    return connect
