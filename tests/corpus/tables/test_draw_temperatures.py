"""What was found for a version stays, unless nothing was found."""

from __future__ import annotations

from corpus.handle import Corpus
from corpus.storage.database import writing
from corpus.tables import draw_temperatures
from corpus.tables.draw_temperatures import StoredTemperature


def test_a_temperature_stays_and_none_gives_way_to_what_more_clips_show(corpus: Corpus) -> None:
    none, found = StoredTemperature("1", 20, 3, None, None), StoredTemperature("1", 30, 14, 0.62, 13.5)
    with writing(corpus.records) as conn:
        for given, kept in (
            (none, none),
            (found, found),
            (none, found),
            (StoredTemperature("1", 40, 9, 0.5, 9.0), found),
        ):
            draw_temperatures.put(conn, given)
            assert draw_temperatures.stored(conn, "1") == kept
        assert draw_temperatures.stored(conn, "2") is None
