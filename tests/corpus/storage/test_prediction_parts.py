from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import Damaged
from corpus.storage import files, prediction_parts
from corpus.storage.prediction_parts import Placement
from tests.corpus.stored import predictions_of


def _all(path: str, rows: int, first: int = 0) -> Placement:
    return Placement(path, np.arange(rows), np.arange(first, first + rows))


@settings(max_examples=12, deadline=None)
@given(rows=st.integers(1, 40), classes=st.integers(1, 30), width=st.integers(1, 20), seed=st.integers(0, 1000))
def test_predictions_come_back(
    tmp_path_factory: pytest.TempPathFactory, rows: int, classes: int, width: int, seed: int
) -> None:
    fs, root = files.connect(str(tmp_path_factory.mktemp("content")))
    before = predictions_of([f"u{n}" for n in range(rows)], seed, classes=classes, width=width)
    part = prediction_parts.write_part(fs, root, before)
    after = prediction_parts.read_parts(fs, root, [_all(part.path, rows)])
    assert part.rows == rows
    assert after.utterance_ids.tolist() == before.utterance_ids.tolist()
    assert after.intents == before.intents
    for name in (*prediction_parts.SCALARS, "asr"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    np.testing.assert_allclose(after.intent_probs, before.intent_probs, atol=1e-3)
    np.testing.assert_allclose(after.embeddings, before.embeddings, atol=2e-3)
    assert after.intent_probs.dtype == after.embeddings.dtype == np.float32
    np.testing.assert_allclose(after.intent_probs.sum(axis=1), 1, atol=1e-6)


def test_the_same_predictions_are_the_same_part(content: str) -> None:
    fs, root = files.connect(content)
    predictions = predictions_of(["a", "b"])
    assert prediction_parts.write_part(fs, root, predictions) == prediction_parts.write_part(fs, root, predictions)
    assert len(list(files.listing(fs, root))) == 1


def test_rows_of_several_parts_are_placed_and_do_not_depend_on_their_company(content: str) -> None:
    fs, root = files.connect(content)
    ids = ["a", "bb", "ccc", "dddd"]
    predictions = predictions_of(ids)
    one = prediction_parts.write_part(fs, root, predictions.take(np.array([0, 2])))
    two = prediction_parts.write_part(fs, root, predictions.take(np.array([1, 3])))
    places = [
        Placement(one.path, np.array([1, 0]), np.array([0, 2])),
        Placement(two.path, np.array([1]), np.array([1])),
    ]
    found = prediction_parts.read_parts(fs, root, places)
    assert found.utterance_ids.tolist() == ["ccc", "dddd", "a"]
    alone = prediction_parts.read_parts(fs, root, [Placement(one.path, np.array([0]), np.array([0]))])
    np.testing.assert_array_equal(alone.embeddings[0], found.embeddings[2])
    np.testing.assert_array_equal(alone.intent_probs[0], found.intent_probs[2])


def test_a_part_without_rows_keeps_the_others_bit_by_bit(content: str) -> None:
    fs, root = files.connect(content)
    before = prediction_parts.write_part(fs, root, predictions_of(["a", "b", "c"]))
    after, kept = prediction_parts.without(fs, root, before.path, frozenset({"b", "z"}))
    assert kept == ["a", "c"]
    assert after is not None
    assert prediction_parts.without(fs, root, before.path, frozenset("abc")) == (None, [])
    old = prediction_parts.read_parts(fs, root, [Placement(before.path, np.array([0, 2]), np.arange(2))])
    new = prediction_parts.read_parts(fs, root, [_all(after.path, 2)])
    np.testing.assert_array_equal(old.embeddings, new.embeddings)
    assert new.utterance_ids.tolist() == ["a", "c"]


def test_damaged_and_mixed_parts_are_refused(content: str) -> None:
    fs, root = files.connect(content)
    one = prediction_parts.write_part(fs, root, predictions_of(["a"]))
    other = prediction_parts.write_part(fs, root, predictions_of(["b"], versions=("2", "1")))
    with pytest.raises(Damaged, match="other model versions"):
        prediction_parts.read_parts(fs, root, [_all(one.path, 1), _all(other.path, 1, first=1)])
    with pytest.raises(Damaged, match="missing"):
        prediction_parts.read_parts(fs, root, [_all("parts/none.parquet", 1)])
    files.store(fs, root, one.path, b"not parquet")
    with pytest.raises(Damaged, match=f"{one.path} is not what was written; run earmark score --part {one.path}"):
        prediction_parts.read_parts(fs, root, [_all(one.path, 1)])
    other = f"parts/{files.digest_name(b'not parquet')}.parquet"
    files.store(fs, root, other, b"not parquet")
    with pytest.raises(Damaged, match="not a part"):
        prediction_parts.read_parts(fs, root, [_all(other, 1)])
