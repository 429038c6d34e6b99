"""The weights of a version that learned from what was erased are in no file once it does not serve."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from corpus.errors import Damaged, EarmarkError
from corpus.handle import Corpus
from corpus.storage.database import writing
from corpus.tables import models as store
from flows.models import registry
from flows.models.aliases import move_champion
from flows.reports.doctor import examine
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps import destroy_weights as step
from flows.steps import erase, erase_target
from flows.steps.replace_tainted import TaintedReport, replace_tainted
from tests.flows.labelled_home import labelled_home, settings_of
from tests.flows.steps.test_replace_tainted import FAST, judged, learn, learn_again, rows_of
from training.tracking import weights
from training.tracking.aliases import DESTROYED_TAG
from training.tracking.registry import model_name, register
from training.tracking.runs import run_metrics
from training.tracking.store import open_tracking


@pytest.fixture(scope="module")
def home_of_two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A home of tiny models with two intent versions that learned; the second one is champion."""
    folder = tmp_path_factory.mktemp("weights")
    settings = labelled_home(folder, *FAST)
    with opened(settings) as corpus:
        first = learn(corpus, settings)
        judged(corpus, first, "promote")
        second = learn_again(corpus, settings)
        move_champion(corpus, "intent", "1", second, how="forced", why="test", actor="test")
    return folder, first, second


@pytest.fixture
def made(home_of_two: tuple[Path, str, str], tmp_path: Path) -> tuple[Settings, str, str]:
    folder, first, second = home_of_two
    shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("lock"))
    return settings_of(tmp_path / "copy", *FAST), first, second


def bytes_of(corpus: Corpus, home: Path, version: str) -> bytes:
    """Return a piece of the weights of a version that no other has."""
    with corpus.read() as conn:
        uri = store.version(conn, "intent", version).model_uri
    (file,) = (home / uri).rglob("model.safetensors")
    return file.read_bytes()[-600:-300]


def files_with(folder: Path, piece: bytes) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and piece in path.read_bytes()]


def erase_a_row(corpus: Corpus, settings: Settings, version: str) -> erase.EraseReport:
    target = erase_target.Target((rows_of(corpus, version)[0],))
    return erase.erase(corpus, settings, target, "request", "desk")


def of_weights(settings: Settings) -> list[str]:
    return [each for each in examine(settings, repair=False).problems if "weights" in each or "tainted" in each]


def test_they_go_at_once_where_it_does_not_serve_and_after_it_gave_way_where_it_does(made: tuple[Settings, str, str]):
    settings, first, second = made
    with opened(settings) as corpus:
        pieces = {version: bytes_of(corpus, settings.home, version) for version in (first, second)}
        for version, piece in pieces.items():
            assert len(files_with(settings.home, piece)) == 1, version
        listed = erase.preview(corpus, erase_target.Target((rows_of(corpus, first)[0],)))
        assert listed.weights == (f"intent/{first}",)  # not the champion
        report = erase_a_row(corpus, settings, first)
        assert report.tainted == (f"intent/{first}", f"intent/{second}")
        assert report.weights == (f"intent/{first}",)
        assert files_with(settings.home, pieces[first]) == []
        assert len(files_with(settings.home, pieces[second])) == 1
        registry.load_intent(settings.home, registry.champion(corpus, "intent"))
        serving = f"models: intent/{second} is champion and learned from an utterance that was erased"
        assert any(each.startswith(serving) for each in examine(settings, repair=False).problems)
        gave_way = replace_tainted(corpus, settings.home, settings.erasure, settings.tracking)
        assert isinstance(gave_way, TaintedReport)
        assert (gave_way.destroyed, gave_way.not_done) == ((f"intent/{second}",), None)
        assert files_with(settings.home, pieces[second]) == []
        with pytest.raises((Damaged, EarmarkError), match="such weights are destroyed"):
            registry.load_intent(settings.home, registry.by_name(corpus, "intent", second))
        with corpus.read() as conn:
            assert list(store.destroyed(conn, "intent")) == [first, second]
            run_id = store.version(conn, "intent", second).run_id
            assert store.to_destroy(conn) == []
        tracking = open_tracking(settings.tracking, settings.home)
        assert run_metrics(tracking, run_id)  # the counts stay
        assert DESTROYED_TAG in tracking.client.get_model_version(model_name(tracking, "intent"), second).tags
        assert of_weights(settings) == []
        registry.load_intent(settings.home, registry.champion(corpus, "intent"))
        assert step.destroy_weights(corpus, settings.home, settings.tracking) == ()


def test_a_store_that_fails_is_named_and_the_next_time_does_it(
    made: tuple[Settings, str, str], monkeypatch: pytest.MonkeyPatch
):
    settings, first, _ = made

    def fails(*_: object) -> None:
        raise EarmarkError("the store is away; start it")

    with opened(settings) as corpus:
        piece = bytes_of(corpus, settings.home, first)
        with monkeypatch.context() as patched:
            patched.setattr(weights, "destroy_files", fails)
            report = erase_a_row(corpus, settings, first)
        assert report.finished is not None
        assert report.finished.not_done == {"weights": "the store is away; start it"}
        assert any(f"the weights of intent/{first} are still there" in each for each in of_weights(settings))
        done = erase.finish(corpus, settings)
        assert isinstance(done, erase.FinishReport)
        assert done.destroyed == (f"intent/{first}",)
        assert files_with(settings.home, piece) == []
        assert not any("are still there" in each for each in of_weights(settings))


def test_killed_after_the_files_the_next_time_notes_it(made: tuple[Settings, str, str]):
    settings, first, _ = made
    with opened(settings) as corpus:
        with writing(corpus.records) as conn:
            store.taint(conn, rows_of(corpus, first)[:1], corpus.clock())
            version = store.version(conn, "intent", first)
        weights.destroy_files(
            open_tracking(settings.tracking, settings.home), version.run_id, str(settings.home / version.model_uri), ()
        )
        assert step.destroy_weights(corpus, settings.home, settings.tracking) == (f"intent/{first}",)


def test_what_the_records_do_not_name_stays_in_the_store(made: tuple[Settings, str, str]):
    settings, first, second = made
    with opened(settings) as corpus:
        tracking = open_tracking(settings.tracking, settings.home)
        with corpus.read() as conn:
            champion = store.version(conn, "intent", second)
        run = tracking.client.create_run(tracking.experiment_id).info.run_id
        folder = registry.local_files(registry.located(settings.home, champion.model_uri))
        number, uri = register(tracking, "intent", folder, run, "retrain/unknown")
        somebodys = tracking.client.create_run(tracking.experiment_id).info
        tracking.client.log_artifacts(somebodys.run_id, str(folder), "model/abc/model")
        piece = bytes_of(corpus, settings.home, second)
        assert len(files_with(settings.home, piece)) == 3
        assert erase_a_row(corpus, settings, first).weights == (f"intent/{first}",)
        assert Path(uri).exists()
        assert len(files_with(settings.home, piece)) == 3
        name = model_name(tracking, "intent")
        left = {str(each.version) for each in tracking.client.search_model_versions(f"name = '{name}'")}
        assert {"1", first, second, number} <= left
