"""Who judges a transcript: a version that did not learn from it, and none that knows too little of the speech."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus import door
from corpus.records.annotations import Label
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage.database import writing
from corpus.tables import labels, snapshots
from corpus.tables import models as store
from flows.models import registry
from flows.rounds.label_doubt import doubt_of_transcripts
from tests.flows.small_round import World, round_of
from training.asr.transcribe import best_texts
from training.tracking.version_files import folder_digest

COUNT = 24


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A home with labels to come, whose champion asr/2 learned from every third clip; its weights are the base's."""
    with round_of(tmp_path / "home", COUNT) as made:
        folder = registry.base_folder(made.settings.home, made.settings.models, "asr")
        digest, base = folder_digest(folder), str(folder)
        learned = tuple(SnapshotRow(i, 1, "train", 1.0) for i in sorted(made.ids)[::3])
        with writing(made.corpus.records) as conn:
            snapshot_id = snapshots.put_snapshot(conn, Snapshot(learned), "asr")
            store.put_version(conn, ModelVersion("asr", "1", "run", "", digest, "", base))
            store.put_version(conn, ModelVersion("asr", "2", "run", snapshot_id, digest, "1", base))
            store.move_alias(conn, "asr", "champion", None, "2")
        yield made


def put(world: World, texts: dict[str, str]) -> None:
    with world.corpus.operation("ingest/labels", "ingest") as op:
        labels.put_labels(
            world.corpus, op, [Label(i, text, None, (), 1.0, 0, 1) for i, text in texts.items()], "manifest"
        )


def test_a_transcript_is_judged_by_a_version_that_did_not_learn_from_it(world: World):
    ids = sorted(world.ids)
    clips = [content.audio for content in door.open(world.corpus, ids, "score") if content.audio is not None]
    model = registry.load_asr(world.settings.home, registry.champion(world.corpus, "asr"))
    put(world, dict(zip(ids, best_texts(model, clips), strict=True)))
    found = doubt_of_transcripts(world.corpus, world.settings.home)
    assert {row.utterance: row.judge for row in found.suspects} == {
        i: "asr/1" if i in ids[::3] else "asr/2" for i in ids
    }
    assert {row.score for row in found.suspects} == {0.0}
    assert {row.reason for row in found.suspects} == {"asr/1 agrees", "asr/2 agrees"}
    assert found.unjudged == {}


def test_a_version_that_writes_most_words_differently_judges_nothing(world: World):
    put(world, dict.fromkeys(world.ids, "please turn off the light"))
    found = doubt_of_transcripts(world.corpus, world.settings.home)
    assert found.suspects == ()
    assert sum(found.unjudged.values()) == COUNT
    assert found.skipped.startswith("no transcript can be judged: 16 labels: asr/2 writes 1")
    assert "8 labels: asr/1 writes" in found.skipped
