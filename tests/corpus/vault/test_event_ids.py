"""The id of an event is its account's own; an id of an earlier version stays that of its account alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus.handle import Corpus, open_corpus
from corpus.settings import CorpusSettings
from corpus.storage.database import reading, writing
from corpus.vault import identity, vault
from corpus.vault.consent import ALL
from corpus.vault.event_ids import utterance_ids
from corpus.vault.vault_schema import keys

AT = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def corpus(tmp_path: Path, databases: dict[str, str]) -> Iterator[Corpus]:
    made = open_corpus(CorpusSettings(home=tmp_path / "home", **databases))
    yield made
    made.close()


def stored_by_an_earlier_version(corpus: Corpus, account: str, event: str) -> str:
    """Store a key under the hash of the event's name alone, and return that id."""
    utterance_id = identity.utterance_id(corpus.vault, f"event/{event}")
    arrival = vault.Arrival(utterance_id, account, ALL, AT)
    with vault.admitting(corpus.vault, [arrival], "ingest/old") as admitted:
        assert set(admitted) == {utterance_id}
    return utterance_id


def id_of(corpus: Corpus, account: str, event: str) -> str:
    return utterance_ids(corpus.vault, [(account, event)])[account, event]


def test_events_of_one_name_are_apart_by_account_and_always_the_same(corpus: Corpus) -> None:
    events = [(account, name) for account in ("ada", "bob", "ada/1", "") for name in ("1", "bob", "/1", "a/1")]
    ids = utterance_ids(corpus.vault, events)
    assert len(set(ids.values())) == len(events)
    assert {event: id_of(corpus, *event) for event in events} == ids
    assert all(len(each) == 32 and set(each) <= set("0123456789abcdef") for each in ids.values())
    assert utterance_ids(corpus.vault, []) == {}


def test_an_id_of_an_earlier_version_is_its_own_accounts_alone(corpus: Corpus) -> None:
    old = stored_by_an_earlier_version(corpus, "ada", "1")
    assert id_of(corpus, "ada", "1") == old
    assert old not in {id_of(corpus, "bob", "1"), id_of(corpus, "ada", "2")}
    vault.destroy(corpus.vault, [old], "test")
    assert id_of(corpus, "ada", "1") == old


def test_it_stays_so_for_a_customer_who_was_erased_and_returns(corpus: Corpus) -> None:
    old = stored_by_an_earlier_version(corpus, "ada", "1")
    for _ in range(3):
        speaker = vault.speaker_of(corpus.vault, "ada")
        assert speaker is not None
        vault.forget(corpus.vault, speaker, "test")
        new = vault.Arrival(id_of(corpus, "ada", f"new {speaker}"), "ada", ALL, datetime.now(UTC))
        with vault.admitting(corpus.vault, [new], "ingest/new") as admitted:
            assert admitted
    assert (id_of(corpus, "ada", "1"), id_of(corpus, "bob", "1") == old) == (old, False)


def test_an_id_whose_key_was_swept_is_made_anew(corpus: Corpus) -> None:
    old = stored_by_an_earlier_version(corpus, "ada", "1")
    with writing(corpus.vault.engine) as conn:
        conn.execute(sa.delete(keys))
    assert id_of(corpus, "ada", "1") != old
    with reading(corpus.vault.engine) as conn:
        assert conn.execute(sa.select(keys)).all() == []
