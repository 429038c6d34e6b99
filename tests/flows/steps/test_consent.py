"""Consent by account reaches tasks, files and versions at once, and lists of statements are read line by line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.errors import UsageError
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage import audit_chain
from corpus.tables import models, snapshots
from corpus.vault import vault_schema
from flows.reports.consent_table import show_change
from flows.steps import consent, ingest
from flows.steps.consent import Wanted
from tests.flows.small_round import World, round_of

NO = frozenset({"annotate", "train"})
ALL = frozenset({"score", "annotate", "train"})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with round_of(tmp_path / "home", 4) as made:
        yield made


def change(world: World, account: str, wanted: Wanted, **kw: bool) -> consent.ConsentChange:
    return consent.change(world.corpus, world.settings, [(account, wanted)], "desk", dry_run=kw.get("dry_run", False))


def allowed(world: World, account: str) -> dict[str, bool]:
    return {name: use.allowed for name, use in consent.show(world.corpus, account).uses.items()}


def learned_from(world: World, utterance_id: str) -> None:
    """Leave a version that learned from an utterance."""
    snapshot = Snapshot((SnapshotRow(utterance_id, 1, "train", 1.0),))
    with world.corpus.operation("learned", "retrain") as op:
        snapshots.put_snapshot(op.conn, snapshot, "intent")
        models.put_version(op.conn, ModelVersion("intent", "2", "run", snapshot.snapshot_id, "base", "", "nowhere"))


def test_a_withdrawal_ends_leases_removes_clips_and_marks_what_learned_from_it(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.export()
    learned_from(world, world.ids[1])
    listed = change(world, "account-1", Wanted(no=NO), dry_run=True)
    assert (listed.narrowed, listed.weights) == (None, ("intent/2",))
    assert change(world, "account-2", Wanted(no=NO), dry_run=True).weights == ()
    assert change(world, "account-1", Wanted(no=frozenset({"annotate"})), dry_run=True).weights == ()
    assert world.ids[1] in world.leased()
    report = change(world, "account-1", Wanted(no=NO))
    assert report.reached is not None
    assert (report.accounts, report.unknown, report.reached.tasks, report.reached.task_files) == (1, 0, 1, 1)
    assert report.reached.withdrawn == report.reached.destroyed == ("intent/2",)
    assert change(world, "account-1", Wanted(no=NO), dry_run=True).weights == ()
    show_change(report.to_json())
    assert "versions whose weights were destroyed" in capsys.readouterr().out
    show_change(listed.to_json())
    assert "versions whose weights would be destroyed" in capsys.readouterr().out
    assert report.narrowed is not None
    assert world.ids[1] not in world.leased()
    assert len(world.clips()) == len(world.tasks()) == 3
    with world.corpus.read() as conn:
        assert models.version(conn, "intent", "2").tainted
    again = change(world, "account-1", Wanted(no=NO))
    assert again.narrowed is None
    assert again.reached is not None
    assert again.reached.withdrawn == ()


def test_a_yes_opens_nothing_that_is_there_and_is_shown_for_what_comes(world: World) -> None:
    change(world, "account-1", Wanted(no=NO))
    assert allowed(world, "account-1") == {"score": True, "annotate": False, "train": False}
    world.after(1)
    change(world, "account-1", Wanted(yes=frozenset({"annotate"}), notice="2026-01"))
    shown = consent.show(world.corpus, "account-1")
    assert shown.notice == "2026-01"
    assert shown.utterances == {"score": 1}
    assert (shown.uses["annotate"].allowed, shown.uses["annotate"].utterances) == (True, 0)
    assert not shown.uses["train"].allowed
    change(world, "account-1", Wanted(no=NO))
    assert not consent.show(world.corpus, "account-1").uses["annotate"].allowed


def test_the_account_is_in_no_audit_row_and_in_no_report(world: World) -> None:
    report = change(world, "account-1", Wanted(no=NO))
    shown = consent.show(world.corpus, "account-1")
    rows = [str(row) for row in audit_chain.show(world.corpus.vault.engine, vault_schema.audit, 99)]
    assert any("'desk'" in row or "desk" in row for row in rows)
    assert "account-1" not in "".join([*rows, str(report), str(shown)])


def test_a_list_is_read_line_by_line(world: World, tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text(
        "account,consent,time,notice\n"
        "account-0,score annotate train,2026-01-01T00:00:00Z,2026-01\n"
        "account-1,score,,\n"
        "account-2,maybe,,\n"
        "account-3,,yesterday,\n"
        ",score,,\n"
        "one cell\n"
    )
    wanted, faults = consent.read_statements(table)
    assert [(fault.line, fault.detail.partition(":")[0]) for fault in faults] == [
        (4, "field consent"),
        (5, "field time"),
        (6, "field account"),
        (7, "the line can't be read; write account, consent and time"),
    ]
    assert {account: each.no for account, each in wanted} == {
        "account-0": frozenset(),
        "account-1": NO,
        "account-2": NO,
        "account-3": ALL,
    }
    consent.change(world.corpus, world.settings, wanted, "desk", dry_run=False)
    assert [sum(allowed(world, f"account-{n}").values()) for n in range(4)] == [3, 1, 1, 0]
    json_lines = tmp_path / "list.jsonl"
    json_lines.write_text('{"account": "account-0", "consent": []}\n{"account": 7, "consent": 8}\nno JSON\n')
    wanted, faults = consent.read_statements(json_lines)
    unnoticed = [("account-1", Wanted(yes=ALL))]
    assert consent.change(world.corpus, world.settings, unnoticed, "desk", dry_run=True).unnoticed == 1
    assert [account for account, _ in wanted] == ["account-0", "7"]
    assert [fault.line for fault in faults] == [2, 3]
    for text in (
        "",
        "account\n",
        "account,consent,consent\n",
        "account,consent\n",
        "account,consent,colour\na,score,red\n",
    ):
        table.write_text(text)
        with pytest.raises(UsageError, match=r"list\.csv"):
            consent.read_statements(table)


def test_a_yes_of_a_list_from_before_the_last_no_does_not_count(world: World, tmp_path: Path) -> None:
    change(world, "account-1", Wanted(no=NO))
    world.after(1)
    table = tmp_path / "list.csv"
    table.write_text("account,consent,time\naccount-1,score annotate train,2026-01-01T00:00:00Z\n")
    consent.change(world.corpus, world.settings, consent.read_statements(table)[0], "desk", dry_run=False)
    assert allowed(world, "account-1") == {"score": True, "annotate": False, "train": False}


def test_an_unknown_account_is_told_and_a_list_keeps_it_for_what_comes(world: World) -> None:
    with pytest.raises(UsageError, match="no such account"):
        consent.show(world.corpus, "stranger")
    assert change(world, "stranger", Wanted(no=NO)).unknown == 1
    assert not any(allowed(world, "stranger").values())


def test_manifests_of_the_inbox_withdraw_before_the_night_learns(world: World) -> None:
    inbox = world.settings.inbox
    inbox.mkdir(parents=True, exist_ok=True)
    (inbox / "a.jsonl").write_text("no manifest\n")
    (inbox / "b.jsonl").write_text('{"audio": "none.wav", "account": "account-1", "consent": ["score"]}\n')
    narrowed = ingest.apply_consent(world.corpus, inbox)
    assert narrowed is not None
    assert narrowed.accounts == 1
    assert ingest.apply_consent(world.corpus, inbox) is None
    assert allowed(world, "account-1") == {"score": True, "annotate": False, "train": False}
