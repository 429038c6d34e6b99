"""A choice in numbers: what was chosen, of which cohort, and its rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from sampling.budget import SamplingSettings
from sampling.choice_summary import chosen_rows, cohort_choices, summarise
from sampling.cohorts import SLICE, Cohort
from sampling.cost import CostModel
from sampling.example_pools import pool_of
from sampling.pool import Pool
from sampling.selection import Choice, choose_explained
from sampling.utility import utility_of

ACCENT = Cohort(
    "cohort-1", "words", 20, 6, 0.5, 0.2, 0.45, 0.01, np.ones(8, np.float32), 0.9, np.ones((1, 8), np.float32)
)


@pytest.fixture(scope="module")
def pool() -> Pool:
    pool = pool_of(200)
    names = np.where(np.arange(200) % 4 == 0, ACCENT.name, "").astype(np.str_)
    return replace(pool, slices={**pool.slices, SLICE: names})


@pytest.fixture(scope="module")
def choice(pool: Pool) -> Choice:
    return choose_explained(pool, SamplingSettings(floor=40, clips=40), round="r1", labels_so_far=100)


def test_the_summary_counts_what_was_chosen(pool: Pool, choice: Choice) -> None:
    found = summarise(choice, pool, scored=400)
    selection = choice.selection
    assert (found.pool, found.chosen, found.fraction) == (200, len(selection), len(selection) / 400)
    assert sum(found.reasons.values()) == sum(found.asks.values()) == len(selection)
    assert found.reasons == Counter(selection.reasons.tolist())
    assert found.minutes_expected == pytest.approx(selection.costs.sum() / 60, abs=0.006)
    assert summarise(choice, pool, scored=0).fraction == 0.0


def test_a_cohort_counts_its_rows_in_the_pool_and_those_that_were_chosen_because_of_it(
    pool: Pool, choice: Choice
) -> None:
    (found,) = cohort_choices(choice, pool, [ACCENT])
    of_cohort = set(pool.utterance_ids[::4].tolist())
    served = choice.selection.utterance_ids[choice.selection.reasons == "slice"].tolist()
    assert found.pool == 50
    assert found.chosen == len(of_cohort.intersection(served)) > 0
    assert (found.rows, found.speakers, found.rate, found.rest) == (20, 6, 0.5, 0.2)
    assert cohort_choices(choice, replace(pool, slices={}), [ACCENT])[0].pool == 0


def test_rows_stand_in_the_order_of_the_selection_and_are_rounded(pool: Pool, choice: Choice) -> None:
    rows, selection = chosen_rows(choice, pool), choice.selection
    places = [pool.utterance_ids.tolist().index(row.utterance) for row in rows]
    risk = utility_of(pool.predictions, CostModel()).risk[places]
    durations = pool.predictions.column("duration")[places]
    assert [row.utterance for row in rows] == selection.utterance_ids.tolist()
    for k, row in enumerate(rows):
        assert (row.reason, row.ask) == (selection.reasons[k], selection.asks[k])
        assert row.score == pytest.approx(selection.scores[k], abs=5.1e-5)
        assert row.inclusion == pytest.approx(selection.inclusion_probs[k], abs=5.1e-5)
        assert row.seconds == pytest.approx(selection.costs[k], abs=0.051)
        assert row.duration == pytest.approx(durations[k], abs=0.0051)
        assert row.expected_errors == pytest.approx(risk[k], abs=5.1e-4)
        assert row.locale == pool.slices.get("locale", np.full(len(pool), ""))[places[k]]


def test_rows_have_the_locale_of_their_clips_whatever_the_order_of_the_pool(pool: Pool) -> None:
    locales = np.array([f"l-{k}" for k in range(len(pool))])
    named = replace(pool, slices={"locale": locales}).take(np.arange(len(pool))[::-1])
    rows = chosen_rows(choose_explained(named, SamplingSettings(floor=9, clips=9), round="r1"), named)
    by_id = dict(zip(pool.utterance_ids.tolist(), locales.tolist(), strict=True))
    assert [row.locale for row in rows] == [by_id[row.utterance] for row in rows]
