"""Queues and the weekly report: annotation in numbers, without content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from annotation.files import TASK_FILE, read_tasks
from corpus.records.annotations import AnnotationTask
from corpus.records.inventory import plain_inventory
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import reports, rounds
from flows.reports.annotation_weekly import cost_of_a_point, weeks
from flows.reports.annotation_weekly_page import write_report
from flows.reports.queue_table import show_queues
from flows.tasks.queues import QueueReport, queues
from tests.flows.judged_home import home_of
from tests.flows.small_round import World, answer, round_of

TEAM = "people.people=" + json.dumps(
    [{"annotator_id": "ann", "hours": 4.5}, {"annotator_id": "bob", "locales": ["en-GB"]}, {"annotator_id": "cid"}]
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with round_of(tmp_path / "home", 6, TEAM, "people.other_answers=2") as made:
        made.export()
        yield made


def tasks_of(world: World, annotator_id: str) -> list[AnnotationTask]:
    file = world.folder / annotator_id / TASK_FILE
    return read_tasks(file) if file.exists() else []


def queues_of(world: World) -> QueueReport:
    return queues(world.corpus, world.settings.people, world.settings.export.due_days)


def test_queues_count_open_tasks_by_person_and_age(world: World, capsys: pytest.CaptureFixture[str]):
    found = queues_of(world)
    people = {row.annotator: row for row in found.people}
    assert {annotator_id: row.clips_a_day for annotator_id, row in people.items()} == {
        "ann": 300,
        "bob": 600,
        "cid": 600,
    }
    assert sum(row.waiting for row in people.values()) == 12
    assert {row.locale: row.clips_a_day for row in found.locales} == {"en-GB": 1500, "en-US": 900}
    assert people["ann"].due == world.corpus.clock() + timedelta(days=3)
    assert found.ages["under 1 day"] == 12
    world.after(2)
    assert queues_of(world).ages["1 to 3 days"] == 12
    task = tasks_of(world, "ann")[0]
    world.merge(answer(task, "ann", lead_time=90.0))
    after = {row.annotator: row for row in queues_of(world).people}
    assert (after["ann"].waiting, after["ann"].minutes_in_7_days) == (people["ann"].waiting - 1, 1.5)
    show_queues(queues_of(world))
    assert "clips a day" in capsys.readouterr().out


def test_the_report_has_every_week_and_no_content(world: World, tmp_path: Path):
    for week in range(2):
        for annotator_id in ("ann", "bob", "cid"):
            for task in tasks_of(world, annotator_id)[:1]:
                verdict = "accidental" if annotator_id == "cid" else "labelled"
                texts = {"transcript": f"secretword {annotator_id}", "intent": "other"} if verdict == "labelled" else {}
                world.merge(answer(task, annotator_id, verdict, lead_time=30.0, **texts))
        world.after(0.4 if week else 1)
    found = write_report(world.corpus, world.settings.inventory, tmp_path / "report", 8)
    assert sum(row.answers for row in found.weeks) == len(
        {(r.annotator, k) for r in found.people for k in range(r.answers)}
    )
    assert {row.annotator for row in found.people} <= {"ann", "bob", "cid"}
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"report.md", "throughput.png"}  # no question has two answers, and no clip is an audit row
    assert all((tmp_path / "report" / name).read_bytes()[:4] == b"\x89PNG" for name in names if name.endswith("png"))
    text = (tmp_path / "report" / "report.md").read_text()
    assert "secretword" not in text
    assert "## By annotator" in text


def test_the_page_of_a_home_without_answers_reports_that_there_are_none(world: World, tmp_path: Path):
    assert write_report(world.corpus, world.settings.inventory, tmp_path / "report", 8).weeks == ()
    assert "There are no answers yet" in (tmp_path / "report" / "report.md").read_text()


def test_the_wer_of_a_point_is_that_of_the_traffic(tmp_path: Path):
    corpus = home_of(tmp_path)
    with corpus.read() as conn:
        before = reports.report(conn, "asr", "1", "set-2")
    assert before is not None
    few, many = str(before.utterance_ids[0]), before.utterance_ids[1:].tolist()
    errors = np.where(before.utterance_ids == few, before.words, 0)
    drawn = schema.selections.c.utterance_id
    with writing(corpus.records) as conn:
        conn.execute(sa.update(schema.selections).where(drawn == few).values(inclusion_prob=0.1))
        conn.execute(sa.update(schema.selections).where(drawn.in_(many)).values(inclusion_prob=1.0))
        for table in (schema.report_rows, schema.reports):
            conn.execute(sa.delete(table).where(table.c.version == "1", table.c.eval_set_id == "set-2"))
        reports.put_report(conn, replace(before, errors=errors))
    found = cost_of_a_point(corpus)
    assert found.wer_base == pytest.approx(10 / (10 + len(many)), abs=1e-4)  # 1 of 30 rows, which stands for 10
    assert found.wer_champion == pytest.approx(0.3)
    corpus.close()


def test_accidental_activations_have_an_interval_over_speakers(tmp_path: Path):
    corpus = home_of(tmp_path)
    with writing(corpus.records) as conn:
        first = conn.execute(sa.select(schema.answers.c.task_id).order_by(schema.answers.c.task_id)).scalars()
        audit = {row.task_id for row in rounds.tasks(conn) if row.reason == "audit"}
        chosen = [task_id for task_id in first if task_id in audit][:4]
        conn.execute(sa.update(schema.answers).where(schema.answers.c.task_id.in_(chosen)).values(verdict="accidental"))
    (week,) = weeks(corpus, 8, plain_inventory((), ()))
    assert week.accidental is not None
    assert (week.accidental.n, week.accidental.value) == (30, pytest.approx(4 / 30))
    assert week.accidental.speakers > 1
    assert week.accidental.low < 0.13 < week.accidental.high
    corpus.close()


@pytest.mark.parametrize("adopted", [False, True])
def test_a_proposed_name_agrees_with_itself_alone_before_and_after_it_is_adopted(tmp_path: Path, adopted: bool):
    names = ['inventory.intents={"find_boat": "asks for a boat"}'] if adopted else []
    said = {"ann": {"intent": "other"}, "bob": {"intent": None, "proposal": "find_boat"}}
    said["cid"] = {"intent": "other", "proposal": "find_boat"} if adopted else said["bob"]
    with round_of(tmp_path / "home", 2, *names) as world:
        world.export()
        world.merge(*(answer(world.tasks()[0], who, **texts) for who, texts in said.items()))
        found = write_report(world.corpus, world.settings.inventory, tmp_path / "report", 8)
    assert {row.annotator: (row.compared, row.same_intent) for row in found.people} == {
        "ann": (2, 0.0),
        "bob": (2, 0.5),
        "cid": (2, 0.5),
    }
    assert [(row.compared, row.same_intent) for row in found.locales if row.compared] == [(3, 0.3333)]
    assert found.weeks[0].alpha_intent == pytest.approx(0.0)
    assert "boat" not in (tmp_path / "report" / "report.md").read_text().lower()
