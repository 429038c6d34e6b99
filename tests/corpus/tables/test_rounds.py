from __future__ import annotations

import numpy as np
import pytest

from corpus.errors import RecordError
from corpus.handle import Corpus
from corpus.records.annotations import AnnotationTask, task_id
from corpus.records.arrivals import Hypothesis
from corpus.records.base import digest
from corpus.storage.database import writing
from corpus.tables import rounds
from corpus.tables.rounds import RoundRow, TaskRow
from tests.corpus.stored import arrive, choose


def question(round_: str, utterance_id: str, draft: Hypothesis | None = None) -> AnnotationTask:
    id_ = task_id(round_, utterance_id, "transcribe")
    return AnnotationTask(id_, round_, utterance_id, "transcribe", f"{id_}.wav", 1.0, ("a", "other"), ("s",), draft)


def test_a_selection_comes_back_as_it_was(corpus: Corpus) -> None:
    ids = arrive(corpus, 5)
    before = choose(corpus, [ids[3], ids[1]])
    choose(corpus, [ids[0]], "night-0", "audit")
    with corpus.read() as conn:
        after = rounds.selection(conn, "night-1")
        for name in ("utterance_ids", "reasons", "asks", "scores", "inclusion_probs", "costs"):
            np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
        assert rounds.rounds(conn) == [
            RoundRow("night-1", "2026-03-01", digest({"clips": 20}), {"clips": 20}, 100, 2),
            RoundRow("night-0", "2026-03-01", digest({"clips": 20}), {"clips": 20}, 100, 1),
        ]
        assert rounds.selected_ids(conn) == {ids[0], ids[1], ids[3]}
        with pytest.raises(RecordError, match="night-9"):
            rounds.selection(conn, "night-9")


def test_a_stored_round_stays_as_it_is(corpus: Corpus) -> None:
    ids = arrive(corpus, 3)
    before = choose(corpus, ids[:2])
    with writing(corpus.records) as conn:
        rounds.put_selection(conn, before, "another night", {"clips": 1}, 1)
        assert rounds.rounds(conn)[0].night == "2026-03-01"


def test_an_empty_round_is_a_round(corpus: Corpus) -> None:
    choose(corpus, [])
    with corpus.read() as conn:
        assert len(rounds.selection(conn, "night-1")) == 0


def test_tasks_carry_their_selections_reason_and_keep_their_state(corpus: Corpus) -> None:
    ids = arrive(corpus, 3)
    choose(corpus, [ids[2], ids[0]])
    choose(corpus, [ids[1]], "night-2", "audit")
    asked = [
        question("night-1", ids[0], Hypothesis("x", 1.0)),
        question("night-1", ids[2]),
        question("night-2", ids[1]),
    ]
    with writing(corpus.records) as conn:
        rounds.put_tasks(conn, asked)
        rounds.set_task_state(conn, [asked[0].task_id], "exported")
        rounds.put_tasks(conn, asked)
        assert rounds.tasks(conn, "night-1") == [
            TaskRow(asked[1].task_id, "night-1", ids[2], "transcribe", "open", "uncertain", 0.25, False),
            TaskRow(asked[0].task_id, "night-1", ids[0], "transcribe", "exported", "uncertain", 0.25, True),
        ]
        assert [row.reason for row in rounds.tasks(conn)] == ["uncertain", "uncertain", "audit"]
        assert [row.task_id for row in rounds.tasks(conn, None, ["exported"])] == [asked[0].task_id]
        with pytest.raises(RecordError, match="t9"):
            rounds.set_task_state(conn, [asked[0].task_id, "t9"], "closed")
