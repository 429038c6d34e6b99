"""The state of an audio file: what tells, without reading it, whether decoding it again could end in another way."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

from corpus.audio.host_faults import refusal_of
from corpus.audio.limits import AudioSettings
from corpus.records.base import digest

_RULES: Final = 2
"""Number of the rules of decoding: raised where a file that was refused may be accepted now, in one version, too."""


def file_state(path: Path, settings: AudioSettings) -> str | None:
    """Return a digest of the file's size and times, the limits, and earmark's version; None where there is none.

    The time of change (`st_ctime`) is in it too: a copy may keep the size and the time of modification of the file that
    it replaces, and a file that may be read from now on has only this time changed.

    Raises:
        HostFault: the machine can't tell.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: the name can't be one of a file
        refusal_of(error)
        return None
    return digest([status.st_size, status.st_mtime_ns, status.st_ctime_ns, _decoding(settings)])


@lru_cache(maxsize=8)
def _decoding(settings: AudioSettings) -> str:
    """Return a digest of what decides about a file of given bytes."""
    return digest([settings.model_dump(mode="json"), version("earmark"), _RULES])
