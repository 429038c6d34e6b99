"""An erasure reaches every place, whatever is killed or does not answer, and says what it can't reach."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from annotation.files import write_annotations
from corpus.errors import Refused, UsageError
from corpus.handle import Corpus
from corpus.storage import files
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import erased, orphans
from corpus.vault import vault
from flows.reports.doctor import examine
from flows.runtime.results import Skipped
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps import erase, erase_target
from flows.steps.merge import merge_file
from tests.corpus.stored import arrive
from tests.flows.conftest import copy_of
from tests.flows.homes import arguments, earmark, small_settings
from tests.flows.small_round import World, answer, round_of
from tests.studio_server import studio_server

ACCOUNT = "account-0"
"""Of the first clip of a round, see `tests.corpus.stored.arrive`."""

PLANTED = "plantedtextzq"

OVERRIDES = ("export.due_days=3",)


@dataclass
class Planted:
    """A home whose first utterance is to be erased, and everything that is stored of it.

    Attributes:
        world: the home; the utterance was scored, exported, and answered in files.
        gone, task: the utterance and its task.
        sealed: ciphertexts of it.
    """

    world: World
    gone: str
    task: str
    sealed: list[bytes] = field(default_factory=list)


@contextmanager
def planted(home: Path) -> Iterator[Planted]:
    """Give such a home: a merged answer, one in a file that waits, and one among refused lines."""
    with round_of(home, 4, "inventory.intents={find_ship: asks for a ship}") as world:
        world.export()
        tasks = {task.utterance_id: task for task in world.tasks()}
        gone, other = tasks[world.ids[0]], tasks[world.ids[1]]
        world.merge(answer(gone, transcript=f"play {PLANTED} merged"))
        (world.settings.home / "answers.jsonl").unlink()  # of the person who gave it
        answers = world.settings.answers
        answers.mkdir(parents=True, exist_ok=True)
        waiting = [answer(gone, "bob", transcript=f"play {PLANTED} waiting"), answer(other, "bob")]
        write_annotations(answers / "a.jsonl", waiting)
        table = f"task_id,annotator_id,verdict,transcript\n{gone.task_id},eve,labelled,{PLANTED}\n"
        (answers / "b.csv").write_text(table + f"{other.task_id},eve,labelled,some jazz\n")
        line = json.dumps({"task_id": gone.task_id, "verdict": "odd", "transcript": PLANTED}).encode()
        whose = json.dumps({"task_id": "t-typo", "verdict": "odd", "transcript": "whose"}).encode()
        kept = json.dumps({"task_id": other.task_id, "verdict": "odd", "transcript": "kept"}).encode()
        (answers / "old.refused.jsonl").write_bytes(b"\n".join([line, whose, kept]) + b"\n")
        made = Planted(world, gone.utterance_id, gone.task_id)
        made.sealed = _sealed(world.corpus, gone.utterance_id)
        yield made


def _sealed(corpus: Corpus, gone: str) -> list[bytes]:
    with corpus.read() as conn:
        row = conn.execute(sa.select(schema.utterances).where(schema.utterances.c.utterance_id == gone)).one()
        tables = (schema.scores.c.hypotheses, schema.labels.c.content, schema.answers.c.content)
        found = [
            bytes(value)
            for column in tables
            for value in conn.execute(sa.select(column).where(column.table.c.utterance_id == gone)).scalars()
            if value is not None
        ]
    pack = files.load(corpus.fs, corpus.root, row.pack)
    return [*found, pack[row.pack_offset : row.pack_offset + row.pack_length]]


def left_of(home: Path, made: Planted) -> list[str]:
    """Return what of the erased utterance any file of the home has."""
    found = []
    for path in sorted(home.rglob("*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        if PLANTED.encode() in data or any(each[:40] in data or each[-16:] in data for each in made.sealed):
            found.append(path.relative_to(home).as_posix())
        found += [path.name] * (made.task in path.name)
    return found


def run(corpus: Corpus, settings: Settings, what: erase_target.What, *names: str, **bounds: Any) -> erase.EraseReport:
    return erase.erase(corpus, settings, erase_target.find_target(corpus, what, names, **bounds), "request", "desk")


def everything_is_gone(settings: Settings, made: Planted) -> None:
    """Check it with the live key in hand, by files and by what the doctor says."""
    assert left_of(settings.home, made) == []
    with opened(settings) as corpus:
        assert vault.data_keys(corpus.vault, [made.gone]) == {}
        with corpus.read() as conn:
            assert erased.not_reached(conn) == {}
            assert erased.packs_with_gaps(conn) == []
            state = {row.utterance_id: row.state for row in conn.execute(sa.select(schema.utterances))}
            assert state[made.gone] == "erased"
            assert list(state.values()).count("erased") == 1
        assert (orphans.missing(corpus), orphans.keyless(corpus)) == ([], ([], []))
    answers = settings.answers
    assert "some jazz" in (answers / "a.jsonl").read_text()
    assert "some jazz" in (answers / "b.csv").read_text()
    refused = (answers / "old.refused.jsonl").read_text().splitlines()
    assert [json.loads(line)["transcript"] for line in refused] == ["whose", "kept"]


def test_the_command_erases_an_account_from_every_file_and_names_it_nowhere(tmp_path: Path):
    home = tmp_path / "home"
    with planted(home) as made:
        assert len(made.sealed) == 4
        assert len(left_of(home, made)) > 4
    options = arguments(home, *OVERRIDES)
    dry = earmark("erase", "account", ACCOUNT, "--dry-run", "--json", *options)
    assert dry.returncode == 0, dry.stderr
    listed = json.loads(dry.stdout)
    counts = ("utterances", "labels", "answers", "open_tasks", "clips_out", "parts", "packs")
    assert [listed[name] for name in counts] == [1, 1, 1, 0, 0, 1, 1]
    assert "finished" not in listed
    with_name = earmark("erase", "account", ACCOUNT, "--why", f"for {ACCOUNT.upper()}", *options)
    assert (with_name.returncode, ACCOUNT in with_name.stderr.lower()) == (2, False)
    assert PLANTED.encode() in (home / "tasks" / "answers" / "a.jsonl").read_bytes()
    done = earmark("erase", "account", ACCOUNT, "--why", "opt-out", *options)
    assert done.returncode == 0, done.stderr
    assert "NOT DONE" not in done.stdout
    everything_is_gone(small_settings(home, *OVERRIDES), made)
    serial = "serial-0"
    for path in (each for each in home.rglob("*") if each.is_file()):
        assert ACCOUNT.encode() not in path.read_bytes(), path
        assert serial.encode() not in path.read_bytes(), path
    assert not (home / "prefect").exists()
    again = earmark("erase", "account", ACCOUNT, *options)
    assert again.returncode == 0, again.stderr
    assert "keyed hashes alone are held of it" in again.stdout
    assert ACCOUNT not in again.stdout + again.stderr


# --- what is named ----------------------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Planted]:
    with planted(tmp_path / "home") as made:
        yield made


def test_a_device_is_found_by_its_encrypted_serial_number(made: Planted):
    corpus, settings = made.world.corpus, made.world.settings
    assert erase_target.find_target(corpus, "device", ["serial-0"]).utterance_ids == (made.gone,)
    none = erase_target.find_target(corpus, "device", ["serial-"])
    assert (none.utterance_ids, len(none.notes)) == ((), 1)
    assert run(corpus, settings, "device", "serial-0").utterances == 1
    everything_is_gone(settings, made)
    assert run(corpus, settings, "device", "serial-0").utterances == 0


def test_days_bound_what_is_erased_and_the_account_stays(made: Planted):
    corpus, settings = made.world.corpus, made.world.settings
    arrived = made.world.now[0] - timedelta(hours=9)
    later = arrive(corpus, 1, start=8, speakers=4, arrived_at=arrived + timedelta(days=2), operation_id="ingest/late")
    target = erase_target.find_target(corpus, "account", [ACCOUNT], None, arrived + timedelta(days=1))
    assert (target.utterance_ids, target.speakers) == ((made.gone,), ())
    assert erase_target.find_target(corpus, "account", [ACCOUNT], arrived + timedelta(days=1)).utterance_ids == tuple(
        later
    )
    erase.erase(corpus, settings, target, "request", "desk")
    assert vault.speaker_of(corpus.vault, ACCOUNT) is not None
    assert set(vault.data_keys(corpus.vault, [made.gone, *later])) == set(later)


def test_what_is_unknown_stops_an_erasure_before_it_begins(made: Planted):
    corpus, settings = made.world.corpus, made.world.settings
    with pytest.raises(UsageError, match="utterance ffff and 1 more are unknown"):
        run(corpus, settings, "utterance", made.gone, "ffff", "gggg")
    with pytest.raises(UsageError, match="account 2 of 2 is unknown") as error:
        run(corpus, settings, "account", ACCOUNT, "nobody@example.org")
    assert "nobody" not in str(error.value)
    assert set(vault.data_keys(corpus.vault, [made.gone])) == {made.gone}


def test_many_are_erased_only_when_asked_twice(made: Planted):
    corpus = made.world.corpus
    report = erase.preview(corpus, erase_target.Target((made.gone,)))
    erase.refuse_many(corpus, replace(report, utterances=10))
    with pytest.raises(Refused, match="11 utterances are more than the 10"):
        erase.refuse_many(corpus, replace(report, utterances=11))
    with writing(corpus.records) as conn:
        row = dict(conn.execute(sa.select(schema.utterances)).all()[0]._mapping)
        rows = [row | {"utterance_id": f"{n:032x}", "event_order": n + 10, "pack": None} for n in range(2000)]
        conn.execute(sa.insert(schema.utterances), rows)
    erase.refuse_many(corpus, replace(report, utterances=20))
    with pytest.raises(Refused, match="21 utterances are more than the 20"):
        erase.refuse_many(corpus, replace(report, utterances=21))


# --- what is answered late --------------------------------------------------------------------------------------------


def test_a_late_answer_to_what_was_erased_is_refused_and_no_line_of_it_is_kept(made: Planted):
    corpus, settings = made.world.corpus, made.world.settings
    run(corpus, settings, "utterance", made.gone)
    file = settings.answers / "late.jsonl"
    row = {"task_id": made.task, "annotator_id": "eve", "verdict": "labelled", "transcript": PLANTED, "intent": "other"}
    file.write_text(json.dumps(row) + '\n{"task_id": "t", "transcript": "kept"}\n')
    report = merge_file(corpus, settings, file, from_inbox=True)
    assert sum(report.refused.values()) == 2
    assert "kept" in (settings.answers / "late.refused.jsonl").read_text()
    assert left_of(settings.home, made) == []


def test_what_names_no_task_stays_and_is_counted(made: Planted):
    report = run(made.world.corpus, made.world.settings, "utterance", made.gone)
    assert report.finished is not None
    assert (report.finished.nameless, report.finished.answer_lines) == ({"old.refused.jsonl": 1}, 3)


@pytest.mark.parametrize("name", ["0.refused.jsonl", "0.jsonl", "0.csv"])
def test_a_file_that_cant_be_read_is_named_and_stops_no_other(made: Planted, name: str):
    settings, corpus = made.world.settings, made.world.corpus
    unreadable = settings.answers / name
    unreadable.symlink_to("/proc/self/mem")  # nobody can read its first byte
    report = run(corpus, settings, "utterance", made.gone)
    assert report.finished is not None
    assert report.finished.not_done == {"tasks": f"annotation file {name} can't be read: OSError; fix it"}
    unreadable.unlink()
    assert left_of(settings.answers, made) == []
    erase.finish(corpus, settings)
    everything_is_gone(settings, made)


# --- what does not answer ---------------------------------------------------------------------------------------------


def test_a_server_that_does_not_answer_is_named_and_reached_the_next_time(tmp_path: Path):
    with studio_server("earmark") as there, planted(tmp_path / "home") as made:
        corpus = made.world.corpus
        other = next(task.task_id for task in made.world.tasks() if task.utterance_id != made.gone)
        there.put({"data": {"task_id": made.task, "asr_text": PLANTED}}, {"data": {"task_id": other}})
        down = small_settings(
            tmp_path / "home", *OVERRIDES, "label_studio.url=http://127.0.0.1:9", "label_studio.token=x"
        )
        report = run(corpus, down, "utterance", made.gone)
        assert list(report.finished.not_done) == ["annotation server"]
        assert "http://127.0.0.1:9 does not answer" in report.finished.not_done["annotation server"]
        assert any(
            "has not reached the annotation server since" in each for each in examine(down, repair=False).problems
        )
        up = small_settings(tmp_path / "home", *OVERRIDES, f"label_studio.url={there.url}", "label_studio.token=x")
        assert erase.finish(corpus, up).removed_there == 1
        assert [task["data"]["task_id"] for task in there.tasks.values()] == [other]
        assert isinstance(erase.finish(corpus, up), Skipped)
        assert not any(each.startswith("erasures") for each in examine(up, repair=False).problems)
    everything_is_gone(up, made)


# --- kills ------------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


_LEFT = [0]


def _moment(conn: sa.Connection | None = None) -> None:
    if conn is not None and Path(conn.engine.url.database or "").name not in ("records.db", "vault.db"):
        return  # of MLflow's store, which commits what it only reads
    _LEFT[0] -= 1
    if _LEFT[0] == 0:
        raise Killed


def _renamed(name: str, given: tuple[Any, ...]) -> None:
    if name == "os.rename" and "mlflow" not in str(given[0]):
        _moment()


@contextmanager
def killed_at(number: int) -> Iterator[Callable[[], int]]:
    """End the block just before the numbered commit or rename; give how many went by."""
    if not getattr(sys, "_erase_hook", False):
        sys.addaudithook(_renamed)  # no hook can be removed
        sys._erase_hook = True  # type: ignore[attr-defined]
    sa.event.listen(sa.Engine, "commit", _moment)
    _LEFT[0], passed = number, [0]
    try:
        with suppress(Killed):
            yield lambda: passed[0]
    finally:
        _LEFT[0], passed[0] = 0, number - _LEFT[0]
        sa.event.remove(sa.Engine, "commit", _moment)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """Such a home, closed, with the database of MLflow, which takes seconds to make."""
    from training.tracking.store import open_tracking

    with planted(tmp_path_factory.mktemp("prepared") / "home") as made:
        open_tracking(made.world.settings.tracking, made.world.settings.home)
    return made


@pytest.mark.timeout(1800)  # each moment is an erasure of its own, twice
@pytest.mark.parametrize("step", [pytest.param(7, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.slow)])
def test_killed_between_any_two_writes_the_same_command_or_a_repair_finishes_it(
    prepared: Planted, tmp_path: Path, step: int
):
    source = prepared.world.settings.home

    def killed(number: int) -> tuple[Settings, int]:
        home = copy_of(source, tmp_path / f"{number}")
        settings = small_settings(home, *OVERRIDES)
        with opened(settings) as corpus, killed_at(number) as passed:
            run(corpus, settings, "account", ACCOUNT)
        return settings, passed()

    settings, moments = killed(10_000)
    everything_is_gone(settings, prepared)
    assert moments > 12
    for number in range(min(step, 3), moments + 1, step):
        settings, passed = killed(number)
        assert passed == number
        with opened(settings) as corpus:
            keyless = vault.data_keys(corpus.vault, [prepared.gone]) == {}
            if number % 2 and keyless:
                erase.finish(corpus, settings)
            else:
                run(corpus, settings, "account", ACCOUNT)
        everything_is_gone(settings, prepared)
        shutil.rmtree(settings.home)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_killed_command_is_finished_by_a_repair(prepared: Planted, tmp_path: Path, share: float):
    source = prepared.world.settings.home
    options = ["erase", "account", ACCOUNT]
    counted = tmp_path / "moments"
    whole = earmark(
        *options, *arguments(copy_of(source, tmp_path / "whole"), *OVERRIDES), kill_at=0, KILLER_COUNT=str(counted)
    )
    assert whole.returncode == 0, whole.stderr
    home = copy_of(source, tmp_path / "home")
    killed = earmark(*options, *arguments(home, *OVERRIDES), kill_at=max(3, round(share * int(counted.read_text()))))
    assert killed.returncode == -9, killed.stderr
    earmark("doctor", "--repair", *arguments(home, *OVERRIDES))
    everything_is_gone(small_settings(home, *OVERRIDES), prepared)
