"""Champions that can't be used are found, and a base takes the place of one that learned from nobody."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from corpus.errors import Damaged
from corpus.handle import Corpus, open_corpus
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage.database import writing
from corpus.tables import models as store
from corpus.tables import snapshots
from flows.models import registry
from flows.models.base_models import ensure_champions, use_base
from flows.models.blocked_models import blocked_models
from flows.models.bring_base import add_base
from flows.reports.doctor import examine
from flows.runtime.settings import Settings, load_settings
from tests.flows.homes import earmark
from tests.training.tiny import tiny_asr_folder
from training.tracking.facts import RunFacts
from training.tracking.registry import register
from training.tracking.runs import tracked_run
from training.tracking.store import open_tracking
from training.tracking.version_files import folder_digest


def registered_unchecked(corpus: Corpus, settings: Settings, folder: Path) -> str:
    """Register a base as it was done before bases were checked, and make it the champion where there is none."""
    tracking, base = open_tracking(settings.tracking, settings.home), folder_digest(folder)
    with tracked_run(tracking, RunFacts(f"base/asr/{base}", "asr base", "asr", base=base, labels=0)) as run_id:
        number, uri = register(tracking, "asr", folder, run_id, f"base/asr/{base}")
    with writing(corpus.records) as conn:
        version = ModelVersion("asr", number, run_id, "", base, "", registry.portable(settings.home, uri))
        store.put_version(conn, version)
        if store.alias(conn, "asr", "champion") is None:
            store.move_alias(conn, "asr", "champion", None, number)
    return number


def standing(settings: Settings) -> tuple[str | None, str | None]:
    """Return the champion and the base of asr."""
    corpus = open_corpus(settings.corpus)
    try:
        with corpus.read() as conn:
            return store.alias(conn, "asr", "champion"), store.base_of_home(conn, "asr")
    finally:
        corpus.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a home whose base and champion of asr does not load."""
    found = load_settings(None, [f"corpus.home={tmp_path / 'home'}"])
    folder = tiny_asr_folder(tmp_path / "broken")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-100])
    corpus = open_corpus(found.corpus)
    try:
        assert registered_unchecked(corpus, found, folder) == "1"
        ensure_champions(corpus, found.home, found.models, found.tracking)
    finally:
        corpus.close()
    return found


@pytest.mark.slow
def test_a_home_that_was_blocked_is_healed_by_repair_and_listed_by_dry_run(settings: Settings):
    where = ["--set", f"corpus.home={settings.home}"]
    report = examine(settings, repair=False)
    assert len(report.problems) == 1
    for part in ("asr/1 is champion and the base", "can't be read", "earmark doctor --repair"):
        assert part in report.problems[0]
    preview = examine(settings, repair=True, dry_run=True)
    assert [each.repair for each in preview.replaced or ()] == [
        "the base that comes with earmark becomes champion and base in place of asr/1, which can't be used"
    ]
    assert standing(settings) == ("1", "1")
    done = earmark("doctor", "--repair", *where)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "in place of asr/1" in done.stdout
    assert standing(settings) == ("2", "2")
    assert examine(settings, repair=True).replaced is None
    score = earmark("score", *where)
    assert score.returncode == 0, score.stderr


@pytest.mark.parametrize("damage", ["cut", "removed"])
def test_the_files_of_a_registered_base_that_comes_with_earmark_are_restored(tmp_path: Path, damage: str):
    settings = load_settings(None, [f"corpus.home={tmp_path / 'home'}"])
    corpus = open_corpus(settings.corpus)
    try:
        ensure_champions(corpus, settings.home, settings.models, settings.tracking)
        with corpus.read() as conn:
            version = store.version(conn, "asr", "1")
        folder = Path(registry.located(settings.home, version.model_uri))
        if damage == "cut":
            weights = folder / "model.safetensors"
            weights.write_bytes(weights.read_bytes()[:-100])
            assert examine(settings, repair=True).problems == ()
        else:
            shutil.rmtree(folder)
            use_base(
                corpus, settings.home, registry.BASES / "asr", "asr", open_tracking(settings.tracking, settings.home)
            )
        assert folder_digest(folder) == version.base
        assert blocked_models(corpus, settings.home, settings.models) == []
        assert standing(settings) == ("1", "1")
    finally:
        corpus.close()


@pytest.mark.parametrize("damage", ["cut", "changed", "removed"])
@pytest.mark.parametrize("copy", ["added", "named"])
def test_a_damaged_base_is_restored_from_an_intact_copy_and_stays(tmp_path: Path, damage: str, copy: str):
    theirs, home = tiny_asr_folder(tmp_path / "theirs"), tmp_path / "home"
    named = "theirs" if copy == "added" else str(theirs)
    settings = load_settings(None, [f"corpus.home={home}", f"models.asr={named}"])
    if copy == "added":
        add_base(home, str(theirs))
        shutil.rmtree(theirs)
    corpus = open_corpus(settings.corpus)
    try:
        ensure_champions(corpus, home, settings.models, settings.tracking)
        with corpus.read() as conn:
            version = store.version(conn, "asr", "1")
        folder = Path(registry.located(home, version.model_uri))
        damaged(folder, damage)
        assert [line for line in examine(settings, repair=False).problems if "earmark base use NAME" in line]
        preview = examine(settings, repair=True, dry_run=True)
        done = f"the files of asr/1 are restored from the base {named}"
        assert [each.repair for each in preview.replaced or ()] == [done]
        report = examine(settings, repair=True)
        assert [each.repair for each in report.replaced or ()] == [done]
        assert (report.problems, folder_digest(folder)) == ((), version.base)
        assert standing(settings) == ("1", "1")
        assert ensure_champions(corpus, home, settings.models, settings.tracking) == ()
    finally:
        corpus.close()


def damaged(folder: Path, how: str) -> None:
    weights = folder / "model.safetensors"
    if how == "removed":
        shutil.rmtree(folder)
    elif how == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    else:
        with (folder / "config.json").open("a") as file:
            file.write("\n")


def test_a_base_without_a_copy_is_replaced_and_the_settings_that_name_it_are_named(tmp_path: Path):
    theirs, home = tiny_asr_folder(tmp_path / "theirs"), tmp_path / "home"
    settings = load_settings(None, [f"corpus.home={home}", f"models.asr={theirs}"])
    corpus = open_corpus(settings.corpus)
    try:
        ensure_champions(corpus, home, settings.models, settings.tracking)
        with corpus.read() as conn:
            folder = Path(registry.located(home, store.version(conn, "asr", "1").model_uri))
    finally:
        corpus.close()
    damaged(folder, "cut")
    damaged(theirs, "cut")
    report = examine(settings, repair=True)
    assert [each.named for each in report.replaced or ()] == [str(theirs)]
    assert "set models.asr to null in the settings" in (report.replaced or ())[0].repair
    assert standing(settings) == ("2", "2")
    assert [line for line in report.problems if "set models.asr to null to stay" in line]
    settings = load_settings(None, [f"corpus.home={home}"])
    assert not [line for line in examine(settings, repair=True).problems if "models.asr" in line]


def test_a_base_of_the_home_that_loads_is_preferred(settings: Settings, tmp_path: Path):
    corpus = open_corpus(settings.corpus)
    try:
        tracking = open_tracking(settings.tracking, settings.home)
        use_base(corpus, settings.home, tiny_asr_folder(tmp_path / "good"), "asr", tracking)
    finally:
        corpus.close()
    assert standing(settings) == ("1", "2")
    report = examine(settings, repair=True)
    assert [(each.roles, each.instead) for each in report.replaced or ()] == [(("champion",), "2")]
    assert (standing(settings), report.problems) == (("2", "2"), ())


def test_a_champion_whose_files_are_away_or_that_learned_is_left_to_a_person(settings: Settings):
    corpus = open_corpus(settings.corpus)
    try:
        with writing(corpus.records) as conn:
            snapshot = Snapshot((SnapshotRow("u", 1, "train", 1.0),))
            snapshots.put_snapshot(conn, snapshot, "asr")
            first = store.version(conn, "asr", "1")
            learned = ModelVersion("asr", "2", "run", snapshot.snapshot_id, first.base, "1", first.model_uri)
            store.put_version(conn, learned)
            store.move_alias(conn, "asr", "champion", "1", "2")
        found = blocked_models(corpus, settings.home, settings.models)
        assert [(each.version, each.roles, each.repairable) for each in found] == [
            ("2", ("champion",), False),
            ("1", ("base",), True),
        ]
        assert "earmark rollback asr" in found[0].problem
        with pytest.raises(Damaged, match=r"asr/1 can't be used: .*earmark doctor says what to do"):
            registry.load_asr(settings.home, first)
        shutil.rmtree(registry.located(settings.home, first.model_uri))
        registry._folder.cache_clear()
        assert [each.repairable for each in blocked_models(corpus, settings.home, settings.models)] == [False, False]
    finally:
        corpus.close()
