"""A PostgreSQL server that is really frozen, and one that is busy."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus.errors import Unreachable
from corpus.storage import database, postgres_watch
from tests.postgres import Server

PATIENCE = 3.0


@pytest.fixture
def engine(postgres_server: Server) -> Iterator[sa.Engine]:
    made = database.engine(postgres_server.url(), PATIENCE)
    yield made
    made.dispose()


@contextlib.contextmanager
def freezing(server: Server, after: float) -> Iterator[None]:
    """The server is frozen some time after the begin of the block, and goes on at its end."""
    with contextlib.ExitStack() as stack:
        timer = threading.Timer(after, lambda: stack.enter_context(server.frozen()))
        timer.start()
        try:
            yield
        finally:
            timer.join()


def test_a_server_that_freezes_in_a_query_is_given_up(postgres_server: Server, engine: sa.Engine) -> None:
    gone = pytest.raises(
        Unreachable, match=r"the database postgres went away: it gave no answer for 3 s \(corpus.store_timeout\)"
    )
    began = time.monotonic()
    with freezing(postgres_server, 0.5):
        # The second connection is rolled back at the end of its block, which asks the frozen server again.
        with gone, database.reading(engine) as other:
            other.execute(sa.text("SELECT 1"))
            with database.writing(engine) as conn:
                conn.execute(sa.text("SELECT pg_sleep(1)"))
        assert time.monotonic() - began < 3 * PATIENCE
        with pytest.raises(Unreachable, match="can't be used: connection timeout expired"), database.reading(engine):
            pass
    with database.reading(engine) as conn:
        assert conn.execute(sa.text("SELECT 1")).scalar() == 1


def test_a_statement_may_take_longer_than_a_silent_server_is_waited_for(engine: sa.Engine) -> None:
    with database.writing(engine) as conn:
        assert conn.execute(sa.text("SELECT 7 FROM pg_sleep(4)")).scalar() == 7


def test_a_server_that_answers_the_second_time_is_waited_for(postgres_server: Server, engine: sa.Engine) -> None:
    def freeze() -> None:
        with postgres_server.frozen():
            time.sleep(4)  # the first try ends after 1.5 + 2 s, the second one gets its answer

    with database.reading(engine) as conn:
        thread = threading.Timer(0.3, freeze)
        thread.start()
        assert conn.execute(sa.text("SELECT 7 FROM pg_sleep(1)")).scalar() == 7
        thread.join()


def test_what_is_wrong_on_the_way_to_another_connection_ends_no_statement(
    postgres_server: Server, engine: sa.Engine
) -> None:
    (socket,) = (path for path in Path(postgres_server.folder).glob(".s.PGSQL.*") if not path.name.endswith(".lock"))
    hidden = socket.with_name("hidden")
    with database.reading(engine) as conn:
        socket.rename(hidden)
        try:
            assert conn.execute(sa.text("SELECT 7 FROM pg_sleep(4)")).scalar() == 7
        finally:
            hidden.rename(socket)


def test_a_silence_of_long_ago_shortens_no_try(postgres_server: Server) -> None:
    url = database.engine(postgres_server.url()).url.set(drivername="postgresql")
    connection = postgres_watch.connected(40, url.render_as_string(hide_password=False))
    assert isinstance(connection, postgres_watch.WatchedConnection)
    silent = postgres_watch._SILENT
    try:
        silent[connection.server] = time.monotonic()
        assert connection._time_to_connect() == postgres_watch.LEAST
        silent[connection.server] -= 41
        assert connection._time_to_connect() == 10
    finally:
        silent.pop(connection.server, None)
        connection.close()


def test_a_busy_server_without_a_free_connection_is_waited_for(postgres_server: Server) -> None:
    name = postgres_server.new()
    postgres_server.run(f"ALTER DATABASE {name} CONNECTION LIMIT 1", "CREATE ROLE someone LOGIN")
    url = sa.make_url(postgres_server.url(name)).set(username="someone")
    engine = database.engine(url.render_as_string(hide_password=False), PATIENCE)
    with database.reading(engine) as conn:
        with pytest.raises(Unreachable, match="too many connections"):
            database.schema_version(database.engine(url.render_as_string(hide_password=False), PATIENCE))
        assert conn.execute(sa.text("SELECT 7 FROM pg_sleep(4)")).scalar() == 7
    engine.dispose()
    postgres_server.drop([name])


def test_a_server_that_ended_meanwhile_is_named_and_found_again(postgres_server: Server, engine: sa.Engine) -> None:
    with database.reading(engine) as conn:
        conn.execute(sa.text("SELECT 1"))
    with postgres_server.down():
        for _ in range(2):
            with pytest.raises(Unreachable, match="can't be used"), database.reading(engine):
                pass
    with database.reading(engine) as conn:
        conn.execute(sa.text("SELECT 1"))
    with postgres_server.down():
        pass
    with database.reading(engine) as conn:  # on a connection of its own, as the kept one is tried first
        assert conn.execute(sa.text("SELECT 1")).scalar() == 1
