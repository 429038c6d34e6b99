"""A sweep on a small home: what it trains, shows and records, and all that it leaves alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records.base import Kind, digest
from corpus.storage import audit_chain
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import erasure
from corpus.tables import models as store
from flows.cli.main import app
from flows.models.eval_set import current_snapshot
from flows.runtime import progress
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps import decoder, retrain_plan
from flows.steps import retrain as retrain_step
from flows.steps.inventory import merge_names
from flows.steps.sweep import OTHER_ROWS, TrialsReport, sweep
from flows.steps.sweep_plan import dev_speakers, plan
from flows.steps.sweep_preview import preview
from tests.corpus.stored import score
from tests.flows.labelled_home import labelled_home, pairs_of, settings_of
from training.asr import finetune
from training.asr.beam_build import BeamBuildSettings, check_files
from training.asr.finetune import FinetuneResult, finetune_asr
from training.tracking.store import open_tracking

INTENT = ("intent.fit.epochs=2", "intent.fit.batch_size=8", "intent.replay=0")
RATES = "intent.fit.encoder_rate=1e-4,5e-3"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelled")
    labelled_home(folder)
    return folder


@pytest.fixture
def settings(made: Path, tmp_path: Path) -> Settings:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return settings_of(tmp_path, *INTENT)


def swept(settings: Settings, *tried: str, kind: Kind = "intent", seeds: int = 1, folds: int = 1) -> TrialsReport:
    with opened(settings) as corpus:
        planned = plan(corpus, settings, kind, tried, None, seeds, folds)
        return sweep(corpus, settings.home, settings.models, settings.tracking, planned, "")


def trained(events: list[progress.Event]) -> int:
    """Return how many trainings began."""
    return sum(isinstance(event, progress.Started) and event.unit == "steps" for event in events)


def openings(corpus: Corpus) -> list[dict[str, Any]]:
    """Return the rows of the audit chain about opened content."""
    rows = audit_chain.show(corpus.records, schema.audit, 100_000)
    return [dict(row.detail) for row in rows if row.act == "open"]


def judged(corpus: Corpus, kind: Kind) -> list[int]:
    """Return how many versions, looks of the gate, judgements, reports and evaluations there are."""
    tables = (schema.model_versions, schema.judgements, schema.reports, schema.evaluation_costs, schema.snapshots)
    with corpus.read() as conn:
        counts = [int(conn.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()) for table in tables]
        return [store.looks(conn, kind), *counts]


def runs_below(settings: Settings, run_id: str) -> list[Any]:
    tracking = open_tracking(settings.tracking, settings.home)
    return list(tracking.client.search_runs([tracking.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'"))


def test_trials_are_ranked_by_the_dev_rows_and_nested_and_nothing_else_changes(settings: Settings):
    with opened(settings) as corpus:
        snapshot = current_snapshot(corpus, settings.promotion, "intent")
        before, opened_before = judged(corpus, "intent"), openings(corpus)
    report = swept(settings, RATES, "intent.fit.epochs=1,8")
    assert len(report.tried) == 5  # the present settings, of two epochs at another rate, besides
    assert [each.state for each in report.tried] == ["trained"] * 5
    errors = [each.dev_error.value for each in report.tried if each.dev_error]
    assert errors == sorted(errors)
    assert report.tried[0].settings == report.best
    present = next(each for each in report.tried if each.present)
    assert present.settings == {"intent.fit.encoder_rate": 1e-3, "intent.fit.epochs": 2}
    assert present.difference is None
    assert present.dev_error is not None
    for each in report.tried:
        if not each.present:
            assert each.difference is not None
            assert each.dev_error is not None
            assert each.difference.value == pytest.approx(each.dev_error.value - present.dev_error.value)
    assert report.dev_rows == len(snapshot.of("dev"))
    assert report.labels == len(snapshot.of("train"))
    with opened(settings) as corpus:
        assert judged(corpus, "intent") == before
        of_sweep = openings(corpus)[len(opened_before) :]
    # once for all trials, the rows that train and the dev rows; of the audit rows none
    digests = [digest(sorted(row.utterance_id for row in snapshot.of(role))) for role in ("train", "dev")]
    assert [(row["digest"], row["purpose"]) for row in of_sweep] == [(each, "train") for each in digests]
    assert len(snapshot.of("audit")) == 12

    runs = {run.info.run_id: run for run in runs_below(settings, report.run)}
    assert set(runs) == {run for each in report.tried for run in each.runs}
    run = runs[report.tried[0].runs[0]]
    assert run.info.status == "FINISHED"
    asked = int(run.data.params["config.intent.fit.epochs"])
    assert asked == report.best["intent.fit.epochs"]
    assert run.data.metrics["final_dev_error"] == pytest.approx(errors[0], abs=1e-5)  # metrics are rounded
    tracking = open_tracking(settings.tracking, settings.home)
    for run_id, each in runs.items():  # a point for the base and one for each epoch; the watch on dev may stop early
        learned = int(each.data.metrics["epochs"])
        assert 1 <= learned <= int(each.data.params["config.intent.fit.epochs"])
        points = tracking.client.get_metric_history(run_id, "dev_error_by_epoch")
        assert sorted(point.step for point in points) == list(range(learned + 1))
    parent = tracking.client.get_run(report.run)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["best_dev_error"] == pytest.approx(errors[0], abs=1e-5)
    assert list((settings.home / "work").iterdir()) == []
    with opened(settings) as corpus:  # and a retraining is as due as before
        todo = retrain_plan.plan(corpus, settings, "intent", "test", only_if_due=False)
        assert not todo.skipped
        assert retrain_step.retrain(corpus, settings, todo, "").labels == report.labels


def test_the_same_trial_is_never_trained_again(settings: Settings):
    first = swept(settings, RATES)
    with opened(settings) as corpus:
        opened_before = openings(corpus)
    events: list[progress.Event] = []
    with progress.listening(events.append):
        again = swept(settings, RATES)
        assert trained(events) == 0
        wider = swept(settings, RATES + ",2e-2")
    assert (first.trained, first.already) == (3, 0)
    assert (again.trained, again.already) == (0, 3)
    assert (wider.trained, wider.already, trained(events)) == (1, 3, 1)
    assert [each.dev_error for each in again.tried] == [each.dev_error for each in first.tried]
    assert again.run == first.run == wider.run
    with opened(settings) as corpus:
        assert len(openings(corpus)) == len(opened_before) + 2  # by the one new trial
    assert len(runs_below(settings, first.run)) == 4


def test_a_trial_is_trained_again_once_names_or_drafts_are_others(settings: Settings):
    def waiting(kind: Kind, *tried: str) -> int:
        with opened(settings) as corpus:
            return len(plan(corpus, settings, kind, tried, None, 1, 1).waiting)

    words = "asr.loop.learning_rate=1e-3"
    first = swept(settings, RATES)
    with opened(settings) as corpus:
        of_speech = {each.operation_id for each in plan(corpus, settings, "asr", [words], None, 1, 1).trials}
        snapshot = current_snapshot(corpus, settings.promotion, "intent")
        given = (corpus, settings.home, settings.inventory, settings.people)
        assert merge_names(*given, "intent", "what no label is", "lights").labels == 0
    assert first.trained == waiting("intent", RATES) == 3
    assert swept(settings, RATES).already == waiting("intent", RATES) == 0
    with opened(settings) as corpus:  # of what judges and does not learn, drafts are nothing to it
        score(corpus, [row.utterance_id for row in snapshot.of("audit")], "score/audit")
    assert waiting("intent", RATES) == 0
    learned = [row.utterance_id for role in ("train", "dev") for row in snapshot.of(role)]
    with opened(settings) as corpus:
        score(corpus, learned, "score/first")
    assert waiting("intent", RATES) == 3
    swept(settings, RATES)
    with opened(settings) as corpus:  # another intent model read the same transcripts
        score(corpus, learned, "score/intent", versions=("1", "2"))
    assert waiting("intent", RATES) == 0
    with opened(settings) as corpus:  # another speech model heard something else
        score(corpus, learned[:1], "score/speech", versions=("2", "2"))
    assert waiting("intent", RATES) == 3
    with opened(settings) as corpus:
        now = {each.operation_id for each in plan(corpus, settings, "asr", [words], None, 1, 1).trials}
    assert now == of_speech


def test_a_killed_sweep_goes_on_where_it_was(settings: Settings):
    steps: list[int] = []

    def killing(event: progress.Event) -> None:
        if isinstance(event, progress.Started) and event.unit == "steps":
            steps.append(event.track)
        if isinstance(event, progress.Advanced) and len(steps) == 2 and event.track == steps[1] and event.done == 2:
            raise KeyboardInterrupt

    with progress.listening(killing), pytest.raises(KeyboardInterrupt):
        swept(settings, RATES)
    events: list[progress.Event] = []
    with progress.listening(events.append):
        report = swept(settings, RATES)
    assert trained(events) == 2
    assert (report.trained, report.already) == (2, 1)
    runs = runs_below(settings, report.run)
    assert [run.info.status for run in runs] == ["FINISHED"] * 3


def test_a_trial_that_diverges_or_fails_is_shown_and_the_others_run(settings: Settings):
    wild = "intent.fit.encoder_rate=1e-3,1e3"
    report = swept(settings, wild, "intent.lora=null,{targets: [nothing]}")
    by_state = {each.state: each for each in report.tried}
    assert [each.state for each in report.tried].count("failed") == 2
    assert "names no linear layer" in by_state["failed"].why
    assert by_state["diverged"].settings["intent.fit.encoder_rate"] == 1e3
    assert "loss" in by_state["diverged"].why
    assert report.best == {"intent.fit.encoder_rate": 1e-3, "intent.lora": None}
    statuses = {run.info.run_id: run.info.status for run in runs_below(settings, report.run)}
    assert statuses[by_state["diverged"].runs[0]] == statuses[by_state["failed"].runs[0]] == "FAILED"
    assert statuses[by_state["trained"].runs[0]] == "FINISHED"
    again = swept(settings, wild, "intent.lora=null,{targets: [nothing]}")
    assert (again.trained, again.already) == (2, 2)  # what failed may go another time; what diverged does not
    assert [each.state for each in again.tried] == [each.state for each in report.tried]


def test_several_seeds_are_averaged(settings: Settings):
    report = swept(settings, "intent.fit.encoder_rate=5e-3", seeds=2)
    alone = [swept(settings, "intent.fit.encoder_rate=5e-3", f"intent.fit.seed={seed}") for seed in (0, 1)]
    found = next(each for each in report.tried if not each.present)
    assert len(found.runs) == 2
    assert found.dev_error is not None
    single = [
        next(each.dev_error for each in one.tried if each.runs == found.runs[n : n + 1]) for n, one in enumerate(alone)
    ]
    assert found.dev_error.value == pytest.approx(sum(each.value for each in single if each) / 2)
    with opened(settings) as corpus, pytest.raises(UsageError, match=r"leave intent\.fit\.seed out"):
        plan(corpus, settings, "intent", ["intent.fit.seed=1,2"], None, 2)


def test_seeds_on_different_rows_are_not_averaged_and_the_next_sweep_trains_them_all_anew(settings: Settings):
    first = swept(settings, "intent.fit.encoder_rate=5e-3")
    with opened(settings) as corpus:  # rows that are still there can't be opened any more
        dev = [row.utterance_id for row in current_snapshot(corpus, settings.promotion, "intent").of("dev")]
        speakers = dev_speakers(corpus, dev)
        lost = [i for i, speaker in zip(dev, speakers, strict=True) if speaker == speakers[0]]
        with writing(corpus.records) as conn:
            conn.execute(sa.update(schema.labels).where(schema.labels.c.utterance_id.in_(lost)).values(content=None))
    mixed = swept(settings, "intent.fit.encoder_rate=5e-3", seeds=2)
    assert (mixed.trained, mixed.already, mixed.best) == (2, 2, None)
    assert [each.why for each in mixed.tried] == [OTHER_ROWS] * 2
    assert "run the sweep again" in OTHER_ROWS
    again = swept(settings, "intent.fit.encoder_rate=5e-3", seeds=2)
    assert (again.trained, again.already, again.dev_rows) == (4, 0, first.dev_rows - len(lost))
    assert [each.state for each in again.tried] == ["trained"] * 2
    assert swept(settings, "intent.fit.encoder_rate=5e-3", seeds=2).already == 4


def test_figures_of_an_erased_dev_speaker_are_erased_with_the_utterances(settings: Settings):
    swept(settings, "intent.fit.encoder_rate=5e-3")
    with opened(settings) as corpus:
        snapshot = current_snapshot(corpus, settings.promotion, "intent")
        dev = [row.utterance_id for row in snapshot.of("dev")]
        speaker = dev_speakers(corpus, dev)[0]
        theirs = {i for i, each in zip(dev, dev_speakers(corpus, dev), strict=True) if each == speaker}
        with corpus.read() as conn:
            figures = conn.execute(sa.select(schema.trial_figures)).all()
            assert set(conn.execute(sa.select(schema.trial_rows.c.utterance_id)).scalars()) == set(dev)
            results = conn.execute(sa.select(schema.operations.c.result)).scalars().all()
        assert len(figures) == 2
        audited = [json.dumps(dict(row.detail)) for row in audit_chain.show(corpus.records, schema.audit, 100_000)]
        assert not [text for text in [*results, *audited] if '"errors"' in text or '"units"' in text]
        taught = snapshot.of("train")[0].utterance_id
        erasure.erase_utterances(corpus, [taught])  # no figure is about it
        with corpus.read() as conn:
            assert len(conn.execute(sa.select(schema.trial_figures)).all()) == 2
        erasure.erase_speaker(corpus, speaker)
        with corpus.read() as conn:
            for table in (schema.trial_figures, schema.trial_rows):
                assert conn.execute(sa.select(table)).all() == []
            operations = [str(tuple(row)) for row in conn.execute(sa.select(schema.operations))]
            assert not [row for row in operations if speaker in row or any(i in row for i in theirs)]
    report = swept(settings, "intent.fit.encoder_rate=5e-3")
    assert (report.trained, report.already, report.dev_rows) == (2, 0, len(dev) - len(theirs))


def test_a_trial_that_was_measured_on_a_row_which_is_erased_meanwhile_stores_nothing(settings: Settings):
    with opened(settings) as corpus:
        planned = plan(corpus, settings, "intent", ["intent.fit.encoder_rate=5e-3"], None, 1, 1)
        erased = planned.snapshot.of("dev")[0].utterance_id

        def erasing(event: progress.Event) -> None:
            if isinstance(event, progress.Started) and event.unit == "steps" and erased not in gone:
                gone.append(erased)
                erasure.erase_utterances(corpus, [erased])

        gone: list[str] = []
        with progress.listening(erasing):
            report = sweep(corpus, settings.home, settings.models, settings.tracking, planned, "")
        assert [each.state for each in report.tried] == ["failed"] * 2
        assert "a dev row was erased" in report.tried[0].why
        with corpus.read() as conn:
            assert conn.execute(sa.select(schema.trial_figures)).all() == []
    again = swept(settings, "intent.fit.encoder_rate=5e-3")
    assert (again.trained, [each.state for each in again.tried]) == (2, ["trained"] * 2)


def test_in_folds_every_speaker_who_may_train_is_measured_on_once(settings: Settings):
    with opened(settings) as corpus:
        with writing(corpus.records) as conn:  # there is no dev speaker at all
            conn.execute(sa.update(schema.utterances).values(split="train"))
        with pytest.raises(UsageError, match="no label of a dev speaker yet"):
            plan(corpus, settings, "intent", [RATES], folds=1)
        assert plan(corpus, settings, "intent", [RATES]).folds == 5
        planned = plan(corpus, settings, "intent", ["intent.fit.encoder_rate=5e-3"], None, 1, 3)
        everything = {row.utterance_id for row in planned.snapshot.of("train")}
        speaker_of = dict(zip(everything, dev_speakers(corpus, list(everything)), strict=True))
    parts = {trial.snapshot.snapshot_id: trial.snapshot for trial in planned.trials}
    assert len(parts) == 3
    measured: list[str] = []
    for part in parts.values():
        train, dev = ({row.utterance_id for row in part.of(role)} for role in ("train", "dev"))
        assert train | dev == everything
        assert {speaker_of[i] for i in train}.isdisjoint({speaker_of[i] for i in dev})
        assert part.of("audit") == ()
        measured += dev
    assert sorted(measured) == sorted(everything)
    report = swept(settings, "intent.fit.encoder_rate=5e-3", folds=3)
    assert (report.folds, report.trained, report.labels) == (3, 6, 60)
    assert (report.dev_rows, report.dev_speakers) == (60, len(set(speaker_of.values())))
    assert [len(each.runs) for each in report.tried] == [3, 3]
    assert swept(settings, "intent.fit.encoder_rate=5e-3", folds=3).already == 6


def test_folds_that_measure_nothing_honest_are_refused(settings: Settings):
    with opened(settings) as corpus:
        with pytest.raises(UsageError, match="speakers only"):
            plan(corpus, settings, "intent", [RATES], None, 1, 100)
        with pytest.raises(UsageError, match=r"set intent\.pseudo\.weight to 0"):
            plan(corpus, settings, "intent", ["intent.pseudo.weight=0.5"], None, 1, 3)


def test_speech_models_are_tried_too(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calibrated: list[bool] = []

    def trained_speech(*given: Any, on_draws: Any, **others: Any) -> FinetuneResult:
        calibrated.append(on_draws is not None)
        return finetune_asr(*given, on_draws=on_draws, **others)

    monkeypatch.setattr(finetune, "finetune_asr", trained_speech)
    settings = settings_of(tmp_path, "asr.loop.epochs=1", "asr.loop.batch_seconds=8", "asr.interpolate=0.0")
    report = swept(settings, "asr.loop.learning_rate=1e-3,1e3", kind="asr")
    assert {each.settings["asr.loop.learning_rate"]: each.state for each in report.tried}[1e-3] == "trained"
    assert report.measure == "WER"
    assert report.base_error is not None
    assert report.base_error.value > 0
    assert all(each.state in ("trained", "diverged", "refused") for each in report.tried)
    (run,) = [
        run for run in runs_below(settings, report.run) if run.data.params["config.asr.loop.learning_rate"] == "0.001"
    ]
    assert {"dev_wer_by_epoch", "final_dev_error", "train_loss"} <= set(run.data.metrics)
    assert calibrated == [False, False]  # of models that are not kept nobody draws texts
    with opened(settings) as corpus:
        retrain_step.retrain(corpus, settings, retrain_plan.plan(corpus, settings, "asr", "x", only_if_due=False), "")
    assert calibrated == [False, False, True]


def test_a_preview_counts_and_measures_and_writes_nothing(settings: Settings):
    with opened(settings) as corpus:
        chain = audit_chain.length(corpus.records, schema.audit)
        found = preview(corpus, plan(corpus, settings, "intent", [RATES]))
        assert audit_chain.length(corpus.records, schema.audit) == chain
        assert [(each.trials, each.done) for each in found.tried] == [(1, 0)] * 3
        assert found.seconds is None
    swept(settings, "intent.fit.encoder_rate=5e-3")
    with opened(settings) as corpus:
        known = preview(corpus, plan(corpus, settings, "intent", [RATES]))
    assert [each.done for each in known.tried] == [1, 0, 1]
    assert (known.trials, known.done) == (3, 2)
    assert known.measured_on == "2 earlier trials"
    assert known.seconds is not None
    assert known.seconds > 0
    assert known.dev_speakers > 1


def test_the_command_shows_a_table_and_how_to_go_on(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], prefect_url: str
):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "intent: {replay: 0, interpolate: 0.0, noise: {clean: 1.0}, "
        "fit: {epochs: 1, batch_size: 8, encoder_rate: 1.0e-6, head_rate: 1.0e-6}}"
    )
    others = [*pairs_of(tmp_path), f"prefect.api_url={prefect_url}"]
    pairs = [*others, "intent.fit.epochs=24", "intent.fit.head_rate=5e-3", "intent.fit.encoder_rate=5e-3,1e3"]
    command = ["sweep", "intent", "--config", str(file), *(part for pair in pairs for part in ("--set", pair))]
    app([*command, "--dry-run"], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "dry run, nothing is written" in shown
    assert "3, of which 0 are done" in shown
    app(command, standalone_mode=False)
    shown = capsys.readouterr().out
    assert "fit.encoder_rate" in shown
    assert "diverged" in shown
    assert "3 trials run now, 0 before; nothing is registered" in shown
    assert shown.splitlines()[-1].startswith("earmark retrain intent --set intent.fit.epochs=24 --set ")
    app([*command, "--json"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    assert (document["trained"], document["already"]) == (0, 3)
    rates = {"intent.fit.head_rate": 0.005, "intent.fit.encoder_rate": 0.005}
    assert document["best"] == {"intent.fit.epochs": 24, **rates}


def test_a_beam_of_other_phrases_is_another_trial(settings: Settings, tmp_path: Path):
    file = tmp_path / "phrases.txt"
    beam = settings_of(tmp_path, *INTENT, "asr.decoder=beam", f"asr.beam.phrases={file}")

    def trials(given: Settings) -> set[str]:
        with opened(given) as corpus:
            return {trial.operation_id for trial in plan(corpus, given, "asr", ["asr.loop.epochs=1,2"], folds=1).trials}

    file.write_text("dua lipa\n")
    before, greedy = trials(beam), trials(settings)
    assert trials(beam) == before
    file.write_text("taylor swift\n")
    assert not trials(beam) & before
    assert trials(settings) == greedy


def test_the_files_of_a_decoder_are_read_once_for_all_trials_and_not_while_the_records_are_open(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "phrases.txt").write_text("dua lipa\n")
    (tmp_path / "words.txt").write_text("lamp\n")
    beam = settings_of(tmp_path, *INTENT, "asr.decoder=beam", f"asr.beam.phrases={tmp_path / 'phrases.txt'}")
    words = f"asr.beam.words=null,{tmp_path / 'words.txt'}"
    read: list[str] = []
    with opened(beam) as corpus:

        def checked(given: BeamBuildSettings) -> None:
            assert corpus.records.pool.checkedout() == 0  # type: ignore[attr-defined]
            read.append("none" if given.words is None else Path(given.words).name)
            check_files(given)

        monkeypatch.setattr(decoder, "check_files", checked)
        made = plan(corpus, beam, "asr", ["asr.loop.epochs=1,2", "asr.beam.lm_weight=0.4,0.8", words], folds=1)
        assert len({trial.operation_id for trial in made.trials}) == len(made.trials) >= 8
        assert sorted(read) == ["none", "words.txt"]
        retrain_plan.plan(corpus, beam, "asr", "test", only_if_due=False)
        assert sorted(read) == ["none", "none", "words.txt"]
