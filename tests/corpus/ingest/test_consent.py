"""A withdrawn consent is never lost and never comes back, whichever row states it, accepted or refused."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.handle import Corpus
from corpus.importing.column_mapping import ImportSettings
from corpus.importing.import_rows import import_rows
from corpus.importing.open_source import open_source
from corpus.ingest.ingest import IngestSettings, ingest, utterance_of
from corpus.storage import database
from corpus.vault import consent as consent_vault
from corpus.vault import identity, vault_schema
from corpus.vault.consent import ALL, CONSENTS
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


def consent_of(corpus: Corpus, event: str) -> frozenset[str]:
    found = utterance_of(corpus, event)
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
    take_in(corpus, tmp_path, line("ada", 6, ALL, fault), line("ada", 7, ALL, event="new"))
    assert consent_of(corpus, "ada/first") == frozenset()
    assert consent_of(corpus, "new") == ALL


WORDS = st.lists(
    st.tuples(st.integers(1, 6), st.frozensets(st.sampled_from(CONSENTS)), st.sampled_from(sorted(FAULTS))),
    min_size=2,
    max_size=7,
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(words=WORDS, order=st.randoms(use_true_random=False), manifests=st.integers(1, 2))
def test_an_utterance_keeps_what_it_came_with_less_every_withdrawal_since(
    corpus: Corpus, tmp_path: Path, words: list[tuple[int, frozenset[str], str]], order: Random, manifests: int
) -> None:
    """Hours of rows without a readable time count as now, which is after all of them."""
    account = f"account-{uuid.uuid4().hex}"
    came = {f"{account}/first": (0, ALL)}
    said = [(99 if fault in ("no_time", "future") else hour, consent) for hour, consent, fault in words]
    rows = []
    for number, (hour, consent, fault) in enumerate(words):
        event = f"{account}/{number}"
        rows.append(line(account, hour, consent, fault, event))
        if fault == "good" and "score" in consent:
            came[event] = (hour, consent)
    take_in(corpus, tmp_path, line(account, 0, ALL, event=f"{account}/first"))
    order.shuffle(rows)
    for start in range(manifests):
        take_in(corpus, tmp_path, *rows[start::manifests])
    for event, (hour, consent) in came.items():
        assert consent_of(corpus, event) == consent.intersection(*(word for at, word in said if at >= hour))


def test_a_withdrawal_that_stands_before_the_customers_first_clip_counts(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corpus.ingest.ingest._BATCH_ROWS", 1)
    strangers = [line(f"stranger-{n}", 0, ALL) for n in range(2)]
    rows = [line("ada", 5, frozenset({"score"}), "no_wake"), *strangers, line("ada", 0, ALL, event="ada/first")]
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("".join(f"{text}\n" for text in rows))

    def interrupt(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(corpus, manifest, IngestSettings(), interrupt)
    assert ingest(corpus, manifest, IngestSettings()).accepted == 3
    assert consent_of(corpus, "ada/first") == {"score"}


def test_a_customer_whom_the_vault_does_not_know_leaves_no_trace_of_a_refused_row(
    corpus: Corpus, tmp_path: Path
) -> None:
    faults = [fault for fault in FAULTS if fault not in ("good", "duplicate")]
    refused = take_in(corpus, tmp_path, *(line("ada", 5, frozenset({"score"}), fault) for fault in faults))
    assert sum(refused.values()) == len(faults)
    with database.reading(corpus.vault.engine) as conn:
        assert conn.execute(sa.select(vault_schema.accounts)).all() == []


def test_a_withdrawal_in_an_imported_row_that_fits_no_field_counts(corpus: Corpus, tmp_path: Path) -> None:
    take_in(corpus, tmp_path, line("corpus-7", 0, ALL, event="first"))
    row = {"audio": "good.wav", "who": 7, "device": {"no": "text"}, "agreed": "score", "at": START.isoformat()}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    columns = {"account": "who", "device_serial": "device", "consent": "agreed", "arrived_at": "at"}
    given = ImportSettings.model_validate({"columns": columns, "account_prefix": "corpus-"})
    source = open_source(str(tmp_path / "rows.jsonl"), None, None, tmp_path)
    assert import_rows(corpus, source, given, IngestSettings()).refused == {"bad_row": 1}
    assert consent_of(corpus, "first") == {"score"}


def test_homes_of_older_versions_keep_their_withdrawals(tmp_path: Path) -> None:
    engine = database.engine(f"sqlite:///{tmp_path / 'vault.db'}")
    database.upgrade(engine, "vault", "0002")
    then, later = datetime(2026, 3, 1), datetime(2026, 3, 2)
    with database.writing(engine) as conn:
        for key, consent in (("a", 1), ("b", 7)):  # b withdrew all but scoring, and said yes again since
            conn.exec_driver_sql(
                "INSERT INTO accounts (account_key, generation, speaker_id, account, consent, consent_at)"
                " VALUES (?, 1, ?, x'00', ?, ?)", (key, f"s{key}", consent, str(later)))  # fmt: skip
            conn.exec_driver_sql(
                "INSERT INTO keys (utterance_id, speaker_id, wrapped, consent, operation_id, touched_at)"
                " VALUES (?, ?, x'00', 7, 'op', ?)", (f"u{key}", f"s{key}", str(then)))  # fmt: skip
        detail = json.dumps({"speaker_id": "sb", "consent": ["score"]})
        conn.exec_driver_sql(
            "INSERT INTO audit (seq, at, act, actor, detail, previous, hash)"
            " VALUES (1, ?, 'consent', 'desk', ?, '', '')",
            (str(later), detail))  # fmt: skip
    database.upgrade(engine, "vault")
    held = identity.Vault(engine, b"", {})
    assert consent_vault.consents(held, ["ua", "ub"]) == {"ua": {"score"}, "ub": {"score"}}
