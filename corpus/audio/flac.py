"""Checks of FLAC files: stream information and frame headers (RFC 9639), before libsndfile decodes the stream."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from corpus.audio import mp3
from corpus.audio.limits import AudioSettings, check_header, check_length, most_frames
from corpus.audio.second_recording import check_alone
from corpus.errors import AudioRefused

MAGIC: Final = b"fLaC"

_SYNC: Final = re.compile(b"\xff[\xf8\xf9]")
_COUNT: Final = (1 << 36) - 1  # STREAMINFO gives the number of samples in 36 bits
_LAST_STREAMINFO: Final = b"\x80\x00\x00\x22"


class _Frame(NamedTuple):
    block: int  # samples per channel
    number: int  # of the frame, or of its first sample where block sizes vary
    end: int  # of the header


def stream(data: bytes, settings: AudioSettings) -> bytes:
    """Return the stream alone, without comments and pictures, and with its true length in the stream information.

    A length of 0 means that the writer did not know it. Then the frames are counted, since libsndfile reads nothing of
    a stream without a length.

    Raises:
        AudioRefused: `unreadable`, `truncated`, `several_recordings`, or a reason of `check_header` or `check_length`.
    """
    if len(data) < 42 or data[4] & 0x7F != 0 or data[5:8] != b"\x00\x00\x22":
        raise AudioRefused("unreadable", "a FLAC file without its stream information")
    packed = int.from_bytes(data[18:26], "big")
    rate, channels, claimed = packed >> 44, (packed >> 41 & 7) + 1, packed & _COUNT
    check_header(channels, rate, settings)
    if claimed:
        check_length(claimed, rate, settings)
    begin = _frames_begin(data)
    check_alone(data, begin)
    total, last = _count(data, begin, most_frames(rate, settings))
    if not total and begin < len(data):
        raise AudioRefused("unreadable", "no frame after the header")
    if total < claimed and total:
        raise AudioRefused("truncated", f"the header promises {claimed} samples, the frames hold {total}")
    if claimed and total > claimed:
        raise AudioRefused("unreadable", f"the header promises {claimed} samples, the frames hold more")
    check_length(total, rate, settings)
    mp3.check_none_begins(data, last)
    counted = (packed & ~_COUNT | total).to_bytes(8, "big")
    return MAGIC + _LAST_STREAMINFO + data[8:18] + counted + data[26:42] + data[begin:]


def _frames_begin(data: bytes) -> int:
    """Return the offset at which the metadata ends and the frames begin."""
    at, last = 4, False
    while not last:
        if at + 4 > len(data):
            raise AudioRefused("truncated", "the file ends within its header")
        last = bool(data[at] & 0x80)
        at += 4 + int.from_bytes(data[at + 1 : at + 4], "big")
    if at > len(data):
        raise AudioRefused("truncated", "the file ends within its header")
    return at


def _count(data: bytes, begin: int, most: int) -> tuple[int, int]:
    """Return the number of samples per channel by the frame headers, and where the last one begins its samples.

    Counting stops above `most`.
    """
    frame = _frame(data, begin)
    if frame is None:
        return 0, begin
    varying = data[begin + 1] & 1
    total, last = frame.block, frame.end
    while frame is not None and total <= most:
        number = frame.number + (frame.block if varying else 1)
        frame = _next(data, frame.end, varying, number)
        if frame is not None:
            total, last = total + frame.block, frame.end
    return total, last


def _next(data: bytes, at: int, varying: int, number: int) -> _Frame | None:
    """Return the next frame with this number: sync bytes with another number lie inside a frame."""
    for found in _SYNC.finditer(data, at):
        if data[found.start() + 1] & 1 == varying:
            frame = _frame(data, found.start())
            if frame is not None and frame.number == number:
                return frame
    return None


def _frame(data: bytes, at: int) -> _Frame | None:
    """Return the frame whose header begins at `at`; None where there is none (RFC 9639, section 9.1)."""
    head = data[at : at + 16]
    if len(head) < 6 or not _SYNC.match(head):
        return None
    size, rate = head[2] >> 4, head[2] & 15
    more = _leading_ones(head[4])  # the number is coded like UTF-8
    if size == 0 or rate == 15 or more == 1 or more == 8:
        return None
    after = 4 + max(more, 1)
    number = head[4] & (0x7F >> more)
    for byte in head[5:after]:
        number = number << 6 | byte & 0x3F
    end = after + {6: 1, 7: 2}.get(size, 0) + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if end >= len(head) or _crc8(head[:end]) != head[end]:
        return None
    return _Frame(_block(size, head[after : after + 2]), number, at + end + 1)


def _block(code: int, stored: bytes) -> int:
    if code == 1:
        return 192
    if code == 6:
        return stored[0] + 1
    if code == 7:
        return int.from_bytes(stored, "big") + 1
    return 576 << (code - 2) if code < 6 else 256 << (code - 8)


def _leading_ones(byte: int) -> int:
    return 8 - (byte ^ 0xFF).bit_length()


def _crc8(head: bytes) -> int:
    crc = 0
    for byte in head:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x107) if crc & 0x80 else crc << 1
    return crc
