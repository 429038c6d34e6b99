"""Edits between two sequences of words or characters: their number, their counts by kind, a shortest alignment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein

Counts = npt.NDArray[np.int64]

Edit = Literal["same", "substitution", "deletion", "insertion"]

Step = tuple[Edit, str, str]
"""What happened, the symbol that was said and the one that was heard; "" where there is none."""


def distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the least number of symbols to substitute, delete or insert that makes one sequence the other.

    Source: V. Levenshtein, Binary codes capable of correcting deletions, insertions, and reversals, 1966.
    """
    return int(Levenshtein.distance(first, second))


def edit_counts(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> Counts:
    """Return substitutions, deletions and insertions by row of a shortest alignment, (N, 3) int64.

    An empty reference is a row like any other: all that was heard is inserted. Rates are left to the caller, who
    divides sums over rows: no row's own rate is of use where its reference is silence.

    Args:
        references: N sequences of symbols, words or characters.
        hypotheses: N sequences of the same kind.
    """
    at = {"replace": 0, "delete": 1, "insert": 2}
    counts = np.zeros((len(references), 3), dtype=np.int64)
    for row, (reference, hypothesis) in enumerate(zip(references, hypotheses, strict=True)):
        for edit in Levenshtein.editops(reference, hypothesis):
            counts[row, at[edit.tag]] += 1
    return counts


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Step]:
    """Return the steps of a shortest alignment, in the order in which they were said and heard."""
    steps: list[Step] = []
    for block in Levenshtein.opcodes(reference, hypothesis):
        said = reference[block.src_start : block.src_end]
        heard = hypothesis[block.dest_start : block.dest_end]
        if block.tag == "delete":
            steps += [("deletion", symbol, "") for symbol in said]
        elif block.tag == "insert":
            steps += [("insertion", "", symbol) for symbol in heard]
        else:
            kind: Edit = "same" if block.tag == "equal" else "substitution"
            steps += [(kind, one, other) for one, other in zip(said, heard, strict=True)]
    return steps
