"""What holds of an utterance depends on what people said of it, not on the order nor the files in which it came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.assignment import PeopleSettings
from annotation.files import Parsed
from annotation.inventory import InventorySettings
from annotation.row_parsing import Asked
from corpus import door
from corpus.handle import Corpus
from corpus.records.annotations import Annotation, AnnotationTask, Label, task_id
from corpus.records.inventory import plain_inventory
from corpus.storage.database import writing
from corpus.tables import labels, rounds
from flows.models.inventory import NamesInUse
from flows.steps.merge import merge_rows
from tests.annotation.worlds import INTENTS, SLOTS, answers
from tests.corpus.stored import arrive, choose, corpus_at

NAMES = NamesInUse(InventorySettings(intents=list(INTENTS), slots=list(SLOTS)), {"intent": (), "slot": ()})

ASKS = ("transcribe", "label_intent", "triage")
NUMBERS = count(1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    made = corpus_at(tmp_path_factory.mktemp("home"))
    yield made
    made.close()


def merged(corpus: Corpus, files: Sequence[Sequence[Annotation]], known: bool) -> dict[str, Any]:
    """Return what holds of a new utterance once the files about it are merged one after the other."""
    number = next(NUMBERS)
    (i,) = arrive(corpus, 1, start=number, operation_id=f"ingest/{number}")
    choose(corpus, [i], f"night-{number}")
    ids = {ask: task_id(f"night-{number}", i, ask) for ask in ASKS}
    asked = {id_: Asked(i, ask, plain_inventory(INTENTS, SLOTS)) for ask, id_ in ids.items()}
    tasks = [AnnotationTask(t, f"night-{number}", i, a, f"{t}.wav", 1.0, INTENTS, SLOTS) for a, t in ids.items()]
    with writing(corpus.records) as conn:
        rounds.put_tasks(conn, tasks)
    if known:
        with corpus.operation(f"known/{number}", "ingest") as op:
            label = Label(i, "turn on the light", "light_on", (), 1.0, 0, 1)
            labels.put_labels(corpus, op, [label], "manifest")
    for k, rows in enumerate(files):
        mine = [replace(row, task_id=ids[row.ask]) for row in rows]
        merge_rows(corpus, asked, Parsed(mine, []), f"merge/{number}/{k}", NAMES, PeopleSettings())
    content = next(iter(door.open(corpus, [i], "annotate", parts=("annotations", "label"), strict=False)), None)
    if content is None:
        return {"closed": True}
    label = content.label
    return {
        "label": label and (label.transcript, label.intent, label.slots),
        "answers": {replace(a, lead_time=0.0, task_id=a.ask) for a in content.annotations},
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(answers(), min_size=1, max_size=7), st.booleans(), st.data())
def test_any_order_repeated_and_cut_in_any_way_ends_the_same(corpus: Corpus, rows, known, data):
    in_order = sorted(rows, key=lambda row: row.revision)
    sent = data.draw(st.permutations([*rows, *data.draw(st.lists(st.sampled_from(rows), max_size=3))]))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(sent) - 1)))) if len(sent) > 1 else []
    files = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    assert merged(corpus, files, known) == merged(corpus, [[row] for row in in_order], known)


def test_two_contents_of_one_revision_leave_the_label_to_somebody_else_in_whatever_order(corpus: Corpus):
    one = Annotation("t", "ann", "transcribe", "labelled", "lights", "light_on")
    other = replace(one, transcript="turn on the light")
    later = replace(one, annotator_id="bob", ask="label_intent", transcript=None)
    for first, second, third in permutations((one, other, later)):
        assert merged(corpus, [[first], [second]], known=False)["label"] is None or later in (first, second)
        assert merged(corpus, [[first], [second], [third]], known=False)["label"] == (None, "light_on", ())
