"""Alignment of two texts word by word, and the place of a slot of one text in the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from corpus.records.arrivals import SlotSpan

Step = tuple[int | None, int | None]
"""Index of a word in the first and in the second text; None where the other has no counterpart."""


def align(first: Sequence[str], second: Sequence[str]) -> list[Step]:
    """Return the steps of a shortest edit path between two word sequences, in order.

    Of several shortest paths, the one with the most equal words is returned, then the one with substitutions, so that a
    changed word has a counterpart. Least edits: V. Levenshtein 1966.
    """
    return shortest_path(len(first), len(second), lambda i, j: first[i] == second[j], lambda i: 1)


def shortest_path(n: int, m: int, same: Callable[[int, int], bool], skipped: Callable[[int], int]) -> list[Step]:
    """Return the steps of a cheapest path through `n` places and `m` words.

    Args:
        n: number of places.
        m: number of words.
        same: whether a place has a word; aligning the two costs 0 then, else 1.
        skipped: cost of leaving out a place; leaving out a word costs 1.
    """
    match = [[same(i, j) for j in range(m)] for i in range(n)]
    skip = [skipped(i) for i in range(n)]
    cost = [[(j, 0) for j in range(m + 1)] for _ in range(n + 1)]  # edits, then minus the equal words
    for i in range(1, n + 1):
        cost[i][0] = (cost[i - 1][0][0] + skip[i - 1], 0)
        for j in range(1, m + 1):
            cost[i][j] = min(
                _diagonal(cost[i - 1][j - 1], match[i - 1][j - 1]),
                _plus(cost[i - 1][j], skip[i - 1]),
                _plus(cost[i][j - 1], 1),
            )
    steps: list[Step] = []
    i, j = n, m
    while i or j:
        if i and j and cost[i][j] == _diagonal(cost[i - 1][j - 1], match[i - 1][j - 1]):
            i, j = i - 1, j - 1
            steps.append((i, j))
        elif i and cost[i][j] == _plus(cost[i - 1][j], skip[i - 1]):
            i -= 1
            steps.append((i, None))
        else:
            j -= 1
            steps.append((None, j))
    return steps[::-1]


def _diagonal(cost: tuple[int, int], same: bool) -> tuple[int, int]:
    return cost[0] + (not same), cost[1] - same


def _plus(cost: tuple[int, int], edits: int) -> tuple[int, int]:
    return cost[0] + edits, cost[1]


def word_positions(text: str) -> list[tuple[int, int]]:
    """Return start and end (exclusive) of each word of a normalised text."""
    found, at = [], 0
    for word in text.split():
        start = text.index(word, at)
        at = start + len(word)
        found.append((start, at))
    return found


def carry_spans(
    slots: Sequence[SlotSpan], source: str, target: str
) -> tuple[tuple[SlotSpan, ...], tuple[SlotSpan, ...]]:
    """Return the slots of `source` at their place in `target`, and those that have no sure place there.

    A slot covers the words that its own words became, with words that were inserted between them. It has no sure place
    where all its words were deleted, where all of them were changed and a neighbour of the slot too, or where it would
    overlap another slot.

    Args:
        slots: on words of `source`.
        source: a text in normal form.
        target: the corrected text in normal form.
    """
    if source == target:
        return tuple(slots), ()
    before, after = word_positions(source), word_positions(target)
    steps = align(source.split(), target.split())
    carried: list[SlotSpan] = []
    lost: list[SlotSpan] = []
    free_from = 0
    for slot in sorted(slots, key=lambda s: s.start):
        inside = {k for k, (start, end) in enumerate(before) if start < slot.end and end > slot.start}
        found = _place(inside, steps, source.split(), target.split())
        if found is None or after[found[0]][0] < free_from:
            lost.append(slot)
            continue
        start, end = after[found[0]][0], after[found[1]][1]
        free_from = end + 1
        carried.append(SlotSpan(slot.name, start, end))
    return tuple(carried), tuple(lost)


def _place(inside: set[int], steps: Sequence[Step], old: Sequence[str], new: Sequence[str]) -> tuple[int, int] | None:
    """Return the first and the last word in the new text for the words `inside` the old text; None where not sure."""
    at = [k for k, (i, _) in enumerate(steps) if i in inside]
    if not at:
        return None
    stretch = [steps[k][1] for k in range(at[0], at[-1] + 1)]
    words = [j for j in stretch if j is not None]
    if not words:
        return None
    same = any(i is not None and j is not None and old[i] == new[j] for i, j in steps[at[0] : at[-1] + 1])
    if not same and not (_anchored(steps, at[0] - 1, old, new) and _anchored(steps, at[-1] + 1, old, new)):
        return None
    return words[0], words[-1]


def _anchored(steps: Sequence[Step], k: int, old: Sequence[str], new: Sequence[str]) -> bool:
    """Return whether the step beside a slot is an unchanged word, or an end of the text."""
    if not 0 <= k < len(steps):
        return True
    i, j = steps[k]
    return i is not None and j is not None and old[i] == new[j]
