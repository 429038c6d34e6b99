"""A model from elsewhere becomes a version, and one that was trained here is found again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from corpus.errors import UsageError
from corpus.storage.database import writing
from corpus.tables import models as store
from corpus.tables import snapshots
from flows.models import registry
from flows.models.eval_set import audit_set
from flows.models.evaluation_store import evaluate_versions
from flows.models.registry import standing
from flows.reports.demo_tables import DemoReport
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps import retrain_plan
from flows.steps.register_external import register_external
from tests.flows.conftest import copy_of
from tests.flows.homes import arguments, earmark, newest_version, small_settings
from training.tracking.aliases import registry_problems
from training.tracking.store import open_tracking


@pytest.fixture
def settings(lived: tuple[Settings, DemoReport], tmp_path: Path) -> Settings:
    return small_settings(copy_of(lived[0].home, tmp_path / "home"))


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
            held = standing(conn, "intent")
    tracking = open_tracking(settings.tracking, settings.home)
    assert registry_problems(tracking, "intent", versions, held) == []
    run = tracking.client.get_run(version.run_id)
    assert run.info.run_name == f"intent {found.version} · external · theirs"
    assert run.data.tags["earmark.eval_set_id"] == found.eval_set_id
    assert 0 <= run.data.metrics["audit_intent_error"] <= 1
    assert run.data.metrics["audit_rows"] == found.rate.n


def test_a_switch_of_the_base_goes_with_it_where_the_command_asks_for_it(settings: Settings, tmp_path: Path):
    for name in ("theirs", "new-base"):
        shutil.copytree(registry.BASES / "intent", tmp_path / name)
        (tmp_path / name / "calibration.json").write_text(f'{{"temperature": {len(name)}.5}}\n')
    models = settings.models.model_copy(update={"intent": str(tmp_path / "new-base")})
    wanted = settings.model_copy(update={"models": models})
    with opened(settings) as corpus:
        before = registry.by_name(corpus, "intent", "base")
        register_external(corpus, wanted, tmp_path / "theirs", "intent")
        assert registry.by_name(corpus, "intent", "base") == before
        register_external(corpus, wanted, tmp_path / "theirs", "intent", on_other="switch")
        base = registry.by_name(corpus, "intent", "base")
        assert (base.origin, base.version != before.version) == ("base", True)


def test_the_files_of_a_version_that_learned_here_are_that_version_and_stay_tainted(settings: Settings, tmp_path: Path):
    with opened(settings) as corpus:
        version = newest_version(corpus, "intent")
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
