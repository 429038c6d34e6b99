from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from corpus.errors import ChainBroken
from corpus.handle import Corpus
from corpus.storage import audit_chain
from corpus.storage import records_schema as schema
from corpus.storage.database import writing


@pytest.fixture
def records(corpus: Corpus) -> sa.Engine:
    engine = corpus.records
    for number in range(5):
        with writing(engine) as conn:
            audit_chain.append(conn, schema.audit, "act", "earmark", {"count": number})
    return engine


def test_an_untouched_chain_verifies_and_shows_its_last_rows(records: sa.Engine) -> None:
    assert len([*audit_chain.verified_leaves(records, schema.audit)]) == 5
    rows = audit_chain.show(records, schema.audit, 2)
    assert [row.seq for row in rows] == [4, 5]
    assert rows[-1].detail == {"count": 4}
    assert rows[-1].act == "act"


def test_a_row_says_what_was_done_by_whom_and_when(records: sa.Engine) -> None:
    before = datetime.now(UTC)
    with writing(records) as conn:
        audit_chain.append_many(conn, schema.audit, "open", "person:ann", [{"b": 1, "a": "x"}, {"count": 2}])
    first, second = audit_chain.show(records, schema.audit, 2)
    assert (first.seq, first.act, first.actor, first.detail) == (6, "open", "person:ann", {"a": "x", "b": 1})
    assert (second.seq, second.detail) == (7, {"count": 2})
    assert before <= first.at == second.at <= datetime.now(UTC)
    assert first.hash != second.hash
    assert audit_chain.length(records, schema.audit) == len([*audit_chain.verified_leaves(records, schema.audit)]) == 7


def test_a_chain_without_its_head_has_no_length(records: sa.Engine) -> None:
    with writing(records) as conn:
        conn.exec_driver_sql("DELETE FROM audit_head")
    assert audit_chain.length(records, schema.audit) == 0


def test_a_long_chain_tells_how_far_it_was_read(records: sa.Engine) -> None:
    with writing(records) as conn:
        audit_chain.append_many(conn, schema.audit, "act", "earmark", [{"count": n} for n in range(2000)])
    told: list[int] = []
    assert len([*audit_chain.verified_leaves(records, schema.audit, told.append)]) == 2005
    assert told == [1000, 2000]


@pytest.mark.parametrize(
    ("damage", "broken"),
    [
        ("UPDATE audit SET detail = '{\"count\":9}' WHERE seq = 3", "row 3"),
        ("UPDATE audit SET actor = 'somebody' WHERE seq = 1", "row 1"),
        ("UPDATE audit SET at = '2020-01-01 00:00:00.000000' WHERE seq = 2", "row 2"),
        ("DELETE FROM audit WHERE seq = 2", "row 2"),
        ("DELETE FROM audit WHERE seq > 3", "row 3"),
        ("DELETE FROM audit", "row 0"),
        ("DELETE FROM audit_head", "head"),
        ("INSERT INTO audit SELECT 6, at, act, actor, detail, hash, hash FROM audit WHERE seq = 5", "row 6"),
    ],
)
def test_any_tampering_is_found_and_named(records: sa.Engine, damage: str, broken: str) -> None:
    with writing(records) as conn:
        conn.exec_driver_sql(damage)
    with pytest.raises(ChainBroken, match=broken):
        len([*audit_chain.verified_leaves(records, schema.audit)])


def test_rows_of_an_undone_act_are_undone(records: sa.Engine) -> None:
    with writing(records) as conn:
        audit_chain.append(conn, schema.audit, "act", "earmark", {})
        conn.get_transaction().rollback()  # type: ignore[union-attr]
    assert len([*audit_chain.verified_leaves(records, schema.audit)]) == 5


def test_many_rows_are_one_chain(records: sa.Engine) -> None:
    with writing(records) as conn:
        audit_chain.append_many(conn, schema.audit, "open", "person:ann", [{"utterance_id": str(n)} for n in range(3)])
        audit_chain.append_many(conn, schema.audit, "open", "person:ann", [])
    assert len([*audit_chain.verified_leaves(records, schema.audit)]) == 8
