"""Files and folders that a person names for a command to write: checked before, written whole or not at all."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from corpus.errors import UsageError
from corpus.storage.durable_write import write_file
from corpus.user_paths import expanded

MARK: Final = "made by earmark"
"""Stands at the beginning of each file that a command writes where a person says; such a file may be replaced."""

OWN_FOLDER: Final = "report"
"""The one folder of a home in which a person may have files written."""

_HEAD: Final = 4096


@contextmanager
def output_errors(path: Path, option: str) -> Iterator[None]:
    """Turn an error of the file system in the block into one line with the option, the path and the remedy.

    Raises:
        UsageError: the block raised an OSError, or met a name that can't be one of a file.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise UsageError(f"{option} {path} can't be written: {why}; make room or give another place") from None


def output_place(path: Path, option: str, home: Path) -> Path:
    """Return the absolute path, without symbolic links, of a file or folder that a person names.

    Args:
        path: as given.
        option: its name, for messages.
        home: EARMARK_HOME; nothing but reports is written into it.

    Raises:
        UsageError: the name can't be shown in a line, its links form a loop, or it lies in the home or around it.
    """
    text = str(path)
    if not text.isprintable():
        raise UsageError(f"{option}: the name has a line break, or bytes that are not UTF-8; give another name")
    with output_errors(path, option):
        try:
            place = expanded(path).resolve()
        except RuntimeError:  # of a loop in Python before 3.13
            raise OSError(40, "its symbolic links form a loop") from None
        place.exists()  # raises OSError where a name is too long, or links form a loop
    of_home = expanded(home).resolve()
    inside = place.is_relative_to(of_home) and not place.is_relative_to(of_home / OWN_FOLDER)
    if inside or of_home.is_relative_to(place):
        raise UsageError(f"{option} {path} would lie in the home; give a place elsewhere")
    return place


def write_output(path: Path, content: bytes, option: str, home: Path) -> Path:
    """Write a file that a person names; return its place. A file is replaced only where earmark made it.

    Args:
        path: as given.
        content: with `MARK` among its first bytes.
        option: its name, for messages.
        home: EARMARK_HOME.

    Raises:
        UsageError: there is a folder, a link or another file, or it can't be written; nothing is changed then.
    """
    place = output_place(path, option, home)
    if expanded(path).is_symlink():  # somebody else may have put it there
        raise UsageError(f"{option} {path} is a link; name the file that it leads to, or move the link away")
    with output_errors(path, option):
        status = place.stat() if place.exists() else None
        if status is not None and stat.S_ISDIR(status.st_mode):
            raise UsageError(f"{option} {path} is a folder; name the file in it")
        own = place.is_relative_to(expanded(home).resolve() / OWN_FOLDER)  # also what an older earmark wrote there
        if status is not None and not (stat.S_ISREG(status.st_mode) and (own or is_own(place))):
            raise UsageError(f"{option} {path} exists and was not made by earmark; move it away or give another name")
        write_file(place, [content])
    return place


def is_own(file: Path) -> bool:
    """Return whether earmark wrote the file, or it is empty."""
    with file.open("rb") as opened:
        head = opened.read(_HEAD)
    return not head or MARK.encode() in head
