from __future__ import annotations

import pytest

from annotation.consensus import Merged, merge_annotations
from annotation.proposals import renamed
from corpus.records.annotations import Annotation, Label
from corpus.records.arrivals import SlotSpan
from corpus.records.inventory import Inventory, make_names, plain_inventory

TEXT = "find the ship to rome"
PLAIN = plain_inventory(["light_on"], ["room"])
WIDER = plain_inventory(["light_on", "find ship"], ["room", "port"])


def answer(person: str = "ann", intent: str | None = None, proposal: str | None = None, slots=()) -> Annotation:
    return Annotation("t1", person, "transcribe", "labelled", TEXT, intent, tuple(slots), proposal=proposal)


def merge(*rows: Annotation, inventory: Inventory = PLAIN, current: Label | None = None) -> Merged:
    [merged] = merge_annotations({"u1": rows}, {"u1": current} if current else {}, inventory=inventory)
    return merged


def test_a_proposal_leaves_the_intent_open_and_keeps_the_transcript():
    merged = merge(answer(proposal="find ship"))
    assert (merged.outcome, merged.label.transcript, merged.label.intent) == ("labelled", TEXT, None)
    assert merged.proposals == (("intent", "find ship"),)


def test_once_it_is_in_the_inventory_the_same_answer_is_the_intent():
    merged = merge(answer(proposal="find\u00a0 ship"), inventory=WIDER)
    assert (merged.label.intent, merged.proposals) == ("find ship", ())


def test_other_stays_other_until_the_proposal_beside_it_is_adopted():
    assert merge(answer(intent="other", proposal="find ship")).label.intent == "other"
    assert merge(answer(intent="other", proposal="find ship"), inventory=WIDER).label.intent == "find ship"
    assert merge(answer(intent="other"), inventory=WIDER).label.intent == "other"


def test_a_proposal_contradicts_another_intent_and_agrees_with_itself():
    known, proposed = answer("ann", "light_on"), answer("bob", proposal="find ship")
    merged = merge(known, proposed)
    assert (merged.outcome, merged.conflict) == ("conflict", "intent")
    same = merge(proposed, answer("cid", proposal=" find  ship"))
    assert (same.outcome, same.label.intent, same.agreement) == ("labelled", None, 1.0)


def test_the_proposals_of_all_people_are_collected():
    names = [("ann", "dim"), ("bob", "scene"), ("cid", "dim")]
    merged = merge(*(answer(person, intent="other", proposal=name) for person, name in names))
    assert merged.proposals == (("intent", "dim"), ("intent", "scene"))
    assert merged.label.intent == "other"


def test_two_against_one_decide_whatever_they_name():
    two = [answer("bob", proposal="find ship"), answer("cid", proposal="find ship")]
    assert merge(answer("ann", "light_on"), *two).label.intent is None
    assert merge(answer("ann", "light_on"), *two, inventory=WIDER).label.intent == "find ship"


def test_a_slot_outside_the_inventory_makes_the_slots_incomplete():
    port, room = SlotSpan("port", 17, 21), SlotSpan("room", 5, 8)
    label = merge(answer(intent="light_on", slots=[port, room])).label
    assert (label.slots, label.slots_complete) == ((room,), False)
    label = merge(answer(intent="light_on", slots=[port, room]), inventory=WIDER).label
    assert (label.slots, label.slots_complete) == ((room, port), True)


def test_a_mapped_name_means_the_other_one_in_answers_and_in_labels():
    inventory = Inventory(
        make_names(["light_on", "other"], {"lamp": "light_on"}), make_names(["room"], {"place": "room"})
    )
    place = SlotSpan("place", 5, 8)
    label = merge(answer(proposal="lamp", slots=[place]), inventory=inventory).label
    assert (label.intent, label.slots) == ("light_on", (SlotSpan("room", 5, 8),))
    given = Label("u1", TEXT, "lamp", (place,), 1.0, 0, 1)
    assert renamed(given, inventory) == Label("u1", TEXT, "light_on", (SlotSpan("room", 5, 8),), 1.0, 0, 1)


@pytest.mark.parametrize("ask", ["transcribe", "label_intent"])
def test_a_proposal_alone_replaces_the_intent_that_came_with_the_manifest(ask: str):
    current = Label("u1", TEXT, "light_on", (), 1.0, 0, 1)
    transcript = TEXT if ask == "transcribe" else None
    row = Annotation("t1", "ann", ask, "labelled", transcript, None, proposal="find ship")
    label = merge(row, current=current).label
    assert (label.transcript, label.intent) == (TEXT, None)


def test_a_proposal_without_a_transcript_makes_no_label_until_it_is_adopted():
    row = Annotation("t1", "ann", "label_intent", "labelled", None, None, proposal="find ship")
    assert (merge(row).outcome, merge(row).label) == ("labelled", None)
    assert merge(row, inventory=WIDER).label.intent == "find ship"
