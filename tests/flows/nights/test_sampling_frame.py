"""The frame of a night: what arrived in it and what came in late, each utterance in one frame at most."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.storage import operation_ids
from corpus.tables import nights
from flows.nights.night import night_named
from flows.nights.sampling_frame import closed_night, sampling_frame
from flows.runtime.settings import Settings, load_settings
from tests.corpus.stored import arrive, corpus_at

DAYS = 4
FIRST = datetime(2026, 3, 1, tzinfo=UTC)


def settings_with(late_days: int = 7) -> Settings:
    return load_settings(None, ["night.ends_at=0", f"night.late_days={late_days}"])


def choose(corpus: Corpus, settings: Settings, day: int) -> list[str]:
    """Leave a round of that day chosen, and return its frame."""
    night = night_named(f"2026-03-{day + 2:02d}", "UTC", 0)
    with corpus.read() as conn:
        ids, of_night = sampling_frame(conn, settings.night, night)
    with corpus.operation(operation_ids.sample(night.name), "sample") as op:
        nights.put_frame(op.conn, of_night)
    return ids


def test_late_arrivals_join_the_next_frame_once(tmp_path: Path):
    settings = settings_with()
    corpus = corpus_at(tmp_path / "home", FIRST + timedelta(days=9))
    on_time = arrive(corpus, 3, arrived_at=FIRST, operation_id="ingest/0")
    assert choose(corpus, settings, 0) == sorted(on_time)
    late = arrive(corpus, 2, start=3, arrived_at=FIRST, operation_id="ingest/1")
    second = arrive(corpus, 2, start=5, arrived_at=FIRST + timedelta(days=1), operation_id="ingest/2")
    assert choose(corpus, settings, 1) == sorted(late + second)
    assert choose(corpus, settings, 2) == []
    corpus.close()


def test_a_backlog_before_the_first_round_is_not_late(tmp_path: Path):
    corpus = corpus_at(tmp_path / "home", FIRST + timedelta(days=9))
    backlog = arrive(corpus, 3, arrived_at=FIRST, operation_id="ingest/0")
    assert choose(corpus, settings_with(), 1) == []
    assert choose(corpus, settings_with(), 0) == sorted(backlog)  # the backfill
    corpus.close()


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, DAYS - 1)), min_size=1, max_size=8), late=st.integers(0, 3)
)
def test_no_utterance_is_in_two_frames(tmp_path_factory: pytest.TempPathFactory, steps, late: int):
    corpus = corpus_at(tmp_path_factory.mktemp("frames") / "home", FIRST + timedelta(days=9))
    seen: list[str] = []
    chosen: set[int] = set()
    for number, (is_round, day) in enumerate(steps):
        if is_round and day not in chosen:
            chosen.add(day)
            seen += choose(corpus, settings_with(late), day)
        elif not is_round:
            arrive(corpus, 2, start=2 * number, arrived_at=FIRST + timedelta(days=day), operation_id=f"ingest/{number}")
    assert len(seen) == len(set(seen))
    corpus.close()


def test_a_night_that_has_not_closed_is_refused():
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    with pytest.raises(UsageError, match="closes at"):
        closed_night(settings_with().night, tomorrow)
