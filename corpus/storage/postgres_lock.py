"""The lock that a PostgreSQL server keeps: a file in a home can't be seen from another machine, its database can."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa

from corpus.errors import HomeBusy
from corpus.storage import database

RUN_LOCK: Final = 0x6561726D61726B02
"""Key of the advisory lock that a run holds; PostgreSQL keeps these apart for each database."""

NAME_BYTES: Final = 63
"""Longest `application_name`, by which the server knows a holder."""

_SESSION: Final = (
    # A machine that lost its power or its network says no goodbye: the server asks after 30 s and gives up after 60.
    "SET tcp_keepalives_idle = 30",
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
    "SET idle_session_timeout = 0",
)


@contextlib.contextmanager
def hold_database(url: str, holder: str, patience: float = 0.0) -> Iterator[None]:
    """The database is ours until the block ends or the process dies; one that is not on a server needs no such lock.

    The lock lives as long as its connection, so a pooler between here and the server must not share connections out by
    transaction.

    Args:
        url: of the records.
        holder: who we are, for the one who is refused meanwhile.
        patience: how long to wait for another run that holds it [s].

    Raises:
        HomeBusy: another run holds it; the message says who and since when.
        Unreachable: the server does not answer.
    """
    engine = database.engine(url)
    try:
        if engine.dialect.name != "postgresql":
            yield
            return
        database.schema_version(engine)  # says in one line what is wrong with the server, if anything is
        with engine.connect() as conn:
            conn = conn.execution_options(isolation_level="AUTOCOMMIT")
            for statement in _SESSION:
                conn.exec_driver_sql(statement)
            name = holder.encode()[:NAME_BYTES].decode(errors="ignore")
            conn.execute(sa.select(sa.func.set_config("application_name", name, False)))
            until = time.monotonic() + patience
            while not (ours := _locked(conn)) and time.monotonic() < until:
                time.sleep(0.5)
            if not ours:
                raise HomeBusy(
                    f"the database {database.named(engine)} is in use by {_holder(conn)};"
                    " wait until it ends, then run this again"
                )
            try:
                yield
            finally:
                # Not back to a pool: the lock goes with the connection, also where the server has gone meanwhile.
                conn.invalidate()
    finally:
        engine.dispose()


def _locked(conn: sa.Connection) -> bool:
    return bool(conn.execute(sa.select(sa.func.pg_try_advisory_lock(RUN_LOCK))).scalar())


def _holder(conn: sa.Connection) -> str:
    """Return who holds the lock, and since when."""
    statement = sa.text(
        "SELECT s.application_name, s.backend_start FROM pg_locks l JOIN pg_stat_activity s ON s.pid = l.pid"
        " JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()"
        " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
        " AND (l.classid::bigint << 32) + l.objid::bigint = :key"
    )
    row = conn.execute(statement, {"key": RUN_LOCK}).first()
    if row is None:
        return "another run"
    since = f" since {row.backend_start:%Y-%m-%d %H:%M} {row.backend_start:%Z}".rstrip() if row.backend_start else ""
    return f"{row.application_name or 'another run'}{since}"
