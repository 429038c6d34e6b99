"""An account of which rows wait alone, such as for their clips, is erased so that they stay out later."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from corpus.handle import Corpus
from corpus.ingest.ingest import IngestReport, IngestSettings, ingest
from corpus.vault import find, stated_consent
from flows.runtime.settings import Settings
from flows.steps import erase, erase_target
from tests.corpus.arrivals import NAME, NOW, good_recording, row
from tests.corpus.stored import corpus_at
from tests.flows.homes import arguments, earmark, small_settings

ADA = f"{NAME}-ada"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return small_settings(tmp_path / "home")


@pytest.fixture
def corpus(settings: Settings) -> Iterator[Corpus]:
    made = corpus_at(settings.home, NOW)
    yield made
    made.close()


def ingested(corpus: Corpus, folder: Path, **fields: object) -> IngestReport:
    (folder / "rows.jsonl").write_text(json.dumps({**row(account=ADA, event_id="one"), **fields}) + "\n")
    return ingest(corpus, folder / "rows.jsonl", IngestSettings())


def erased(corpus: Corpus, settings: Settings) -> erase.EraseReport:
    return erase.erase(corpus, settings, erase_target.find_target(corpus, "account", [ADA]), "request", "desk")


def test_the_command_says_what_is_held_of_a_row_that_waits_and_closes_the_account(tmp_path: Path):
    home = tmp_path / "home"
    with_clip = tmp_path / "later.wav"
    (tmp_path / "rows.jsonl").write_text(json.dumps(row(account=ADA, audio=with_clip.name)) + "\n")
    assert "missing_file" in earmark("ingest", str(tmp_path / "rows.jsonl"), "--json", *arguments(home)).stdout
    done = earmark("erase", "account", ADA, *arguments(home))
    assert done.returncode == 0, done.stderr
    assert "rows that wait are held" in done.stdout
    assert ADA not in done.stdout + done.stderr
    again = earmark("erase", "account", ADA, *arguments(home))
    assert "was erased on" in again.stdout
    good_recording(tmp_path)
    shutil.move(tmp_path / "good.wav", with_clip)
    late = earmark("ingest", str(tmp_path / "rows.jsonl"), "--json", *arguments(home))
    assert json.loads(late.stdout)["refused"] == {"erased": 1}, late.stdout + late.stderr


def test_a_row_whose_clock_was_ahead_stays_out_of_an_erased_account(corpus: Corpus, settings: Settings, tmp_path: Path):
    good_recording(tmp_path)
    ahead = {"arrived_at": (NOW + timedelta(days=1)).isoformat()}
    assert ingested(corpus, tmp_path, **ahead).refused == {"ahead": 1}
    erased(corpus, settings)
    later = replace(corpus, clock=lambda: NOW + timedelta(days=2))
    assert ingested(later, tmp_path, **ahead).refused == {"erased": 1}
    new = ingested(later, tmp_path, arrived_at=(NOW + timedelta(days=1)).isoformat(), event_id="after")
    assert new.accepted == 1  # arrived and was received after the erasure: a customer who came back


def test_a_row_that_waits_since_an_erasure_is_closed_by_the_next_one(
    corpus: Corpus, settings: Settings, tmp_path: Path
):
    good_recording(tmp_path)
    ingested(corpus, tmp_path)
    erased(corpus, settings)
    later = replace(corpus, clock=lambda: NOW + timedelta(hours=2))
    waits = {"arrived_at": (NOW + timedelta(hours=1)).isoformat(), "audio": "later.wav", "event_id": "waits"}
    assert ingested(later, tmp_path, **waits).refused == {"missing_file": 1}
    generations = {find.find_account(corpus.vault, ADA).speaker_id}
    for _ in range(2):
        erased(later, settings)
        generations.add(find.find_account(corpus.vault, ADA).speaker_id)
    assert len(generations) == 1
    shutil.copy(tmp_path / "good.wav", tmp_path / "later.wav")
    assert ingested(later, tmp_path, **waits).refused == {"erased": 1}


def test_consent_of_an_account_whose_rows_wait_is_shown_and_withdrawn(corpus: Corpus, tmp_path: Path):
    assert ingested(corpus, tmp_path, audio="later.wav").refused == {"missing_file": 1}
    assert stated_consent.known(corpus.vault, [ADA])
    assert stated_consent.account_consent(corpus.vault, ADA).utterances == {}
