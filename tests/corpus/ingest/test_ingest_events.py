"""Events of one name from several accounts: none is a duplicate of another account's, and each stays erased alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus.handle import Corpus, open_corpus
from corpus.ingest.ingest import IngestSettings, ingest
from corpus.ingest.manifest_survey import survey
from corpus.settings import CorpusSettings
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import erasure, expiry, retention
from corpus.vault import consent, vault
from tests.corpus.arrivals import utterance_of
from tests.corpus.ingest.test_ingest import everything, row, write

SETTINGS = IngestSettings()


@pytest.fixture
def corpus(tmp_path: Path, databases: dict[str, str]) -> Iterator[Corpus]:
    made = open_corpus(CorpusSettings(home=tmp_path / "home", **databases))
    yield made
    made.close()


def offered(corpus: Corpus, folder: Path, name: str, *seeds: int) -> tuple[int, dict[str, int]]:
    """Return what becomes of rows with the event id `1`, one of each seed's customer; a survey said the same before."""
    manifest = write(folder / f"{name}.jsonl", [row(folder, seed, event_id="1") for seed in seeds])
    said = survey(corpus, manifest, SETTINGS.clock_skew, lambda at: "")
    report = ingest(corpus, manifest, SETTINGS)
    assert (said.arrivals.total(), dict(said.refused)) == (report.accepted, report.refused)
    return report.accepted, report.refused


def test_customers_with_the_same_event_id_are_all_taken_in(corpus: Corpus, tmp_path: Path) -> None:
    assert offered(corpus, tmp_path, "a", 0, 1) == (2, {})
    assert offered(corpus, tmp_path, "b", 2, 1, 0) == (1, {"duplicate": 2})


def test_one_customers_erasure_keeps_out_nobody_else(corpus: Corpus, tmp_path: Path) -> None:
    offered(corpus, tmp_path, "a", 0, 1)
    erasure.erase_utterances(corpus, [utterance_of(corpus, "customer-0", "1")])
    speaker = vault.speaker_of(corpus.vault, "customer-1")
    assert speaker is not None
    erasure.erase_speaker(corpus, speaker)
    assert offered(corpus, tmp_path, "b", 0, 1, 2) == (1, {"erased": 2})


def test_what_retention_ended_is_not_said_to_be_erased(corpus: Corpus, tmp_path: Path) -> None:
    offered(corpus, tmp_path, "a", 0, 1)
    with writing(corpus.records) as conn:
        retention.mark(conn, {"unchosen": [utterance_of(corpus, "customer-0", "1")]})
    expiry.expire_marked(corpus)
    erasure.erase_utterances(corpus, [utterance_of(corpus, "customer-1", "1")])
    assert offered(corpus, tmp_path, "b", 0, 1, 2) == (1, {"expired": 1, "erased": 1})


def test_a_row_of_another_customer_withdraws_its_own_consent_alone(corpus: Corpus, tmp_path: Path) -> None:
    offered(corpus, tmp_path, "a", 0)
    ingest(corpus, write(tmp_path / "b.jsonl", [row(tmp_path, 1, event_id="1", consent=[])]), SETTINGS)
    utterance_id = utterance_of(corpus, "customer-0", "1")
    assert consent.consents(corpus.vault, [utterance_id]) == {utterance_id: consent.ALL}


def refused_by_an_earlier_version(corpus: Corpus, manifest: Path) -> None:
    """Ingest a manifest whose clips are not there, as an earlier version refused the events of other accounts."""
    ingest(corpus, manifest, SETTINGS)
    with writing(corpus.records) as conn:
        conn.execute(sa.update(schema.refusals).values(reason="duplicate", file_state=None, fault=None))


def test_a_row_that_another_customers_event_kept_out_is_taken_in_when_it_is_offered_again(
    corpus: Corpus, tmp_path: Path
) -> None:
    offered(corpus, tmp_path, "a", 0, 3)
    erasure.erase_utterances(corpus, [utterance_of(corpus, "customer-3", "1")])
    clips = [tmp_path / f"{seed}.wav" for seed in (1, 2)]
    manifest = write(tmp_path / "b.jsonl", [row(tmp_path, seed, event_id="1") for seed in (0, 1, 2, 1, 3)])
    for clip in clips:
        clip.rename(clip.with_suffix(".later"))
    refused_by_an_earlier_version(corpus, manifest)
    report = ingest(corpus, manifest, SETTINGS)
    assert (report.accepted, report.refused, report.recovered) == (0, {"duplicate": 2, "missing_file": 3}, 0)
    clips[0].with_suffix(".later").rename(clips[0])
    report = ingest(corpus, manifest, SETTINGS)
    assert (report.accepted, report.refused, report.recovered) == (1, {"duplicate": 3, "missing_file": 1}, 1)
    before = everything(corpus)
    assert ingest(corpus, manifest, SETTINGS).refused == report.refused
    assert everything(corpus) == before


def test_a_row_without_an_event_id_stays_a_duplicate_and_its_clip_is_not_read_again(
    corpus: Corpus, tmp_path: Path
) -> None:
    rows = [row(tmp_path, seed) for seed in (0, 0)]
    assert ingest(corpus, write(tmp_path / "a.jsonl", rows), SETTINGS).refused == {"duplicate": 1}
    (tmp_path / "0.wav").unlink()
    assert ingest(corpus, tmp_path / "a.jsonl", SETTINGS).refused == {"duplicate": 1}
