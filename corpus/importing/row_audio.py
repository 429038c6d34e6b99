"""The recording of a row as the bytes of an audio file, from every form in which a labelled corpus stores it."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corpus.audio import decode
from corpus.audio.host_faults import is_host_fault, refusal_of
from corpus.audio.limits import AudioSettings
from corpus.errors import AudioRefused, Refused
from corpus.importing.source import Source
from corpus.records.base import Floats

_LOUDEST: Final = 4.0
"""Floats beyond this are not samples that were clipped, but samples of another scale."""


def recording_of(value: Any, source: Source, settings: AudioSettings) -> bytes:
    """Return the bytes of a row's audio file; samples become a WAV file.

    Args:
        value: bytes, a path, `{"bytes", "path"}`, or samples as `{"array", "sampling_rate"}`.
        source: the corpus of the row; relative paths start at its folder.
        settings: which recordings are accepted.

    Raises:
        AudioRefused: there is no recording, or it can't be read; the message holds no path.
        Refused: the hub stopped answering.
        HostFault: the machine can't read it now.
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
        return _read_url(value, source, settings)
    if source.folder is None:  # a hub repository may not name files of this machine
        raise AudioRefused("missing_file", "a path outside the repository")
    return decode.read_bytes(source.folder / value, settings)


def _read_url(url: str, source: Source, settings: AudioSettings) -> bytes:
    """Return a file of the hub repository, or of an archive inside the corpus."""
    outer = url.rsplit("::", 1)[-1]
    in_archive = source.folder is not None and url.startswith("zip://") and Path(outer).is_relative_to(source.folder)
    if not in_archive and not (source.folder is None and outer.startswith(f"hf://datasets/{source.name}@")):
        raise AudioRefused("missing_file", "an address outside the corpus")
    import fsspec

    try:
        with fsspec.open(url, "rb") as file:
            return bytes(file.read(settings.max_bytes + 1))
    except FileNotFoundError as error:
        raise AudioRefused("missing_file", "the file is not there") from error
    except Exception as error:  # the hub's client and the archive reader raise errors of other libraries
        if source.folder is not None and isinstance(error, OSError) and is_host_fault(error):
            raise refusal_of(error) from error
        if source.folder is not None:
            raise AudioRefused("unreadable", f"the archive can't be read ({type(error).__name__})") from error
        raise Refused(
            f"{source.name}: the hub stopped answering ({type(error).__name__}); run the command again, imported"
            " rows are kept"
        ) from error


def wav(samples: Any, rate: Any) -> bytes:
    """Return a WAV file of 32-bit floats; the same samples give the same bytes.

    Whole numbers are scaled by their width, so that full scale is 1.

    Args:
        samples: (n,), (n, channels) or (channels, n) numbers.
        rate: sample rate [Hz].

    Raises:
        AudioRefused: there are no samples, or no usable rate.
    """
    if isinstance(rate, float) and rate.is_integer():
        rate = int(rate)
    if not isinstance(rate, int) or not 0 < rate < 1 << 24:
        raise AudioRefused("bad_rate", "samples without a usable sampling_rate")
    array = _full_scale(samples)
    if array.ndim == 2 and array.shape[0] < array.shape[1]:
        array = array.T
    if array.ndim not in (1, 2) or not array.size or array.size >= 1 << 28:
        raise AudioRefused("empty" if not array.size else "unreadable", "an array that holds no samples")
    channels = 1 if array.ndim == 1 else array.shape[1]
    body = np.ascontiguousarray(array, dtype="<f4").tobytes()
    if channels > 255:
        raise AudioRefused("too_many_channels", f"{channels} channels")
    # Not with soundfile, which writes the current time into such a file
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, channels, rate, rate * channels * 4, channels * 4, 32)
    return (
        struct.pack("<4sI4s", b"RIFF", 4 + len(form) + 8 + len(body), b"WAVE")
        + form
        + struct.pack("<4sI", b"data", len(body))
        + body
    )


def _full_scale(samples: Any) -> Floats:
    """Return samples as float32 whose full scale is 1.

    Raises:
        AudioRefused: they are no numbers, or floats that are far beyond full scale.
    """
    try:
        array = np.asarray(samples)
    except (ValueError, TypeError, OverflowError) as error:
        raise AudioRefused("unreadable", "an array that holds no samples") from error
    if not array.size:
        return array.astype(np.float32)
    if array.dtype.kind in "iu":
        return _scaled(array)
    if array.dtype.kind != "f":
        raise AudioRefused("unreadable", "an array of other values than numbers")
    peak = float(np.abs(array).max())
    if peak > _LOUDEST and np.isfinite(peak):
        whole = array.astype(np.int64) if peak < 2**62 else None
        if whole is None or not np.array_equal(whole, array):
            raise AudioRefused("unreadable", f"samples up to {peak:.4g}, where full scale is 1; scale them")
        return _scaled(whole)
    return array.astype(np.float32)


def _scaled(array: npt.NDArray[Any]) -> Floats:
    """Return whole numbers as float32 by their width; of numbers that are stored wider than they are, by their size.

    A recording is stored in 16 bits at least, so small numbers in 32 or 64 bits are those of 16.
    """
    bits = array.dtype.itemsize * 8
    if array.dtype.kind == "u" and bits <= 16:  # silence is in the middle
        from_middle: Floats = ((array.astype(np.float64) - 2 ** (bits - 1)) / 2 ** (bits - 1)).astype(np.float32)
        return from_middle
    if bits > 16:
        most = max(int(array.max()), -int(array.min()) - 1)
        bits = next((width for width in (16, 24, 32) if most < 2 ** (width - 1)), 0)
        if not bits:
            raise AudioRefused("unreadable", "whole numbers of more than 32 bits; scale the samples to full scale 1")
        bits = 32 if array.dtype.itemsize == 4 and bits == 24 else bits
    scaled: Floats = (array.astype(np.float64) / 2 ** (bits - 1)).astype(np.float32)
    return scaled
