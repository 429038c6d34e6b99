"""Figures of trials by dev speaker: stored with the rows that they sum up, and erased with any of these."""

from __future__ import annotations

import pytest

from corpus.handle import Corpus
from corpus.storage.database import writing
from corpus.tables import erasure, trials
from corpus.tables.trials import TrialFigures
from tests.corpus.stored import arrive

pytestmark = pytest.mark.parametrize("databases", ["sqlite", "postgresql"], indirect=True)

FIGURES = TrialFigures((1.0, 2.0), (2.0, 2.0), (10.0, 11.0))


def test_an_erasure_removes_the_figures_that_sum_up_one_of_its_utterances_and_no_others(corpus: Corpus) -> None:
    ids = arrive(corpus, 4)
    with writing(corpus.records) as conn:
        trials.put(conn, "trial/a", FIGURES, ids[:2])
        trials.put(conn, "trial/b", FIGURES, ids[2:])
    erasure.erase_utterances(corpus, ids[:1])
    with corpus.read() as conn:
        found = [trials.figures(conn, name) for name in ("trial/a", "trial/b", "trial/unknown")]
    assert found == [None, FIGURES, None]
