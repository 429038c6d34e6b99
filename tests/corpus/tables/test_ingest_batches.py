from __future__ import annotations

from corpus.handle import Corpus
from corpus.storage.database import writing
from corpus.tables import ingest_batches, utterances
from corpus.tables.ingest_batches import RefusedFile


def test_batches_add_up_and_count_once(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        assert ingest_batches.totals(conn) == {"received": 0, "accepted": 0}
        for name, received, accepted in (("a", 512, 500), ("b", 3, 3), ("a", 512, 500)):
            ingest_batches.put(conn, name, received, accepted)
        assert ingest_batches.totals(conn) == {"received": 515, "accepted": 503}


def test_a_line_that_is_accepted_after_all_moves_to_a_batch_of_its_own(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        for batch_id, received, refused in (("a", 4, {1: "missing_file", 3: "bad_row"}), ("b", 2, {5: "empty"})):
            ingest_batches.put(conn, batch_id, received, received - len(refused))
            utterances.refuse_lines(conn, batch_id, refused)
        assert ingest_batches.stored(conn, ["a", "b", "c"]) == 2
        ingest_batches.accept_refused(conn, "a", "a/again", [1])
        ingest_batches.accept_refused(conn, "b", "b/again", [])
        ingest_batches.change_reasons(conn, "b", {5: "truncated"})
        assert ingest_batches.totals(conn) == {"received": 6, "accepted": 4}
        lines = ingest_batches.refused_lines(conn, ["b", "a", "a/again"])
        assert [(each.batch_id, number, each.reason) for number, each in lines.items()] == [
            ("a", 3, "bad_row"), ("b", 5, "truncated"),
        ]  # fmt: skip
        assert ingest_batches.stored(conn, ["a/again", "b/again"]) == 1


def test_the_clip_of_a_refused_line_is_kept_until_its_reason_changes(corpus: Corpus) -> None:
    clip = RefusedFile("state", "no sample rises above silence")
    with writing(corpus.records) as conn:
        utterances.refuse_lines(conn, "a", {1: "silent", 2: "silent"})
        ingest_batches.keep_files(conn, "a", {2: clip, 7: clip})
        assert [each.file for each in ingest_batches.refused_lines(conn, ["a"]).values()] == [None, clip]
        ingest_batches.change_reasons(conn, "a", {2: "missing_file"})
        assert [each.file for each in ingest_batches.refused_lines(conn, ["a"]).values()] == [None, None]
