"""Folders that others can reach, such as a shared task folder: nothing is written through a link that somebody planted.

A folder is held open while files are written into it, so that nobody can put another one in its place; each file is
new, under a random name, and then takes the place of what has its name. So a link there, or a second name of another
file, is replaced, and what it leads to stays as it is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from corpus.errors import UsageError
from corpus.storage.durable_write import TEMPORARY

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe of that name is not waited for


@dataclass(frozen=True, slots=True)
class OwnFolder:
    """A folder that is ours, held open by its descriptor."""

    path: Path
    descriptor: int

    def write(self, name: str, pieces: Iterable[bytes]) -> Path:
        """Write a file durably, readable by its owner alone, in place of what has the name; return its path.

        Raises:
            UsageError: it can't be written.
        """
        draft = TEMPORARY + secrets.token_hex(8)
        with _one_line(self.path / name):
            try:
                with os.fdopen(os.open(draft, _NEW, 0o600, dir_fd=self.descriptor), "wb") as file:
                    file.writelines(pieces)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(draft, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(draft, dir_fd=self.descriptor)
            os.fsync(self.descriptor)
        return self.path / name

    def holds(self, name: str, head: bytes, size: int) -> bool:
        """Return whether there is a file of ours, under this name alone, of so many bytes, that begins with `head`."""
        try:
            descriptor = os.open(name, _READ, dir_fd=self.descriptor)
        except OSError:
            return False
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            ours = stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == _owner(self.descriptor)
            return ours and found.st_size == size and file.read(len(head)) == head


@contextmanager
def own_folder(path: Path, below: Path | None = None) -> Iterator[OwnFolder]:
    """Open a folder, made where it is missing, until the block ends; links below the chosen folder are not followed.

    Args:
        path: of the folder.
        below: folder that a person chose, in which it lies; None for the folder itself.

    Raises:
        UsageError: a part of the path below is a link, a file or of somebody else, or the folder can't be made.
    """
    place = below or path
    with _one_line(place):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(place, _FOLDER)
    try:
        for name in path.relative_to(place).parts:
            place = place / name
            with _one_line(place):
                inner = _entered(descriptor, place)
            os.close(descriptor)
            descriptor = inner
        yield OwnFolder(path, descriptor)
    finally:
        os.close(descriptor)


def _entered(descriptor: int, place: Path) -> int:
    """Return the descriptor of a folder in the open one, which is made where it is missing."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(place.name, 0o700, dir_fd=descriptor)
    try:
        inner = os.open(place.name, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise UsageError(f"{place} is a link or a file where a folder of earmark belongs; move it away") from None
        raise
    if _owner(inner) != os.geteuid() and _owner(inner) != _owner_of_new(inner):
        os.close(inner)
        raise UsageError(f"{place} belongs to somebody else; move it away or choose another folder")
    return inner


def _owner(descriptor: int) -> int:
    return os.fstat(descriptor).st_uid


def _owner_of_new(folder: int) -> int | None:
    """Return whose a file is that we make in the folder, None where we can't: on some shares it is not our number."""
    name = TEMPORARY + secrets.token_hex(8)
    try:
        with os.fdopen(os.open(name, _NEW, 0o600, dir_fd=folder), "wb") as file:
            owner = _owner(file.fileno())
        os.unlink(name, dir_fd=folder)
    except OSError:
        return None
    return owner


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}; choose a folder with room and rights") from None
