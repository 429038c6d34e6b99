"""Which unforeseen errors are faults of the machine, such as a full disk, whatever library met them first."""

from __future__ import annotations

import errno
import re
import sqlite3
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from corpus.errors import EarmarkError
from corpus.storage.store_faults import fault_of, is_fault, sqlite_fault
from training.tracking.store import MLFLOW_PATIENCE

CLIPS: Final = frozenset((".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".webm"))
"""Endings of the names of clips."""

_RIGHTS: Final = frozenset((errno.EACCES, errno.EPERM))

_CODE: Final = re.compile(r"\(os error (\d{1,3})\)|\[Errno (\d{1,3})\]")
"""How libraries in Rust, and `shutil.Error`, write the code of an error of the system that they met."""


def machine_fault(error: BaseException) -> EarmarkError | None:
    """Return what is wrong with the machine, None where an exception is about something else."""
    for each, is_cause in _chain(error):
        if isinstance(each, EarmarkError):
            return None
        if isinstance(each, sqlite3.Error):
            return sqlite_fault(each, f"that the command needs{_where(error)}", MLFLOW_PATIENCE)
        met = _met_by_system(each)
        if met is not None and is_fault(met) and (is_cause or met.errno not in _RIGHTS):
            return fault_of(met, _what(met, error))
    return None


def _chain(error: BaseException) -> Iterator[tuple[BaseException, bool]]:
    """Yield an exception, then what caused it; and whether that is sure, and not only what was handled meanwhile."""
    each: BaseException | None = error
    is_cause, seen = True, set[int]()
    while each is not None and id(each) not in seen:
        yield each, is_cause
        seen.add(id(each))
        if each.__cause__ is None:
            is_cause = False
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def _met_by_system(error: BaseException) -> OSError | None:
    """Return what the system said; an error of a library may have nothing but its code, in its text."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    found = _CODE.search(str(error))
    return None if found is None else OSError(int(found[1] or found[2]), "")


def _what(met: OSError, error: BaseException) -> str:
    """Return what could not be used, as a person reads it."""
    name = met.filename.decode(errors="replace") if isinstance(met.filename, bytes) else met.filename
    if isinstance(name, str):
        return _without_clip(Path(name))
    kinds = "a file, a port or a process" if met.errno in _RIGHTS else "a file"
    return f"{kinds} that the command needs{_where(error)}"


def _where(error: BaseException) -> str:
    line = own_line(error)
    return f" ({line})" if line else ""


def _without_clip(path: Path) -> str:
    """Return a path as an error may show it: of a clip its folder alone, as people name clips after their speakers."""
    return f"a clip in {path.parent}" if CLIPS & {each.lower() for each in path.suffixes} else str(path)


def own_line(error: BaseException) -> str:
    """Return the line of earmark's code that an exception came from, such as `score.py:12`; "" where there is none."""
    root = Path(__file__).resolve().parents[2]
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if Path(f.filename).is_relative_to(root) and ".venv" not in Path(f.filename).parts]
    last = [*frames, *own][-1:]
    return f"{Path(last[0].filename).name}:{last[0].lineno}" if last else ""
