"""The inbox: what earlier nights took in is not counted again, and a file that can't be read costs only itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from corpus.errors import UsageError
from corpus.handle import Corpus
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps.ingest import IngestReport, ingest_manifests, waiting_manifests
from tests.corpus.ingest.test_ingest import row, write
from tests.flows.homes import small_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = small_settings(tmp_path / "home")
    made.inbox.mkdir(parents=True)
    return made


@pytest.fixture
def corpus(settings: Settings) -> Iterator[Corpus]:
    with opened(settings) as corpus:
        yield corpus


def test_a_night_counts_only_what_it_took_in(settings: Settings, corpus: Corpus):
    write(settings.inbox / "a.jsonl", [row(settings.inbox, 1), "{"])
    first = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True).to_json()
    assert [(line["file"], line["line"], line["reason"]) for line in first.pop("refused_lines")] == [
        ("a.jsonl", 2, "bad_row")
    ]
    assert first == {"received": 2, "accepted": 1, "refused": {"bad_row": 1}}
    write(settings.inbox / "b.jsonl", [row(settings.inbox, 2), row(settings.inbox, 3)])
    assert ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True).to_json() == {
        "received": 2, "accepted": 2, "refused": {}, "already": 1,
    }  # fmt: skip
    again = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    assert again == IngestReport(received=0, accepted=0, refused={}, already=2)


def test_a_manifest_named_by_hand_shows_its_counts_again(settings: Settings, corpus: Corpus):
    manifest = write(settings.inbox / "a.jsonl", [row(settings.inbox, 1), "{"])
    first = ingest_manifests(corpus, settings, [manifest], from_inbox=False)
    assert (first.received, first.accepted, first.refused) == (2, 1, {"bad_row": 1})
    assert ingest_manifests(corpus, settings, [manifest], from_inbox=False) == replace(first, already=1)


def test_a_damaged_manifest_is_named_and_the_others_are_taken_in(settings: Settings, corpus: Corpus):
    damaged = settings.inbox / "a.parquet"
    damaged.write_bytes(b"PAR1 and nothing of the kind")
    write(settings.inbox / "b.jsonl", [row(settings.inbox, 1)])
    report = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    assert report.accepted == 1
    assert list(report.failed) == ["a.parquet"]
    assert "damaged" in report.failed["a.parquet"]
    with pytest.raises(UsageError, match="damaged"):
        ingest_manifests(corpus, settings, [damaged], from_inbox=False)
