"""Queues and the weekly report: annotation in numbers, without content."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from annotation.files import TASK_FILE, read_tasks
from corpus.records.annotations import Annotation, AnnotationTask
from corpus.records.inventory import plain_inventory
from corpus.records.models import ModelVersion
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import annotations, labels, reports, rounds
from corpus.tables import models as store
from flows.models.audit_rows import audit_rows
from flows.models.eval_set import set_that_judges
from flows.models.traffic_rates import rates_of_traffic
from flows.reports.annotation_weekly import cost_of_a_point, weeks
from flows.reports.annotation_weekly_page import WeeklyReport, write_report
from flows.reports.compare import compare_versions
from flows.reports.queue_table import show_queues
from flows.tasks.queues import QueueReport, queues
from tests.corpus.stored import NOON, arrive, score
from tests.flows.judged_home import home_of, label_night, report_of, settings_at
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


def weekly(world: World, folder: Path, count: int) -> WeeklyReport:
    settings = world.settings
    names, how, gate = settings.inventory, settings.score.transcribe, settings.promotion
    return write_report(world.corpus, names, how, gate, folder, count)


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
    found = weekly(world, tmp_path / "report", 8)
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
    assert weekly(world, tmp_path / "report", 8).weeks == ()
    assert "There are no answers yet" in (tmp_path / "report" / "report.md").read_text()


def test_the_champion_is_found_in_a_home_below_that_of_the_user(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    at = schema.model_versions.c
    with writing(world.corpus.records) as conn:
        uri = conn.execute(sa.select(at.model_uri).where(at.kind == "intent")).scalar_one()
        moved = sa.update(schema.model_versions).where(at.kind == "intent")
        conn.execute(moved.values(model_uri=os.path.relpath(uri, world.settings.home)))
    corpus = replace(world.corpus, settings=world.corpus.settings.model_copy(update={"home": Path("~/home")}))
    names, how, gate = world.settings.inventory, world.settings.score.transcribe, world.settings.promotion
    assert write_report(corpus, names, how, gate, tmp_path / "report", 8).weeks == ()


def test_the_wer_of_a_point_is_that_of_compare_also_after_later_audit_rows(tmp_path: Path):
    """The rows have unequal chances, some came after the last decision, and the reports of the models are stored."""
    corpus, settings = home_of(tmp_path), settings_at(tmp_path)
    how, gate = settings.score.transcribe, settings.promotion
    ids = arrive(corpus, 40, start=400, speakers=60, arrived_at=NOON + timedelta(days=4), operation_id="ingest/later")
    score(corpus, ids[:38], "score/later")
    label_night(corpus, "2026-03-06", ids[:20])
    drawn = schema.selections.c.utterance_id
    with writing(corpus.records) as conn:
        conn.execute(sa.update(schema.selections).where(drawn.in_(ids)).values(inclusion_prob=0.1))
        store.put_version(conn, ModelVersion("intent", "1", "run", "", "base", "", "somewhere"))
        store.move_alias(conn, "intent", "champion", None, "1")
    audit = set_that_judges(corpus, gate, "asr", how.window)
    assert len(audit.labels) == 40
    with writing(corpus.records) as conn:
        for version in ("1", "3"):
            found = report_of(version, list(audit.labels), audit.eval_set_id)
            late = np.isin(found.utterance_ids, ids)
            errors = np.where(late, found.words - found.errors, found.errors)
            reports.put_report(conn, replace(found, errors=errors, beside="1"))
    cost = cost_of_a_point(corpus, how, gate)
    compared = compare_versions(corpus, settings, "asr/base", "asr/3").document
    assert [cost.wer_base, cost.wer_champion] == [pytest.approx(rate.value, abs=1e-4) for rate in compared.rates]
    assert (cost.rows, cost.eval_set_id) == (compared.difference.n, compared.eval_set_id)
    assert cost.wer_champion == pytest.approx((30 * 2 * 3 + 10 * 10 * 7) / (30 * 2 + 10 * 10) / 10, abs=1e-4)
    corpus.close()


def test_a_model_that_is_gone_leaves_the_minutes_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    corpus, settings = home_of(tmp_path), settings_at(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    corpus = replace(corpus, settings=corpus.settings.model_copy(update={"home": Path("~")}))
    found = cost_of_a_point(corpus, settings.score.transcribe, settings.promotion)
    assert found.wer_base is None
    assert f"model files {tmp_path / 'somewhere'} are missing" in found.not_judged
    assert found.minutes_so_far > 0
    corpus.close()


def test_accidental_activations_have_an_interval_over_speakers_and_each_row_counts_once(tmp_path: Path):
    corpus = home_of(tmp_path)
    with writing(corpus.records) as conn:
        audit = {row.task_id: row.utterance_id for row in rounds.tasks(conn) if row.reason == "audit"}
        answered = conn.execute(sa.select(schema.answers.c.task_id).order_by(schema.answers.c.task_id)).scalars().all()
        chosen = [task_id for task_id in answered if task_id in audit][:4]
        conn.execute(sa.update(schema.answers).where(schema.answers.c.task_id.in_(chosen)).values(verdict="accidental"))
        labels.withdraw(conn, [audit[task_id] for task_id in chosen])
    again = [Annotation(task_id, "bob", "transcribe", "accidental") for task_id in chosen[:2]]
    with corpus.operation("merge/again", "merge") as op:
        annotations.put_annotations(corpus, op, again)  # a second answer that says the same
    (week,) = weeks(corpus, 8, plain_inventory((), ()))
    assert week.accidental is not None
    assert (week.accidental.n, week.accidental.value) == (30, pytest.approx(4 / 30))
    assert week.accidental.speakers > 1
    assert week.accidental.low < 0.13 < week.accidental.high
    rows = audit_rows(corpus, settings_at(tmp_path).night, None, None)
    assert rates_of_traffic(rows, {}, {}).rates["accidental"] == week.accidental  # that of `earmark estimate`
    corpus.close()


@pytest.mark.parametrize("adopted", [False, True])
def test_a_proposed_name_agrees_with_itself_alone_before_and_after_it_is_adopted(tmp_path: Path, adopted: bool):
    names = ['inventory.intents={"find_boat": "asks for a boat"}'] if adopted else []
    said = {"ann": {"intent": "other"}, "bob": {"intent": None, "proposal": "find_boat"}}
    said["cid"] = {"intent": "other", "proposal": "find_boat"} if adopted else said["bob"]
    with round_of(tmp_path / "home", 2, *names) as world:
        world.export()
        world.merge(*(answer(world.tasks()[0], who, **texts) for who, texts in said.items()))
        found = weekly(world, tmp_path / "report", 8)
    assert {row.annotator: (row.compared, row.same_intent) for row in found.people} == {
        "ann": (2, 0.0),
        "bob": (2, 0.5),
        "cid": (2, 0.5),
    }
    assert [(row.compared, row.same_intent) for row in found.locales if row.compared] == [(3, 0.3333)]
    assert found.weeks[0].alpha_intent == pytest.approx(0.0)
    assert "boat" not in (tmp_path / "report" / "report.md").read_text().lower()
