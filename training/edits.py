"""Two sequences side by side: what was said and heard, as a shortest alignment and as counts of its edits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]

Edit = Literal["same", "substitution", "deletion", "insertion"]

Step = tuple[Edit, str, str]
"""What happened, the symbol that was said and the one that was heard; "" where there is none."""

SEPARATOR = "\x1f"
"""Between symbols on their way to jiwer: normalised text can't hold it."""


def edit_counts(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> Counts:
    """Returns substitutions, deletions and insertions by row of a shortest alignment, (N, 3) int64.

    An empty reference is a row like any other: all that was heard is inserted. Rates are left to the caller, as jiwer
    reports a rate of 2 for two words heard in silence, which no sum over rows can use.

    Args:
        references: N sequences of symbols, words or characters.
        hypotheses: N sequences of the same kind.
    """
    at = {"substitute": 0, "delete": 1, "insert": 2}
    counts = np.zeros((len(references), 3), dtype=np.int64)
    for row, chunks in enumerate(_alignments(references, hypotheses)):
        for chunk in chunks:
            if chunk.type in at:
                length = max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
                counts[row, at[chunk.type]] += length
    return counts


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Step]:
    """Returns the steps of a shortest alignment, in the order in which they were said and heard."""
    steps: list[Step] = []
    for chunk in _alignments([reference], [hypothesis])[0]:
        said = list(reference[chunk.ref_start_idx : chunk.ref_end_idx])
        heard = list(hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx])
        if chunk.type == "delete":
            steps += [("deletion", symbol, "") for symbol in said]
        elif chunk.type == "insert":
            steps += [("insertion", "", symbol) for symbol in heard]
        else:
            kind: Edit = "same" if chunk.type == "equal" else "substitution"
            steps += [(kind, one, other) for one, other in zip(said, heard, strict=True)]
    return steps


def _alignments(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> list[list[Any]]:
    import jiwer

    if not len(references):
        return []
    split = jiwer.Compose([jiwer.ReduceToListOfListOfWords(word_delimiter=SEPARATOR)])
    spoken, heard = ([SEPARATOR.join(row) for row in rows] for rows in (references, hypotheses))
    found = jiwer.process_words(spoken, heard, reference_transform=split, hypothesis_transform=split)
    alignments: list[list[Any]] = found.alignments
    return alignments
