"""The recording of a row, in whichever form a labelled corpus keeps it, as the bytes of a file."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpus.audio import decode
from corpus.audio.limits import AudioSettings
from corpus.errors import AudioRefused, Refused
from corpus.importing.source import Source


def recording_of(value: Any, source: Source, settings: AudioSettings) -> bytes:
    """Return a recording as it came.

    Args:
        value: bytes, a path, `{"bytes", "path"}`, or samples as `{"array", "sampling_rate"}`.
        source: where the row is from; paths start at its folder.
        settings: what is taken in.

    Raises:
        AudioRefused: there is none, or it can't be read; the message holds no path.
        Refused: the hub stopped answering.
    """
    if isinstance(value, Mapping):
        if value.get("bytes") is not None:
            value = value["bytes"]
        elif value.get("path"):
            value = value["path"]
        elif value.get("array") is not None:
            return wav(value["array"], value.get("sampling_rate"))
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if not value:
        raise AudioRefused("missing_file", "the row holds no recording")
    if not isinstance(value, str):
        raise AudioRefused("unreadable", "neither a file, nor a path, nor samples with their sampling_rate")
    if "://" in value:
        return _inside(value, source, settings)
    if source.folder is None:  # a repository of strangers may name nothing on this machine
        raise AudioRefused("missing_file", "a path outside the repository")
    return decode.read_bytes(source.folder / value, settings)


def _inside(url: str, source: Source, settings: AudioSettings) -> bytes:
    """Return a file of the hub repository, or out of an archive that the corpus brings along."""
    outer = url.rsplit("::", 1)[-1]
    here = source.folder is not None and url.startswith("zip://") and Path(outer).is_relative_to(source.folder)
    if not here and not (source.folder is None and outer.startswith(f"hf://datasets/{source.name}@")):
        raise AudioRefused("missing_file", "an address outside the corpus")
    import fsspec

    try:
        with fsspec.open(url, "rb") as file:
            return bytes(file.read(settings.max_bytes + 1))
    except FileNotFoundError as error:
        raise AudioRefused("missing_file", "the file is not there") from error
    except Exception as error:  # of the hub's client or of the archive: each of another library's type
        if source.folder is not None:
            raise AudioRefused("unreadable", f"the archive can't be read ({type(error).__name__})") from error
        raise Refused(
            f"{source.name}: the hub stopped answering ({type(error).__name__}); run the command again, what came in"
            " stays"
        ) from error


def wav(samples: Any, rate: Any) -> bytes:
    """Return a WAV file of 32-bit floats, the same bytes for the same samples.

    Args:
        samples: (n,), (n, channels) or (channels, n) numbers.
        rate: [Hz].

    Raises:
        AudioRefused: they are no samples, or without a rate.
    """
    if isinstance(rate, float) and rate.is_integer():
        rate = int(rate)
    if not isinstance(rate, int) or not 0 < rate < 1 << 24:
        raise AudioRefused("bad_rate", "samples without a usable sampling_rate")
    try:
        array = np.asarray(samples, dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise AudioRefused("unreadable", "an array that holds no samples") from error
    if array.ndim == 2 and array.shape[0] < array.shape[1]:
        array = array.T
    if array.ndim not in (1, 2) or not array.size or array.size >= 1 << 28:
        raise AudioRefused("empty" if not array.size else "unreadable", "an array that holds no samples")
    channels = 1 if array.ndim == 1 else array.shape[1]
    body = np.ascontiguousarray(array, dtype="<f4").tobytes()
    if channels > 255:
        raise AudioRefused("too_many_channels", f"{channels} channels")
    # Not soundfile: it writes the time of day into such a file
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, channels, rate, rate * channels * 4, channels * 4, 32)
    return (
        struct.pack("<4sI4s", b"RIFF", 4 + len(form) + 8 + len(body), b"WAVE")
        + form
        + struct.pack("<4sI", b"data", len(body))
        + body
    )
