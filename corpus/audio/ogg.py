"""Checks of Ogg files: every page (RFC 3533), before libsndfile decodes the Vorbis or Opus stream."""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

from corpus.audio import mp3
from corpus.audio.limits import AudioSettings, check_header
from corpus.audio.second_recording import check_alone
from corpus.errors import AudioRefused

MAGIC: Final = b"OggS"

_FIRST, _LAST = 0x02, 0x04
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_VORBIS, _OPUS = b"\x01vorbis", b"OpusHead"


class _Page(NamedTuple):
    flags: int
    granule: int
    serial: int
    sequence: int
    body: int  # offset at which it begins
    end: int  # offset after it


def stream(data: bytes, settings: AudioSettings) -> bytes:
    """Return the pages of the only stream in the file, complete and in order, up to the page marked as the last.

    Without that mark a complete file looks like one that was cut between two pages, so a file without it is refused.

    Raises:
        AudioRefused: `unreadable`, `truncated`, `empty`, `unsupported_codec`, `several_recordings`, or a reason of
            `check_header`.
    """
    page = _page(data, 0)
    skipped = _check_first_packet(data[page.body : page.end], settings)
    serial, granule, count = page.serial, 0, 1
    while not page.flags & _LAST:
        if page.end >= len(data):
            raise AudioRefused("truncated" if granule > skipped else "empty", "the stream stops before its last page")
        page = _page(data, page.end)
        if page.serial != serial or page.flags & _FIRST:
            raise AudioRefused("unsupported_codec", "several streams in one Ogg file")
        if page.sequence != count or -1 < page.granule < granule:
            raise AudioRefused("unreadable", "a page is missing or repeated")
        granule = max(granule, page.granule)
        count += 1
    check_alone(data, page.end)
    if data.startswith(MAGIC, page.end):
        raise AudioRefused("unsupported_codec", "several streams in one Ogg file")
    mp3.check_none_begins(data, page.end)
    if granule <= skipped:
        raise AudioRefused("empty", "a header without samples")
    return data[: page.end]


def _page(data: bytes, at: int) -> _Page:
    head = data[at : at + 27]
    if not head.startswith(MAGIC[: len(head)]):
        raise AudioRefused("unreadable", "there is other data between the pages")
    body = at + 27 + (head[26] if len(head) == 27 else 0)
    end = body + sum(data[at + 27 : body])
    if len(head) < 27 or end > len(data):
        raise AudioRefused("truncated", "the file ends within a page")
    version, flags, granule, serial, sequence, crc = struct.unpack_from("<BBqIII", head, 4)
    if version or _crc(data[at : at + 22] + bytes(4) + data[at + 26 : end]) != crc:
        raise AudioRefused("unreadable", "a page is damaged")
    return _Page(flags, granule, serial, sequence, body, end)


def _check_first_packet(packet: bytes, settings: AudioSettings) -> int:
    """Return how many samples at the start are skipped, after checks of the header's channels and rate."""
    if packet.startswith(_VORBIS) and len(packet) >= 16:
        check_header(packet[11], int.from_bytes(packet[12:16], "little"), settings)
        return 0
    if packet.startswith(_OPUS) and len(packet) >= 19:
        check_header(packet[9], 48_000, settings)  # Opus is always decoded at this rate
        return int.from_bytes(packet[10:12], "little")
    raise AudioRefused("unsupported_codec", "Ogg with a codec other than Vorbis and Opus")


def _crc(page: bytes) -> int:
    """Return the checksum of a page (RFC 3533, section 6): zlib's polynomial with the bits in reverse order."""
    crc = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)
