"""Two runs on one corpus exclude each other; a killed run frees it by dying."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from corpus.errors import HomeBusy
from corpus.handle import make_home
from corpus.settings import CorpusSettings, places
from corpus.storage.postgres_lock import hold_database


@contextlib.contextmanager
def hold_corpus(settings: CorpusSettings, what: str, patience: float = 0.0) -> Iterator[None]:
    """The home, and the records where they lie on a server, are ours until the block ends or the process dies.

    The folder is locked by a file, which another machine with a home of its own would not see; the server keeps it out.

    Args:
        settings: where the corpus lies.
        what: the command, for the one who is refused meanwhile.
        patience: how long to wait for another process that holds it [s].

    Raises:
        HomeBusy: another live process holds one of them.
        Unreachable: the server does not answer.
    """
    holder = f"earmark {what} (process {os.getpid()} on {platform.node() or 'an unnamed machine'})"
    home = settings.home.expanduser().resolve()
    url = places(settings).records_url
    with _hold_folder(home, holder, patience), hold_database(url, holder, patience):
        yield


@contextlib.contextmanager
def _hold_folder(home: Path, holder: str, patience: float) -> Iterator[None]:
    make_home(home)
    with (home / "lock").open("a+") as file:
        until = time.monotonic() + patience
        while not (ours := _locked(file)) and time.monotonic() < until:
            time.sleep(0.5)
        if not ours:
            file.seek(0)
            other = file.read().strip() or "another run"
            raise HomeBusy(f"the home is in use by {other}; wait until it ends, then run this again")
        file.truncate(0)
        file.write(holder)
        file.flush()
        yield


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
