"""The state of an audio file: what tells, without reading it, whether decoding it again could end in another way."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from corpus.audio.limits import AudioSettings
from corpus.records.base import digest


def file_state(path: Path, settings: AudioSettings) -> str | None:
    """Return a digest of the file's size and times, the limits, and earmark's version; None where there is no file.

    The time of change (`st_ctime`) is in it too: a copy may keep the size and the time of modification of the file that
    it replaces, and a file that may be read from now on has only this time changed.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: the name can't be one of a file
        return None
    return digest([status.st_size, status.st_mtime_ns, status.st_ctime_ns, _decoding(settings)])


@lru_cache(maxsize=8)
def _decoding(settings: AudioSettings) -> str:
    """Return a digest of what decides about a file of given bytes."""
    return digest([settings.model_dump(mode="json"), version("earmark")])
