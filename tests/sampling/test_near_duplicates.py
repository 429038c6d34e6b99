from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.example_pools import unit
from sampling.near_duplicates import without_duplicates


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 60), threshold=st.sampled_from([0.3, 0.7, 0.98]))
def test_distinct_is_the_greedy_pass(seed, n, threshold):
    rng = np.random.default_rng(seed)
    embeddings = unit(rng.normal(size=(n, 3)))
    order, taken = rng.permutation(n), unit(rng.normal(size=(2, 3)))
    kept, vectors = [], list(taken)
    for row in order:
        if (np.array(vectors) @ embeddings[row]).max() < threshold:
            kept.append(int(row))
            vectors.append(embeddings[row])
    assert without_duplicates(embeddings, order, taken, threshold).tolist() == kept


def test_distinct_over_many_blocks():
    base = unit(np.random.default_rng(0).normal(size=(1500, 32)))
    twice = np.concatenate([base, base, base])
    assert np.array_equal(without_duplicates(twice, np.arange(4500), twice[:0], 0.98), np.arange(1500))
    assert len(without_duplicates(twice, np.arange(4500), twice[:0], 2.0)) == 4500
