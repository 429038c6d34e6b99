"""Answers that come at once, twice, in any order, in new revisions, or to a run that dies, end in the same labels."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from annotation.assignment import PeopleSettings
from annotation.files import Parsed, write_annotations
from annotation.inventory import InventorySettings
from annotation.row_parsing import Asked
from corpus import door
from corpus.handle import Corpus
from corpus.records.annotations import Annotation, AnnotationTask, task_id
from corpus.records.inventory import plain_inventory
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import labels, rounds
from flows.models.inventory import NamesInUse, names_in_use
from flows.steps.merge import merge_file, merge_rows
from flows.steps.review_annotators import review
from tests.annotation.worlds import INTENTS, SLOTS
from tests.corpus.stored import arrive, choose, corpus_at
from tests.flows.conftest import copy_of
from tests.flows.small_round import World, answer, round_of

NAMES = NamesInUse(InventorySettings(intents=list(INTENTS), slots=list(SLOTS)), {"intent": (), "slot": ()})

CLIENTS = 8
PEOPLE = ("ann", "bob", "cid")
TEXTS = ("turn on the light", "turn off the light", "turn on the night", "lights", "")


def names_of(world: World) -> NamesInUse:
    return names_in_use(world.corpus, world.settings.home, world.settings.inventory)


def prepared(home: Path, clips: int) -> dict[str, Asked]:
    """Leave a home with so many clips, each asked about once; return the tasks."""
    corpus = corpus_at(home)
    ids = arrive(corpus, clips, speakers=clips)
    choose(corpus, ids)
    made = [
        AnnotationTask(task_id("night-1", i, "transcribe"), "night-1", i, "transcribe", "c.wav", 1.0, INTENTS, SLOTS)
        for i in ids
    ]
    with writing(corpus.records) as conn:
        rounds.put_tasks(conn, made)
    corpus.close()
    return {task.task_id: Asked(task.utterance_id, task.ask, plain_inventory(INTENTS, SLOTS)) for task in made}


def answers(tasks: Sequence[str], count: int, seed: int) -> list[Annotation]:
    """Return so many answers, in the order in which their authors gave them: a later one of a person revises."""
    rng = random.Random(seed)
    given: dict[tuple[str, str], int] = {}
    made = []
    for _ in range(count):
        task, who = rng.choice(tasks), rng.choice(PEOPLE)
        given[task, who] = revision = given.get((task, who), 0) + 1
        verdict = rng.choice(["labelled"] * 12 + ["accidental", "unintelligible", "help"])
        texts: dict[str, Any] = {}
        if verdict == "labelled":
            texts = {"transcript": rng.choice(TEXTS), "intent": rng.choice(INTENTS[:2])}
        made.append(Annotation(task, who, "transcribe", verdict, revision=revision, **texts))  # type: ignore[arg-type]
    return made


def held(corpus: Corpus) -> tuple[Any, ...]:
    """Return the current labels with their texts, the answers, and where the tasks stand."""
    with corpus.read() as conn:
        rows = [(r.utterance_id, r.revision, r.agreement, r.annotators) for r in labels.current(conn)]
        states = [(row.task_id, row.state) for row in rounds.tasks(conn)]
        ids = sorted(conn.execute(sa.select(schema.utterances.c.utterance_id)).scalars())
    texts = [
        (c.utterance.utterance_id, c.label, {replace(a, lead_time=0.0) for a in c.annotations})
        for c in door.open(corpus, ids, "annotate", parts=("annotations", "label"), strict=False)
    ]
    return rows, texts, sorted(states)


def client(home: Path, tasks: dict[str, Asked], batches: Sequence[Sequence[Annotation]], name: str) -> None:
    corpus = corpus_at(home)
    for k, batch in enumerate(batches):
        merge_rows(corpus, tasks, Parsed(list(batch), []), f"merge/{name}/{k}", NAMES, PeopleSettings())
    corpus.close()


def cut(rows: Sequence[Annotation], size: int) -> list[Sequence[Annotation]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


@pytest.mark.parametrize(
    ("clips", "count", "size"), [(40, 400, 25), pytest.param(2500, 10_000, 100, marks=pytest.mark.slow)]
)
def test_eight_clients_end_where_one_ends_that_sends_all_in_order(tmp_path: Path, clips: int, count: int, size: int):
    tasks = prepared(tmp_path / "one", clips)
    copy_of(tmp_path / "one", tmp_path / "many")
    rows = answers(sorted(tasks), count, seed=clips)
    client(tmp_path / "one", tasks, cut(rows, size), "alone")

    rng = random.Random(1)
    sent: list[list[Annotation]] = [[] for _ in range(CLIENTS)]
    for row in rows:
        for _ in range(rng.choice((1, 1, 1, 2))):
            sent[rng.randrange(CLIENTS)].append(row)
    failed: list[BaseException] = []

    def run(k: int) -> None:
        try:
            rng.shuffle(sent[k])
            client(tmp_path / "many", tasks, cut(sent[k], size), f"client-{k}")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    one, many = corpus_at(tmp_path / "one"), corpus_at(tmp_path / "many")
    assert held(many) == held(one)
    one.close()
    many.close()


# --- a run that dies --------------------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with round_of(tmp_path / "home", 3, 'people.people=[{"annotator_id": "ann"}, {"annotator_id": "bob"}]') as made:
        made.export()
        yield made


def dies_at(moment: int, work: Callable[[], object]) -> int:
    """Run the work in a child that is killed just before its n-th commit or rename; return how it ended."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    passed = 0

    def count(*_: Any) -> None:
        nonlocal passed
        passed += 1
        if passed == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, "commit", count)
    import sys

    sys.addaudithook(lambda name, _: count() if name in ("os.rename", "os.remove") else None)
    try:
        work()
    finally:
        os._exit(0)


def merge_all(world: World) -> None:
    """Merge what lies in the answers folder and reviews the crowd, as a run that starts on this home does."""
    from corpus.handle import open_corpus
    from flows.tasks.answer_inbox import waiting_files

    corpus = open_corpus(world.settings.corpus, clock=lambda: world.now[0])
    for file in waiting_files(world.settings.answers):
        merge_file(corpus, world.settings, file, from_inbox=True)
    review(corpus, names_of(world), world.settings.crowd, world.settings.people)
    corpus.close()


def test_a_merge_that_is_killed_between_any_two_writes_changes_nothing(world: World, tmp_path: Path):
    tasks = {t.task_id: t for who in ("ann", "bob") for t in _tasks(world, who)}
    rows = [answer(task, who, intent="other") for task in tasks.values() for who in ("ann", "bob")]
    rows[1] = replace(rows[1], transcript="something else")
    rows[2] = replace(rows[2], verdict="help", transcript=None, intent=None, question="who?")
    world.corpus.close()
    home = world.settings.home

    def fresh(name: str) -> World:
        copy = copy_of(home, tmp_path / name)
        settings = world.settings.model_copy(update={"corpus": world.settings.corpus.model_copy(update={"home": copy})})
        settings.answers.mkdir(parents=True, exist_ok=True)
        write_annotations(settings.answers / "a.jsonl", rows)
        return replace(world, settings=settings)

    expected = fresh("undisturbed")
    merge_all(expected)
    ends, moment = 0, 0
    while not ends:
        moment += 1
        copy = fresh(f"killed-{moment}")
        if dies_at(moment, lambda copy=copy: merge_all(copy)) == 0:
            ends = moment
            break
        merge_all(copy)
        assert _state(copy) == _state(expected), f"after a kill at moment {moment}"
    assert ends > 8


def _tasks(world: World, who: str) -> list[AnnotationTask]:
    from annotation.files import TASK_FILE, read_tasks

    file = world.folder / who / TASK_FILE
    return read_tasks(file) if file.exists() else []


def _state(world: World) -> Any:
    from corpus.handle import open_corpus
    from corpus.tables import people

    corpus = open_corpus(world.settings.corpus, clock=lambda: world.now[0])
    with corpus.read() as conn:
        crowd = people.crowd(conn)
        given = [replace(each, at=world.now[0], until=None) for each in people.assigned(conn, world.now[0])]
    found = held(corpus), crowd and crowd[1:], given
    corpus.close()
    files = sorted(
        str(p.relative_to(world.settings.home)) for p in world.settings.task_folder.rglob("*") if p.is_file()
    )
    return found, files
