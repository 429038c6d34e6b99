"""A home is its owner's alone: rights that others got, by a copy or by hand, are taken away again.

Only what earmark makes in a home is touched, as the folder may have files of the user's beside it. The key-encryption
key is left as it is: where others could read it, its owner has to know, see `corpus.key_encryption`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

OTHERS: Final = 0o077
"""Rights of the group and of others."""

OWN: Final = (
    "records.db*",
    "vault.db*",
    "content",
    "mlflow",
    "prefect",
    "bases",
    "work",
    "tasks",
    "inbox",
    "report",
    "compare",
    "replay",
    "lock",
    "bases.lock",
)
"""What earmark makes in a home, by its default place."""


def close_to_others(home: Path) -> int:
    """Take all rights of others on a home away, the folder's first; return how many files and folders were closed."""
    closed = 0
    for path, mode in open_to_others(home):
        try:
            path.chmod(stat.S_IMODE(mode) & ~OTHERS)
        except OSError:
            continue  # it was deleted meanwhile, or its filesystem has no rights: the doctor names what is left
        closed += 1
    return closed


def is_open(path: Path) -> bool:
    """Return whether others have any right on a file or folder that is this user's."""
    return _is_open(path.stat())


def open_to_others(home: Path) -> Iterator[tuple[Path, int]]:
    """Yield each file and folder of a home on which others have a right, with its mode; folders before what is in them.

    Links are not followed, and what belongs to another user is left out.
    """
    for path in _below(home):
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        if _is_open(found):
            yield path, found.st_mode


def _is_open(found: os.stat_result) -> bool:
    kind = stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)
    return kind and bool(found.st_mode & OTHERS) and found.st_uid == os.geteuid()


def _below(home: Path) -> Iterator[Path]:
    yield home
    for pattern in OWN:
        for top in sorted(home.glob(pattern)):
            yield top
            if top.is_symlink() or not top.is_dir():
                continue
            for folder, folders, files in os.walk(top):
                yield from (Path(folder, name) for name in (*folders, *files))
