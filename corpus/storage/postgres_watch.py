"""Connections to PostgreSQL that give up a server which no longer answers, but none that is busy.

A server that is frozen, or whose machine is, keeps its connections, and the kernel goes on acknowledging what is sent:
no time-out of the server or of TCP ends the wait. A statement may take long for good reasons, too, such as an upgrade.
So where nothing comes for a while, another connection is tried. Only silence counts, and only twice in a row: whatever
else is wrong with another connection, such as no free one or a name that is not found now, says nothing about this one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Final, TypeVar

import psycopg

R = TypeVar("R")

LEAST: Final = 2
"""Shortest time in which libpq gives up to connect [s]."""

_SILENT: Final[dict[str, float]] = {}
"""When a server was given up, by what connects to it: its other connections, such as one that is rolled back, need not
wait as long."""

_TRIES: Final = 2
"""After so many time-outs in a row a server is given up; one may be a packet that was lost."""


class WatchedConnection(psycopg.Connection[Any]):
    """A connection that fails where its server does not answer for a while, whatever it was asked.

    Attributes:
        patience: how long is a while [s].
        server: what connects to it, without a password.
        connect_again: opens another connection to the server within so many seconds.
    """

    patience: float = 30.0
    server: str = ""
    connect_again: Callable[[int], psycopg.Connection[Any]] | None = None

    def wait(self, gen: Generator[Any, Any, R], *args: Any, **kwargs: Any) -> R:
        """Consume a generator that talks to the server, and watch the server meanwhile."""
        return super().wait(self._watched(gen), *args, **kwargs)

    def _watched(self, gen: Generator[Any, Any, R]) -> Generator[Any, Any, R]:
        heard = time.monotonic()
        try:
            awaited = next(gen)
            while True:
                ready = yield awaited  # nothing, several times a second, while nothing comes
                if ready:
                    heard = time.monotonic()
                elif time.monotonic() - heard > self._longest_silence():
                    self._check_server()
                    heard = time.monotonic()
                awaited = gen.send(ready)
        except StopIteration as end:
            result: R = end.value
            return result

    def _lately_silent(self) -> bool:
        given_up = _SILENT.get(self.server)
        return given_up is not None and time.monotonic() - given_up < self.patience

    def _longest_silence(self) -> float:
        return 0.0 if self._lately_silent() else self.patience / 2

    def _time_to_connect(self) -> int:
        return LEAST if self._lately_silent() else max(LEAST, round(self.patience / 2 / _TRIES))

    def _check_server(self) -> None:
        """Close the connection where the server does not answer another one.

        Raises:
            psycopg.OperationalError: it does not.
        """
        tries = 1 if self._lately_silent() else _TRIES  # an answer since then would have ended that
        if self.connect_again is None or not all(self._is_silent(self._time_to_connect()) for _ in range(tries)):
            _SILENT.pop(self.server, None)
            return
        _SILENT[self.server] = time.monotonic()
        self.close()
        raise psycopg.OperationalError(f"it gave no answer for {self.patience:g} s (corpus.store_timeout)")

    def _is_silent(self, seconds: int) -> bool:
        """Return whether another connection waits in vain for an answer so many seconds."""
        assert self.connect_again is not None
        try:
            self.connect_again(seconds).close()
        except psycopg.errors.ConnectionTimeout:
            return True
        except psycopg.OperationalError:
            return False
        return False


def connected(patience: float, *args: Any, **options: Any) -> psycopg.Connection[Any]:
    """Return a new connection that gives the server up after so long [s]; the rest is what psycopg connects with."""
    connection = WatchedConnection.connect(*args, **options)
    connection.patience, connection.server = patience, connection.info.dsn
    connection.connect_again = partial(_connect, args, options)
    return connection


def _connect(args: tuple[Any, ...], options: dict[str, Any], seconds: int) -> psycopg.Connection[Any]:
    return psycopg.connect(*args, **options | {"connect_timeout": seconds})
