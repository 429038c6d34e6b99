from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corpus.errors import RecordError
from corpus.handle import Corpus
from corpus.storage import files
from corpus.tables import erasure, scores
from corpus.vault import vault
from tests.corpus.stored import arrive, predictions_of, score

pytestmark = pytest.mark.parametrize("databases", ["sqlite", "postgresql", "s3"], indirect=True)


def test_statistics_come_back_in_the_order_of_the_ids(corpus: Corpus) -> None:
    ids = arrive(corpus, 7)
    first, second = score(corpus, ids[:4], "score/0", seed=1), score(corpus, ids[4:], "score/1", seed=2)
    wanted = [ids[5], ids[0], ids[3], ids[6]]
    found = scores.predictions(corpus, wanted, "1", "1")
    assert found.utterance_ids.tolist() == wanted
    np.testing.assert_array_equal(found.asr, np.stack([second.asr[1], first.asr[0], first.asr[3], second.asr[2]]))
    np.testing.assert_allclose(found.intent_probs[1], first.intent_probs[0], atol=1e-3)


def test_only_the_unscored_are_scored(corpus: Corpus) -> None:
    ids = arrive(corpus, 5)
    score(corpus, ids[1:3], "score/0")
    with corpus.read() as conn:
        assert scores.unscored(conn, ids, "1", "1") == [ids[0], ids[3], ids[4]]
        assert scores.unscored(conn, ids, "2", "1") == ids
    before = scores.predictions(corpus, ids[1:3], "1", "1")
    with corpus.operation("score/again", "score") as op:
        assert scores.put(corpus, op, predictions_of(ids[:4], seed=9), {}) == 2
    np.testing.assert_array_equal(scores.predictions(corpus, ids[1:3], "1", "1").asr, before.asr)
    with corpus.operation("score/nothing new", "score") as op:
        assert scores.put(corpus, op, predictions_of(ids[:4], seed=9), {}) == 0


def test_the_time_of_a_clip_is_that_of_its_pair_of_models_or_of_its_speech_model(corpus: Corpus) -> None:
    ids = arrive(corpus, 5)
    with corpus.read() as conn:
        assert scores.seconds_a_clip(conn, "1", "1") is None
    for number, (versions, count, seconds) in enumerate(
        ((("1", "1"), 4, 8.0), (("1", "1"), 5, 10.0), (("1", "2"), 5, 1.0), (("2", "1"), 5, None))
    ):
        with corpus.operation(f"score/{number}", "score") as op:
            scores.put(corpus, op, predictions_of(ids[:count], versions=versions), {}, seconds)
    with corpus.read() as conn:
        assert scores.seconds_a_clip(conn, "1", "1") == 2.0  # of the second time only the clip that was new counts
        assert scores.seconds_a_clip(conn, "1", "2") == 0.2
        assert scores.seconds_a_clip(conn, "1", "3") == 1.1  # 11 s for 10 clips
        assert scores.seconds_a_clip(conn, "2", "1") is None
    erasure.erase_utterances(corpus, ids[:1])
    with corpus.read() as conn:
        assert scores.seconds_a_clip(conn, "1", "1") == 2.0


def test_the_erased_and_the_unknown_are_not_scored(corpus: Corpus) -> None:
    ids = arrive(corpus, 3)
    vault.destroy(corpus.vault, ids[:1], "desk")
    score(corpus, ids)
    assert len(scores.predictions(corpus, ids[1:], "1", "1")) == 2
    with pytest.raises(RecordError, match=ids[0]):
        scores.predictions(corpus, ids, "1", "1")
    with pytest.raises(RecordError, match="at least one"):
        scores.predictions(corpus, [], "1", "1")
    with pytest.raises(RecordError, match="stranger"), corpus.operation("score/x", "score") as op:
        scores.put(corpus, op, predictions_of(["stranger"]), {})


def test_a_shard_of_which_every_clip_is_set_aside_stores_nothing(corpus: Corpus) -> None:
    nothing = predictions_of(arrive(corpus, 1)).take(np.array([], dtype=np.intp))
    written = scores.write(corpus, nothing)
    with corpus.operation("score/0", "score") as op:
        assert scores.put(corpus, op, nothing, {}, written=written) == 0
        assert scores.put(corpus, op, nothing, {}) == 0


def test_a_repeated_operation_leaves_one_part(corpus: Corpus) -> None:
    ids = arrive(corpus, 3)
    for _ in range(2):
        score(corpus, ids)
    assert len([path for path, _ in files.listing(corpus.fs, corpus.root) if path.startswith("parts/")]) == 1


def test_hypotheses_are_nowhere_in_clear(corpus: Corpus, tmp_path: Path) -> None:
    score(corpus, arrive(corpus, 3))
    corpus.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"whisper" not in stored
    assert b"whisker" not in stored
