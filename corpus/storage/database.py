"""The two databases: engines that commit durably, and SQL that SQLite and PostgreSQL both take."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from corpus.errors import Damaged, RecordError, SchemaRefused, SettingsError, Unreachable

Which = Literal["records", "vault"]

HEADS: Final[dict[Which, str]] = {"records": "0005", "vault": "0003"}
"""The newest revision of each schema; known here so that an up-to-date database never waits for Alembic's import."""

UPGRADE_LOCK: Final = 0x6561726D61726B01
"""Key of PostgreSQL's advisory lock for changing the schema: two machines upgrade one after the other."""

_HELD: Final = threading.local()

CHUNK: Final = 50_000
"""Ids that one query names: few queries, and memory stays flat however many ids there are."""


class UtcDateTime(sa.TypeDecorator[datetime]):
    """A moment, stored in UTC; SQLite knows no zones, so they are taken off there and put back on reading."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Return the moment in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise RecordError("a time needs its zone, such as 2026-11-22T03:00:00+00:00")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Return the moment with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def engine(url: str) -> sa.Engine:
    """Return an engine whose commits survive a power cut and whose deletions leave no bytes in free pages.

    Raises:
        SettingsError: the URL names neither SQLite nor PostgreSQL.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise SettingsError("a database URL can't be read; write sqlite:///FILE or postgresql+psycopg://...") from error
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return _postgresql(parsed)
    if backend != "sqlite":
        raise SettingsError(f"a {backend} database is not supported; use sqlite:///FILE or postgresql+psycopg://...")
    made = sa.create_engine(parsed, connect_args={"timeout": 60})
    sa.event.listen(made, "connect", _sqlite_connect)
    sa.event.listen(made, "begin", _sqlite_begin)
    return made


def _postgresql(url: sa.URL, **options: Any) -> sa.Engine:
    arguments = {} if "connect_timeout" in url.query else {"connect_timeout": 30}  # [s]; libpq waits for ever
    url = url.set(drivername="postgresql+psycopg")
    try:
        return sa.create_engine(url, connect_args=arguments, pool_pre_ping=True, **options)
    except ModuleNotFoundError as error:
        raise SettingsError("a postgresql:// URL needs the package psycopg; pip install 'earmark[postgres]'") from error


def _sqlite_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late to hold a read and a write together
    for pragma in (
        "busy_timeout=60000",
        "journal_mode=WAL",
        "synchronous=FULL",
        "secure_delete=ON",
        "foreign_keys=ON",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _sqlite_begin(conn: sa.Connection) -> None:
    # A transaction that reads first and writes later fails with "database is locked" whatever the time-out is,
    # unless it takes the write lock at once.
    reading_only = conn.get_execution_options().get("reading_only", False)
    conn.exec_driver_sql("BEGIN" if reading_only else "BEGIN IMMEDIATE")


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Give a connection that sees one state of the database and holds up no writer."""
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
    """Give a connection whose work is committed at the end, or undone by an exception.

    Raises:
        RuntimeError: this thread writes to the same database already, and would wait for itself for ever.
    """
    held: set[int] = _HELD.__dict__.setdefault("engines", set())
    if id(engine) in held:
        raise RuntimeError("a transaction on this database is open; open content and start operations outside of it")
    held.add(id(engine))
    try:
        with engine.begin() as conn:
            yield conn
    finally:
        held.discard(id(engine))


def scrub(engine: sa.Engine, secret: Sequence[sa.Table] = ()) -> None:
    """Leave no deleted bytes in the write-ahead log (SQLite), nor dead rows (PostgreSQL).

    PostgreSQL's plain VACUUM forgets where a dead row lay, but its bytes stay in the page until something else is put
    there. That will do for what a key protects, and not for the keys.

    Args:
        engine: of the database.
        secret: tables that PostgreSQL writes anew, so that no deleted byte of them is left in its files.
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
    """Return the condition `column IN values` as one bound parameter, which no limit on variables touches."""
    if conn.dialect.name == "postgresql":
        array = sa.literal(list(values), postgresql.ARRAY(sa.Text))
        return column == sa.any_(array)
    each = sa.func.json_each(json.dumps(list(values))).table_valued("value")
    return column.in_(sa.select(each.c.value))


def fetch_among(
    conn: sa.Connection, statement: sa.Select[Any], column: sa.ColumnElement[str], ids: Sequence[str]
) -> Iterator[sa.Row[Any]]:
    """Yield the rows of `statement` whose `column` is one of `ids`, in no particular order."""
    for start in range(0, len(ids), CHUNK):
        yield from conn.execute(statement.where(among(conn, column, ids[start : start + CHUNK]))).all()


def insert_new(conn: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Leave every row stored that breaks no unique key; the others stay as they were."""
    if not rows:
        return
    dialect = postgresql if conn.dialect.name == "postgresql" else sqlite
    conn.execute(dialect.insert(table).on_conflict_do_nothing(), list(rows))


def schema_version(engine: sa.Engine) -> str | None:
    """Return the revision of the schema, None where there is none yet.

    Raises:
        Unreachable: the database does not answer, or is none.
    """
    try:
        with reading(engine) as conn:
            if not sa.inspect(conn).has_table("alembic_version"):
                return None
            version = conn.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
            return None if version is None else str(version)
    except sa.exc.DBAPIError as error:
        reason = (str(error.orig).strip() or type(error.orig).__name__).splitlines()[0]
        raise Unreachable(f"the database {named(engine)} can't be used: {reason}; start it or mend its URL") from error


def named(engine: sa.Engine) -> str:
    """Return the name of a database for people: no user, no password."""
    return str(engine.url.database) + (f" at {engine.url.host}" if engine.url.host else "")


def prepare(engine: sa.Engine, which: Which) -> None:
    """Leave the database at the newest schema, where whoever opens it may decide that.

    A new database is filled, and an embedded one moved on: it has one machine and one earmark. A server's may have
    others still at work on it, and nobody has asked for its backup yet, so there an older schema is refused.

    Raises:
        SchemaRefused: a newer earmark wrote it, or an older one wrote it on a server.
        Unreachable: it does not answer.
    """
    version = check_not_newer(engine, which)
    if version == HEADS[which]:
        return
    if version is not None and engine.dialect.name == "postgresql":
        raise SchemaRefused(
            f"the {which} database has schema {version}, this earmark needs {HEADS[which]};"
            " back it up, then run earmark upgrade"
        )
    upgrade(engine, which)


def upgrade(engine: sa.Engine, which: Which, target: str = "head") -> tuple[str | None, str | None]:
    """Leave the database at the newest schema, whole or untouched; return its revision before and after.

    Args:
        engine: of the database.
        which: of the two schemas.
        target: revision to stop at.

    Raises:
        SchemaRefused: a newer version of earmark wrote this database.
        Damaged: its revision is none of earmark's.
        Unreachable: it does not answer.
    """
    version = check_not_newer(engine, which)
    if version == HEADS[which]:
        return version, version
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    folder = Path(__file__).parent.parent / "migrations"
    config = Config()
    for name, value in (("script_location", folder), ("version_locations", folder / which / "versions")):
        config.set_main_option(name, str(value).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    # Alembic is handed the connection: a URL would be read by configparser, which trips over its percent signs.
    with writing(engine) as conn:
        if conn.dialect.name == "postgresql":  # SQLite's transaction keeps others out by itself
            conn.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADE_LOCK)))
        config.attributes["connection"] = conn
        try:
            command.upgrade(config, target)
        except CommandError as error:
            raise Damaged(f"the {which} database has schema {version}, which is unknown; restore a backup") from error
    return version, schema_version(engine)


def check_not_newer(engine: sa.Engine, which: Which) -> str | None:
    """Return the revision of the schema, which this earmark knows or can move on.

    Raises:
        SchemaRefused: a newer earmark wrote it.
        Unreachable: the database does not answer.
    """
    version = schema_version(engine)
    if version is not None and version > HEADS[which]:
        raise SchemaRefused(
            f"the {which} database has schema {version}, which a newer earmark wrote; this one knows {HEADS[which]}:"
            " install the newer one"
        )
    return version
