"""The anchor rows on which all versions can be compared, and the key by which one sees that they were."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.storage.database import writing
from corpus.tables import models as store
from corpus.tables import reports as reports_table
from corpus.tables.inventory import put_names, stored_names, with_mapping
from flows.models.anchor_set import AnchorSet, anchor_set, stored_by_version
from tests.flows.judged_home import home_of, report_of

IDS = ["u0", "u1", "u2"]


def found_in(corpus: Corpus, kind: Kind, ids: list[str]) -> AnchorSet:
    with corpus.read() as conn:
        reports = [each for of_version in stored_by_version(conn, kind).values() for each in of_version]
        return anchor_set(conn, kind, frozenset(ids), reports)


def test_a_row_whose_intent_was_corrected_leaves_and_one_that_was_renamed_stays_under_another_key(
    tmp_path: Path,
) -> None:
    corpus = home_of(tmp_path, judged=False)
    assert found_in(corpus, "intent", IDS) == AnchorSet(frozenset(), 0)
    truth = np.array([0, 1, 1])
    first = replace(report_of("1", IDS, "set"), kind="intent", intents=("a", "b"), truth=truth, predicted=truth)
    with writing(corpus.records) as conn:
        reports_table.put_report(conn, first)
        store.put_promotion(conn, "intent", "1", "1", "set", 1, "refuse", {"difference": {"n": 4}})  # one was erased
    before = found_in(corpus, "intent", IDS)
    assert (before.rows, before.note) == (frozenset(IDS), "anchor set: 3 of 4 rows, 1 was erased")
    with writing(corpus.records) as conn:
        put_names(conn, "intent", with_mapping(stored_names(conn)["intent"], "b", "c"), datetime.now(UTC))
    renamed = found_in(corpus, "intent", IDS)
    assert renamed.rows == before.rows
    assert renamed.key != before.key  # rates by the old names and by the new ones may differ
    with writing(corpus.records) as conn:
        later = replace(first, version="2", eval_set_id="later", intents=("a", "c"), truth=np.array([1, 1, 1]))
        reports_table.put_report(conn, later)
    corrected = found_in(corpus, "intent", IDS[:2])
    assert corrected.rows == {"u1"}
    assert corrected.note == "anchor set: 1 of 4 rows, 1 was erased, 1 was withdrawn, 1 was corrected"


def test_the_key_is_the_same_as_long_as_the_rows_and_what_is_right_in_them_are(tmp_path: Path) -> None:
    corpus = home_of(tmp_path)
    with corpus.read() as conn:
        every = stored_by_version(conn, "asr")
    ids = sorted(every["2"][0].utterance_ids.tolist())
    found = found_in(corpus, "asr", ids)
    assert (found.rows, found.note) == (frozenset(ids), "")
    with writing(corpus.records) as conn:
        reports_table.put_report(conn, report_of("3", [*ids, "new"], "larger"))
    assert found_in(corpus, "asr", [*ids, "new"]) == found
    assert found_in(corpus, "asr", ids[1:]).key != found.key
