from __future__ import annotations

import io
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.audio.decode import decode
from corpus.audio.limits import REMEDIES, AudioSettings
from corpus.errors import AudioRefused
from tests.corpus.recordings import TAKEN, encoded, header, tone, wav

LIMITS = AudioSettings()


def reason(data: bytes | Path, limits: AudioSettings = LIMITS) -> str:
    with pytest.raises(AudioRefused) as refused:
        decode(data, limits)
    assert refused.value.reason in REMEDIES
    return refused.value.reason


@pytest.mark.parametrize(("form", "subtype", "close"), TAKEN)
def test_every_format_gives_its_samples(form: str, subtype: str, close: float) -> None:
    samples, rate = decode(encoded(tone(), form, subtype), LIMITS)
    assert rate == 16_000
    assert samples.dtype == np.float32
    assert len(samples) == 16_000 or (subtype == "MPEG_LAYER_III" and len(samples) >= 16_000)
    assert np.abs(samples[800:15_000] - tone()[800:15_000]).max() <= close


def test_channels_are_averaged_and_rates_converted() -> None:
    left = tone(rate=44_100)
    samples, rate = decode(encoded(np.stack([left, 0 * left], axis=1), rate=44_100), LIMITS)
    assert (rate, len(samples)) == (44_100, 16_000)
    assert np.abs(samples - tone() / 2)[200:-200].max() < 1e-3


def changing(seconds: float) -> np.ndarray:
    """Return noise whose loudness changes four times a second, so that an encoder changes its bit rate."""
    rng = np.random.default_rng(0)
    loud = np.repeat(rng.random(round(seconds * 4)), 4000)
    return (0.3 * loud * rng.normal(size=len(loud))).clip(-0.9, 0.9).astype(np.float32)


@pytest.mark.parametrize("mode", ["VARIABLE", "AVERAGE", "CONSTANT"])
def test_a_long_mp3_of_any_bit_rate_is_decoded_to_its_end(mode: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, changing(20.0), 16_000, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode=mode)
    data = file.getvalue()
    whole, _ = decode(data, LIMITS)
    assert len(whole) == 320_000
    assert np.corrcoef(whole, changing(20.0))[0, 1] > 0.6
    # Without its information frame nothing says how much silence the encoder put before the start.
    bare, _ = decode(data[data.index(data[:2], 4) :], LIMITS)
    begin = int(np.argmax([np.dot(bare[n : n + 20_000], whole[:20_000]) for n in range(2400)]))
    assert np.abs(bare[begin : begin + 300_000] - whole[:300_000]).max() < 1e-6


def test_tags_of_an_mp3_are_stepped_over() -> None:
    data = encoded(tone(), "MP3", "MPEG_LAYER_III")
    tag = b"ID3\x03\x00\x00\x00\x00\x01\x00" + b"x" * 128
    tagged, _ = decode(tag + data + b"TAG" + b"x" * 125, LIMITS)
    assert np.array_equal(tagged, decode(data, LIMITS)[0])


def test_a_name_says_nothing_about_a_format(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(encoded(tone(), "FLAC"))
    assert len(decode(path, LIMITS)[0]) == 16_000


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32"])
def test_other_codecs_in_wav_never_reach_a_decoder(subtype: str) -> None:
    rate = 8000 if subtype in ("GSM610", "G721_32") else 16_000
    assert reason(encoded(tone(rate=rate), "WAV", subtype, rate)) == "unsupported_codec"


@pytest.mark.parametrize(
    ("form", "subtype"),
    [("AIFF", "PCM_16"), ("AU", "PCM_16"), ("CAF", "PCM_16"), ("W64", "PCM_16"), ("RF64", "PCM_16")],
)
def test_other_containers_are_refused(form: str, subtype: str) -> None:
    assert reason(encoded(tone(), form, subtype)) == "unsupported_codec"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty"),
        (b"This is not audio.", "unreadable"),
        (b"RIFF", "unreadable"),
        (wav()[:44], "empty"),
        (wav()[:20], "unreadable"),
        (wav()[:10_000], "truncated"),
        (wav(body=b""), "empty"),
        (wav(body=b"\x01"), "empty"),
        (wav(0x7FFD0000), "truncated"),
        (wav(form=header(channels=0, frame=0)), "unreadable"),
        (wav(form=header(channels=8, frame=16)), "too_many_channels"),
        (wav(form=header(channels=2, frame=2)), "unreadable"),
        (wav(form=header(rate=0)), "bad_rate"),
        (wav(form=header(rate=4000)), "bad_rate"),
        (wav(form=header(rate=192_000)), "bad_rate"),
        (wav(form=header(rate=15_999)), "bad_rate"),
        (wav(form=header(bits=12)), "unsupported_codec"),
        (wav(form=header(tag=0x55, frame=1, bits=0)), "unsupported_codec"),
        (wav(form=header()[:14]), "unreadable"),
        (wav(chunks=b"fmt \x10\x00\x00\x00" + header(tag=2)), "unreadable"),
        (wav(chunks=b"JUNK\x00\x00\x00\x00" * 5000), "unreadable"),
        (wav(chunks=b"LIST\xff\xff\xff\x7f"), "unreadable"),
        (encoded(tone(0.05)), "too_short"),
        (encoded(tone(31)), "too_long"),
        (encoded(tone(31), "FLAC"), "too_long"),
        (encoded(tone(31), "MP3", "MPEG_LAYER_III"), "too_long"),
        (encoded(tone(31), "OGG", "VORBIS"), "too_long"),
        (encoded(tone(), "FLAC")[:500], "truncated"),
        (encoded(tone(), "FLAC")[:30], "unreadable"),
        (encoded(tone(), "OGG", "VORBIS")[:100], "truncated"),
        (encoded(np.tile(tone()[:, None], 6), "FLAC"), "too_many_channels"),
        (encoded(np.tile(tone()[:, None], 6), "OGG", "VORBIS"), "too_many_channels"),
        (encoded(tone(rate=96_000), "FLAC", rate=96_000), "bad_rate"),
        (encoded(np.zeros(16_000)), "silent"),
        (encoded(tone(level=1e-4)), "silent"),
        (encoded(np.full(16_000, 0.1)), "silent"),
        (encoded(np.sign(tone())), "clipped"),
        (encoded(tone() * 1e20, subtype="FLOAT"), "clipped"),
        (encoded(np.where(np.arange(16_000) == 5, np.nan, tone()), subtype="FLOAT"), "not_finite"),
        (encoded(np.where(np.arange(16_000) == 5, np.inf, tone()), subtype="DOUBLE"), "not_finite"),
        (b"\x00" * 10_000_001, "too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)}-bytes",  # encoders draw serial numbers
)
def test_what_can_not_be_used_is_refused_with_its_reason(data: bytes, expected: str) -> None:
    assert reason(data) == expected


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "big").write_bytes(b"")
    os.truncate(tmp_path / "big", 1 << 40)
    assert reason(tmp_path / "none") == "missing_file"
    assert reason(tmp_path / "big" / "below") == "missing_file"
    assert reason(tmp_path) == "unreadable"
    assert reason(tmp_path / "pipe") == "unreadable"
    assert reason(Path("/dev/zero")) == "unreadable"
    assert reason(tmp_path / "a\x00b") in ("unreadable", "missing_file")
    assert reason(tmp_path / ("a" * 5000)) in ("unreadable", "missing_file")
    assert reason(tmp_path / "big") == "too_large"
    with pytest.raises(AudioRefused) as refused:
        decode(tmp_path / "none", LIMITS)
    assert str(tmp_path) not in str(refused.value)


def test_a_small_file_that_unpacks_to_a_lot_costs_no_memory() -> None:
    lots = encoded(np.zeros(16_000 * 1200, np.int16), "FLAC")
    liar = bytearray(lots)
    liar[21] &= 0xF0  # STREAMINFO: the number of samples is not known
    liar[22:26] = bytes(4)
    tracemalloc.start()
    assert reason(lots) == "too_long"
    assert reason(bytes(liar)) == "too_long"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


@pytest.mark.parametrize("kind", [(f, s) for f, s, _ in TAKEN])
def test_a_spoilt_file_is_audio_or_a_reason(kind: tuple[str, str]) -> None:
    whole = encoded(tone(0.3), *kind)

    @given(
        st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=8), st.integers(0, len(whole))
    )
    @settings(max_examples=25, deadline=None)
    def spoil(changes: list[tuple[int, int]], length: int) -> None:
        data = bytearray(whole)
        for at, value in changes:
            data[at if at % 2 else at % 64] = value  # half of them in the header
        try:
            samples, _ = decode(bytes(data[: length if length % 3 == 0 else len(whole)]), LIMITS)
        except AudioRefused as refused:
            if refused.reason in REMEDIES:
                return
            raise
        assert samples.dtype == np.float32
        assert np.isfinite(samples).all()
        assert 0 < len(samples) <= 30 * 16_000

    spoil()
