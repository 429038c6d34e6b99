"""What only a server can get wrong; everything else runs on both kinds of database, see the fixture `databases`."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from corpus.errors import Unreachable
from corpus.handle import Corpus, open_corpus
from corpus.settings import CorpusSettings
from corpus.storage import audit_chain
from corpus.storage import records_schema as schema
from corpus.tables import orphans, scores, utterances
from corpus.vault import consent
from tests.corpus.stored import arrive, score


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
    assert audit_chain.verify(corpus.records, schema.audit) == 10
    with corpus.read() as conn:
        assert sum(utterances.refusals(conn).values()) == 10


def test_many_ids_are_one_parameter(corpus: Corpus) -> None:
    ids = arrive(corpus, 5)
    score(corpus, ids)
    strangers = [f"stranger-{n}" for n in range(60_000)]
    with corpus.read() as conn:
        assert utterances.stored_ids(conn, [*strangers, *ids]) == set(ids)
    np.testing.assert_array_equal(scores.predictions(corpus, ids, "1", "1").utterance_ids, ids)
    assert consent.consenting(corpus.vault, [*strangers, *ids], "score").sum() == 5
    assert orphans.missing(corpus) == []


def test_a_server_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    urls = {f"{which}_url": f"postgresql://ada:hunter2@127.0.0.1:1/{which}" for which in ("records", "vault")}
    with pytest.raises(Unreachable, match=r"vault at 127\.0\.0\.1.*refused") as caught:
        open_corpus(CorpusSettings(home=tmp_path, **urls))
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
