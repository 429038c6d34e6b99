from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from corpus.errors import RecordError
from sampling.example_pools import pool_of
from sampling.pool import Pool
from sampling.seeds import generator


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speaker_ids": np.array(["s"])}, "speaker_ids has shape"),
        ({"splits": np.full(9, "train")}, "splits has shape"),
        ({"slices": {"locale": np.array(["en"])}}, "slice locale has shape"),
        ({"chosen": np.zeros(3, bool)}, "chosen has shape"),
        ({"splits": np.full(10, "holdout")}, "'holdout'; known are train, dev, test"),
        ({"known_embeddings": np.ones((2, 5), np.float32)}, "known_embeddings are not of"),
        ({"known_embeddings": np.full((2, 8), np.nan, np.float32)}, "known_embeddings are not finite"),
        ({"requests": np.ones(3)}, "requests has shape"),
        ({"requests": np.full(10, 1.1)}, "outside"),
        ({"requests": np.full(10, np.nan)}, "outside"),
    ],
)
def test_columns_that_do_not_fit_are_refused(change, message):
    with pytest.raises(RecordError, match=message):
        replace(pool_of(10), **change)


def test_take_keeps_rows_together():
    pool = replace(pool_of(10), chosen=np.arange(10) % 2 == 0, requests=np.arange(10) / 10)
    part = pool.take(np.array([7, 2]))
    assert part.requests.tolist() == [0.7, 0.2]
    assert part.utterance_ids.tolist() == pool.utterance_ids[[7, 2]].tolist()
    assert part.speaker_ids.tolist() == pool.speaker_ids[[7, 2]].tolist()
    assert part.slices["locale"].tolist() == pool.slices["locale"][[7, 2]].tolist()
    assert part.fresh().tolist() == [True, False]


def test_sorting_is_by_id_and_free_where_sorted():
    pool = pool_of(10)
    assert pool.sorted_by_id() is pool
    assert pool.take(np.arange(10)[::-1]).sorted_by_id().utterance_ids.tolist() == pool.utterance_ids.tolist()


def test_generators_repeat_and_differ_by_each_part_of_their_name():
    first = generator(1, "r1", "audit").random(3)
    assert np.array_equal(first, generator(1, "r1", "audit").random(3))
    for other in (generator(2, "r1", "audit"), generator(1, "r2", "audit"), generator(1, "r1", "novel")):
        assert not np.array_equal(first, other.random(3))


def test_locales_of_plain_arrays_are_canonical_and_other_values_stay() -> None:
    written = ["en_gb", "EN-GB", "north", ""]
    pool = Pool.from_arrays([1, 2, 3, 4], np.eye(4), np.eye(4), slices={"locale": written, "room": written})
    assert pool.slices["locale"].tolist() == ["en-GB", "en-GB", "north", ""]
    assert pool.slices["room"].tolist() == written
