"""The anchor rows on which all versions can be compared, and the key by which one sees that they were."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from corpus.handle import Corpus
from corpus.records.annotations import Label
from corpus.records.base import Kind
from corpus.records.evaluation import EvaluationReport
from corpus.records.models import Snapshot, SnapshotRow
from corpus.storage.database import writing
from corpus.storage.records_schema import model_versions
from corpus.tables import erased, erasure, expiry, labels, snapshots
from corpus.tables import models as store
from corpus.tables import reports as reports_table
from corpus.tables.inventory import put_names, stored_names, with_mapping
from flows.models.anchor_set import AnchorSet, anchor_set, ids_of, newest_judged, stored_by_version
from tests.flows.judged_home import home_of, report_of


def found_in(corpus: Corpus, kind: Kind = "asr", *more: EvaluationReport) -> AnchorSet:
    with corpus.read() as conn:
        reports = [*more, *(each for of_version in stored_by_version(conn, kind).values() for each in of_version)]
        return anchor_set(corpus, conn, kind, reports, newest_judged(conn, kind, reports))


def put(corpus: Corpus, *reports: EvaluationReport) -> None:
    with writing(corpus.records) as conn:
        for each in reports:
            reports_table.put_report(conn, each)


def label(corpus: Corpus, utterance_id: str, transcript: str | None, intent: str | None) -> None:
    with corpus.operation(f"merge/{utterance_id}", "merge") as op:
        labels.put_labels(corpus, op, [Label(utterance_id, transcript, intent, (), 1.0, 2, 2)])


def labelled(corpus: Corpus) -> list[str]:
    with corpus.read() as conn:
        return [row.utterance_id for row in labels.judging(conn)]


def test_a_row_whose_intent_was_corrected_leaves_and_one_that_was_renamed_stays_under_another_key(
    tmp_path: Path,
) -> None:
    corpus = home_of(tmp_path, judged=False)
    assert found_in(corpus, "intent") == AnchorSet(frozenset(), 0)
    ids, truth = sorted(labelled(corpus))[:3], np.array([0, 1, 1])
    first = replace(report_of("1", ids, "set"), kind="intent", intents=("a", "b"), truth=truth, predicted=truth)
    put(corpus, first)
    with writing(corpus.records) as conn:
        store.put_promotion(conn, "intent", "1", "1", "set", 1, "refuse", {"difference": {"n": 4}})  # one was erased
    before = found_in(corpus, "intent")
    assert (before.rows, before.note) == (frozenset(ids), "anchor set: 3 of 4 rows, 1 was erased")
    with writing(corpus.records) as conn:
        put_names(conn, "intent", with_mapping(stored_names(conn)["intent"], "b", "c"), datetime.now(UTC))
    renamed = found_in(corpus, "intent")
    assert renamed.rows == before.rows
    assert renamed.key != before.key  # rates by the old names and by the new ones may differ
    put(corpus, replace(first, version="2", eval_set_id="later", intents=("a", "c"), truth=np.array([1, 1, 1])))
    with writing(corpus.records) as conn:
        labels.withdraw(conn, ids[2:])
    corrected = found_in(corpus, "intent")
    assert corrected.rows == {ids[1]}
    assert corrected.note == "anchor set: 1 of 4 rows, 1 was erased, 1 was withdrawn, 1 was corrected"
    label(corpus, ids[1], "play jazz", None)
    assert found_in(corpus, "intent").note == (
        "anchor set: 0 of 4 rows, 1 was erased, 1 was withdrawn, 1 has no intent now, 1 was corrected"
    )
    assert found_in(corpus).rows == frozenset()  # of another kind, which has decided on nothing


def test_the_key_is_the_same_as_long_as_the_rows_and_what_is_right_in_them_are(tmp_path: Path) -> None:
    corpus = home_of(tmp_path)
    found = found_in(corpus)
    ids = sorted(found.rows)
    assert (len(ids), found.note) == (20, "")
    put(corpus, report_of("3", [*ids, "new"], "larger"))
    assert found_in(corpus) == found
    label(corpus, ids[0], "play jazz", "another intent")  # says the same to a speech model
    assert found_in(corpus) == found
    label(corpus, ids[1], None, "other")
    without = found_in(corpus)
    assert (without.rows, without.note) == (
        frozenset(ids) - {ids[1]},
        "anchor set: 19 of 20 rows, 1 has no transcript now",
    )
    assert without.key != found.key


def marked(report: EvaluationReport, of: dict[str, str]) -> EvaluationReport:
    return replace(report, marks=np.array([of.get(i, "m") for i in report.utterance_ids.tolist()], np.str_))


def test_a_text_that_was_corrected_to_one_of_the_same_length_leaves(tmp_path: Path) -> None:
    corpus = home_of(tmp_path)
    found = found_in(corpus)
    ids = sorted(found.rows)
    old = marked(report_of("2", ids, "later"), {})
    assert found_in(corpus, "asr", old) == found  # reports of older versions say nothing about texts
    new = marked(report_of("3", ids, "newest"), {ids[0]: "other"})
    put(corpus, old, new)
    corrected = found_in(corpus)
    assert (corrected.rows, corrected.note) == (frozenset(ids[1:]), "anchor set: 19 of 20 rows, 1 was corrected")


def test_rows_never_come_in_also_where_the_last_one_was_erased(tmp_path: Path) -> None:
    corpus = home_of(tmp_path)
    found = found_in(corpus)
    erasure.erase_utterances(corpus, sorted(found.rows)[1:])
    assert found_in(corpus).note == "anchor set: 1 of 20 rows, 19 were erased"
    erasure.erase_utterances(corpus, sorted(found.rows))
    with corpus.read() as conn:
        assert {len(ids_of(each)) for of in stored_by_version(conn, "asr").values() for each in of} == {10}
    gone = found_in(corpus)
    assert (gone.rows, gone.note) == (frozenset(), "anchor set: 0 of 20 rows, 20 were erased")


def test_rows_that_are_not_judged_any_more_stay_and_the_note_says_why_versions_have_no_rate(tmp_path: Path) -> None:
    corpus = home_of(tmp_path)
    found = found_in(corpus)
    put(corpus, report_of("2", ["held out"], "held"))
    with writing(corpus.records) as conn:
        store.put_promotion(conn, "asr", "2", "3", "held", 3, "refuse", {"difference": {"n": 1}})
    after = found_in(corpus)
    assert (after.rows, after.key) == (found.rows, found.key)
    assert after.note == (
        "anchor set: 20 of 20 rows, the newest judgement left out 20 (promotion.judged_on), so its versions have no "
        "rate here"
    )


def test_rows_that_have_expired_are_counted_apart_from_erased_ones(tmp_path: Path) -> None:
    corpus = home_of(tmp_path)
    rows = sorted(found_in(corpus).rows)
    with writing(corpus.records) as conn:
        snapshot = Snapshot(tuple(SnapshotRow(i, 1, "audit", 1.0) for i in rows))
        learned = {"snapshot_id": snapshots.put_snapshot(conn, snapshot, "asr")}
        conn.execute(model_versions.update().where(model_versions.c.version == "2").values(**learned))
    erasure.erase_utterances(corpus, rows[:2])
    erased.begin(corpus, (), {"labelled": rows[2:5]})
    expiry.expire_marked(corpus)
    assert found_in(corpus).note == "anchor set: 15 of 20 rows, 2 were erased, 3 have expired"
    erased.begin(corpus, (), {"labelled": rows[5:]})
    expiry.expire_marked(corpus)
    assert found_in(corpus).note == "anchor set: 0 of 20 rows, 2 were erased, 18 have expired"
