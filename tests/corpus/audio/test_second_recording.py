"""Files that were put behind one another: each pair of containers, with what tools put between them."""

from __future__ import annotations

import pytest

from corpus.audio.decode import decode
from corpus.audio.limits import AudioSettings
from corpus.errors import AudioRefused
from tests.corpus.recordings import encoded, tone

LIMITS = AudioSettings()
KINDS = {
    "WAV": encoded(tone()),
    "FLAC": encoded(tone(), "FLAC"),
    "Ogg": encoded(tone(), "OGG", "VORBIS"),
    "Opus": encoded(tone(), "OGG", "OPUS"),
    "MP3": encoded(tone(), "MP3", "MPEG_LAYER_III"),
}
ID3 = b"ID3\x03\x00\x00\x00\x00\x00\x0a" + b"x" * 10
BETWEEN = {"nothing": b"", "newline": b"\n", "ID3v2": ID3, "ID3v1": b"TAG" + b"x" * 125, "zeros": bytes(64)}


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
def test_two_recordings_in_one_file_are_refused(first: str, second: str, between: str) -> None:
    with pytest.raises(AudioRefused) as refused:
        decode(KINDS[first] + BETWEEN[between] + KINDS[second], LIMITS)
    assert refused.value.reason in ("several_recordings", "unreadable")
    if first != "WAV" or second != "MP3":  # what follows the samples of a WAV need not be known to be lost
        assert refused.value.reason == "several_recordings"


@pytest.mark.parametrize("name", KINDS)
def test_a_recording_that_repeats_itself_behind_a_longer_one_is_refused(name: str) -> None:
    longer = encoded(tone(3.0), "FLAC")
    with pytest.raises(AudioRefused, match=r"further recording|further frames|an MP3 follows"):
        decode(longer + KINDS[name], LIMITS)
    with pytest.raises(AudioRefused, match=r"further recording|frames|an MP3 follows|more follows"):
        decode(KINDS[name] + longer, LIMITS)
