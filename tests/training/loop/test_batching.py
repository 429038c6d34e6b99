from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import SettingsError
from training.loop.batching import length_batches

LENGTHS = st.lists(st.integers(1, 500), max_size=60)


@given(LENGTHS, st.integers(1, 2000), st.integers(1, 20), st.booleans())
@settings(max_examples=80, deadline=None)
def test_every_row_is_in_one_batch_and_no_batch_is_too_large(lengths, max_frames, max_items, shuffled):
    rng = np.random.default_rng(3) if shuffled else None
    batches = length_batches(lengths, max_frames, max_items, rng)
    rows = [row for batch in batches for row in batch.tolist()]
    assert sorted(rows) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= max_items
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= max_frames


def test_scoring_order_is_from_short_to_long_and_the_same_rng_gives_the_same_batches():
    lengths = [50, 10, 30, 10]
    assert [batch.tolist() for batch in length_batches(lengths, 60)] == [[1, 3], [2], [0]]
    first, again = (
        [batch.tolist() for batch in length_batches(lengths * 20, 200, rng=np.random.default_rng(1))] for _ in range(2)
    )
    assert first == again


def test_like_lengths_stand_together_so_little_is_padded():
    lengths = np.random.default_rng(0).integers(50, 400, size=500)
    batches = length_batches(lengths, 4000, rng=np.random.default_rng(0))
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    assert padded < 1.2 * lengths.sum()


@pytest.mark.parametrize("limits", [(0, 1), (1, 0)])
def test_limits_below_one_are_refused(limits):
    with pytest.raises(SettingsError, match="at least 1"):
        length_batches([1], *limits)
