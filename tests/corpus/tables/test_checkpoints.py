"""Checkpoints grow with the logs, are the same in both databases, and are signed of logs that only grew."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from corpus.errors import ChainBroken, Damaged, SettingsError
from corpus.handle import Corpus
from corpus.storage import audit_chain
from corpus.storage.database import writing
from corpus.storage.merkle import Tree
from corpus.storage.signed_note import Signer
from corpus.tables import checkpoints, erasure
from corpus.tables.audit_state import compare_state
from tests.corpus.stored import arrive


def signer(corpus: Corpus) -> Signer:
    found = checkpoints.audit_signer(corpus)
    assert found is not None
    return found


def sealed(corpus: Corpus) -> bool:
    return checkpoints.seal(corpus, lambda: signer(corpus))


def test_each_checkpoint_has_the_roots_of_all_rows_in_both_databases(corpus: Corpus) -> None:
    ids = arrive(corpus, 4)
    assert sealed(corpus)
    assert not sealed(corpus)
    for number in range(5):
        arrive(corpus, 1, start=10 + number, operation_id=f"ingest/{number + 1}")
    erasure.erase_utterances(corpus, ids[:1])
    assert sealed(corpus)
    notes = checkpoints.stored_notes(corpus, "records")
    assert notes == checkpoints.stored_notes(corpus, "vault")
    first, second = (checkpoints.read_checkpoint(note, signer(corpus).verifier) for note in notes.values())
    assert (first.counter, second.counter, first.origin) == (1, 2, signer(corpus).name)
    for log in checkpoints.LOGS:
        engine, table = checkpoints.engine_of(corpus, log), checkpoints.TABLES[log]
        tree = Tree(audit_chain.verified_leaves(engine, table))
        assert second.heads[log].size == audit_chain.length(engine, table) > first.heads[log].size
        assert all(tree.root(each.heads[log].size) == each.heads[log].root for each in (first, second))
    assert compare_state(corpus).problems == []


def test_a_checkpoint_is_three_lines_that_other_programs_read_and_ours_below(corpus: Corpus) -> None:
    arrive(corpus, 2)
    sealed(corpus)
    (note,) = checkpoints.stored_notes(corpus, "records").values()
    origin, size, root, vault, counter, time, empty, signature = note.splitlines()
    assert origin.startswith("earmark/")
    assert (size, counter, empty) == ("1", "checkpoint 1", "")
    assert len(base64.b64decode(root)) == 32
    assert vault.startswith("vault 1 ")
    assert time.endswith("+00:00")
    assert signature.startswith(f"— {origin} ")


@pytest.mark.parametrize("log", checkpoints.LOGS)
@pytest.mark.parametrize(
    "statements",
    [
        ["DELETE FROM audit WHERE seq = 2", "UPDATE audit_head SET seq = 1"],
        ["UPDATE audit SET hash = 'other' WHERE seq = 2", "UPDATE audit_head SET hash = 'other'"],
        ["DELETE FROM audit_head"],
    ],
)
def test_nothing_is_signed_of_a_log_that_did_not_only_grow(
    statements: list[str], log: checkpoints.Log, corpus: Corpus
) -> None:
    for number in range(2):
        arrive(corpus, 1, start=number, operation_id=f"ingest/{number}")
    sealed(corpus)
    with writing(checkpoints.engine_of(corpus, log)) as conn:
        for statement in statements:
            conn.exec_driver_sql(statement)
    with pytest.raises(ChainBroken, match="head of the audit chain" if "head" in statements[0] else log):
        sealed(corpus)
    assert list(checkpoints.stored_notes(corpus, "records")) == [1]


def test_a_row_from_before_a_checkpoint_that_was_changed_is_not_signed_as_it_is_now(corpus: Corpus) -> None:
    for number in range(3):
        arrive(corpus, 1, start=number, operation_id=f"ingest/{number}")
    engine, table = checkpoints.engine_of(corpus, "records"), checkpoints.TABLES["records"]
    honest = Tree(audit_chain.verified_leaves(engine, table))
    sealed(corpus)
    with writing(engine) as conn:
        conn.exec_driver_sql("UPDATE audit SET actor = 'person:eve' WHERE seq = 1")
    arrive(corpus, 1, start=9, operation_id="ingest/9")
    assert sealed(corpus)
    notes = checkpoints.stored_notes(corpus, "records")
    first, second = (checkpoints.read_checkpoint(note, signer(corpus).verifier) for note in notes.values())
    assert first.heads["records"].root == honest.root(3)
    with pytest.raises(ChainBroken, match="row 1"):
        list(audit_chain.verified_leaves(engine, table))
    assert second.heads["records"].size == 4


def test_a_signed_text_that_is_no_checkpoint_is_refused(corpus: Corpus) -> None:
    key = signer(corpus)
    arrive(corpus, 1)
    sealed(corpus)
    text = checkpoints.stored_notes(corpus, "records")[1].rpartition("\n\n")[0] + "\n"
    for wrong in (text.replace("vault", "other"), text.replace("vault 1", "vault 01"), text + "more\n", "a\nb\n"):
        with pytest.raises(Damaged, match="no checkpoint"):
            checkpoints.read_checkpoint(key.sign(wrong), key.verifier)


def test_no_key_is_made_in_a_home_that_can_only_be_read(corpus: Corpus) -> None:
    with pytest.raises(SettingsError, match="read-only"):
        checkpoints.own_verifier(replace(corpus, read_only=True))
    assert not checkpoints.key_file(corpus).exists()


def test_a_key_that_is_missing_is_not_made_again(corpus: Corpus) -> None:
    arrive(corpus, 1)
    sealed(corpus)
    checkpoints.key_file(corpus).unlink()
    with pytest.raises(SettingsError, match="put it back"):
        checkpoints.own_verifier(corpus)
