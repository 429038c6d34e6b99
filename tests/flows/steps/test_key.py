"""The key-encryption key is moved and changed without touching content, wherever the command is killed."""

from __future__ import annotations

import base64
import os
import signal
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus import door, key_encryption
from corpus.errors import Damaged, Refused, SettingsError, UsageError
from corpus.handle import Corpus, open_corpus
from corpus.home_id import of_records
from corpus.settings import CorpusSettings
from corpus.storage import cipher
from corpus.storage.database import reading
from corpus.tables import checkpoints
from corpus.vault import rewrap
from corpus.vault.vault_schema import METADATA, audit, keys
from flows.steps import key as step
from tests.corpus.stored import arrive, corpus_at


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


def made(home: Path, **settings: object) -> list[str]:
    """Make a home with clips; return their ids."""
    corpus = corpus_at(home, **settings)
    ids = arrive(corpus, 6)
    corpus.close()
    return ids


def heard(corpus: Corpus, ids: list[str]) -> list[bytes]:
    return [content.audio.tobytes() for content in door.open(corpus, ids, "score")]


def place(corpus: Corpus) -> Path:
    file = step.place_of_key(corpus).file
    assert file is not None
    return file


def inside(home: Path) -> Path:
    """Put the key of a home where homes of before have it."""
    corpus = open_corpus(CorpusSettings(home=home))
    corpus.close()
    outside = key_encryption.outside(of_records(corpus.records))
    (home / "keys").mkdir(mode=0o700)
    return outside.rename(home / "keys" / "kek")


def test_a_key_is_moved_out_of_the_home(tmp_path: Path, config: Path) -> None:
    home = tmp_path / "home"
    ids = made(home)
    old = inside(home)
    text = old.read_bytes()
    corpus = corpus_at(home)
    before = heard(corpus, ids)
    would = step.move(corpus, dry_run=True)
    assert (would.before, old.exists()) == (str(old), True)
    moved = step.move(corpus, dry_run=False)
    assert (moved.before, moved.after) == (str(old), would.after)
    assert not (home / "keys").exists()
    new = Path(moved.after)
    assert (new.read_bytes(), new.stat().st_mode & 0o777, new.parents[2]) == (text, 0o600, config)
    corpus.close()
    again = corpus_at(home)
    assert heard(again, ids) == before
    with pytest.raises(Refused, match=f"not inside it, but at {new}; there is nothing to move"):
        step.move(again, dry_run=False)


def test_a_move_that_was_killed_is_completed_and_no_other_key_is_replaced(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made(home)
    old = inside(home)
    corpus = corpus_at(home)
    outside = key_encryption.outside(of_records(corpus.records))
    key_encryption.write_key(outside, cipher.new_key())
    with pytest.raises(Refused, match=f"{outside} has another key"):
        step.move(corpus, dry_run=False)
    assert old.exists()
    outside.write_bytes(old.read_bytes())  # as a kill before the last step leaves it
    corpus_at(home).close()
    step.move(corpus, dry_run=False)
    assert (old.exists(), place(corpus_at(home))) == (False, outside)


def test_a_new_key_opens_everything_and_the_old_one_nothing(tmp_path: Path, databases: dict[str, str]) -> None:
    home, kept = tmp_path / "home", tmp_path / "old.key"
    ids = made(home, **databases)
    corpus = corpus_at(home, **databases)
    old, before = corpus.vault.kek, heard(corpus, ids)
    assert step.rotate(corpus, "me", to=None, keep=None, dry_run=True).values == rewrap.count(corpus.vault)
    assert corpus_at(home, **databases).vault.kek == old
    report = step.rotate(corpus, "me", to=None, keep=kept, dry_run=False)
    assert report.rewrapped is not None
    assert (report.rewrapped.keys, report.rewrapped.secrets, report.rewrapped.damaged) == (6, 4, 0)
    assert base64.b64decode(kept.read_bytes()) == old
    corpus.close()
    again = corpus_at(home, **databases)
    assert again.vault.kek != old
    assert dict(again.vault.secrets) == dict(corpus.vault.secrets)
    assert heard(again, ids) == before
    with reading(again.vault.engine) as conn:
        newest = conn.execute(sa.select(audit).order_by(audit.c.seq.desc()).limit(1)).one()
        assert (newest.act, newest.actor) == ("change key", "me")
        wrapped = list(conn.execute(sa.select(keys.c.utterance_id, keys.c.wrapped)))
    for row in wrapped:
        with pytest.raises(Damaged):
            cipher.unwrap(old, row.wrapped, f"{row.utterance_id}/key")
    again.close()


@pytest.mark.parametrize(
    "moment", ["before the new key", "before the vault", "in the vault", "before the old key goes"]
)
def test_a_change_that_is_killed_anywhere_is_completed(tmp_path: Path, moment: str) -> None:
    home = tmp_path / "home"
    ids = made(home)
    corpus = corpus_at(home)
    before, old, file = heard(corpus, ids), corpus.vault.kek, place(corpus)
    corpus.close()
    child = os.fork()
    if child == 0:
        _rotate_and_die(home, moment)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    opened = corpus_at(home)
    assert (opened.vault.kek == old) == (moment != "before the old key goes")
    assert heard(opened, ids) == before
    step.rotate(opened, "me", to=None, keep=None, dry_run=False)
    opened.close()
    last = corpus_at(home)
    assert last.vault.kek != old
    assert heard(last, ids) == before
    assert sorted(file.parent.iterdir()) == [file]


def _rotate_and_die(home: Path, moment: str) -> None:
    """Kill this process at a moment of a change: where a function of that moment is called."""

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    corpus = corpus_at(home)
    if moment == "before the new key":
        key_encryption.write_key = die  # type: ignore[assignment]
    elif moment == "before the vault":
        rewrap.rewrap = die  # type: ignore[assignment]
    elif moment == "in the vault":
        rewrap.audit_chain.append = die  # type: ignore[attr-defined]
    else:
        key_encryption.take_over = die
    step.rotate(corpus, "me", to=None, keep=None, dry_run=False)
    os._exit(0)


def test_a_handle_that_was_opened_before_says_what_to_do_and_names_no_damage(tmp_path: Path) -> None:
    home = tmp_path / "home"
    ids = made(home)
    before, corpus = corpus_at(home), corpus_at(home)
    step.rotate(corpus, "me", to=None, keep=None, dry_run=False)
    with pytest.raises(Refused, match="key was changed since this command opened the home, and nothing is damaged"):
        heard(before, ids)
    corpus.close()
    before.close()
    assert len(heard(corpus_at(home), ids)) == 6


def test_a_key_of_the_environment_is_changed_for_one_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, file = tmp_path / "home", tmp_path / "new.key"
    monkeypatch.setenv("EARMARK_KEK", base64.b64encode(cipher.new_key()).decode())
    ids = made(home)
    corpus = corpus_at(home)
    before = heard(corpus, ids)
    with pytest.raises(UsageError, match="EARMARK_KEK; name a file for the new key by --to"):
        step.rotate(corpus, "me", to=None, keep=None, dry_run=False)
    report = step.rotate(corpus, "me", to=file, keep=None, dry_run=False)
    assert report.next_step is not None
    assert f"give the key in {file} by the environment variable EARMARK_KEK" in report.next_step
    corpus.close()
    with pytest.raises(Damaged, match="not this vault's"):
        corpus_at(home)
    monkeypatch.setenv("EARMARK_KEK", file.read_text())
    assert heard(corpus_at(home), ids) == before
    with pytest.raises(Refused, match="has the key of today"):
        step.rotate(corpus_at(home), "me", to=file, keep=None, dry_run=False)
    monkeypatch.delenv("EARMARK_KEK")
    with pytest.raises(UsageError, match="exists; name another file by --keep"):
        step.rotate(corpus_at(home, key_file=file), "me", to=None, keep=file, dry_run=False)
    step.rotate(corpus_at(home, key_file=file), "me", to=None, keep=None, dry_run=False)
    assert heard(corpus_at(home, key_file=file), ids) == before
    with pytest.raises(SettingsError, match="is missing"):
        corpus_at(home)


def test_the_audit_key_goes_with_the_key_that_the_settings_name(tmp_path: Path) -> None:
    home, first, second = tmp_path / "home", tmp_path / "k1", tmp_path / "k2"
    key_encryption.write_key(first, cipher.new_key())
    made(home, key_file=first)
    corpus = corpus_at(home, key_file=first)
    key = checkpoints.own_verifier(corpus)
    assert checkpoints.key_file(corpus) == tmp_path / "k1.audit"
    other = tmp_path / "other.audit"
    other.write_text("another one")
    with pytest.raises(Refused, match=f"{other} is another audit key than"):
        step.rotate(corpus, "me", to=tmp_path / "other", keep=None, dry_run=False)
    report = step.rotate(corpus, "me", to=second, keep=None, dry_run=False)
    assert report.next_step is not None
    assert report.next_step.endswith(f"the audit key was copied to {tmp_path / 'k2.audit'}")
    corpus.close()
    again = corpus_at(home, key_file=second)
    assert (checkpoints.key_file(again), checkpoints.own_verifier(again)) == (tmp_path / "k2.audit", key)
    assert (tmp_path / "k2.audit").stat().st_mode & 0o777 == 0o600
    again.close()


def test_the_audit_key_of_the_default_place_is_found_by_settings_that_name_a_file(tmp_path: Path) -> None:
    home, named = tmp_path / "home", tmp_path / "elsewhere" / "kek"
    made(home)
    corpus = corpus_at(home)
    key, file = checkpoints.own_verifier(corpus), checkpoints.key_file(corpus)
    named.parent.mkdir()
    place(corpus).rename(named)
    corpus.close()
    again = corpus_at(home, key_file=named)
    assert (checkpoints.key_file(again), checkpoints.own_verifier(again)) == (file, key)
    assert step.rotate(again, "me", to=named.with_name("new"), keep=None, dry_run=False).next_step is not None
    again.close()
    later = corpus_at(home, key_file=named.with_name("new"))
    assert checkpoints.own_verifier(later) == key
    later.close()


def test_every_column_that_the_key_encrypts_is_wrapped_anew() -> None:
    """A new binary column is either listed, or encrypted by something else, which is said here."""
    by_something_else = {("keys", "device")}  # the key of the utterance
    binary = {
        (table.name, column.name)
        for table in METADATA.tables.values()
        for column in table.columns
        if isinstance(column.type, sa.LargeBinary)
    }
    assert binary - by_something_else == {(each.table.name, each.column) for each in rewrap.WRAPPED}
