from __future__ import annotations

import stat
from pathlib import Path

import pytest

from corpus.errors import Damaged, SettingsError, UsageError
from corpus.storage.signed_note import Signer, notes_of, open_note, read_verifier, signer_at

SIGNER = Signer("earmark/one", bytes(range(32)))
TEXT = "earmark/one\n7\nroot\n"


def test_the_known_note_of_the_go_checksum_database_verifies() -> None:
    """The example of the documentation of `golang.org/x/mod/sumdb/note`."""
    verifier = read_verifier("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    note = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
        "\n"
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    assert open_note(note, verifier).startswith("If you think cryptography")
    with pytest.raises(Damaged):
        open_note(note.replace("answer", "anszer"), verifier)


def test_a_note_verifies_by_its_public_key_alone() -> None:
    verifier = read_verifier(SIGNER.verifier.text())
    assert verifier == SIGNER.verifier
    assert open_note(SIGNER.sign(TEXT), verifier) == TEXT


@pytest.mark.parametrize(
    "note",
    [
        SIGNER.sign(TEXT).replace("7", "8"),
        SIGNER.sign(TEXT).replace("earmark/one", "earmark/two"),
        Signer("earmark/one", bytes(32)).sign(TEXT),
        SIGNER.sign(TEXT)[:-10] + "\n",
        TEXT,
        TEXT + "\n— earmark/one !\n",
        "",
    ],
)
def test_a_changed_or_foreign_note_does_not(note: str) -> None:
    with pytest.raises(Damaged, match="not signed"):
        open_note(note, SIGNER.verifier)


@pytest.mark.parametrize("text", ["", "name", "name+00000000+AA==", SIGNER.verifier.text()[:-4], "a+b"])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no public key"):
        read_verifier(text)


@pytest.mark.parametrize("text", ["no newline", "an empty\n\nline\n", "\nfirst\n"])
def test_a_text_that_would_be_read_as_another_is_not_signed(text: str) -> None:
    with pytest.raises(ValueError, match="newline"):
        SIGNER.sign(text)


def test_notes_one_after_the_other_are_read_in_order_without_one_that_was_cut() -> None:
    one, two = SIGNER.sign(TEXT), SIGNER.sign("other\n")
    assert list(notes_of(f"{one}\n{two}\n")) == [one, two]
    assert list(notes_of(f"{one}\nearmark/one\n3\n\n{two}\n")) == [one, two]
    assert list(notes_of(f"\n\n{one}\n{two[:4]}")) == [one]
    assert list(notes_of("")) == []


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "audit.key"
    assert signer_at(file, "earmark/one", make=False) is None
    made = signer_at(file, "earmark/one", make=True)
    assert made is not None
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert signer_at(file, "earmark/other", make=True) == made
    assert made.seed.hex() not in repr(made)


@pytest.mark.parametrize("text", ["", "PRIVATE+KEY+a+00000000+AAAA", "kek", "\udcff"])
def test_a_file_that_holds_no_key_is_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / "audit.key"
    file.write_text(text, errors="surrogateescape")
    with pytest.raises(SettingsError, match=r"audit\.key"):
        signer_at(file, "earmark/one", make=True)


def test_a_key_that_cannot_be_written_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file")
    with pytest.raises(Exception, match="audit key"):
        signer_at(tmp_path / "keys" / "audit.key", "earmark/one", make=True)
