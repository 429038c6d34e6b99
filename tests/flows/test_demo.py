from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from corpus.tables import rounds, utterances
from flows.demo import run_demo
from flows.reports.demo_tables import night_from_json, show_demo
from flows.reports.doctor import examine
from flows.reports.status import status_of
from flows.runtime.session import opened
from tests.flows.homes import arguments, earmark, state


def test_every_night_adds_up(lived_anywhere):
    _, report = lived_anywhere
    assert len(report.nights) == 2
    for night in report.nights:
        assert night.received == night.accepted + sum(night.refused.values())
        assert night.chosen == pytest.approx(night.fraction * night.scored)
        assert 0 < night.chosen <= 24
        assert 0 < night.labels <= night.chosen
        for kind, name in (("asr", "wer"), ("intent", "accuracy")):
            for figure in (name, f"base_{name}", "difference"):
                rate = night.to_json()[kind][figure]
                assert rate["low"] <= rate["value"] <= rate["high"]
                assert rate["n"] > 0
    json.dumps(report.to_json(), allow_nan=False)
    assert [night_from_json(night.to_json()) for night in report.nights] == list(report.nights)


def test_the_demo_ends_with_the_page_of_its_last_night_and_a_sketch_of_the_curves(lived, capsys):
    settings, report = lived
    page = Path(report.page)
    assert page.parent == settings.home / "report"
    assert f"Night {report.nights[-1].night}" in page.read_text()
    show_demo(report)
    printed = capsys.readouterr().out
    assert f"page of the last night: {page}" in printed
    assert "WER over the nights (C champion, b base)" in printed
    assert "intent accuracy over the nights (C champion, b base)" in printed


def test_the_second_choice_rests_on_the_answers_to_the_first(lived_anywhere):
    """The champions moved or not in between: what is labelled was scored by those at work, and none of it learned."""
    _, report = lived_anywhere
    first, second = (night.evidence for night in report.nights)
    assert first.known.labelled == 0
    assert second.known.labelled == second.known.scored == report.nights[0].labels
    audit = report.nights[0].asr.rate.n
    assert audit <= second.known.unseen <= second.known.labelled
    assert set(second.calibration) == {"words", "intent"}
    assert second.costs["transcribe"].answers > 0
    for ahead in report.nights[1].outlook.values():
        assert ahead.advice == "unknown"
        assert "needs at least 3 judged versions" in ahead.why


def test_audit_rows_accumulate_and_learning_happened(lived_anywhere):
    settings, report = lived_anywhere
    counts = [night.asr.rate.n for night in report.nights]
    assert counts[0] < counts[1]
    models = status_of(settings).models
    assert len(models["asr"].versions) == 3
    assert len(models["intent"].versions) == 3
    assert models["asr"].looks == 2


def test_nothing_but_train_speakers_is_learned_from_and_audit_rows_never(lived_anywhere):
    settings, _ = lived_anywhere
    from corpus.tables import labels, snapshots
    from corpus.tables import models as store

    with opened(settings) as corpus, corpus.read() as conn:
        facts = {row.utterance_id: row for row in labels.current(conn)}
        for version in store.versions(conn, "asr")[1:]:
            for row in snapshots.snapshot(conn, version.snapshot_id).of("train"):
                assert facts[row.utterance_id].split == "train"
                assert facts[row.utterance_id].reason != "audit"


def test_the_demo_again_adds_nothing_twice(lived_anywhere):
    settings, report = lived_anywhere
    before = state(settings)
    again = run_demo(settings, 2, quiet=True)
    assert state(settings) == before
    for first, second in zip(report.nights, again.nights, strict=True):
        for name in ("night", "received", "accepted", "refused", "scored", "chosen", "fraction", "labels"):
            assert getattr(first, name) == getattr(second, name)


def test_status_and_doctor_agree_with_the_store(lived_anywhere):
    settings, report = lived_anywhere
    status = status_of(settings)
    found = examine(settings, repair=False)
    assert found.problems == ()
    with opened(settings) as corpus, corpus.read() as conn:
        assert status.utterances == utterances.counts(conn)
        assert [row.chosen for row in status.rounds] == [row.selected for row in rounds.rounds(conn)]
    accepted = sum(night.accepted for night in report.nights)
    assert found.checks["counts"]["accepted"] == accepted == status.utterances["accepted"]
    assert status.utterances["received"] == sum(night.received for night in report.nights)


def test_the_doctor_finds_what_is_broken(lived, tmp_path):
    from tests.flows.conftest import copy_of
    from tests.flows.homes import small_settings

    home = copy_of(lived[0].home, tmp_path / "broken")
    settings = small_settings(home)
    pack = next((home / "content").rglob("*.pack"))
    pack.unlink()
    with sqlite3.connect(home / "records.db") as conn:
        conn.execute("UPDATE audit SET actor = 'nobody' WHERE seq = 2")
    problems = " ".join(examine(settings, repair=False).problems)
    assert "row 2" in problems
    assert "content" in problems
    done = earmark("doctor", *arguments(home))
    assert done.returncode == 1
    assert "PROBLEM" in done.stdout


def test_prefect_and_mlflow_know_the_runs(lived_anywhere):
    settings, demo = lived_anywhere
    with sqlite3.connect(settings.home / "prefect" / "prefect.db") as conn:
        flows = dict(conn.execute("SELECT f.name, count(*) FROM flow_run r JOIN flow f ON f.id = r.flow_id GROUP BY 1"))
        states = {row[0] for row in conn.execute("SELECT DISTINCT state_type FROM flow_run")}
        names = {row[0] for row in conn.execute("SELECT name FROM flow_run")}
        tasks = {row[0] for row in conn.execute("SELECT name FROM task_run")}
    assert flows["nightly"] >= 2
    assert states == {"COMPLETED"}
    assert {f"nightly {night.night}" for night in demo.nights} <= names
    assert {"ingest", "score", "sample", "retrain asr", "judge intent"} <= tasks
    with sqlite3.connect(settings.home / "mlflow" / "mlflow.db") as conn:
        metrics = {row[0] for row in conn.execute("SELECT DISTINCT key FROM latest_metrics")}
        tags = {row[0] for row in conn.execute("SELECT DISTINCT key FROM tags")}
    assert {"sample_chosen", "sample_expected_errors_pool"} <= metrics
    assert {"audit_wer", "audit_wer_low", "anchor_intent_error", "labels", "gain_per_100_labels"} <= metrics
    assert {"earmark.snapshot_id", "earmark.eval_set_id", "earmark.flow_run_id"} <= tags
