from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from flows.nights.night_list import named_nights, nights_with_arrivals
from flows.runtime.settings import NightSettings
from tests.corpus.stored import arrive, corpus_at

FIRST = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_the_newest_nights_in_which_utterances_arrived_are_found_across_gaps(tmp_path: Path):
    corpus = corpus_at(tmp_path / "home", FIRST + timedelta(days=30))
    with corpus.read() as conn:
        assert nights_with_arrivals(conn, NightSettings(), 3) == []
    for number, day in enumerate((0, 1, 9, 12)):
        moment = FIRST + timedelta(days=day)
        arrive(corpus, 2, start=2 * number, arrived_at=moment, operation_id=f"ingest/{number}")
    with corpus.read() as conn:
        found = nights_with_arrivals(conn, NightSettings(ends_at=0), 3)
        assert [night.name for night in found] == ["2026-03-03", "2026-03-11", "2026-03-14"]
        assert len(nights_with_arrivals(conn, NightSettings(), 10)) == 4
    corpus.close()


def test_a_message_names_the_newest_nights_and_how_many_more_there_are():
    days = [f"2026-03-{day:02d}" for day in range(1, 8)]
    assert named_nights(days[:2]) == "2026-03-01, 2026-03-02"
    assert named_nights(days[::-1]) == f"{', '.join(days[2:])} and 2 older"
