"""The sampling frame of a night, and whether its run is done."""

from __future__ import annotations

from datetime import UTC, datetime

from corpus.handle import Corpus
from corpus.storage.database import writing
from corpus.tables import nights
from corpus.tables.nights import NightFrame


def test_a_night_has_one_frame_and_is_done_once(corpus: Corpus) -> None:
    first, second = NightFrame("2026-03-02", 4, 9), NightFrame("2026-03-01", 0, 4)
    with writing(corpus.records) as conn:
        for frame in (first, second, NightFrame("2026-03-01", 7, 8)):
            nights.put_frame(conn, frame)
        assert nights.frames(conn) == [second, first]
        assert [nights.has_frame(conn, f"2026-03-0{day}") for day in (1, 2, 3)] == [True, True, False]
        for _ in range(2):
            nights.put_done(conn, "2026-03-01", datetime(2026, 3, 2, tzinfo=UTC))
        assert [nights.is_done(conn, f"2026-03-0{day}") for day in (1, 2)] == [True, False]
        assert nights.done(conn) == {"2026-03-01": datetime(2026, 3, 2, tzinfo=UTC)}
