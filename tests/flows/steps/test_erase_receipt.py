"""The receipt of an erasure says what was erased where and when, and verifies by the public key alone."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from corpus.errors import Damaged, UsageError
from corpus.records.base import digest
from corpus.storage.signed_note import Signer
from corpus.tables import checkpoints
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps import erase, erase_receipt
from flows.steps.erase_target import Target
from tests.corpus.stored import arrive
from tests.flows.homes import arguments, earmark, small_settings


@dataclass
class Erased:
    settings: Settings
    receipt: Path
    key: str
    ids: tuple[str, ...]


@pytest.fixture(scope="module")
def erased(tmp_path_factory: pytest.TempPathFactory) -> Erased:
    """A home of nine clips of three accounts, one of which was erased by the command."""
    root = tmp_path_factory.mktemp("erased")
    settings = small_settings(root / "home")
    with opened(settings) as corpus:
        ids = arrive(corpus, 9)
    done = earmark("erase", "account", "account-0", "--json", *arguments(root / "home"))
    assert done.returncode == 0, done.stderr
    key = earmark("audit", "key", *arguments(root / "home")).stdout
    return Erased(settings, Path(json.loads(done.stdout)["receipt"]), key, tuple(sorted(ids[::3])))


def test_it_names_every_place_with_count_and_time_and_nobody(erased: Erased) -> None:
    text = erased.receipt.read_text()
    assert erased.receipt.parent == erased.settings.home / "receipts"
    assert stat.S_IMODE(erased.receipt.stat().st_mode) == 0o600
    for line in (
        "asked for: 3 utterances, 1 accounts",
        f"digest of the utterance ids: {digest(list(erased.ids))}",
        "vault, row 2 of its log: 3 keys destroyed with the account",
        "records, row 2 of its log: 3 rows erased",
        "taken from the records: utterances 3, labels 0",
        "packs: 1 written anew or removed",
        "tasks: 0 files",
        "annotation server: 0 tasks",
        "model registry: 0 versions",
        "weights: of 0 versions destroyed: none",
        "sealed by checkpoint 2: 3 rows of the records, 2 rows of the vault",
    ):
        assert line in text
    assert not any(each in text for each in ("account-0", "serial", "event", *erased.ids))


def test_it_verifies_without_a_home(erased: Erased, tmp_path: Path) -> None:
    copy = tmp_path / "copy.receipt"
    copy.write_bytes(erased.receipt.read_bytes())
    key = tmp_path / "earmark.pub"
    key.write_text(erased.key)
    nowhere = tmp_path / "nowhere"
    for given in (str(key), erased.key.strip()):
        done = earmark("audit", "verify", "--receipt", str(copy), "--key", given, EARMARK_HOME=str(nowhere))
        assert done.returncode == 0, done.stderr
        assert "3 keys destroyed with the account" in done.stdout
    assert not nowhere.exists()
    at_home = earmark("audit", "verify", "--receipt", str(copy), *arguments(erased.settings.home))
    assert at_home.returncode == 0, at_home.stderr


def test_one_that_was_changed_or_signed_by_another_does_not(erased: Erased, tmp_path: Path) -> None:
    file = tmp_path / "changed.receipt"
    file.write_text(erased.receipt.read_text().replace("3 keys", "4 keys"))
    done = earmark("audit", "verify", "--receipt", str(file), "--key", erased.key.strip())
    assert (done.returncode, done.stdout) == (1, "")
    assert "was changed after it was signed" in done.stderr
    with opened(erased.settings) as corpus:
        verifier = checkpoints.own_verifier(corpus)
        note = checkpoints.stored_notes(corpus, "records")[1]
    file.write_text(Signer(verifier.name, bytes(32)).sign(f"{verifier.name}\nreceipt of an erasure\n"))
    with pytest.raises(Damaged, match="not signed by the key"):
        erase_receipt.read_receipt(file, verifier)
    file.write_text(note)
    with pytest.raises(UsageError, match="no receipt"):
        erase_receipt.read_receipt(file, verifier)
    with pytest.raises(UsageError, match="can't be read"):
        erase_receipt.read_receipt(tmp_path / "gone", verifier)


def test_what_is_no_key_is_refused(erased: Erased) -> None:
    for given in ("nothing", "a+b+c"):
        done = earmark("audit", "verify", "--receipt", str(erased.receipt), "--key", given)
        assert done.returncode == 2
        assert "no public key" in done.stderr


def test_a_place_that_was_not_reached_is_said_and_nothing_is_signed_for_nothing(tmp_path: Path) -> None:
    settings = small_settings(tmp_path / "home")
    with opened(settings) as corpus:
        ids = arrive(corpus, 3)
        before = erase_receipt.lengths(corpus)
        target = Target((ids[0],))
        report = erase.erase(corpus, settings, target, "request", "person:ann")
        assert report.finished is not None
        reached = {hop: at for hop, at in report.finished.reached.items() if hop != "tasks"}
        late = replace(report, finished=replace(report.finished, reached=reached, not_done={"tasks": "a disk is full"}))
        file = erase_receipt.write_receipt(corpus, settings.home, settings.audit, target, late, before)
        assert file is not None
        assert "NOT REACHED: tasks;" in file.read_text()
        assert "a disk is full" not in file.read_text()
        nothing = erase_receipt.write_receipt(corpus, settings.home, settings.audit, Target(()), report, before)
    assert nothing is None


def test_nothing_is_erased_while_the_audit_key_is_missing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings = small_settings(home)
    with opened(settings) as corpus:
        arrive(corpus, 3)
        key = checkpoints.key_file(corpus)
    given = ("erase", "account", "account-0", "--json", *arguments(home))
    moved = key.rename(tmp_path / "away")
    refused = earmark(*given)
    assert (refused.returncode, refused.stdout) == (2, "")
    (line,) = refused.stderr.splitlines()
    assert "nothing is erased, as no receipt can be signed: the audit key" in line
    assert "put it back from a backup" in line
    moved.rename(key)
    done = json.loads(earmark(*given).stdout)
    assert done["utterances"] == 1
    assert "asked for: 1 utterances, 1 accounts" in Path(done["receipt"]).read_text()


def test_what_was_erased_is_said_where_its_receipt_can_not_be_written(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with opened(small_settings(home)) as corpus:
        arrive(corpus, 3)
    (home / "receipts").write_text("in the way")
    done = earmark("erase", "account", "account-0", "--json", *arguments(home))
    assert done.returncode == 1
    assert json.loads(done.stdout)["utterances"] == 1
    assert "the receipt" in done.stderr
