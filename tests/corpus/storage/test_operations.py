from __future__ import annotations

import threading
from pathlib import Path

import pytest

from corpus import door
from corpus.handle import Corpus
from corpus.storage import audit_chain
from corpus.storage import records_schema as schema
from corpus.tables import utterances
from tests.corpus.stored import corpus_at


def test_an_operation_happens_once_and_remembers_its_result(corpus: Corpus) -> None:
    for attempt in range(3):
        with corpus.operation("op", "ingest") as op:
            assert op.done == (attempt > 0)
            if not op.done:
                utterances.refuse_lines(op.conn, "op", {1: "bad_row"})
                op.result = {"refused": 1}
            assert op.result == {"refused": 1}
    assert len([*audit_chain.verified_leaves(corpus.records, schema.audit)]) == 1
    (row,) = audit_chain.show(corpus.records, schema.audit, 5)
    assert row.detail == {"operation_id": "op", "result": {"refused": 1}}


def test_an_exception_undoes_all_of_it(corpus: Corpus) -> None:
    def fail() -> None:
        with corpus.operation("op", "ingest") as op:
            utterances.refuse_lines(op.conn, "op", {1: "bad_row"})
            raise KeyError("op")

    for _ in range(2):
        with pytest.raises(KeyError):
            fail()
    with corpus.read() as conn:
        assert utterances.counts(conn)["refused"] == 0
    assert len([*audit_chain.verified_leaves(corpus.records, schema.audit)]) == 0


def test_what_is_written_in_a_repeat_is_undone(corpus: Corpus) -> None:
    for line in range(2):
        with corpus.operation("op", "ingest") as op:
            utterances.refuse_lines(op.conn, "op", {line: "bad_row"})
    with corpus.read() as conn:
        assert utterances.counts(conn)["refused"] == 1


def test_an_operation_inside_another_is_refused_at_once(corpus: Corpus) -> None:
    with corpus.operation("op", "ingest"):
        for inside in (
            lambda: door.open(corpus, ["u"], "score"),
            lambda: corpus.operation("other", "ingest").__enter__(),
        ):
            with pytest.raises(RuntimeError, match="outside"):
                inside()
    with corpus.operation("other", "ingest") as op:
        assert not op.done


def test_two_handles_take_turns(corpus: Corpus, tmp_path: Path, databases: dict[str, str]) -> None:
    other = corpus_at(tmp_path, **databases)
    for number in range(4):
        for handle in (corpus, other):
            with handle.operation(f"op/{number}", "ingest") as op:
                if not op.done:
                    op.result = {"n": number}
    assert len([*audit_chain.verified_leaves(other.records, schema.audit)]) == 4


def test_writers_take_turns_and_the_same_work_is_done_once(corpus: Corpus) -> None:
    seen: list[bool] = []

    def work(name: str) -> None:
        for number in range(10):
            with corpus.operation(f"op/{number}", "ingest") as op:
                seen.append(op.done)
                if not op.done:
                    utterances.refuse_lines(op.conn, f"op/{number}", {1: name})
                    op.result = {"by": name}

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen.count(False) == 10
    assert len(seen) == 30
    assert len([*audit_chain.verified_leaves(corpus.records, schema.audit)]) == 10
    with corpus.read() as conn:
        assert sum(utterances.refusals(conn).values()) == 10
