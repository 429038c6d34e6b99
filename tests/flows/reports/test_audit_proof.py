"""Proofs verify by a library that shares no code with earmark; what is not in the log is not proved."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from corpus import door
from corpus.errors import ChainBroken, UsageError
from corpus.storage import records_schema as schema
from corpus.tables import checkpoints
from flows.reports.audit_proof import prove
from flows.reports.audit_verify import verify_audit
from flows.runtime.session import opened
from tests.corpus.stored import arrive
from tests.flows.homes import ROOT, arguments, earmark, small_settings, urls
from tests.flows.reports.test_audit_verify import first_day, rehash, second_day

CHECKER = os.environ.get("TLOG") or str(ROOT / ".tlog" / "bin" / "python")
"""A Python with the package aics-tlog."""


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("proved") / "home"
    settings = small_settings(home)
    first_day(settings)
    second_day(settings)
    with opened(settings) as corpus:
        for number in range(20):
            arrive(corpus, 1, start=50 + number, operation_id=f"ingest/{50 + number}")
    return home


@pytest.fixture
def home(lived: Path, tmp_path: Path) -> Path:
    shutil.copytree(lived, tmp_path / "home")
    return tmp_path / "home"


def checked(document: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Check a document of proofs by the other library."""
    if not Path(CHECKER).exists():
        missing = "there is no environment with aics-tlog; make tlog"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    program = Path(__file__).with_name("check_proof.py")
    return subprocess.run(
        [CHECKER, "-I", str(program)], input=json.dumps(document), capture_output=True, text=True, check=False
    )


def proofs(home: Path, name: str, *options: str) -> dict[str, Any]:
    done = earmark("audit", "prove", name, *options, *arguments(home))
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_another_library_verifies_every_row_and_the_growth(home: Path) -> None:
    with opened(small_settings(home)) as corpus:
        given = [
            prove(corpus, small_settings(home).audit, f"{log}/{seq}").to_json()
            for log, rows in (("records", 25), ("vault", 20))
            for seq in range(1, rows + 1)
        ]
    document = given[0] | {"rows": [row for each in given for row in each["rows"]]}
    done = checked(document)
    assert done.stdout == f"{len(document['rows'])} rows and 2 logs are proved\n", done.stderr
    assert {growth["old_size"] < growth["new_size"] for growth in document["growth"]} == {True}


@pytest.mark.parametrize("part", ["leaf", "inclusion", "consistency", "checkpoint", "older"])
def test_another_library_refuses_what_was_changed(part: str, home: Path) -> None:
    document = proofs(home, "records/3")
    assert checked(document).returncode == 0
    if part == "leaf":
        document["rows"][0]["leaf"] = document["rows"][0]["leaf"].replace("earmark", "person:eve")
    elif part == "inclusion":
        document["rows"][0]["inclusion"][0] = document["rows"][0]["leaf_hash"]
    elif part == "consistency":
        document["growth"][0]["consistency"].pop()
    else:
        document[part] = document[part].replace("vault ", "vault 1")
    assert checked(document).returncode != 0


def test_rows_are_found_by_their_operation_and_by_the_clip_that_a_person_heard(home: Path) -> None:
    with opened(small_settings(home)) as corpus:
        now = corpus.clock()
        ids = arrive(corpus, 1, start=95, speakers=7, operation_id="ingest/95", arrived_at=now - timedelta(hours=1))
        with corpus.operation("assign/1", "assign") as op:
            lease = {"utterance_id": ids[0], "holder": "person:ann", "purpose": "annotate"}
            op.conn.execute(schema.leases.insert(), [lease | {"until": now + timedelta(days=1)}])
        heard = list(door.open(corpus, ids, "annotate", actor="person:ann", parts=("audio",)))
    assert len(heard) == 1
    by_operation, by_clip = (proofs(home, name)["rows"] for name in ("ingest/95", ids[0]))
    assert [(row["log"], json.loads(row["leaf"])[2]) for row in by_operation] == [
        ("records", "ingest"),
        ("vault", "admit"),
    ]
    assert [(row["log"], *json.loads(row["leaf"])[2:4]) for row in by_clip] == [("records", "open", "person:ann")]


def test_who_kept_a_checkpoint_sees_that_the_logs_only_grew_since(home: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.note"
    with opened(small_settings(home)) as corpus:
        kept.write_text(checkpoints.stored_notes(corpus, "records")[2])
    document = proofs(home, "vault/1", "--from", str(kept))
    assert document["older"] == kept.read_text()
    assert [growth["old_size"] for growth in document["growth"]] == [5, 7]
    assert checked(document).returncode == 0


def test_what_is_not_in_the_logs_is_not_proved(home: Path, tmp_path: Path) -> None:
    settings = small_settings(home)
    with opened(settings) as corpus:
        for name in ("nothing", "records/99", "records/0"):
            with pytest.raises(UsageError, match=name.rpartition("/")[2]):
                prove(corpus, settings.audit, name)
        (tmp_path / "other.note").write_text("a\n1\n\n— a AAAA\n")
        with pytest.raises(UsageError, match="no file with a checkpoint"):
            prove(corpus, settings.audit, "vault/1", tmp_path / "other.note")


def test_nothing_is_proved_of_a_log_that_was_hashed_anew(home: Path) -> None:
    settings = small_settings(home)
    rehash(home, "vault", lambda rows: rows[0].update(actor="person:eve"), settings)
    with opened(settings) as corpus, pytest.raises(ChainBroken, match="not what its last checkpoint says"):
        prove(corpus, settings.audit, "vault/1")


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
def test_rows_are_proved_on_a_server_too(databases: dict[str, str], tmp_path: Path) -> None:
    settings = small_settings(tmp_path / "home", *urls(databases))
    first_day(settings)
    second_day(settings)
    report = verify_audit(settings)
    assert (report.problems, report.checkpoints, report.unsealed) == ((), 2, 0)
    with opened(settings) as corpus:
        document = prove(corpus, settings.audit, "ingest/1").to_json()
    assert [row["log"] for row in document["rows"]] == ["records", "vault"]
    assert checked(document).returncode == 0
