"""Evidence from earlier answers for a round, in the real store: curves, costs, embeddings, cohorts."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from corpus.handle import Corpus, open_corpus
from corpus.records.annotations import Annotation, AnnotationTask, Label, Selection, task_id
from corpus.records.arrivals import Hypothesis
from corpus.records.base import Kind
from corpus.records.evaluation import EvaluationReport
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage.database import writing
from corpus.tables import annotations as annotations_table
from corpus.tables import erasure, labels, reports, rounds, scores, snapshots
from corpus.tables import models as store
from corpus.vault import consent, identity
from flows.nights.night import night_named
from flows.reports.sample_summary import sample_lines
from flows.reports.status import status_of
from flows.reports.status_table import show_status
from flows.rounds import annotation_costs, label_evidence
from flows.rounds.learning_outlook import outlooks
from flows.rounds.sample_evidence import EvidenceCounts
from flows.runtime.settings import Settings
from flows.steps.sample import DryRun, dry_run, sample_round
from sampling.example_pools import unit
from sampling.from_arrays import predictions_of
from tests.corpus.stored import arrive
from tests.flows.conftest import copy_of
from tests.flows.homes import small_settings

DAY = datetime(2026, 11, 2, 12, tzinfo=UTC)
ROUND, NIGHT = "2026-11-03", "2026-11-04"
SAID = "turn the kitchen light on"
HEARD = ("turn the kitchen light on", "turn the kitten light on", "turn a kitten light on", "turn a kitten night on")
LABELLED, ARRIVED = 120, 60


@dataclass
class World:
    """A home with a labelled round of 120 and a night of 60 to choose from; every fourth speaker has another accent."""

    settings: Settings
    corpus: Corpus
    ids: list[str]

    @property
    def labelled(self) -> list[str]:
        return self.ids[:LABELLED]

    def know(self, *overrides: str) -> label_evidence.LabelEvidence:
        settings = small_settings(self.settings.home, *overrides) if overrides else self.settings
        learned, cost, sampling = settings.learned, settings.cost, settings.sampling
        return label_evidence.gather_evidence(self.corpus, learned, cost, sampling, NIGHT)

    def choose(self, *overrides: str) -> DryRun:
        settings = small_settings(self.settings.home, *overrides) if overrides else self.settings
        return dry_run(self.corpus, settings, night_named(NIGHT, "UTC", 0))

    def version(self, kind: Kind, number: str, learned: list[str]) -> None:
        """Leave a new champion that learned from some rows."""
        snapshot = Snapshot(tuple(sorted(SnapshotRow(i, 1, "train", 1.0) for i in learned)))
        with writing(self.corpus.records) as conn:
            before = store.alias(conn, kind, "champion")
            snapshot_id = snapshots.put_snapshot(conn, snapshot, kind) if learned else ""
            store.put_version(conn, ModelVersion(kind, number, f"run-{number}", snapshot_id, "base", "", "nowhere"))
            store.move_alias(conn, kind, "champion", before, number)


def errors_of(number: int) -> int:
    """Word errors of the best transcript; the accent has most errors, and no measure uses it."""
    return 3 if is_accent(number) else int(np.random.default_rng([number, 1]).integers(0, 3))


def is_accent(number: int) -> bool:
    return number % 30 < 8  # speakers 0 to 7 of 30


def put_scores(corpus: Corpus, ids: list[str], numbers: list[int], versions: tuple[str, str], name: str) -> None:
    rng = np.random.default_rng(3)
    errors = np.array([errors_of(k) for k in numbers], float)
    doubt = np.clip(0.15 + 0.25 * errors + 0.05 * rng.normal(size=len(ids)), 0.02, 0.95)
    axis = np.eye(6)[[0 if is_accent(k) else 1 + k % 5 for k in numbers]]
    found = predictions_of(
        ids,
        np.stack([1 - doubt / 2, doubt / 2], axis=1),
        unit(axis + 0.15 * np.random.default_rng(4).normal(size=axis.shape)),
        intents=("light_on", "light_off"),
        versions=versions,
        duration=np.full(len(ids), 2.0) + np.array(numbers) % 3,
        asr={"expected_errors": 2.0 * errors + rng.random(len(ids)), "num_tokens": 5.0 + np.array(numbers) % 4},
    )
    heard = {i: (Hypothesis(HEARD[errors_of(k)], 1.0, "light_on"),) for i, k in zip(ids, numbers, strict=True)}
    with corpus.operation(name, "score") as op:
        op.result = {"scored": scores.put(corpus, op, found, heard)}


def put_round(corpus: Corpus, ids: list[str]) -> None:
    """Leave a round whose first two thirds are an audit sample, answered in 5 s + 2 s a second + 1 s a token."""
    audit = np.arange(len(ids)) < 2 * len(ids) // 3
    reasons, count = np.where(audit, "audit", "uncertain"), len(ids)
    chosen = Selection(
        ROUND, np.array(ids), reasons, np.full(count, "transcribe"), np.zeros(count), np.where(audit, 0.25, 1.0),
        np.full(count, 9.0),
    )  # fmt: skip
    tasks = [AnnotationTask(task_id(ROUND, i, "transcribe"), ROUND, i, "transcribe", "a", 1.0, (), ()) for i in ids]
    with corpus.operation(f"sample/{ROUND}", "sample") as op:
        rounds.put_selection(op.conn, chosen, ROUND, {"clips": 20}, count)
        rounds.put_tasks(op.conn, tasks)
        op.result = {"since": 0, "up_to": 0}
    answers = [
        Annotation(task.task_id, "ann", "transcribe", "labelled", SAID, "light_on", lead_time=seconds)
        for k, task in enumerate(tasks)
        for seconds in [5.0 + 2.0 * duration(k) + 1.0 * (5 + k % 4)]
    ]
    with corpus.operation("merge/1", "merge") as op:
        annotations_table.put_annotations(corpus, op, answers)
        intent = [("light_on", "light_off")[k % 3 == 0 and errors_of(k) > 0] for k in range(count)]
        labels.put_labels(corpus, op, [Label(i, SAID, intent[k], (), 1.0, 1, 1) for k, i in enumerate(ids)])
        op.result = {"labels": count}


def duration(number: int) -> float:
    return (1600 + number % 7) / 16000


TRAIN = 'corpus.split={"train": 1.0, "dev": 0.0, "test": 0.0}'


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The home of a world, and its ids; each test gets a copy."""
    settings = small_settings(tmp_path_factory.mktemp("known") / "home", TRAIN)
    with pytest.MonkeyPatch.context() as patch:  # ids are the same each time, and so are the clusters
        keys = (hashlib.sha256(f"key {number}".encode()).digest() for number in itertools.count())
        patch.setattr(identity.cipher, "new_key", lambda: next(keys))
        corpus = open_corpus(settings.corpus, clock=lambda: DAY + timedelta(days=3))
    ids = arrive(corpus, LABELLED, arrived_at=DAY, speakers=30)
    ids += arrive(
        corpus, ARRIVED, start=LABELLED, arrived_at=DAY + timedelta(days=1), speakers=30, operation_id="ingest/1"
    )
    put_scores(corpus, ids, list(range(len(ids))), ("1", "1"), "score/1")
    put_round(corpus, ids[:LABELLED])
    made = World(settings, corpus, ids)
    made.version("asr", "1", [])
    made.version("intent", "1", [])
    corpus.close()
    return settings.home, ids


@pytest.fixture
def world(built: tuple[Path, list[str]], tmp_path: Path) -> Iterator[World]:
    settings = small_settings(copy_of(built[0], tmp_path / "home"), TRAIN)
    corpus = open_corpus(settings.corpus, clock=lambda: DAY + timedelta(days=3))
    yield World(settings, corpus, built[1])
    corpus.close()


def test_curves_are_fitted_on_what_people_found(world: World):
    found = world.know()
    assert (found.labelled, found.scored, found.unseen) == (LABELLED, LABELLED, LABELLED)
    words, intent = found.reliability["words"], found.reliability["intent"]
    assert (words.rows, words.judged, words.of) == (120, 80, "traffic")
    assert words.ece_after < 0.5 * words.ece_before  # the measure said twice what was found
    assert words.auc_roc > 0.95
    assert 0 < intent.error_share < 0.5
    assert set(found.calibrators) == {"expected_errors", "margin"}
    curve = found.calibrators["expected_errors"]
    assert max(curve.outcomes) == pytest.approx(3, abs=0.5)


def test_the_choice_uses_the_curves_and_reports_it(world: World):
    report = world.choose("sampling.clips=20", "sampling.floor=20")
    document = report.to_json()
    json.dumps(document, allow_nan=False)
    assert (document["night"], len(document["rows"])) == (NIGHT, document["chosen"])
    assert set(document) == {"night", "rows"} | set(report.report.to_json())
    expected = report.report.expected_errors
    assert expected.chosen > expected.pool
    assert expected.pool < 3  # calibrated; the measure itself would say twice as much
    lines = sample_lines({name: value for name, value in document.items() if name != "rows"})
    figures = document["calibration"]["intent"]
    assert lines["calibration intent"] == (
        f"off by {100 * figures['ece_before']:.1f} points of probability before, {100 * figures['ece_after']:.1f} "
        f"after, on {figures['judged']} rows of {figures['speakers']} speakers; ranks errors with AUC "
        f"{figures['auc_roc']:.2f} (1 is best, 0.5 is chance)"
    )
    figures = document["calibration"]["words"]
    assert lines["calibration words"].startswith(
        f"off by {figures['ece_before']:.2f} word errors an utterance before, {figures['ece_after']:.2f} after, on "
    )
    assert lines["labelled rows"] == "120, of which 120 were chosen and never learned from"
    assert lines["outlook asr"] == "needs at least 3 judged versions, there are 0"
    assert "as the models expect" not in str(lines["expected errors"])
    few = {kind: {**found, "rows": 29} for kind, found in document["calibration"].items()}
    assert "as the models expect of themselves" in str(sample_lines({**document, "calibration": {}})["expected errors"])
    assert "as the models expect of themselves" in str(
        sample_lines({**document, "calibration": few})["expected errors"]
    )


def test_costs_are_learned_from_all_answers(world: World):
    costs, answers = annotation_costs.fitted_costs(world.corpus, world.settings.learned, world.settings.cost)
    assert answers == {"transcribe": 120}
    assert costs.transcribe.per_token == pytest.approx(1.0, abs=0.1)
    assert costs.transcribe.base + 0.1 * costs.transcribe.per_second == pytest.approx(5.2, abs=0.6)
    assert costs.label_intent == world.settings.cost.label_intent
    report = world.choose()
    assert report.report.costs["transcribe"].learned
    assert "120 answers" in sample_lines(report.to_json())["cost transcribe"]
    assert not report.report.costs["triage"].learned
    few = small_settings(world.settings.home, "learned.answers=10")
    assert annotation_costs.fitted_costs(world.corpus, few.learned, few.cost)[0] == world.settings.cost


def test_a_hidden_accent_is_found_extended_to_the_night_and_served(world: World):
    small = "sampling.cohorts.min_rows=8"  # about as many clusters as there are sounds
    report = world.choose("sampling.clips=30", "sampling.floor=30", "sampling.audit_share_while_few=0.2", small)
    (cohort, *_) = report.report.cohorts
    assert cohort.rate > cohort.rest
    assert cohort.speakers >= 4
    assert cohort.pool == pytest.approx(ARRIVED * 8 / 30, abs=3)
    assert cohort.chosen >= 1
    assert report.report.reasons["slice"] == sum(each.chosen for each in report.report.cohorts)
    assert "utterances of" in sample_lines(report.to_json())["cohorts"]
    at = {i: k for k, i in enumerate(world.ids)}
    served = [at[row.utterance] for row in report.rows if row.reason == "slice"]
    assert all(is_accent(k) for k in served)
    off = world.choose("sampling.cohorts.share=0")
    assert off.report.cohorts == ()
    assert "slice" not in off.report.reasons


def test_novelty_compares_with_rows_that_train_and_not_with_audit_rows(world: World):
    found = world.know()
    learned = world.labelled[80:]
    assert found.embeddings.shape == (40, 6)
    expected = scores.predictions(world.corpus, learned, "1", "1").embeddings
    assert {row.tobytes() for row in found.embeddings} == {row.tobytes() for row in expected}


def test_rows_that_a_champion_learned_from_calibrate_nothing(world: World):
    world.version("asr", "2", world.labelled[80:100])
    numbers = list(range(len(world.ids)))
    put_scores(world.corpus, world.ids, numbers, ("2", "1"), "score/2")
    found = world.know()
    assert (found.scored, found.unseen) == (120, 100)
    assert found.reliability["words"].rows == 100
    assert len(found.embeddings) == 40  # they are covered all the same


def test_scores_of_other_versions_are_no_evidence_and_are_asked_for(world: World):
    put_scores(world.corpus, world.ids[LABELLED:], list(range(LABELLED, len(world.ids))), ("1", "2"), "score/2")
    world.version("intent", "2", world.labelled[100:])
    report = world.choose()
    assert report.report.known == EvidenceCounts(labelled=120, scored=0, unseen=0)
    assert report.report.calibration == {}
    assert "120 are not scored by the current champions" in sample_lines(report.to_json())["labelled rows"]
    held = label_evidence.labelled_rows(world.corpus, world.settings.learned)
    assert [row.reason for row in held.rows] == ["audit"] * 80 + ["uncertain"] * 40
    assert held.learned_from == set(world.labelled[100:])
    few = label_evidence.labelled_rows(world.corpus, small_settings(world.settings.home, "learned.rows=10").learned)
    assert [row.reason for row in few.rows] == ["audit"] * 10


def test_what_is_erased_or_withdrawn_has_no_part_in_it(world: World):
    speakers = {
        row.utterance_id: row.speaker_id
        for row in label_evidence.labelled_rows(world.corpus, world.settings.learned).rows
    }
    erasure.erase_speaker(world.corpus, speakers[world.labelled[0]])
    consent.set_consent(world.corpus.vault, "account-1", ["score"], DAY + timedelta(days=2), "test")
    found = world.know()
    assert (found.labelled, found.unseen) == (116, 112)


def test_held_out_rows_teach_nothing(world: World):
    with world.corpus.operation("import/1", "ingest") as op:
        extra = [Label(i, SAID, "light_on", (), 1.0, 0, 1) for i in world.ids[LABELLED : LABELLED + 9]]
        labels.put_labels(world.corpus, op, extra, "held_out")
    assert world.know().labelled == 120


def test_a_round_keeps_its_report_and_the_same_night_gives_the_same_choice(world: World):
    night = night_named(NIGHT, "UTC", 0)
    looked = world.choose()
    first = sample_round(world.corpus, world.settings, night)
    assert {row.utterance for row in looked.rows} == {str(i) for i in _stored(world, NIGHT).utterance_ids.tolist()}
    for name in ("calibration", "costs", "cohorts", "known", "expected_errors"):
        assert getattr(first, name) == getattr(looked.report, name)
    again = sample_round(world.corpus, world.settings, night)
    assert again.already
    assert replace(again, already=None) == first


def _stored(world: World, round_: str) -> Selection:
    with world.corpus.read() as conn:
        return rounds.selection(conn, round_)


def test_a_home_without_answers_chooses_by_the_measures(tmp_path: Path):
    settings = small_settings(tmp_path / "home")
    corpus = open_corpus(settings.corpus, clock=lambda: DAY + timedelta(days=3))
    ids = arrive(corpus, 40, arrived_at=DAY, speakers=20)
    put_scores(corpus, ids, list(range(40)), ("1", "1"), "score/1")
    World(settings, corpus, ids).version("asr", "1", [])
    World(settings, corpus, ids).version("intent", "1", [])
    report = dry_run(corpus, settings, night_named(ROUND, "UTC", 0))
    assert report.report.known == EvidenceCounts(labelled=0, scored=0, unseen=0)
    assert report.report.calibration == {}
    assert report.report.cohorts == ()
    assert report.report.chosen > 0
    sample_lines(report.to_json())
    corpus.close()


# --- the outlook ------------------------------------------------------------------------------------------------------


def put_judged(world: World, number: str, count: int, share: float) -> None:
    """Leave a speech version that learned from `count` rows judged beside the base, with `share` of its errors."""
    if number != "1":
        world.version("asr", number, world.labelled[80 : 80 + count])
    speakers = {
        row.utterance_id: row.speaker_id
        for row in label_evidence.labelled_rows(world.corpus, world.settings.learned).rows
    }
    ids = sorted(world.labelled[:80])
    rng = np.random.default_rng(5)
    for version, factor in (("1", 1.0), (number, share)):
        errors = rng.binomial(10, 0.5 * factor, len(ids))
        zeros = np.zeros(len(ids), np.int64)
        report = EvaluationReport(
            "asr", version, f"set-{number}", np.array(ids), np.array([speakers[i] for i in ids]), errors,
            np.full(len(ids), 10), zeros, zeros, zeros > 0, zeros.astype(np.float32), np.zeros((len(ids), 3), np.int64),
        )  # fmt: skip
        with writing(world.corpus.records) as conn:
            reports.put_report(conn, report)


def test_the_outlook_needs_three_judged_versions_and_then_speaks(world: World, capsys: pytest.CaptureFixture[str]):
    stopping, seed = world.settings.stopping, world.settings.sampling.seed
    for number, count, share in (("2", 10, 0.9), ("3", 20, 0.82)):
        put_judged(world, number, count, share)
    assert outlooks(world.corpus, stopping, seed)["asr"].why == "needs at least 3 judged versions, there are 2"
    put_judged(world, "4", 40, 0.7)
    found = outlooks(world.corpus, stopping, seed)
    assert found["intent"].advice == "unknown"
    assert found["asr"].advice == "go on"
    assert found["asr"].labels == 40
    assert found["asr"].now == pytest.approx(0.35, abs=0.05)
    assert found["asr"].low <= found["asr"].gain <= found["asr"].high
    report = status_of(world.settings)
    assert report.outlook == found
    assert report.to_json()["outlook"]["asr"] == found["asr"].as_json()
    assert report.costs["transcribe"].answers == 120
    show_status(report)
    shown = capsys.readouterr().out
    assert "the next 100 labels are expected to bring" in shown
    assert "for each token of the champion's transcript (120 answers)" in shown
