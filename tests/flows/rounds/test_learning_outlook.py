"""The outlook on the next labels, from stored reports."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from corpus.records.evaluation import EvaluationReport
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage.database import writing
from corpus.tables import models as store
from corpus.tables import reports, snapshots
from corpus.tables.inventory import put_names, stored_names, with_mapping
from flows.rounds.learning_outlook import outlooks
from sampling.stopping_rule import StoppingSettings
from tests.flows.judged_home import home_of, report_of

IDS = [f"u{k}" for k in range(14)]


def heard(version: str, predicted: str) -> EvaluationReport:
    """Return a report of an intent model that takes every `a` for the same intent."""
    places, wrong = np.zeros(len(IDS), np.int64), np.full(len(IDS), predicted != "a")
    as_intent = {"kind": "intent", "version": version, "intents": ("a", "b")}
    return replace(report_of("1", IDS, "set"), truth=places, predicted=places + wrong, correct=~wrong, **as_intent)


def test_names_that_are_one_now_are_no_error_in_the_outlook(tmp_path: Path) -> None:
    corpus = home_of(tmp_path, judged=False)
    with writing(corpus.records) as conn:
        store.put_version(conn, ModelVersion("intent", "1", "run", "", "base", "", "somewhere"))
        reports.put_report(conn, heard("1", "b"))
        for count, version in enumerate("2345", start=1):
            rows = tuple(SnapshotRow(i, 1, "train", 1.0) for i in IDS[:count])
            learned = snapshots.put_snapshot(conn, Snapshot(rows), "intent")
            store.put_version(conn, ModelVersion("intent", version, "run", learned, "base", "1", "somewhere"))
            reports.put_report(conn, heard(version, "a"))
    assert outlooks(corpus, StoppingSettings(), 0)["intent"].versions == 4
    with writing(corpus.records) as conn:
        merged = with_mapping(stored_names(conn)["intent"], "b", "a")
        put_names(conn, "intent", merged, datetime.now(UTC))
    # by the names of now the base is right everywhere, so there is nothing left to gain
    assert outlooks(corpus, StoppingSettings(), 0)["intent"].versions == 0
