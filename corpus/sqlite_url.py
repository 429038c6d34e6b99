"""URLs of SQLite files: right for a folder of any name, with `?`, `%` or `:memory:` in it."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

_FILE: Final = "file:"


def sqlite_url(path: Path, driver: str = "sqlite") -> str:
    """Return the SQLAlchemy URL of a SQLite file.

    SQLAlchemy takes all that follows a `?` for options, whether it is quoted or not, and other libraries look for
    `memory` in a URL. Such a path is given as SQLite's own URI, in which it is quoted.

    Args:
        path: absolute.
        driver: name of SQLAlchemy's dialect and driver.
    """
    plain = str(path)
    if "?" not in plain and "memory" not in plain:
        return f"{driver}:///{plain}"
    if driver == "sqlite":  # MLflow makes a folder of the name that follows sqlite:///, in the current folder
        driver = "sqlite+pysqlite"
    quoted = quote(plain.encode("utf-8", "surrogateescape")).replace("memory", "%6Demory")
    return f"{driver}:///{_FILE}{quoted}?uri=true"


def sqlite_file(database: str) -> Path:
    """Return the file that the database part of a URL names, as `sqlite_url` writes it or as people do."""
    if not database.startswith(_FILE):
        return Path(database)
    return Path(unquote(database.removeprefix(_FILE).removeprefix("//"), errors="surrogateescape"))
