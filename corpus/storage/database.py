"""The two databases: engines that commit durably, and SQL that SQLite and PostgreSQL both take."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from corpus.errors import Damaged, HomeBusy, HostFault, RecordError, SchemaRefused, SettingsError, Unreachable
from corpus.sqlite_url import sqlite_file
from corpus.storage import new_schema
from corpus.storage.read_only_sqlite import opening_read_only
from corpus.storage.store_faults import sqlite_fault

Which = Literal["records", "vault"]

HEADS: Final[dict[Which, str]] = {"records": "0019", "vault": "0005"}
"""Newest revision of each schema; written here so that an up-to-date database needs no import of Alembic."""

UPGRADE_LOCK: Final = 0x6561726D61726B01
"""Key of PostgreSQL's advisory lock for upgrades, so that two machines upgrade one after the other."""

_WRITING: Final = threading.local()
"""Engines to which this thread has an open transaction that writes."""

CHUNK: Final = 50_000
"""Number of ids in one query; it bounds the memory of a query, whatever the number of ids."""


class UtcDateTime(sa.TypeDecorator[datetime]):
    """A moment, stored in UTC; SQLite has no time zones, so the zone is removed on writing and added on reading."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Return the moment in UTC, as it is stored."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise RecordError("a time needs its zone, such as 2026-11-22T03:00:00+00:00")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Return a stored moment with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def engine(url: str, timeout: float = 60.0, *, writable: bool = True) -> sa.Engine:
    """Return an engine whose commits survive a power cut and whose deletions leave no bytes in free pages (SQLite).

    Its errors that are about the database and not about a statement are those of `corpus.errors`, with the remedy.

    Args:
        url: of the database.
        timeout: how long a locked database or a silent server is waited for [s].
        writable: False for an SQLite database in a folder where nothing can be written, not even its log.

    Raises:
        SettingsError: the URL names neither SQLite nor PostgreSQL.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise SettingsError("a database URL can't be read; write sqlite:///FILE or postgresql+psycopg://...") from error
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return _postgresql(parsed, timeout)
    if backend != "sqlite":
        raise SettingsError(f"a {backend} database is not supported; use sqlite:///FILE or postgresql+psycopg://...")
    parsed = with_plain_path(parsed)
    if writable or not parsed.database:
        made = sa.create_engine(parsed, connect_args={"timeout": timeout})
    else:
        made = sa.create_engine(parsed, creator=opening_read_only(Path(parsed.database), timeout))
    pragmas = _PRAGMAS if writable else _PRAGMAS_OF_READERS
    sa.event.listen(made, "connect", lambda connection, _: _sqlite_connect(connection, pragmas, timeout))
    sa.event.listen(made, "begin", _sqlite_begin if writable else _sqlite_begin_reading)
    sa.event.listen(made, "handle_error", lambda context: _raise_fault(context, str(parsed.database), timeout))
    return made


def _raise_fault(context: sa.ExceptionContext, path: str, timeout: float) -> None:
    fault = sqlite_fault(context.original_exception, path, timeout)
    if fault is not None:
        raise fault


def with_plain_path(url: sa.URL) -> sa.URL:
    """Return a URL with the path itself for one that `corpus.sqlite_url` wrote with a quoted path."""
    if url.database is None or dict(url.query) != {"uri": "true"}:
        return url
    return url.set(database=str(sqlite_file(url.database)), query={})


def _postgresql(url: sa.URL, timeout: float, **options: Any) -> sa.Engine:
    seconds = max(2, round(timeout))  # without them, libpq waits for ever
    arguments: dict[str, Any] = {
        "connect_timeout": seconds,
        "tcp_user_timeout": 1000 * seconds,
        "keepalives_idle": seconds,
        "keepalives_interval": max(1, seconds // 3),
        "keepalives_count": 3,
        "options": f"-c lock_timeout={1000 * seconds}",
    }
    arguments = {name: value for name, value in arguments.items() if name not in url.query}
    url = url.set(drivername="postgresql+psycopg")
    try:
        made = sa.create_engine(url, connect_args=arguments, pool_pre_ping=True, **options)
    except ModuleNotFoundError as error:
        raise SettingsError("a postgresql:// URL needs the package psycopg; pip install 'earmark[postgres]'") from error
    from corpus.storage.postgres_watch import connected

    sa.event.listen(made, "do_connect", lambda _, __, args, options: connected(timeout, *args, **options))
    sa.event.listen(made, "handle_error", lambda context: _raise_server_fault(context, made, timeout))
    return made


def _raise_server_fault(context: sa.ExceptionContext, engine: sa.Engine, timeout: float) -> None:
    """Raise what is wrong with the server, where an error says that; one about a statement passes."""
    error = context.original_exception
    state = getattr(error, "sqlstate", None) or ""
    if state == "55P03":
        raise HomeBusy(
            f"the database {named(engine)} is locked by another program for more than {timeout:g} s; wait for it or end"
            " it, then run the command again: nothing is lost, or set corpus.store_timeout higher"
        )
    if state in ("53100", "53200", "58030"):
        raise HostFault(
            f"the database {named(engine)} can't store: {_first_line(error)}; free some space on its server"
        )
    if context.is_pre_ping:
        return  # the pool connects again
    if context.connection is None and isinstance(error, context.dialect.loaded_dbapi.OperationalError):
        raise Unreachable(f"the database {named(engine)} can't be used: {_first_line(error)}; start it or fix its URL")
    if context.is_disconnect:
        raise Unreachable(f"the database {named(engine)} went away: {_first_line(error)}; start it or fix its URL")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


_PRAGMAS_OF_READERS: Final = ("foreign_keys=ON", "temp_store=MEMORY")
_PRAGMAS: Final = ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", *_PRAGMAS_OF_READERS)


def _sqlite_connect(connection: Any, pragmas: Sequence[str], timeout: float) -> None:
    connection.isolation_level = (
        None  # the driver's own BEGIN comes only before the first write, too late to protect what was read
    )
    for pragma in (f"busy_timeout={round(1000 * timeout)}", *pragmas):
        connection.execute(f"PRAGMA {pragma}").close()


def _sqlite_begin_reading(conn: sa.Connection) -> None:
    conn.exec_driver_sql("BEGIN")


def _sqlite_begin(conn: sa.Connection) -> None:
    # A transaction that reads first and writes later can fail with "database is locked" whatever the time-out is,
    # unless it takes the write lock at its begin.
    reading_only = conn.get_execution_options().get("reading_only", False)
    conn.exec_driver_sql("BEGIN" if reading_only else "BEGIN IMMEDIATE")


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a connection that sees one state of the database and blocks no writer."""
    options: dict[str, Any] = {"reading_only": True}
    if engine.dialect.name == "postgresql":
        options["isolation_level"] = "REPEATABLE READ"
    with engine.connect() as conn:
        conn = conn.execution_options(**options)
        with conn.begin() as transaction:
            yield conn
            transaction.rollback()


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a connection whose transaction is committed at the end of the block, or undone by an exception.

    Raises:
        RuntimeError: this thread has such a connection already, and would wait for itself for ever.
    """
    engines: set[int] = _WRITING.__dict__.setdefault("engines", set())
    if id(engine) in engines:
        raise RuntimeError("a transaction on this database is open; open content and start operations outside of it")
    engines.add(id(engine))
    try:
        with engine.begin() as conn:
            yield conn
    finally:
        engines.discard(id(engine))


def scrub(engine: sa.Engine, secret: Sequence[sa.Table] = ()) -> None:
    """Remove deleted bytes from the write-ahead log (SQLite), or dead rows (PostgreSQL).

    PostgreSQL's plain VACUUM frees the space of dead rows, but their bytes stay in the page until it is reused. That is
    enough for ciphertexts, whose keys are destroyed, but not for the keys themselves.

    Args:
        engine: engine of the database.
        secret: tables that PostgreSQL writes anew, so that no deleted byte of them remains in its files.
    """
    if engine.dialect.name == "sqlite":
        _outside_transactions(engine, ["PRAGMA wal_checkpoint(TRUNCATE)"])
    else:
        _outside_transactions(engine, [f"VACUUM (FULL) {table.name}" for table in secret] or ["VACUUM"])


def _outside_transactions(engine: sa.Engine, statements: Sequence[str]) -> None:
    raw = engine.raw_connection()
    try:
        if engine.dialect.name != "sqlite":
            raw.driver_connection.autocommit = True  # type: ignore[union-attr]  # VACUUM refuses a transaction
        cursor = raw.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
    finally:
        if engine.dialect.name != "sqlite":
            raw.driver_connection.autocommit = False  # type: ignore[union-attr]
        raw.close()


def among(conn: sa.Connection, column: sa.ColumnElement[str], values: Sequence[str]) -> sa.ColumnElement[bool]:
    """Return the condition `column IN values` with all values in one parameter, as databases limit their number."""
    if conn.dialect.name == "postgresql":
        array = sa.literal(list(values), postgresql.ARRAY(sa.Text))
        return column == sa.any_(array)
    elements = sa.func.json_each(json.dumps(list(values))).table_valued("value")
    return column.in_(sa.select(elements.c.value))


def fetch_among(
    conn: sa.Connection, statement: sa.Select[Any], column: sa.ColumnElement[str], ids: Sequence[str]
) -> Iterator[sa.Row[Any]]:
    """Yield the rows of `statement` whose `column` is one of `ids`, in any order."""
    for start in range(0, len(ids), CHUNK):
        yield from conn.execute(statement.where(among(conn, column, ids[start : start + CHUNK]))).all()


def insert_new(conn: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows, except those whose key is stored already; stored rows are not changed."""
    if not rows:
        return
    dialect = postgresql if conn.dialect.name == "postgresql" else sqlite
    conn.execute(dialect.insert(table).on_conflict_do_nothing(), list(rows))


def schema_version(engine: sa.Engine) -> str | None:
    """Return the revision of the schema, None where there is none yet.

    Raises:
        Unreachable: the database does not answer, or the file is no database.
    """
    try:
        with reading(engine) as conn:
            if not sa.inspect(conn).has_table("alembic_version"):
                return None
            version = conn.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
            return None if version is None else str(version)
    except sa.exc.DBAPIError as error:
        reason = _first_line(error.orig or error)
        raise Unreachable(f"the database {named(engine)} can't be used: {reason}; start it or fix its URL") from error


def damaged_pages(engine: sa.Engine) -> str:
    """Return the first thing that is wrong with the pages of an SQLite database, "" where nothing is."""
    if engine.dialect.name != "sqlite":
        return ""
    with reading(engine) as conn:
        found = str(conn.exec_driver_sql("PRAGMA integrity_check(1)").scalar())
    return "" if found == "ok" else found


def named(engine: sa.Engine) -> str:
    """Return the name of a database for messages, without user and password."""
    return str(engine.url.database) + (f" at {engine.url.host}" if engine.url.host else "")


def prepare(engine: sa.Engine, which: Which) -> None:
    """Create the schema of a new database, or upgrade an SQLite database to the newest schema.

    An SQLite database is used by one machine and one version of earmark. Other machines may still use a PostgreSQL
    database, and it may have no backup yet, so an older schema is refused there.

    Raises:
        SchemaRefused: a newer earmark wrote the database, or an older one wrote it on a server.
        Unreachable: the database does not answer.
    """
    _make_private(engine)
    version = check_not_newer(engine, which)
    if version == HEADS[which]:
        return
    if version is not None and engine.dialect.name == "postgresql":
        raise SchemaRefused(
            f"the {which} database has schema {version}, this earmark needs {HEADS[which]};"
            " back it up, then run earmark upgrade"
        )
    upgrade(engine, which)


def check_newest(engine: sa.Engine, which: Which) -> None:
    """Check that a database that can't be upgraded has the newest schema.

    Raises:
        SchemaRefused: it has not.
    """
    version = check_not_newer(engine, which)
    if version != HEADS[which]:
        raise SchemaRefused(
            f"the {which} database has schema {version}, this earmark needs {HEADS[which]}, and the home is read-only:"
            " make it writable once, so that it can be upgraded"
        )


def _make_private(engine: sa.Engine) -> None:
    """Make the file of an SQLite database that has none, as SQLite would make one that everybody may read."""
    if engine.dialect.name == "sqlite" and engine.url.database and not engine.url.query:
        with contextlib.suppress(OSError):  # connecting says what is wrong, in words
            # never one that is there: to close it here would end the locks that SQLite has on it in this process
            os.close(os.open(engine.url.database, os.O_CREAT | os.O_EXCL, 0o600))


def upgrade(engine: sa.Engine, which: Which, target: str = "head") -> tuple[str | None, str | None]:
    """Upgrade the schema in one transaction; return its revision before and after.

    Args:
        engine: engine of the database.
        which: which of the two schemas.
        target: revision to stop at.

    Raises:
        SchemaRefused: a newer earmark wrote the database.
        Damaged: the revision of the database is unknown.
        Unreachable: the database does not answer.
    """
    version = check_not_newer(engine, which)
    if version == HEADS[which]:
        return version, version
    if version is None and target == "head":
        with writing(engine) as conn:
            new_schema.create(conn, which)
        if schema_version(engine) == HEADS[which]:
            return None, HEADS[which]
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    folder = Path(__file__).parent.parent / "migrations"
    config = Config()
    for name, value in (("script_location", folder), ("version_locations", folder / which / "versions")):
        config.set_main_option(name, str(value).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    # Alembic gets the connection, not the URL, because configparser fails on percent signs in a URL.
    with writing(engine) as conn:
        if conn.dialect.name == "postgresql":  # SQLite's transaction locks the database by itself
            conn.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADE_LOCK)))
        config.attributes["connection"] = conn
        try:
            command.upgrade(config, target)
        except CommandError as error:
            raise Damaged(f"the {which} database has schema {version}, which is unknown; restore a backup") from error
    return version, schema_version(engine)


def check_not_newer(engine: sa.Engine, which: Which) -> str | None:
    """Return the revision of the schema, None where there is none yet; check that it is not newer than this earmark.

    Raises:
        SchemaRefused: a newer earmark wrote the database.
        Unreachable: the database does not answer.
    """
    version = schema_version(engine)
    if version is not None and version > HEADS[which]:
        raise SchemaRefused(
            f"the {which} database has schema {version}, which a newer earmark wrote; this one needs {HEADS[which]}:"
            " install the newer one"
        )
    return version
