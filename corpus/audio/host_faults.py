"""Why a file can't be read: something that its owner can change, or a fault of the machine, which passes.

Only the former refuses a recording. The latter says nothing about it: the work on it stops and is done again later.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from corpus.errors import AudioRefused, HostFault

_OF_THE_FILE: Final = {
    errno.ENOENT: ("missing_file", "the file is not there"),
    errno.ENOTDIR: ("missing_file", "the file is not there"),
    errno.EACCES: ("no_permission", "the file, or a folder above it, may not be read"),
    errno.EPERM: ("no_permission", "the file, or a folder above it, may not be read"),
    errno.ELOOP: ("unreadable", "its symbolic links form a loop"),
    errno.ENAMETOOLONG: ("unreadable", "its name is too long for a file"),
    errno.EINVAL: ("unreadable", "its name can't be one of a file"),
    errno.EILSEQ: ("unreadable", "its name can't be one of a file"),
    errno.EISDIR: ("unreadable", "not a regular file"),
}
"""Reason of `AudioRefused` and fault, by the code of the error."""


def refusal_of(error: OSError | ValueError | MemoryError) -> AudioRefused:
    """Return why a recording is refused whose file could not be read.

    Raises:
        HostFault: the machine could not read it: damaged disk, stale mount, too many open files, no memory, ...
    """
    if isinstance(error, ValueError):
        return AudioRefused(*_OF_THE_FILE[errno.EINVAL])
    found = _OF_THE_FILE.get(error.errno or 0) if isinstance(error, OSError) else None
    if found is None:
        raise HostFault(f"its file can't be read now: {host_fault(error)}") from error
    return AudioRefused(*found)


def is_host_fault(error: OSError) -> bool:
    """Return whether the machine is at fault for an error of reading a file, and not the file or its name."""
    return error.errno is not None and error.errno not in _OF_THE_FILE  # None: a library's own error, on the content


def host_fault(error: OSError | MemoryError) -> str:
    """Return what the machine lacks and what to do, in one line without a path."""
    number = (error.errno or 0) if isinstance(error, OSError) else errno.ENOMEM
    what = os.strerror(number) if number else type(error).__name__
    name = f" ({errno.errorcode[number]})" if number in errno.errorcode else ""
    return (
        f"{what}{name}; this is a fault of the machine, not of the file: mend it and run the command again,"
        " what was stored so far is kept"
    )
