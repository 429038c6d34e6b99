"""Durable writes: a file appears whole under its name, or not at all, and survives a power cut once it is there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

TEMPORARY: Final = ".tmp-"
"""What the name of an unfinished file or folder begins with."""


def write_file(path: Path, pieces: Iterable[bytes], temporary: Path | None = None) -> None:
    """Write the pieces to `path` in one step, replacing what was there; readers see the old bytes or the new.

    The file is readable by its owner alone. A kill leaves at most the temporary file.

    Args:
        path: of the file; folders above it are made where missing.
        pieces: of its content.
        temporary: under which name it is written; one that nobody else uses where None.

    Raises:
        OSError: the folder can't be written to, or is full.
    """
    with _written(path, pieces, temporary) as draft:
        draft.replace(path)
    sync(path.parent)


def write_new_file(path: Path, pieces: Iterable[bytes]) -> bool:
    """Write the pieces to `path` unless a file is there; return whether it was written.

    Of several processes that try at the same time exactly one succeeds: a link, unlike a rename, replaces nothing.

    Raises:
        OSError: the folder can't be written to, or is full.
    """
    with _written(path, pieces, None) as draft:
        return link_new(draft, path)


def link_new(draft: Path, path: Path) -> bool:
    """Give a finished file a second name, durably, unless that name is taken; return whether it was given."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        sync(path.parent)
    return True


def sync(path: Path) -> None:
    """Flush a file to the disk, or the names in a folder: a rename is durable only once its folder is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_name(path: Path) -> Path:
    """Return a name beside `path` that nobody else uses and that sweeps know as unfinished."""
    return path.with_name(TEMPORARY + secrets.token_hex(8))


@contextmanager
def _written(path: Path, pieces: Iterable[bytes], temporary: Path | None) -> Iterator[Path]:
    """Give a file beside `path` that holds the pieces and is on the disk; remove it where it is left over."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = temporary or temporary_name(path)
    if temporary is not None:  # a killed run may have left it
        temporary.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
