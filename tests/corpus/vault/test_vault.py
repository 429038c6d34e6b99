from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import Damaged, RecordError, SettingsError
from corpus.handle import Corpus, open_corpus
from corpus.records.base import digest
from corpus.settings import CorpusSettings
from corpus.storage import audit_chain, cipher
from corpus.storage.database import reading
from corpus.vault import consent as consent_vault
from corpus.vault import identity, vault, vault_schema
from tests import postgres
from tests.corpus.stored import ALL, NOON, admit, corpus_at


def arrival(
    corpus: Corpus, event: str, account: str = "ada", consent: frozenset[str] = ALL, at: datetime = NOON
) -> vault.Arrival:
    return vault.Arrival(identity.utterance_id(corpus.vault, event), account, consent, at, "serial-1")


def test_admitting_twice_changes_nothing(corpus: Corpus) -> None:
    rows = [arrival(corpus, f"e{n}", f"account-{n % 2}") for n in range(6)]
    speakers = admit(corpus.vault, rows, "op")
    keys = vault.data_keys(corpus.vault, list(speakers))
    assert admit(corpus.vault, rows, "op") == speakers
    assert vault.data_keys(corpus.vault, list(speakers)) == keys
    assert len(speakers) == 6
    assert len(set(speakers.values())) == 2
    assert len(set(keys.values())) == 6
    assert len([*audit_chain.verified_leaves(corpus.vault.engine, vault_schema.audit)]) == 1


def test_ids_are_keyed_by_the_vault(corpus: Corpus, tmp_path: Path, databases: dict[str, str]) -> None:
    one, other = corpus.vault, corpus_at(tmp_path / "other").vault
    again = corpus_at(tmp_path, **databases).vault
    assert identity.utterance_id(one, "e") == identity.utterance_id(again, "e")
    assert identity.utterance_id(one, "e") != identity.utterance_id(other, "e")
    assert identity.account_key(one, "e") != identity.utterance_id(one, "e")
    assert len(identity.utterance_id(one, "e")) == 32


def test_nothing_of_the_account_is_readable_in_the_file(corpus: Corpus, tmp_path: Path) -> None:
    admit(corpus.vault, [arrival(corpus, "e", "ada@example.org")], "op")
    corpus.close()
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert b"ada@example.org" not in file.read_bytes()
            assert b"serial-1" not in file.read_bytes()


def test_a_destroyed_key_stays_destroyed(corpus: Corpus) -> None:
    rows = [arrival(corpus, "e1"), arrival(corpus, "e2")]
    admit(corpus.vault, rows, "op")
    gone, left = (row.utterance_id for row in rows)
    assert vault.destroy(corpus.vault, [gone], "desk") == 1
    assert vault.destroy(corpus.vault, [gone], "desk") == 0
    assert set(vault.data_keys(corpus.vault, [gone, left])) == {left}
    assert consent_vault.consents(corpus.vault, [gone])[gone] == frozenset()
    assert set(admit(corpus.vault, rows, "op")) == {left}
    assert set(vault.data_keys(corpus.vault, [gone, left])) == {left}


def test_who_linked_events_to_utterances_is_in_the_audit(corpus: Corpus) -> None:
    ids = list(admit(corpus.vault, [arrival(corpus, "e1"), arrival(corpus, "e2")], "op1"))
    vault.record_lookup(corpus.vault, ids, "desk")
    (row,) = audit_chain.show(corpus.vault.engine, vault_schema.audit, 1)
    assert (row.act, row.actor) == ("look up", "desk")
    assert row.detail == {"count": 2, "digest": digest(sorted(ids))}


def test_a_customer_who_returns_is_another_speaker(corpus: Corpus) -> None:
    first = arrival(corpus, "e1")
    speaker = admit(corpus.vault, [first], "op1")[first.utterance_id]
    assert vault.speaker_of(corpus.vault, "ada") == speaker
    erased_at = NOON + timedelta(days=1)
    assert vault.forget(corpus.vault, speaker, "desk", erased_at) == [first.utterance_id]
    assert vault.forget(corpus.vault, speaker, "desk", erased_at) == [first.utterance_id]
    assert vault.speaker_of(corpus.vault, "ada") is None
    late = arrival(corpus, "e2", at=NOON + timedelta(hours=3))
    assert admit(corpus.vault, [first, late], "op2") == {}
    at_once = arrival(corpus, "e4", at=erased_at)
    assert admit(corpus.vault, [at_once], "op2") == {}  # of the same moment: forgotten, too
    ahead = replace(arrival(corpus, "e5", at=erased_at + timedelta(hours=1)), received_at=NOON)
    assert admit(corpus.vault, [ahead], "op2") == {}  # its clock was ahead, and it was here before
    back = arrival(corpus, "e3", at=erased_at + timedelta(hours=1))
    returned = admit(corpus.vault, [back], "op3")[back.utterance_id]
    assert returned != speaker
    assert consent_vault.consents(corpus.vault, [back.utterance_id, first.utterance_id]) == {
        back.utterance_id: ALL,
        first.utterance_id: frozenset(),
    }
    with reading(corpus.vault.engine) as conn:
        assert vault.utterances_of(conn, speaker) == [first.utterance_id]
    len([*audit_chain.verified_leaves(corpus.vault.engine, vault_schema.audit)])


@pytest.mark.parametrize("how", ["all but one", "the last of a page"])
def test_erased_bytes_leave_the_files(corpus: Corpus, tmp_path: Path, how: str) -> None:
    count = 12 if how == "all but one" else 60
    rows = [arrival(corpus, f"e{n}", f"account-{n}") for n in range(count)]
    speakers = admit(corpus.vault, rows, "op1")
    with corpus.vault.engine.connect() as conn:
        gone = conn.execute(sa.select(vault_schema.keys).where(vault_schema.keys.c.device.is_not(None))).all()
        accounts = conn.execute(sa.select(vault_schema.accounts.c.account)).scalars().all()
    forgotten = list(speakers.values())[:-1] if how == "all but one" else [_last_of_a_page(corpus)]
    for speaker in forgotten:
        vault.forget(corpus.vault, speaker, "desk")
    if corpus.vault.engine.dialect.name == "sqlite":
        stored = b"".join(path.read_bytes() for path in tmp_path.glob("vault.db*"))
    else:
        stored = postgres.files_of(corpus.vault.engine)
    secret = [secret[12:28] for row in gone for secret in (row.wrapped, row.device)] + [a[12:28] for a in accounts]
    assert sum(piece in stored for piece in secret) == 3 * (count - len(forgotten)), "of those who stayed"


def _last_of_a_page(corpus: Corpus) -> str:
    """Return the speaker whose key PostgreSQL moves nothing over when it frees the page; any speaker elsewhere."""
    last = (
        "ORDER BY utterance_id"
        if corpus.vault.engine.dialect.name == "sqlite"
        else "WHERE ctid < '(1,0)' ORDER BY ctid"
    )
    with corpus.vault.engine.connect() as conn:
        return str(conn.execute(sa.text(f"SELECT speaker_id FROM keys {last} DESC LIMIT 1")).scalar())


def test_orphaned_keys_are_swept_once_old(corpus: Corpus) -> None:
    rows = [arrival(corpus, f"e{n}") for n in range(3)]
    admit(corpus.vault, rows, "op")
    kept, *lost = (row.utterance_id for row in rows)
    hour = timedelta(hours=1)
    assert vault.sweep_orphans(corpus.vault, {kept}, datetime.now(UTC) - hour) == 0
    assert vault.orphans(corpus.vault, {kept}, datetime.now(UTC) + hour) == sorted(lost)
    assert vault.sweep_orphans(corpus.vault, {kept}, datetime.now(UTC) + hour) == 2
    assert set(vault.data_keys(corpus.vault, [kept, *lost])) == {kept}
    assert set(admit(corpus.vault, rows, "op")) == {kept, *lost}


@given(st.lists(st.text(min_size=1), min_size=1, max_size=20, unique=True))
def test_every_speaker_has_one_split(speakers: list[str]) -> None:
    held = identity.Vault(sa.create_engine("sqlite://"), b"", dict.fromkeys(identity.SECRETS, b"k" * 32))
    fractions = {"train": 0.5, "dev": 0.25, "test": 0.25}
    for speaker in speakers:
        assert identity.split_of(held, speaker, fractions) == identity.split_of(held, speaker, fractions)
        assert identity.split_of(held, speaker, {"train": 0, "dev": 1, "test": 0}) == "dev"
        assert identity.split_of(held, speaker, {"train": 0, "dev": 0, "test": 1}) == "test"


def test_splits_come_in_their_shares(corpus: Corpus) -> None:
    found = [identity.split_of(corpus.vault, f"s{n}", {"train": 0.7, "dev": 0.1, "test": 0.2}) for n in range(5000)]
    shares = {split: found.count(split) / 5000 for split in ("train", "dev", "test")}
    assert shares == pytest.approx({"train": 0.7, "dev": 0.1, "test": 0.2}, abs=0.04)


def test_arrivals_are_checked() -> None:
    with pytest.raises(RecordError, match=r"u1.*unknown"):
        vault.Arrival("u1", "ada", frozenset({"sell"}), NOON)
    with pytest.raises(RecordError, match=r"u1.*empty"):
        vault.Arrival("u1", "", ALL, NOON)
    with pytest.raises(RecordError, match="zone"):
        vault.Arrival("u1", "ada", ALL, datetime(2026, 1, 1))


def test_the_wrong_key_opens_nothing(
    tmp_path: Path, databases: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus_at(tmp_path, **databases).close()
    monkeypatch.setenv("EARMARK_KEK", base64.b64encode(cipher.new_key()).decode())
    with pytest.raises(Damaged, match="not this vault's"):
        open_corpus(CorpusSettings(home=tmp_path, **databases))
    monkeypatch.setenv("EARMARK_KEK", "abc")
    with pytest.raises(SettingsError, match="EARMARK_KEK"):
        open_corpus(CorpusSettings(home=tmp_path, **databases))
