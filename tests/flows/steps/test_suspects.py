"""Suspect labels are found, asked about again by other people, and corrected as new revisions; audit rows are not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from annotation.assignment import PeopleSettings
from annotation.files import TASK_FILE, read_tasks, write_annotations
from corpus import door
from corpus.errors import Refused
from corpus.records.annotations import Annotation, AnnotationTask, Label
from corpus.records.models import ModelVersion
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import labels, rounds
from corpus.tables import models as store
from flows.models import registry
from flows.models.inventory import names_in_use
from flows.models.label_reliability import stored_crowd
from flows.steps.export import export_round, require_round_again
from flows.steps.merge import merge_file
from flows.steps.review_annotators import review
from flows.steps.suspects import ASK_FROM, SuspectsReport, ask_again, find_suspects, finish_asking
from flows.tasks.open_questions import open_questions
from tests.flows.small_round import World, round_of
from tests.sampling.test_label_noise import corpus_of
from training.tracking.version_files import folder_digest

PEOPLE = ("ann", "bob", "cid")
TEAM = "people.people=" + json.dumps([{"annotator_id": who} for who in PEOPLE])
INVENTORY = 'inventory.intents=["lights", "music", "weather"]'
COUNT = 60


@dataclass
class Labelled:
    """A home of which every utterance has an answer of ann, four of them with a wrong intent."""

    world: World
    texts: dict[str, str]
    true: dict[str, str]
    wrong: set[str]

    def find(self) -> SuspectsReport:
        settings = self.world.settings
        return find_suspects(self.world.corpus, settings.home, settings.inventory, ["intent"])

    def label(self, utterance_id: str) -> Label | None:
        """Return the current label."""
        (content,) = door.open(self.world.corpus, [utterance_id], "annotate", parts=("label",))
        return content.label

    def tasks(self, round_: str) -> dict[str, list[AnnotationTask]]:
        """Return the tasks of a round by the person in whose folder they are."""
        found = {}
        for who in PEOPLE:
            file = self.world.settings.task_folder / round_ / who / TASK_FILE
            found[who] = read_tasks(file) if file.exists() else []
        return found

    def answer(self, round_: str, wrong: bool = False) -> int:
        """Answer everything that is in people's folders of a round, truly; return how many answers."""
        given = []
        for who, tasks in self.tasks(round_).items():
            for task in tasks:
                i = task.utterance_id
                intent = self.true[i]
                if wrong and i in self.wrong:
                    intent = next(name for name in ("lights", "music", "weather") if name != intent)
                text = self.texts[i] if task.ask == "transcribe" else None
                given.append(Annotation(task.task_id, who, task.ask, "labelled", text, intent))
        file = write_annotations(self.world.settings.home / "answers.jsonl", given)
        merge_file(self.world.corpus, self.world.settings, file, from_inbox=False)
        return len(given)


@pytest.fixture
def labelled(tmp_path: Path) -> Iterator[Labelled]:
    changes = ("people.gold_share=0", INVENTORY, "sampling.max_per_speaker=50", "export.due_days=30")
    # while the labels are given only ann is there, so that each label is hers
    alone = "people.people=" + json.dumps([{"annotator_id": "ann"}])
    with round_of(tmp_path / "home", COUNT, alone, *changes) as world:
        _, texts, true, _ = corpus_of(COUNT, words=7)
        ids = sorted(world.ids)
        made = Labelled(world, dict(zip(ids, texts, strict=True)), dict(zip(ids, true, strict=True)), set(ids[5:9]))
        world.export()
        assert made.answer("2026-11-03", wrong=True) == COUNT
        sampling = world.settings.sampling.model_copy(update={"max_per_speaker": 50})
        people = world.settings.people.model_validate({"people": [{"annotator_id": who} for who in PEOPLE]})
        people = people.model_copy(update={"gold_share": 0.0})
        world.settings = world.settings.model_copy(update={"people": people, "sampling": sampling})
        yield made


def test_planted_wrong_intents_are_first_and_no_content_is_shown(labelled: Labelled):
    report = labelled.find()
    assert {row.utterance for row in report.rows[:4]} == labelled.wrong
    assert report.rows[3].score > ASK_FROM["intent"] > report.rows[4].score
    assert report.judged == {"intent": COUNT}
    assert report.share is None  # of so few labels no share can be said
    assert all(row.annotators == ("ann",) for row in report.rows)
    document = json.dumps(report.to_json())
    assert not [text for text in {*labelled.texts.values(), "lights", "music", "weather"} if text in document]


def test_reading_labels_is_on_the_audit_chain_and_nothing_else_changes(labelled: Labelled):
    def rows(table: sa.Table) -> int:
        with labelled.world.corpus.read() as conn:
            return int(conn.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())

    tables = (schema.rounds, schema.tasks, schema.labels, schema.operations)
    before = [rows(table) for table in tables], rows(schema.audit)
    labelled.find()
    assert [rows(table) for table in tables] == before[0]
    assert rows(schema.audit) == before[1] + 1
    with labelled.world.corpus.read() as conn:
        newest = conn.execute(sa.select(schema.audit).order_by(schema.audit.c.seq.desc()).limit(1)).one()
    assert '"purpose":"judge"' in newest.detail


def test_others_are_asked_blindly_and_their_answers_correct_the_label_as_a_new_revision(labelled: Labelled):
    corpus, settings = labelled.world.corpus, labelled.world.settings
    asked = ask_again(corpus, settings, labelled.find().rows)
    assert (asked.round, asked.asked, asked.audit) == ("again-1", 4, 0)
    given = labelled.tasks("again-1")
    assert {task.utterance_id for tasks in given.values() for task in tasks} == labelled.wrong
    assert given["ann"] == []  # who gave the labels is not asked
    assert all(task.draft is None and task.question is None for tasks in given.values() for task in tasks)
    revisions = {i: label.revision for i in labelled.wrong if (label := labelled.label(i)) is not None}

    assert labelled.answer("again-1") == 4
    # two people disagree now: the label stays until a third one has answered
    left = {i: label.revision for i in labelled.wrong if (label := labelled.label(i)) is not None}
    assert left == revisions
    assert open_questions(corpus, PeopleSettings()).undecided == {"again-1": 4}
    assert labelled.answer("again-1") == 4
    for i in labelled.wrong:
        label = labelled.label(i)
        assert label is not None
        assert (label.intent, label.transcript) == (labelled.true[i], labelled.texts[i])
        assert label.revision > revisions[i]
        with corpus.read() as conn:
            (row,) = labels.current(conn, [i])
        assert (row.reason, row.round) == ("uncertain", "2026-11-03")  # asking again is no choice


def test_a_repeat_asks_nothing_twice(labelled: Labelled):
    corpus, settings = labelled.world.corpus, labelled.world.settings
    ask_again(corpus, settings, labelled.find().rows)
    report = labelled.find()
    assert report.asked_before == 4
    assert not labelled.wrong & {row.utterance for row in report.rows}
    assert ask_again(corpus, settings, report.rows).export is None
    labelled.answer("again-1")
    labelled.answer("again-1")
    report = labelled.find()
    assert not labelled.wrong & {row.utterance for row in report.rows}
    assert ask_again(corpus, settings, report.rows).asked == 0


def test_a_run_that_was_killed_before_its_export_is_finished_by_the_next(labelled: Labelled):
    corpus, settings = labelled.world.corpus, labelled.world.settings
    asked = ask_again(corpus, settings, labelled.find().rows)
    with writing(corpus.records) as conn:  # as the kill would have left it
        conn.execute(
            sa.delete(schema.assignments).where(
                schema.assignments.c.task_id.in_(
                    sa.select(schema.tasks.c.task_id).where(schema.tasks.c.round == asked.round)
                )
            )
        )
        conn.execute(sa.delete(schema.tasks).where(schema.tasks.c.round == asked.round))
    assert labelled.find().asked_before == 4
    assert finish_asking(corpus, settings) == ["again-1"]
    with corpus.read() as conn:
        assert {row.utterance_id for row in rounds.tasks(conn, asked.round)} == labelled.wrong


def test_files_that_a_killed_run_did_not_write_are_written_by_the_next(labelled: Labelled):
    corpus, settings = labelled.world.corpus, labelled.world.settings
    folder = settings.task_folder / ask_again(corpus, settings, labelled.find().rows).round
    written = {file.relative_to(folder): read_tasks(file) for file in folder.rglob(TASK_FILE)}
    assert sum(len(tasks) for tasks in written.values()) == 4
    shutil.rmtree(folder)  # its tasks were leased before
    finish_asking(corpus, settings)
    assert {file.relative_to(folder): read_tasks(file) for file in folder.rglob(TASK_FILE)} == written


def test_an_overdue_question_may_be_asked_once_more(labelled: Labelled):
    corpus, settings = labelled.world.corpus, labelled.world.settings
    ask_again(corpus, settings, labelled.find().rows)
    labelled.world.after(31)
    labelled.world.sweep()
    asked = ask_again(corpus, settings, labelled.find().rows)
    assert (asked.round, asked.asked) == ("again-2", 4)


def test_a_second_answer_that_nobody_settles_in_time_takes_no_label_away(labelled: Labelled):
    corpus, settings = labelled.world.corpus, labelled.world.settings
    ask_again(corpus, settings, labelled.find().rows)
    before = {i: labelled.label(i) for i in labelled.wrong}
    assert labelled.answer("again-1") == 4
    labelled.world.after(31)
    labelled.world.sweep()
    assert {i: labelled.label(i) for i in labelled.wrong} == before
    with corpus.read() as conn:
        assert {row.state for row in rounds.tasks(conn, "again-1")} == {"closed"}
        assert len(labels.current(conn)) == COUNT
    assert open_questions(corpus, PeopleSettings()).undecided == {}
    # the round can be exported once more; the third answers decide then
    require_round_again(corpus, "again-1")
    export_round(corpus, settings, "again-1", again=True)
    assert labelled.answer("again-1") == 4
    corrected = {i: label.intent for i in labelled.wrong if (label := labelled.label(i)) is not None}
    assert corrected == {i: labelled.true[i] for i in labelled.wrong}


def test_labels_that_await_a_third_answer_stay_after_a_review_of_the_annotators(labelled: Labelled):
    corpus, settings = labelled.world.corpus, labelled.world.settings
    ask_again(corpus, settings, labelled.find().rows)
    assert labelled.answer("again-1") == 4
    names = names_in_use(corpus, settings.home, settings.inventory)
    review(corpus, names, settings.crowd, settings.people)
    with corpus.read() as conn:
        assert len(labels.current(conn)) == COUNT


def test_a_round_that_asks_nothing_again_is_refused_with_those_that_do(labelled: Labelled):
    corpus, settings = labelled.world.corpus, labelled.world.settings
    with pytest.raises(Refused, match="there is none yet"):
        require_round_again(corpus, "again-1")
    ask_again(corpus, settings, labelled.find().rows)
    for name in ("again-2", "2026-11-03"):
        with pytest.raises(Refused, match=f"round {name} asks nothing again; there are again-1"):
            require_round_again(corpus, name)


def test_caps_and_people_who_answered_are_named_where_they_prevent_questions(labelled: Labelled):
    corpus, settings = labelled.world.corpus, labelled.world.settings
    rows = labelled.find().rows
    few = settings.model_copy(update={"sampling": settings.sampling.model_copy(update={"clips": 1})})
    asked = ask_again(corpus, few, rows)
    assert (asked.asked, asked.left) == (1, {"max_fraction, floor or clips": 3})
    # the same cap holds for all calls between two nights
    assert ask_again(corpus, few, labelled.find().rows).left == {"max_fraction, floor or clips": 3}
    alone = settings.model_copy(
        update={"people": settings.people.model_copy(update={"people": settings.people.people[:1]})}
    )
    assert ask_again(corpus, alone, labelled.find().rows).left == {"no other person is listed": 3}


def test_audit_rows_are_neither_listed_nor_asked_for_but_at_random(labelled: Labelled):
    corpus, settings = labelled.world.corpus, labelled.world.settings
    audited = sorted(labelled.wrong)[:2]
    with writing(corpus.records) as conn:
        update = sa.update(schema.selections).where(
            schema.selections.c.utterance_id.in_([*audited, *labelled.world.ids[20:28]])
        )
        conn.execute(update.values(reason="audit"))
        of_audit = {row.utterance_id for row in labels.current(conn, reasons=["audit"])}
    report = labelled.find()
    assert not of_audit & {row.utterance for row in report.rows}
    asked = ask_again(corpus, settings, (), audit=3)
    assert (asked.asked, asked.audit) == (3, 3)
    with corpus.read() as conn:
        drawn = {row.utterance_id for row in rounds.tasks(conn, asked.round)}
        probs = set(rounds.selection(conn, asked.round).inclusion_probs.tolist())
    assert drawn <= of_audit
    assert probs == {3 / len(of_audit)}
    for _ in range(3):
        labelled.answer(asked.round)
    with corpus.read() as conn:
        assert {row.reason for row in labels.current(conn, sorted(drawn))} == {"audit"}  # never leaves the audit set


def test_few_labels_and_one_intent_have_one_line_each(tmp_path: Path):
    with round_of(tmp_path / "home", 4) as world:
        report = find_suspects(world.corpus, world.settings.home, world.settings.inventory)
        assert report.rows == ()
        assert report.skipped == {
            "intent": "0 intents are labelled; from 20 on they are judged",
            "asr": "0 transcripts are labelled; from 20 on they are judged",
        }


def test_transcripts_that_the_base_would_never_write_are_first(tmp_path: Path):
    """The right labels are what the speech model writes of these clips; four others are sentences nobody said."""
    from training.asr.transcribe import best_texts

    with round_of(tmp_path / "home", 24, INVENTORY, "sampling.max_per_speaker=50") as world:
        base = registry.base_folder(world.settings.home, world.settings.models, "asr")
        version = ModelVersion("asr", "1", "run", "", folder_digest(base), "", str(base))
        with writing(world.corpus.records) as conn:
            store.put_version(conn, version)
            store.move_alias(conn, "asr", "champion", None, "1")
        ids = sorted(world.ids)
        clips = [c.audio for c in door.open(world.corpus, ids, "score") if c.audio is not None]
        heard = dict(zip(ids, best_texts(registry.load_asr(world.settings.home, version), clips), strict=True))
        wrong = dict.fromkeys(ids[3:6], "please turn off the light")
        world.export()
        given = [
            Annotation(task.task_id, "ann", task.ask, "labelled", {**heard, **wrong}[task.utterance_id], "music")
            for task in world.tasks()
        ]
        world.merge(*given)
        report = find_suspects(world.corpus, world.settings.home, world.settings.inventory, ["asr"])
        assert {row.utterance for row in report.rows[:3]} == set(wrong)
        assert report.rows[2].score > 0.5 > report.rows[3].score
        assert {row.judge for row in report.rows} == {"asr/1"}
        asked = ask_again(world.corpus, world.settings, report.rows)
        assert asked.asked == 3
        with world.corpus.read() as conn:
            assert {row.ask for row in rounds.tasks(conn, asked.round)} == {"transcribe"}


def test_who_corrects_a_wrong_label_of_a_manifest_does_not_seem_careless(tmp_path: Path):
    """The review compares people with labels that were ingested; those that were asked again were suspect."""
    from annotation.crowd import Crowd

    with round_of(
        tmp_path / "home", COUNT, TEAM, INVENTORY, "people.gold_share=0", "sampling.max_per_speaker=60"
    ) as world:
        corpus, settings = world.corpus, world.settings
        ids = sorted(world.ids)
        _, texts, true, _ = corpus_of(COUNT, words=7)
        wrong = set(ids[::4])
        ingested = [
            Label(i, text, "music" if i in wrong and name != "music" else name, (), 1.0, 0, 1)
            for i, text, name in zip(ids, texts, true, strict=True)
        ]
        with corpus.operation("ingest/labels", "ingest") as op:
            labels.put_labels(corpus, op, ingested, "manifest")
        asked = ask_again(corpus, settings, find_suspects(corpus, settings.home, settings.inventory, ["intent"]).rows)
        assert asked.asked >= 5
        truth = dict(zip(ids, true, strict=True))
        made = Labelled(world, dict(zip(ids, texts, strict=True)), truth, wrong)
        assert made.answer(asked.round) == asked.asked
        review(corpus, names_in_use(corpus, settings.home, settings.inventory), settings.crowd, settings.people)
        with corpus.read() as conn:
            crowd: Crowd = stored_crowd(conn)
        assert crowd.careless() == []
        assert all(crowd.weight(who) == crowd.weight("somebody new") for who in PEOPLE)
