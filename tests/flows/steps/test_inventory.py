"""Names outside the inventory: proposed in answers, adopted or mapped, and said in labels without a new answer."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from annotation.inventory import InventorySettings
from corpus import door
from corpus.errors import UsageError
from corpus.records.annotations import Label, NameNote
from corpus.records.arrivals import SlotSpan
from corpus.records.inventory import Inventory, make_names
from corpus.storage import records_schema
from corpus.tables import labels
from corpus.tables.inventory import meaning_digest, names_now
from flows.models.inventory import inventory_of, names_in_use
from flows.models.proposals import list_proposals
from flows.reports.inventory_list import as_config, as_yaml, list_inventory
from flows.reports.inventory_table import left_out_lines, next_commands
from flows.steps.inventory import InventoryChange, add_names, adopt, merge_names, rename, settle
from flows.steps.merge_report import MergeReport
from tests.flows.asked_world import DECK, Asked, arguments, changing, label_of
from tests.flows.small_round import answer


def given(world: Asked, *names: str | None, **fields: object) -> MergeReport:
    """Merge one answer to each of the first tasks, with these intents."""
    tasks = world.first
    texts = [{"intent": name} if name == "other" else {"intent": None, "proposal": name} for name in names]
    return world.merge(*(answer(task, **text, **fields) for task, text in zip(tasks, texts, strict=False)))


def test_tasks_offer_the_configured_names_with_their_notes(world: Asked):
    task = world.first[0]
    assert task.intents[0] == "find_ship"
    assert task.intents[-1] == "other"
    assert task.intent_notes["find_ship"] == NameNote("asks for a ship")


def test_a_name_outside_the_inventory_is_counted_kept_and_listed(world: Asked):
    report = given(world, "book_cabin", " book_cabin", "find_ship", "other")
    assert (report.annotations, report.labels, report.proposing) == (4, 4, {"intent": 2})
    assert [label_of(world, k).intent for k in range(4)] == [None, None, "find_ship", "other"]
    (row,) = list_proposals(*arguments(world)).proposals
    assert (row.kind, row.name, row.answers, row.utterances, row.people) == ("intent", "book_cabin", 2, 2, 1)


def test_a_name_that_differs_in_digits_only_is_like_no_other(world: Asked):
    add_names(*changing(world), "intent", ["Dial_89"], NameNote())
    given(world, "Dial_67", "Dail_89", "Dial_")
    like = {row.name: row.like for row in list_proposals(*arguments(world)).proposals}
    assert like == {"Dial_67": None, "Dail_89": "Dial_89", "Dial_": None}


def test_a_dry_run_says_what_a_change_does_and_changes_nothing(world: Asked):
    given(world, "book_cabin", "bok cabin", "find_ship", "other")

    def state() -> object:
        with world.corpus.read() as conn:
            operations = conn.execute(sa.select(records_schema.operations.c.operation_id)).scalars()
            return names_now(conn).digest(), labels.current(conn), sorted(operations)

    changes: list[Callable[..., InventoryChange]] = [
        lambda **how: adopt(*changing(world), "intent", ["book_cabin"], **how),
        lambda **how: merge_names(*changing(world), "intent", "bok cabin", "book_cabin", **how),
        lambda **how: rename(*changing(world), "intent", "find_ship", "find_vessel", **how),
    ]
    for change in changes:
        before = state()
        planned = change(dry_run=True)
        assert state() == before
        assert planned == change()
        assert planned.labels == 1
        assert state() != before


def test_adopting_a_name_makes_the_answers_labels_without_a_new_answer(world: Asked):
    given(world, "book_cabin", "book_cabin", "other")
    before = label_of(world, 0)
    change = adopt(*changing(world), "intent", ["book_cabin"])
    assert (change.names, change.labels, change.closed) == (("book_cabin",), 2, 0)
    assert [label_of(world, k).intent for k in range(3)] == ["book_cabin", "book_cabin", "other"]
    assert label_of(world, 0).revision == before.revision + 1
    assert list_proposals(*arguments(world)).proposals == ()
    assert "book_cabin" in inventory_of(*arguments(world)).intents.names
    with pytest.raises(UsageError, match="no answer names the intent book_cabin"):
        adopt(*changing(world), "intent", ["book_cabin"])


def test_a_later_answer_may_use_the_adopted_name_and_the_revision_goes_on(world: Asked):
    given(world, "book_cabin")
    adopt(*changing(world), "intent", ["book_cabin"])
    revision = label_of(world, 0).revision
    second = answer(world.first[0], "bob", intent="book_cabin")
    assert world.merge(second).labels == 1
    label = label_of(world, 0)
    assert (label.intent, label.annotators, label.revision) == ("book_cabin", 2, revision + 1)


def test_a_proposal_mapped_onto_a_name_means_it_from_then_on(world: Asked):
    given(world, "locate boat")
    change = merge_names(*changing(world), "intent", "locate boat", "find_ship")
    assert (change.names, change.labels) == (("find_ship",), 1)
    assert label_of(world, 0).intent == "find_ship"
    late = answer(world.first[1], intent=None, proposal="locate  boat")
    assert world.merge(late).proposing == {}
    assert label_of(world, 1).intent == "find_ship"


def test_slots_outside_the_inventory_are_proposals_too(world: Asked):
    report = given(world, "other", slots=(DECK,))
    assert report.proposing == {"slot": 1}
    assert (label_of(world, 0).slots, label_of(world, 0).slots_complete) == ((), False)
    adopt(*changing(world), "slot", ["deck"])
    assert (label_of(world, 0).slots, label_of(world, 0).slots_complete) == ((DECK,), True)
    rename(*changing(world), "slot", "deck", "berth")
    assert label_of(world, 0).slots == (SlotSpan("berth", 10, 14),)


def test_a_renamed_intent_has_its_labels_renamed_those_of_manifests_too(world: Asked):
    id_ = world.ids[3]
    with world.corpus.operation("ingest/known", "ingest") as op:
        known = Label(id_, "turn left", "find_ship", (), 1.0, 0, 1)
        labels.put_labels(world.corpus, op, [known], source="held_out")
    given(world, "find_ship")
    change = rename(*changing(world), "intent", "find_ship", "find_vessel")
    assert (change.names, change.labels) == (("find_vessel",), 2)
    assert label_of(world, 0).intent == "find_vessel"
    (content,) = door.open(world.corpus, [id_], "judge", parts=("label",))
    assert content.label.intent == "find_vessel"
    with world.corpus.read() as conn:
        (row,) = labels.current(conn, [id_])
    assert (row.source, row.reason) == ("held_out", "held_out")
    names = inventory_of(*arguments(world)).intents
    assert "find_ship" not in names.names
    assert names.notes["find_vessel"] == NameNote("asks for a ship")


def test_what_can_not_be_done_says_so_in_a_line(world: Asked):
    with pytest.raises(UsageError, match="intent find_boat is not in the inventory"):
        rename(*changing(world), "intent", "find_boat", "find_vessel")
    with pytest.raises(UsageError, match="earmark inventory merge joins the two"):
        rename(*changing(world), "intent", "find_ship", "other")
    with pytest.raises(UsageError, match="1 to 128 characters"):
        add_names(*changing(world), "intent", [" \u200b"], NameNote())


def test_the_exported_inventory_is_a_configuration(world: Asked, tmp_path: Path):
    add_names(*changing(world), "slot", ["deck"], NameNote("part of a ship", ("upper deck",)))
    branch = as_config(list_inventory(*arguments(world)))["inventory"]
    settings = type(world.settings.inventory).model_validate(branch)
    assert settings.slots["deck"].examples == ("upper deck",)
    assert settings.intents["find_ship"].description == "asks for a ship"


def test_the_exported_inventory_says_what_former_names_mean(world: Asked):
    assert "earmark inventory merge" not in as_yaml(list_inventory(*arguments(world)))
    merge_names(*changing(world), "intent", "it's a boat", "find_ship")
    rename(*changing(world), "slot", "room", "berth")
    text = as_yaml(list_inventory(*arguments(world)))
    assert yaml.safe_load(text) == as_config(list_inventory(*arguments(world)))
    commands = [shlex.split(line.removeprefix("#")) for line in text.splitlines() if "inventory merge" in line]
    assert commands == [
        ["earmark", "inventory", "merge", "--", "it's a boat", "find_ship"],
        ["earmark", "inventory", "merge", "--slot", "--", "room", "berth"],
    ]


def test_a_row_refused_before_is_read_again_when_its_file_is_offered_again(world: Asked):
    tasks = world.first
    file = [answer(tasks[0], intent=None, proposal="book_cabin"), answer(tasks[1])]
    world.after(10)  # past the due date: the round closes, and answers come too late
    world.sweep()
    first = world.merge(*file)
    assert (first.annotations, first.refused) == (0, {"closed_task": 2})
    assert world.merge(*file).already is True
    world.export(again=True)
    second = world.merge(*file)
    assert (second.already, second.annotations, second.labels) == (False, 2, 2)
    assert world.merge(*file).already is True


def test_names_that_a_configuration_adds_settle_what_was_proposed_before(world: Asked):
    given(world, "book_cabin", slots=(DECK,))
    corpus, home, settings = arguments(world)
    assert settle(corpus, names_in_use(corpus, home, settings), world.settings.people).labels == 0
    assert settle(corpus, names_in_use(corpus, home, settings), world.settings.people) is None
    wider = InventorySettings(intents=["find_ship", "Book_Cabin"], slots=["deck"], fold_case=True)
    change = settle(corpus, names_in_use(corpus, home, wider), world.settings.people)
    assert (change.labels, change.withdrawn) == (1, 0)
    assert (label_of(world, 0).intent, label_of(world, 0).slots) == ("Book_Cabin", (DECK,))
    assert settle(corpus, names_in_use(corpus, home, wider), world.settings.people) is None


def read_now(world: Asked, *names: str) -> list[str]:
    """Return what names mean where predictions are read."""
    with world.corpus.read() as conn:
        return [names_now(conn).intents.current(name) for name in names]


def test_predictions_are_folded_before_they_are_mapped_where_names_compare_without_regard_to_case(world: Asked):
    given(world, "book_cabin", "find_ship")
    folding = world.settings.inventory.model_copy(update={"fold_case": True})
    corpus, home, strict, people = changing(world)
    rename(corpus, home, strict, people, "intent", "find_ship", "locate_ship")
    assert read_now(world, "find_ship", "Find_Ship", "OTHER") == ["locate_ship", "Find_Ship", "OTHER"]
    settle(corpus, names_in_use(corpus, home, folding), people)
    assert read_now(world, "find_ship", "Find_Ship", "LOCATE_SHIP") == ["locate_ship"] * 3
    assert read_now(world, "OTHER", "Unheard") == ["other", "Unheard"]
    adopt(corpus, home, folding, people, "intent", ["book_cabin"])
    assert read_now(world, "Book_Cabin") == ["book_cabin"]  # it has no former name
    merge_names(corpus, home, folding, people, "intent", "BOOK_CABIN", "Locate_Ship")
    assert label_of(world, 0).intent == "locate_ship"
    assert read_now(world, "Book_Cabin", "book_cabin", "bOOK_cABIN") == ["locate_ship"] * 3
    settle(corpus, names_in_use(corpus, home, strict), people)
    assert read_now(world, "book_cabin", "bOOK_cABIN") == ["locate_ship", "bOOK_cABIN"]


def test_a_home_whose_names_compare_by_case_reads_predictions_as_before(world: Asked):
    given(world, "find_ship")
    corpus, home, settings, people = changing(world)
    settle(corpus, names_in_use(corpus, home, settings), people)
    with corpus.read() as conn:
        assert meaning_digest(conn) == ""
    merge_names(corpus, home, settings, people, "intent", "seek", "find_ship")
    with corpus.read() as conn:
        plain = Inventory(make_names((), {"seek": "find_ship"}), make_names((), {}))
        assert (names_now(conn), meaning_digest(conn)) == (plain, plain.digest())


def test_a_rare_proposal_that_is_nearly_a_commoner_one_is_like_it_and_says_the_two_commands(world: Asked):
    given(world, "Sky_Report", "Sky_Reprot", "Sky_Report", "Lamp_On")
    rows = {row.name: row for row in list_proposals(*arguments(world)).proposals}
    typo = rows["Sky_Reprot"]
    assert (typo.like, typo.nearly, typo.like_proposed) == ("Sky_Report", True, True)
    assert [name for name, row in rows.items() if row.nearly] == ["Sky_Reprot"]
    commands = "earmark inventory adopt Sky_Report, then earmark inventory merge Sky_Reprot Sky_Report"
    (line,) = left_out_lines([typo])
    assert line == f"left out: Sky_Reprot, nearly Sky_Report; {commands}, or earmark inventory adopt Sky_Reprot"
    assert next_commands(list(rows.values()))[-1] == f"or map: {commands}"
    with pytest.raises(UsageError, match=commands):
        merge_names(*changing(world), "intent", "Sky_Reprot", "Sky_Report")
    adopt(*changing(world), "intent", ["Sky_Report"])
    (row,) = [row for row in list_proposals(*arguments(world)).proposals if row.name == "Sky_Reprot"]
    assert (row.like, row.nearly, row.like_proposed) == ("Sky_Report", True, False)
    merge_names(*changing(world), "intent", "Sky_Reprot", "Sky_Report")
    assert [label_of(world, k).intent for k in range(3)] == ["Sky_Report"] * 3
