"""A withdrawal counts while another command has the home, and reaches every place as soon as it can."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from corpus import door
from corpus.errors import DoorClosed
from corpus.handle import Corpus
from corpus.storage.database import writing
from corpus.tables import erased
from corpus.vault import consent as vault_consent
from corpus.vault import stated_consent
from flows import pipeline, stages
from flows.reports.doctor import examine
from flows.runtime.lock import hold_corpus
from flows.runtime.session import opened, running
from flows.runtime.settings import PrefectSettings
from flows.steps import consent, erase, retrain_plan
from flows.steps import retrain as retrain_step
from flows.steps.consent import ConsentChange, Wanted
from flows.steps.merge_total import MergeSkipped
from tests.flows.homes import arguments, earmark
from tests.flows.labelled_home import labelled_home
from tests.flows.small_round import World, round_of
from tests.flows.steps.test_replace_tainted import FAST, rows_of
from tests.studio_server import studio_server
from training.tracking.store import open_tracking

NO = frozenset({"annotate", "train"})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with round_of(tmp_path / "home", 4) as made:
        made.export()
        yield made


def withdraw(world: World, account: str, **kw: Any) -> ConsentChange:
    return consent.change(world.corpus, world.settings, [(account, Wanted(no=NO))], "desk", dry_run=False, **kw)


def closed(corpus: Corpus, utterance_id: str) -> bool:
    try:
        list(door.open(corpus, [utterance_id], "annotate"))
    except DoorClosed:
        return True
    return False


def noted(corpus: Corpus) -> list[str]:
    with corpus.read() as conn:
        return list(erased.not_reached(conn))


def test_a_withdrawal_closes_the_door_while_a_night_runs_and_what_waits_is_said(world: World) -> None:
    with hold_corpus(world.settings.corpus, "nightly"):
        report = withdraw(world, "account-1")
        assert closed(world.corpus, world.ids[1])
        assert report.reached is None
        assert report.waits is not None
        assert report.waits.startswith("the home is in use by earmark nightly")
        assert len(world.clips()) == 4
        assert noted(world.corpus) == ["tasks", "annotation server"]
        problems = examine(world.settings, repair=False).problems
        assert any("an erasure or a withdrawal has not reached the tasks since" in each for each in problems)
    again = withdraw(world, "account-2")
    assert (again.waits, len(world.clips()), noted(world.corpus)) == (None, 2, [])
    assert again.reached is not None
    assert again.reached.tasks == 2


def test_the_command_says_what_waits_and_ends_well(world: World) -> None:
    home = world.settings.home
    with hold_corpus(world.settings.corpus, "nightly"):
        given = ("consent", "set", "account-1", "--no", "annotate,train", "--wait", "1", *arguments(home))
        done = earmark(*given)
        assert done.returncode == 0, done.stderr
        assert "WAITS  the home is in use by earmark nightly" in done.stdout
        assert "waiting for 1 s at most" in done.stderr
        assert closed(world.corpus, world.ids[1])
    assert "WAITS" not in earmark("consent", "set", "account-2", "--no", "annotate", *arguments(home)).stdout
    assert len(world.clips()) == 2


@pytest.mark.slow
def test_it_closes_the_door_while_another_program_has_the_records_and_says_what_is_left(world: World) -> None:
    home = world.settings.home
    given = ("consent", "set", "account-1", "--no", "annotate,train", *arguments(home))
    with writing(world.corpus.records):
        done = earmark(*given, "--wait", "1", "--set", "corpus.store_timeout=1")
        assert vault_consent.consents(world.corpus.vault, [world.ids[1]])[world.ids[1]] == {"score"}
    assert done.returncode == 1
    (tasks, *_) = [line for line in done.stdout.splitlines() if line.startswith("NOT DONE  tasks: the database")]
    assert "the withdrawal counts already, so nothing of it may be opened: run the same command again" in tasks
    assert "waiting for 1 s" in done.stderr
    assert len(world.clips()) == 4
    assert earmark(*given).returncode == 0
    assert len(world.clips()) == 3


def test_a_run_that_reaches_everything_just_before_the_withdrawal_counts_leaves_it_noted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = vault_consent.apply_statements

    def finished_meanwhile(*given: Any) -> None:
        erase.finish(world.corpus, world.settings)
        assert noted(world.corpus) == []
        apply(*given)

    monkeypatch.setattr(vault_consent, "apply_statements", finished_meanwhile)
    with hold_corpus(world.settings.corpus, "nightly"):
        withdraw(world, "account-1")
    assert noted(world.corpus) == ["tasks", "annotation server"]


def test_it_waits_for_the_home_with_a_bound(world: World) -> None:
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with hold_corpus(world.settings.corpus, "nightly"):
            held.set()
            free.wait(60)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(60)
    threading.Timer(0.6, free.set).start()
    began = time.monotonic()
    report = withdraw(world, "account-1", wait=60.0)
    other.join()
    assert 0.5 < time.monotonic() - began < 50
    assert (report.waits, len(world.clips())) == (None, 3)


def test_a_place_that_is_noted_while_it_is_reached_stays_noted(world: World) -> None:
    with world.corpus.operation("one", "test") as op:
        erased.note_withdrawal(op.conn, erased.WITHDRAWN_HOPS, world.now[0])
    with world.corpus.read() as conn:
        since = erased.not_reached(conn)["tasks"]
    world.after(0.1)
    with world.corpus.operation("two", "test") as op:  # as a withdrawal does, while a run closes the tasks of before
        erased.note_withdrawal(op.conn, ["tasks"], world.now[0])
    erased.reached(world.corpus, "tasks", since)
    assert noted(world.corpus) == ["tasks", "annotation server"]
    assert isinstance(erase.finish(world.corpus, world.settings), erase.FinishReport)
    assert noted(world.corpus) == []


def test_a_flow_reaches_at_its_end_what_was_withdrawn_while_it_ran(
    world: World, prefect_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = world.settings.model_copy(update={"prefect": PrefectSettings(api_url=prefect_url)})

    def merge(*_: object) -> MergeSkipped:
        world.now[0] = datetime.now(UTC)
        assert withdraw(world, "account-1").waits is not None
        assert len(world.clips()) == 4
        return MergeSkipped("no annotations came back", None)

    monkeypatch.setattr(stages, "merge", merge)
    with running(settings, "merge"):
        pipeline.merge()
    assert (len(world.clips()), noted(world.corpus)) == (3, [])


def test_an_erasure_closes_its_accounts_while_it_waits_and_says_what_to_do(world: World) -> None:
    home = world.settings.home
    with hold_corpus(world.settings.corpus, "nightly"):
        done = earmark("erase", "account", "account-1", "--wait", "0", *arguments(home))
        (line,) = done.stderr.splitlines()
        assert done.returncode == 1
        assert "nothing of what is named may be opened any more, but nothing is erased yet; run the same" in line
        assert closed(world.corpus, world.ids[1])
        bounded = earmark("erase", "device", "serial-2", "--wait", "0", *arguments(home))
        assert "nothing is erased yet" in bounded.stderr
        assert not closed(world.corpus, world.ids[2])
        seen = earmark("erase", "account", "account-2", "--dry-run", "--json", *arguments(home))
        assert json.loads(seen.stdout)["utterances"] == 1
    assert earmark("erase", "account", "account-1", *arguments(home)).returncode == 0
    assert len(world.clips()) == 3


# --- Label Studio and MLflow ------------------------------------------------------------------------------------------


def test_tasks_that_were_pushed_before_leave_label_studio_where_tasks_are_only_files_today(world: World) -> None:
    tasks = {task.utterance_id: task.task_id for task in world.tasks()}
    with studio_server("earmark") as there:
        there.put(*({"data": {"task_id": tasks[i]}} for i in world.ids))
        up = {"url": there.url, "token": "x"}
        studio = world.settings.label_studio.model_copy(update=up)
        settings = world.settings.model_copy(update={"label_studio": studio})
        assert settings.export.backend == "files"
        wanted = [("account-1", Wanted(no=NO))]
        report = consent.change(world.corpus, settings, wanted, "desk", dry_run=False)
        assert report.reached is not None
        assert report.reached.removed_there == 1
        left = {task["data"]["task_id"] for task in there.tasks.values()}
        assert left == set(tasks.values()) - {tasks[world.ids[1]]}


def test_a_version_that_learned_from_what_is_withdrawn_is_tagged_in_mlflow_by_the_same_command(tmp_path: Path) -> None:
    settings = labelled_home(tmp_path, *FAST)
    with opened(settings) as corpus:
        plan = retrain_plan.plan(corpus, settings, "intent", "test", only_if_due=False)
        version = retrain_step.retrain(corpus, settings, plan, "").version
        gone = rows_of(corpus, version)[0]
        with corpus.read() as conn:
            speaker = conn.execute(sa.text("SELECT speaker_id FROM utterances WHERE utterance_id = :i"), {"i": gone})
            speaker_id = speaker.scalar_one()
        account = next(
            f"account-{n}" for n in range(999)
            if stated_consent.known(corpus.vault, [f"account-{n}"])
            and stated_consent.account_consent(corpus.vault, f"account-{n}").speaker_id == speaker_id
        )  # fmt: skip
        report = consent.change(corpus, settings, [(account, Wanted(no=NO))], "desk", dry_run=False)
        assert report.reached is not None
        assert report.reached.withdrawn == (f"intent/{version}",)
    tracking = open_tracking(settings.tracking, settings.home)
    found = tracking.client.get_model_version(f"{tracking.model_prefix}-intent", version)
    assert found.tags["earmark.tainted"] == "true"


# --- lists ------------------------------------------------------------------------------------------------------------


def test_a_list_is_a_transaction_for_all_its_lines_and_counts_what_came_too_late(tmp_path: Path) -> None:
    with round_of(tmp_path / "home", 1) as world:
        withdraw(world, "account-0")
        world.after(1)
        table = tmp_path / "list.csv"
        lines = [f"customer-{n},score annotate train,,2026-01" for n in range(300)]
        early = "account-0,score annotate train,2020-01-01T00:00:00Z,2026-01"
        table.write_text("\n".join(["account,consent,time,notice", early, *lines]) + "\n")
        commits = [0]

        def count(conn: sa.Connection) -> None:
            commits[0] += conn.get_execution_options().get("reading_only", False) is False

        sa.event.listen(world.corpus.vault.engine, "commit", count)
        wanted, _ = consent.read_statements(table)
        report = consent.change(world.corpus, world.settings, wanted, "desk", dry_run=False)
        assert commits[0] <= 3
        assert (report.accounts, report.unknown, report.too_late) == (301, 300, 1)
        assert consent.show(world.corpus, "customer-7").uses["annotate"].allowed
        done = earmark("consent", "import", str(table), *arguments(world.settings.home))
        assert "consents that a later withdrawal ended" in done.stdout
