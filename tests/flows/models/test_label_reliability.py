"""Reliability of labels whose intents have other names than when the annotators answered, or were reviewed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotation.inventory import InventorySettings
from corpus import door
from corpus.records.annotations import Annotation, Label
from corpus.tables import labels
from flows.models.inventory import names_in_use
from flows.models.label_reliability import reliable_labels, stored_crowd
from flows.runtime.results import Skipped
from flows.steps.inventory import adopt, merge_names, rename, settle
from flows.steps.review_annotators import ReviewReport, review
from tests.flows.asked_world import Asked, arguments, changing
from tests.flows.small_round import answer, round_of

NAMES = ("a1", "a2", "a3", "a4")
ALONE = 10
"""Clips that the careless person answered without the other careful one."""


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[Asked]:
    """Give a home with forty tasks and four intents."""
    with round_of(tmp_path, 40, "inventory.intents=[a1, a2, a3, a4]") as made:
        made.export()
        yield Asked(**vars(made), first=made.tasks())


def answers(world: Asked, said: dict[str, object], *, ann_alone: bool = True) -> list[Annotation]:
    """Return answers of two careful people, and of one who always gives the same; the first ten lack a careful one."""
    rows = []
    for k, task in enumerate(world.first):
        if k >= ALONE or ann_alone:
            rows.append(answer(task, "ann", intent=NAMES[k % 4]))
        if k >= ALONE:
            rows.append(answer(task, "bob", intent=NAMES[k % 4]))
        rows.append(answer(task, "cid", **said))
    return rows


def reviewed(world: Asked, settings: InventorySettings | None = None) -> ReviewReport | Skipped:
    corpus, home, given = arguments(world)
    return review(corpus, names_in_use(corpus, home, settings or given), world.settings.crowd, world.settings.people)


def intents(world: Asked) -> list[str | None]:
    ids = [task.utterance_id for task in world.first]
    opened = door.open(world.corpus, ids, "annotate", parts=("label",))
    return [content.label.intent if content.label else None for content in opened]


def reliabilities(world: Asked) -> Counter[float]:
    """Return how many labels of the first ten clips have each reliability."""
    with world.corpus.read() as conn:
        found = {row.utterance_id: row.reliability for row in reliable_labels(conn, labels.current(conn))}
    return Counter(found[task.utterance_id] for task in world.first[:ALONE])


def test_a_rename_after_a_review_changes_names_alone(crowded: Asked):
    crowded.merge(*answers(crowded, {"intent": "a1"}))
    assert reviewed(crowded).careless == ("cid",)
    before = intents(crowded)
    assert None not in before
    change = rename(*changing(crowded), "intent", "a1", "b1")
    assert (change.labels, change.withdrawn) == (10, 0)
    assert intents(crowded) == [name.replace("a1", "b1") for name in before]
    assert reviewed(crowded).labels == 0
    assert reviewed(crowded) == Skipped("no answer is new")
    rename(*changing(crowded), "intent", "b1", "a1")
    assert intents(crowded) == before


def test_labels_that_a_rename_withdrew_come_back_with_the_next_review_or_rename(crowded: Asked):
    crowded.merge(*answers(crowded, {"intent": "a1"}))
    reviewed(crowded)
    before = intents(crowded)
    with crowded.corpus.operation("older", "merge") as op:
        labels.withdraw(op.conn, [task.utterance_id for task in crowded.first[1:3]])
    rename(*changing(crowded), "intent", "a1", "b1")
    assert None not in intents(crowded)
    with crowded.corpus.operation("older again", "merge") as op:
        labels.withdraw(op.conn, [task.utterance_id for task in crowded.first[1:3]])
    assert reviewed(crowded).labels == 2
    rename(*changing(crowded), "intent", "b1", "a1")
    assert intents(crowded) == before
    # a name that only answers said, and no label has, is read again too
    with crowded.corpus.operation("older still", "merge") as op:
        labels.withdraw(op.conn, [task.utterance_id for task in crowded.first])
    rename(*changing(crowded), "intent", "a1", "b1")
    rename(*changing(crowded), "intent", "b1", "a1")
    assert intents(crowded) == before


def test_two_names_that_are_one_now_are_no_confusion(crowded: Asked):
    rows = [answer(task, "ann", intent="a1") for task in crowded.first]
    crowded.merge(*rows, *(answer(task, "bob", intent="a2" if k % 2 else "a1") for k, task in enumerate(crowded.first)))
    reviewed(crowded)
    with crowded.corpus.read() as conn:
        apart = stored_crowd(conn)
    merge_names(*changing(crowded), "intent", "a2", "a1")
    with crowded.corpus.read() as conn:
        joined = stored_crowd(conn)
    reviewed(crowded)
    with crowded.corpus.read() as conn:
        anew = stored_crowd(conn)
    assert apart.intents.wrong["bob"] != {}
    assert joined.intents.accuracy == pytest.approx(anew.intents.accuracy, abs=1e-4)
    assert joined.intents.rows == anew.intents.rows
    assert joined.intents.wrong["bob"] == {}


@pytest.mark.parametrize("renamed_before", [False, True])
def test_careless_labels_weigh_little_whatever_their_intent_is_called_now(crowded: Asked, renamed_before: bool):
    crowded.merge(*answers(crowded, {"intent": "a1"}, ann_alone=False))
    if renamed_before:
        rename(*changing(crowded), "intent", "a1", "b1")
    assert reviewed(crowded).careless == ("cid",)
    assert max(reliabilities(crowded)) < 0.3
    rename(*changing(crowded), "intent", *(("b1", "c1") if renamed_before else ("a1", "b1")))
    assert max(reliabilities(crowded)) < 0.3
    reviewed(crowded)
    assert max(reliabilities(crowded)) < 0.3


@pytest.mark.parametrize("said", [{"intent": None, "proposal": "dance"}, {"intent": "other", "proposal": "dance"}])
def test_careless_labels_from_adopted_proposals_weigh_little(crowded: Asked, said: dict[str, object]):
    crowded.merge(*answers(crowded, said, ann_alone=False))
    adopt(*changing(crowded), "intent", ["dance"])
    assert reviewed(crowded).careless == ("cid",)
    assert intents(crowded)[:ALONE] == ["dance"] * ALONE
    assert max(reliabilities(crowded)) < 0.3


def test_careless_labels_weigh_little_in_any_case(crowded: Asked):
    crowded.merge(*answers(crowded, {"intent": "a1"}, ann_alone=False))
    folded = InventorySettings(intents=["A1", "a2", "a3", "a4"], fold_case=True)
    corpus, home, _ = arguments(crowded)
    settle(corpus, names_in_use(corpus, home, folded), crowded.settings.people)
    assert reviewed(crowded, folded).careless == ("cid",)
    assert intents(crowded)[0] == "A1"
    assert max(reliabilities(crowded)) < 0.3


def test_answers_are_compared_with_what_a_known_label_is_called_now(crowded: Asked):
    known = [Label(t.utterance_id, "play some jazz", "a1", (), 1.0, 0, 1) for t in crowded.first]
    with crowded.corpus.operation("known", "ingest") as op:
        labels.put_labels(crowded.corpus, op, known, source="manifest")
    crowded.merge(*(answer(task, "ann", intent="a1") for task in crowded.first))
    rename(*changing(crowded), "intent", "a1", "b1")
    assert reviewed(crowded).careless == ()
