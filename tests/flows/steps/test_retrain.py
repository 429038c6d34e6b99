"""What makes a retraining due, and that no version blocks the next one."""

from __future__ import annotations

import base64
import json
import os
import urllib.request
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from corpus.errors import EarmarkError, TrainingRefused
from corpus.handle import Corpus, open_corpus
from corpus.records.annotations import Label
from corpus.records.base import Kind, digest
from corpus.records.models import ModelVersion, Snapshot
from corpus.storage import database, operation_ids, operations
from corpus.storage import records_schema as schema
from corpus.tables import consent_use, erasure, judgements, labels, nights
from corpus.tables import models as store
from corpus.tables.nights import NightFrame
from corpus.vault import consent, vault
from flows import pipeline
from flows.models import registry as model_registry
from flows.reports.demo_tables import DemoReport
from flows.reports.doctor import examine
from flows.reports.lineage import lineage_of
from flows.runtime import progress
from flows.runtime.prefect_server import PrefectSettings
from flows.runtime.session import opened, running
from flows.runtime.settings import Settings
from flows.steps import retrain as retrain_step
from flows.steps import retrain_plan
from flows.steps.inventory import merge_names
from flows.steps.training_examples import asr_examples, choose_pseudo_labels, intent_examples
from tests.corpus.stored import NOON, arrive, choose, score
from tests.flows.conftest import copy_of
from tests.flows.homes import small_settings
from tests.flows.labelled_home import CLIPS, labelled_home
from training.intent.finetune_settings import by_base
from training.tracking import registry, version_files
from training.tracking.store import open_tracking
from training.tracking.version_files import folder_digest


@pytest.fixture
def home(lived: tuple[Settings, DemoReport], tmp_path: Path) -> Path:
    return copy_of(lived[0].home, tmp_path / "home")


def retrain(home: Path, url: str, *overrides: str) -> dict[str, Any]:
    settings = small_settings(home, *overrides).model_copy(update={"prefect": PrefectSettings(api_url=url)})
    with running(settings, "test"):
        return pipeline.retrain("intent").to_json()


def test_the_same_labels_are_learned_anew_only_in_another_way(home: Path, prefect_url: str):
    first = retrain(home, prefect_url, "intent.fit.epochs=2")
    assert int(first["version"]) > 1
    assert first["decision"] in ("promote", "refuse", "indicative")
    with opened(small_settings(home)) as corpus, database.writing(corpus.records) as conn:  # read by repeats alone
        conn.execute(sa.update(schema.operations).where(schema.operations.c.act == "retrain").values(result="{}"))
    again = retrain(home, prefect_url, "intent.fit.epochs=2")
    assert again == {"skipped": f"version {first['version']} learned from these labels with these settings"}
    assert int(retrain(home, prefect_url, "intent.fit.epochs=3")["version"]) == int(first["version"]) + 1


def test_the_same_labels_are_learned_anew_by_the_intent_model_alone_once_a_name_means_another(tmp_path: Path):
    settings = labelled_home(tmp_path, "intent.fit.epochs=1", "intent.fit.batch_size=8", "intent.replay=0")

    def planned(kind: Kind) -> retrain_plan.RetrainPlan:
        return retrain_plan.plan(corpus, settings, kind, "test", only_if_due=False)

    with opened(settings) as corpus:
        before, of_speech = planned("intent"), planned("asr").operation_id
        folder = model_registry.base_folder(settings.home, settings.models, "intent")
        how = by_base(settings.intent, folder).model_dump(mode="json")
        plain = digest([how, version_files.folder_digest(folder)])
        # in a home where no name means another, the id is what it was before there were such names
        assert before.operation_id == operation_ids.retrain("intent", before.snapshot.snapshot_id, plain)
        first = retrain_step.retrain(corpus, settings, before, "")
        with database.writing(corpus.records) as conn:
            judgements.put(conn, "intent", first.version, judgements.Judgement("rows", "1", "refuse"))
        assert "learned from these labels" in planned("intent").skipped
        given = (corpus, settings.home, settings.inventory, settings.people)
        assert merge_names(*given, "intent", "what no label is", "lights").labels == 0
        after = planned("intent")
        assert after.snapshot == before.snapshot
        assert (after.skipped, planned("asr").operation_id) == ("", of_speech)
        again = retrain_step.retrain(corpus, settings, after, "")
        assert (again.already, int(again.version)) == (None, int(first.version) + 1)


def test_a_version_that_nothing_can_judge_blocks_no_other(home: Path, prefect_url: str):
    nothing = "promotion.judged_on=held_out"  # of which this home has no row
    first = retrain(home, prefect_url, nothing)
    assert first["decision"] == "indicative"
    assert "no row that judges" in first["why"]
    assert "skipped" in retrain(home, prefect_url, nothing)
    assert int(retrain(home, prefect_url, nothing, "intent.fit.epochs=2")["version"]) == int(first["version"]) + 1


def test_the_run_names_the_set_that_judged_it(home: Path, prefect_url: str):
    version = retrain(home, prefect_url, "intent.fit.epochs=2")["version"]
    settings = small_settings(home)
    with opened(settings) as corpus:
        from corpus.tables import models as store

        with corpus.read() as conn:
            judged = store.version(conn, "intent", version)
            rows = conn.exec_driver_sql("SELECT eval_set_id FROM reports WHERE kind='intent' AND version=?", (version,))
            sets = {row[0] for row in rows}
    tracking = open_tracking(settings.tracking, settings.home)
    tags = tracking.client.get_run(judged.run_id).data.tags
    assert {tags["earmark.eval_set_id"]} == sets
    assert tags["earmark.snapshot_id"] == judged.snapshot_id


# --- without Prefect, which has no part in it ------------------------------------------------------------------------


def learned(settings: Settings) -> retrain_step.LearnedVersion:
    with opened(settings) as corpus:
        plan = retrain_plan.plan(corpus, settings, "intent", "test", only_if_due=False)
        return retrain_step.retrain(corpus, settings, plan, "")


def versions(settings: Settings) -> tuple[int, int]:
    """Return how many intent versions the records and MLflow know."""
    tracking = open_tracking(settings.tracking, settings.home)
    with opened(settings) as corpus, corpus.read() as conn:
        known = len(store.versions(conn, "intent"))
    name = f"name = '{tracking.model_prefix}-intent'"
    return known, len(tracking.client.search_model_versions(name))


def test_a_training_that_fails_registers_nothing(home: Path):
    settings = small_settings(home, "intent.fit.encoder_rate=1.0e+4", "intent.fit.epochs=3")
    before = versions(settings)
    with pytest.raises(EarmarkError, match="not finite"):
        learned(settings)
    assert versions(settings) == before


def test_labels_that_the_model_can_t_learn_are_not_among_those_that_it_learned_from(home: Path):
    settings = small_settings(home, "asr.loop.epochs=1")
    with opened(settings) as corpus:
        rows = retrain_plan.plan(corpus, settings, "asr", "test", only_if_due=False).snapshot.of("train")[:3]
        with corpus.operation("label", "merge") as op:
            known = [Label(row.utterance_id, "ça va", "play_music", (), 1.0, 9, 9) for row in rows]
            labels.put_labels(corpus, op, known)
        plan = retrain_plan.plan(corpus, settings, "asr", "test", only_if_due=False)
        made = retrain_step.retrain(corpus, settings, plan, "")
    assert made.account is not None
    assert made.training is not None
    assert made.account.left_out["unspellable"] == made.training.left_out == 3
    assert made.labels == made.account.train == len(plan.snapshot.of("train")) - 3
    assert made.training.examples == made.labels + (made.pseudo or 0)


WILD = {
    "asr": ("asr.loop.learning_rate=10.0", "asr.loop.epochs=2"),
    "intent": ("intent.fit.encoder_rate=10.0", "intent.fit.head_rate=10.0", "intent.fit.epochs=2"),
}


@pytest.mark.parametrize(
    ("kind", "setting"), [("asr", "asr.loop.learning_rate"), ("intent", "intent.fit.encoder_rate")]
)
def test_a_training_that_diverged_is_refused_once_and_names_the_setting(home: Path, kind: Kind, setting: str):
    settings = small_settings(home, *WILD[kind])
    with opened(settings) as corpus:
        with corpus.read() as conn:
            before = store.versions(conn, kind)
        plan = retrain_plan.plan(corpus, settings, kind, "test", only_if_due=False)
        for epochs in (True, False):  # the second time it is refused without training
            events: list[progress.Event] = []
            with progress.listening(events.append), pytest.raises(TrainingRefused, match=f"lower {setting}"):
                retrain_step.retrain(corpus, settings, plan, "")
            notes = [event.line for event in events if isinstance(event, progress.Noted)]
            assert bool(notes) == epochs
            assert sum("starts again at half the rate" in note for note in notes) <= epochs
        again = retrain_plan.plan(corpus, settings, kind, "test", only_if_due=False)
        assert again.skipped.startswith("the same labels and settings were refused before: ")
        assert setting in again.skipped
        assert not retrain_plan.plan(corpus, small_settings(home), kind, "test", only_if_due=False).skipped.startswith(
            "the same labels"
        )
        with corpus.read() as conn:
            assert store.versions(conn, kind) == before
    tracking = open_tracking(settings.tracking, settings.home)
    (run,) = tracking.client.search_runs(
        [tracking.experiment_id], f"tags.`earmark.operation_id` = '{plan.operation_id}'"
    )
    assert run.info.status == "FAILED"
    assert setting in run.data.tags["earmark.failed_because"]
    assert not any("kept" in file.name for file in (home / "work").glob("*"))


def prefect_log(url: str) -> list[str]:
    """Return the newest lines of all flow runs in Prefect's log."""
    body = json.dumps({"limit": 200, "sort": "TIMESTAMP_DESC"}).encode()
    secret = base64.b64encode(os.environ["PREFECT_API_AUTH_STRING"].encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {secret}"}
    request = urllib.request.Request(f"{url}/logs/filter", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return [line["message"] for line in json.load(answer)]


def test_at_night_the_other_model_is_trained_all_the_same(home: Path, prefect_url: str):
    settings = small_settings(home, *WILD["asr"]).model_copy(update={"prefect": PrefectSettings(api_url=prefect_url)})
    with opened(settings) as corpus:
        rows = retrain_plan.plan(corpus, settings, "asr", "test", only_if_due=False).snapshot.of("train")[:4]
        with corpus.operation("label", "merge") as op:
            known = [Label(row.utterance_id, "play music", "play_music", (), 1.0, 9, 9) for row in rows]
            labels.put_labels(corpus, op, known)
    with running(settings, "test"):
        report = pipeline.morning("2026-11-30").to_json()
    assert "lower asr.loop.learning_rate" in report["retrain asr"]["skipped"]
    assert int(report["retrain intent"]["version"]) > 1
    account = report["retrain intent"]["label_account"]
    assert account["all"] == sum(count for name, count in account.items() if name != "all")
    assert account["train"] == report["retrain intent"]["labels"]
    tracking = open_tracking(settings.tracking, settings.home)
    runs = tracking.client.search_runs([tracking.experiment_id], "tags.`earmark.cycle` = '2026-11-30'")
    by_name = {run.info.run_name: run.info.status for run in runs}
    learned = report["retrain intent"]
    named = f"intent {learned['version']} · night 2026-11-30 · {learned['labels']} labels · default"
    (failed,) = (name for name in by_name if name.startswith("asr · night 2026-11-30 · "))
    assert by_name == {"night 2026-11-30": "FINISHED", failed: "FAILED", named: "FINISHED"}
    (intent,) = (run for run in runs if run.info.run_name == named)
    assert {name: int(intent.data.params[f"labels.{name}"]) for name in account} == account
    assert {"intent epoch 1 of 1", "asr base"} <= {line.split(":")[0] for line in prefect_log(prefect_url)}
    with opened(settings) as corpus:
        version = f"intent/{report['retrain intent']['version']}"
        assert lineage_of(corpus, settings.home, settings.tracking, version).label_account == account


def test_the_curves_grow_while_it_learns(home: Path):
    settings = small_settings(home, "intent.fit.epochs=3")
    tracking = open_tracking(settings.tracking, settings.home)
    seen: list[tuple[str, str, int]] = []
    with opened(settings) as corpus:
        plan = retrain_plan.plan(corpus, settings, "intent", "test", only_if_due=False)
        of_plan = f"tags.`earmark.operation_id` = '{plan.operation_id}'"

        def look(event: progress.Event) -> None:
            if isinstance(event, progress.Noted):
                (run,) = tracking.client.search_runs([tracking.experiment_id], of_plan)
                points = tracking.client.get_metric_history(run.info.run_id, "train_loss")
                seen.append((event.line.split(":")[0], run.info.status, len(points)))

        with progress.listening(look):
            result = retrain_step.retrain(corpus, settings, plan, "")
    names = ["intent base", *(f"intent epoch {n} of 3" for n in (1, 2, 3))]
    assert seen == [(name, "RUNNING", count) for name, count in zip(names, (0, 0, 1, 2), strict=True)]
    (run,) = tracking.client.search_runs([tracking.experiment_id], of_plan)
    points = tracking.client.get_metric_history(run.info.run_id, "train_loss")
    assert sorted(point.step for point in points) == [1, 2, 3]
    assert run.info.status == "FINISHED"
    assert result.training is not None
    assert float(run.data.params["learning_rate"]) == result.training.learning_rate == plan.finetune.fit.encoder_rate
    assert (run.data.params["rate_halved"], result.training.rate_halved) == ("no", None)
    assert result.checked is not None
    assert "dev rows" in result.checked


def test_a_training_that_was_killed_goes_on(home: Path):
    settings = small_settings(home, "intent.fit.checkpoint_after=0", "intent.fit.epochs=2")

    steps: set[int] = set()

    def killing(event: progress.Event) -> None:
        if isinstance(event, progress.Started) and event.unit == "steps":
            steps.add(event.track)
        if isinstance(event, progress.Advanced) and event.track in steps and event.done == 3:
            raise KeyboardInterrupt

    with progress.listening(killing), pytest.raises(KeyboardInterrupt):
        learned(settings)
    assert [path.name.endswith("-intent-kept") for path in (home / "work").iterdir()] == [True]
    result = learned(settings)
    assert result.training is not None
    assert result.training.resumed_at_step == 3
    assert list((home / "work").iterdir()) == []


def test_a_training_that_was_killed_once_it_was_registered_leaves_no_weights(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = small_settings(home, "intent.fit.checkpoint_after=0", "intent.fit.epochs=2")

    register = registry.register

    def killed(*args: Any) -> None:
        register(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(registry, "register", killed)
        with pytest.raises(KeyboardInterrupt):
            learned(settings)
    assert len(list((home / "work").iterdir())) == 2
    result = learned(settings)
    assert result.already
    assert list((home / "work").iterdir()) == []
    tracking = open_tracking(settings.tracking, settings.home)
    names = [run.info.run_name for run in tracking.client.search_runs([tracking.experiment_id])]
    assert [name for name in names if name.startswith(f"intent {result.version} · ")] == [
        f"intent {result.version} · test · {result.labels} labels · default"
    ]


def test_the_doctor_drops_what_killed_trainings_left(home: Path):
    settings = small_settings(home)
    kept = home / "work" / "0123-asr-kept"
    kept.mkdir(parents=True)
    (kept / "state.safetensors").write_bytes(b"weights")
    assert examine(settings, repair=True).repaired["work"] == 1
    assert not kept.exists()


def test_what_the_champion_is_sure_of_teaches_and_taints_like_a_label(home: Path):
    sure = ("pseudo.weight=0.5", "pseudo.max_doubt=0.9", "pseudo.most=7")
    settings = small_settings(home, *(f"{kind}.{each}" for kind in ("asr", "intent") for each in sure))
    with opened(settings) as corpus:
        plan = retrain_plan.plan(corpus, settings, "intent", "test", only_if_due=False)
        by_speech = choose_pseudo_labels(corpus, settings.night, settings.asr.pseudo, "asr", plan.snapshot)
        for found in (plan.pseudo, by_speech):
            assert 0 < len(found.ids) <= 7
            assert found.weight == pytest.approx(0.5 * (1 - len(plan.snapshot.of("train")) / 500))
        texts = intent_examples(corpus, plan.snapshot.of("train"), plan.pseudo)
        guessed = {row.utterance_id.removesuffix("/draft") for row in texts if row.pseudo}
        assert guessed
        assert guessed <= set(plan.pseudo.ids)
        assert guessed.isdisjoint(row.utterance_id.removesuffix("/draft") for row in texts if not row.pseudo)
        assert (
            plan.operation_id
            != retrain_plan.plan(corpus, small_settings(home), "intent", "t", only_if_due=False).operation_id
        )
        result = retrain_step.retrain(corpus, settings, plan, "")
        assert result.pseudo == len(plan.pseudo.ids)
        assert result.training is not None
        assert result.training.examples > result.labels
        taught = lineage_of(corpus, settings.home, settings.tracking, plan.pseudo.ids[0]).learned_by
        assert [(row.kind, row.version, row.role) for row in taught] == [("intent", result.version, "pseudo")]
        told = lineage_of(corpus, settings.home, settings.tracking, f"intent/{result.version}").pseudo
        heard_by = [f"asr/{plan.pseudo.versions[0]}", f"intent/{plan.pseudo.versions[1]}"]
        assert (told.count, list(told.by)) == (len(plan.pseudo.ids), heard_by)
        tainted = erasure.erase_utterances(corpus, plan.pseudo.ids[:1])["tainted"]
        assert f"intent/{result.version}" in tainted
        left = retrain_plan.plan(corpus, settings, "intent", "test", only_if_due=False).pseudo
        assert plan.pseudo.ids[0] not in left.ids
        told = lineage_of(corpus, settings.home, settings.tracking, f"intent/{result.version}")
        assert (told.pseudo.count, told.tainted) == (len(plan.pseudo.ids) - 1, True)
        assert lineage_of(corpus, settings.home, settings.tracking, plan.pseudo.ids[0]).learned_by == ()


@pytest.mark.parametrize("kind", ["asr", "intent"])
def test_a_label_of_silence_is_not_among_those_that_were_learned(tmp_path: Path, kind: Kind):
    settings = labelled_home(tmp_path, "asr.loop.epochs=1", "intent.fit.epochs=1", "intent.replay=0")
    with opened(settings) as corpus:
        silent = retrain_plan.plan(corpus, settings, kind, "test", only_if_due=False).snapshot.of("train")[:4]
        with corpus.operation("label again", "merge") as op:
            labels.put_labels(corpus, op, [Label(row.utterance_id, "", "clock", (), 1.0, 1, 1) for row in silent])
        plan = retrain_plan.plan(corpus, settings, kind, "test", only_if_due=False)
        made = retrain_step.retrain(corpus, settings, plan, "")
        assert made.training is not None
        assert made.account is not None
        assert made.training.left_out == made.training.no_words == made.account.left_out["no_words"] == 4
        assert made.training.examples == made.labels == made.account.train == len(plan.snapshot.of("train")) - 4
        assert made.account.labels == CLIPS
        assert lineage_of(corpus, settings.home, settings.tracking, f"{kind}/{made.version}").left_out == {
            "no_words": 4
        }


def test_a_label_that_can_not_be_learned_is_counted_and_named_with_the_reason_until_it_is_erased(home: Path):
    settings = small_settings(home)
    with opened(settings) as corpus:
        chosen = retrain_plan.plan(corpus, settings, "asr", "test", only_if_due=False).snapshot.of("train")[0]
        with corpus.operation("label", "merge") as op:
            labels.put_labels(corpus, op, [Label(chosen.utterance_id, "play some music " * 99, None, (), 1.0, 1, 1)])
        plan = retrain_plan.plan(corpus, settings, "asr", "test", only_if_due=False)
        result = retrain_step.retrain(corpus, settings, plan, "")
        assert result.training is not None
        assert result.training.left_out == result.training.too_long == 1
        assert result.training.examples == result.labels
        with corpus.read() as conn:
            stored = operations.result_of(conn, plan.operation_id)
        assert chosen.utterance_id not in str(stored)
        assert retrain_step.LearnedVersion.from_json(stored) == result
        assert lineage_of(corpus, settings.home, settings.tracking, f"asr/{result.version}").left_out == {"too_long": 1}
        found = lineage_of(corpus, settings.home, settings.tracking, chosen.utterance_id)
        assert [(row.version, row.role, row.left_out) for row in found.left_out_by] == [
            (result.version, "train", "too_long")
        ]
        assert result.version not in [row.version for row in found.learned_by if row.kind == "asr"]
        assert f"asr/{result.version}" in erasure.erase_utterances(corpus, [chosen.utterance_id])["tainted"]
        assert lineage_of(corpus, settings.home, settings.tracking, f"asr/{result.version}").left_out == {}
        assert lineage_of(corpus, settings.home, settings.tracking, chosen.utterance_id).left_out_by == ()


@pytest.mark.parametrize("kind", ["asr", "intent"])
def test_what_judges_waits_or_ever_had_a_label_is_no_pseudo_label(tmp_path: Path, kind: Kind):
    sure = [f"{kind}.pseudo.weight=0.3", f"{kind}.pseudo.max_doubt=1"]
    settings = small_settings(tmp_path / "home", 'corpus.split={"train": 1.0, "dev": 0.0, "test": 0.0}', *sure)
    corpus = open_corpus(settings.corpus, clock=lambda: NOON)
    manifest, held_out, relabelled, withdrawn, audit, waiting, free, spare = arrive(corpus, 8)
    (late,) = arrive(corpus, 1, start=8, operation_id="ingest/late")  # for the next round, which may draw it
    score(corpus, [manifest, held_out, relabelled, withdrawn, audit, waiting, free, spare, late])
    choose(corpus, [audit], "night-1", "audit")
    choose(corpus, [waiting], "night-2", "uncertain")
    with corpus.operation(operation_ids.sample(str(NOON.date() + timedelta(days=1))), "sample") as op:
        nights.put_frame(op.conn, NightFrame(str(NOON.date() + timedelta(days=1)), since=0, up_to=8))
    with corpus.operation("label", "merge") as op:
        told = {
            i: Label(i, "lights on", "lights_on", (), 1.0, 1, 1) for i in (manifest, held_out, relabelled, withdrawn)
        }
        labels.put_labels(corpus, op, [told[manifest]], "manifest")
        labels.put_labels(corpus, op, [told[held_out], told[relabelled]], "held_out")
        labels.put_labels(corpus, op, [told[relabelled], told[withdrawn]])
        labels.withdraw(op.conn, [withdrawn])
        for each in ("asr", "intent"):
            store.put_version(op.conn, ModelVersion(each, "1", "run", "", "base", "", "nowhere"))
            store.move_alias(op.conn, each, "champion", None, "1")
    how = settings.asr.pseudo if kind == "asr" else settings.intent.pseudo
    assert choose_pseudo_labels(corpus, settings.night, how, kind, Snapshot(())).ids == tuple(sorted([free, spare]))
    corpus.close()


def test_what_is_erased_while_a_version_learns_taints_it(home: Path):
    settings = small_settings(home)
    with opened(settings) as corpus:
        plan = retrain_plan.plan(
            corpus, small_settings(home, "intent.fit.epochs=1"), "intent", "test", only_if_due=False
        )
        erasure.erase_utterances(corpus, [plan.snapshot.of("train")[0].utterance_id])
        result = retrain_step.retrain(corpus, settings, plan, "")
        with corpus.read() as conn:
            assert store.version(conn, "intent", result.version).tainted


def test_without_being_told_to_it_learns_from_labels_alone_each_with_its_weight(home: Path):
    settings = small_settings(home)
    with opened(settings) as corpus:
        plan = retrain_plan.plan(corpus, settings, "intent", "test", only_if_due=False)
        assert plan.pseudo.ids == ()
        rows = [replace(row, weight=0.25 + k / 100) for k, row in enumerate(plan.snapshot.of("train"))]
        weights = {row.utterance_id: row.weight for row in rows}
        for example in intent_examples(corpus, rows):
            assert example.weight == weights[example.utterance_id.removesuffix("/draft")]
        clips = asr_examples(corpus, rows)
        assert clips
        assert all(clip.weight == weights[clip.utterance_id] for clip in clips)


# --- the first version ------------------------------------------------------------------------------------------------


def test_the_first_version_waits_for_labels_and_not_for_audit_rows(tmp_path: Path):
    everybody_trains = 'corpus.split={"train": 1.0, "dev": 0.0, "test": 0.0}'
    settings = small_settings(tmp_path / "home", everybody_trains, "promotion.min_audit_rows=100")
    with opened(settings) as corpus:
        with database.writing(corpus.records) as conn:
            for kind in ("asr", "intent"):
                where = model_registry.BASES / kind
                store.put_version(conn, ModelVersion(kind, "1", "run", "", folder_digest(where), "", str(where)))
                store.move_alias(conn, kind, "champion", None, "1")
        ids = arrive(corpus, 3)
        with corpus.operation("labels/1", "ingest") as op:
            labels.put_labels(corpus, op, [Label(i, "stop", "other", (), 1.0, 1, 1) for i in ids[:2]], "manifest")
        found = retrain_plan.plan(corpus, settings, "intent", "night", only_if_due=True)
        assert found.skipped == "since the newest version, 2 training labels are new; a retraining is due at 3"
        with corpus.operation("labels/2", "ingest") as op:
            labels.put_labels(corpus, op, [Label(ids[2], "stop", "other", (), 1.0, 1, 1)], "manifest")
        found = retrain_plan.plan(corpus, settings, "intent", "night", only_if_due=True)
        assert (found.skipped, found.version, len(found.snapshot.of("train"))) == ("", None, 3)


def test_a_retraining_without_what_was_withdrawn_is_due_and_a_version_that_learned_it_meanwhile_is_tainted(
    tmp_path: Path,
):
    settings = labelled_home(tmp_path, "intent.fit.epochs=1", "intent.fit.batch_size=8", "night.min_new_labels=1000")

    def planned(*, only_if_due: bool) -> retrain_plan.RetrainPlan:
        return retrain_plan.plan(corpus, settings, "intent", "test", only_if_due=only_if_due)

    def trained(plan: retrain_plan.RetrainPlan) -> ModelVersion:
        version = retrain_step.retrain(corpus, settings, plan, "").version
        with database.writing(corpus.records) as conn:
            judgements.put(conn, "intent", version, judgements.Judgement("rows", "1", "refuse"))
            return store.version(conn, "intent", version)

    with opened(settings) as corpus:
        assert not trained(planned(only_if_due=False)).tainted
        assert "a retraining is due at 1000" in planned(only_if_due=True).skipped
        accounts = [f"account-{n}" for n in range(24)]
        speakers = {row.utterance_id for row in planned(only_if_due=False).snapshot.of("train")}
        of_train = next(account for account in accounts if speakers & set(_utterances_of(corpus, account)))
        consent.set_consent(corpus.vault, of_train, ["score", "annotate"], corpus.clock(), "desk")
        assert consent_use.mark_learners(corpus) == ["intent/2"]
        plan = planned(only_if_due=True)
        assert plan.skipped == ""
        assert (
            not speakers & set(_utterances_of(corpus, of_train)) & {r.utterance_id for r in plan.snapshot.of("train")}
        )
        another = next(
            account
            for account in accounts
            if {row.utterance_id for row in plan.snapshot.of("train")} & set(_utterances_of(corpus, account))
        )
        consent.set_consent(corpus.vault, another, ["score"], corpus.clock(), "desk")  # while it learns
        assert trained(plan).tainted
        assert not trained(planned(only_if_due=True)).tainted
        assert "a retraining is due at 1000" in planned(only_if_due=True).skipped


def _utterances_of(corpus: Corpus, account: str) -> list[str]:
    speaker = vault.speaker_of(corpus.vault, account)
    assert speaker is not None
    with database.reading(corpus.vault.engine) as conn:
        return vault.utterances_of(conn, speaker)
