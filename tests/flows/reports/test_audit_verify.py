"""Each way to tamper with the logs, or with what they recount, is told; honest histories are not."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa

from corpus.handle import open_corpus
from corpus.records.base import canonical_json
from corpus.storage import anchor, audit_chain
from corpus.storage.database import writing
from corpus.storage.operations import operation
from corpus.tables import checkpoints, erasure, expiry, retention, utterances
from corpus.tables.checkpoints import Log
from corpus.vault import consent, find, stated_consent, vault
from corpus.vault.stated_consent import Agreement
from flows.reports import audit_verify
from flows.reports.audit_verify import (
    KEY_ALONE,
    NEW_ANCHOR,
    NO_ANCHOR,
    NO_CHECKPOINT,
    AuditVerification,
    verify_audit,
)
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from tests.corpus.stored import NOON, arrive
from tests.flows.homes import arguments, earmark, small_settings

KEY = "kek.audit"


def overrides(home: Path) -> tuple[str, str]:
    """Return where the anchor is, and the keys: in the home, so that a copy of it has its own."""
    return f"audit.anchor={home}.anchor/notes", f"corpus.key_file={home}/keys/kek"


def settings_of(home: Path) -> Settings:
    return small_settings(home, *overrides(home))


def first_day(settings: Settings) -> None:
    """Arrivals, a withdrawal, a statement, one clip set aside and two erased."""
    with opened(settings) as corpus:
        ids = arrive(corpus, 9)
        with corpus.operation("merge/0", "merge") as op:
            utterances.set_aside(op.conn, ids[8:], "distress")
            op.state |= utterances.set_aside_digest(op.conn)
        consent.set_consent(corpus.vault, "account-1", {"score"}, NOON + timedelta(days=1), "person:ann")
        stated = Agreement("account-2", frozenset({"annotate"}), notice="v1")
        stated_consent.agree(corpus.vault, [stated], NOON, "person:ann")
        erasure.erase_utterances(corpus, ids[2:3])


def second_day(settings: Settings) -> None:
    """A customer goes, another withdraws, more arrive."""
    with opened(settings) as corpus:
        speaker = vault.speaker_of(corpus.vault, "account-0")
        assert speaker is not None
        erasure.erase_speaker(corpus, speaker)
        consent.set_consent(corpus.vault, "account-2", set(), NOON + timedelta(days=2), "person:ann")
        arrive(corpus, 4, start=9, operation_id="ingest/1")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two days, and a copy of it as it was after the first."""
    root = tmp_path_factory.mktemp("lived")
    settings = settings_of(root / "home")
    first_day(settings)
    shutil.copytree(root / "home", root / "monday")
    second_day(settings)
    return root


@pytest.fixture
def home(lived: Path, tmp_path: Path) -> Path:
    for name in ("home", "monday", "home.anchor"):
        shutil.copytree(lived / name, tmp_path / name)
    return tmp_path / "home"


def verified(home: Path, *, anchored: bool = False) -> AuditVerification:
    settings = settings_of(home)
    if not anchored:
        settings = settings.model_copy(update={"audit": settings.audit.model_copy(update={"anchor": None})})
    return verify_audit(settings)


def problems(home: Path, *, anchored: bool = False) -> str:
    return "\n".join(verified(home, anchored=anchored).problems)


def sql(home: Path, log: Log, *statements: str) -> None:
    """Change a database of the home by SQL, beside its log."""
    corpus = open_corpus(settings_of(home).corpus)
    with writing(checkpoints.engine_of(corpus, log)) as conn:
        for statement in statements:
            conn.exec_driver_sql(statement)
    corpus.close()


def rehash(home: Path, log: Log, change: Callable[[list[dict[str, object]]], None]) -> None:
    """Change the rows of a log and hash all of them anew, head and numbers too, as someone does who knows the code."""
    corpus = open_corpus(settings_of(home).corpus)
    table = checkpoints.TABLES[log]
    with writing(checkpoints.engine_of(corpus, log)) as conn:
        rows = [dict(row._mapping) for row in conn.execute(sa.select(table).order_by(table.c.seq))]
        change(rows)
        conn.execute(sa.delete(table))
        conn.exec_driver_sql(f"UPDATE audit_head SET seq = 0, hash = '{audit_chain.FIRST_HASH}'")
        previous = audit_chain.FIRST_HASH
        for seq, row in enumerate(rows, 1):
            at = row["at"].isoformat(timespec="microseconds")  # type: ignore[attr-defined]
            fields = [seq, at, row["act"], row["actor"], row["detail"], previous]
            hashed = hashlib.sha256(canonical_json(fields).encode()).hexdigest()
            conn.execute(sa.insert(table), {**row, "seq": seq, "previous": previous, "hash": hashed})
            conn.exec_driver_sql(f"UPDATE audit_head SET seq = {seq}, hash = '{hashed}'")
            previous = hashed
    corpus.close()


def sign_anew(home: Path) -> None:
    """Remove all checkpoints and sign one of what is there now, as someone does who has the audit key."""
    for log in checkpoints.LOGS:
        sql(home, log, "DELETE FROM audit_checkpoints")
    corpus = open_corpus(settings_of(home).corpus)
    signer = checkpoints.audit_signer(corpus)
    assert signer is not None
    assert checkpoints.seal(corpus, lambda: signer)
    corpus.close()


# --- honest -----------------------------------------------------------------------------------------------------------


def test_an_honest_home_verifies_and_says_what_was_looked_at(home: Path) -> None:
    report = verified(home, anchored=True)
    assert (report.problems, report.remarks, report.unsealed) == ((), (), 0)
    assert (report.checkpoints, report.newest, report.anchored) == (2, 2, 2)
    assert report.compared == {
        "withdrawals": 2,
        "statements": 1,
        "keys": 11,
        "keys by number alone": 0,
        "destroyed keys": 4,
        "forgotten accounts": 1,
        "operations": 5,
        "erased and expired utterances": 4,
        "utterances set aside": 1,
    }
    assert verified(home).remarks == (NO_ANCHOR,)


def test_a_home_that_was_killed_between_its_databases_is_honest(home: Path) -> None:
    sql(home, "records", "DELETE FROM audit_checkpoints WHERE counter = 2")
    assert problems(home, anchored=True) == ""
    with opened(settings_of(home)) as corpus:
        arrive(corpus, 3, start=20, operation_id="ingest/2")
    assert problems(home, anchored=False) == ""


def test_a_home_of_before_is_sealed_by_its_first_command(home: Path) -> None:
    for log in checkpoints.LOGS:
        sql(home, log, "DELETE FROM audit_checkpoints")
    (home / "keys" / KEY).unlink()
    shutil.rmtree(home.with_name("home.anchor"))
    assert verified(home).remarks == (NO_CHECKPOINT, NO_ANCHOR)
    assert problems(home) == ""
    with opened(settings_of(home)) as corpus:
        arrive(corpus, 2, start=30, operation_id="ingest/3")
    report = verified(home, anchored=True)
    assert (report.problems, report.checkpoints, report.unsealed) == ((), 1, 0)


def test_an_account_that_was_forgotten_again_leaves_an_honest_home(home: Path) -> None:
    with opened(settings_of(home)) as corpus:
        for _ in range(2):
            speaker = find.find_account(corpus.vault, "account-0").speaker_id
            assert speaker is not None
            erasure.erase_speaker(corpus, speaker)
    assert problems(home, anchored=True) == ""


def test_what_retention_ended_leaves_an_honest_home(home: Path) -> None:
    with opened(settings_of(home)) as corpus:
        ids = sorted(vault.ids_with_key(corpus.vault))
        with writing(corpus.records) as conn:
            retention.mark(conn, {"unchosen": ids[:2], "critical": ids[2:3]})
        assert expiry.expire_marked(corpus) is not None
    report = verified(home, anchored=True)
    assert (report.problems, report.compared["erased and expired utterances"]) == ((), 7)


def test_swept_keys_leave_an_honest_home(home: Path) -> None:
    with opened(settings_of(home)) as corpus:
        later = corpus.clock() + timedelta(days=1)
        known = sorted(vault.ids_with_key(corpus.vault))
        assert vault.sweep_orphans(corpus.vault, known[1:], later) == 1
    assert problems(home, anchored=True) == ""


@pytest.mark.parametrize("sweep", ["of today", "of before"])
def test_a_swept_key_of_a_home_of_before_leaves_an_honest_home(sweep: str, home: Path) -> None:
    def without_sums(rows: list[dict[str, object]]) -> None:
        for row in rows:
            detail = json.loads(str(row["detail"]))
            detail.pop("sum", None)
            if sweep == "of before":
                detail.pop("counts", None)
            row["detail"] = canonical_json(detail)

    rehash(home, "vault", without_sums)
    with opened(settings_of(home)) as corpus:
        known = sorted(vault.ids_with_key(corpus.vault))
        assert vault.sweep_orphans(corpus.vault, known[1:], corpus.clock() + timedelta(days=1)) == 1
    rehash(home, "vault", without_sums)
    sign_anew(home)
    assert problems(home) == ""
    sql(home, "vault", "DELETE FROM keys WHERE destroyed_at IS NULL")
    assert ("keys of ingest/1 were added or removed" in problems(home)) == (sweep == "of today")


def test_an_anchor_that_lacks_the_newest_is_caught_up(home: Path) -> None:
    settings = settings_of(home)
    silent = settings.model_copy(update={"audit": settings.audit.model_copy(update={"anchor": None})})
    with opened(silent) as corpus:
        arrive(corpus, 2, start=30, operation_id="ingest/3")
    assert "lacks 1 checkpoints" in "".join(verified(home, anchored=True).remarks)
    with opened(settings) as corpus:
        arrive(corpus, 2, start=40, operation_id="ingest/4")
    report = verified(home, anchored=True)
    assert (report.anchored, report.remarks, report.problems) == (4, (), ())


def test_a_key_without_a_checkpoint_is_wrong_where_the_anchor_has_one(home: Path) -> None:
    for log in checkpoints.LOGS:
        sql(home, log, "DELETE FROM audit_checkpoints")
    report = verified(home)
    assert (report.problems, report.remarks) == ((), (KEY_ALONE, NO_ANCHOR))
    assert "the anchor has checkpoint 2, the home has none: they were removed" in problems(home, anchored=True)
    given = arguments(home, overrides(home)[1])
    assert earmark("audit", "key", *given).returncode == 0
    assert (verified(home).checkpoints, verified(home).remarks) == (1, (NO_ANCHOR,))


def test_a_home_of_before_with_an_anchor_to_come_is_honest(home: Path) -> None:
    for log in checkpoints.LOGS:
        sql(home, log, "DELETE FROM audit_checkpoints")
    shutil.rmtree(home.with_name("home.anchor"))
    assert problems(home, anchored=True) == ""
    (home / "keys" / KEY).unlink()
    assert problems(home, anchored=True) == ""


@pytest.mark.parametrize(
    ("owner", "name"), [(audit_verify, "_trees"), (checkpoints, "stored_notes"), (anchor, "read_notes")]
)
def test_what_another_command_seals_meanwhile_is_no_problem(
    owner: ModuleType, name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = getattr(owner, name)

    def read_and_add(*given: object) -> object:
        monkeypatch.undo()
        found = read(*given)
        with opened(settings_of(home)) as corpus:
            arrive(corpus, 2, start=30, operation_id="ingest/3")
        return found

    monkeypatch.setattr(owner, name, read_and_add)
    report = verified(home, anchored=True)
    assert (report.problems, report.newest) == ((), 2 if name == "_trees" else 3)


# --- the logs ---------------------------------------------------------------------------------------------------------


def change(rows: list[dict[str, object]]) -> None:
    rows[1]["actor"] = "person:eve"


CHANGES: dict[str, Callable[[list[dict[str, object]]], None]] = {
    "changed": change,
    "removed": lambda rows: rows.pop(1) and None,
    "added": lambda rows: rows.insert(1, {**rows[0], "actor": "person:eve"}),
    "reordered": lambda rows: rows.insert(0, rows.pop(1)),
    "cut": lambda rows: rows.pop() and None,
    "emptied": lambda rows: rows.clear(),
}


@pytest.mark.parametrize("log", checkpoints.LOGS)
@pytest.mark.parametrize("how", CHANGES)
def test_a_log_that_was_changed_and_hashed_anew_is_told(how: str, log: Log, home: Path) -> None:
    rehash(home, log, CHANGES[how])
    words = "was cut, or is of an older day" if how in ("cut", "emptied") else "rows were changed, and hashed"
    assert f"{log}: checkpoint" in problems(home)
    assert words in problems(home)
    assert "of the anchor, signed" in problems(home, anchored=True)


@pytest.mark.parametrize("log", checkpoints.LOGS)
def test_one_that_was_changed_and_not_hashed_is_told_with_its_row(log: Log, home: Path) -> None:
    sql(home, log, "UPDATE audit SET actor = 'person:eve' WHERE seq = 2")
    (problem,) = verified(home).problems
    assert problem.startswith(f"{log}: the audit chain breaks at row 2")


@pytest.mark.parametrize("log", checkpoints.LOGS)
def test_one_that_was_signed_anew_with_the_key_is_told_by_the_anchor_alone(log: Log, home: Path) -> None:
    rehash(home, log, lambda rows: rows[0].update(actor="person:eve"))
    sign_anew(home)
    report = verified(home)
    assert (report.problems, report.remarks) == ((), (NO_ANCHOR,))
    assert "put back to before checkpoint 1 of the anchor" in problems(home, anchored=True)


def test_a_key_that_was_replaced_is_told_by_the_anchor(home: Path) -> None:
    (home / "keys" / KEY).unlink()
    sign_anew(home)
    assert problems(home) == ""
    assert "the anchor, checkpoint 1: a note is not signed by the key" in problems(home, anchored=True)


@pytest.mark.parametrize("log", checkpoints.LOGS)
def test_a_database_of_an_older_day_beside_the_other_is_told(log: Log, home: Path) -> None:
    shutil.copy(home.with_name("monday") / f"{log}.db", home / f"{log}.db")
    assert f"{log}: checkpoint 2 of the home" in problems(home)
    with opened(settings_of(home)) as corpus:  # and stays so, however the home lives on
        arrive(corpus, 30, start=100, operation_id="ingest/9")
        for number in range(5):
            arrive(corpus, 1, start=200 + number, operation_id=f"ingest/{20 + number}")
    assert f"{log}: checkpoint 2 of the home" in problems(home)


def test_two_databases_of_an_older_day_are_told_by_the_anchor_alone(home: Path) -> None:
    for log in checkpoints.LOGS:
        shutil.copy(home.with_name("monday") / f"{log}.db", home / f"{log}.db")
    assert problems(home) == ""
    assert "the anchor has checkpoint 2, the home has 1 at most" in problems(home, anchored=True)
    before = (home.with_name("home.anchor") / "notes").read_bytes()
    with opened(settings_of(home)) as corpus:
        arrive(corpus, 3, start=50, operation_id="ingest/5")
    assert (home.with_name("home.anchor") / "notes").read_bytes() == before
    assert "checkpoint 2 of the anchor" in problems(home, anchored=True)


def test_a_home_that_was_put_back_and_went_on_is_told_and_what_to_do_is_named(home: Path) -> None:
    for log in checkpoints.LOGS:
        shutil.copy(home.with_name("monday") / f"{log}.db", home / f"{log}.db")
    assert NEW_ANCHOR in problems(home, anchored=True)
    with opened(settings_of(home)) as corpus:
        consent.set_consent(corpus.vault, "account-2", set(), NOON + timedelta(days=3), "person:ann")
    (problem,) = verified(home, anchored=True).problems
    assert problem.startswith("the home was put back to before checkpoint 2 of the anchor")
    assert problem.endswith(NEW_ANCHOR)
    place = home.with_name("another") / "notes"
    settings = small_settings(home, f"audit.anchor={place}", overrides(home)[1])
    with opened(settings) as corpus:
        arrive(corpus, 2, start=30, operation_id="ingest/3")
    report = verify_audit(settings)
    assert (report.problems, report.anchored) == ((), 3)


def test_what_opens_beside_an_older_anchor_is_said(home: Path) -> None:
    for log in checkpoints.LOGS:
        shutil.copy(home.with_name("monday") / f"{log}.db", home / f"{log}.db")
    done = earmark("consent", "set", "account-2", "--no", "train", *arguments(home, *overrides(home)))
    assert done.returncode == 0, done.stderr
    assert "checkpoint that this home does not know" in done.stderr


# --- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        ({"vault": "DELETE FROM audit_checkpoints WHERE counter = 2"}, "the vault lacks checkpoint 2"),
        (dict.fromkeys(checkpoints.LOGS, "DELETE FROM audit_checkpoints WHERE counter = 1"), "1 is missing"),
        ({"vault": "UPDATE audit_checkpoints SET note = replace(note, '+00:00', '+00:01')"}, "is another one in"),
        (
            dict.fromkeys(checkpoints.LOGS, "UPDATE audit_checkpoints SET note = replace(note, 'time 2', 'time 1')"),
            "not signed",
        ),
    ],
)
def test_checkpoints_that_were_removed_or_changed_are_told(statements: dict[Log, str], words: str, home: Path) -> None:
    for log, statement in statements.items():
        sql(home, log, statement)
    assert words in problems(home)


def test_a_missing_key_is_told_and_no_other_takes_its_place(home: Path) -> None:
    (home / "keys" / KEY).unlink()
    with opened(settings_of(home)) as corpus:
        arrive(corpus, 2, start=30, operation_id="ingest/3")
    assert not (home / "keys" / KEY).exists()
    assert f"{KEY} is missing" in problems(home)
    assert "there is no key" in problems(home, anchored=True)


def test_an_anchor_that_is_gone_or_changed_is_told(home: Path) -> None:
    anchor = home.with_name("home.anchor") / "notes"
    text = anchor.read_text()
    anchor.write_text(text.replace("checkpoint 1", "checkpoint 3"))
    assert "the anchor, checkpoint 1: a note is not signed" in problems(home, anchored=True)
    anchor.write_text(text + text)
    assert "twice" in problems(home, anchored=True)
    anchor.unlink()
    assert "there is no anchor" in problems(home, anchored=True)


# --- the state --------------------------------------------------------------------------------------------------------

TAMPERED: dict[str, tuple[Log, str, str]] = {
    "a withdrawal undone": (
        "vault",
        "UPDATE accounts SET annotate_ended_at = NULL, train_ended_at = NULL",
        "withdraws annotate, train of",
    ),
    "a withdrawal made earlier": (
        "vault",
        "UPDATE accounts SET train_ended_at = '2026-01-01 00:00:00.000000' WHERE train_ended_at IS NOT NULL",
        "withdraws train of",
    ),
    "an account removed": ("vault", "DELETE FROM accounts WHERE notice = 'v1'", "withdraws score, annotate, train"),
    "a consent that nobody gave": (
        "vault",
        "UPDATE accounts SET agreed = 7 WHERE agreed IS NULL",
        "agreed to something",
    ),
    "another notice": ("vault", "UPDATE accounts SET notice = 'v2' WHERE notice = 'v1'", "agreed to something"),
    "a clip with more consent": ("vault", "UPDATE keys SET consent = 0 WHERE consent = 7", "keys of ingest/0 are not"),
    "a clip of somebody else": (
        "vault",
        "UPDATE keys SET speaker_id = (SELECT max(speaker_id) FROM keys)",
        "keys of ingest/1 are not",
    ),
    "a clip received later": (
        "vault",
        "UPDATE keys SET received_at = '2030-01-01 00:00:00.000000'",
        "keys of ingest/0 are not",
    ),
    "a key removed": ("vault", "DELETE FROM keys WHERE destroyed_at IS NULL", "keys of ingest/0 are not"),
    "a key brought back": (
        "vault",
        "UPDATE keys SET destroyed_at = NULL, wrapped = x'00' WHERE destroyed_at IS NOT NULL",
        "a key was brought back",
    ),
    "a forgotten account open to what comes late": (
        "vault",
        "UPDATE accounts SET forgotten_at = NULL WHERE generation > 1",
        "forgot an account that the vault has again",
    ),
    "a forgotten account forgotten earlier": (
        "vault",
        "UPDATE accounts SET forgotten_at = '2026-01-01 00:00:00.000000' WHERE generation > 1",
        "forgot an account that the vault has again",
    ),
    "a forgotten account as a new one": (
        "vault",
        "UPDATE accounts SET forgotten_at = NULL, generation = 1",
        "forgot 1 times, the accounts say 0",
    ),
    "an erased clip accepted": (
        "records",
        "UPDATE utterances SET state = 'accepted' WHERE state = 'erased'",
        "log erased or ended 4 utterances, 0 are",
    ),
    "a clip taken back from quarantine": (
        "records",
        "UPDATE utterances SET state = 'accepted', state_reason = '' WHERE state = 'set_aside'",
        "what is set aside is not",
    ),
    "a lesser reason": (
        "records",
        "UPDATE utterances SET state_reason = 'accidental' WHERE state = 'set_aside'",
        "what is set aside is not",
    ),
    "an operation removed": ("records", "DELETE FROM operations WHERE act = 'merge'", "and its table has not: merge/0"),
    "an operation added": (
        "records",
        "INSERT INTO operations SELECT 'x/1', act, actor, at, result FROM operations LIMIT 1",
        "has not, and its table has: x/1",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_state_that_was_changed_beside_the_log_is_told(what: str, home: Path) -> None:
    log, statement, words = TAMPERED[what]
    sql(home, log, statement)
    assert words in problems(home)


def test_an_erased_clip_with_a_key_is_told(home: Path) -> None:
    sql(home, "records", "UPDATE utterances SET state = 'erased' WHERE state = 'accepted'")
    assert "is erased and has a key" in problems(home)


def test_the_command_fails_and_names_what_differs(home: Path) -> None:
    given = arguments(home, *overrides(home))
    fine = earmark("audit", "verify", *given)
    assert (fine.returncode, "audit logs verify" in fine.stdout) == (0, True)
    rehash(home, "vault", change)
    done = earmark("audit", "verify", "--json", *given)
    assert done.returncode == 1
    assert any(
        "vault: checkpoint 2" in each or "vault: checkpoint 1" in each for each in json.loads(done.stdout)["problems"]
    )
    shown = earmark("audit", "verify", *given)
    assert "PROBLEM  vault: checkpoint" in shown.stdout


def test_the_doctor_says_that_there_is_no_anchor_and_finds_what_verify_finds(home: Path) -> None:
    from flows.reports.doctor import examine

    silent = small_settings(home, overrides(home)[1])
    assert examine(silent, repair=False).remarks == (NO_ANCHOR,)
    assert examine(settings_of(home), repair=False).remarks is None
    rehash(home, "records", change)
    assert any(each.startswith("audit chains: records: checkpoint") for each in examine(silent, repair=False).problems)


def test_a_killed_command_leaves_rows_to_the_next_one(home: Path) -> None:
    corpus = open_corpus(settings_of(home).corpus)
    with operation(corpus.records, "late/0", "score"):
        pass
    corpus.close()
    report = verified(home)
    assert (report.unsealed, report.problems) == (1, ())
    assert "1 rows came after the last checkpoint" in "".join(report.remarks)
