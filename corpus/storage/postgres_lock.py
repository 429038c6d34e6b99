"""Lock on a PostgreSQL database, so that runs on several machines take turns, as lock files are seen by one only."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa

from corpus.errors import HomeBusy
from corpus.storage import database

RUN_LOCK: Final = 0x6561726D61726B02
"""Key of the advisory lock that a run takes; PostgreSQL has separate keys for each database."""

NAME_BYTES: Final = 63
"""Longest `application_name` [bytes], which names the holder of the lock."""

_SESSION: Final = (
    # A machine without power or network does not close its connection: the server asks after 30 s, and closes after 60.
    "SET tcp_keepalives_idle = 30",
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
    "SET idle_session_timeout = 0",
)


@contextlib.contextmanager
def hold_database(url: str, holder: str, patience: float = 0.0, timeout: float = 30.0) -> Iterator[None]:
    """Lock a PostgreSQL database until the block ends or the process dies; do nothing for SQLite.

    The lock exists as long as its connection, so a connection pooler must not assign connections by transaction.

    Args:
        url: URL of the records.
        holder: name of this run, for the message to other runs.
        patience: how long to wait for another run [s].
        timeout: how long a server that does not answer is waited for [s].

    Raises:
        HomeBusy: another run has the lock; the message names it, and since when it runs.
        Unreachable: the server does not answer.
    """
    engine = database.engine(url, timeout)
    try:
        if engine.dialect.name != "postgresql":
            yield
            return
        database.schema_version(engine)  # raises an error of one line if the server does not answer
        with engine.connect() as conn:
            conn = conn.execution_options(isolation_level="AUTOCOMMIT")
            for statement in _SESSION:
                conn.exec_driver_sql(statement)
            name = holder.encode()[:NAME_BYTES].decode(errors="ignore")
            conn.execute(sa.select(sa.func.set_config("application_name", name, False)))
            until = time.monotonic() + patience
            while not (locked := _try_lock(conn)) and time.monotonic() < until:
                time.sleep(0.5)
            if not locked:
                raise HomeBusy(
                    f"the database {database.named(engine)} is in use by {_holder(conn)};"
                    " wait until it ends, then run this again"
                )
            try:
                yield
            finally:
                # Close the connection instead of returning it to a pool: that releases the lock in any case.
                conn.invalidate()
    finally:
        engine.dispose()


def _try_lock(conn: sa.Connection) -> bool:
    return bool(conn.execute(sa.select(sa.func.pg_try_advisory_lock(RUN_LOCK))).scalar())


def _holder(conn: sa.Connection) -> str:
    """Return the name of the run that has the lock, and since when."""
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
