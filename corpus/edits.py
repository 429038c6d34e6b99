"""Edits between two sequences of words or characters: distance, counts by kind of edit, and a shortest alignment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein

Counts = npt.NDArray[np.int64]

Edit = Literal["same", "substitution", "deletion", "insertion"]

Step = tuple[Edit, str, str]
"""Kind of edit, symbol of the reference and symbol of the hypothesis; "" where one of them has none."""


def distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the smallest number of substitutions, deletions and insertions that turn one sequence into the other.

    Source: V. Levenshtein, Binary codes capable of correcting deletions, insertions, and reversals, 1966.
    """
    return int(Levenshtein.distance(first, second))


def edit_counts(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> Counts:
    """Return substitutions, deletions and insertions by row of a shortest alignment, (N, 3) int64.

    If a reference is empty, every symbol of its hypothesis is an insertion. The caller computes error rates, as sums
    over rows: the rate of a single row is undefined where its reference is silence.

    Args:
        references: N sequences of symbols, words or characters.
        hypotheses: N sequences of the same kind.
    """
    column_of = {"replace": 0, "delete": 1, "insert": 2}
    counts = np.zeros((len(references), 3), dtype=np.int64)
    for row, (reference, hypothesis) in enumerate(zip(references, hypotheses, strict=True)):
        for edit in Levenshtein.editops(reference, hypothesis):
            counts[row, column_of[edit.tag]] += 1
    return counts


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Step]:
    """Return the steps of a shortest alignment, in the order of both sequences."""
    steps: list[Step] = []
    for block in Levenshtein.opcodes(reference, hypothesis):
        expected = reference[block.src_start : block.src_end]
        recognised = hypothesis[block.dest_start : block.dest_end]
        if block.tag == "delete":
            steps += [("deletion", symbol, "") for symbol in expected]
        elif block.tag == "insert":
            steps += [("insertion", "", symbol) for symbol in recognised]
        else:
            kind: Edit = "same" if block.tag == "equal" else "substitution"
            steps += [(kind, one, other) for one, other in zip(expected, recognised, strict=True)]
    return steps
