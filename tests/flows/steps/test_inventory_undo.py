"""Former names: what may be said of them, how they end, and that a setting switched on and off loses nothing."""

from __future__ import annotations

import pytest

from annotation.inventory import InventorySettings
from corpus.errors import UsageError
from corpus.records.annotations import NameNote
from corpus.records.arrivals import SlotSpan
from corpus.tables.inventory import stored_names
from flows.models.inventory import inventory_of, names_in_use
from flows.models.proposals import list_proposals
from flows.reports.doctor import examine
from flows.steps.inventory import InventoryChange, add_names, adopt, merge_names, rename, settle, unmap
from tests.flows.asked_world import DECK, Asked, arguments, changing, label_of
from tests.flows.small_round import answer

FOLDED = InventorySettings(intents={"find_ship": {}}, fold_case=True)


def intents(world: Asked) -> list[str | None]:
    found = [label_of(world, index) for index in range(4)]
    return [label.intent if label else None for label in found]


def say(world: Asked, *names: str) -> None:
    world.merge(*(answer(task, intent=name) for task, name in zip(world.first, names, strict=False)))


def settled(world: Asked, settings: InventorySettings | None = None) -> InventoryChange | None:
    corpus, home, given = arguments(world)
    return settle(corpus, names_in_use(corpus, home, settings or given), world.settings.people)


def test_names_that_differ_in_case_come_back_when_case_counts_again(world: Asked):
    add_names(*changing(world), "intent", ["Play"], NameNote("plays music"))
    add_names(*changing(world), "intent", ["play"], NameNote("begins a game"))
    say(world, "Play", "play")
    for _ in range(2):
        assert settled(world, FOLDED).labels == 1
        assert intents(world)[:2] == ["Play", "Play"]
        assert settled(world, FOLDED) is None
        assert settled(world).labels == 1
        assert intents(world)[:2] == ["Play", "play"]
        assert settled(world) is None
    notes = inventory_of(*arguments(world)).intents.notes
    assert (notes["Play"].description, notes["play"].description) == ("plays music", "begins a game")


def test_labels_follow_the_case_setting_also_with_the_change_of_another_name(world: Asked):
    corpus, home, _ = arguments(world)
    add_names(*changing(world), "intent", ["Play", "play"], NameNote())
    say(world, "Play", "play")
    settled(world)
    add_names(corpus, home, FOLDED, world.settings.people, "slot", ["deck"], NameNote())
    assert intents(world)[:2] == ["Play", "Play"]
    add_names(*changing(world), "slot", ["port"], NameNote())
    assert intents(world)[:2] == ["Play", "play"]


def test_a_rename_while_case_does_not_count_holds_for_all_spellings_when_it_counts(world: Asked):
    corpus, home, _ = arguments(world)
    people = world.settings.people
    add_names(*changing(world), "intent", ["Play", "play"], NameNote())
    say(world, "Play", "play")
    settled(world, FOLDED)
    rename(corpus, home, FOLDED, people, "intent", "PLAY", "listen")
    assert intents(world)[:2] == ["listen", "listen"]
    settled(world)
    assert intents(world)[:2] == ["listen", "listen"]
    settled(world, FOLDED)
    assert intents(world)[:2] == ["listen", "listen"]
    rename(corpus, home, FOLDED, people, "intent", "listen", "Play")
    assert intents(world)[:2] == ["Play", "Play"]
    assert [n for n in inventory_of(corpus, home, FOLDED).intents.names if n.lower() in ("play", "listen")] == ["Play"]


def test_case_counts_on_where_a_former_name_would_be_another_name_without_it(world: Asked):
    corpus, home, _ = arguments(world)
    names = ["a", "b", "A", "B"]
    add_names(*changing(world), "intent", names, NameNote())
    say(world, *names)
    merge_names(*changing(world), "intent", "A", "b")
    merge_names(*changing(world), "intent", "B", "a")
    before = intents(world)
    assert before == ["a", "b", "b", "a"]
    with pytest.raises(UsageError, match=r"intent A, a former name of b, is also a; run earmark inventory unmap A, or"):
        settled(world, FOLDED)
    with pytest.raises(UsageError, match="inventory unmap A"):
        inventory_of(corpus, home, FOLDED)
    assert intents(world) == before
    folded = world.settings.model_copy(update={"inventory": FOLDED})
    assert [line for line in examine(folded, repair=False).problems if "unmap A" in line]
    assert not [line for line in examine(world.settings, repair=False).problems if "unmap" in line]
    unmap(*changing(world), "intent", "A")
    unmap(corpus, home, FOLDED, world.settings.people, "intent", "B")
    assert [name and name.casefold() for name in intents(world)] == ["a", "b", "a", "b"]
    settled(world)
    assert intents(world) == names


def test_a_former_name_is_neither_described_nor_added_nor_renamed_nor_merged(world: Asked):
    merge_names(*changing(world), "intent", "lights", "play_news")
    say_so = r"intent lights is a former name of play_news; name that one, or run earmark inventory unmap lights first"
    with pytest.raises(UsageError, match=say_so):
        add_names(*changing(world), "intent", ["lights"], NameNote("turns lights"))
    assert "play_news" not in inventory_of(*arguments(world)).intents.notes
    with pytest.raises(UsageError, match=say_so):
        adopt(*changing(world), "intent", ["lights"])
    with pytest.raises(UsageError, match=say_so):
        rename(*changing(world), "intent", "lights", "lamps")
    with pytest.raises(UsageError, match=say_so):
        merge_names(*changing(world), "intent", "lights", "find_ship")
    rename(*changing(world), "slot", "room", "berth")
    with pytest.raises(UsageError, match="unmap --slot room first"):
        add_names(*changing(world), "slot", ["room"], NameNote())


def test_a_mapped_proposal_is_a_proposal_again(world: Asked):
    world.merge(answer(world.first[0], intent="find_ship"), answer(world.first[1], intent=None, proposal="boat"))
    merge_names(*changing(world), "intent", "boat", "find_ship")
    assert intents(world)[:2] == ["find_ship", "find_ship"]
    change = unmap(*changing(world), "intent", " boat")
    assert (change.names, change.labels) == (("boat",), 1)
    assert intents(world)[:2] == ["find_ship", None]
    assert [row.name for row in list_proposals(*arguments(world)).proposals] == ["boat"]
    adopt(*changing(world), "intent", ["boat"])
    assert intents(world)[:2] == ["find_ship", "boat"]
    with pytest.raises(UsageError, match="intent boat is no former name; earmark inventory show lists them"):
        unmap(*changing(world), "intent", "boat")


def test_a_merged_name_is_one_of_its_own_again_where_answers_gave_it(world: Asked):
    add_names(*changing(world), "intent", ["boat"], NameNote())
    say(world, "find_ship", "boat")
    merge_names(*changing(world), "intent", "boat", "find_ship")
    assert intents(world)[:2] == ["find_ship", "find_ship"]
    assert unmap(*changing(world), "intent", "boat").labels == 1
    assert intents(world)[:2] == ["find_ship", "boat"]
    assert list_proposals(*arguments(world)).proposals == ()


def test_a_merged_slot_is_one_of_its_own_again_where_answers_gave_it(world: Asked):
    add_names(*changing(world), "slot", ["deck", "port"], NameNote())
    slots = {"ann": SlotSpan("deck", 10, 14), "bob": SlotSpan("port", 10, 14)}
    world.merge(*(answer(world.first[0], who, slots=(slot,)) for who, slot in slots.items()))
    assert label_of(world, 0).agreement < 1
    merge_names(*changing(world), "slot", "port", "deck")
    assert (label_of(world, 0).slots, label_of(world, 0).agreement) == ((DECK,), 1)
    unmap(*changing(world), "slot", "port")
    assert "port" in inventory_of(*arguments(world)).slots.names
    assert label_of(world, 0).agreement < 1


def test_a_mapped_slot_that_was_a_proposal_is_one_again(world: Asked):
    world.merge(answer(world.first[0], slots=(DECK,)))
    merge_names(*changing(world), "slot", "deck", "room")
    assert label_of(world, 0).slots == (SlotSpan("room", 10, 14),)
    unmap(*changing(world), "slot", "deck")
    assert label_of(world, 0).slots == ()
    assert [row.name for row in list_proposals(*arguments(world)).proposals] == ["deck"]


def test_a_former_name_that_no_answer_gave_may_be_given_anew(world: Asked):
    add_names(*changing(world), "intent", ["a", "b"], NameNote())
    say(world, "other", "b")
    rename(*changing(world), "intent", "a", "tmp")
    rename(*changing(world), "intent", "b", "a")
    rename(*changing(world), "intent", "tmp", "b2")
    names = inventory_of(*arguments(world)).intents
    assert {"a", "b2"} < set(names.names)
    assert not {"b", "tmp"} & set(names.names)
    assert (names.resolve("b"), names.resolve("tmp")) == ("a", "b2")
    assert intents(world)[:2] == ["other", "a"]


def test_a_former_name_that_answers_gave_keeps_its_meaning(world: Asked):
    add_names(*changing(world), "intent", ["a", "b"], NameNote())
    say(world, "a", "b")
    rename(*changing(world), "intent", "a", "tmp")
    with pytest.raises(
        UsageError, match=r"intent a is a former name of tmp, and answers gave it, .* can't be swapped$"
    ):
        rename(*changing(world), "intent", "b", "a")
    merge_names(*changing(world), "intent", "lights", "tmp")
    with pytest.raises(UsageError, match="intent lights is a former name of tmp, and the champion predicts it"):
        rename(*changing(world), "intent", "b", "lights")
    world.merge(answer(world.first[2], intent=None, proposal="boat"))
    merge_names(*changing(world), "intent", "boat", "tmp")
    with pytest.raises(UsageError, match="intent boat is a former name of tmp, and answers gave it"):
        rename(*changing(world), "intent", "b", "boat")
    add_names(*changing(world), "slot", ["deck", "port"], NameNote())
    world.merge(answer(world.first[3], slots=(DECK,)))
    rename(*changing(world), "slot", "deck", "berth")
    with pytest.raises(UsageError, match="slot deck is a former name of berth, and answers gave it"):
        rename(*changing(world), "slot", "port", "deck")
    with world.corpus.read() as conn:
        assert stored_names(conn)["intent"].mapped == {"a": "tmp", "lights": "tmp", "boat": "tmp"}
