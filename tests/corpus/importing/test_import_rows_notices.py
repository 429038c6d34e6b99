"""Which notice counts for the rows of a labelled corpus that name none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from corpus.handle import open_corpus
from corpus.importing.column_mapping import ImportSettings
from corpus.importing.import_rows import import_rows
from corpus.importing.open_source import open_source
from corpus.ingest.ingest import IngestSettings
from corpus.settings import CorpusSettings
from tests.corpus import labelled_sources as labelled


@pytest.mark.parametrize(
    ("given", "counts"),
    [
        ({}, True),
        ({"notices": ["v2"]}, True),
        ({"notices": []}, True),
        ({"notice": "v2", "notices": ["v2"]}, True),
        ({"notice": "v1", "notices": ["v2"]}, False),
        ({"notice": "v1", "notices": ["v2", "corpus"]}, False),
    ],
)
def test_rows_without_a_notice_have_that_of_the_settings_else_that_of_the_corpus(
    tmp_path: Path, given: dict[str, Any], counts: bool
) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "0.wav").write_bytes(labelled.clip(0))
    (folder / "train.jsonl").write_text(json.dumps({"audio": "0.wav", "account": "a", "text": "hello"}) + "\n")
    corpus = open_corpus(CorpusSettings(home=tmp_path / "home"))
    source = open_source(str(folder), None, None, tmp_path / "cache")
    report = import_rows(corpus, source, ImportSettings(), IngestSettings.model_validate(given))
    corpus.close()
    assert (report.accepted, report.unnoticed) == (1, 0 if counts else 1)
