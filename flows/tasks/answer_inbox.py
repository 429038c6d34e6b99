"""The answers folder: files that tools put there, out of their way while they are merged, and their refused lines.

A file is renamed before it is read: whoever appends to it by its name meanwhile begins a new one, which is merged in
its turn. What a killed run had renamed is taken up again by the next.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Final

from annotation.csv_tables import SUFFIXES
from corpus.errors import UsageError
from corpus.storage.durable_write import write_file

TAKEN: Final = re.compile(r"\.(?P<name>.+)\.taken-\d+")
ENDINGS: Final = (".jsonl", *SUFFIXES)
REFUSED: Final = re.compile(r"(?P<name>.+)\.refused(-\d+)?\.(jsonl|csv|tsv)", re.IGNORECASE)
UNFINISHED: Final = re.compile(r"\..+\.refused(-\d+)?\.(jsonl|csv|tsv)\.tmp", re.IGNORECASE)


def waiting_files(folder: Path) -> list[Path]:
    """Return the files to be merged: first those that a killed run had taken, then the others, each sorted by name."""
    if not folder.is_dir():
        return []
    files = sorted(path for path in folder.iterdir() if path.is_file())
    taken = [path for path in files if TAKEN.fullmatch(path.name)]
    named = [path for path in files if path.suffix.lower() in ENDINGS and not path.name.startswith(".")]
    return [*taken, *(path for path in named if not REFUSED.fullmatch(path.name))]


def name_of(file: Path) -> str:
    """Return the name that a file had when it came."""
    found = TAKEN.fullmatch(file.name)
    return found["name"] if found else file.name


def read(file: Path) -> bytes:
    """Return what the file holds.

    Raises:
        UsageError: it can't be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"annotation file {name_of(file)} can't be read: {type(error).__name__}; fix it") from None


def take(file: Path) -> tuple[Path, bytes]:
    """Rename the file to a name that no tool knows; return where it is now and what it holds.

    Raises:
        UsageError: it can't be read; then it has its own name again.
    """
    if TAKEN.fullmatch(file.name):
        return file, read(file)
    taken = next(path for n in count(1) if not os.path.lexists(path := file.with_name(f".{file.name}.taken-{n}")))
    try:
        file.rename(taken)
    except OSError as error:
        raise UsageError(f"annotation file {file.name} can't be moved: {type(error).__name__}; fix it") from None
    try:
        return taken, read(taken)
    except UsageError:
        if not os.path.lexists(file):
            taken.rename(file)
        raise


def give_back(taken: Path) -> None:
    """Give the file the name again with which it came, so that somebody can fix it, unless there is a new one."""
    named = taken.with_name(name_of(taken))
    if not os.path.lexists(named):
        taken.rename(named)


def put_away(taken: Path, data: bytes, refused: Collection[int]) -> None:
    """Remove the file, and keep its refused lines in one of their own beside those of earlier files.

    A file that somebody who held it open wrote to meanwhile stays, to be merged again: rows count once.

    Args:
        taken: where `take` left it.
        data: what was merged of it.
        refused: numbers of lines, from 1.
    """
    if refused:
        name = Path(name_of(taken))
        header = {1} if name.suffix.lower() in SUFFIXES else set()  # a table without its columns can't be fixed
        kept = [line for number, line in enumerate(data.split(b"\n"), 1) if number in header.union(refused)]
        _keep(taken.parent, name.stem, name.suffix, b"\n".join(kept) + b"\n")
    if taken.read_bytes() == data:
        taken.unlink()


def _keep(folder: Path, stem: str, suffix: str, lines: bytes) -> None:
    """Write the lines to `STEM.refused.jsonl` or the next number that is free, once, for its owner alone."""
    for number in count(1):
        target = folder / f"{stem}.refused{f'-{number}' if number > 1 else ''}{suffix}"
        if not target.exists():
            break
        if target.read_bytes() == lines:
            return  # a killed run wrote it
    write_file(target, [lines], temporary=target.with_name(f".{target.name}.tmp"))


def expired(folder: Path, due_days: int, now: datetime) -> list[Path]:
    """Return the files of refused lines that nobody fixed within so many days, and unfinished ones."""
    if not folder.is_dir():
        return []
    oldest = (now - timedelta(days=due_days)).timestamp()
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return [
        path
        for path in files
        if UNFINISHED.fullmatch(path.name) or (REFUSED.fullmatch(path.name) and path.stat().st_mtime < oldest)
    ]
