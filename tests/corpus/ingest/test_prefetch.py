"""Prefetching gives each row the same recording as decoding when it is read, whichever rows are read."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.audio.decoder_process import Recording
from corpus.errors import AudioRefused
from corpus.ingest.manifest_row import BadRow, ManifestRow
from corpus.ingest.prefetch import PrefetchedRecordings
from corpus.records.arrivals import Wake


def row(line: int, *, consent: bool = True) -> ManifestRow:
    return ManifestRow(
        line=line, audio="a", account="b", device_serial=None, locale="en", device_type="hub",
        consent=frozenset({"score"} if consent else ()), wake=Wake(button=True),
        arrived_at=datetime(2026, 1, 1, tzinfo=UTC), event_id=None, attributes={}, text=None, intent=None, slots=(),
    )  # fmt: skip


def read_recording(asked: ManifestRow) -> Recording:
    if asked.line % 5 == 3:
        raise AudioRefused("empty", "nothing")
    return Recording(str(asked.line), bytes(1000 * (asked.line % 4)))


def decode(rows: Sequence[ManifestRow]) -> list[Recording | AudioRefused | None]:
    """Return what `read_recording` returns or raises, but None for every seventh row."""
    found: list[Recording | AudioRefused | None] = []
    for asked in rows:
        try:
            found.append(None if asked.line % 7 == 0 else read_recording(asked))
        except AudioRefused as refused:
            found.append(refused)
    return found


def broken(rows: Sequence[ManifestRow]) -> list[Recording | AudioRefused | None]:
    raise EOFError


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.sampled_from(["asked", "skipped", "closed", "bad"]), max_size=40),
    st.integers(1, 3000),
    st.integers(1, 3),
)
def test_every_row_gets_its_own_recording(kinds: list[str], most: int, decoders: int):
    rows = [BadRow(n, "bad") if kind == "bad" else row(n, consent=kind != "closed") for n, kind in enumerate(kinds)]
    # `most` is so small that the threads have to wait for the reader
    reader = PrefetchedRecordings(read_recording, [decode, broken, decode][:decoders], most)
    try:
        for start in range(0, len(rows), 7):
            reader.expect(rows[start : start + 7])
        for number, kind in enumerate(kinds):
            if kind not in ("asked", "closed"):
                continue
            asked = rows[number]
            assert isinstance(asked, ManifestRow)
            if number % 5 == 3:
                with pytest.raises(AudioRefused):
                    reader(asked)
            else:
                assert reader(asked).sha256 == str(number)
    finally:
        reader.close()


def test_an_error_of_a_decoder_is_raised_when_its_row_is_read():
    def failing(asked: ManifestRow) -> Recording:
        raise OSError(f"row {asked.line}")

    reader = PrefetchedRecordings(failing, [broken])
    reader.expect([row(1), row(2)])
    with pytest.raises(OSError, match="row 2"):
        reader(row(2))
    reader.close()


def test_the_threads_end_though_rows_wait():
    before = set(threading.enumerate())
    reader = PrefetchedRecordings(read_recording, [decode, broken])
    reader.expect([row(n) for n in range(100)])
    reader.close()
    assert set(threading.enumerate()) <= before
