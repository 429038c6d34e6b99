"""Checks of MP3 files: every frame header (ISO 11172-3, 13818-3), before libsndfile decodes the stream."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from corpus.audio.limits import AudioSettings, check_header, check_length, most_frames
from corpus.errors import AudioRefused

_RATES: Final = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_BITRATES: Final = {  # [kbit/s], of version 1 and of versions 2 and 2.5
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SLACK: Final = 8  # frames; encoders pad both ends, and the length is checked again after decoding
_TAGS: Final = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")


class _Frame(NamedTuple):
    kind: int  # version and rate, which are the same in all frames of a stream
    rate: int
    channels: int
    samples: int
    size: int  # [bytes]
    checked: bool


def is_mp3(data: bytes) -> bool:
    """Return whether a file begins like an MP3: with a tag, or with the sync word of a layer III frame."""
    return data[:3] == b"ID3" or (len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2)


def stream(data: bytes, settings: AudioSettings) -> bytes:
    """Return the frames alone, without tags, after an information frame with their true number.

    Without that frame libsndfile guesses the length from the first bit rate, and drops all samples beyond it.

    A file that was cut within a frame is always refused. A file that was cut between two frames is refused only where
    the encoder wrote an information frame (nearly all do): a bare stream of frames has no length.

    Raises:
        AudioRefused: `unreadable`, `truncated`, or a reason of `check_header` or `check_length`.
    """
    begin = _frames_begin(data)
    first = _frame(data, begin)
    if first is None:
        no_data = begin >= len(data)
        raise AudioRefused("empty" if no_data else "unreadable", "no frame after the tag")
    check_header(first.channels, first.rate, settings)
    promised = _promised(data[begin : begin + first.size], first)
    after = begin + first.size if promised is not None else begin
    most = most_frames(first.rate, settings) // first.samples + _SLACK
    count, end = _walk(data, after, first, most)
    if count > most or not count:
        check_length(count * first.samples, first.rate, settings)
    if promised and count < promised - 1:  # some encoders count the information frame
        raise AudioRefused("truncated", f"the header promises {promised} frames, the file has {count}")
    if promised and promised < count:
        raise AudioRefused("unreadable", f"the header promises {promised} frames, the file has {count}")
    head = data[begin:after] if promised else _information(data[begin : begin + 4], first, count)
    return head + data[after:end]


def _frames_begin(data: bytes) -> int:
    at = 0
    while data[at : at + 3] == b"ID3" and at + 10 <= len(data):
        size = 0
        for byte in data[at + 6 : at + 10]:
            size = size << 7 | byte & 0x7F
        at += 10 + size + (10 if data[at + 5] & 0x10 else 0)
    while data[at : at + 1] == b"\x00":  # some tagging tools reserve space
        at += 1
    return at


def _walk(data: bytes, at: int, first: _Frame, most: int) -> tuple[int, int]:
    """Return the number of frames from `at` on and where they end; counting stops above `most`."""
    count = 0
    while at < len(data) and count <= most:
        frame = _frame(data, at)
        if frame is None or frame.kind != first.kind or frame.channels != first.channels:
            rest = data[at : at + 11]
            if rest.startswith(_TAGS) or data.count(0, at) == len(data) - at:
                break
            if len(data) - at < 4:
                raise AudioRefused("truncated", "the file ends within a frame")
            raise AudioRefused("unreadable", "there is other data between the frames")
        if at + frame.size > len(data):
            raise AudioRefused("truncated", "the file ends within a frame")
        at += frame.size
        count += 1
    return count, at


def _frame(data: bytes, at: int) -> _Frame | None:
    """Return the layer III frame whose header begins at `at`; None where there is none."""
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] & 0xE6 != 0xE2:
        return None
    version, bitrate, rate = data[at + 1] >> 3 & 3, data[at + 2] >> 4, data[at + 2] >> 2 & 3
    if version == 1 or bitrate in (0, 15) or rate == 3:  # bitrate 0: not given in the header
        return None
    hertz = _RATES[version][rate]
    samples = 1152 if version == 3 else 576
    size = samples // 8 * _BITRATES[version == 3][bitrate] * 1000 // hertz + (data[at + 2] >> 1 & 1)
    channels = 1 if data[at + 3] >> 6 == 3 else 2
    return _Frame(version << 2 | rate, hertz, channels, samples, size, not data[at + 1] & 1)


def _side_bytes(frame: _Frame) -> int:
    """Return the length of header and side information [bytes], after which an information frame has its fields."""
    mono, stereo = (17, 32) if frame.samples == 1152 else (9, 17)
    return 4 + (mono if frame.channels == 1 else stereo)


def _promised(data: bytes, frame: _Frame) -> int | None:
    """Return the number of frames that an information frame gives: 0 for none, None where this is no such frame."""
    for at in {_side_bytes(frame), _side_bytes(frame) + 2 * frame.checked}:
        if data[at : at + 4] in (b"Xing", b"Info") and at + 12 <= len(data):
            flags, count = struct.unpack_from(">II", data, at + 4)
            return count if flags & 1 else 0
    return None


def _information(header: bytes, frame: _Frame, count: int) -> bytes:
    """Return an information frame of the same kind as these frames, without checksum, at a bit rate that has room."""
    plain = bytes([header[0], header[1] | 1, 0x90 | header[2] & 0x0C, header[3]])
    information = _frame(plain, 0)
    assert information is not None  # a valid header with another bit rate is valid
    fields = bytes(_side_bytes(frame) - 4) + b"Info" + struct.pack(">II", 1, count)
    return (plain + fields).ljust(information.size, b"\x00")
