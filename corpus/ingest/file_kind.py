"""What a file looks like that is not what a command expects: for a message that names the mistake and its remedy."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Final, Literal

from corpus.audio import flac, mp3, ogg, wav

FileKind = Literal["empty", "audio", "Parquet", "compressed", "array", "objects", "UTF-16", "table", "binary", "text"]

_START: Final = 1 << 16  # [bytes] that are looked at
_AUDIO: Final = (*wav.MAGIC, flac.MAGIC, ogg.MAGIC, b"FORM", b".snd", b"caff")
_COMPRESSED: Final = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf")
_BLANK: Final = " \t\n\r\x0b\x0c"  # what `bytes.strip` takes for blank; `str.strip` takes more
_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1f]")


def file_kind(path: Path) -> FileKind:
    """Return what the first bytes of a file look like; the file's name is not looked at.

    `array` is text that begins as a JSON array, `objects` as a JSON object; `table` is text with as many separators in
    the first line as in the second.

    Raises:
        OSError: the file can't be read.
    """
    with path.open("rb") as file:
        return kind_of(file.read(_START))


def kind_of(start: bytes) -> FileKind:
    """Return what a file looks like that begins with these bytes."""
    if not start.removeprefix(b"\xef\xbb\xbf").strip():
        return "empty"
    if start.startswith(_AUDIO) or start[4:8] == b"ftyp" or mp3.is_mp3(start):
        return "audio"
    if start.startswith(b"PAR1"):
        return "Parquet"
    if start.startswith(_COMPRESSED):
        return "compressed"
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    text = start.decode("utf-8-sig", errors="replace").lstrip(_BLANK)
    if _CONTROL.search(text) or text.count("\ufffd") > len(text) // 10:
        return "binary"
    if text[0] in "[{":
        return "array" if text[0] == "[" else "objects"
    return "table" if _is_table(text) else "text"


def _is_table(text: str) -> bool:
    """Return whether the first two lines have the same number of cells, more than one; of one line, more than two."""
    lines = text.splitlines()[:2]
    cells = [{len(row) for row in csv.reader(lines, delimiter=separator)} for separator in ",;\t"]
    return any(len(numbers) == 1 and min(numbers) > 3 - len(lines) for numbers in cells)
