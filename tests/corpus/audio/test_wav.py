"""WAV files as tools write them: into pipes, with chunks of odd size, and with more than one recording."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.audio.decode import decode
from corpus.audio.limits import AudioSettings
from corpus.errors import AudioRefused
from tests.corpus.recordings import encoded, header, tone

LIMITS = AudioSettings()
BODY = encoded(tone())[44:]
WHOLE = decode(encoded(tone()), LIMITS)[0]
ODD = bytes(128 + round(80 * np.sin(n / 7)) for n in range(16_001))  # 8 bits a sample
LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT\x0e\x00\x00\x00Lavf60.16.100\x00"
NAMES = (b"LIST", b"bext", b"JUNK", b"fact", b"id3 ", b"note")


def file_of(
    body: bytes = BODY,
    *,
    size: int | None = None,
    riff: int | None = None,
    before: bytes = b"",
    after: bytes = b"",
    form: bytes | None = None,
) -> bytes:
    """Return a WAV file, with the sizes that its header is to give."""
    form = form or header()
    data = b"data" + struct.pack("<I", len(body) if size is None else size) + body
    inner = b"WAVEfmt " + struct.pack("<I", len(form)) + form + before + data + after
    return b"RIFF" + struct.pack("<I", len(inner) if riff is None else riff) + inner


def chunk(name: bytes, content: bytes, *, pad: bool = True) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\x00" * (pad and len(content) % 2)


def outcome(data: bytes) -> str:
    try:
        decode(data, LIMITS)
    except AudioRefused as refused:
        return refused.reason
    return "accepted"


PIPES = {
    "ffmpeg": (0xFFFFFFFF, 0xFFFFFFFF),
    "sox": (0x7FFFF024, 0x7FFFF000),
    "arecord": (0x80000024, 0x80000000),
    "lame": (0xFFFFFFFF, 0xFFFFFFDB),
    "Python": (36, 0),
    "not told": (0, 0),
    "signed": (0x7FFFFFFF, 0x7FFFFFDB),
    "rounded to 3 bytes": (0x7FFFF023, 0x7FFFEFFF),
}


@pytest.mark.parametrize("before", [b"", LIST])
@pytest.mark.parametrize("sizes", PIPES.values(), ids=PIPES)
def test_what_was_written_to_a_pipe_is_read_to_its_end(sizes: tuple[int, int], before: bytes) -> None:
    riff, size = sizes
    assert np.array_equal(decode(file_of(riff=riff, size=size, before=before), LIMITS)[0], WHOLE)


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_size_that_is_not_known_beside_one_of_the_file_that_is(size: int) -> None:
    assert np.array_equal(decode(file_of(size=size), LIMITS)[0], WHOLE)
    assert outcome(file_of(size=size)[:-1000]) == "truncated"
    assert outcome(file_of(size=size) + b"1234") == "no_length"


@given(
    st.one_of(st.just(0), st.integers(0x7FFE0000, 0x8000FFFF), st.integers(0xFFFF0000, 0xFFFFFFFF)),
    st.sampled_from([0, 36, 0x7FFFFFFF, 0xFFFFFFFF]),
    st.integers(1600, 16_000),
)
@settings(max_examples=60, deadline=None)
def test_every_size_that_stands_for_not_known_gives_every_sample(size: int, riff: int, count: int) -> None:
    samples, _ = decode(file_of(BODY[: 2 * count], size=size, riff=riff), LIMITS)
    assert np.array_equal(samples, WHOLE[:count])


@given(st.integers(len(BODY) + 1, 0x7FFDFFFF))
@settings(max_examples=60, deadline=None)
def test_every_other_size_beyond_the_end_is_a_file_that_was_cut(size: int) -> None:
    assert outcome(file_of(size=size)) == "truncated"


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_where_samples_may_end_before_the_file_their_length_is_asked_for(size: int) -> None:
    for spoilt in (
        file_of(BODY + b"\x00", size=size, riff=0),  # half a sample
        file_of(size=size, riff=0, after=LIST),
        file_of(size=size, riff=0, after=chunk(b"note", b"abc", pad=False) + LIST),
    ):
        with pytest.raises(AudioRefused, match="does not say where the samples end") as refused:
            decode(spoilt, LIMITS)
        assert refused.value.reason == "no_length"


def test_a_pipe_without_samples_is_empty() -> None:
    assert outcome(file_of(b"", size=0xFFFFFFFF, riff=0xFFFFFFFF)) == "empty"
    assert outcome(file_of(b"", size=0, riff=36)) == "empty"
    assert outcome(file_of(b"", size=0, after=LIST)) == "empty"


def test_a_file_made_to_be_slow_is_not() -> None:
    hostile = file_of(b"junk\x00\x00\x00\x00" * 300_000 + b"xx", size=0xFFFFFFFF, riff=0)
    assert outcome(hostile) in ("too_long", "no_length")


CHUNKS = st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=9), st.booleans()), max_size=4)


@given(CHUNKS, CHUNKS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_chunks_of_odd_size_are_stepped_over_with_and_without_their_pad_byte(
    before: list[tuple[bytes, bytes, bool]], after: list[tuple[bytes, bytes, bool]], pad: bool
) -> None:
    form = header(frame=1, bits=8)
    plain, _ = decode(file_of(ODD[:8000] + b"\x80", form=form), LIMITS)
    written = file_of(
        ODD[:8000] + b"\x80",
        form=form,
        before=b"".join(chunk(name, content, pad=with_pad) for name, content, with_pad in before),
        after=b"\x00" * pad + b"".join(chunk(name, content, pad=with_pad) for name, content, with_pad in after),
    )
    assert np.array_equal(decode(written, LIMITS)[0], plain)


@pytest.mark.parametrize("name", [b"xyz1", b"AAAA"])
def test_a_chunk_with_a_name_of_its_own_may_follow_one_without_pad_byte(name: bytes) -> None:
    before = chunk(b"note", b"abc", pad=False) + chunk(name, b"x" * 10)
    assert np.array_equal(decode(file_of(before=before), LIMITS)[0], WHOLE)


SAMPLES = chunk(b"data", BODY)
FURTHER = {
    "a second file": file_of() + file_of(),
    "a second file, of a pipe": file_of(riff=0, size=0xFFFFFFFF) + file_of(riff=0, size=0xFFFFFFFF),
    "a second file in a chunk": file_of(after=chunk(b"JUNK", file_of())),
    "a second file in a chunk before": file_of(before=chunk(b"JUNK", file_of())),
    "a file as samples": file_of(file_of()),
    "a file of a pipe as samples": file_of(file_of(size=0, riff=0)),
    "a file amid the samples": file_of(BODY + file_of() + BODY),
    "a file amid the samples of a pipe": file_of(BODY + file_of() + BODY, size=0xFFFFFFFF, riff=0),
    "second samples": file_of(after=SAMPLES),
    "second samples behind a chunk": file_of(after=LIST + SAMPLES),
    "second samples behind a chunk without pad byte": file_of(after=chunk(b"note", b"abc", pad=False) + SAMPLES),
    "second samples with a format": file_of(after=chunk(b"fmt ", header(rate=8000)) + SAMPLES),
    "a big file": file_of(after=b"RF64" + file_of()[4:]),
    "FLAC as samples": file_of(encoded(tone(), "FLAC")),
    "Ogg as samples": file_of(encoded(tone(), "OGG", "VORBIS")),
    "MP3 as samples": file_of(encoded(tone(), "MP3", "MPEG_LAYER_III")),
    "tagged MP3 as samples": file_of(b"ID3\x04\x00\x00\x00\x00\x00\x02xx" + encoded(tone(), "MP3", "MPEG_LAYER_III")),
}


@pytest.mark.parametrize("name", FURTHER)
def test_what_would_be_lost_or_heard_as_noise_is_refused(name: str) -> None:
    assert outcome(FURTHER[name]) == "several_recordings"


def test_samples_in_pieces_are_refused() -> None:
    assert outcome(file_of(before=chunk(b"LIST", b"wavl"))) == "unsupported_codec"
    assert outcome(file_of(after=chunk(b"LIST", b"wavl" + SAMPLES))) == "unsupported_codec"


@pytest.mark.parametrize("magic", [b"RIFX", b"RF64", b"BW64"])
def test_other_kinds_of_wav_are_named_as_such(magic: bytes) -> None:
    assert outcome(magic + file_of()[4:]) == "unsupported_codec"


@pytest.mark.parametrize("rest", [b"\n", b"\r\n", b"\n" * 9, b"\x00" * 64])
def test_blanks_behind_the_samples_are_none(rest: bytes) -> None:
    assert np.array_equal(decode(file_of() + rest, LIMITS)[0], WHOLE)
