"""A place of annotation that another package brings: tasks go there, answers come back, what is withdrawn is gone."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from corpus.errors import PluginError, Refused, SettingsError
from corpus.tables import erasure, labels, rounds
from flows.runtime.prefect_server import PrefectSettings
from flows.runtime.session import running
from flows.runtime.settings import load_settings
from flows.steps import annotation_backends
from flows.steps.label_studio_sync import PushReport, SettleReport
from flows.tasks.clip_server import clip_server
from tests.flows.homes import earmark
from tests.flows.small_round import ROUND, World, round_of
from tests.plugin_packages import install, install_acme

CLIPS = 4


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on the import path with the package `acme`."""
    folder = install_acme(tmp_path_factory.mktemp("acme") / "site")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.delitem(sys.modules, "acme", raising=False)
        yield folder


@dataclass
class Shelf:
    """A home whose tasks go to a place of another package, and that place as its makers see it."""

    world: World
    file: Path

    def held(self) -> dict[str, str]:
        """Return the addresses of the clips by task and holder."""
        return dict(json.loads(self.file.read_text())["tasks"]) if self.file.exists() else {}

    def answer(self, key: str, **fields: Any) -> None:
        state = json.loads(self.file.read_text())
        row = {"task_id": key.split("/")[0], "annotator_id": "ann", "ask": "transcribe", "verdict": "labelled"}
        row |= {"transcript": "play some jazz", "intent": "other", "lead_time": 4.5, "revision": 1}
        with self.world.corpus.read() as conn:
            row["ask"] = next(task.ask for task in rounds.tasks(conn) if task.task_id == row["task_id"])
        state["answers"].append(row | fields)
        self.file.write_text(json.dumps(state))

    def labels(self) -> list[str]:
        with self.world.corpus.read() as conn:
            return [row.utterance_id for row in labels.current(conn)]


@pytest.fixture
def shelf(acme: Path, tmp_path: Path) -> Iterator[Shelf]:
    file = tmp_path / "shelf.json"
    given = ("export.backend=acme-shelf", f"export.options.file={json.dumps(str(file))}")
    with round_of(tmp_path / "home", CLIPS, *given) as world, clip_server(world.corpus, "127.0.0.1", 0) as base:
        studio = world.settings.label_studio.model_copy(update={"clips_url": base})
        world.settings = world.settings.model_copy(update={"label_studio": studio})
        world.export()
        yield Shelf(world, file)


def test_tasks_go_there_answers_come_back_and_what_is_over_is_gone(shelf: Shelf):
    corpus, settings = shelf.world.corpus, shelf.world.settings
    assert annotation_backends.push(corpus, settings) == PushReport(sent=CLIPS, removed=0, open_there=CLIPS)
    assert annotation_backends.push(corpus, settings) == PushReport(sent=0, removed=0, open_there=CLIPS)
    first, second, *_ = shelf.held()
    assert httpx.get(shelf.held()[first], follow_redirects=True).content[:4] == b"RIFF"
    assert not list(settings.task_folder.rglob("*.wav"))

    shelf.answer(first)
    report = annotation_backends.pull(corpus, settings)
    assert (report.labels, report.refused) == (1, {})
    again = annotation_backends.pull(corpus, settings)
    assert len(shelf.labels()) == 1
    assert again.labels == report.labels, "the answer of the same operation"
    assert annotation_backends.settle(corpus, settings) == SettleReport(removed=1)
    assert first not in shelf.held()

    with corpus.read() as conn:
        utterance_id = rounds.utterance_of(conn, second.split("/")[0])
    erasure.erase_utterances(corpus, [utterance_id], reason="test")
    assert annotation_backends.settle(corpus, settings) == SettleReport(removed=1)
    assert len(shelf.held()) == CLIPS - 2
    assert annotation_backends.push(corpus, settings) == PushReport(sent=0, removed=0, open_there=CLIPS - 2)


def test_a_changed_answer_is_a_new_revision_and_a_bad_one_costs_only_itself(shelf: Shelf):
    corpus, settings = shelf.world.corpus, shelf.world.settings
    annotation_backends.push(corpus, settings)
    first, second, *_ = shelf.held()
    shelf.answer(first)
    shelf.answer(second, verdict="wonderful")
    report = annotation_backends.pull(corpus, settings)
    assert (report.labels, report.refused) == (1, {"unknown_verdict": 1})
    shelf.answer(first, transcript="play some blues", revision=2)
    annotation_backends.pull(corpus, settings)
    with corpus.read() as conn:
        (held,) = labels.current(conn)
    assert held.revision == 2


def test_without_clips_nothing_is_sent(shelf: Shelf):
    studio = shelf.world.settings.label_studio.model_copy(update={"clips_url": "http://127.0.0.1:1"})
    deaf = shelf.world.settings.model_copy(update={"label_studio": studio})
    with pytest.raises(Refused, match="start `earmark clips`"):
        annotation_backends.push(shelf.world.corpus, deaf)
    assert shelf.held() == {}


def test_a_place_that_fails_names_its_package(shelf: Shelf):
    shelf.file.write_text("{")
    with pytest.raises(PluginError, match=r"backend 'acme-shelf' of package acme 1\.2 failed: JSONDecodeError"):
        annotation_backends.push(shelf.world.corpus, shelf.world.settings)


def test_the_flows_use_it_from_export_to_merge(shelf: Shelf, prefect_url: str):
    from flows import pipeline

    settings = shelf.world.settings.model_copy(update={"prefect": PrefectSettings(api_url=prefect_url)})
    with running(settings, "test"):
        assert pipeline.export(ROUND).sent == CLIPS
        key = next(iter(shelf.held()))
        shelf.answer(key)
        report = pipeline.merge()
        assert report.labels == 1
        assert key not in shelf.held()
        shelf.file.write_text("{")
        assert "acme-shelf" in pipeline.merge().failed


def test_a_backend_is_a_setting_once_its_package_is_there(acme: Path):
    assert load_settings(overrides=["export.backend=acme-shelf"]).export.backend == "acme-shelf"
    known = "backend 'magic' is unknown; known are acme-amnesiac, acme-hoard, acme-shelf, files, label_studio"
    with pytest.raises(SettingsError, match=known):
        load_settings(overrides=["export.backend=magic"])


def test_a_backend_with_the_name_of_a_built_in_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    entries = {"earmark.backends": {"label_studio": "imitator:connect"}}
    monkeypatch.syspath_prepend(install(tmp_path / "site", "imitator", "", entries))
    settings = load_settings(overrides=["export.backend=label_studio"])
    with pytest.raises(PluginError, match=r"'label_studio' of package imitator 1\.2 has the name of one that comes"):
        annotation_backends.pull(None, settings)  # type: ignore[arg-type]


# --- earmark check-plugin ---------------------------------------------------------------------------------------------


def check(acme: Path, *command: str) -> tuple[int, list[dict[str, Any]], str]:
    """Return exit status, JSON document and errors of `earmark check-plugin`."""
    import os

    path = os.pathsep.join([str(acme), os.environ.get("PYTHONPATH", "")])
    done = earmark("check-plugin", *command, "--json", PYTHONPATH=path)
    return done.returncode, json.loads(done.stdout) if done.stdout else [], done.stderr


def test_a_good_strategy_passes(acme: Path):
    status, (found,), errors = check(acme, "acme-best")
    assert (status, errors) == (0, "")
    assert (found["kind"], found["package"]) == ("strategy", "acme 1.2")
    assert len(found["findings"]) == 6
    assert {row["problem"] for row in found["findings"]} == {""}


def test_a_bad_strategy_ends_in_one_line_with_the_rule(acme: Path):
    status, (found,), errors = check(acme, "acme-spender")
    assert status == 1
    assert [line.partition(":")[0] for line in errors.splitlines()] == ["earmark"]
    assert "acme-spender breaks" in errors
    assert "it returned 2 rows where 1 were asked for" in errors
    assert any(row["problem"] for row in found["findings"])


def test_an_unknown_name_lists_the_known(acme: Path):
    status, _, errors = check(acme, "magic")
    assert status == 2
    assert "'magic' is unknown; known are earmark.strategies: acme-best" in errors
    assert "earmark.measures: acme-doubt" in errors
    assert "earmark.backends: acme-amnesiac" in errors
    assert errors.count("\n") == 1


def test_backends_are_tried_at_an_empty_place_and_leave_it_empty(acme: Path, tmp_path: Path):
    from annotation.backend_checks import BACKEND_RULES, check_backend

    connect = annotation_backends.connect_of("acme-shelf")
    options = {"file": str(tmp_path / "shelf.json")}
    found = check_backend(connect, options)
    assert len(found) == len(BACKEND_RULES)
    assert [row for row in found if row.problem] == []
    assert connect(options).placed() == []
    (tmp_path / "shelf.json").write_text(json.dumps({"tasks": {"t1/ann": "url"}, "answers": []}))
    with pytest.raises(Refused, match=r"the backend holds 1 tasks; check an empty one"):
        check_backend(connect, options)


def test_a_backend_that_hoards_or_forgets_is_found_out(acme: Path, tmp_path: Path):
    from annotation.backend_checks import BACKEND_RULES, check_backend

    names = [rule.__name__ for rule in BACKEND_RULES]
    hoard = check_backend(annotation_backends.connect_of("acme-hoard"), {"file": str(tmp_path / "hoard.json")})
    problems = dict(zip(names, (row.problem for row in hoard), strict=True))
    assert "tasks that are not wanted" in problems["removes_what_is_not_wanted"]
    assert "unknown_task" in problems["answers_in_the_published_format"]
    forgetful = check_backend(annotation_backends.connect_of("acme-amnesiac"), {})
    problems = dict(zip(names, (row.problem for row in forgetful), strict=True))
    assert "more than once" in problems["repeat_changes_nothing"]
    assert "are missing" in problems["remembers"]
