from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus import door
from corpus.errors import RecordError
from corpus.handle import Corpus
from corpus.records.annotations import Annotation, Label
from corpus.records.arrivals import SlotSpan
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import annotations as annotations_table
from corpus.tables import erasure, labels, rounds, utterances
from corpus.vault import vault
from tests.corpus.stored import arrive, choose
from tests.corpus.tables.test_rounds import question


def answer(task: str, annotator: str = "ann", revision: int = 1, text: str = "play some jazz") -> Annotation:
    return Annotation(
        task, annotator, "transcribe", "labelled", text, "music", (SlotSpan("genre", 10, 14),), 11.5, revision, "tunes"
    )


def asked(corpus: Corpus, count: int = 2) -> tuple[list[str], list[str]]:
    ids = arrive(corpus, count)
    choose(corpus, ids)
    with writing(corpus.records) as conn:
        rounds.put_tasks(conn, [question("night-1", i) for i in ids])
    return ids, [question("night-1", i).task_id for i in ids]


def merge(corpus: Corpus, answers: list[Annotation], operation_id: str) -> dict[str, int]:
    with corpus.operation(operation_id, "merge") as op:
        if not op.done:
            op.result = annotations_table.put_annotations(corpus, op, answers)
        return {name: count for name, count in op.result.items() if count}


def label(corpus: Corpus, new: list[Label], operation_id: str, source: labels.Source = "annotators") -> dict[str, int]:
    with corpus.operation(operation_id, "merge") as op:
        if not op.done:
            op.result = labels.put_labels(corpus, op, new, source)
        return {name: count for name, count in op.result.items() if count}


def test_an_answer_counts_once(corpus: Corpus) -> None:
    _, tasks = asked(corpus)
    answers = [answer(tasks[0]), answer(tasks[0], "bob"), answer(tasks[1])]
    assert merge(corpus, answers, "merge/0") == {"added": 3}
    assert merge(corpus, answers, "merge/0") == {"added": 3}
    assert merge(corpus, [*answers, answer(tasks[1], revision=2, text="play acid jazz")], "merge/1") == {
        "added": 1,
        "repeated": 3,
    }
    changed = replace(answers[0], transcript="play more jazz")
    assert merge(corpus, [changed, answer("t0"), replace(answers[0], ask="triage")], "merge/2") == {
        "conflicting": 2,
        "unknown": 1,
    }
    assert merge(corpus, [changed, answers[0]], "merge/3") == {"repeated": 2}
    with corpus.read() as conn:
        assert annotations_table.contradicted_tasks(conn, tasks) == [tasks[0]]
        assert annotations_table.contradicted_tasks(conn, tasks[1:]) == []
        assert annotations_table.contradicted(conn) == []  # bob answered, too
        assert annotations_table.outcomes(conn) == annotations_table.outcomes(conn, "night-1") == {"labelled": 3}
        assert annotations_table.outcomes(conn, "night-2") == {}
        assert [row.revision for row in annotations_table.latest_answers(conn)] != [1, 1, 1]
        assert {row.state for row in rounds.tasks(conn)} == {"answered"}
        row = annotations_table.latest_answers(conn)[0]
        assert (row.lead_time, row.reason, row.draft_shown) == (11.5, "uncertain", False)
        assert row.duration == pytest.approx(0.1, abs=1e-3)


def test_contradicting_answers_are_named_until_somebody_else_answers(corpus: Corpus) -> None:
    ids, tasks = asked(corpus)
    merge(corpus, [answer(tasks[0]), answer(tasks[0], text="play more jazz")], "merge/0")
    with corpus.read() as conn:
        assert annotations_table.contradicted(conn) == [(ids[0], tasks[0], "night-1", "ann", 1)]
    merge(corpus, [answer(tasks[0], "bob")], "merge/1")
    with corpus.read() as conn:
        assert annotations_table.contradicted(conn) == []


def test_answers_come_through_the_door_in_all_their_revisions(corpus: Corpus) -> None:
    ids, tasks = asked(corpus)
    newest = answer(tasks[0], revision=2, text="play acid jazz")
    merge(corpus, [newest, answer(tasks[0]), answer(tasks[0], "bob")], "merge/0")
    first, second = door.open(corpus, ids, "judge", parts=("annotations",))
    assert set(first.annotations) == {newest, answer(tasks[0]), answer(tasks[0], "bob")}
    assert second.annotations == ()


def test_both_contents_of_a_contradicted_revision_are_kept_and_count_as_one_answer(corpus: Corpus) -> None:
    ids, tasks = asked(corpus)
    one, other = answer(tasks[0]), answer(tasks[0], text="play acid jazz")
    assert merge(corpus, [one], "merge/0") == {"added": 1}
    assert merge(corpus, [other, one, other], "merge/1") == {"conflicting": 1, "repeated": 2}
    (content,) = door.open(corpus, ids[:1], "annotate", parts=("annotations",))
    assert set(content.annotations) == {one, other}
    with corpus.read() as conn:
        assert annotations_table.outcomes(conn) == {"labelled": 1}
    erasure.erase_utterances(corpus, ids[:1], reason="request")
    with corpus.read() as conn:
        assert annotations_table.outcomes(conn) == {"labelled": 1}


def test_answers_to_the_erased_are_counted_not_kept(corpus: Corpus) -> None:
    ids, tasks = asked(corpus)
    vault.destroy(corpus.vault, ids[:1], "desk")
    assert merge(corpus, [answer(tasks[0]), answer(tasks[1])], "merge/0") == {"added": 1, "erased": 1}
    assert label(corpus, [Label(ids[0], "x", None, (), 1.0, 1, 1)], "merge/1") == {"erased": 1}


def test_a_label_is_superseded_never_edited(corpus: Corpus) -> None:
    (utterance_id,) = arrive(corpus, 1)
    known = Label(utterance_id, "play some jazz", "music", (SlotSpan("genre", 10, 14),), 1.0, 0, 1)
    better = replace(known, transcript="play more jazz", annotators=2, agreement=0.5)
    assert label(corpus, [known], "ingest", "manifest") == {"new": 1}
    assert label(corpus, [better], "merge/0") == {"superseded": 1}
    assert label(corpus, [better], "merge/1") == {"unchanged": 1}
    assert label(corpus, [known], "ingest/again", "manifest") == {"kept": 1}
    (held,) = door.open(corpus, [utterance_id], "train", parts=("label",))
    assert held.label == replace(better, revision=2)
    (old,) = door.open(corpus, [utterance_id], "train", parts=("label",), label_revisions={utterance_id: 1})
    assert old.label == known
    with corpus.read() as conn:
        (row,) = labels.current(conn)
    assert (row.revision, row.source, row.annotators, row.agreement) == (2, "annotators", 2, 0.5)
    assert (row.has_transcript, row.has_intent, row.reason, row.inclusion_prob) == (True, True, "", 1.0)


def test_a_withdrawn_label_leaves_its_number_behind(corpus: Corpus) -> None:
    (utterance_id,) = arrive(corpus, 1)
    first = Label(utterance_id, "play some jazz", "music", (), 1.0, 1, 1)
    label(corpus, [first], "merge/0")
    with writing(corpus.records) as conn:
        labels.withdraw(conn, [utterance_id])
        assert labels.current(conn) == []
    assert label(corpus, [first], "merge/1") == {"superseded": 1}
    (held,) = door.open(corpus, [utterance_id], "train", parts=("label",))
    assert held.label == replace(first, revision=2)


def test_labels_know_why_they_were_asked_for(corpus: Corpus) -> None:
    ids = arrive(corpus, 4)
    choose(corpus, ids[:2], "night-1", "audit")
    choose(corpus, ids[1:3], "night-2", "uncertain")
    label(corpus, [Label(i, None, "music", (), 1.0, 1, 1) for i in ids], "merge/0")
    with corpus.read() as conn:
        found = {row.utterance_id: (row.reason, row.round) for row in labels.current(conn)}
        assert found == {
            ids[0]: ("audit", "night-1"),
            ids[1]: ("audit", "night-1"),
            ids[2]: ("uncertain", "night-2"),
            ids[3]: ("", ""),
        }
        assert [row.utterance_id for row in labels.current(conn, reasons=["audit"])] == sorted(ids[:2])
        assert [row.utterance_id for row in labels.current(conn, ids=ids[2:3])] == ids[2:3]
    with writing(corpus.records) as conn:
        utterances.set_aside(conn, ids[:1], "critical_data")
        assert ids[0] not in {row.utterance_id for row in labels.current(conn)}


def test_two_labels_at_once_or_a_stranger_are_refused(corpus: Corpus) -> None:
    (utterance_id,) = arrive(corpus, 1)
    one = Label(utterance_id, "x", None, (), 1.0, 1, 1)
    with pytest.raises(RecordError, match="two labels"):
        label(corpus, [one, one], "merge/0")
    with pytest.raises(RecordError, match="stranger"):
        label(corpus, [replace(one, utterance_id="stranger")], "merge/0")


def test_no_text_is_stored_in_clear(corpus: Corpus, tmp_path: Path) -> None:
    ids, tasks = asked(corpus)
    merge(corpus, [answer(tasks[0])], "merge/0")
    label(corpus, [Label(ids[0], "play some jazz", "music", (SlotSpan("genre", 10, 14),), 1.0, 1, 1)], "merge/1")
    with corpus.read() as conn:
        contents = conn.execute(sa.select(schema.labels.c.content, schema.answers.c.content)).all()
    # the inventory has the name of the slot, which is the operator's word; what was said of it is nowhere
    assert not any(b"genre" in content for row in contents for content in row)
    corpus.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (b"play some", b"jazz", b"tunes"):
        assert secret not in stored


def test_marks_tell_texts_of_one_length_apart_and_nothing_else(corpus: Corpus) -> None:
    one, other = arrive(corpus, 2)
    spoken = Label(one, "set four", "timer", (), 1.0, 1, 1)
    mark = labels.text_marks(corpus, [spoken])[one]
    same = replace(spoken, transcript="Set  FOUR", intent="alarm", agreement=0.5, annotators=2, revision=2)
    assert labels.text_marks(corpus, [same]) == {one: mark}
    assert labels.text_marks(corpus, [replace(spoken, transcript="set five")])[one] != mark
    assert labels.text_marks(corpus, [replace(spoken, utterance_id=other)])[other] != mark
    assert labels.text_marks(corpus, [replace(spoken, transcript=None)]) == {}
    assert "four" not in mark


def test_a_stored_time_that_is_longer_than_a_day_counts_as_not_measured(corpus: Corpus) -> None:
    _, tasks = asked(corpus, 3)
    for task, seconds in zip(tasks, (1e308, 86_400.0, 30.0), strict=True):  # older versions took any
        merge(corpus, [replace(answer(task), lead_time=seconds)], f"merge/{task}")
    with corpus.read() as conn:
        assert sorted(row.lead_time for row in annotations_table.latest_answers(conn)) == [0.0, 30.0, 86_400.0]
        assert labels.minutes_so_far(conn) == 1440.5
