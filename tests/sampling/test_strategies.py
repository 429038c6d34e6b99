from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import RecordError, SettingsError
from sampling.strategies import STRATEGIES, pick
from tests.sampling.pools import pool_of, predictions_of, probabilities, unit

names = st.sampled_from(sorted(STRATEGIES))


def ids_of(name, pool, count, scores, seed=0):
    return pool.utterance_ids[pick(name, pool, count, scores, np.random.default_rng(seed))].tolist()


@settings(max_examples=60, deadline=None)
@given(name=names, n=st.integers(1, 50), seed=st.integers(0, 10_000), data=st.data())
def test_every_strategy_returns_as_many_rows_as_asked_once_each(name, n, seed, data):
    pool = pool_of(n, seed=seed)
    count = data.draw(st.integers(1, n))
    rows = pick(name, pool, count, np.random.default_rng(seed).normal(size=n), np.random.default_rng(seed))
    assert len(rows) == count == len(set(rows.tolist()))
    assert rows.min() >= 0
    assert rows.max() < n


@settings(max_examples=60, deadline=None)
@given(name=names, n=st.integers(2, 50), seed=st.integers(0, 10_000))
def test_every_strategy_is_deterministic_whatever_the_order_of_rows(name, n, seed):
    pool = pool_of(n, seed=seed)
    scores = np.random.default_rng(seed).random(n)
    first = ids_of(name, pool, n // 2, scores, seed)
    shuffled = np.random.default_rng(seed + 1).permutation(n)
    np.random.seed(seed)  # the global generator must not matter
    before = np.random.get_state()[1].copy()
    assert ids_of(name, pool.take(shuffled), n // 2, scores[shuffled], seed) == first
    assert np.array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_copes_with_equal_scores_one_class_and_equal_rows(name):
    predictions = predictions_of(
        20, probs=np.ones((20, 1), np.float32), vectors=np.repeat(unit(np.ones((1, 4))), 20, 0)
    )
    rows = pick(name, pool_of(20, predictions=predictions), 15, np.zeros(20), np.random.default_rng(0))
    assert len(set(rows.tolist())) == 15


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_strategy_ranks_what_is_not_finite(name, bad):
    pool = pool_of(10)
    scores = np.ones(10)
    scores[7] = bad
    with pytest.raises(RecordError, match=f"score of utterance {pool.utterance_ids[7]} .* not finite"):
        pick(name, pool, 3, scores, np.random.default_rng(0))


@pytest.mark.parametrize("count", [0, -1, 11])
def test_a_count_outside_the_pool_is_refused(count):
    with pytest.raises(RecordError, match=f"asked for {count} of 10 utterances"):
        pick("top", pool_of(10), count, np.ones(10), np.random.default_rng(0))


def test_an_unknown_strategy_lists_the_known():
    with pytest.raises(SettingsError, match="known are badge, cluster_margin, default"):
        pick("magic", pool_of(3), 1, np.ones(3), np.random.default_rng(0))


def test_scores_of_another_length_are_refused():
    with pytest.raises(RecordError, match="does not fit the pool"):
        pick("top", pool_of(10), 3, np.ones(9), np.random.default_rng(0))


def test_top_takes_the_largest():
    pool, scores = pool_of(30), np.random.default_rng(0).permutation(30).astype(float)
    assert scores[pick("top", pool, 5, scores, np.random.default_rng(0))].tolist() == [29, 28, 27, 26, 25]


@pytest.mark.parametrize("shift", [0.0, -100.0])
def test_power_leans_to_the_larger_scores(shift):
    pool, scores = pool_of(50), np.arange(50.0) + shift
    drawn = [pick("power", pool, 5, scores, np.random.default_rng(seed)) for seed in range(200)]
    assert scores[np.concatenate(drawn)].mean() - shift > 29  # weights in proportion to the rank average 2/3 of 49


def test_power_draws_in_proportion_to_the_scores():
    pool, scores = pool_of(3), np.array([1.0, 2.0, 7.0])
    first = [int(pick("power", pool, 1, scores, np.random.default_rng(seed))[0]) for seed in range(3000)]
    assert np.bincount(first) / 3000 == pytest.approx([0.1, 0.2, 0.7], abs=0.03)


def test_random_is_uniform():
    pool, scores = pool_of(10), np.arange(10.0)
    drawn = np.concatenate([pick("random", pool, 3, scores, np.random.default_rng(seed)) for seed in range(2000)])
    assert np.bincount(drawn) / 2000 == pytest.approx(np.full(10, 0.3), abs=0.05)


def grouped(sizes: list[int], seed: int = 0):
    rng = np.random.default_rng(seed)
    centres = unit(rng.normal(size=(len(sizes), 12)))
    group = np.repeat(np.arange(len(sizes)), sizes)
    vectors = unit(centres[group] + 0.02 * rng.normal(size=(len(group), 12)))
    probs = probabilities(rng.normal(size=(len(group), 4)))
    predictions = predictions_of(len(group), probs=probs, vectors=vectors)
    return pool_of(len(group), predictions=predictions), group, centres


@pytest.mark.parametrize("name", ["cluster_margin", "default"])
def test_clusters_are_served_in_proportion_on_a_skewed_pool(name):
    pool, group, _ = grouped([80, 10, 10])
    counts = np.zeros(3)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        counts += np.bincount(group[pick(name, pool, 20, rng.random(100), rng)], minlength=3)
    assert counts[0] / counts.sum() == pytest.approx(0.8, abs=0.1)


def test_cluster_margin_takes_the_best_of_a_cluster():
    pool, _, _ = grouped([30, 30])
    scores = np.random.default_rng(0).random(60)
    rows = pick("cluster_margin", pool, 10, scores, np.random.default_rng(0))
    assert scores[rows].mean() > np.sort(scores)[-20:].mean() - 0.05


def test_typiclust_covers_the_large_clusters_first():
    pool, group, _ = grouped([40, 30, 20, 1, 1, 1])
    rows = pick("typiclust", pool, 3, np.zeros(93), np.random.default_rng(0))
    assert set(group[rows].tolist()) >= {0, 1}
    assert not set(group[rows].tolist()) & {3, 4, 5}


def test_typiclust_leaves_what_is_known():
    pool, group, centres = grouped([40, 30, 30])
    rows = pick("typiclust", replace(pool, known_embeddings=centres[:1]), 2, np.zeros(100), np.random.default_rng(1))
    assert sorted(group[rows].tolist()) == [1, 2]


def test_kcenter_keeps_away_from_what_is_known():
    pool, group, centres = grouped([40, 30, 30])
    rows = pick("kcenter", replace(pool, known_embeddings=centres[:1]), 2, np.zeros(100), np.random.default_rng(0))
    assert sorted(group[rows].tolist()) == [1, 2]


def test_the_top_of_a_large_pool_allocates_no_matrix():
    pool = pool_of(20_000, predictions=predictions_of(20_000, intents=2, width=2))
    scores = np.random.default_rng(0).random(20_000)
    tracemalloc.start()
    pick("top", pool, 500, scores, np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6
