from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.diversity import badge, clusters, distinct, k_center, proportional, typicality
from tests.sampling.pools import probabilities, unit


def random_rows(n: int, seed: int, intents: int = 5, width: int = 6):
    rng = np.random.default_rng(seed)
    return probabilities(2 * rng.normal(size=(n, intents))), unit(rng.normal(size=(n, width)))


def badge_materialised(probs, embeddings, count, rng):
    """k-means++ on gradients written out in full, with the same dice."""
    residual = probs.astype(np.float64)
    residual[np.arange(len(probs)), probs.argmax(axis=1)] -= 1
    gradient = (residual[:, :, None] * embeddings[:, None, :]).reshape(len(probs), -1)
    rows = [int(np.argmax((gradient**2).sum(axis=1)))]
    while len(rows) < count:
        apart = ((gradient[:, None, :] - gradient[rows][None]) ** 2).sum(axis=2).min(axis=1)
        apart[rows] = 0
        cumulative = np.cumsum(apart)
        rows.append(int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")))
    return rows


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(5, 60))
def test_factorised_badge_is_badge(seed, n):
    probs, embeddings = random_rows(n, seed)
    rows = badge(probs, embeddings, min(n, 8), np.random.default_rng(seed))
    assert rows.tolist() == badge_materialised(probs, embeddings, min(n, 8), np.random.default_rng(seed))


def test_badge_keeps_the_one_hot_term_and_so_avoids_confident_rows():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(200, 5))
    logits[:150] *= 40.0  # confident: without the one-hot term their gradients would be the longest
    rows = badge(probabilities(logits), unit(rng.normal(size=(200, 6))), 20, rng)
    assert (rows >= 150).mean() > 0.9


def test_badge_fills_up_from_duplicates():
    probs, embeddings = random_rows(1, 0)
    rows = badge(np.repeat(probs, 6, axis=0), np.repeat(embeddings, 6, axis=0), 6, np.random.default_rng(0))
    assert sorted(rows.tolist()) == list(range(6))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(3, 50), covered=st.integers(0, 4))
def test_k_center_takes_the_farthest_each_time(seed, n, covered):
    _, embeddings = random_rows(n, seed)
    known = unit(np.random.default_rng(seed + 1).normal(size=(covered, 6))) if covered else embeddings[:0]
    scores = np.random.default_rng(seed).random(n)
    rows = k_center(embeddings, min(n, 6), scores, known)
    centres = list(known)
    for row in rows:
        if centres:
            nearest = ((embeddings[:, None] - np.array(centres)[None]) ** 2).sum(axis=2).min(axis=1)
            assert nearest[row] == pytest.approx(nearest.max(), abs=1e-5)
        else:
            assert row == scores.argmax()
        centres.append(embeddings[row])
    assert len(set(rows.tolist())) == len(rows)


def test_nothing_of_the_size_of_picks_times_pool_is_allocated():
    n, count = 20_000, 200
    probs, embeddings = random_rows(n, 0, intents=10, width=16)
    tracemalloc.start()
    badge(probs, embeddings, count, np.random.default_rng(0))
    k_center(embeddings, count, np.zeros(n), embeddings[:0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * count * 8 / 4


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
    values = typicality(rows, np.zeros(55, np.intp))
    assert values[:50].min() > values[50:].max()
    assert typicality(rows[:1], np.zeros(1, np.intp)).tolist() == [0.0]


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(any), data=st.data())
def test_proportional_shares_add_up_and_stay_within_one_of_exact(sizes, data):
    sizes = np.array(sizes)
    count = data.draw(st.integers(1, int(sizes.sum())))
    shares = proportional(sizes, count)
    assert shares.sum() == count
    assert (shares <= sizes).all()
    assert (np.abs(shares - count * sizes / sizes.sum()) < 1).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 60), threshold=st.sampled_from([0.3, 0.7, 0.98]))
def test_distinct_is_the_greedy_pass(seed, n, threshold):
    rng = np.random.default_rng(seed)
    _, embeddings = random_rows(n, seed, width=3)
    order, taken = rng.permutation(n), unit(rng.normal(size=(2, 3)))
    kept, vectors = [], list(taken)
    for row in order:
        if (np.array(vectors) @ embeddings[row]).max() < threshold:
            kept.append(int(row))
            vectors.append(embeddings[row])
    assert distinct(embeddings, order, taken, threshold).tolist() == kept


def test_distinct_over_many_blocks():
    base = unit(np.random.default_rng(0).normal(size=(1500, 32)))
    twice = np.concatenate([base, base, base])
    assert np.array_equal(distinct(twice, np.arange(4500), twice[:0], 0.98), np.arange(1500))
    assert len(distinct(twice, np.arange(4500), twice[:0], 2.0)) == 4500
