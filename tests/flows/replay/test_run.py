import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from corpus.errors import UsageError
from flows.replay import run as run_replay
from flows.replay.simulate import ReplaySettings, problem_of_seed, simulate
from flows.reports.replay_table import show_replay
from flows.runtime.settings import load_settings
from sampling.strategies.registry import STRATEGIES
from tests.training.replay_learners.corpora import write_clips, write_texts
from training.replay_learners.corpora import read_corpus
from training.replay_learners.problem import make_problem


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return write_texts(tmp_path_factory.mktemp("texts"), pool=200, test=80)


@pytest.fixture(scope="module")
def problem(texts):
    return make_problem(read_corpus(texts), 5)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("EARMARK_HOME", str(tmp_path / "home"))
    return load_settings()


HOW = ReplaySettings(batch=8, neighbours=5, until=0.95)


@pytest.mark.parametrize("name", [*sorted(STRATEGIES), "top:entropy"])
def test_every_strategy_runs_to_its_target_or_the_end_of_the_pool(problem, name):
    curve = simulate(problem, HOW.model_copy(update={"max_labels": 64}), name, 0, 0.95)
    assert list(curve.labels) == [*range(8, 8 * len(curve.labels) + 1, 8)]
    assert curve.at_target is not None or curve.labels[-1] == 64
    assert all(np.diff(curve.seconds) > 0)
    assert curve == simulate(problem, HOW.model_copy(update={"max_labels": 64}), name, 0, 0.95)


def test_a_pool_is_used_up_and_no_label_bought_twice(problem):
    curve = simulate(problem, HOW.model_copy(update={"batch": 60, "until": 1.0}), "random", 1, 1.1)
    assert curve.labels == (60, 120, 180, 200)


def test_noise_skew_and_rare_speakers_are_the_same_for_every_strategy(problem):
    noisy = problem_of_seed(problem, HOW.model_copy(update={"label_noise": 0.1}), 3)
    assert (noisy.labels != problem.labels).sum() == 20
    np.testing.assert_array_equal(
        noisy.labels, problem_of_seed(problem, HOW.model_copy(update={"label_noise": 0.1}), 3).labels
    )
    counts = np.sort(np.bincount(problem_of_seed(problem, HOW.model_copy(update={"skew": "zipf"}), 3).labels))[::-1]
    assert counts.tolist() == [50, 25, 16, 12]
    cut = problem_of_seed(problem, HOW.model_copy(update={"rare": {"s0": 0.05, "s1": 0.05}}), 3)
    assert (cut.speakers == "s0").mean() == pytest.approx(0.05, abs=0.01)
    assert len(cut.features) == len(cut.labels) == len(cut.texts)
    with pytest.raises(UsageError, match="nobody"):
        problem_of_seed(problem, HOW.model_copy(update={"rare": {"nobody": 0.05}}), 0)


def test_a_resumed_replay_has_the_same_results(texts, settings, tmp_path):
    how = run_replay.replay_settings([], learner="linear", batch=8, neighbours=5, until=0.95)
    plan = run_replay.plan_replay(settings.home, texts, "default,top", 2, how, tmp_path / "out", 2)
    report = run_replay.run_replay(settings.home, settings.tracking, plan)
    lines = (plan.out / "curves.jsonl").read_text().splitlines()
    assert len(lines) == 2 + 3 * 2  # the full pool, and random besides the two, of each seed
    (plan.out / "curves.jsonl").write_text("\n".join(lines[:4]) + '\n{"torn')
    assert run_replay.run_replay(settings.home, settings.tracking, plan) == report
    assert (plan.out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((plan.out / "replay.json").read_text()) == report.to_json()
    assert report.corpus == texts.name
    assert report.full_pool > 0.9
    row = report.strategies["default"]
    assert len(row.labels_to_target) == len(row.seconds_to_target) == 2
    ratio = np.divide(row.labels_to_target, report.strategies["random"].labels_to_target)
    assert row.saving_vs_random.mean == pytest.approx(1 - np.exp(np.log(ratio).mean()))

    import mlflow

    from training.tracking.store import tracking_uri

    client = mlflow.MlflowClient(tracking_uri(settings.tracking, settings.home))
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(experiments)
    nested = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert sorted(run.data.params["strategy"] for run in nested) == ["default", "random", "top"]
    assert len({run.data.tags["mlflow.parentRunId"] for run in nested}) == 1
    assert all(run.data.metrics["full_pool"] == pytest.approx(report.full_pool) for run in nested)


def test_clips_are_replayed_with_rare_speakers(settings, tmp_path):
    clips = write_clips(tmp_path / "clips", pool=45, test=18)
    how = run_replay.replay_settings(["ann=0.2"], learner="linear", batch=5, neighbours=3, until=0.9)
    plan = run_replay.plan_replay(settings.home, clips, "default", 1, how, tmp_path / "o", 1)
    report = run_replay.run_replay(settings.home, settings.tracking, plan)
    assert set(report.rare["default"].error) == {"all", "ann"}


def test_what_is_left_out_and_what_nobody_can_get_right_is_said_also_by_a_run_that_is_resumed(
    settings, tmp_path, capsys
):
    clips = write_clips(tmp_path / "clips", pool=30, test=12)
    (clips / "train-4.wav").write_bytes(b"")
    with (clips / "test.jsonl").open("a") as file:
        file.write(json.dumps({"audio": "test-0.wav", "text": "x", "intent": "odd"}) + "\n")
    how = run_replay.replay_settings([], learner="linear", batch=5, neighbours=3, until=0.9, max_labels=10)
    plan = run_replay.plan_replay(settings.home, clips, "default", 1, how, tmp_path / "o", 1)
    report = run_replay.run_replay(settings.home, settings.tracking, plan)
    assert (report.full_pool, report.unseen) == (pytest.approx(12 / 13), {"odd": 1})
    assert [(row.file, row.line, row.clip) for row in report.left_out] == [("train.jsonl", 5, "train-4.wav")]
    assert run_replay.run_replay(settings.home, settings.tracking, plan) == report
    assert json.loads((plan.out / "replay.json").read_text())["left_out"][0]["file"] == "train.jsonl"
    show_replay(report, plan.out)
    said = capsys.readouterr().err
    assert "train.jsonl: 1 row is left out, since the clip can't be read" in said
    assert "train.jsonl line 5: train-4.wav: empty: " in said
    assert "test.jsonl: 1 row counts as wrong for every strategy, since train.jsonl lacks the intent: odd" in said
    (clips / "train-4.wav").write_bytes((clips / "train-1.wav").read_bytes())
    mended = run_replay.plan_replay(settings.home, clips, "default", 1, how, tmp_path / "o", 1)
    assert run_replay.run_replay(settings.home, settings.tracking, mended).left_out is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"strategies": "best"}, "strategy 'best' is unknown"),
        ({"strategies": "top:best"}, "measure 'best' is unknown"),
        ({"learner": "deep"}, "learner 'deep' is unknown"),
        ({"rare": ["ann"]}, "speaker=share"),
        ({"until": 1.5}, "until"),
        ({"skew": "lots"}, "skew"),
    ],
)
def test_bad_input_is_one_clear_error(texts, settings, given, said):
    options = {"learner": "linear", "rare": [], "strategies": "default", "until": 0.97, "skew": "none"} | given
    strategies = options.pop("strategies")
    with pytest.raises(UsageError, match=said):
        run_replay.plan_replay(
            settings.home, texts, strategies, 1, run_replay.replay_settings(options.pop("rare"), **options)
        )


def descendants(pid):
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in children] + [deeper for child in children for deeper in descendants(int(child))]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to see a process's children")
def test_workers_end_with_a_replay_that_is_killed(tmp_path):
    folder = write_texts(tmp_path / "texts", pool=400, test=100)
    command = [
        sys.executable,
        "-m",
        "flows.cli.main",
        "replay",
        "--corpus",
        str(folder),
        "--until",
        "1",
        "--seeds",
        "50",
    ]
    run = subprocess.Popen(
        [*command, "--batch", "1", "--processes", "1"],
        env={**os.environ, "EARMARK_HOME": str(tmp_path / "home")},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    results = next(iter((tmp_path / "home").glob("replay/*/curves.jsonl")), None)
    while results is None and time.monotonic() < deadline:  # the first line comes from a worker
        assert run.poll() is None
        time.sleep(0.2)
        results = next(iter((tmp_path / "home").glob("replay/*/curves.jsonl")), None)
    workers = descendants(run.pid)
    assert workers
    run.send_signal(signal.SIGKILL)
    run.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
