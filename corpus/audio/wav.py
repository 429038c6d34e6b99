"""Reading of RIFF WAVE files; the header is parsed here, so that libsndfile gets only the bare samples."""

from __future__ import annotations

import io
import struct
from typing import Final, NamedTuple

import numpy as np

from corpus.audio.limits import AudioSettings, check_header, check_length
from corpus.errors import AudioRefused
from corpus.records.base import Floats

MAGIC: Final = (b"RIFF", b"RIFX", b"RF64")
"""First bytes of all WAV files, including the kinds that are refused."""

# (format tag, bits a sample) -> libsndfile's name of the bare encoding
_ENCODINGS: Final = {
    (1, 8): "PCM_U8",
    (1, 16): "PCM_16",
    (1, 24): "PCM_24",
    (1, 32): "PCM_32",
    (3, 32): "FLOAT",
    (3, 64): "DOUBLE",
    (6, 8): "ALAW",
    (7, 8): "ULAW",
}
_EXTENSIBLE: Final = 0xFFFE
_GUID_TAIL: Final = bytes.fromhex("000000001000800000aa00389b71")
_MOST_CHUNKS: Final = 1_000


class _Format(NamedTuple):
    encoding: str
    channels: int
    rate: int
    frame_bytes: int


def samples(data: bytes, settings: AudioSettings) -> tuple[Floats, int]:
    """Return (n, channels) float32 and the rate [Hz] of a RIFF WAVE file.

    Two kinds of files are refused: one whose header promises more samples than there are, since the file may have been
    cut, and one with more samples than promised, since the recorder may have stopped before it wrote the size.

    Raises:
        AudioRefused: `unreadable`, `unsupported_codec`, `truncated`, or a reason of `check_header` or `check_length`.
    """
    if data[:4] != b"RIFF":
        raise AudioRefused("unsupported_codec", "a WAV file other than plain RIFF")
    if data[8:12] != b"WAVE":
        raise AudioRefused("unreadable", "a RIFF file that holds no WAVE")
    form, begin, size = _chunks(data)
    check_header(form.channels, form.rate, settings)
    if begin >= len(data):
        raise AudioRefused("empty", "a header without samples")
    if size > len(data) - begin:
        raise AudioRefused(
            "truncated", f"the header promises {size} bytes of samples, the file has {len(data) - begin}"
        )
    _check_tail(data, begin + size + size % 2)
    frames = size // form.frame_bytes
    check_length(frames, form.rate, settings)
    return _bare(data[begin : begin + frames * form.frame_bytes], form), form.rate


def _bare(body: bytes, form: _Format) -> Floats:
    if form.encoding == "PCM_16":  # nearly all recordings; numpy is 5 times faster than libsndfile's virtual file
        values = np.frombuffer(body, dtype="<i2").astype(np.float32) / np.float32(32768)
        return values.reshape(-1, form.channels)
    import soundfile

    raw, _ = soundfile.read(
        io.BytesIO(body),
        dtype="float32",
        always_2d=True,
        format="RAW",
        subtype=form.encoding,
        channels=form.channels,
        samplerate=form.rate,
        endian="LITTLE",
    )
    return raw  # type: ignore[no-any-return]


def _chunks(data: bytes) -> tuple[_Format, int, int]:
    """Return the format, the offset of the samples, and their size by the header [bytes]."""
    form: _Format | None = None
    at = 12
    for _ in range(_MOST_CHUNKS):
        if at + 8 > len(data):
            break
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        at += 8
        if name == b"data":
            if form is None:
                raise AudioRefused("unreadable", "samples before their format")
            return form, at, size
        if name == b"fmt ":
            if form is not None:
                raise AudioRefused("unreadable", "two formats")
            form = _format(data[at : at + min(size, 64)])
        at += size + size % 2
    if form is not None:
        raise AudioRefused("empty" if len(data) <= at <= len(data) + 1 else "unreadable", "no samples after the header")
    raise AudioRefused("unreadable", "no format in the header")


def _check_tail(data: bytes, at: int) -> None:
    """Check that only chunks, or zeros that fill a block, follow the samples; other data may be further samples."""
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if not all(0x20 <= byte < 0x7F for byte in name) or at + 8 + size > len(data):
            if data.count(0, at) == len(data) - at:
                return
            raise AudioRefused("unreadable", "more follows the samples than the header promises")
        at += 8 + size + size % 2


def _format(chunk: bytes) -> _Format:
    if len(chunk) < 16:
        raise AudioRefused("unreadable", "a format of fewer than 16 bytes")
    tag, channels, rate, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == _EXTENSIBLE:
        if len(chunk) < 40 or chunk[26:40] != _GUID_TAIL:
            raise AudioRefused("unsupported_codec", "an extensible WAV of an unknown kind")
        tag = struct.unpack_from("<H", chunk, 24)[0]
    encoding = _ENCODINGS.get((tag, bits))
    if encoding is None:
        raise AudioRefused("unsupported_codec", f"WAV format {tag} with {bits} bits")
    if channels < 1 or frame_bytes != channels * bits // 8:
        raise AudioRefused("unreadable", "channels, bits and frame size contradict each other")
    return _Format(encoding, channels, rate, frame_bytes)
