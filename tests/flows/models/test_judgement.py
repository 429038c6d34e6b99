"""A judgement is found again by its decision on record, with or without what it was against in its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.storage import operation_ids
from corpus.tables import judgements
from flows.models.judgement import Judgement, stored_judgement
from tests.corpus.stored import corpus_at

SAID = Judgement("refuse", "the challenger is worse", "REFUSE\n", "1", "set", "1-2", waits="few", lead="clear")


@pytest.mark.parametrize("named", ["", "1-2"])
def test_a_judgement_is_read_as_it_was_stored(tmp_path: Path, named: str) -> None:
    corpus = corpus_at(tmp_path)
    row = judgements.Judgement("rows", "1-2", "refuse")
    with corpus.read() as conn:
        assert stored_judgement(conn, "intent", "3", row) is None
    with corpus.operation(operation_ids.judge("intent", "3", "rows", named), "judge") as op:
        op.result = SAID.to_json()
    with corpus.read() as conn:
        assert stored_judgement(conn, "intent", "3", row) == SAID
        assert stored_judgement(conn, "intent", "2", row) is None
    corpus.close()


def test_the_id_of_rows_that_older_versions_stored_is_no_evaluation_set() -> None:
    old = {"decision": "indicative", "why": "few", "champion": "1", "rows_id": "rows", "against": "1"}
    assert Judgement.from_json(old) == Judgement("indicative", "few", "", "1", against="1")
