"""Every lazy path makes the picks of the plain algorithm; small windows and batches test all its branches."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sampling.example_pools import pool_of, predictions_of, probabilities, unit
from sampling.strategies import d2_sampling, lazy_greedy
from sampling.strategies.badge import badge
from sampling.strategies.clusters import clusters
from sampling.strategies.facility_location import facility_location
from sampling.strategies.k_center import k_center
from sampling.strategies.registry import best, pick
from tests.sampling import plain

sizes = st.sampled_from(
    [((4, 4), (1, 2), 8), ((16, 8), (2, 64), 64), (lazy_greedy.WINDOW, lazy_greedy.BATCH, d2_sampling.CELLS)]
)


@pytest.fixture(autouse=True)
def put_back(monkeypatch):
    monkeypatch.setattr(lazy_greedy, "WINDOW", lazy_greedy.WINDOW)
    monkeypatch.setattr(lazy_greedy, "BATCH", lazy_greedy.BATCH)
    monkeypatch.setattr(d2_sampling, "CELLS", d2_sampling.CELLS)


def rows_of(n: int, seed: int, groups: int = 0, intents: int = 5, width: int = 6):
    """Rows spread out, or in tight groups: then old keys are far too large, and nearly all are computed again."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, width))
    if groups:
        points = rng.normal(size=(groups, width))[rng.integers(0, groups, n)] + 0.05 * points
    return probabilities(2 * rng.normal(size=(n, intents))), unit(points)


def as_lazy_as(size) -> None:
    lazy_greedy.WINDOW, lazy_greedy.BATCH, d2_sampling.CELLS = size


pools = {"seed": st.integers(0, 10_000), "n": st.integers(2, 120), "groups": st.sampled_from([0, 3]), "size": sizes}


@settings(max_examples=60, deadline=None)
@given(**pools, covered=st.integers(0, 4))
@example(seed=1, n=15, groups=3, size=((4096, 32), (128, 8192), 4194304), covered=1)
def test_k_center_picks_what_the_plain_one_picks(seed, n, groups, size, covered):
    as_lazy_as(size)
    _, embeddings = rows_of(n, seed, groups)
    known = unit(np.random.default_rng(seed + 1).normal(size=(covered, 6))) if covered else embeddings[:0]
    scores, count = np.random.default_rng(seed).random(n), min(n, 20)
    rows = k_center(embeddings, count, scores, known)
    assert plain.is_farthest_first(rows.tolist(), embeddings, scores, known)
    if not groups:  # in tight groups the picks within one are a matter of rounding
        assert rows.tolist() == plain.farthest_first(embeddings, count, scores, known)


@settings(max_examples=60, deadline=None)
@given(**pools)
def test_factorised_badge_picks_what_badge_picks_on_gradients_written_out(seed, n, groups, size):
    as_lazy_as(size)
    probs, embeddings = rows_of(n, seed, groups)
    rows = badge(probs, embeddings, min(n, 20), np.random.default_rng(seed))
    assert rows.tolist() == plain.badge(probs, embeddings, min(n, 20), np.random.default_rng(seed))


@settings(max_examples=40, deadline=None)
@given(**pools, covered=st.integers(0, 4))
def test_facility_location_picks_what_the_plain_one_picks(seed, n, groups, size, covered):
    as_lazy_as(size)
    n = min(n, 40)
    _, embeddings = rows_of(n, seed, groups)
    known = unit(np.random.default_rng(seed + 1).normal(size=(covered, 6))) if covered else embeddings[:0]
    scores, count = np.zeros(n), min(n, 6)
    rows = facility_location(embeddings, count, scores, known).tolist()
    for k in range(count):  # by value: where two rows have only each other to serve, either serves both
        best = plain.best_coverage(embeddings, rows[:k], known)
        assert rows[k] not in rows[:k]
        assert plain.coverage(embeddings, rows[: k + 1], known) == pytest.approx(best, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.integers(-3, 3), min_size=1, max_size=60), data=st.data())
def test_best_is_the_head_of_a_stable_sort(values, data):
    scores = np.array(values, float)
    count = data.draw(st.integers(1, len(scores) + 2))
    assert best(scores, count).tolist() == np.argsort(-scores, kind="stable")[:count].tolist()


def test_the_race_draws_in_proportion_to_squared_distances():
    points = np.array([[0.0], [1.0], [2.0], [4.0]])

    def apart(rows, picks):
        return (points[rows] - points[picks].T) ** 2

    rng = np.random.default_rng(0)
    second, third = np.zeros(4), np.zeros(4)
    for _ in range(4000):
        rows, _ = d2_sampling.d2_sample(0, apart(np.arange(4), [0])[:, 0], 3, apart, rng)
        second[rows[1]] += 1
        if rows[1] == 3:
            third[rows[2]] += 1
    assert second / second.sum() == pytest.approx([0, 1 / 21, 4 / 21, 16 / 21], abs=0.02)
    assert third / third.sum() == pytest.approx([0, 1 / 5, 4 / 5, 0], abs=0.03)


def test_few_rows_of_a_large_pool_are_looked_at_again(monkeypatch):
    n, looked_at = 20_000, []
    _, embeddings = rows_of(n, 0, width=16)
    real = lazy_greedy.greedy

    def counting(keys, ties, refresh):
        return real(keys, ties, lambda rows, seen: looked_at.append(len(rows)) or refresh(rows, seen))

    monkeypatch.setattr("sampling.strategies.k_center.greedy", counting)
    k_center(embeddings, 200, np.zeros(n), embeddings[:0])
    assert 0 < sum(looked_at) < n * 200 / 20


def test_equal_rows_are_taken_by_score_once_no_other_remains():
    embeddings = np.repeat(unit(np.random.default_rng(0).normal(size=(2, 6))), 4, axis=0)
    scores = np.arange(8.0)
    assert k_center(embeddings, 8, scores, embeddings[:0]).tolist() == [7, 3, 6, 5, 4, 2, 1, 0]
    assert facility_location(embeddings, 8, scores, embeddings[:0])[:2].tolist() == [7, 3]


def test_badge_fills_up_from_duplicates():
    probs, embeddings = rows_of(1, 0)
    rows = badge(np.repeat(probs, 6, axis=0), np.repeat(embeddings, 6, axis=0), 6, np.random.default_rng(0))
    assert sorted(rows.tolist()) == list(range(6))


def test_badge_tells_very_confident_rows_apart_too():
    rng = np.random.default_rng(0)
    logits = np.zeros((60, 4))
    logits[:, 0] = np.repeat([9.0, 12.0], 30)  # gradients of length 1e-4 and less
    probs, embeddings = probabilities(logits), unit(rng.normal(size=(60, 6)))
    drawn = np.concatenate([badge(probs, embeddings, 5, np.random.default_rng(seed)) for seed in range(20)])
    assert (drawn < 30).mean() > 0.75  # one of the shorter ones is as far from a longer one as those from each other


def test_badge_keeps_the_one_hot_term_and_so_avoids_confident_rows():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(200, 5))
    logits[:150] *= 40.0  # confident: without the one-hot term their gradients would be the longest
    probs, embeddings = probabilities(logits), unit(rng.normal(size=(200, 6)))
    assert (badge(probs, embeddings, 20, rng) >= 150).mean() > 0.9
    without = plain.race((probs[:, :, None] * embeddings[:, None, :]).reshape(200, -1), 0, 20, rng)
    assert (np.array(without) < 150).mean() > 0.5  # so the test would see it missing


@pytest.mark.parametrize("name", ["random", "top", "power", "kcenter", "badge", "cluster_margin", "facility"])
def test_nothing_of_the_size_of_picks_times_pool_is_allocated(name):
    n, count = 20_000, 500
    pool = pool_of(n, predictions=predictions_of(n, intents=4, width=8))
    scores = np.random.default_rng(0).random(n)
    tracemalloc.start()
    pick(name, pool, count, scores, np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * count * 8 / 2


def test_clusters_start_far_from_each_other():
    rng = np.random.default_rng(0)
    centres = unit(rng.normal(size=(30, 12)))
    truth = np.repeat(np.arange(30), 40)
    found = clusters(unit(centres[truth] + 0.02 * rng.normal(size=(1200, 12))), 30, rng)
    assert len({(a, b) for a, b in zip(truth.tolist(), found.tolist(), strict=True)}) <= 34
