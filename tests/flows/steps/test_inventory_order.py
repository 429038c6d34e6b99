"""Labels depend on the answers and the inventory, not on when a name was adopted, renamed, or brought by a manifest."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from annotation.assignment import PeopleSettings
from annotation.consensus import merge_annotations
from annotation.inventory import InventorySettings
from corpus.errors import UsageError
from corpus.records.annotations import Annotation, AnnotationTask, Label, NameNote
from corpus.records.arrivals import SlotSpan
from corpus.storage.records_schema import answers
from corpus.tables import labels, people
from corpus.tables.erasure import erase_utterances
from flows.models.inventory import inventory_of, names_in_use
from flows.models.proposals import list_proposals
from flows.runtime import progress
from flows.steps.inventory import add_names, adopt, merge_names, rename, settle
from flows.steps.review_annotators import review
from tests.flows.asked_world import DECK, Asked, arguments, changing, label_of
from tests.flows.small_round import answer


def ingest(world: Asked, index: int, intent: str | None, *slots: SlotSpan) -> None:
    """Store a known label, as an ingest does."""
    label = Label(world.first[index].utterance_id, "play some jazz", intent, slots, 1.0, 0, 1)
    with world.corpus.operation(f"known/{index}", "ingest") as op:
        labels.put_labels(world.corpus, op, [label], source="manifest")


def settled(world: Asked, settings: InventorySettings | None = None):
    corpus, home, given = arguments(world)
    return settle(corpus, names_in_use(corpus, home, settings or given), world.settings.people)


def proposed(task: AnnotationTask, name: str, who: str = "ann", **fields: object):
    return answer(task, who, intent=None, proposal=name, **fields)


def test_changes_that_concern_no_label_make_no_revision(world: Asked):
    task = world.first[0]
    settled(world)
    world.merge(proposed(task, "dance", "ann"), proposed(task, "waltz", "bob"))
    assert label_of(world, 0) is None
    adopt(*changing(world), "intent", ["dance"])
    merge_names(*changing(world), "intent", "waltz", "dance")
    label = label_of(world, 0)
    assert (label.intent, label.annotators) == ("dance", 2)
    for name in ("one", "two", "three"):
        assert add_names(*changing(world), "intent", [name], NameNote()).labels == 0
    assert settled(world) is None
    assert label_of(world, 0) == label
    assert world.merge(answer(task, "cid", intent="dance")).labels == 1
    assert label_of(world, 0).revision == label.revision + 1


def test_an_answer_that_is_merged_while_its_name_is_adopted_has_the_name(world: Asked):
    world.merge(proposed(world.first[0], "dance"))
    settled(world)
    came: list[progress.Event] = []

    def merge_meanwhile(event: progress.Event) -> None:
        if isinstance(event, progress.Started) and event.name == "reading answers to name anew" and not came:
            came.append(event)
            world.merge(proposed(world.first[1], "dance"))

    with progress.listening(merge_meanwhile):
        adopt(*changing(world), "intent", ["dance"])
    assert came
    assert [label_of(world, index).intent for index in (0, 1)] == ["dance", "dance"]
    assert settled(world) is None


def test_a_row_that_comes_again_after_its_name_was_adopted_is_the_same_answer(world: Asked):
    row, other = proposed(world.first[0], "dance"), answer(world.first[1])
    world.merge(row)
    adopt(*changing(world), "intent", ["dance"])
    before = label_of(world, 0)
    report = world.merge(row, other)
    assert (report.annotations, report.repeated, report.conflicting, report.labels) == (2, 1, 0, 1)
    assert label_of(world, 0) == before


def test_a_former_name_in_a_later_manifest_means_the_new_one(world: Asked):
    ingest(world, 0, "find_ship", DECK)
    settled(world)
    rename(*changing(world), "intent", "find_ship", "find_vessel")
    rename(*changing(world), "slot", "deck", "berth")
    ingest(world, 1, "find_ship", DECK)
    assert settled(world).labels == 1
    label = label_of(world, 1)
    assert (label.intent, [slot.name for slot in label.slots]) == ("find_vessel", ["berth"])
    assert settled(world) is None


def test_a_change_of_one_kind_leaves_labels_of_the_other_kind_to_be_settled(world: Asked):
    ingest(world, 0, None, DECK)
    settled(world)
    rename(*changing(world), "slot", "deck", "berth")
    ingest(world, 1, None, DECK)
    add_names(*changing(world), "intent", ["dance"], NameNote())
    settled(world)
    assert [slot.name for slot in label_of(world, 1).slots] == ["berth"]


def test_fields_from_a_manifest_are_renamed_beside_an_answer_that_does_not_give_them(world: Asked):
    ingest(world, 0, "find_ship", DECK)
    settled(world)
    task = world.first[0]
    row = Annotation(task.task_id, "ann", "triage", "labelled")
    ingested = {task.utterance_id: label_of(world, 0)}
    named = merge_annotations({task.utterance_id: [row]}, ingested)
    with world.corpus.operation("triaged", "merge") as op:
        labels.put_labels(world.corpus, op, [named[0].label])
    rename(*changing(world), "intent", "find_ship", "find_vessel")
    rename(*changing(world), "slot", "deck", "berth")
    renamed = merge_annotations(
        {task.utterance_id: [row]},
        {task.utterance_id: named[0].label},
        inventory=inventory_of(*arguments(world)),
        ingested=ingested,
    )
    assert (renamed[0].label.intent, renamed[0].label.slots[0].name) == ("find_vessel", "berth")
    assert renamed[0].is_new


def test_a_name_that_leaves_the_configuration_stays_while_a_label_has_it(world: Asked):
    world.merge(answer(world.first[0], intent="find_ship"))
    assert settled(world) is not None
    settled(world, InventorySettings())
    names = inventory_of(world.corpus, world.settings.home, InventorySettings()).intents
    assert "find_ship" in names.names
    assert label_of(world, 0).intent == "find_ship"


@pytest.mark.parametrize("fold_case", [False, True])
def test_a_name_added_beside_a_spelling_of_it_changes_nothing(world: Asked, fold_case: bool):
    corpus, home, _ = arguments(world)
    settings = InventorySettings(fold_case=fold_case)
    ingest(world, 0, "find_boat")
    settled(world, settings)
    world.after(0.1)
    name = "FIND_BOAT" if fold_case else "\uff46ind_boat"
    assert add_names(corpus, home, settings, world.settings.people, "intent", [name], NameNote()).labels == 0
    assert label_of(world, 0).intent == "find_boat"
    assert settled(world, settings) is None


def test_other_keeps_its_name_and_its_meaning(world: Asked):
    corpus, home, _ = arguments(world)
    for spelling in ("other", " other ", "\uff4fther"):
        with pytest.raises(UsageError, match="always in the inventory"):
            merge_names(*changing(world), "intent", spelling, "find_ship")
        with pytest.raises(UsageError, match="always in the inventory"):
            rename(*changing(world), "intent", spelling, "rest")
    folded = InventorySettings(intents=["OTHER", "Other"], fold_case=True)
    add_names(corpus, home, folded, world.settings.people, "intent", ["oTHER"], NameNote())
    names = inventory_of(corpus, home, folded).intents
    assert [name for name in names.names if name.lower() == "other"] == ["other"]
    assert names.resolve("OTHER") == "other"


def test_names_renamed_in_a_circle_are_the_first_name_again(world: Asked):
    world.merge(answer(world.first[0], intent="find_ship"))
    for old, new in (("find_ship", "b"), ("b", "find_ship"), ("find_ship", "b"), ("b", "find_ship")):
        rename(*changing(world), "intent", old, new)
        assert label_of(world, 0).intent == new
    names = inventory_of(*arguments(world)).intents
    assert (names.resolve("b"), names.names.count("find_ship"), "b" in names.names) == ("find_ship", 1, False)


def test_what_is_learned_of_people_holds_no_proposal(world: Asked):
    said = {"ann": "secret_x", "bob": "secret_y", "cid": "secret_x"}
    world.merge(*(proposed(task, name, who) for task in world.first for who, name in said.items()))
    corpus, home, settings = arguments(world)
    assert review(corpus, names_in_use(corpus, home, settings), world.settings.crowd, world.settings.people).people == 3
    assert "secret" not in stored_people(world)
    adopt(*changing(world), "intent", ["secret_x"])
    world.merge(answer(world.first[0], "dan", intent="secret_x"))
    review(corpus, names_in_use(corpus, home, settings), world.settings.crowd, world.settings.people)
    assert "secret_x" in stored_people(world)
    assert "secret_y" not in stored_people(world)


def stored_people(world: Asked) -> str:
    with world.corpus.read() as conn:
        return str(people.crowd(conn))


def test_an_erased_proposal_leaves_nothing(world: Asked):
    world.merge(proposed(world.first[0], "dance"), answer(world.first[1]))
    erase_utterances(world.corpus, [world.first[0].utterance_id])
    report = list_proposals(*arguments(world))
    assert (report.proposals, report.closed) == ((), 0)
    with world.corpus.read() as conn:
        rows = conn.execute(sa.select(answers.c.proposes, answers.c.content, answers.c.intent)).all()
    assert sorted(rows, key=str)[-1] == (None, None, None)


def test_an_adopted_name_that_parts_two_people_asks_one_more(world: Asked):
    task = world.first[0]
    world.merge(answer(task, "ann", intent="other", proposal="dance"), answer(task, "bob"))
    assert label_of(world, 0).intent == "other"
    change = adopt(*changing(world), "intent", ["dance"])
    assert (change.labels, change.withdrawn) == (0, 1)
    assert world.states().count("open") == 1


def test_nobody_is_asked_any_more_than_the_settings_say(world: Asked):
    task = world.first[0]
    world.merge(answer(task, "ann", intent="other", proposal="dance"), answer(task, "bob"))
    two = PeopleSettings(most_answers=2)
    assert adopt(*arguments(world), two, "intent", ["dance"]).withdrawn == 1
    assert world.states().count("open") == 0
