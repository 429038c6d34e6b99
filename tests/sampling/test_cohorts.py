from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from corpus.errors import RecordError
from sampling.cohorts import CohortSettings, find_cohorts, members
from sampling.example_pools import unit


def world(seed: int, excess: float, n: int = 240):
    """Return rows of 40 speakers with six unnamed accents; the first has `excess` more errors than 30 %."""
    rng = np.random.default_rng(seed)
    speakers = rng.integers(0, 40, n)
    accent = speakers % 6
    centres = unit(rng.normal(size=(6, 16)))
    vectors = unit(centres[accent] + 0.1 * rng.normal(size=(n, 16)))
    wrong = (rng.random(n) < 0.3 + excess * (accent == 0)).astype(float)
    return vectors, wrong, rng.choice([1.0, 5.0], n), np.array([f"s{i}" for i in speakers]), accent


def found(seed: int, excess: float, **options):
    vectors, wrong, weights, speakers, _ = world(seed, excess)
    return find_cohorts(
        vectors, {"intent": wrong}, weights, speakers, np.random.default_rng(seed), CohortSettings(**options)
    )


def test_a_cohort_with_more_errors_is_found_and_its_members_are_recognised():
    hits = 0
    for seed in range(12):
        vectors, wrong, weights, speakers, accent = world(seed, 0.5)
        cohorts = find_cohorts(vectors, {"intent": wrong}, weights, speakers, np.random.default_rng(seed))
        if not cohorts:
            continue
        hits += 1
        worst = cohorts[0]
        assert worst.name == "cohort-1"
        assert worst.rest < worst.shrunk < worst.rate
        assert worst.rate > 0.6
        fresh = unit(vectors + 0.05 * np.random.default_rng(seed + 1).normal(size=vectors.shape))
        names = members(cohorts, fresh)
        inside = names != ""  # the accent may fill several clusters
        assert (accent[inside] == 0).mean() > 0.9
        assert inside[accent == 0].mean() > 0.4
        json.dumps([cohort.as_json() for cohort in cohorts], allow_nan=False)
    assert hits >= 10


def test_where_all_err_alike_few_cohorts_are_invented():
    assert sum(bool(found(seed, 0.0)) for seed in range(40)) <= 8  # 10 % expected


def test_one_speaker_who_errs_is_no_cohort():
    vectors, wrong, weights, speakers, accent = world(1, 0.0)
    speakers = np.where(accent == 0, "one", speakers)
    cohorts = find_cohorts(
        vectors, {"i": np.where(accent == 0, 1.0, wrong)}, weights, speakers, np.random.default_rng(0)
    )
    assert not any((members([c], vectors) != "")[accent == 0].mean() > 0.5 for c in cohorts)


def test_the_measure_with_the_errors_is_named_and_rows_without_it_are_left_out():
    vectors, wrong, weights, speakers, accent = world(2, 0.6)
    words = np.full(len(wrong), 0.5)
    intent = np.where(np.arange(len(wrong)) % 5 == 0, np.nan, wrong)
    errors = {"intent": intent, "words": words}
    cohorts = find_cohorts(vectors, errors, weights, speakers, np.random.default_rng(0))
    assert [cohort.measure for cohort in cohorts] == ["intent"]
    assert cohorts[0].rows < (accent == 0).sum() + 5


def test_the_same_rows_give_the_same_cohorts_and_too_few_none():
    first, again = found(3, 0.5), found(3, 0.5)
    assert [c.as_json() for c in first] == [c.as_json() for c in again]
    assert found(3, 0.5, min_rows=90) == []
    empty = np.zeros((0, 4), np.float32)
    assert find_cohorts(empty, {"i": np.zeros(0)}, [], np.array([], str), np.random.default_rng(0)) == []
    assert members([], np.ones((3, 4), np.float32)).tolist() == ["", "", ""]


def test_a_row_far_from_every_cohort_belongs_to_none():
    (cohort, *_) = found(4, 0.6)
    assert members([cohort], np.stack([cohort.centre, -cohort.centre])).tolist() == [cohort.name, ""]
    assert members([replace(cohort, reach=-2.0, others=cohort.others[:0])], -cohort.centre[None]).tolist() == [
        cohort.name
    ]


def test_columns_of_unequal_length_are_refused():
    vectors, wrong, weights, speakers, _ = world(0, 0.0)
    with pytest.raises(RecordError, match="unequal length"):
        find_cohorts(vectors, {"intent": wrong[:5]}, weights, speakers, np.random.default_rng(0))
