"""Sampling a night that has nothing to choose from says why, and where there is something."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from corpus.handle import Corpus
from corpus.records.models import ModelVersion
from corpus.storage.database import writing
from corpus.tables import models as store
from corpus.tables import scores
from flows.nights.night import night_named
from flows.runtime.settings import Settings
from flows.steps.sample import dry_run, sample_round, stored_rows
from tests.corpus.stored import arrive, choose, corpus_at, predictions_of, score
from tests.flows.homes import small_settings

FIRST = datetime(2026, 3, 1, 12, tzinfo=UTC)
NIGHT, EMPTY = "2026-03-02", "2026-03-05"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[Corpus, Settings, list[str]]]:
    """A home with eight utterances of one night and one of a night that is still open; nothing is scored yet."""
    settings = small_settings(tmp_path / "home")
    corpus = corpus_at(tmp_path / "home", FIRST + timedelta(days=9))
    with writing(corpus.records) as conn:
        for kind in ("asr", "intent"):
            store.put_version(conn, ModelVersion(kind, "1", "run", "", "base", "", "nowhere"))
            store.move_alias(conn, kind, "champion", None, "1")
    ids = arrive(corpus, 8, arrived_at=FIRST, speakers=8)
    arrive(corpus, 1, start=8, arrived_at=FIRST + timedelta(days=9), operation_id="ingest/open")
    yield corpus, settings, ids
    corpus.close()


def why(corpus: Corpus, settings: Settings, name: str) -> str:
    report = dry_run(corpus, settings, night_named(name, "UTC", 0))
    assert report.night == name
    assert report.rows == ()
    assert report.skipped == sample_round(corpus, settings, night_named(name, "UTC", 0)).skipped
    return str(report.skipped)


def test_a_night_without_utterances_names_the_closed_nights_that_have_some(world):
    corpus, settings, _ = world
    reason = why(corpus, settings, EMPTY)
    assert "night 2026-03-05 has no utterances (2026-03-04 00:00 to 2026-03-05 00:00 UTC)" in reason
    assert re.search(r"nights that have some are 2026-03-02: give one by --night$", reason)


def test_a_home_with_no_closed_night_names_the_command_that_brings_utterances(tmp_path: Path, world):
    _, settings, _ = world
    corpus = corpus_at(tmp_path / "other", FIRST)
    with writing(corpus.records) as conn:
        for kind in ("asr", "intent"):
            store.put_version(conn, ModelVersion(kind, "1", "run", "", "base", "", "nowhere"))
            store.move_alias(conn, kind, "champion", None, "1")
    assert "earmark ingest MANIFEST" in why(corpus, settings, EMPTY)
    corpus.close()


def test_a_night_that_is_not_scored_names_the_command_that_scores_it(world):
    corpus, settings, _ = world
    assert "none of the 8 utterances of night 2026-03-02 is scored" in why(corpus, settings, NIGHT)
    assert "earmark score --night 2026-03-02" in why(corpus, settings, NIGHT)


def test_a_night_whose_utterances_were_all_chosen_says_so(world):
    corpus, settings, ids = world
    score(corpus, ids)
    choose(corpus, ids, "round-1")
    assert "all 8 scored utterances of night 2026-03-02 are labelled, were chosen before" in why(
        corpus, settings, NIGHT
    )


def test_each_clip_of_a_dry_run_has_its_length_its_locale_and_the_errors_that_its_label_may_correct(world):
    corpus, settings, ids = world
    predictions = predictions_of(ids)
    with corpus.operation("score/0", "score") as op:
        scores.put(corpus, op, replace(predictions, asr=np.abs(predictions.asr)), {})
    report = dry_run(corpus, settings, night_named(NIGHT, "UTC", 0))
    document = report.to_json()
    assert document["night"] == NIGHT
    chosen = {row["utterance"] for row in document["rows"]}
    assert len(chosen) == document["chosen"] > 0
    assert chosen <= set(ids)
    with corpus.read() as conn:
        locales = {row[0]: row[1] for row in conn.exec_driver_sql("SELECT utterance_id, locale FROM utterances")}
    for row in document["rows"]:
        assert row["locale"] == locales[row["utterance"]]
        place = predictions.utterance_ids.tolist().index(row["utterance"])
        assert row["duration"] == pytest.approx(abs(predictions.column("duration")[place]), abs=0.006)
        words, errors = abs(predictions.column("expected_errors")[place]), row["expected_errors"]
        assert words <= errors + 5e-4 <= words + 1.001  # and the probability that the intent is wrong


@pytest.mark.parametrize(("people", "answers"), [(0, 1), (1, 1), (3, 2)])
def test_the_expected_minutes_count_the_second_answer_to_audit_rows(world, people: int, answers: int):
    corpus, settings, ids = world
    predictions = predictions_of(ids)
    with corpus.operation("score/0", "score") as op:
        scores.put(corpus, op, replace(predictions, asr=np.abs(predictions.asr)), {})
    listed = [{"annotator_id": f"p{number}"} for number in range(people)]
    settings = small_settings(settings.home, f"people.people={json.dumps(listed)}")
    report = dry_run(corpus, settings, night_named(NIGHT, "UTC", 0))
    cost = {ask: settings.cost.of(ask) for ask in ("transcribe", "label_intent", "triage")}
    at = predictions.utterance_ids.tolist().index
    drawn = 0
    for row in report.rows:
        tokens = abs(predictions.column("num_tokens")[at(row.utterance)])
        once = float(cost[row.ask].seconds(abs(predictions.column("duration")[at(row.utterance)]), tokens))
        drawn += row.reason == "audit"
        assert row.seconds == pytest.approx(once * (answers if row.reason == "audit" else 1), abs=0.06)
    assert drawn
    assert report.report.minutes_expected == pytest.approx(sum(row.seconds for row in report.rows) / 60, abs=0.02)


def test_the_rows_of_a_stored_round_are_those_that_the_dry_run_showed(world):
    corpus, settings, ids = world
    night = night_named(NIGHT, "UTC", 0)
    assert stored_rows(corpus, night) == ()
    predictions = predictions_of(ids)
    with corpus.operation("score/0", "score") as op:
        scores.put(corpus, op, replace(predictions, asr=np.abs(predictions.asr)), {})
    shown = dry_run(corpus, settings, night).rows
    report = sample_round(corpus, settings, night)
    rows = stored_rows(corpus, night)
    assert len(rows) == report.chosen > 0
    for row, before in zip(rows, shown, strict=True):
        for name in ("utterance", "reason", "ask", "score", "inclusion", "seconds"):
            assert getattr(row, name) == getattr(before, name)
    assert stored_rows(corpus, night_named(EMPTY, "UTC", 0)) == ()
