"""The same corpus on PostgreSQL, where its server programs are installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from corpus import audit, database, schema, vault, vault_schema
from corpus.errors import ChainBroken
from corpus.handle import Corpus
from corpus.store import erasure, labels, orphans, rounds, scores, utterances
from tests.corpus.journey import state, walk
from tests.corpus.stored import NOON, arrive, corpus_at, score

_FOUND = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
INITDB = shutil.which("initdb") or (str(_FOUND[-1]) if _FOUND else None)

pytestmark = pytest.mark.skipif(INITDB is None, reason="no PostgreSQL server is installed")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The folder of a socket behind which a server of this test alone listens."""
    programs = Path(str(INITDB)).resolve().parent
    folder = Path(tempfile.mkdtemp(prefix="earmark-pg-"))
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    initdb = [str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres", "--no-sync"]
    subprocess.run(initdb, user=user, cwd=folder, check=True, capture_output=True)
    command = [str(programs / "postgres"), "-D", str(data), "-k", str(folder), "-c", "listen_addresses=", "-F"]
    process = subprocess.Popen(command, user=user, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(str(folder))
        yield str(folder)
    finally:
        process.send_signal(signal.SIGINT)  # SIGTERM would wait for connections that a failed test left open
        process.wait(60)
        shutil.rmtree(folder)


def _wait_for(folder: str) -> None:
    engine = sa.create_engine(f"postgresql+psycopg://postgres@/postgres?host={folder}")
    for _ in range(600):
        try:
            with engine.connect():
                pass
            engine.dispose()
            return
        except sa.exc.OperationalError:
            time.sleep(0.1)
    raise TimeoutError("the server does not answer")


@pytest.fixture
def settings(server: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    engine = sa.create_engine(f"postgresql+psycopg://postgres@/postgres?host={server}", isolation_level="AUTOCOMMIT")
    found: dict[str, Any] = {}
    for which in ("records", "vault"):
        name = f"{which}_{request.node.name}"[:63]
        with engine.connect() as conn:
            conn.execute(sa.text(f"CREATE DATABASE {name}"))
        found[f"{which}_url"] = f"postgresql://postgres@/{name}?host={server}"
    engine.dispose()
    return found


@pytest.fixture
def corpus(tmp_path: Path, settings: dict[str, Any]) -> Iterator[Corpus]:
    corpus = corpus_at(tmp_path, **settings)
    yield corpus
    corpus.close()


def test_the_schema_is_that_of_the_code(corpus: Corpus) -> None:
    which: database.Which
    for which, engine, metadata in (
        ("records", corpus.records, schema.METADATA),
        ("vault", corpus.vault.engine, vault_schema.METADATA),
    ):
        with engine.connect() as conn:
            context = MigrationContext.configure(conn, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []
        assert database.schema_version(engine) == database.HEADS[which]


def test_the_journey_can_be_walked_again_and_again(tmp_path: Path, settings: dict[str, Any]) -> None:
    corpus = corpus_at(tmp_path, **settings)
    arrive(corpus, 1, operation_id="ingest/before")
    speaker_id = str(vault.speaker_of(corpus.vault, "account-0"))
    walk(corpus, speaker_id)
    first = state(corpus)
    corpus.close()
    corpus = corpus_at(tmp_path, **settings)
    walk(corpus, speaker_id)
    assert state(corpus) == first
    assert first["missing"] == first["orphans"] == []
    with corpus.read() as conn:
        assert utterances.counts(conn)["erased"] == 5
        assert len(rounds.tasks(conn, "night-1", ["open", "closed"])) == 4
        assert labels.outcomes(conn) == {}
        ids = utterances.in_window(conn, NOON, NOON + timedelta(days=1))
        assert utterances.pool_columns(conn, ids).durations.shape == (len(ids),)
    assert erasure.expired(corpus) == []
    corpus.close()


def test_two_writers_take_turns_and_the_same_work_is_done_once(corpus: Corpus) -> None:
    seen: list[bool] = []

    def work(name: str) -> None:
        for number in range(10):
            with corpus.operation(f"op/{number}", "ingest") as op:
                seen.append(op.done)
                if not op.done:
                    utterances.refuse(op.conn, f"op/{number}", 1, name)
                    op.result = {"by": name}

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen.count(False) == 10
    assert len(seen) == 30
    assert audit.verify(corpus.records, schema.audit) == 10
    with corpus.read() as conn:
        assert sum(utterances.refusals(conn).values()) == 10


def test_many_ids_are_one_parameter(corpus: Corpus) -> None:
    ids = arrive(corpus, 5)
    score(corpus, ids)
    strangers = [f"stranger-{n}" for n in range(60_000)]
    with corpus.read() as conn:
        assert utterances.known(conn, [*strangers, *ids]) == set(ids)
    np.testing.assert_array_equal(scores.predictions(corpus, ids, "1", "1").utterance_ids, ids)
    assert vault.consenting(corpus.vault, [*strangers, *ids], "score").sum() == 5
    assert orphans.missing(corpus) == []


def test_tampering_is_found(corpus: Corpus) -> None:
    arrive(corpus, 2)
    with database.writing(corpus.records) as conn:
        conn.execute(sa.text("UPDATE audit SET actor = 'somebody'"))
    with pytest.raises(ChainBroken, match="row 1"):
        audit.verify(corpus.records, schema.audit)
