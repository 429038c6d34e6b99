"""Versions: their lineage, those that learned from an utterance, external models, the champion night by night."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus import door
from corpus.errors import UsageError
from corpus.storage.database import writing
from corpus.tables import annotations as annotations_table
from corpus.tables import labels, snapshots
from corpus.tables import models as store
from flows.models import registry
from flows.models.champion_history import champion_by_night, gains_per_100_labels
from flows.models.eval_set import audit_set
from flows.models.evaluation_store import evaluate_versions
from flows.reports.demo_tables import DemoReport
from flows.reports.lineage import JudgedVersion, lineage_of
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps import retrain_plan
from flows.steps.register_external import register_external
from tests.flows.conftest import copy_of
from tests.flows.homes import arguments, earmark, small_settings
from training.tracking.aliases import registry_problems
from training.tracking.facts import git_sha
from training.tracking.store import open_tracking


@pytest.fixture
def settings(lived: tuple[Settings, DemoReport], tmp_path: Path) -> Settings:
    return small_settings(copy_of(lived[0].home, tmp_path / "home"))


FIGURES = {"learning_curve.png", "reliability.png", "slices.png", "over_nights.png", "gain_per_100_labels.png"}


def newest(corpus: Any, kind: Any) -> Any:
    with corpus.read() as conn:
        return [version for version in store.versions(conn, kind) if version.snapshot_id][-1]


def test_a_version_leads_back_to_labels_rounds_flow_run_and_commit(settings: Settings):
    with opened(settings) as corpus:
        version = newest(corpus, "asr")
        found = lineage_of(corpus, settings.home, settings.tracking, f"asr/{version.version}")
        with corpus.read() as conn:
            snapshot = snapshots.snapshot(conn, version.snapshot_id)
            answered = annotations_table.latest_answers(conn)
    assert sum(found.rows.values()) == len(snapshot.rows) == sum(row.labels for row in found.labels)
    assert {row.round for row in found.rounds} == {row.round for row in answered}
    held = {row.utterance_id for row in snapshot.rows}
    assert found.annotators == {"simulated-1": sum(row.utterance_id in held for row in answered)}
    assert found.git_sha == git_sha()
    assert len(found.flow_run_id) == 36
    assert found.judged_on


def test_an_utterance_leads_on_to_what_learned_from_it(settings: Settings):
    with opened(settings) as corpus:
        version = newest(corpus, "asr")
        with corpus.read() as conn:
            snapshot = snapshots.snapshot(conn, version.snapshot_id)
        taught, judging = snapshot.of("train")[0], snapshot.of("audit")[0]
        with writing(corpus.records) as conn:
            store.taint(conn, [taught.utterance_id])
        one, other = (
            lineage_of(corpus, settings.home, settings.tracking, row.utterance_id) for row in (taught, judging)
        )
    mine = [row for row in one.learned_by if (row.kind, row.version) == ("asr", version.version)]
    assert [(row.revision, bool(row.tainted)) for row in mine] == [(taught.revision, True)]
    assert one.chosen[0].state == "answered"
    assert one.answers[0].verdict == "labelled"
    assert one.judged == ()
    assert other.learned_by == ()
    assert other.chosen[0].reason == "audit"
    assert JudgedVersion("asr", version.version) in other.judged


def test_lineage_contains_no_content(settings: Settings):
    with opened(settings) as corpus:
        version = newest(corpus, "intent")
        with corpus.read() as conn:
            ids = [row.utterance_id for row in snapshots.snapshot(conn, version.snapshot_id).of("audit")]
        said = [c.label.transcript for c in door.open(corpus, ids, "judge", parts=("label",)) if c.label is not None]
        text = json.dumps(
            [lineage_of(corpus, settings.home, settings.tracking, i).to_json() for i in [*ids, "intent/champion"]]
        )
    assert any(said)
    assert [words for words in said if words and " " in words and words in text] == []


def test_an_unknown_item_is_one_line(settings: Settings):
    with opened(settings) as corpus:
        with pytest.raises(UsageError, match="utterance nobody is unknown"):
            lineage_of(corpus, settings.home, settings.tracking, "nobody")
        with pytest.raises(UsageError, match="asr has no version 99"):
            lineage_of(corpus, settings.home, settings.tracking, "asr/99")


def test_an_external_model_is_a_version_that_moves_nothing(settings: Settings, tmp_path: Path):
    folder = tmp_path / "theirs"
    shutil.copytree(registry.BASES / "intent", folder)
    (folder / "calibration.json").write_text('{"temperature": 2.5}\n')
    with opened(settings) as corpus:
        base, champion = (registry.by_name(corpus, "intent", name) for name in ("base", "champion"))
        due = retrain_plan.plan(corpus, settings, "intent", "again", only_if_due=True)
        found = register_external(corpus, settings, folder, "intent", "theirs")
        again = register_external(corpus, settings, folder, "intent")
        version = registry.by_name(corpus, "intent", found.version)
        assert again == replace(found, already=True)
        assert (version.origin, version.parent, version.snapshot_id) == ("external", champion.version, "")
        assert registry.by_name(corpus, "intent", "base") == base
        assert registry.champion(corpus, "intent") == champion
        assert retrain_plan.plan(corpus, settings, "intent", "again", only_if_due=True) == due
        audit = audit_set(corpus, settings.promotion, "intent")
        report = evaluate_versions(corpus, settings.home, settings.score.transcribe, audit, [version])[version.version]
        assert found.rate is not None
        assert found.rate.n == len(report) == len(audit.labels)
        with corpus.read() as conn:
            versions = store.versions(conn, "intent")
            held = {name: store.alias(conn, "intent", name) for name in ("champion", "challenger", "previous")}
    tracking = open_tracking(settings.tracking, settings.home)
    assert registry_problems(tracking, "intent", versions, held) == []
    run = tracking.client.get_run(version.run_id)
    assert run.info.run_name == "theirs"
    assert run.data.tags["earmark.eval_set_id"] == found.eval_set_id
    assert 0 <= run.data.metrics["intent_error"] <= 1


def test_the_files_of_a_version_that_learned_here_are_that_version_and_stay_tainted(settings: Settings, tmp_path: Path):
    with opened(settings) as corpus:
        version = newest(corpus, "intent")
        folder = tmp_path / "theirs"
        shutil.copytree(registry.located(settings.home, version.model_uri), folder)
        with corpus.read() as conn:
            taught = snapshots.snapshot(conn, version.snapshot_id).of("train")[0].utterance_id
            before = store.versions(conn, "intent")
        with writing(corpus.records) as conn:
            store.taint(conn, [taught])
        found = register_external(corpus, settings, folder, "intent")
        assert (found.version, found.already) == (version.version, True)
        assert registry.by_name(corpus, "intent", found.version).tainted
        with corpus.read() as conn:
            assert len(store.versions(conn, "intent")) == len(before)


def test_a_folder_that_holds_no_such_model_is_refused_in_one_line(settings: Settings, tmp_path: Path):
    with opened(settings) as corpus:
        for path, message in ((tmp_path / "nowhere", "no such folder"), (registry.BASES / "asr", "use as intent")):
            with pytest.raises(UsageError, match=message):
                register_external(corpus, settings, path, "intent")
    done = earmark("register", str(registry.BASES / "intent"), "--kind", "asr", *arguments(settings.home))
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_each_night_is_judged_by_its_own_champion(settings: Settings):
    with opened(settings) as corpus:
        audit = audit_set(corpus, settings.promotion, "asr")
        versions = [registry.by_name(corpus, "asr", name) for name in ("base", "champion")]
        found = evaluate_versions(corpus, settings.home, settings.score.transcribe, audit, versions)
        nights = champion_by_night(corpus, audit, found)
        with corpus.read() as conn:
            drawn = {row.utterance_id: row.round for row in labels.current(conn, sorted(audit.labels))}
    assert [night.name for night in nights] == sorted(set(drawn.values()))
    assert sum(night.rate.n for night in nights) == len(audit.labels)
    first = found["1"]  # the base was at work when the first night was scored
    rows = np.array([drawn[i] == nights[0].name for i in first.utterance_ids.tolist()])
    weights = np.array(audit.weights)[rows]
    expected = (first.errors[rows] * weights).sum() / (first.words[rows] * weights).sum()
    assert nights[0].rate.value == pytest.approx(expected)


def test_what_labels_brought_is_the_difference_to_the_base(settings: Settings):
    with opened(settings) as corpus:
        version, base = newest(corpus, "intent"), registry.by_name(corpus, "intent", "base")
        audit = audit_set(corpus, settings.promotion, "intent")
        found = evaluate_versions(corpus, settings.home, settings.score.transcribe, audit, [version, base])
        (count, gain), *_ = gains_per_100_labels(corpus, audit, found, found[base.version])
        with corpus.read() as conn:
            assert count == len(snapshots.snapshot(conn, version.snapshot_id).of("train"))
    wrong = [(~found[each.version].correct * audit.weights).sum() / audit.weights.sum() for each in (base, version)]
    assert gain.value == pytest.approx(100 * (wrong[0] - wrong[1]) / count)
    assert gain.low <= gain.value <= gain.high


def test_the_run_shows_every_figure(settings: Settings):
    tracking = open_tracking(settings.tracking, settings.home)
    with opened(settings) as corpus:
        for kind, own in (("asr", set()), ("intent", {"confusion.png"})):
            run_id = newest(corpus, kind).run_id
            shown = {Path(each.path).name for each in tracking.client.list_artifacts(run_id, "figures")}
            assert shown >= FIGURES | own
            assert "champion_error_by_night" in tracking.client.get_run(run_id).data.metrics
