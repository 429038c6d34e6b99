"""The anchor: a place outside the home that has a copy of every checkpoint, and to which earmark only ever adds.

It is a file, to which notes are appended, or a folder of a store such as S3, with one object a note, which a lock of
the bucket can keep from being changed.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import fsspec

from corpus.errors import Refused, SettingsError, Unreachable, UsageError
from corpus.storage import files
from corpus.storage.durable_write import sync
from corpus.storage.signed_note import notes_of
from corpus.storage.store_faults import fault_of
from corpus.user_paths import expanded

_SUFFIX = ".note"

_COUNTER = re.compile(r"^checkpoint (\d{1,18})$", re.MULTILINE)

_TAIL = 1 << 14
"""How much of the end of a file is read to find its last note [bytes]."""


def is_store(place: str) -> bool:
    """Return whether an anchor is a folder of a store, and not a file."""
    return "://" in place


def read_notes(place: str, timeout: float) -> list[str]:
    """Return all notes of an anchor, oldest first.

    Args:
        place: file, or URL of a folder in a store.
        timeout: how long a silent store is waited for [s].

    Raises:
        UsageError: there is no such file, or it is no file of notes.
        HostFault: the file can't be read.
        Unreachable: the store does not answer.
    """
    if is_store(place):
        with _connected(place, timeout) as (fs, root):
            return [files.load(fs, root, name).decode() for name in sorted(_names(fs, root))]
    path = expanded(place)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"there is no anchor {path}; name the file that has the copies of the checkpoints") from None
    except (UnicodeDecodeError, IsADirectoryError):
        raise UsageError(f"the anchor {path} is no file of signed notes; name another one") from None
    except OSError as error:
        raise fault_of(error, f"the anchor {path}") from error
    return list(notes_of(text))


def add_notes(place: str, stored: Callable[[int], Mapping[int, str]], timeout: float) -> int:
    """Add those notes that an anchor does not have yet; return how many.

    Args:
        place: file, or URL of a folder in a store.
        stored: returns the notes of the home after a counter, by counter in order.
        timeout: how long a silent store is waited for [s].

    Raises:
        Refused: the newest note of the anchor is none of these: the home is older than its anchor, or another one.
        HostFault: the file can't be written.
        Unreachable: the store does not answer.
    """
    if is_store(place):
        with _connected(place, timeout) as (fs, root):
            names = _names(fs, root)
            new = _after(place, files.load(fs, root, max(names)).decode() if names else None, stored)
            for counter, note in new.items():
                files.store(fs, root, f"{counter:012d}{_SUFFIX}", note.encode())
            return len(new)
    path = expanded(place)
    try:
        with _opened(path) as descriptor:
            tail = _tail(descriptor)
            new = _after(place, next(reversed(list(notes_of(tail))), None), stored)
            if new:
                # After a note that was cut by a power failure, an empty line begins the next one.
                begin = "" if not tail or tail.endswith("\n\n") else "\n" if tail.endswith("\n") else "\n\n"
                os.write(descriptor, (begin + "".join(note + "\n" for note in new.values())).encode())
                os.fsync(descriptor)
    except OSError as error:
        raise fault_of(error, f"the anchor {path}") from error
    return len(new)


def _after(place: str, newest: str | None, stored: Callable[[int], Mapping[int, str]]) -> dict[int, str]:
    """Return the notes that come after the newest one of an anchor."""
    if newest is None:
        return dict(stored(0))
    line = _COUNTER.search(newest)
    counter = int(line[1]) if line else 0
    notes = dict(stored(counter - 1)) if counter else {}
    if notes.pop(counter, None) != newest:
        raise Refused(
            f"the anchor {place} has a checkpoint that this home does not know, so none is added: the home is older"
            " than its anchor, or another one; run earmark audit verify"
        )
    return notes


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open a file to append to it, readable by its owner alone if it is new."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
    if is_new:
        sync(path.parent)


def _tail(descriptor: int) -> str:
    """Return the end of a file, from the beginning of a line on."""
    size = os.fstat(descriptor).st_size
    start = max(0, size - _TAIL)
    tail = os.pread(descriptor, size - start, start).decode(errors="replace")
    return tail[tail.index("\n\n") :] if start and "\n\n" in tail else tail


@contextlib.contextmanager
def _connected(place: str, timeout: float) -> Iterator[tuple[fsspec.AbstractFileSystem, str]]:
    """Connect to the folder of an anchor; say of errors that they are about the anchor."""
    try:
        yield files.connect(place, timeout)
    except Unreachable as error:
        raise Unreachable(f"the anchor {place} does not answer as it should; the next command tries again") from error
    except SettingsError as error:
        raise SettingsError(str(error).replace("content_url", "audit.anchor")) from error


def _names(fs: fsspec.AbstractFileSystem, root: str) -> list[str]:
    """Return the names of the notes in a folder; they sort by counter."""
    fs.invalidate_cache()
    with contextlib.suppress(FileNotFoundError), files.answering(fs):
        found = [str(name).rsplit("/", 1)[-1] for name in fs.find(root, maxdepth=1)]
        return [name for name in found if name.endswith(_SUFFIX)]
    return []
