"""Utterance ids of a manifest's events: how a dataset or a task is joined with the data that it came from."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotation.files import TASK_FILE
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.ingest.ingest import ingest
from corpus.vault import vault
from flows.reports.audit_log import audit_rows
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps.dataset import export_dataset, look_up_ids
from tests.corpus.arrivals import utterance_of
from tests.corpus.ingest.test_ingest import row, write
from tests.flows.homes import arguments, earmark, small_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return small_settings(tmp_path / "home")


@pytest.fixture
def corpus(settings: Settings) -> Iterator[Corpus]:
    with opened(settings) as made:
        yield made


def test_a_dataset_joins_with_the_manifest_by_the_ids_of_its_lines(settings: Settings, corpus: Corpus, tmp_path: Path):
    rows = [row(tmp_path, seed, event_id=f"order-{seed}", text=f"clip {seed}") for seed in range(4)]
    rows[2].pop("event_id")
    manifest = write(tmp_path / "m.jsonl", ["{", *rows, row(tmp_path, 9, event_id="order-9", consent=[])])
    ingest(corpus, manifest, settings.ingest)
    export_dataset(corpus, settings.home, tmp_path / "out", "csv", with_audio=False, expires_at=None)
    found = look_up_ids(corpus, manifest, "lena")
    assert (found.no_event_id, found.not_there) == (2, 1)
    lines = {each.utterance_id: each.line for each in found.ids}
    texts = {
        lines[each["utterance_id"]]: each["text"]
        for file in (tmp_path / "out").glob("*.csv")
        for each in csv.DictReader(file.open())
        if each["utterance_id"] in lines
    }
    assert texts
    assert all(text == f"clip {line - 2}" for line, text in texts.items())
    shown = earmark("dataset", "ids", str(manifest), "--by", "lena", *arguments(settings.home))
    assert shown.stdout.splitlines() == [
        "line,utterance_id", *(f"{each.line},{each.utterance_id}" for each in found.ids),
    ]  # fmt: skip
    assert "left out: 2 rows without a readable event_id, 1 whose utterance is not in the home" in shown.stderr
    assert "order-" not in shown.stdout + shown.stderr
    assert [each.actor for each in audit_rows(settings, 20) if each.act == "look up"] == ["lena", "lena"]


def test_what_was_erased_is_linked_no_more(settings: Settings, corpus: Corpus, tmp_path: Path):
    manifest = write(tmp_path / "m.jsonl", [row(tmp_path, seed, event_id=f"order-{seed}") for seed in range(2)])
    ingest(corpus, manifest, settings.ingest)
    vault.destroy(corpus.vault, [utterance_of(corpus, "customer-0", "order-0")], "test")
    found = look_up_ids(corpus, manifest, "lena")
    assert ([each.line for each in found.ids], found.not_there) == ([2], 1)


def test_a_manifest_without_an_event_id_is_refused(settings: Settings, corpus: Corpus, tmp_path: Path):
    manifest = write(tmp_path / TASK_FILE, [row(tmp_path, 1)])
    with pytest.raises(UsageError, match="no row has an event_id"):
        look_up_ids(corpus, manifest, "lena")
