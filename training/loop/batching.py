"""Batches of clips or texts of similar length, limited by their padded size rather than by their number of items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from corpus.errors import SettingsError

Rows = npt.NDArray[np.intp]


def length_batches(
    lengths: Sequence[int] | npt.NDArray[np.integer],
    max_frames: int,
    max_items: int = 256,
    rng: np.random.Generator | None = None,
) -> list[Rows]:
    """Return batches of row numbers that contain every row once, with a padded size of at most `max_frames` each.

    A row that is longer than `max_frames` is a batch of its own. Rows of similar length share a batch, so that there is
    little padding. Without `rng`, for scoring, batches go from short to long. With `rng`, for training, lengths are
    changed at random by up to 10 % before sorting, so that batches differ between epochs, and batches are shuffled.

    Args:
        lengths: (N,) length of each row, in frames, samples or tokens.
        max_frames: largest padded size of a batch: items * longest length.
        max_items: largest number of rows of a batch.
        rng: random generator for training; None for the order of scoring.

    Raises:
        SettingsError: `max_frames` or `max_items` is below 1.
    """
    if max_frames < 1 or max_items < 1:
        raise SettingsError("batches need max_frames and max_items of at least 1")
    sizes = np.asarray(lengths, dtype=np.int64)
    keys = sizes.astype(np.float64)
    if rng is not None:
        keys = keys * rng.uniform(0.9, 1.1, size=len(sizes))
    order = np.argsort(keys, kind="stable")
    batches: list[Rows] = []
    start, longest = 0, 0
    for end, row in enumerate(order):
        grown = max(longest, int(sizes[row]))
        count = end - start + 1
        if count > 1 and (count * grown > max_frames or count > max_items):
            batches.append(order[start:end])
            start, grown = end, int(sizes[row])
        longest = grown
    if start < len(order):
        batches.append(order[start:])
    if rng is None:
        return batches
    return [batches[i] for i in rng.permutation(len(batches))]
