"""Two runs on one home exclude each other; a killed run frees the home by dying."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from corpus.errors import HomeBusy
from corpus.handle import make_home


@contextlib.contextmanager
def hold_home(home: Path, what: str, patience: float = 0.0) -> Iterator[None]:
    """The home is ours until the block ends or the process dies.

    Args:
        home: EARMARK_HOME.
        what: the command, for the one who is refused meanwhile.
        patience: how long to wait for another process that holds it [s].

    Raises:
        HomeBusy: another live process holds it.
    """
    make_home(home)
    with (home / "lock").open("a+") as file:
        until = time.monotonic() + patience
        while not (ours := _locked(file)) and time.monotonic() < until:
            time.sleep(0.5)
        if not ours:
            file.seek(0)
            holder = file.read().strip() or "another run"
            raise HomeBusy(f"the home is in use by {holder}; wait until it ends, then run this again")
        file.truncate(0)
        file.write(f"earmark {what} (process {os.getpid()})")
        file.flush()
        yield


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
