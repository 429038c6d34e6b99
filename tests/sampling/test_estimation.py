from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from corpus.errors import RecordError
from sampling.audit_sample import allowance, audit_sample
from sampling.estimation import horvitz_thompson_mean, weighted_ratio, weighted_share

SPEAKERS = np.array([f"s{i % 8}" for i in range(24)])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 60), speakers=st.integers(2, 12))
def test_intervals_hold_their_value_and_a_share_stays_a_share(seed, n, speakers):
    rng = np.random.default_rng(seed)
    who, probs = np.array([f"s{i}" for i in rng.integers(speakers, size=n)]), rng.uniform(0.01, 1, n)
    share = weighted_share((rng.random(n) < rng.random()).astype(float), probs, who)
    assert 0 <= share.low <= share.value + 1e-12
    assert share.value - 1e-12 <= share.high <= 1
    ratio = weighted_ratio(rng.poisson(0.4, n), rng.integers(1, 9, n), probs, who)
    assert 0 <= ratio.low <= ratio.value <= ratio.high
    assert share.n == ratio.n == n
    assert share.speakers == len(set(who.tolist()))


def test_wer_is_weighted_errors_over_weighted_words():
    found = weighted_ratio([1, 0, 2], [4, 5, 6], [0.5, 0.25, 1.0], np.array(["a", "b", "c"]))
    assert found.value == pytest.approx((2 + 0 + 2) / (8 + 20 + 6))


def test_one_speakers_many_clips_say_less_than_many_speakers():
    hits = np.repeat([0.0, 1.0, 0.0, 1.0, 0.0, 0.0], 10)
    together = weighted_share(hits, np.full(60, 0.1), np.repeat([f"s{i}" for i in range(6)], 10))
    apart = weighted_share(hits, np.full(60, 0.1), np.array([f"s{i}" for i in range(60)]))
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_no_error_seen_is_not_no_error():
    nothing = weighted_ratio(np.zeros(24), np.full(24, 5), np.full(24, 0.2), SPEAKERS)
    assert (nothing.value, nothing.low) == (0.0, 0.0)
    assert 0.3 < nothing.high < 0.45  # 8 speakers: 1 - .025^(1/8)
    share = weighted_share(np.zeros(24), np.full(24, 0.2), SPEAKERS)
    assert (share.value, share.low) == (0.0, 0.0)
    assert 0.2 < share.high < 0.6


def test_speakers_that_agree_by_chance_do_not_close_the_interval():
    found = weighted_share([1, 0, 1, 0], np.full(4, 0.5), np.array(["a", "a", "b", "b"]))
    assert found.high - found.low > 0.2
    ratio = weighted_ratio([1, 1, 1, 1], [5, 5, 5, 5], np.full(4, 0.5), np.array(["a", "b", "c", "d"]))
    assert ratio.high / ratio.low > 1.5


@pytest.mark.parametrize(("hits", "speakers"), [(3, 10), (1, 4), (9, 30)])
def test_a_share_of_one_row_a_speaker_has_wilsons_bounds_with_students_t(hits, speakers):
    """p (1 - p) / variance is S - 1 there, and the bounds are where (share - p)^2 = t^2 p (1 - p) / (S - 1)."""
    column = (np.arange(speakers) < hits).astype(float)
    found = weighted_share(column, np.full(speakers, 0.2), np.array([f"s{i}" for i in range(speakers)]))
    share, t = hits / speakers, stats.t.ppf(0.975, speakers - 1)
    room = t**2 / (speakers - 1)
    low, high = sorted(np.roots([1 + room, -2 * share - room, share**2]).real)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_a_ratio_of_one_row_a_speaker_has_students_t_with_one_degree_less_than_speakers():
    """Two speakers of equal size: the log of the bound is t_1 times the relative error, and t_1 is 12.7."""
    found = weighted_ratio([2, 18], [100, 100], [0.5, 0.5], np.array(["a", "b"]))
    relative = stats.sem([0.02, 0.18]) / 0.1
    assert np.log(found.high / found.value) == pytest.approx(stats.t.ppf(0.975, 1) * relative)


def test_one_speaker_alone_gives_the_widest_interval():
    one = np.full(10, "s")
    assert weighted_share(np.arange(10) % 2, np.full(10, 0.5), one).as_json()["high"] == 1.0
    assert weighted_ratio(np.ones(10), np.full(10, 5), np.full(10, 0.5), one).high == np.inf


def test_the_share_covers_under_speaker_correlation():
    rng, inside = np.random.default_rng(0), 0
    for _ in range(400):
        rate = rng.beta(1.0, 6.0, 30)
        who = rng.integers(30, size=80)
        found = weighted_share(rng.random(80) < rate[who], np.full(80, 0.1), np.array([f"s{i}" for i in who]))
        inside += found.low <= 1 / 7 <= found.high
    assert inside / 400 >= 0.92


@pytest.mark.parametrize(("speakers", "skew", "per_speaker"), [(12, 1.5, 20), (300, 0.7, 3)])
def test_intervals_cover_where_a_few_speakers_have_most_of_the_clips(speakers, skew, per_speaker):
    rng, inside, draws = np.random.default_rng(0), np.zeros(2), 250
    for _ in range(draws):
        share = rng.pareto(skew, speakers) + 0.1
        ids = np.array([f"s{i}" for i in rng.choice(speakers, 600, p=share / share.sum())])
        words, missed = 1 + rng.poisson(3, 600), rng.random(600) < 0.15
        errors = rng.binomial(words, 0.2)
        count = min(60, allowance(ids, per_speaker))
        rows, probs = audit_sample(ids, np.maximum(errors, 0.1), count, per_speaker, rng)
        drawn = (probs[rows], ids[rows])
        wer, intent = weighted_ratio(errors[rows], words[rows], *drawn), weighted_share(missed[rows] * 1.0, *drawn)
        inside += [wer.low <= errors.sum() / words.sum() <= wer.high, intent.low <= missed.mean() <= intent.high]
    assert min(inside) / draws >= 0.91, inside  # that of rows taken for independent is 0.61 to 0.85


def test_horvitz_thompson_by_hand():
    assert horvitz_thompson_mean([1.0, 3.0], [0.5, 0.25], 10) == pytest.approx(1.4)


@pytest.mark.parametrize(
    ("values", "probs", "message"),
    [
        ([], [], "there are no audit rows"),
        ([1.0], [0.5, 0.5], "unequal length"),
        ([np.nan, 0.0], [0.5, 0.5], "not finite"),
        ([1.0, 0.0], [0.0, 0.5], "outside"),
        ([1.0, 0.0], [0.5, 1.5], "outside"),
        ([2.0, 0.0], [0.5, 0.5], "hits of 0 or 1"),
    ],
)
def test_bad_rows_are_one_clear_error(values, probs, message):
    with pytest.raises(RecordError, match=message):
        weighted_share(values, probs, np.array(["a", "b"])[: len(values)])


def test_no_words_are_one_clear_error():
    with pytest.raises(RecordError, match="no words"):
        weighted_ratio([0, 0], [0, 0], [0.5, 0.5], np.array(["a", "b"]))
    with pytest.raises(RecordError, match="speaker_ids"):
        weighted_ratio([0, 1], [1, 1], [0.5, 0.5], np.array(["a"]))
