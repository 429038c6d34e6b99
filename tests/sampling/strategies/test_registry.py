from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import RecordError, SettingsError
from sampling.example_pools import pool_of, predictions_of, probabilities, unit
from sampling.plugin_checks import STRATEGY_RULES, check_strategy
from sampling.strategies.clusters import centres, clusters, nearest_centre, typicality
from sampling.strategies.registry import CANDIDATES, STRATEGIES, TYPICAL, pick
from tests.sampling import plain

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


@settings(max_examples=150, deadline=None)
@given(name=names, rule=st.sampled_from(STRATEGY_RULES), n=st.integers(1, 50), seed=st.integers(0, 10_000))
def test_every_strategy_keeps_every_rule(name, rule, n, seed):
    assert rule(STRATEGIES[name], n, seed) == ""


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_of_earmark_keeps_the_rules_for_plugins(name):
    found = check_strategy(STRATEGIES[name])
    assert len(found) == len(STRATEGY_RULES)
    assert [finding for finding in found if finding.problem] == []


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


def test_an_empty_pool_is_refused():
    with pytest.raises(RecordError, match="the pool is empty; score utterances first"):
        pick("top", pool_of(0), 1, np.ones(0), np.random.default_rng(0))


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_can_take_the_whole_pool_and_a_pool_of_one(name):
    for n in (1, 7):
        rows = pick(name, pool_of(n), n, np.zeros(n), np.random.default_rng(0))
        assert sorted(rows.tolist()) == list(range(n))


@pytest.mark.parametrize("name", ["top", "power", "cluster_margin", "default", "facility"])
def test_every_strategy_that_ranks_leans_to_the_larger_scores(name):
    pool, scores = pool_of(4_000, predictions=predictions_of(4_000, intents=2, width=4)), np.arange(4_000.0)
    rows = pick(name, pool, 40, scores, np.random.default_rng(0))
    assert scores[rows].mean() > scores.mean() + 200


def test_the_error_for_an_unknown_strategy_lists_the_names():
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


@pytest.mark.parametrize("name", ["default", "herding", "facility"])
def test_no_uncertain_cluster_is_left_out_and_the_largest_gets_most(name):
    pool, group, _ = grouped([80, 10, 10])
    for seed in range(20):
        rng = np.random.default_rng(seed)
        counts = np.bincount(group[pick(name, pool, 20, rng.random(100), rng)], minlength=3)
        assert counts.min() >= 1
        assert counts[0] == counts.max()


def test_where_all_scores_are_equal_herding_is_facility_location():
    pool = pool_of(60)
    rows = pick("herding", pool, 20, np.zeros(60), np.random.default_rng(0))
    np.testing.assert_array_equal(rows, pick("facility", pool, 20, np.zeros(60), np.random.default_rng(0)))


def test_herding_covers_doubt_and_not_what_is_sure():
    pool, group, _ = grouped([200, 200])
    scores = np.where(group == 0, 0.9, 0.01)
    rows = pick("herding", pool, 10, scores, np.random.default_rng(0))
    assert (group[rows] == 0).all()


def test_clusters_are_served_in_proportion_on_a_skewed_pool():
    pool, group, _ = grouped([80, 10, 10])
    counts = np.zeros(3)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        counts += np.bincount(group[pick("cluster_margin", pool, 20, rng.random(100), rng)], minlength=3)
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


def test_typiclust_avoids_clusters_with_labelled_rows():
    pool, group, centres = grouped([40, 30, 30])
    rows = pick("typiclust", replace(pool, known_embeddings=centres[:1]), 2, np.zeros(100), np.random.default_rng(1))
    assert sorted(group[rows].tolist()) == [1, 2]


def test_kcenter_keeps_away_from_labelled_rows():
    pool, group, centres = grouped([40, 30, 30])
    rows = pick("kcenter", replace(pool, known_embeddings=centres[:1]), 2, np.zeros(100), np.random.default_rng(0))
    assert sorted(group[rows].tolist()) == [1, 2]


@pytest.mark.parametrize("seed", range(5))
def test_cluster_margin_is_the_plain_one_on_the_same_clusters(seed):
    pool = pool_of(200, seed=seed)
    scores = np.random.default_rng(seed).random(200)
    listed = np.argsort(-scores, kind="stable")[: CANDIDATES * 8]
    assigned = clusters(pool.embeddings[listed], 8, np.random.default_rng(seed))
    expected = listed[plain.cluster_proportional(assigned, scores[listed], 8)]
    found = pick("cluster_margin", pool, 8, scores, np.random.default_rng(seed))
    assert sorted(found.tolist()) == sorted(expected.tolist())
    assert (np.diff(scores[found]) <= 0).all()


@pytest.mark.parametrize("known", [0, 6])
@pytest.mark.parametrize("seed", range(5))
def test_typiclust_is_the_plain_one_on_the_same_clusters(seed, known):
    pool = pool_of(80, seed=seed)
    if known:
        pool = replace(pool, known_embeddings=pool_of(known, seed=seed + 100).embeddings)
    rng = np.random.default_rng(seed)
    means = centres(np.concatenate([pool.embeddings, pool.known]), 10 + known, rng)
    assigned = nearest_centre(pool.embeddings, means)
    covered = np.bincount(nearest_centre(pool.known, means), minlength=len(means))
    expected = plain.typiclust(assigned, covered, typicality(pool.embeddings, assigned, rng), 10)
    assert pick("typiclust", pool, 10, np.zeros(80), np.random.default_rng(seed)).tolist() == expected


def test_typiclust_margin_takes_typical_rows_until_enough_are_labelled_and_then_uncertain_ones():
    pool, scores = pool_of(400), np.random.default_rng(0).random(400)
    enough = TYPICAL * len(pool.predictions.intents)

    def picked(known: int, count: int = 20):
        some = replace(pool, known_embeddings=pool_of(known, seed=9).embeddings) if known else pool
        return pick("typiclust_margin", some, count, scores, np.random.default_rng(0))

    first = pick("typiclust", pool, enough, scores, np.random.default_rng(0))
    assert picked(0)[:enough].tolist() == first.tolist()
    assert scores[picked(0)[enough:]].min() > 0.5
    assert picked(0, 5).tolist() == pick("typiclust", pool, 5, scores, np.random.default_rng(0)).tolist()
    assert scores[picked(enough)].min() > 0.4


def test_facility_covers_the_large_groups_of_its_list_and_no_labelled_one():
    pool, group, centres_ = grouped([40, 30, 20, 1, 1])
    rows = pick("facility", pool, 3, np.zeros(92), np.random.default_rng(0))
    assert sorted(group[rows].tolist()) == [0, 1, 2]
    known = replace(pool, known_embeddings=centres_[:1])
    assert sorted(group[pick("facility", known, 2, np.zeros(92), np.random.default_rng(0))].tolist()) == [1, 2]


def test_the_top_of_a_large_pool_allocates_no_matrix():
    pool = pool_of(20_000, predictions=predictions_of(20_000, intents=2, width=2))
    scores = np.random.default_rng(0).random(20_000)
    tracemalloc.start()
    pick("top", pool, 500, scores, np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6
