from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.records.evaluation import EvaluationReport
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import lineage, reports


def report_on(version: str, ids: Sequence[str], eval_set_id: str = "set") -> EvaluationReport:
    zeros = np.zeros(len(ids), np.int64)
    return EvaluationReport(
        kind="asr", version=version, eval_set_id=eval_set_id, utterance_ids=np.array(ids, np.str_),
        speaker_ids=np.array([f"speaker of {i}" for i in ids], np.str_), errors=np.arange(len(ids)), words=zeros,
        char_errors=zeros, chars=zeros, correct=zeros == 1, confidence=zeros.astype(np.float32),
        slot_counts=np.zeros((len(ids), 3), np.int64),
    )  # fmt: skip


def rows(conn: sa.Connection, version: str) -> list[tuple[int, str]]:
    columns = schema.report_rows.c
    statement = sa.select(columns.position, columns.utterance_id).where(columns.version == version)
    return [(row.position, row.utterance_id) for row in conn.execute(statement.order_by(columns.position))]


def test_a_report_has_its_utterances_in_rows_and_a_later_one_takes_their_place(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        for ids in (["c", "a", "b"], ["b", "d"]):
            reports.put_report(conn, report_on("2", ids))
            assert rows(conn, "2") == list(enumerate(ids))
            found = reports.report(conn, "asr", "2", "set")
            assert found is not None
            assert found.speaker_ids.tolist() == [f"speaker of {i}" for i in found.utterance_ids]
        assert '"d"' not in conn.execute(sa.select(schema.reports.c.numbers)).scalar_one()


def test_an_utterance_leads_to_the_versions_that_were_judged_on_it(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        for version, ids in (("10", ["a", "b"]), ("9", ["b", "%"]), ("8", ["ab"])):
            reports.put_report(conn, report_on(version, ids))
            reports.put_report(conn, report_on(version, ids, "other set"))
        judges = {i: [row["version"] for row in lineage.judges_of(conn, i)] for i in ("a", "b", "%", "c")}
    assert judges == {"a": ["10"], "b": ["9", "10"], "%": ["9"], "c": []}


def test_dropped_utterances_are_in_no_report_and_the_others_keep_their_numbers(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        for version, ids in (("1", ["a", "b", "c"]), ("2", ["b"]), ("3", ["c", "d"])):
            reports.put_report(conn, report_on(version, ids))
        untouched = conn.execute(sa.select(schema.reports.c.numbers).where(schema.reports.c.version == "3")).scalar()
        assert reports.drop_from_reports(conn, ["b", "z"]) == 2
        assert reports.drop_from_reports(conn, ["b"]) == reports.drop_from_reports(conn, []) == 0
        assert rows(conn, "1") == [(0, "a"), (1, "c")]
        first = reports.report(conn, "asr", "1", "set")
        assert first is not None
        assert first.errors.tolist() == [0, 2]
        assert reports.report(conn, "asr", "2", "set") is None
        assert rows(conn, "2") == []
        third = sa.select(schema.reports.c.numbers).where(schema.reports.c.version == "3")
        assert conn.execute(third).scalar() == untouched
