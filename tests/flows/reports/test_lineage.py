"""Lineage: where a version comes from, and what learned from an utterance."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpus import door
from corpus.errors import UsageError
from corpus.storage.database import writing
from corpus.tables import annotations as annotations_table
from corpus.tables import models as store
from corpus.tables import snapshots
from flows.reports.demo_tables import DemoReport
from flows.reports.lineage import JudgedVersion, lineage_of
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from tests.flows.conftest import copy_of
from tests.flows.homes import newest_version, small_settings
from training.tracking.facts import git_sha


@pytest.fixture
def settings(lived: tuple[Settings, DemoReport], tmp_path: Path) -> Settings:
    return small_settings(copy_of(lived[0].home, tmp_path / "home"))


def test_a_version_leads_back_to_labels_rounds_flow_run_and_commit(settings: Settings):
    with opened(settings) as corpus:
        version = newest_version(corpus, "asr")
        found = lineage_of(corpus, settings.home, settings.tracking, f"asr/{version.version}")
        with corpus.read() as conn:
            snapshot = snapshots.snapshot(conn, version.snapshot_id)
            answered = annotations_table.latest_answers(conn)
    assert sum(found.rows.values()) == len(snapshot.rows) == sum(row.labels for row in found.labels)
    assert {row.round for row in found.rounds} == {row.round for row in answered}
    held = {row.utterance_id for row in snapshot.rows}
    assert found.annotators == {"simulated-1": sum(row.utterance_id in held for row in answered)}
    assert found.git_sha == git_sha()
    assert len(found.flow_run_id) == 36
    assert found.judged_on


def test_an_utterance_leads_on_to_what_learned_from_it(settings: Settings):
    with opened(settings) as corpus:
        version = newest_version(corpus, "asr")
        with corpus.read() as conn:
            snapshot = snapshots.snapshot(conn, version.snapshot_id)
        taught, judging = snapshot.of("train")[0], snapshot.of("audit")[0]
        with writing(corpus.records) as conn:
            store.taint(conn, [taught.utterance_id])
        one, other = (
            lineage_of(corpus, settings.home, settings.tracking, row.utterance_id) for row in (taught, judging)
        )
    mine = [row for row in one.learned_by if (row.kind, row.version) == ("asr", version.version)]
    assert [(row.revision, bool(row.tainted)) for row in mine] == [(taught.revision, True)]
    assert one.chosen[0].state == "answered"
    assert one.answers[0].verdict == "labelled"
    assert one.judged == ()
    assert other.learned_by == ()
    assert other.chosen[0].reason == "audit"
    assert JudgedVersion("asr", version.version) in other.judged


def test_lineage_contains_no_content(settings: Settings):
    with opened(settings) as corpus:
        version = newest_version(corpus, "intent")
        with corpus.read() as conn:
            ids = [row.utterance_id for row in snapshots.snapshot(conn, version.snapshot_id).of("audit")]
        said = [c.label.transcript for c in door.open(corpus, ids, "judge", parts=("label",)) if c.label is not None]
        text = json.dumps(
            [lineage_of(corpus, settings.home, settings.tracking, i).to_json() for i in [*ids, "intent/champion"]]
        )
    assert any(said)
    assert [words for words in said if words and " " in words and words in text] == []


def test_an_unknown_item_is_one_line(settings: Settings):
    with opened(settings) as corpus:
        with pytest.raises(UsageError, match="utterance nobody is unknown"):
            lineage_of(corpus, settings.home, settings.tracking, "nobody")
        with pytest.raises(UsageError, match="asr has no version 99"):
            lineage_of(corpus, settings.home, settings.tracking, "asr/99")
