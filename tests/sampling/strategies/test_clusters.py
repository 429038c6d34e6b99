from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.example_pools import unit
from sampling.strategies import clusters as module
from sampling.strategies.clusters import CROWD, SAMPLE, clusters, proportional, ranks, typicality, without_gaps
from tests.sampling import plain


def test_clusters_find_what_is_apart():
    rng = np.random.default_rng(0)
    centres = unit(rng.normal(size=(4, 16)))
    truth = np.repeat(np.arange(4), 30)
    found = clusters(unit(centres[truth] + 0.05 * rng.normal(size=(120, 16))), 4, rng)
    assert all(len(set(found[truth == k].tolist())) == 1 for k in range(4))
    assert len(set(found.tolist())) == 4


def test_clusters_of_one_point_are_one():
    assert clusters(np.repeat(unit(np.ones((1, 4))), 9, axis=0), 5, np.random.default_rng(0)).tolist() == [0] * 9


def test_typical_rows_lie_where_the_others_are():
    rng = np.random.default_rng(0)
    middle = unit(np.ones((1, 8)))
    rows = unit(np.concatenate([middle + 0.02 * rng.normal(size=(50, 8)), middle + 0.5 * rng.normal(size=(5, 8))]))
    values = typicality(rows, np.zeros(55, np.intp), rng)
    assert values[:50].min() > values[50:].max()
    assert typicality(rows[:1], np.zeros(1, np.intp), rng).tolist() == [0.0]


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(any), data=st.data())
def test_proportional_shares_add_up_and_stay_within_one_of_exact(sizes, data):
    sizes = np.array(sizes)
    count = data.draw(st.integers(1, int(sizes.sum())))
    shares = proportional(sizes, count)
    assert shares.sum() == count
    assert (shares <= sizes).all()
    assert (np.abs(shares - count * sizes / sizes.sum()) < 1).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 60))
def test_typicality_is_the_plain_one_while_clusters_are_small(seed, n):
    rng = np.random.default_rng(seed)
    embeddings, assigned = unit(rng.normal(size=(n, 6))), rng.integers(0, 3, n)
    found = typicality(embeddings, assigned, rng)
    assert found == pytest.approx(plain.typicality(embeddings, assigned, module.NEIGHBOURS), rel=1e-3)


def test_the_typicality_of_a_crowd_keeps_its_order_roughly():
    rng = np.random.default_rng(0)
    middle = unit(np.ones((1, 8)))
    n = 3 * CROWD
    rows = unit(middle + np.linspace(0.05, 0.6, n)[:, None] * rng.normal(size=(n, 8)))
    exact = plain.typicality(rows[::8], np.zeros(n // 8, np.intp), module.NEIGHBOURS)
    found = typicality(rows, np.zeros(n, np.intp), rng)[::8]
    assert np.corrcoef(np.argsort(np.argsort(exact)), np.argsort(np.argsort(found)))[0, 1] > 0.95


def test_the_clusters_of_a_large_pool_are_learned_from_a_sample_and_found_all_the_same():
    rng = np.random.default_rng(1)
    n = SAMPLE[0] + 5_000
    centres = unit(rng.normal(size=(5, 16)))
    truth = rng.integers(0, 5, n)
    found = clusters(unit(centres[truth] + 0.05 * rng.normal(size=(n, 16))), 5, rng)
    assert len(np.unique(found)) == 5
    assert all(len(np.unique(found[truth == k])) == 1 for k in range(5))


def test_numbers_without_gaps_and_ranks_within_clusters():
    assert without_gaps(np.array([5, 2, 5, 9])).tolist() == [1, 0, 1, 2]
    assigned = np.array([1, 0, 1, 1])
    assert ranks(assigned, np.array([1, 3, 0, 2])).tolist() == [1, 0, 2, 0]
