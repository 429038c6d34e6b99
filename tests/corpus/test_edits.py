from __future__ import annotations

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.edits import align, distance, edit_counts

WORDS = st.lists(st.sampled_from(["turn", "on", "the", "light", "a"]), max_size=7)


def test_an_alignment_lists_reference_and_hypothesis_in_order():
    steps = align(["turn", "on", "the", "light", "now"], ["turn", "the", "lights", "now", "please"])
    assert steps == [
        ("same", "turn", "turn"),
        ("deletion", "on", ""),
        ("same", "the", "the"),
        ("substitution", "light", "lights"),
        ("same", "now", "now"),
        ("insertion", "", "please"),
    ]
    assert align([], []) == []
    assert align([], ["hello"]) == [("insertion", "", "hello")]


@settings(max_examples=60, deadline=None)
@given(WORDS, WORDS)
def test_an_alignment_gives_back_both_sides_and_has_the_counted_edits(said, heard):
    steps = align(said, heard)
    assert [word for _, word, _ in steps if word] == said
    assert [word for _, _, word in steps if word] == heard
    kinds = [kind for kind, _, _ in steps]
    counts = [kinds.count(kind) for kind in ("substitution", "deletion", "insertion")]
    assert counts == edit_counts([said], [heard])[0].tolist()
    assert sum(counts) == distance(said, heard) == distance(heard, said)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(WORDS.filter(bool), WORDS), min_size=1, max_size=5))
def test_counts_are_those_of_jiwer(pairs):
    """An empty reference is left out, which jiwer refuses or counts by its version."""
    found = jiwer.process_words([" ".join(said) for said, _ in pairs], [" ".join(heard) for _, heard in pairs])
    counts = edit_counts([said for said, _ in pairs], [heard for _, heard in pairs]).sum(axis=0)
    assert counts.tolist() == [found.substitutions, found.deletions, found.insertions]


def test_the_distance_counts_words():
    assert distance(["turn", "it", "on"], ["turn", "on"]) == 1
    assert distance([], ["a", "b"]) == 2


def test_sequences_of_different_number_are_refused():
    with pytest.raises(ValueError, match="zip"):
        edit_counts([["a"], ["b"]], [["a"]])
