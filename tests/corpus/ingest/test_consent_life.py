"""Any sequence of rows leaves each utterance the consent that a reference of a few lines leaves it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from corpus.handle import Corpus, open_corpus
from corpus.ingest.ingest import IngestSettings, ingest
from corpus.settings import CorpusSettings
from corpus.vault import consent
from tests.corpus.arrivals import good_recording, utterance_of
from tests.corpus.stored import NOON

HOUR = timedelta(hours=1)
ALL = consent.ALL
SCORE = frozenset({"score"})


class Row(NamedTuple):
    """A row of one customer: which event, when by the device's clock [h], and what for."""

    event: int
    hour: int
    uses: frozenset[str]


class File(NamedTuple):
    """A manifest and when it comes: so many hours after the one before, its rows cut into batches."""

    wait: int
    rows: tuple[Row, ...]
    batch: int = 512
    again: int | None = None


class Life:
    """A corpus whose clock is set by hand, with one new customer."""

    def __init__(self, corpus: Corpus, folder: Path, now: list[datetime]) -> None:
        self.corpus, self.folder, self.now = corpus, folder, now
        self.account = f"account-{uuid.uuid4()}"
        now[0] = NOON

    def ingest(self, name: str, file: File) -> None:
        path = self.folder / f"{self.account}-{name}.jsonl"
        lines = [
            {
                "audio": "good.wav",
                "account": self.account,
                "locale": "en-GB",
                "device_type": "speaker",
                "consent": sorted(row.uses),
                "notice": "v1",
                "wake": {"button": True},
                "arrived_at": (NOON + row.hour * HOUR).isoformat(),
                "event_id": str(row.event),
                "attributes": {"file": name},
            }
            for row in file.rows
        ]
        path.write_text("".join(json.dumps(each) + "\n" for each in lines))
        ingest(self.corpus, path, IngestSettings(clock_skew=0), batch_rows=file.batch)

    def open_for(self, event: int) -> frozenset[str]:
        utterance_id = utterance_of(self.corpus, self.account, str(event))
        return consent.consents(self.corpus.vault, [utterance_id])[utterance_id]


def reference(files: list[File]) -> dict[int, frozenset[str]]:
    """Return what each stored event may be used for; times are hours after noon."""
    closed, now = dict.fromkeys(ALL, -1000), 0
    first: dict[int, int] = {}
    stored: dict[int, tuple[frozenset[str], int]] = {}
    waiting: dict[int, Sequence[Row]] = {}
    for number, file in enumerate(files):
        now += file.wait
        rows = file.rows if file.again is None else waiting.get(file.again, ())
        for row in rows:
            delivered_again = row.event in stored and stored[row.event][0] <= row.uses
            closed |= {use: now for use in ALL - row.uses if file.again is None and not delivered_again}
            if row.hour <= now and "score" in row.uses and row.event not in stored:
                stored[row.event] = (row.uses, min(row.hour, first.get(row.event, now)))
        waiting[number if file.again is None else file.again] = [row for row in rows if row.hour > now]
        first |= {row.event: first.get(row.event, now) for row in rows if row.hour > now}
    return {i: frozenset(use for use in uses if at > closed[use]) for i, (uses, at) in stored.items()}


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    now = [NOON]
    corpus = open_corpus(CorpusSettings(home=tmp_path), clock=lambda: now[0])
    good_recording(tmp_path)
    yield Life(corpus, tmp_path, now)
    corpus.close()


ROWS = st.builds(Row, st.integers(0, 3), st.integers(-6, 8), st.sampled_from([ALL, ALL, SCORE, frozenset()]))
FILES = st.lists(
    st.builds(
        File,
        wait=st.integers(0, 3),
        rows=st.lists(ROWS, min_size=1, max_size=4).map(tuple),
        batch=st.integers(1, 4),
        again=st.none() | st.integers(0, 2),
    ),
    min_size=1,
    max_size=6,
)
NOTHING: tuple[Row, ...] = (Row(9, 0, ALL),)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(drawn=FILES)
@example(drawn=[File(1, (Row(0, 1, ALL),)), File(1, (Row(1, -5, SCORE),))])  # a no with an old clock
@example(drawn=[File(1, (Row(0, 1, ALL),)), File(1, (Row(1, 8, SCORE),)), File(1, (Row(2, 3, ALL),))])  # one ahead
@example(drawn=[File(1, (Row(1, 0, SCORE),)), File(1, (Row(0, 0, ALL),))])  # a yes that comes late
@example(drawn=[File(1, (Row(1, 0, SCORE),)), File(0, (Row(0, 1, ALL),))])  # equal times
@example(drawn=[File(1, (Row(0, 4, ALL),)), File(1, (Row(1, 2, SCORE),)), File(3, NOTHING, again=0)])  # yes ahead
@example(drawn=[File(1, (Row(0, 4, ALL),)), File(1, (Row(1, 2, SCORE),)), File(3, (Row(0, 4, ALL),))])  # sent again
@example(drawn=[File(1, (Row(0, 1, ALL),)), File(1, (Row(1, 2, SCORE),)), File(1, (Row(0, 3, ALL),))])  # a duplicate
@example(drawn=[File(1, (Row(1, 2, SCORE),)), File(1, (Row(0, 2, ALL),)), File(1, NOTHING, again=0)])  # a no again
@example(  # all rows so far again, with a newer yes between; then the old row with less than it was stored with
    drawn=[
        File(1, (Row(0, 0, SCORE),)),
        File(1, (Row(1, 2, ALL),)),
        File(1, (Row(0, 0, SCORE),)),
        File(1, (Row(1, 2, SCORE),)),
    ]
)
def test_each_utterance_keeps_what_the_reference_leaves_it(life: Life, drawn: list[File]) -> None:
    one = Life(life.corpus, life.folder, life.now)
    files = [
        file._replace(again=None if file.again is None or file.again >= n else file.again)
        for n, file in enumerate(drawn)
    ]
    firsts = {n: file for n, file in enumerate(files) if file.again is None}
    files = [file if file.again is None or file.again in firsts else file._replace(again=0) for file in files]
    before: dict[int, frozenset[str]] = {}
    for number, file in enumerate(files):
        one.now[0] += file.wait * HOUR
        name, same = (number, file) if file.again is None else (file.again, files[file.again])
        one.ingest(str(name), same)
        expected = reference(files[: number + 1])
        assert {event: one.open_for(event) for event in expected} == expected
        assert all(expected[event] <= uses for event, uses in before.items())
        before = expected
