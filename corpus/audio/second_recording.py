"""The search for a further recording in a file: decoded as one, it would be lost, or be heard as noise."""

from __future__ import annotations

import re
from typing import Final

from corpus.errors import AudioRefused

_HEADER: Final = re.compile(rb"(?:RIFF|RIFX|RF64|BW64).{4}WAVE|fLaC[\x00\x80]\x00\x00\x22|OggS\x00\x02", re.DOTALL)
"""Headers of WAV, FLAC and Ogg, each too long to occur in samples by chance."""


def check_alone(data: bytes, begin: int) -> None:
    """Check that no header of a WAV, FLAC or Ogg file stands anywhere from `begin` on.

    Raises:
        AudioRefused: `several_recordings`.
    """
    if _HEADER.search(data, begin):
        raise AudioRefused("several_recordings", "the file holds the header of a further recording")
