"""Where the key-encryption key is: outside a new home, inside an old one, in the environment, or from a command."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import pytest

from corpus import key_encryption
from corpus.errors import Refused, SettingsError
from corpus.handle import open_corpus
from corpus.home_id import of_records
from corpus.settings import CorpusSettings
from corpus.storage import cipher
from tests.corpus.stored import corpus_at


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of configuration."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


def made(home: Path, **settings: str) -> Path:
    """Make a home; return where its key is by default."""
    corpus = corpus_at(home, **settings)
    corpus.close()
    return key_encryption.outside(of_records(corpus.records))


def test_the_key_of_a_new_home_is_outside_of_it(tmp_path: Path, config: Path, databases: dict[str, str]) -> None:
    home = tmp_path / "home"
    key = made(home, **databases)
    assert key.parent == config / "earmark" / "keys"
    assert (key.stat().st_mode & 0o777, key.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    text = key.read_bytes()
    assert not (home / "keys").exists()
    assert not any(text in file.read_bytes() for file in home.rglob("*") if file.is_file())


def test_a_copied_and_a_moved_home_have_the_same_key(tmp_path: Path) -> None:
    made(tmp_path / "home")
    shutil.copytree(tmp_path / "home", tmp_path / "copy")
    (tmp_path / "home").rename(tmp_path / "moved")
    for each in ("copy", "moved"):
        open_corpus(CorpusSettings(home=tmp_path / each), create=False).close()


def test_who_makes_a_home_learns_of_its_key_once(tmp_path: Path) -> None:
    first, again = (corpus_at(tmp_path / "home") for _ in range(2))
    assert first.made_key == key_encryption.outside(of_records(first.records))
    assert again.made_key is None


def test_two_homes_have_two_keys(tmp_path: Path, config: Path) -> None:
    first, second = made(tmp_path / "one"), made(tmp_path / "two")
    assert first.read_bytes() != second.read_bytes()
    assert sorted((config / "earmark" / "keys").iterdir()) == sorted([first, second])


def test_a_lost_key_is_named_and_not_replaced(tmp_path: Path, databases: dict[str, str]) -> None:
    key = made(tmp_path / "home", **databases)
    key.unlink()
    with pytest.raises(SettingsError, match=f"{key} is missing.*put it back from the backup of your keys") as refused:
        open_corpus(CorpusSettings(home=tmp_path / "home", **databases))
    assert str(tmp_path / "home" / "keys" / "kek") in str(refused.value)
    assert not key.exists()


def test_a_home_of_before_keeps_its_key_until_it_is_moved(tmp_path: Path) -> None:
    home = tmp_path / "home"
    key = made(home)
    inside = home / "keys" / "kek"
    inside.parent.mkdir(mode=0o700)
    key.rename(inside)
    corpus = open_corpus(CorpusSettings(home=home), create=False)
    corpus.close()
    assert inside.exists()
    assert not key.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o602])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    key = made(tmp_path / "home")
    key.chmod(mode)
    with pytest.raises(SettingsError, match=f"chmod 600 {key}"):
        open_corpus(CorpusSettings(home=tmp_path / "home"))
    key.chmod(0o600)
    open_corpus(CorpusSettings(home=tmp_path / "home")).close()


def test_a_command_gives_the_key(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = tmp_path / "a vault"
    vault.write_bytes(base64.b64encode(cipher.new_key()) + b"\n")
    monkeypatch.setenv("EARMARK_KEK_COMMAND", f"cat '{vault}'")
    for _ in range(2):
        open_corpus(CorpusSettings(home=tmp_path / "home")).close()
    assert not config.exists()
    for command in ("false", "no-such-command", "echo 'abc", f"cat {tmp_path}/none"):
        monkeypatch.setenv("EARMARK_KEK_COMMAND", command)
        with pytest.raises(Refused, match="EARMARK_KEK_COMMAND"):
            open_corpus(CorpusSettings(home=tmp_path / "home"))
    monkeypatch.setenv("EARMARK_KEK_COMMAND", "echo c2hvcnQ=")
    with pytest.raises(SettingsError, match="prints must be the base64 of 32 bytes") as refused:
        open_corpus(CorpusSettings(home=tmp_path / "home"))
    assert "c2hvcnQ=" not in str(refused.value)
    monkeypatch.setenv("EARMARK_KEK", "abc")
    with pytest.raises(SettingsError, match="EARMARK_KEK and EARMARK_KEK_COMMAND are both set"):
        open_corpus(CorpusSettings(home=tmp_path / "home"))


def test_a_folder_of_keys_that_cannot_be_made_is_one_line(tmp_path: Path, config: Path) -> None:
    config.write_text("no folder")
    with pytest.raises(SettingsError, match=r"can't be written to .*EARMARK_KEK_FILE"):
        open_corpus(CorpusSettings(home=tmp_path / "home"))
    config.unlink()
    made(tmp_path / "home")
