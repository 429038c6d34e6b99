"""Files of words, texts, phrases and language models: UTF-8, plain or of gzip, and no word longer than any real one."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Final

from corpus.errors import SettingsError
from corpus.user_paths import expanded

GZIP: Final = b"\x1f\x8b"
BINARY: Final = b"mmap lm http://kheafield.com/code"
"""First bytes of files of gzip, and of binary language models of KenLM."""

MAX_LETTERS: Final = 100
"""Longest word of a lexicon; the search follows it by recursion, a token at a time."""


def read_text(file: Path) -> str:
    """Return the text of a file, also of one that gzip made smaller.

    Raises:
        SettingsError: it is no file, such as a folder, a pipe or a device, or it holds something else than UTF-8.
    """
    place = expanded(file)
    name = file.name or str(file)
    try:
        if place.exists() and not place.is_file():
            raise SettingsError(f"{name}: is not a regular file; give a UTF-8 text file")
        content = place.read_bytes()
        if content.startswith(GZIP):
            content = gzip.decompress(content)
        if content.startswith(BINARY):
            raise SettingsError(f"{name}: a binary of KenLM; give the ARPA file that it was made of")
        text = content.decode("utf-8")
    except (OSError, ValueError, EOFError, zlib.error) as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else "can't be read as UTF-8 text"
        if isinstance(error, PermissionError):
            raise SettingsError(f"{name}: may not be read; check its permissions") from error
        raise SettingsError(f"{name}: {reason}; give a UTF-8 text file") from error
    if "\0" in text:
        raise SettingsError(f"{name}: has NUL bytes, as texts in UTF-16 have; save it as UTF-8")
    return text


def check_words(text: str, name: str, number: int) -> None:
    """Check that no word of a line in normal form is too long.

    Args:
        text: the line.
        name: of the file, for messages.
        number: of the line.

    Raises:
        SettingsError: a word is longer than `MAX_LETTERS`.
    """
    if len(text) > MAX_LETTERS and any(is_long(word) for word in text.split()):
        raise SettingsError(
            f"{name}: line {number} has a word of more than {MAX_LETTERS} letters; put spaces into it, or leave it out"
        )


def is_long(word: str) -> bool:
    """Return whether a word is longer than words of a lexicon may be."""
    return len(word) > MAX_LETTERS
