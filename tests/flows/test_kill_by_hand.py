"""Commands by hand that were killed at any moment, or ran at once on one home: counts add up and nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from annotation.files import write_annotations
from corpus.storage import records_schema as schema
from corpus.tables import ingest_batches, orphans, utterances
from flows.reports.audit_verify import verify_audit
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from tests.corpus.ingest.test_ingest import row, write
from tests.flows.asked_world import asked_world
from tests.flows.conftest import copy_of
from tests.flows.homes import ROOT, arguments, earmark, move_home, small_settings
from tests.flows.small_round import answer

pytestmark = pytest.mark.slow

ASKED = 4
"""Utterances of the prepared home; no manifest brought them."""

COMMANDS = ("ingest", "merge")
MOMENTS = ((0.2, "embedded"), (0.6, "servers"), (0.9, "embedded"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home whose tasks were exported, a manifest with refused clips, and answers."""
    root = tmp_path_factory.mktemp("by-hand")
    with asked_world(root / "home") as world:
        write_annotations(root / "answers.jsonl", [answer(task) for task in world.first])
    rows = [row(root, seed, event_id=f"e{seed}") for seed in range(12)]
    (root / "3.wav").write_bytes((root / "3.wav").read_bytes()[:600])
    (root / "5.wav").unlink()
    write(root / "manifest.jsonl", [*rows, "{"])
    return root


def held(settings: Settings) -> dict[str, Any]:
    """Return what a home holds but for times and ciphertexts, checked as the doctor does it."""
    columns = {
        schema.utterances: ("utterance_id", "speaker_id", "state", "num_samples"),
        schema.refusals: ("operation_id", "line", "reason", "file_state", "fault"),
        schema.ingest_batches: ("operation_id", "received", "accepted"),
        schema.tasks: ("task_id", "state"),
        schema.labels: ("utterance_id", "revision", "current", "intent"),
    }
    with opened(settings) as corpus, corpus.read() as conn:
        recorded, reported = utterances.counts(conn), ingest_batches.totals(conn)
        assert {name: recorded[name] - ASKED for name in reported} == reported
        return {
            table.name: sorted(tuple(map(str, each)) for each in conn.execute(sa.select(*(table.c[n] for n in names))))
            for table, names in columns.items()
        }


def _command(name: str, root: Path, home: Path, url: str, elsewhere: list[str]) -> list[str]:
    file = root / {"ingest": "manifest.jsonl", "merge": "answers.jsonl"}[name]
    changes = (f"prefect.api_url={url}", "inventory.intents={find_ship: asks for a ship}", *elsewhere)
    return [name, str(file), "--json", *arguments(home, *changes)]


@pytest.fixture(scope="module", params=COMMANDS)
def undisturbed(
    request: pytest.FixtureRequest, prepared: Path, prefect_url: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What a command that nobody disturbs leaves, and how many moments it has."""
    root = tmp_path_factory.mktemp("undisturbed")
    home = copy_of(prepared / "home", root / "home")
    counted = root / "moments"
    command = _command(request.param, prepared, home, prefect_url, [])
    done = earmark(*command, kill_at=0, KILLER_COUNT=str(counted))
    assert done.returncode == 0, done.stderr
    return {"name": request.param, "moments": int(counted.read_text()), "state": held(small_settings(home))}


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The settings of databases on a server, where the test asks for them."""
    if request.getfixturevalue("where") == "embedded":
        yield {}
        return
    with request.getfixturevalue("postgres_server").corpus() as settings:
        yield settings


def _same_as_undisturbed(undisturbed: dict[str, Any], settings: Settings) -> None:
    found = held(settings)
    for name, expected in undisturbed["state"].items():
        assert found[name] == expected, name
    verified = verify_audit(settings)
    assert verified.problems == ()
    assert min(verified.records, verified.vault) > 0
    assert verified.checkpoints > 0 or verified.unsealed > 0  # what was killed after its last row, the next row seals
    with opened(settings) as corpus:
        assert orphans.missing(corpus) == []


@pytest.mark.parametrize(("share", "where"), MOMENTS)
def test_killed_and_run_again_it_ends_as_one_that_nobody_killed(
    undisturbed: dict[str, Any],
    prepared: Path,
    prefect_url: str,
    tmp_path: Path,
    servers: Mapping[str, str],
    share: float,
    where: str,
) -> None:
    home = copy_of(prepared / "home", tmp_path / "home")
    elsewhere = move_home(home, servers)
    command = _command(undisturbed["name"], prepared, home, prefect_url, elsewhere)
    killed = earmark(*command, kill_at=max(1, round(share * undisturbed["moments"])))
    assert killed.returncode == -9, killed.stderr
    again = earmark(*command)
    assert again.returncode == 0, again.stderr
    _same_as_undisturbed(undisturbed, small_settings(home, *elsewhere))


@pytest.mark.parametrize("where", ["embedded", "servers"])
def test_of_two_at_once_one_waits_its_turn_and_is_told_for_whom(
    undisturbed: dict[str, Any],
    prepared: Path,
    prefect_url: str,
    tmp_path: Path,
    servers: Mapping[str, str],
    where: str,
) -> None:
    home = copy_of(prepared / "home", tmp_path / "home")
    elsewhere = move_home(home, servers)
    command = _command(undisturbed["name"], prepared, home, prefect_url, elsewhere)
    pipe = subprocess.PIPE
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "flows.cli.main", *command], cwd=ROOT, stdout=pipe, stderr=pipe, text=True
        )
        for _ in range(2)
    ]
    ended = [(process, *process.communicate(timeout=200)) for process in both]
    for process, out, err in ended:
        assert process.returncode in (0, 1), err
        if process.returncode:
            assert f"in use by earmark {undisturbed['name']} (process " in err
            assert out == ""
        else:
            assert json.loads(out)
    assert 0 in [process.returncode for process, _, _ in ended]
    _same_as_undisturbed(undisturbed, small_settings(home, *elsewhere))
