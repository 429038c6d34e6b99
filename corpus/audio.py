"""A recording becomes 16 kHz mono float32 or is refused with a reason; its header is judged before it is decoded.

The container is recognised by its own first bytes, never by its name, and WAV headers are read here: libsndfile sees
only the bare samples of a WAV file, in one of six plain encodings, so neither its header parser nor its ADPCM decoder
is ever reached. FLAC, Ogg and MP3 go through it in pieces that stop at the longest duration, so that 78 kB which claim
to hold an hour cost no more than a clip.
"""

from __future__ import annotations

import io
import stat
import struct
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import AudioRefused
from corpus.records import Floats
from corpus.resample import convertible, to_16k

REASONS: Final = (
    "missing_file",
    "unreadable",
    "empty",
    "too_large",
    "unsupported_codec",
    "too_many_channels",
    "bad_rate",
    "too_short",
    "too_long",
    "not_finite",
    "clipped",
    "silent",
)
"""Every reason of `AudioRefused`, in the order in which they are found."""


_FULL_SCALE: Final = 0.999


class AudioSettings(BaseModel):
    """What is taken in.

    Attributes:
        min_duration, max_duration: [s].
        max_bytes: of the file as it arrives.
        max_channels: more are refused; two are averaged.
        min_rate, max_rate: [Hz].
        silent_peak: a clip whose samples all stay below is silence (full scale is 1).
        max_clipped: share of samples that may stand at full scale.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_duration: float = Field(default=0.1, gt=0)
    max_duration: float = Field(default=30.0, gt=0)
    max_bytes: int = Field(default=10_000_000, gt=0)
    max_channels: int = Field(default=2, ge=1, le=8)
    min_rate: int = Field(default=8_000, gt=0)
    max_rate: int = Field(default=48_000, gt=0)
    silent_peak: float = Field(default=5e-4, ge=0, lt=1)
    max_clipped: float = Field(default=0.1, gt=0, le=1)


def decode(source: Path | bytes, settings: AudioSettings) -> tuple[Floats, int]:
    """Returns the recording at 16 kHz and the rate that it came with.

    Args:
        source: a WAV, FLAC, Ogg (Vorbis, Opus) or MP3 file, or its bytes.
        settings: what is taken in.

    Returns:
        (n,) float32 mono samples at 16 kHz, finite; the original rate [Hz].

    Raises:
        AudioRefused: with one of `REASONS`; the message holds numbers, never a path.
    """
    data = read_bytes(source, settings) if isinstance(source, Path) else source
    if len(data) > settings.max_bytes:
        raise AudioRefused("too_large", f"the file has more than {settings.max_bytes} bytes")
    if not data:
        raise AudioRefused("empty", "the file is empty")
    samples, rate = _wav(data, settings) if data[:4] in (b"RIFF", b"RIFX", b"RF64") else _compressed(data, settings)
    _judge_length(len(samples), rate, settings)
    mono = _judged(samples, settings)
    return to_16k(mono, rate), rate


def read_bytes(path: Path, settings: AudioSettings) -> bytes:
    """Returns the bytes of a regular file of at most `max_bytes`.

    Raises:
        AudioRefused: `missing_file`, `unreadable` (no permission, or a folder, pipe or device), or `too_large`.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for, a device never ends
            raise AudioRefused("unreadable", "not a regular file")
        if status.st_size > settings.max_bytes:
            raise AudioRefused("too_large", f"the file has {status.st_size} bytes, {settings.max_bytes} are allowed")
        with path.open("rb") as file:
            return file.read(settings.max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AudioRefused("missing_file", "the file is not there") from error
    except (OSError, ValueError) as error:
        raise AudioRefused("unreadable", f"the file can't be read ({type(error).__name__})") from error


def _judge_header(channels: int, rate: int, settings: AudioSettings) -> None:
    if channels < 1:
        raise AudioRefused("unreadable", "the header names no channel")
    if channels > settings.max_channels:
        raise AudioRefused("too_many_channels", f"{channels} channels, {settings.max_channels} are allowed")
    if not settings.min_rate <= rate <= settings.max_rate or not convertible(rate):
        raise AudioRefused(
            "bad_rate", f"{rate} Hz; usual rates of {settings.min_rate}-{settings.max_rate} Hz are taken"
        )


def _judge_length(frames: int, rate: int, settings: AudioSettings) -> None:
    seconds = frames / rate
    if frames <= 0:
        raise AudioRefused("empty", "the file holds no samples")
    if seconds < settings.min_duration:
        raise AudioRefused("too_short", f"{seconds:.3f} s, at least {settings.min_duration:g} s are needed")
    if seconds > settings.max_duration:
        raise AudioRefused("too_long", f"over {settings.max_duration:g} s")


def _judged(samples: Floats, settings: AudioSettings) -> Floats:
    """Returns the mean of the channels, (n,) float32, once its samples passed.

    Args:
        samples: (n, channels) float32.
        settings: what is taken in.

    Raises:
        AudioRefused: `not_finite`, `clipped` or `silent`.
    """
    peak = float(max(samples.max(), -samples.min()))  # NaN and infinity survive max and min
    if not np.isfinite(peak):
        raise AudioRefused("not_finite", "a sample is not a finite number")
    if peak >= _FULL_SCALE:
        clipped = float((np.abs(samples) >= _FULL_SCALE).mean(axis=0).max())
        if clipped > settings.max_clipped:
            raise AudioRefused("clipped", f"{clipped:.0%} of the samples stand at full scale; lower the gain")
    mono = samples[:, 0]
    if samples.shape[1] > 1:
        mono = samples.mean(axis=1, dtype=np.float64).astype(np.float32)
        peak = float(np.abs(mono).max())
    if peak < settings.silent_peak:
        raise AudioRefused("silent", "no sample rises above silence")
    return np.ascontiguousarray(mono)


# --- WAV: the header is read here -------------------------------------------------------------------------------------

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


def _wav(data: bytes, settings: AudioSettings) -> tuple[Floats, int]:
    """Returns (n, channels) float32 and the rate of a RIFF WAVE file."""
    if data[:4] != b"RIFF":
        raise AudioRefused("unsupported_codec", "a WAV file other than plain RIFF; save it as 16-bit PCM")
    if data[8:12] != b"WAVE":
        raise AudioRefused("unreadable", "a RIFF file that holds no WAVE")
    form, begin, size = _chunks(data)
    _judge_header(form.channels, form.rate, settings)
    if size > len(data) - begin:
        raise AudioRefused("unreadable", f"the header promises {size} bytes of samples, {len(data) - begin} are there")
    frames = size // form.frame_bytes
    _judge_length(frames, form.rate, settings)
    body = data[begin : begin + frames * form.frame_bytes]
    if form.encoding == "PCM_16":  # nearly all arrivals; numpy is 5 times faster than libsndfile's virtual file
        samples = np.frombuffer(body, dtype="<i2").astype(np.float32) / np.float32(32768)
        return samples.reshape(-1, form.channels), form.rate
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
    return raw, form.rate


def _chunks(data: bytes) -> tuple[_Format, int, int]:
    """Returns the format and where the samples begin, with the size that the header gives them [bytes]."""
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


def _format(chunk: bytes) -> _Format:
    if len(chunk) < 16:
        raise AudioRefused("unreadable", "a format of fewer than 16 bytes")
    tag, channels, rate, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == _EXTENSIBLE:
        if len(chunk) < 40 or chunk[26:40] != _GUID_TAIL:
            raise AudioRefused("unsupported_codec", "an extensible WAV of an unknown kind; save it as 16-bit PCM")
        tag = struct.unpack_from("<H", chunk, 24)[0]
    encoding = _ENCODINGS.get((tag, bits))
    if encoding is None:
        raise AudioRefused("unsupported_codec", f"WAV format {tag} with {bits} bits; save it as 16-bit PCM")
    if channels < 1 or frame_bytes != channels * bits // 8:
        raise AudioRefused("unreadable", "channels, bits and frame size contradict each other")
    return _Format(encoding, channels, rate, frame_bytes)


# --- FLAC, Ogg, MP3: libsndfile reads, in pieces ----------------------------------------------------------------------

_CODECS: Final = {
    "FLAC": ("PCM_S8", "PCM_16", "PCM_24"),
    "OGG": ("VORBIS", "OPUS"),
    "MP3": ("MPEG_LAYER_III",),
}
_PIECE: Final = 1 << 16


def _container(data: bytes) -> str:
    """Returns the name of the container by its first bytes.

    Raises:
        AudioRefused: `unsupported_codec`, where it is none that is taken.
    """
    if data[:4] == b"fLaC":
        return "FLAC"
    if data[:4] == b"OggS":
        return "OGG"
    if data[:3] == b"ID3" or (len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2):
        return "MP3"
    if data[:4] in (b"FORM", b".snd", b"caff", b"riff") or data[4:8] == b"ftyp":
        raise AudioRefused("unsupported_codec", "a container that is not taken; send WAV, FLAC, Ogg or MP3")
    raise AudioRefused("unreadable", "not a recording; send WAV, FLAC, Ogg or MP3")


def _compressed(data: bytes, settings: AudioSettings) -> tuple[Floats, int]:
    """Returns (n, channels) float32 and the rate; never holds more than the longest duration and one piece."""
    container = _container(data)
    if container == "FLAC":
        _judge_flac(data, settings)
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if file.format != container or file.subtype not in _CODECS[container]:
                raise AudioRefused("unsupported_codec", f"{container} with a codec that is not taken")
            rate, channels = int(file.samplerate), int(file.channels)
            _judge_header(channels, rate, settings)
            most = int(settings.max_duration * rate)
            # MP3 and FLAC may not know their length, and may lie; what is read decides
            if container != "MP3" and 0 < file.frames < 1 << 62:
                _judge_length(file.frames, rate, settings)
            pieces: list[Floats] = []
            total = 0
            while total <= most:
                piece = file.read(min(_PIECE, most + 1 - total), dtype="float32", always_2d=True)
                if not len(piece):
                    break
                pieces.append(piece)
                total += len(piece)
    except (soundfile.SoundFileError, RuntimeError, ValueError, OverflowError) as error:
        raise AudioRefused("unreadable", f"the {container} stream can't be decoded") from error
    samples: npt.NDArray[np.float32] = np.concatenate(pieces) if pieces else np.empty((0, channels), np.float32)
    return samples, rate


def _judge_flac(data: bytes, settings: AudioSettings) -> None:
    """Passes when STREAMINFO allows the stream (RFC 9639, section 8.2), before libsndfile decodes a frame."""
    if len(data) < 42 or data[4] & 0x7F != 0:
        raise AudioRefused("unreadable", "a FLAC file without its stream information")
    packed = int.from_bytes(data[18:26], "big")
    rate, channels, frames = packed >> 44, (packed >> 41 & 7) + 1, packed & (1 << 36) - 1
    _judge_header(channels, rate, settings)
    if frames:  # 0: not known when it was written
        _judge_length(frames, rate, settings)
