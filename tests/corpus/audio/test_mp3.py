from __future__ import annotations

import struct

import numpy as np
import pytest

from corpus.audio.decode import decode
from corpus.audio.limits import AudioSettings
from corpus.errors import AudioRefused
from tests.corpus.recordings import encoded, tone

LIMITS = AudioSettings()
MP3 = encoded(tone(), "MP3", "MPEG_LAYER_III")
V1 = b"TAG" + b"x" * 125
APE = b"APETAGEX" + struct.pack("<IIIIxxxxxxxx", 2000, 42, 1, 1 << 31 | 1 << 29) + b"x" * 10 + b"APETAGEX" + bytes(24)
LYRICS = b"LYRICSBEGININD0000200000020LYRICS200"

HARMLESS = {
    "newline": b"\n",
    "line end of DOS": b"\r\n",
    "empty lines": b"\n" * 100,
    "spaces": b"    ",
    "zeros": bytes(100),
    "tag and newline": V1 + b"\n",
    "newline and tag": b"\n" + V1,
    "zeros and tag": bytes(40) + V1,
    "all tags": APE + LYRICS + V1,
    "extended tag": b"TAG+" + bytes(223) + V1,
    "footer of a tag": b"APETAGEX" + bytes(24),
    "ID3v2": b"ID3\x04\x00\x00\x00\x00\x00\x04abcd",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_tools_leave_behind_the_last_frame_changes_nothing(name: str) -> None:
    assert np.array_equal(decode(MP3 + HARMLESS[name], LIMITS)[0], decode(MP3, LIMITS)[0])


@pytest.mark.parametrize("between", [b"", V1, V1 + b"\n", APE, LYRICS + V1, b"\n", bytes(500)])
def test_frames_behind_the_end_are_refused(between: bytes) -> None:
    for more in (MP3, encoded(tone(rate=44_100), "MP3", "MPEG_LAYER_III", 44_100)):
        with pytest.raises(AudioRefused) as refused:
            decode(MP3 + between + more, LIMITS)
        assert refused.value.reason == "several_recordings"


def test_other_data_behind_the_last_frame_is_refused() -> None:
    for rest, reason in ((b"text text text", "unreadable"), (b"\nhello", "unreadable"), (b"abc", "truncated")):
        with pytest.raises(AudioRefused) as refused:
            decode(MP3 + rest, LIMITS)
        assert refused.value.reason == reason
