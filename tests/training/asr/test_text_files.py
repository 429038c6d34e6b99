from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import SettingsError
from training.asr.text_files import MAX_LETTERS, check_words, is_long, read_text


@given(text=st.text().filter(lambda text: "\0" not in text and not text.startswith("\x1f")))
def test_a_text_is_read_as_it_was_written_plain_or_of_gzip(tmp_path_factory, text):
    file = tmp_path_factory.mktemp("texts") / "words.txt"
    for content in (text.encode(), gzip.compress(text.encode())):
        file.write_bytes(content)
        assert read_text(file) == text


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("\ufeffwords".encode("utf-16-le"), "can't be read as UTF-8 text; give a UTF-8 text file"),
        ("words".encode("utf-16-le"), "has NUL bytes, as texts in UTF-16 have; save it as UTF-8"),
        (
            gzip.compress("words".encode("utf-16-be"), mtime=0),
            "has NUL bytes, as texts in UTF-16 have; save it as UTF-8",
        ),
        (b"\xff", "can't be read as UTF-8 text; give a UTF-8 text file"),
        (gzip.compress(b"words", mtime=0)[:-9], "can't be read as UTF-8 text; give a UTF-8 text file"),
        (b"mmap lm http://kheafield.com/code format version 5\n\0", "a binary of KenLM; give the ARPA file "),
    ],
)
def test_another_encoding_is_refused(tmp_path, content, why):
    (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises(SettingsError, match=f"^words.txt: {why}"):
        read_text(tmp_path / "words.txt")


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for place in (tmp_path / "pipe", tmp_path / "link", tmp_path, Path("/dev/zero")):
        with pytest.raises(SettingsError, match=f"^{place.name}: is not a regular file; give a UTF-8 text file$"):
            read_text(place)
    with pytest.raises(SettingsError, match=r"^loop: can't be read"):
        read_text(tmp_path / "loop")
    with pytest.raises(SettingsError, match=r"^gone: there is no such file"):
        read_text(tmp_path / "gone")
    with pytest.raises(SettingsError, match=r"^\.: is not a regular file"):
        read_text(Path())
    with pytest.raises(SettingsError, match="no home directory of ~nosuchuser"):
        read_text(Path("~nosuchuser/words.txt"))


@given(letters=st.integers(1, 3 * MAX_LETTERS))
def test_a_word_is_long_from_one_letter_more_than_the_limit(letters):
    word = "o" * letters
    assert is_long(word) == (letters > MAX_LETTERS)
    if letters > MAX_LETTERS:
        with pytest.raises(SettingsError, match=r"^words\.txt: line 7 has a word of more than 100 letters"):
            check_words(f"one {word}", "words.txt", 7)
    else:
        check_words(f"{word} {word} {word}", "words.txt", 7)
