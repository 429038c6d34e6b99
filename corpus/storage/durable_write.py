"""Durable writes: a file appears complete under its name or not at all, and then survives a power cut."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

TEMPORARY: Final = ".tmp-"
"""Prefix of the names of unfinished files and folders."""


def write_file(path: Path, pieces: Iterable[bytes], temporary: Path | None = None) -> None:
    """Write the pieces to `path`, replacing an existing file in one step; readers see the old bytes or the new ones.

    The file is readable by its owner alone. A kill leaves at most the temporary file.

    Args:
        path: path of the file; folders above it are made where missing.
        pieces: the content, in order.
        temporary: name under which the file is written first; None for a new random name.

    Raises:
        OSError: the folder can't be written to, or is full.
    """
    with _written(path, pieces, temporary) as draft:
        draft.replace(path)
    sync(path.parent)


def write_new_file(path: Path, pieces: Iterable[bytes]) -> bool:
    """Write the pieces to `path` unless that file exists; return whether it was written.

    If several processes try at the same time, exactly one succeeds: a link, unlike a rename, replaces nothing.

    Raises:
        OSError: the folder can't be written to, or is full.
    """
    with _written(path, pieces, None) as draft:
        return link_new(draft, path)


def link_new(draft: Path, path: Path) -> bool:
    """Link a finished file to a second name, durably, unless that name is taken; return whether it was linked."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        sync(path.parent)
    return True


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk; a rename is durable only after its folder is flushed."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_name(path: Path) -> Path:
    """Return a new random name beside `path`, with the prefix of unfinished files."""
    return path.with_name(TEMPORARY + secrets.token_hex(8))


@contextmanager
def _written(path: Path, pieces: Iterable[bytes], temporary: Path | None) -> Iterator[Path]:
    """Write the pieces durably to a file beside `path` and yield it; remove it at the end if it still exists."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = temporary or temporary_name(path)
    if temporary is not None:  # a killed run may have left this file
        temporary.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
