from __future__ import annotations

import numpy as np
import pytest

from corpus.audio.decode import decode
from corpus.audio.id3 import end_of_tags
from corpus.audio.limits import AudioSettings
from corpus.errors import AudioRefused
from tests.corpus.recordings import TAKEN, encoded, tone

LIMITS = AudioSettings()


def tag(content: bytes, *, footer: bool = False) -> bytes:
    """Return an ID3v2.4 tag; its size is written in bytes of seven bits."""
    size = bytes(len(content) >> shift & 0x7F for shift in (21, 14, 7, 0))
    flags = b"\x10" if footer else b"\x00"
    return b"ID3\x04\x00" + flags + size + content + (b"3DI\x04\x00" + flags + size if footer else b"")


TAGS = {
    "none": b"",
    "small": tag(b"x" * 10),
    "with a footer": tag(b"x" * 10, footer=True),
    "two": tag(b"x" * 300) + tag(b"y"),
    "with a picture": tag(b"\xff\xd8" + bytes(range(256)) * 100),
    "with room behind it": tag(b"x") + bytes(2048),
}


@pytest.mark.parametrize("name", TAGS)
@pytest.mark.parametrize(("form", "subtype"), [(form, subtype) for form, subtype, _ in TAKEN])
def test_tags_stand_before_every_container(form: str, subtype: str, name: str) -> None:
    data = encoded(tone(), form, subtype)
    assert np.array_equal(decode(TAGS[name] + data, LIMITS)[0], decode(data, LIMITS)[0])
    assert end_of_tags(TAGS[name] + data) == len(TAGS[name])


@pytest.mark.parametrize(("form", "subtype"), [("FLAC", "PCM_16"), ("WAV", "PCM_16"), ("MP3", "MPEG_LAYER_III")])
def test_a_tag_longer_than_the_file_was_cut(form: str, subtype: str) -> None:
    with pytest.raises(AudioRefused) as refused:
        decode(b"ID3\x03\x00\x00\x7f\x7f\x7f\x7f" + encoded(tone(), form, subtype), LIMITS)
    assert refused.value.reason == "truncated"
    with pytest.raises(AudioRefused) as refused:
        decode(tag(b"x" * 100), LIMITS)
    assert refused.value.reason == "empty"
