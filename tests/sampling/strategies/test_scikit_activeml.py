from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from corpus.errors import RecordError, SettingsError
from sampling.example_pools import pool_of, unit
from sampling.strategies.registry import STRATEGIES, pick
from tests.sampling import plain

MISSING = "scikit-activeml is not installed"
WITHOUT = """
import sys
sys.modules["skactiveml"] = None
import sampling.strategies.registry
import sampling.strategies.scikit_activeml
"""


def test_without_scikit_activeml_there_is_one_clear_error_and_all_else_works():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'earmark[scikit-activeml]'" in done.stderr.splitlines()[-1]
    assert "line 5" in done.stderr


@pytest.fixture
def adapter():
    pytest.importorskip("skactiveml", reason=MISSING)
    from sampling.strategies import scikit_activeml

    return scikit_activeml


def blobs(n: int = 90, seed: int = 0):
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 3, n)
    samples = np.eye(3, 5)[group] + 0.3 * rng.normal(size=(n, 5))
    return samples, group.astype(float)


def learner():
    from skactiveml.classifier import SklearnClassifier
    from sklearn.linear_model import LogisticRegression

    return SklearnClassifier(LogisticRegression(), classes=[0.0, 1.0, 2.0], random_state=0)


def queries():
    from skactiveml import pool

    return {
        "core_set": (pool.CoreSet(), {}),
        "badge": (pool.Badge(), {}),
        "margin": (pool.UncertaintySampling(method="margin_sampling"), {}),
        "typiclust": (pool.TypiClust(), {}),
        "random": (pool.RandomSampling(), {}),
    }


@pytest.mark.parametrize("name", ["core_set", "badge", "margin", "typiclust", "random"])
@pytest.mark.parametrize("known", [0, 3])
def test_its_strategies_are_picked_by_like_ours(adapter, name, known):
    strategy, options = queries()[name]
    pool, scores = pool_of(60), np.random.default_rng(0).random(60)
    if known:
        pool = replace(pool, known_embeddings=pool_of(known, seed=1).embeddings)
    STRATEGIES["theirs"] = adapter.from_scikit_activeml(strategy, **options)
    try:
        rows = pick("theirs", pool, 8, scores, np.random.default_rng(0))
        again = pick("theirs", pool.take(np.arange(60)[::-1]), 8, scores[::-1], np.random.default_rng(0))
    finally:
        del STRATEGIES["theirs"]
    assert len(set(rows.tolist())) == 8
    assert (59 - again).tolist() == rows.tolist()  # by id, whatever the order and whatever its random_state was


def test_its_core_set_and_ours_pick_the_same(adapter):
    pool = replace(pool_of(80), known_embeddings=unit(np.ones((1, 8))))
    theirs = adapter.from_scikit_activeml(queries()["core_set"][0])(pool, 10, np.zeros(80), np.random.default_rng(0))
    assert theirs.tolist() == plain.farthest_first(pool.embeddings, 10, np.zeros(80), pool.known)
    assert theirs.tolist() == STRATEGIES["kcenter"](pool, 10, np.zeros(80), np.random.default_rng(0)).tolist()


def test_its_margin_and_ours_pick_the_same(adapter):
    from sampling.measures import measure

    pool = pool_of(80)
    theirs = adapter.from_scikit_activeml(queries()["margin"][0])(pool, 10, np.zeros(80), np.random.default_rng(0))
    ours = pick("top", pool, 10, measure("margin", pool.predictions), np.random.default_rng(0))
    assert set(theirs.tolist()) == set(ours.tolist())


def test_a_strategy_that_asks_for_more_says_for_what(adapter):
    from skactiveml.pool import QueryByCommittee

    strategy = adapter.from_scikit_activeml(QueryByCommittee())
    with pytest.raises(SettingsError, match=r"QueryByCommittee\.query also needs ensemble"):
        strategy(pool_of(9), 2, np.zeros(9), np.random.default_rng(0))


def test_stored_probabilities_are_those_of_the_rows_that_are_asked_about(adapter):
    pool = pool_of(9)
    stored = adapter.StoredProbabilities(pool.embeddings, pool.predictions.intent_probs)
    assert np.array_equal(stored.predict_proba(pool.embeddings[[4, 2]]), pool.predictions.intent_probs[[4, 2]])
    with pytest.raises(RecordError, match="rows outside the pool"):
        stored.predict_proba(-pool.embeddings)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_our_strategies_run_in_its_loop(adapter, name):
    samples, truth = blobs()
    labels = np.full(len(truth), np.nan)
    labels[:3] = truth[:3]
    query = adapter.EarmarkQuery(name, random_state=3)
    for _ in range(3):
        indices = query.query(samples, labels, clf=learner(), batch_size=4)
        assert np.isnan(labels[indices]).all()
        labels[indices] = truth[indices]
    assert (~np.isnan(labels)).sum() == 15


def test_a_query_repeats_by_its_seed_and_is_cloned_and_pickled(adapter):
    from sklearn.base import clone

    samples, truth = blobs()
    labels = np.where(np.arange(90) < 5, truth, np.nan)
    query = adapter.EarmarkQuery("power", measure="entropy", random_state=1)
    first = query.query(samples, labels, clf=learner(), batch_size=6)
    for same in (clone(query), pickle.loads(pickle.dumps(adapter.EarmarkQuery("power", "entropy", random_state=1)))):
        assert np.array_equal(same.query(samples, labels, clf=learner(), batch_size=6), first)
    other = adapter.EarmarkQuery("power", measure="entropy", random_state=2)
    assert not np.array_equal(other.query(samples, labels, clf=learner(), batch_size=6), first)


def test_candidates_may_be_indices_or_samples_and_utilities_are_made_when_asked_for(adapter):
    samples, truth = blobs()
    labels = np.where(np.arange(90) < 5, truth, np.nan)
    query, some = adapter.EarmarkQuery("top", random_state=0), np.arange(40, 60)
    by_index, utilities = query.query(
        samples, labels, clf=learner(), candidates=some, batch_size=3, return_utilities=True
    )
    assert set(by_index.tolist()) <= set(some.tolist())
    by_sample = query.query(samples, labels, clf=learner(), candidates=samples[some], batch_size=3)
    assert some[by_sample].tolist() == by_index.tolist()
    assert utilities.shape == (3, 90)
    assert np.nanargmax(utilities, axis=1).tolist() == by_index.tolist()
    assert np.isnan(utilities[2, by_index[:2]]).all()


def test_what_it_cannot_do_is_said(adapter):
    samples, _ = blobs(20)
    labels = np.full(20, np.nan)
    with pytest.raises(SettingsError, match="strategy badge needs clf; kcenter, random, typiclust do without"):
        adapter.EarmarkQuery("badge").query(samples, labels)
    with pytest.raises(SettingsError, match="measure 'expected_wer' can't be had here"):
        adapter.EarmarkQuery("random", measure="expected_wer").query(samples, labels)
    with pytest.raises(SettingsError, match="strategy 'magic' is unknown"):
        adapter.EarmarkQuery("magic").query(samples, labels)
    samples[4] = 0.0
    with pytest.raises(RecordError, match="sample 4 has length 0"):
        adapter.EarmarkQuery("kcenter").query(samples, labels)
