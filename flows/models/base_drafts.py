"""Unfinished folders of bases: each is locked by the process that fills it, and removed once that process is gone."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from corpus.storage.durable_write import TEMPORARY, sync, temporary_name
from flows.models import registry
from flows.runtime.lock import hold_bases, try_lock
from training.loop.model_files import FORMER, put_back

LOCK: Final = ".lock"
"""File in a draft that its process has locked."""


@contextmanager
def base_draft(home: Path) -> Iterator[Path]:
    """Yield an empty draft folder beside the bases of a home; what has its name after the block is removed.

    Drafts that killed processes left are removed first.

    Raises:
        HomeBusy: another process has the names of bases all the time.
    """
    place = registry.added_bases(home)
    with hold_bases(home, "base add"):
        place.mkdir(mode=0o700, exist_ok=True)
        _sweep(home)
        draft = temporary_name(place / "draft")
        draft.mkdir()
        lock = (draft / LOCK).open("a+")
        while not try_lock(lock):  # a doctor looks at it for a moment
            time.sleep(0.01)
    with lock:  # until the draft is gone, so that nobody takes it for one that was left
        try:
            yield draft
        finally:
            remove_draft(draft)


def unnamed(folder: Path) -> Path:
    """Take the name from a base in one step, and return the draft that it is from now on.

    Only who has the names of bases calls this. A kill after it leaves a draft that nobody fills.
    """
    draft = temporary_name(folder.parent / "draft")
    folder.rename(draft)
    sync(folder.parent)
    return draft


def remove_draft(draft: Path) -> None:
    """Remove a draft, its lock last, so that what is not gone yet is never one that nobody fills.

    Of a link to a folder elsewhere the link goes alone.
    """
    if draft.is_symlink():
        draft.unlink()
        return
    for path in draft.iterdir() if draft.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOCK:
            path.unlink(missing_ok=True)
    shutil.rmtree(draft, ignore_errors=True)


def left_drafts(home: Path) -> list[Path]:
    """Return the drafts of processes that are gone.

    A live process makes and names a draft while it has the names of bases, so nobody else has them while this looks.

    Raises:
        HomeBusy: another process has the names of bases all the time.
    """
    if not registry.added_bases(home).is_dir():
        return []
    with hold_bases(home, "doctor"):
        return [draft for draft in _left(home) if any(draft.iterdir())]


def sweep_drafts(home: Path) -> int:
    """Remove the drafts of processes that are gone; return how many there were.

    Raises:
        HomeBusy: another process has the names of bases all the time.
    """
    if not registry.added_bases(home).is_dir():
        return 0
    with hold_bases(home, "doctor --repair"):
        return _sweep(home)


def _sweep(home: Path) -> int:
    left, place = _left(home), registry.added_bases(home)
    for draft in left:
        remove_draft(draft)
    for former in place.glob(f"{FORMER}*"):
        put_back(place / former.name.removeprefix(FORMER))
    return len(left)


def _left(home: Path) -> list[Path]:
    return [draft for draft in sorted(registry.added_bases(home).glob(f"{TEMPORARY}*")) if not _is_filled(draft)]


def _is_filled(draft: Path) -> bool:
    """Return whether a live process fills the draft."""
    try:
        with (draft / LOCK).open("r+") as file:
            return not try_lock(file)
    except OSError:  # a draft of an earlier earmark has no lock
        return False
