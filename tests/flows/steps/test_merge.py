"""Merge answers to an utterance that has a label: retracted, repeated, or with a safety verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from annotation.files import write_annotations
from corpus import door
from corpus.records.annotations import Annotation
from corpus.tables import labels, rounds
from corpus.tables.annotations import latest_answers, put_annotations
from flows.reports.demo_tables import DemoReport
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps.merge import merge_file
from flows.steps.merge_report import MergeReport
from flows.steps.merge_total import total
from tests.corpus.stored import state_reasons
from tests.flows.conftest import copy_of
from tests.flows.homes import small_settings


@pytest.fixture
def settings(lived: tuple[Settings, DemoReport], tmp_path: Path) -> Settings:
    return small_settings(copy_of(lived[0].home, tmp_path / "home"))


def merge(settings: Settings, tmp_path: Path, *annotations: Annotation) -> MergeReport:
    file = write_annotations(tmp_path / "answers.jsonl", annotations)
    with opened(settings) as corpus:
        return merge_file(corpus, settings, file, from_inbox=False)


def a_label(settings: Settings) -> tuple[str, str, int]:
    """Return a task that gave a transcript, its utterance and the label's revision."""
    with opened(settings) as corpus, corpus.read() as conn:
        held = {row.utterance_id: row for row in labels.current(conn) if row.has_transcript and row.annotators == 1}
        task = next(t for t in rounds.tasks(conn, None, None) if t.utterance_id in held and t.ask == "transcribe")
        return task.task_id, task.utterance_id, held[task.utterance_id].revision


def answer(task_id: str, verdict: str, revision: int, who: str = "simulated", **texts: Any) -> Annotation:
    return Annotation(task_id=task_id, annotator_id=who, ask="transcribe", verdict=verdict, revision=revision, **texts)  # type: ignore[arg-type]


def test_a_label_is_withdrawn_and_comes_back_as_a_new_revision(settings: Settings, tmp_path: Path):
    task_id, utterance_id, revision = a_label(settings)
    with opened(settings) as corpus:
        (content,) = door.open(corpus, [utterance_id], "annotate", parts=("annotations",))
        (before,) = content.annotations
    who, said = before.annotator_id, {"transcript": before.transcript, "intent": before.intent, "slots": before.slots}

    report = merge(settings, tmp_path, answer(task_id, "accidental", 2, who))
    assert report.outcomes == {"accidental": 1}
    with opened(settings) as corpus, corpus.read() as conn:
        assert labels.current(conn, [utterance_id]) == []
        assert labels.withdrawn(conn, [utterance_id]) == {utterance_id: revision}

    report = merge(settings, tmp_path, answer(task_id, "labelled", 3, who, **said))
    assert report.labels == 1
    with opened(settings) as corpus, corpus.read() as conn:
        (row,) = labels.current(conn, [utterance_id])
        assert row.revision == revision + 2  # of two more answers
        assert labels.withdrawn(conn, [utterance_id]) == {}


def test_the_tasks_of_contradicting_answers_are_named(settings: Settings, tmp_path: Path):
    task_id, _, _ = a_label(settings)
    one, other = (answer(task_id, verdict, 1, "second") for verdict in ("accidental", "unintelligible"))
    assert merge(settings, tmp_path, one).conflicting_tasks is None
    report = merge(settings, tmp_path, other)
    assert (report.conflicting, report.conflicting_tasks) == (1, (task_id,))
    assert MergeReport.from_json(report.to_json()).conflicting_tasks == (task_id,)
    assert total([("a", report), ("b", report)], {}, None).conflicting_tasks == (task_id,)


@pytest.mark.parametrize("before", ["J\u00f6rg \u00c5s", "Jo\u0308rg A\u030as", "J\u00f6rg\u200b \u00c5s"])
def test_a_correction_takes_the_place_of_an_answer_in_whatever_form_the_name_was_stored(
    settings: Settings, tmp_path: Path, before: str
):
    task_id, utterance_id, _ = a_label(settings)
    with opened(settings) as corpus, corpus.operation("merge/earlier-version", "merge") as op:
        put_annotations(corpus, op, [answer(task_id, "labelled", 1, before, transcript="stop", intent="other")])
    for revision, written in ((1, "Jo\u0308rg A\u030as"), (2, "J\u00f6rg \u00c5s"), (3, "Jo\u0308rg  A\u030as")):
        said = answer(task_id, "labelled", revision, written, transcript="stop", intent="other")
        assert merge(settings, tmp_path, said).repeated == (revision == 1)
        with opened(settings) as corpus, corpus.read() as conn:
            rows = {row.annotator_id: row.revision for row in latest_answers(conn) if row.task_id == task_id}
            assert (rows.pop(before), len(rows)) == (revision, 1)  # the other one is the simulated person's
    with opened(settings) as corpus:
        assert list(door.open(corpus, [utterance_id], "annotate", parts=("annotations",)))


@pytest.mark.parametrize("verdict", ["critical_data", "distress"])
def test_one_voice_closes_an_utterance_to_everybody(settings: Settings, tmp_path: Path, verdict: str):
    task_id, utterance_id, _ = a_label(settings)
    merge(settings, tmp_path, answer(task_id, verdict, 1, "second"))
    with opened(settings) as corpus:
        assert list(door.open(corpus, [utterance_id], "annotate", strict=False)) == []
        assert list(door.open(corpus, [utterance_id], "train", strict=False)) == []
        with corpus.read() as conn:
            assert state_reasons(conn, "set_aside")[verdict] == 1
            assert labels.current(conn, [utterance_id]) == []
    late = merge(settings, tmp_path, answer(task_id, "help", 1, "third"))
    assert late.refused == {"closed_utterance": 1}


@pytest.mark.parametrize("order", [("critical_data", "distress"), ("distress", "critical_data")])
def test_the_gravest_of_two_safety_verdicts_is_the_reason_in_whatever_order_their_files_come(
    settings: Settings, tmp_path: Path, order: tuple[str, str]
):
    task_id, _, _ = a_label(settings)
    for number, verdict in enumerate(order):
        merge(settings, tmp_path, answer(task_id, verdict, 1, f"person {number}"))
    with opened(settings) as corpus, corpus.read() as conn:
        assert state_reasons(conn, "set_aside")["distress"] == 1
        assert "critical_data" not in state_reasons(conn, "set_aside")


def test_a_task_whose_id_is_escaped_is_found_and_a_wrong_id_refused(settings: Settings, tmp_path: Path):
    task_id, _, _ = a_label(settings)
    row = {"task_id": task_id, "annotator_id": "second", "ask": "transcribe", "verdict": "unintelligible"}
    escaped = json.dumps(row).replace(f'"{task_id}"', '"' + "".join(f"\\u{ord(each):04x}" for each in task_id) + '"')
    assert task_id not in escaped
    file = tmp_path / "answers.jsonl"
    file.write_text("\n".join([escaped, json.dumps({**row, "task_id": "t" + 31 * "0"})]))
    with opened(settings) as corpus:
        report = merge_file(corpus, settings, file, from_inbox=False)
    assert (report.annotations, report.refused) == (1, {"unknown_task": 1})
