"""Recordings as they come, each through a real ingest between two good ones."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from corpus.handle import Corpus, open_corpus
from corpus.settings import CorpusSettings
from tests.corpus.arrivals import becomes, line, recording_becomes
from tests.corpus.recordings import TAKEN, encoded, header, tone, wav

KINDS = [(form, subtype) for form, subtype, _ in TAKEN]
RATES = [8000, 11025, 16000, 22050, 32000, 44100, 48000]
OPUS_RATES = (8000, 16000, 48000)  # what its encoder takes


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    made = open_corpus(CorpusSettings(home=tmp_path_factory.mktemp("corpus") / "home"))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("form", "subtype", "rate"), [(*k, r) for k in KINDS for r in RATES if k[1] != "OPUS" or r in OPUS_RATES]
)
def test_every_container_arrives_at_every_usual_rate(
    corpus: Corpus, tmp_path: Path, form: str, subtype: str, rate: int
) -> None:
    stereo = np.stack([tone(rate=rate), 0.5 * tone(rate=rate)], axis=1)
    assert recording_becomes(corpus, tmp_path, encoded(stereo, form, subtype, rate)) == "accepted"


@pytest.mark.parametrize("rate", [4000, 7999, 15_999, 17_001, 47_999, 96_000])
@pytest.mark.parametrize(("form", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")])
def test_odd_rates_are_refused(corpus: Corpus, tmp_path: Path, form: str, subtype: str, rate: int) -> None:
    assert recording_becomes(corpus, tmp_path, encoded(tone(rate=rate), form, subtype, rate)) == "bad_rate"


@pytest.mark.parametrize(
    ("seconds", "outcome"), [(0.099, "too_short"), (0.1, "accepted"), (30.0, "accepted"), (30.01, "too_long")]
)
@pytest.mark.parametrize(("form", "subtype"), [k for k in KINDS if k[1] not in ("DOUBLE", "PCM_U8", "ALAW", "ULAW")])
def test_the_shortest_and_the_longest_are_taken(
    corpus: Corpus, tmp_path: Path, form: str, subtype: str, seconds: float, outcome: str
) -> None:
    assert recording_becomes(corpus, tmp_path, encoded(tone(seconds), form, subtype)) == outcome


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize(("form", "subtype"), KINDS)
def test_a_file_that_was_cut_is_refused(corpus: Corpus, tmp_path: Path, form: str, subtype: str, share: float) -> None:
    """A FLAC file that is cut within its last frame looks like a damaged one: only it is `unreadable`."""
    whole = encoded(tone(2.0), form, subtype)
    outcome = recording_becomes(corpus, tmp_path, whole[: int(len(whole) * share) - 1])
    assert outcome == "truncated" or (form == "FLAC" and share > 0.5 and outcome == "unreadable")


def test_an_mp3_without_information_frame_does_not_say_where_it_ends(corpus: Corpus, tmp_path: Path) -> None:
    """Cut between two frames such a file is whole in every respect, so it is accepted; within one it is refused."""
    whole = encoded(tone(2.0), "MP3", "MPEG_LAYER_III")
    starts = frames_of(whole)
    bare = whole[starts[1] :]
    assert recording_becomes(corpus, tmp_path, bare) == "accepted"
    assert recording_becomes(corpus, tmp_path, whole[starts[1] : starts[30]]) == "accepted"
    assert recording_becomes(corpus, tmp_path, whole[starts[1] : starts[30] + 10]) == "truncated"
    assert recording_becomes(corpus, tmp_path, whole[: starts[30]]) == "truncated"


def frames_of(mp3: bytes) -> list[int]:
    """Return where the frames begin: the sync word and the version do not change within a file."""
    starts = [0]
    while (at := mp3.find(mp3[:2], starts[-1] + 24)) > 0:
        starts.append(at)
    return starts


def flac_of(samples: int, data: bytes) -> bytes:
    """Return the FLAC file with another number of samples in its stream information."""
    changed = bytearray(data)
    changed[21] = changed[21] & 0xF0 | samples >> 32
    changed[22:26] = struct.pack(">I", samples & 0xFFFFFFFF)
    return bytes(changed)


def resized(data: bytes, size: int) -> bytes:
    """Return the WAV file with another size of its samples in the header."""
    return data[:40] + struct.pack("<I", size) + data[44:]


def ogg_header() -> bytes:
    whole = encoded(tone(), "OGG", "VORBIS")
    return whole[: whole.index(b"OggS", whole.index(b"OggS", 4) + 4)]


def with_nan() -> np.ndarray:
    samples = tone()
    samples[5] = np.nan
    return samples


def bomb() -> bytes:
    """Return half a megabyte of FLAC that unpack to 300 MB of samples."""
    data = encoded(np.zeros(150_000_000, np.int16), "FLAC")
    assert len(data) < 1_000_000
    return data


REFUSED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty": ("empty", lambda: b""),
    "header only, WAV": ("empty", lambda: encoded(tone())[:44]),
    "header only, WAV of size 0": ("empty", lambda: resized(encoded(tone())[:44], 0)),
    "header only, FLAC": ("truncated", lambda: encoded(tone(), "FLAC")[:42]),
    "header only, Ogg": ("empty", ogg_header),
    "header only, MP3": ("empty", lambda: b"ID3\x04\x00\x00\x00\x00\x00\x10" + bytes(16)),
    "WAV that claims 2 GB": ("truncated", lambda: resized(encoded(tone()), 0x7FFD0000)),
    "WAV of a pipe with half a sample": ("no_length", lambda: resized(encoded(tone()), 0xFFFFFFFF) + b"x"),
    "WAV that claims twice": ("truncated", lambda: resized(encoded(tone()), 64_000)),
    "WAV that claims a part": ("unreadable", lambda: resized(encoded(tone()), 8000)),
    "WAV that holds two": ("several_recordings", lambda: encoded(tone()) * 2),
    "FLAC that claims twice": ("truncated", lambda: flac_of(32_000, encoded(tone(), "FLAC"))),
    "FLAC that claims a part": ("unreadable", lambda: flac_of(8000, encoded(tone(), "FLAC"))),
    "FLAC that claims hours": ("too_long", lambda: flac_of((1 << 36) - 1, encoded(tone(), "FLAC"))),
    "FLAC that holds two": ("several_recordings", lambda: encoded(tone(), "FLAC") * 2),
    "MP3 that holds two": ("several_recordings", lambda: encoded(tone(), "MP3", "MPEG_LAYER_III") * 2),
    "Ogg that holds two": ("several_recordings", lambda: encoded(tone(), "OGG", "VORBIS") * 2),
    "NaN": ("not_finite", lambda: encoded(with_nan(), subtype="FLOAT")),
    "silence": ("silent", lambda: encoded(np.zeros(16_000))),
    "silence with an offset": ("silent", lambda: encoded(np.full(16_000, 0.25))),
    "silence, MP3": ("silent", lambda: encoded(np.zeros(16_000), "MP3", "MPEG_LAYER_III")),
    "clipping throughout": ("clipped", lambda: encoded(np.sign(tone()))),
    "clipping throughout, FLAC": ("clipped", lambda: encoded(np.sign(tone()), "FLAC")),
    "8 channels, WAV": ("too_many_channels", lambda: encoded(np.tile(tone()[:, None], 8))),
    "8 channels, FLAC": ("too_many_channels", lambda: encoded(np.tile(tone()[:, None], 8), "FLAC")),
    "8 channels, Ogg": ("too_many_channels", lambda: encoded(np.tile(tone()[:, None], 8), "OGG", "OPUS")),
    "8 channels in the header alone": ("too_many_channels", lambda: wav(form=header(channels=8, frame=16))),
    "IMA ADPCM": ("unsupported_codec", lambda: encoded(tone(), subtype="IMA_ADPCM")),
    "MS ADPCM": ("unsupported_codec", lambda: encoded(tone(), subtype="MS_ADPCM")),
    "FLAC bomb": ("too_long", bomb),
    "FLAC bomb that hides its length": ("too_long", lambda: flac_of(0, bomb())),
    "text": ("unreadable", lambda: b"This is a text file.\n" * 100),
    "over 10 MB": ("too_large", lambda: encoded(np.zeros((1_440_000, 2)), subtype="FLOAT", rate=48_000)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_be_used_has_its_reason(corpus: Corpus, tmp_path: Path, name: str) -> None:
    reason, data = REFUSED[name]
    assert recording_becomes(corpus, tmp_path, data()) == reason


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_a_wav_of_unknown_length_is_taken(corpus: Corpus, tmp_path: Path, size: int) -> None:
    assert recording_becomes(corpus, tmp_path, resized(encoded(tone()), size)) == "accepted"


def test_a_flac_of_unknown_length_is_taken(corpus: Corpus, tmp_path: Path) -> None:
    assert recording_becomes(corpus, tmp_path, flac_of(0, encoded(tone(), "FLAC"))) == "accepted"
    assert recording_becomes(corpus, tmp_path, flac_of(0, encoded(tone(29.0), "FLAC"))) == "accepted"


def test_names_of_no_file_have_their_reason(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    for name, reason in {"none.wav": "missing_file", "folder.wav": "unreadable", "pipe.wav": "unreadable"}.items():
        outcome, message = becomes(corpus, tmp_path, line(audio=name))
        assert outcome == reason
        assert "field audio: " in message
        assert name not in message


@pytest.mark.parametrize("name", ["new\nline.wav", "carriage\rreturn.wav", "\x1b[31mred.wav", "line\u2028end.wav"])
def test_a_name_with_a_line_break_is_refused_though_its_file_is_there(
    corpus: Corpus, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(encoded(tone()))
    outcome, message = becomes(corpus, tmp_path, line(audio=name))
    assert outcome == "bad_row"
    assert "field audio: holds a line break or another control character; give a file name" in message


def test_a_name_that_is_no_utf_8_is_refused_though_its_file_is_there(corpus: Corpus, tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav")).write_bytes(encoded(tone()))
    outcome, message = becomes(corpus, tmp_path, line(audio="\udcff.wav"))
    assert (outcome, "field audio: is not valid UTF-8; give a file name" in message) == ("bad_row", True)
    outcome, message = becomes(corpus, tmp_path, line(audio="ODD.wav").replace(b"ODD", b"\xff"))
    assert (outcome, "the line is not UTF-8; write" in message) == ("bad_row", True)
