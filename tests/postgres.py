"""A PostgreSQL server of the tests' own, on a socket in a temporary folder, and databases on it."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from corpus.storage import database
from corpus.storage import records_schema as schema
from corpus.storage.database import HEADS, Which
from corpus.vault import vault_schema

_FOUND = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
INITDB = shutil.which("initdb") or (str(_FOUND[-1]) if _FOUND else None)
MISSING = "there is no initdb of PostgreSQL, on the path or in /usr/lib/postgresql/*/bin; apt-get install postgresql"

TABLES: dict[Which, sa.MetaData] = {"records": schema.METADATA, "vault": vault_schema.METADATA}


@dataclass
class Server:
    """A server that listens on the socket in `folder`."""

    folder: str
    process: subprocess.Popen[bytes] | None = None
    command: Sequence[str] = ()
    user: str | None = None
    _number: Iterator[int] = field(default_factory=itertools.count)
    _free: list[dict[Which, str]] = field(default_factory=list)

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def run(self, *statements: str) -> None:
        engine = sa.create_engine(database.engine(self.url()).url, isolation_level="AUTOCOMMIT")
        with engine.connect() as conn:
            for statement in statements:
                conn.execute(sa.text(statement))
        engine.dispose()

    def new(self, template: str | None = None) -> str:
        """Return the name of a new database; empty, or with the rows of another that nobody is connected to."""
        name = f"test_{next(self._number)}_{os.getpid()}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
        return name

    def drop(self, names: Sequence[str]) -> None:
        self.run(*(f"DROP DATABASE {name} WITH (FORCE)" for name in names))

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Kill the server with all its connections, and start it again after the block."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)  # it ends at once and recovers from its log when it starts again
        self.process.wait(60)
        try:
            yield
        finally:
            self.process = _start(self.command, self.user, self.folder)
            _wait_for(self)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop every process of the server, which keeps its connections, and let them go on after the block."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        processes = [self.process.pid, *map(int, children)]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    @contextlib.contextmanager
    def corpus(self) -> Iterator[dict[str, str]]:
        """Give the settings of a corpus on two databases of the newest schema and without rows."""
        names = self._free.pop() if self._free else {which: self._filled(which) for which in TABLES}
        try:
            yield {f"{which}_url": self.url(name) for which, name in names.items()}
        finally:
            # Emptied and used again: making and dropping two databases takes longer than most tests.
            if all(self._emptied(which, name) for which, name in names.items()):
                self._free.append(names)

    def _filled(self, which: Which) -> str:
        name = self.new()
        engine = database.engine(self.url(name))
        database.upgrade(engine, which)
        engine.dispose()
        return name

    def _emptied(self, which: Which, name: str) -> bool:
        self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        engine = database.engine(self.url(name))
        try:
            tables = {*TABLES[which].tables, "alembic_version"}
            if set(sa.inspect(engine).get_table_names()) != tables or database.schema_version(engine) != HEADS[which]:
                return False
            with database.writing(engine) as conn:
                conn.execute(sa.text(f"TRUNCATE {', '.join(TABLES[which].tables)}"))
                conn.execute(sa.insert(TABLES[which].tables["audit_head"]), {"id": 1, "seq": 0, "hash": "0" * 64})
            return True
        finally:
            engine.dispose()


@contextlib.contextmanager
def started() -> Iterator[Server]:
    """Give a server that ends with the block and leaves no file."""
    programs = Path(str(INITDB)).resolve().parent
    folder = Path(tempfile.mkdtemp(prefix="earmark-pg-"))
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    initdb = [str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres", "--no-sync"]
    subprocess.run(initdb, user=user, cwd=folder, check=True, capture_output=True)
    command = [str(programs / "postgres"), "-D", str(data), "-k", str(folder), "-c", "listen_addresses=", "-F"]
    server = Server(str(folder), _start(command, user, str(folder)), command, user)
    try:
        _wait_for(server)
        yield server
    finally:
        assert server.process is not None
        server.process.send_signal(signal.SIGINT)  # SIGTERM would wait for connections that a failed test left open
        server.process.wait(60)
        shutil.rmtree(folder)


def _start(command: Sequence[str], user: str | None, folder: str) -> subprocess.Popen[bytes]:
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(command, user=user, cwd=folder, stdout=nowhere, stderr=nowhere)


def _wait_for(server: Server) -> None:
    for _ in range(600):
        try:
            server.run("SELECT 1")
            return
        except sa.exc.OperationalError:
            time.sleep(0.1)
    raise TimeoutError("the server does not answer")


def move(source: str, target: str, which: Which) -> None:
    """Leave every row of one database in another, which has the schema and no rows yet, or only its first ones."""
    from_, to = database.engine(source), database.engine(target)
    with database.reading(from_) as rows, database.writing(to) as conn:
        for table in reversed(TABLES[which].sorted_tables):
            conn.execute(sa.delete(table))
        for table in TABLES[which].sorted_tables:
            found = [dict(row._mapping) for row in rows.execute(sa.select(table))]
            if found:
                conn.execute(sa.insert(table), found)
    from_.dispose()
    to.dispose()


def files_of(engine: sa.Engine) -> bytes:
    """Return the bytes of every file that a database's tables lie in."""
    with engine.connect() as conn:
        conn.execute(sa.text("CHECKPOINT"))
        oid = conn.execute(sa.text("SELECT oid FROM pg_database WHERE datname = current_database()")).scalar()
    folder = Path(str(engine.url.query["host"])) / "data" / "base" / str(oid)
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())
