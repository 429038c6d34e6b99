"""Counts of one night, by the database."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from corpus.handle import Corpus
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage.database import writing
from corpus.tables import ingest_batches, left_out, models, night_funnel, snapshots, utterances
from tests.corpus.stored import NOON, arrive, choose, score

DAY = timedelta(days=1)


def test_utterances_of_a_window_have_their_state_and_whether_they_are_scored(corpus: Corpus) -> None:
    ids = arrive(corpus, 4)
    arrive(corpus, 1, start=9, arrived_at=NOON + DAY, operation_id="ingest/1")
    score(corpus, ids[:2])
    with writing(corpus.records) as conn:
        utterances.set_aside(conn, ids[3:], "too long")
        found = night_funnel.arrived(conn, NOON, NOON + DAY)
    assert sorted(row.utterance_id for row in found) == sorted(ids)
    assert Counter((row.state, row.scored) for row in found) == {
        ("accepted", True): 2,
        ("accepted", False): 1,
        ("set_aside", False): 1,
    }


def test_refused_rows_count_with_the_newest_utterance_of_their_batch(corpus: Corpus) -> None:
    arrive(corpus, 2)
    with writing(corpus.records) as conn:
        utterances.refuse_lines(conn, "ingest/0", {3: "bad_row", 4: "bad_row", 5: "empty"})
        ingest_batches.put(conn, "ingest/0", 5, 2)
        assert night_funnel.refused_beside_accepted(conn, NOON, NOON + DAY) == {"bad_row": 2, "empty": 1}
        assert night_funnel.refused_beside_accepted(conn, NOON + DAY, NOON + 2 * DAY) == {}
        assert night_funnel.refused_alone(conn) == []


def test_a_batch_without_an_accepted_row_counts_when_it_was_ingested(corpus: Corpus) -> None:
    with corpus.operation("ingest/9", "ingest") as op:
        utterances.refuse_lines(op.conn, "ingest/9", {1: "bad_row"})
        ingest_batches.put(op.conn, "ingest/9", 1, 0)
    with corpus.read() as conn:
        assert [row[1:] for row in night_funnel.refused_alone(conn)] == [("bad_row", 1)]


def test_a_choice_is_counted_by_reason_and_question(corpus: Corpus) -> None:
    ids = arrive(corpus, 3)
    choose(corpus, ids)
    with corpus.read() as conn:
        (row,) = night_funnel.chosen(conn, "night-1")
        assert (row.reason, row.ask, row.count, row.seconds) == ("uncertain", "transcribe", 3, 37.5)
        assert night_funnel.chosen_ids(conn, "night-1") == dict.fromkeys(ids, "uncertain")
        assert night_funnel.chosen(conn, "night-2") == []


def test_a_version_that_left_an_utterance_out_has_no_role_for_it(corpus: Corpus) -> None:
    first, second = sorted(arrive(corpus, 2))
    with writing(corpus.records) as conn:
        rows = (SnapshotRow(first, 1, "train", 1.0), SnapshotRow(second, 1, "audit", 1.0))
        snapshot_id = snapshots.put_snapshot(conn, Snapshot(rows), "asr")
        for version in ("2", "3"):
            models.put_version(conn, ModelVersion("asr", version, "run", snapshot_id, "base", "1", "somewhere"))
        left_out.put(conn, "asr", "3", {"too_long": [first]})
        assert night_funnel.roles(conn, [first, second]) == {first: {"train": 1}, second: {"audit": 2}}
