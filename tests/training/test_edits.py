from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from training.edits import align, edit_counts

WORDS = st.lists(st.sampled_from(["turn", "on", "the", "light", "a"]), max_size=7)


def test_an_alignment_tells_what_was_said_and_heard_in_order():
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
