"""ID3v2 tags (id3.org), which tools write before MP3, and some before WAV, FLAC and Ogg."""

from __future__ import annotations


def end_of_tags(data: bytes, at: int = 0) -> int:
    """Return where the ID3v2 tags that begin at `at` end, with the zeros that some tools reserve after them.

    Without a tag there it is `at`; where the file ends within a tag it lies beyond the file.
    """
    begin = at
    while data[at : at + 3] == b"ID3" and at + 10 <= len(data):
        size = 0
        for byte in data[at + 6 : at + 10]:
            size = size << 7 | byte & 0x7F
        at += 10 + size + (10 if data[at + 5] & 0x10 else 0)
    while at > begin and data[at : at + 1] == b"\x00":
        at += 1
    return at
