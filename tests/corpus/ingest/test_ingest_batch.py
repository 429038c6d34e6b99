"""A withdrawn consent is never lost and never comes back, whichever row states it, accepted or refused."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.importing.column_mapping import ImportSettings
from corpus.importing.import_rows import import_rows
from corpus.importing.open_source import open_source
from corpus.ingest.ingest import IngestSettings, ingest
from corpus.storage import database
from corpus.vault import consent as consent_vault
from corpus.vault import identity, vault_schema
from corpus.vault.consent import ALL
from tests.corpus.arrivals import utterance_of
from tests.corpus.recordings import encoded, tone
from tests.corpus.stored import corpus_at

START = datetime.now(UTC) - timedelta(days=9)

FAULTS: dict[str, dict[str, Any]] = {
    "good": {},
    "bad_field": {"locale": 7},
    "unknown_field": {"colour": "red"},
    "no_time": {"arrived_at": "yesterday"},
    "future": {"arrived_at": (START + timedelta(days=99)).isoformat()},
    "no_wake": {"wake": None},
    "missing_file": {"audio": "none.wav"},
    "unreadable": {"audio": "text.wav"},
    "duplicate": {},
    "key_twice": {},
}
"""Faults of a row in other fields than consent."""


@pytest.fixture
def corpus(tmp_path: Path, databases: dict[str, str]) -> Any:
    (tmp_path / "good.wav").write_bytes(encoded(tone()))
    (tmp_path / "text.wav").write_text("no sound")
    made = corpus_at(tmp_path / "home", START + timedelta(days=9), **databases)
    yield made
    made.close()


def line(account: str, hour: int, consent: frozenset[str], fault: str = "good", event: str = "") -> str:
    row = {
        "audio": "good.wav",
        "account": account,
        "locale": "en-GB",
        "device_type": "speaker",
        "consent": sorted(consent),
        "notice": "v1",
        "wake": {"button": True},
        "arrived_at": (START + timedelta(hours=hour)).isoformat(),
        "event_id": f"{account}/first" if fault == "duplicate" else event or uuid.uuid4().hex,
    } | FAULTS[fault]
    text = json.dumps(row)
    return text.replace('"locale"', '"device_type": "phone", "locale"', 1) if fault == "key_twice" else text


def take_in(corpus: Corpus, folder: Path, *lines: str) -> dict[str, int]:
    manifest = folder / f"{uuid.uuid4().hex}.jsonl"
    manifest.write_text("".join(f"{text}\n" for text in lines))
    return ingest(corpus, manifest, IngestSettings()).refused


def consent_of(corpus: Corpus, event: str, account: str = "ada") -> frozenset[str]:
    found = utterance_of(corpus, account, event)
    return consent_vault.consents(corpus.vault, [found])[found]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("left", [frozenset(), frozenset({"score"})], ids=["nothing", "score"])
def test_a_withdrawal_counts_whatever_its_row_is_refused_for(
    corpus: Corpus, tmp_path: Path, fault: str, left: frozenset[str]
) -> None:
    take_in(corpus, tmp_path, line("ada", 0, ALL, event="ada/first"))
    refused = take_in(corpus, tmp_path, line("ada", 5, left, fault))
    assert bool(refused) == (fault != "good" or "score" not in left)
    assert consent_of(corpus, "ada/first") == left


@pytest.mark.parametrize("fault", FAULTS)
def test_a_later_yes_opens_nothing_that_was_closed(corpus: Corpus, tmp_path: Path, fault: str) -> None:
    take_in(corpus, tmp_path, line("ada", 0, ALL, event="ada/first"))
    take_in(corpus, tmp_path, line("ada", 5, frozenset()))
    late = line("ada", 7, ALL, event="late")  # it was received after the withdrawal, and arrived before
    take_in(later(corpus), tmp_path, line("ada", 6, ALL, fault), late, line("ada", 10 * 24, ALL, event="new"))
    assert consent_of(corpus, "ada/first") == consent_of(corpus, "late") == frozenset()
    assert consent_of(corpus, "new") == ALL


def later(corpus: Corpus) -> Corpus:
    """Return the corpus two days later."""
    now = corpus.clock() + timedelta(days=2)
    return replace(corpus, clock=lambda: now)


def test_a_withdrawal_that_stands_before_the_customers_first_clip_counts(corpus: Corpus, tmp_path: Path) -> None:
    strangers = [line(f"stranger-{n}", 0, ALL) for n in range(2)]
    rows = [line("ada", 5, frozenset({"score"}), "no_wake"), *strangers, line("ada", 0, ALL, event="ada/first")]
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("".join(f"{text}\n" for text in rows))

    def interrupt(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(corpus, manifest, IngestSettings(), interrupt, batch_rows=1)
    assert ingest(corpus, manifest, IngestSettings(), batch_rows=1).accepted == 3
    assert consent_of(corpus, "ada/first") == {"score"}


def test_a_withdrawal_in_an_earlier_manifest_than_the_customers_first_clip_counts(
    corpus: Corpus, tmp_path: Path
) -> None:
    assert take_in(corpus, tmp_path, line("ada", 5, frozenset())) == {"no_consent": 1}
    rows = line("ada", 0, ALL, event="before"), line("ada", 10 * 24, ALL, event="after")
    take_in(later(corpus), tmp_path, *rows)
    assert (consent_of(corpus, "before"), consent_of(corpus, "after")) == (frozenset(), ALL)


def test_a_customer_without_clips_leaves_no_trace_of_a_refused_row_but_a_keyed_hash_and_times(
    corpus: Corpus, tmp_path: Path
) -> None:
    faults = [fault for fault in FAULTS if fault not in ("good", "duplicate")]
    account = "ada@example.org"
    refused = take_in(corpus, tmp_path, *(line(account, 5, frozenset({"score"}), fault) for fault in faults))
    assert sum(refused.values()) == len(faults)
    with database.reading(corpus.vault.engine) as conn:
        (row,) = conn.execute(sa.select(vault_schema.accounts)).all()
        details = "".join(conn.execute(sa.select(vault_schema.audit.c.detail)).scalars())
    key = identity.account_key(corpus.vault, account)
    assert (row.account_key, row.account, row.score_ended_at, row.forgotten_at) == (key, None, None, None)
    assert row.annotate_ended_at is not None
    assert row.annotate_ended_at == row.train_ended_at
    assert account not in details
    files = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert not [path.name for path in files if account.encode() in path.read_bytes()]


def test_a_withdrawal_in_an_imported_row_that_fits_no_field_counts(corpus: Corpus, tmp_path: Path) -> None:
    take_in(corpus, tmp_path, line("corpus-7", 0, ALL, event="first"))
    row = {"audio": "good.wav", "who": 7, "device": {"no": "text"}, "agreed": "score", "at": START.isoformat()}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    columns = {"account": "who", "device_serial": "device", "consent": "agreed", "arrived_at": "at"}
    given = ImportSettings.model_validate({"columns": columns, "account_prefix": "corpus-"})
    source = open_source(str(tmp_path / "rows.jsonl"), None, None, tmp_path)
    assert import_rows(corpus, source, given, IngestSettings()).refused == {"bad_row": 1}
    assert consent_of(corpus, "first", "corpus-7") == {"score"}


def imported(corpus: Corpus, folder: Path, *rows: dict[str, Any]) -> dict[str, int]:
    """Import rows that give no time of their own."""
    (folder / "undated.jsonl").write_text("".join(f"{json.dumps({'audio': 'good.wav'} | row)}\n" for row in rows))
    constants = {"locale": "en-GB", "device_type": "speaker", "wake": {"button": True}}
    columns = {"account": "account", "consent": "consent"}
    given = ImportSettings.model_validate({"columns": columns, "constants": constants})
    source = open_source(str(folder / "undated.jsonl"), None, None, folder)
    return import_rows(corpus, source, given, IngestSettings()).refused


@pytest.fixture
def days_later(corpus: Corpus, tmp_path: Path, databases: dict[str, str]) -> Iterator[Corpus]:
    """The same corpus five days later, with a clip of ada that was ingested since an import."""
    assert imported(corpus, tmp_path, {"account": "ada", "consent": ["score", "annotate"]}) == {}
    later = corpus_at(tmp_path / "home", START + timedelta(days=14), **databases)
    take_in(later, tmp_path, line("ada", 24 * 12, ALL, event="newer"))
    assert consent_of(later, "newer") == ALL
    yield later
    later.close()


def test_the_same_import_again_withdraws_nothing_from_newer_clips(days_later: Corpus, tmp_path: Path) -> None:
    assert imported(days_later, tmp_path, {"account": "ada", "consent": ["score", "annotate"]}) == {}
    assert consent_of(days_later, "newer") == ALL


def test_an_import_with_more_rows_withdraws_nothing_from_newer_clips(days_later: Corpus, tmp_path: Path) -> None:
    rows = [{"account": "ada", "consent": ["score", "annotate"]}, {"account": "bob", "consent": ["score"]}]
    assert imported(days_later, tmp_path, *rows) == {"duplicate": 1}
    assert consent_of(days_later, "newer") == ALL


def test_an_imported_row_whose_consent_was_reduced_withdraws_it_now(days_later: Corpus, tmp_path: Path) -> None:
    assert imported(days_later, tmp_path, {"account": "ada", "consent": ["score"]}) == {"duplicate": 1}
    assert consent_of(days_later, "newer") == {"score"}
