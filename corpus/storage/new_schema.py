"""Create the newest schema in a new SQLite database from a script of its statements.

All migrations one after the other end in the same, and take ten times as long. A test compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import sqlalchemy as sa

END = ";\n\n"
"""What ends each statement of a script."""


def script(which: Literal["records", "vault"]) -> Path:
    """Return the file with the statements that make a schema."""
    return Path(__file__).parent.parent / "migrations" / f"new_{which}.sql"


def create(conn: sa.Connection, which: Literal["records", "vault"]) -> None:
    """Create the tables of a schema, with its revision, in the transaction; nothing is done where there are tables."""
    if conn.dialect.name != "sqlite" or sa.inspect(conn).get_table_names():
        return
    for statement in script(which).read_text(encoding="utf-8").removesuffix(END).split(END)[1:]:
        conn.exec_driver_sql(statement)
