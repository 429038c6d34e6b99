"""Reading of RIFF WAVE files; the header is parsed here, so that libsndfile gets only the bare samples."""

from __future__ import annotations

import io
import re
import struct
from typing import Final, NamedTuple

import numpy as np

from corpus.audio import flac, id3, mp3, ogg
from corpus.audio.limits import AudioSettings, check_header, check_length
from corpus.audio.second_recording import check_alone
from corpus.errors import AudioRefused
from corpus.records.base import Floats

MAGIC: Final = (b"RIFF", b"RIFX", b"RF64", b"BW64")
"""First bytes of all WAV files, including the kinds that are refused."""

WAV_HEADER: Final = 44
"""Bytes before the samples in the files that `wav_bytes` makes."""

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
_NAMES: Final = (
    *(b"fmt ", b"data", b"fact", b"LIST", b"cue ", b"plst", b"smpl", b"inst", b"note", b"labl", b"PEAK", b"DISP"),
    *(b"bext", b"iXML", b"axml", b"chna", b"cart", b"_PMX", b"id3 ", b"ID3 ", b"JUNK", b"junk", b"PAD ", b"FLLR"),
)
_NAMED: Final = re.compile(b"|".join(re.escape(name) for name in _NAMES))
_UNKNOWN_SIZES: Final = (range(1), range(0x7FFE_0000, 0x8001_0000), range(0xFFFF_0000, 1 << 32))
"""Sizes [bytes] that mean "not known": writers to a pipe give 0, or the largest that fits, less what they round off."""


class _Format(NamedTuple):
    encoding: str
    channels: int
    rate: int
    frame_bytes: int


def samples(data: bytes, settings: AudioSettings) -> tuple[Floats, int]:
    """Return (n, channels) float32 and the rate [Hz] of a RIFF WAVE file.

    Refused are a file whose header promises more samples than there are, since the file may have been cut; one with
    more samples than promised, since the recorder may have stopped before it wrote the size; and one with further
    samples elsewhere, which would be lost. A program that writes to a pipe can't give the size: then the samples reach
    to the end of the file.

    Raises:
        AudioRefused: `unreadable`, `unsupported_codec`, `truncated`, `no_length`, `several_recordings`, or a reason of
            `check_header` or `check_length`.
    """
    if data[:4] != b"RIFF":
        raise AudioRefused("unsupported_codec", "a WAV file other than plain RIFF")
    if data[8:12] != b"WAVE":
        raise AudioRefused("unreadable", "a RIFF file that holds no WAVE")
    check_alone(data, 12)
    form, begin, size = _chunks(data)
    check_header(form.channels, form.rate, settings)
    if begin >= len(data):
        raise AudioRefused("empty", "a header without samples")
    if _unknown(size) and not (size == 0 and _only_chunks(data, begin)):
        size = _size_to_the_end(data, begin, form)
    if size > len(data) - begin:
        raise AudioRefused(
            "truncated", f"the header promises {size} bytes of samples, the file has {len(data) - begin}"
        )
    _check_body(data, begin)
    _check_tail(data, _after(data, begin, size))
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
        name, size = _chunk(data, at)
        at += 8
        if name == b"data":
            if form is None:
                raise AudioRefused("unreadable", "samples before their format")
            return form, at, size
        if name == b"fmt ":
            if form is not None:
                raise AudioRefused("unreadable", "two formats")
            form = _format(data[at : at + min(size, 64)])
        _check_whole(name, data, at)
        at = _after(data, at, size)
    if form is not None:
        raise AudioRefused("empty" if len(data) <= at <= len(data) + 1 else "unreadable", "no samples after the header")
    raise AudioRefused("unreadable", "no format in the header")


def _chunk(data: bytes, at: int) -> tuple[bytes, int]:
    """Return name and size [bytes] of the chunk whose eight bytes of header begin at `at`."""
    return data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]


def _after(data: bytes, at: int, size: int) -> int:
    """Return where the chunk after one whose content begins at `at` begins.

    A chunk of odd size is followed by a byte that some writers leave out. What stands at both places tells: the name of
    a usual chunk at one of them, or else a possible chunk.
    """
    bare = at + size
    padded = bare + size % 2
    for possible in (_has_usual_name, _has_chunk):
        if possible(data, padded):
            return padded
        if possible(data, bare):
            return bare
    return padded


def _has_usual_name(data: bytes, at: int) -> bool:
    return _NAMED.match(data, at) is not None


def _has_chunk(data: bytes, at: int) -> bool:
    """Return whether a chunk with a readable name, that ends within the file, may begin at `at`."""
    if at + 8 > len(data):
        return False
    name, size = _chunk(data, at)
    return all(0x20 <= byte < 0x7F for byte in name) and at + 8 + size <= len(data)


def _check_whole(name: bytes, data: bytes, at: int) -> None:
    """Check that a chunk, whose content begins at `at`, is no list of pieces of samples."""
    if name == b"LIST" and data[at : at + 4] == b"wavl":
        raise AudioRefused("unsupported_codec", "a WAV with samples in several pieces")


def _check_body(data: bytes, begin: int) -> None:
    """Check that the samples are not another file of audio, packed as if it were samples."""
    packed = data.startswith((flac.MAGIC, ogg.MAGIC), begin) or mp3.begins(data, begin)
    if packed or id3.end_of_tags(data, begin) > begin:
        raise AudioRefused("several_recordings", "the samples are another file of audio")


def _check_tail(data: bytes, at: int) -> None:
    """Check that only chunks, or blanks that fill a block, follow the samples; other data may be further samples."""
    while at + 8 <= len(data):
        if not _has_chunk(data, at):
            if not data[at:].strip(b"\x00 \t\r\n"):
                return
            raise AudioRefused("unreadable", "more follows the samples than the header promises")
        name, size = _chunk(data, at)
        if name in (b"data", b"fmt ", *MAGIC):
            raise AudioRefused("several_recordings", "further samples follow the samples")
        _check_whole(name, data, at + 8)
        at = _after(data, at + 8, size)


# --- files whose header does not give a size -------------------------------------------------------------------------


def _unknown(size: int) -> bool:
    return any(size in sizes for sizes in _UNKNOWN_SIZES)


def _size_to_the_end(data: bytes, begin: int, form: _Format) -> int:
    """Return the size of samples that reach to the end of the file [bytes].

    Raises:
        AudioRefused: `truncated`, or `no_length` where they may end before it.
    """
    end = 8 + struct.unpack_from("<I", data, 4)[0]  # of the file by its header
    if begin < end and not _unknown(end - 8):
        if end > len(data) + 1:
            raise AudioRefused("truncated", f"the header promises a file of {end} bytes, it has {len(data)}")
        if end < len(data):
            raise AudioRefused("no_length", "the header does not say where the samples end, and more follows the file")
    size = len(data) - begin
    if size % form.frame_bytes:
        raise AudioRefused("no_length", "the header does not say where the samples end, and the last one is cut")
    if _chunks_end_it(data, begin):
        raise AudioRefused("no_length", "the header does not say where the samples end, and other data follows them")
    return size


def _chunks_end_it(data: bytes, begin: int) -> bool:
    """Return whether chunks, of which the first has a usual name, reach from somewhere behind `begin` to the end."""
    seen: set[int] = set()  # no place is left twice, however often the name occurs in a file made to be slow
    for found in _NAMED.finditer(data, begin):
        at = found.start()
        while at not in seen and _has_chunk(data, at):
            seen.add(at)
            at = _after(data, at + 8, _chunk(data, at)[1])
            if at >= len(data):
                return True
    return False


def _only_chunks(data: bytes, at: int) -> bool:
    """Return whether nothing but whole chunks, or zeros, lies between `at` and the end of the file."""
    while at + 8 <= len(data) and _has_chunk(data, at):
        at = _after(data, at + 8, _chunk(data, at)[1])
    return data.count(0, at) == max(0, len(data) - at)


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


def wav_bytes(audio: Floats | None, sample_rate: int) -> bytes:
    """Return samples in [-1, 1], of one channel, as a WAV file of 16-bit PCM: `WAV_HEADER` bytes, then samples."""
    import soundfile

    assert audio is not None  # the door was asked for it
    file = io.BytesIO()
    soundfile.write(file, audio, sample_rate, subtype="PCM_16", format="WAV")
    return file.getvalue()
