"""Lock a corpus, so that only one process at a time changes it; the operating system frees the lock of a killed one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

from corpus.errors import HomeBusy
from corpus.handle import make_home
from corpus.settings import CorpusSettings, places
from corpus.storage.postgres_lock import hold_database
from corpus.user_paths import expanded
from flows.runtime import progress

BASES_LOCK: Final = "bases.lock"
"""File in the home that is the lock of the names in its folder of bases."""

BASES_PATIENCE: Final = 120.0
"""How long to wait for the names of bases [s]; a process has them for the time of a rename and of a digest."""


@contextlib.contextmanager
def hold_corpus(settings: CorpusSettings, command: str, patience: float = 0.0) -> Iterator[None]:
    """Lock the home, and the records where they are on a server, until the block ends or the process dies.

    A file in the home is the lock of the folder. Another machine with a home of its own does not see this file, so
    records on a server are locked there as well.

    Args:
        settings: where the corpus is.
        command: its name, which another process that wants the corpus is shown.
        patience: how long to wait for a process that has the lock [s].

    Raises:
        HomeBusy: another live process has one of the locks.
        Unreachable: the server does not answer.
    """
    holder = _holder(command)
    home = expanded(settings.home).resolve()
    stores = places(settings)
    database = hold_database(stores.records_url, holder, patience, stores.store_timeout)
    with _hold_folder(home, "lock", holder, patience), database:
        yield


@contextlib.contextmanager
def hold_when_free(
    settings: CorpusSettings, command: str, patience: float, on_busy: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Lock the corpus as `hold_corpus` does; where another process has it, say so and wait with a line of progress.

    Args:
        settings: where the corpus is.
        command: its name, which another process that wants the corpus is shown.
        patience: how long to wait for a process that has the lock [s].
        on_busy: called before the wait.

    Raises:
        HomeBusy: another live process has one of the locks all the time.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold_corpus(settings, command))
        except HomeBusy as busy:
            on_busy()
            if not patience:
                raise
            progress.note(f"{str(busy).partition(';')[0]}; waiting for {patience:g} s at most")
            with progress.track("waiting for the home", None, "commands"):
                stack.enter_context(hold_corpus(settings, command, patience))
        yield


@contextlib.contextmanager
def hold_bases(home: Path, command: str, patience: float = BASES_PATIENCE) -> Iterator[None]:
    """Lock the names in the home's folder of bases until the block ends or the process dies.

    It is no lock of the home: a base can be added while a night runs, and where there is no corpus yet.

    Args:
        home: EARMARK_HOME.
        command: its name, which another process that wants the names is shown.
        patience: how long to wait for a process that has them [s].

    Raises:
        HomeBusy: another live process has the lock all the time.
    """
    with _hold_folder(home, BASES_LOCK, _holder(command), patience):
        yield


def _holder(command: str) -> str:
    return f"earmark {command} (process {os.getpid()} on {platform.node() or 'an unnamed machine'})"


@contextlib.contextmanager
def _hold_folder(home: Path, lock: str, holder: str, patience: float) -> Iterator[None]:
    make_home(home)
    with open(home / lock, "a+", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        until = time.monotonic() + patience
        while not (locked := try_lock(file)) and time.monotonic() < until:
            time.sleep(0.5)
        if not locked:
            file.seek(0)
            other = file.read().strip() or "another run"
            raise HomeBusy(f"the home is in use by {other}; wait until it ends, then run this again")
        file.truncate(0)
        file.write(holder)
        file.flush()
        yield


def try_lock(file: IO[str]) -> bool:
    """Lock an open file until it is closed or the process dies; return whether no other process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
