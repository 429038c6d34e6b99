from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from corpus.names import name_key
from corpus.records.annotations import Annotation, NameNote
from corpus.records.arrivals import SlotSpan
from corpus.records.inventory import fold_collisions, make_names, names_outside, plain_inventory

NAMES = st.text("ab AÅ\u0041\u030a\u00a0ﬁ", min_size=1, max_size=4).filter(lambda name: bool(name.strip()))


@given(st.lists(NAMES, max_size=6), st.dictionaries(NAMES, NAMES, max_size=4), st.booleans())
def test_every_given_name_and_every_mapped_one_means_a_name_in_use(given_names, mapped, fold_case):
    names = make_names(given_names, mapped, fold_case=fold_case)
    for name in [*given_names, *mapped, *names.names]:
        assert names.resolve(name) in names.names
    keys = [name_key(name, fold_case) for name in names.names]
    assert len(set(keys)) == len(keys)


def test_of_several_spellings_the_first_stays():
    names = make_names(["Find ship", "Find\u00a0 ship", "FIND SHIP"])
    assert names.names == ("Find ship", "FIND SHIP")
    assert make_names(["Find ship", "FIND SHIP"], fold_case=True).names == ("Find ship",)


def test_a_mapping_of_a_mapped_name_is_followed():
    names = make_names(["boat"], {"ship": "vessel", "vessel": "boat"}, {"ship": NameNote("goes to sea")})
    assert [names.resolve(name) for name in ("ship", "vessel", "boat", "car")] == ["boat", "boat", "boat", None]
    assert names.names == ("boat",)
    assert names.notes == {"boat": NameNote("goes to sea")}


def test_former_names_that_would_be_other_names_without_case_are_found():
    names = make_names(["a", "b", "play", "Play"], {"A": "b", "x": "a", "PLAY": "play", "c": "a", "C": "b"})
    assert fold_collisions(names) == [("A", "a"), ("c", "b")]
    assert fold_collisions(make_names(["find_ship", "Find_Ship"], {"find_ship": "Find_Ship"})) == []


def test_other_is_always_in_the_inventory_and_last():
    assert plain_inventory(["light_on"], []).intents.names == ("light_on", "other")


def test_names_outside_are_those_that_nothing_in_the_inventory_means():
    inventory = plain_inventory(["light_on"], ["room"])
    slots = (SlotSpan("room", 0, 4), SlotSpan("deck ", 5, 9), SlotSpan("deck", 10, 13))
    answer = Annotation("t1", "ann", "transcribe", "labelled", "bath deck two", None, slots, proposal="Find  ship")
    assert names_outside(answer, inventory) == [("intent", "Find ship"), ("slot", "deck")]
    known = Annotation("t1", "ann", "transcribe", "labelled", "bath", None, slots[:1], proposal="light_on")
    assert names_outside(known, inventory) == []
