"""Two runs on one corpus exclude each other; a killed run frees it by dying."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from corpus.advisory import hold_database
from corpus.errors import HomeBusy
from corpus.settings import CorpusSettings, places


@contextlib.contextmanager
def hold_corpus(settings: CorpusSettings, what: str) -> Iterator[None]:
    """The home, and the records where they lie on a server, are ours until the block ends or the process dies.

    The folder is locked by a file, which another machine with a home of its own would not see; the server keeps it out.

    Args:
        settings: where the corpus lies.
        what: the command, for the one who is refused meanwhile.

    Raises:
        HomeBusy: another live process holds one of them.
        Unreachable: the server does not answer.
    """
    holder = f"earmark {what} (process {os.getpid()} on {platform.node() or 'an unnamed machine'})"
    home = settings.home.expanduser().resolve()
    with _hold_folder(home, holder), hold_database(places(settings).records_url, holder):
        yield


@contextlib.contextmanager
def _hold_folder(home: Path, holder: str) -> Iterator[None]:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (home / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            other = file.read().strip() or "another run"
            raise HomeBusy(f"the home is in use by {other}; wait until it ends, then run this again") from None
        file.truncate(0)
        file.write(holder)
        file.flush()
        yield
