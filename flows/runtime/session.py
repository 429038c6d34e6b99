"""What every command does around its work: settings, the lock on the home, Prefect's server, errors without content."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

from corpus.errors import EarmarkError
from corpus.handle import Corpus, open_corpus
from flows.runtime.lock import hold_corpus
from flows.runtime.prefect_server import PrefectServer, prefect_server
from flows.runtime.settings import ACTIVE, Settings, scheduled

PATIENCE = 3600.0
"""How long a run that a schedule or a remote command started waits for the home [s]; nobody is there to try again."""

P = ParamSpec("P")
R = TypeVar("R")


@contextlib.contextmanager
def running(settings: Settings, what: str) -> Iterator[None]:
    """The home is held, Prefect's server starts up and `settings` are the active ones until the block ends."""
    with hold_corpus(settings.corpus, what), prefect_server(settings.home, settings.prefect) as server:
        token = ACTIVE.set(settings)
        try:
            with _prefect(server, settings):
                yield
        finally:
            ACTIVE.reset(token)


def _flush() -> None:
    """What Prefect still holds of logs and events is with its server, which is about to end."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=10)
    EventsWorker.drain_all(timeout=10)


@contextlib.contextmanager
def _prefect(server: PrefectServer, settings: Settings) -> Iterator[None]:
    """Prefect is imported while its server starts up, and speaks to that server until the block ends."""
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    server.wait_until_ready(settings.prefect.start_timeout)
    # Without a heartbeat: each flow would wait up to a second for its thread, and a killed run is found by the lock.
    with temporary_settings({PREFECT_API_URL: server.api_url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        try:
            yield
        finally:
            _flush()


@contextlib.contextmanager
def opened(settings: Settings, *, create: bool = True) -> Iterator[Corpus]:
    """The corpus is open until the block ends; without `create` a home that is not there is an error."""
    corpus = open_corpus(settings.corpus, create=create)
    try:
        yield corpus
    finally:
        corpus.close()


@contextlib.contextmanager
def at_work(config: str | None) -> Iterator[tuple[Corpus, Settings]]:
    """The corpus is open with the running command's settings; a flow that a schedule started holds the home itself."""
    settings = ACTIVE.get()
    if settings is not None:
        with opened(settings) as corpus:
            yield corpus, settings
        return
    settings = scheduled(config)
    with hold_corpus(settings.corpus, "scheduled run", patience=PATIENCE), opened(settings) as corpus:
        token = ACTIVE.set(settings)
        try:
            yield corpus, settings
        finally:
            ACTIVE.reset(token)


class Unexpected(EarmarkError):
    """Something that earmark does not foresee; its text names the place, never the message, which may hold content."""


def without_content(function: Callable[P, R]) -> Callable[P, R]:
    """An unforeseen exception leaves the function as `Unexpected`: its own message could carry content into a log."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except EarmarkError:
            raise
        except Exception as error:
            if os.environ.get("EARMARK_DEBUG"):
                raise
            raise Unexpected(place(error)) from None

    return guarded


def place(error: BaseException) -> str:
    """Return the type of an exception and where in earmark it came from."""
    root = Path(__file__).resolve().parents[2]
    frames = traceback.extract_tb(error.__traceback__)
    inside = [f for f in frames if Path(f.filename).is_relative_to(root) and ".venv" not in Path(f.filename).parts]
    last = [*frames, *inside][-1:]
    where = f" at {Path(last[0].filename).name}:{last[0].lineno}" if last else ""
    return (
        f"unforeseen {type(error).__name__}{where}; nothing is lost, run the command again"
        " or set EARMARK_DEBUG=1 to see the whole trace"
    )


def fail(error: BaseException) -> int:
    """The error stands on stderr as one line; returns the exit status."""
    if isinstance(error, EarmarkError):
        line, status = str(error), error.exit_status
    else:
        line, status = place(error), 1
        if os.environ.get("EARMARK_DEBUG"):
            traceback.print_exception(error)
    print("earmark: " + " ".join(line.split()), file=sys.stderr, flush=True)
    return status
