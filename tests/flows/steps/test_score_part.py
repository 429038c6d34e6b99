"""A damaged part is scored again by the versions that scored it, and its transcripts stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus import door
from corpus.errors import Damaged, UsageError
from corpus.handle import Corpus
from corpus.records.models import ModelVersion
from corpus.storage import files
from corpus.storage.database import writing
from corpus.tables import erasure, scores
from corpus.tables import models as store
from flows.models import registry
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps.score import ScorePlan, score_shard
from flows.steps.score_part import plan_part, score_part, sound_part
from tests.corpus.stored import arrive
from tests.flows.homes import small_settings
from training.tracking.version_files import folder_digest

NOW = {"asr_version": "1", "intent_version": "1"}


@pytest.fixture
def scored(tmp_path: Path) -> Iterator[tuple[Settings, Corpus, list[str], str]]:
    """Give a home with four clips that the embedded bases scored, and the part with their statistics."""
    settings = small_settings(tmp_path / "home")
    with opened(settings) as corpus:
        ids = arrive(corpus, 4, arrived_at=corpus.clock())
        versions = {
            kind: ModelVersion(kind, "1", "", "", folder_digest(registry.BASES / kind), "", str(registry.BASES / kind))
            for kind in registry.KINDS
        }
        with writing(corpus.records) as conn:
            for version in versions.values():
                store.put_version(conn, version)
        score_shard(corpus, settings.score, settings.home, ScorePlan(*versions.values(), (), 0), ids)
        yield settings, corpus, ids, part_of(corpus)


def part_of(corpus: Corpus) -> str:
    (path,) = (path for path, _ in files.listing(corpus.fs, corpus.root) if path.startswith("parts"))
    return path


def drafts(corpus: Corpus, ids: list[str]) -> list[object]:
    return [content.hypotheses for content in door.open(corpus, ids, "score", parts=("hypotheses",))]


@pytest.mark.parametrize("lost", [True, False])
def test_a_damaged_or_lost_part_is_there_again(scored: tuple[Settings, Corpus, list[str], str], lost: bool) -> None:
    settings, corpus, ids, part = scored
    assert plan_part(corpus, part) is None
    assert sound_part(corpus, part).skipped == f"{part} is what was written"
    before, texts = scores.predictions(corpus, ids, **NOW), drafts(corpus, ids)
    files.remove(corpus.fs, corpus.root, part) if lost else files.store(corpus.fs, corpus.root, part, b"damaged")
    with pytest.raises(Damaged, match=f"run earmark score --part {part}"):
        scores.predictions(corpus, ids, **NOW)
    plan = plan_part(corpus, part)
    assert plan is not None
    report = score_part(corpus, settings.score, settings.home, plan)
    assert (report.scored, report.not_opened, report.damaged) == (4, 0, 0)
    again = scores.predictions(corpus, ids, **NOW)
    assert again.utterance_ids.tolist() == before.utterance_ids.tolist()
    assert abs(again.intent_probs - before.intent_probs).max() < 1e-3
    assert drafts(corpus, ids) == texts
    assert plan_part(corpus, part_of(corpus)) is None


def test_a_clip_of_the_part_that_is_gone_counts_as_unscored(scored: tuple[Settings, Corpus, list[str], str]) -> None:
    settings, corpus, ids, part = scored
    pack = next(path for path, _ in files.listing(corpus.fs, corpus.root) if path.startswith("audio"))
    whole = bytearray(files.load(corpus.fs, corpus.root, pack))
    whole[-1] ^= 1  # the tag of the last clip
    files.store(corpus.fs, corpus.root, pack, bytes(whole))
    files.store(corpus.fs, corpus.root, part, b"damaged")
    plan = plan_part(corpus, part)
    assert plan is not None
    report = score_part(corpus, settings.score, settings.home, plan)
    assert (report.scored, report.not_opened, report.damaged) == (3, 0, 1)
    with corpus.read() as conn:
        (lost,) = scores.unscored(conn, ids, "1", "1")
    assert scores.predictions(corpus, [i for i in ids if i != lost], **NOW).asr_version == "1"
    erasure.erase_utterances(corpus, ids)
    assert not [path for path, _ in files.listing(corpus.fs, corpus.root) if path.startswith("parts")]


def test_a_part_that_no_row_names_is_refused(scored: tuple[Settings, Corpus, list[str], str]) -> None:
    with pytest.raises(UsageError, match="there is no such part"):
        plan_part(scored[1], "parts/none.parquet")


def test_one_damaged_clip_costs_itself_and_is_counted(scored: tuple[Settings, Corpus, list[str], str]) -> None:
    settings, corpus, _, _ = scored
    new = arrive(corpus, 3, start=4, operation_id="ingest/1", arrived_at=corpus.clock())
    with corpus.read() as conn:
        asr, intent = (store.version(conn, kind, "1") for kind in registry.KINDS)
    for pack in {path for path, _ in files.listing(corpus.fs, corpus.root) if path.startswith("audio")}:
        whole = bytearray(files.load(corpus.fs, corpus.root, pack))
        whole[-1] ^= 1
        files.store(corpus.fs, corpus.root, pack, bytes(whole))
    report = score_shard(corpus, settings.score, settings.home, ScorePlan(asr, intent, (), 0), new)
    assert (report.scored + len(report.set_aside), report.not_opened, report.damaged) == (2, 0, 1)
