"""A choice among clips of which some are probably no requests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.example_pools import pool_of
from sampling.pool import Pool
from sampling.requests import RequestSettings
from sampling.selection import Choice, SamplingSettings, choose_explained
from sampling.strategies.registry import STRATEGIES
from tests.sampling.pools import with_column

OTHER = 0.13


def night(n: int = 200, seed: int = 0) -> tuple[Pool, np.ndarray]:
    """A pool in which 13 % of the rows have by far the most expected errors, and are probably no requests."""
    pool = pool_of(n, speakers=n)
    other = np.random.default_rng([seed, n]).random(n) < OTHER
    errors = np.where(other, 12.0, pool.predictions.column("expected_errors"))
    return replace(pool, predictions=with_column(pool.predictions, "expected_errors", errors)), other


def choice(pool: Pool, labels: int = 100, **options) -> Choice:
    made = SamplingSettings(**{"clips": 32, "max_fraction": 1.0} | options)
    return choose_explained(pool, made, round="r1", labels_so_far=labels)


def learned_rows(pool: Pool, made: Choice) -> np.ndarray:
    ids = made.selection.utterance_ids[made.selection.reasons != "audit"]
    return np.flatnonzero(np.isin(pool.utterance_ids, ids))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    n=st.integers(20, 150),
    labels=st.sampled_from([0, 100]),
    options=st.fixed_dictionaries(
        {
            "minutes": st.one_of(st.none(), st.floats(3.0, 20.0)),
            "audit_share": st.sampled_from([0.15, 0.5]),
            "strategy": st.sampled_from([*STRATEGIES, "top:entropy"]),
        }
    ),
)
def test_the_audit_share_is_the_same_with_and_without_beliefs(seed: int, n: int, labels: int, options: dict):
    pool, _ = night(n, seed)
    believed = replace(pool, requests=np.random.default_rng(seed).random(n))
    drawn = []
    for each in (pool, believed, replace(pool, requests=np.full(n, 0.01))):
        selection = choice(each, labels, seed=seed, **options).selection
        audit = selection.reasons == "audit"
        order = np.argsort(selection.utterance_ids[audit])
        drawn.append(
            [column[audit][order].tolist() for column in (selection.utterance_ids, selection.inclusion_probs)]
            + [selection.asks[audit].tolist(), selection.costs[audit][order].tolist()]
        )
    assert drawn[0] == drawn[1] == drawn[2]
    assert len(drawn[0][0]) > 0


@pytest.mark.parametrize("labels", [0, 100])
def test_what_is_no_request_fills_the_choice_without_beliefs_and_stays_out_with_them(labels: int):
    pool, other = night()
    without = other[learned_rows(pool, choice(pool, labels))].mean()
    believed = replace(pool, requests=np.where(other, 0.05, 0.95))
    rows = learned_rows(pool, choice(believed, labels))
    assert other[rows].sum() == 0
    assert len(rows) == 16
    if labels:
        assert without > 0.5
    off = choice(believed, labels, requests=RequestSettings(weigh=False))
    assert learned_rows(pool, off).tolist() == learned_rows(pool, choice(pool, labels)).tolist()


def test_doubtful_clips_are_asked_in_seconds_and_no_novel_one_is_doubtful():
    pool, other = night()
    believed = replace(pool, requests=np.where(other, 0.45, 0.95))
    made = choice(believed)
    doubtful = np.isin(made.selection.utterance_ids, pool.utterance_ids[other])
    learns = made.selection.reasons != "audit"
    assert (doubtful & learns).any()
    assert (made.selection.asks[doubtful & learns] == "triage").all()
    assert (made.selection.asks[~doubtful] != "triage").all()
    assert not (doubtful & (made.selection.reasons == "novel")).any()
    assert made.selection.costs[doubtful & learns].mean() < made.selection.costs[~doubtful].mean()


def test_a_quota_is_met_by_probable_requests_first_and_by_others_where_there_are_none():
    pool, other = night()
    pool = replace(pool, slices={"room": np.where(other | (np.arange(len(pool)) % 20 == 0), "bath", "hall")})
    bath = pool.slices["room"] == "bath"
    rare = replace(pool, requests=np.where(other, 0.05, 0.95))
    made = choice(rare, slice_quotas={"room": {"bath": 0.25}}, near_duplicate=None)
    taken = np.isin(pool.utterance_ids, made.selection.utterance_ids[made.selection.reasons == "slice"])
    assert taken.sum() >= 4
    assert not (taken & other).any()
    none = replace(pool, requests=np.where(bath, 0.05, 0.95))
    made = choice(none, slice_quotas={"room": {"bath": 0.25}}, near_duplicate=None)
    assert (made.selection.reasons == "slice").sum() >= 4


def test_what_is_left_out_for_being_no_request_is_said():
    pool, _ = night(40)
    requests = np.where(np.arange(40) < 30, 0.05, 0.95)
    believed = replace(pool, requests=requests, splits=np.full(40, "train"), speaker_ids=pool.utterance_ids)
    made = choice(believed, near_duplicate=None)
    unlikely = int((~np.isin(pool.utterance_ids, made.selection.utterance_ids)).sum())
    assert made.notes == (
        f"{len(made.selection)} of 32 clips fit; the rest is kept out by clips that are probably no requests "
        f"({unlikely})",
    )
