"""What is wrong with a store that can't be used now, such as a full disk or a locked database, and the remedy.

Faults of the machine are named as such, in one line, whatever library met them first.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final

from corpus.errors import Damaged, EarmarkError, HomeBusy, HostFault, Unreachable

_FAULTS: Final = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota of this user is used up; free some space",
    errno.EFBIG: "the file would be larger than this user may write; raise the limit (ulimit -f)",
    errno.EROFS: "it is on a file system that is mounted read-only; mount it for writing",
    errno.EACCES: "this user may not read or write it; change its permissions, or run as its owner",
    errno.EPERM: "this user may not read or write it; change its permissions, or run as its owner",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine; close some",
    errno.EIO: "the disk can't read or write; check it",
    errno.ESTALE: "the network folder is gone; mount it again",
}
"""Fault and remedy by the code of the error."""

_END: Final = ", then run the command again: nothing is lost"


def fault_of(error: OSError, what: str) -> HostFault:
    """Return the fault of the machine that kept something from being read or written.

    Args:
        error: what the operating system said.
        what: what was read or written, as a person reads it; a path of a store, never that of somebody's clip.
    """
    code = error.errno or 0
    why = _FAULTS.get(code) or f"{os.strerror(code) if code else type(error).__name__}; check the disk"
    return HostFault(f"{what} can't be used now: {why}{_END}")


def is_fault(error: OSError) -> bool:
    """Return whether the machine is at fault, not the name of the file."""
    return error.errno in _FAULTS


def sqlite_fault(error: BaseException, path: str, timeout: float) -> EarmarkError | None:
    """Return what an error of SQLite says about the database, None where it is about the statement.

    Args:
        error: of the driver.
        path: of the database.
        timeout: how long it was waited for [s].
    """
    if not isinstance(error, sqlite3.Error):
        return None
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    what = f"the database {path}"
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return HomeBusy(
            f"{what} is locked by another program for more than {timeout:g} s; wait for it or end it{_END},"
            " or set corpus.store_timeout higher"
        )
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Damaged(f"{what} is damaged or no database; restore it from a backup")
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _is_full(path)):
        return fault_of(OSError(errno.ENOSPC, ""), what)
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return fault_of(OSError(errno.EROFS if _is_read_only_mount(path) else errno.EACCES, ""), what)
    if primary == sqlite3.SQLITE_IOERR:
        return fault_of(OSError(errno.EIO, ""), what)
    if primary == sqlite3.SQLITE_CANTOPEN:
        return fault_of(OSError(errno.EACCES, ""), what) if Path(path).exists() else _not_there(what)
    return None


def _not_there(what: str) -> EarmarkError:
    return Unreachable(f"{what} can't be opened: there is no such folder; correct its URL")


def _is_full(path: str) -> bool:
    """Return whether the disk has no block left; SQLite may call that an error of input and output."""
    try:
        return os.statvfs(Path(path).parent).f_bavail == 0
    except OSError:
        return False


def _is_read_only_mount(path: str) -> bool:
    try:
        return bool(os.statvfs(Path(path).parent).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def is_writable(folder: Path) -> bool:
    """Return whether this user may make files in a folder, which need not exist yet."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    return os.access(there, os.W_OK | os.X_OK)
