"""Checks of MP3 files: every frame header (ISO 11172-3, 13818-3), before libsndfile decodes the stream."""

from __future__ import annotations

import re
import struct
from typing import Final, NamedTuple

from corpus.audio.id3 import end_of_tags
from corpus.audio.limits import AudioSettings, check_header, check_length, most_frames
from corpus.audio.second_recording import check_alone
from corpus.errors import AudioRefused

_RATES: Final = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_BITRATES: Final = {  # [kbit/s], of version 1 and of versions 2 and 2.5
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_INFORMATION: Final = (b"Xing", b"Info")
_SLACK: Final = 8  # frames; encoders pad both ends, and the length is checked again after decoding
_BLANKS: Final = re.compile(rb"[\x00 \t\r\n]*")
_LYRICS_END: Final = re.compile(rb"LYRICS(?:200|END)")
_SYNC: Final = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]")
_SURE: Final = 3  # frames of one kind in a row; one alone, of four bytes, may occur in other data


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
        AudioRefused: `unreadable`, `truncated`, `several_recordings`, or a reason of `check_header` or `check_length`.
    """
    begin = end_of_tags(data)
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
        further = any(name in data[after:end] for name in _INFORMATION)  # the frame with which another file began
        reason = "several_recordings" if further else "unreadable"
        raise AudioRefused(reason, f"the header promises {promised} frames, the file has {count}")
    head = data[begin:after] if promised else _information(data[begin : begin + 4], first, count)
    return head + data[after:end]


def _walk(data: bytes, at: int, first: _Frame, most: int) -> tuple[int, int]:
    """Return the number of frames from `at` on and where they end; counting stops above `most`."""
    count = 0
    while at < len(data) and count <= most:
        frame = _frame(data, at)
        if frame is None or frame.kind != first.kind or frame.channels != first.channels:
            _check_rest(data, at)
            break
        if at + frame.size > len(data):
            raise AudioRefused("truncated", "the file ends within a frame")
        at += frame.size
        count += 1
    return count, at


def _check_rest(data: bytes, at: int) -> None:
    """Check that only tags, white space and zeros follow the frames, which end at `at`."""
    check_alone(data, at)
    end, tags = _after_tags(data, at)
    if begins(data, end):
        raise AudioRefused("several_recordings", "further frames follow the end of the recording")
    if end >= len(data) or tags:
        return
    if len(data) - at < 4:
        raise AudioRefused("truncated", "the file ends within a frame")
    raise AudioRefused("unreadable", "there is other data between the frames")


def _after_tags(data: bytes, at: int) -> tuple[int, int]:
    """Return where the tags, white space and zeros from `at` on end, and the number of tags."""
    tags = 0
    while True:
        at = _blanks_end(data, at)
        if data.startswith(b"TAG", at):
            at += 227 if data.startswith(b"TAG+", at) else 128
        elif data.startswith(b"ID3", at):
            at = max(at + 3, end_of_tags(data, at))
        elif data.startswith(b"3DI", at):
            at += 10
        elif data.startswith(b"APETAGEX", at):
            size, flags = struct.unpack_from("<I4xI", data.ljust(at + 24, b"\x00"), at + 12)
            at += 32 + (size if flags >> 29 & 1 else 0)  # after a footer alone, its items are behind already
        elif data.startswith(b"LYRICSBEGIN", at):
            end = _LYRICS_END.search(data, at)
            at = end.end() if end else len(data)
        else:
            return at, tags
        tags += 1


def _blanks_end(data: bytes, at: int) -> int:
    blanks = _BLANKS.match(data, at)
    return blanks.end() if blanks else at


def begins(data: bytes, at: int) -> bool:
    """Return whether an MP3 begins at `at`: several frames of one kind in a row."""
    kinds = set()
    for _ in range(_SURE):
        frame = _frame(data, at)
        if frame is None:
            return False
        kinds.add((frame.kind, frame.channels))
        at += frame.size
    return len(kinds) == 1


def check_none_begins(data: bytes, begin: int) -> None:
    """Check that no MP3 begins anywhere from `begin` on.

    Raises:
        AudioRefused: `several_recordings`.
    """
    if any(begins(data, found.start()) for found in _SYNC.finditer(data, begin)):
        raise AudioRefused("several_recordings", "an MP3 follows the end of the recording")


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
        if data[at : at + 4] in _INFORMATION and at + 12 <= len(data):
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
