from __future__ import annotations

from itertools import pairwise

import pandas as pd
import pytest
from crowdkit.aggregation import ROVER
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.agreement import word_edits
from annotation.alignment import align, carry_spans, word_positions
from annotation.rover import fuse
from corpus.records.arrivals import SlotSpan

texts = st.lists(st.sampled_from(["turn", "on", "the", "big", "light"]), max_size=5).map(" ".join)
CALM = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_each_word_is_voted_on() -> None:
    fused = fuse(["turn on the kitchen light", "turn of the kitchen light", "turn on the chicken light"])
    assert (fused.text, fused.doubtful) == ("turn on the kitchen light", False)
    assert fused.support == pytest.approx(2 / 3)


def test_words_are_put_in_and_left_out_by_majority() -> None:
    assert fuse(["play jazz", "play some jazz", "play some jazz please"]).text == "play some jazz"
    assert fuse(["", "", "turn on"]).text == ""


def test_a_heavier_voice_outvotes_two() -> None:
    assert fuse(["play jazz", "play jams", "play jams"], [3.0, 1.0, 1.0]).text == "play jazz"
    assert fuse(["play jazz", "rubbish words all over"], [1.0, 0.0]).text == "play jazz"
    assert fuse(["play jazz", "play jams"], [0.0, 0.0]).doubtful


def test_two_equal_voices_that_differ_are_in_doubt() -> None:
    fused = fuse(["play jazz", "play jams"])
    assert (fused.text, fused.doubtful, fused.support) == ("play jams", True, 0.5)
    assert not fuse(["play jazz", "play jazz"]).doubtful
    assert not fuse(["play jazz"]).doubtful


def test_it_agrees_with_crowd_kit_where_there_is_a_majority_of_every_word() -> None:
    rows = {
        "a": ["turn on the light", "turn on the night", "turn on the light"],
        "b": ["play some jazz", "play some jazz", "play the jazz"],
        "c": ["what time is it", "what time is", "what time is it"],
    }
    table = pd.DataFrame([(k, f"w{i}", text) for k, said in rows.items() for i, text in enumerate(said)])
    table.columns = ["task", "worker", "text"]
    theirs = ROVER(tokenizer=str.split, detokenizer=" ".join).fit_predict(table).to_dict()
    assert {k: fuse(said).text for k, said in rows.items()} == theirs


@CALM
@given(st.lists(st.tuples(texts, st.sampled_from([0.5, 1.0, 2.0])), min_size=1, max_size=4), st.randoms())
def test_the_order_of_the_voices_does_not_matter(voices, rng) -> None:
    mixed = list(voices)
    rng.shuffle(mixed)
    assert fuse(*zip(*mixed, strict=True)) == fuse(*zip(*voices, strict=True))


@CALM
@given(texts, texts)
def test_an_alignment_is_a_shortest_path_through_both(first: str, second: str) -> None:
    a, b = first.split(), second.split()
    steps = align(a, b)
    assert [i for i, _ in steps if i is not None] == list(range(len(a)))
    assert [j for _, j in steps if j is not None] == list(range(len(b)))
    edits = sum(i is None or j is None or a[i] != b[j] for i, j in steps)
    assert edits == word_edits(first, second)


# --- slots on the corrected transcript --------------------------------------------------------------------------------

HEARD = "turn on the kitchen light"
ROOM = SlotSpan("room", 12, 19)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("please turn on the kitchen light", "kitchen"),
        ("turn on the chicken light", "chicken"),
        ("turn the kitchen lights on now", "kitchen"),
        ("turn on the kitchen", "kitchen"),
        ("turn on the light", None),
        ("", None),
        ("play some jazz", None),
    ],
)
def test_a_slot_goes_where_its_words_went_or_asks_again(target: str, words: str | None) -> None:
    carried, lost = carry_spans([ROOM], HEARD, target)
    assert (len(carried), len(lost)) == ((1, 0) if words else (0, 1))
    if words:
        assert target[carried[0].start : carried[0].end] == words


def test_words_put_in_between_belong_to_the_slot_and_others_do_not() -> None:
    slot = SlotSpan("artist", 5, 16)
    carried, _ = carry_spans([slot], "play miles davis", "play miles dewey davis now")
    assert "play miles dewey davis now"[carried[0].start : carried[0].end] == "miles dewey davis"


def test_slots_keep_their_names_and_order_and_never_overlap() -> None:
    slots = [SlotSpan("device", 20, 25), ROOM]
    carried, lost = carry_spans(slots, HEARD, "turn of the chicken light")
    assert [slot.name for slot in carried] == ["room", "device"]
    assert not lost


@CALM
@given(texts, texts, st.data())
def test_every_slot_is_carried_onto_whole_words_or_lost(source: str, target: str, data) -> None:
    places = word_positions(source)
    slots = [SlotSpan("s", *place) for k, place in enumerate(places) if k % 2 == 0 and data.draw(st.booleans())]
    carried, lost = carry_spans(slots, source, target)
    assert len(carried) + len(lost) == len(slots)
    starts, ends = {a for a, _ in word_positions(target)}, {b for _, b in word_positions(target)}
    assert all(slot.start in starts and slot.end in ends for slot in carried)
    assert all(a.end <= b.start for a, b in pairwise(carried))
    assert carry_spans(slots, source, source) == (tuple(slots), ())
