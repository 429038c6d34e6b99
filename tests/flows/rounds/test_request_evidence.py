"""Verdicts as evidence on what is a request, in the real store, and the choice that uses them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from corpus.handle import Corpus, open_corpus
from corpus.records.annotations import Annotation, AnnotationTask, Label, Selection, task_id
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage import operation_ids
from corpus.storage.database import writing
from corpus.tables import annotations as annotations_table
from corpus.tables import labels, rounds, scores, snapshots, utterances
from corpus.tables import models as store
from corpus.vault import consent
from flows.nights.night import night_named
from flows.reports.night_report import night_report
from flows.reports.sample_summary import sample_lines
from flows.rounds import request_evidence
from flows.rounds.label_evidence import labelled_rows
from flows.rounds.request_evidence import RequestEvidence, verdict_shares
from flows.runtime.console import percent
from flows.runtime.settings import Settings
from flows.steps.sample import DryRun, SampleReport, dry_run, sample_round
from sampling.example_pools import unit
from sampling.from_arrays import predictions_of
from tests.corpus.stored import arrive
from tests.flows.conftest import copy_of
from tests.flows.homes import small_settings

DAY = datetime(2026, 11, 2, 12, tzinfo=UTC)
ROUND, NIGHT = "2026-11-03", "2026-11-04"
TRAIN = 'corpus.split={"train": 1.0, "dev": 0.0, "test": 0.0}'
ANSWERED, ARRIVED = 60, 60


def is_other(number: int) -> bool:
    """Whether a clip is no request; its scores are no less sure than others, and its embedding lies elsewhere."""
    return number % 5 == 0


@dataclass
class World:
    """A home with a round of 60, of which nothing is answered yet, and a night of 60; a fifth are no requests."""

    settings: Settings
    corpus: Corpus
    ids: list[str]

    def merge(self, verdicts: dict[int, str], name: str = "merge/1", person: str = "ann") -> None:
        answers = []
        for number, verdict in verdicts.items():
            said = {"transcript": "lights on", "intent": "light_on"} if verdict == "labelled" else {}
            task = task_id(ROUND, self.ids[number], "transcribe")
            answers.append(Annotation(task, person, "transcribe", verdict, lead_time=9.0, **said))
        with self.corpus.operation(name, "merge") as op:
            annotations_table.put_annotations(self.corpus, op, answers)
            found = [self.ids[number] for number, verdict in verdicts.items() if verdict == "labelled"]
            labels.put_labels(self.corpus, op, [Label(i, "lights on", "light_on", (), 1.0, 1, 1) for i in found])
            op.result = {}

    def answer_all(self) -> None:
        self.merge({k: "accidental" if is_other(k) else "labelled" for k in range(ANSWERED)})

    def shares(self) -> dict[str, float]:
        return verdict_shares(self.corpus, self.settings.learned)

    def gather(self, *overrides: str) -> RequestEvidence:
        settings = small_settings(self.settings.home, TRAIN, *overrides)
        labelled = labelled_rows(self.corpus, settings.learned)
        return request_evidence.gather_requests(self.corpus, settings.learned, settings.sampling, labelled)

    def choose(self, *overrides: str) -> DryRun:
        settings = small_settings(self.settings.home, TRAIN, "sampling.clips=20", "sampling.floor=20", *overrides)
        return dry_run(self.corpus, settings, night_named(NIGHT, "UTC", 0))

    def champion(self, kind: str, number: str, learned: list[int]) -> None:
        rows = tuple(sorted(SnapshotRow(self.ids[k], 1, "train", 1.0) for k in learned))
        with writing(self.corpus.records) as conn:
            before = store.alias(conn, kind, "champion")
            snapshot_id = snapshots.put_snapshot(conn, Snapshot(rows), kind) if learned else ""
            store.put_version(conn, ModelVersion(kind, number, f"run-{number}", snapshot_id, "base", "", "nowhere"))
            store.move_alias(conn, kind, "champion", before, number)

    def score(self, numbers: list[int], versions: tuple[str, str], width: int = 6) -> None:
        rng, n = np.random.default_rng(3), len(numbers)
        axis = np.eye(width)[[0 if is_other(k) else 1 + k % (width - 1) for k in numbers]]
        found = predictions_of(
            [self.ids[k] for k in numbers],
            rng.dirichlet(np.ones(2), n),
            unit(axis + 0.2 * rng.normal(size=axis.shape)),
            intents=("light_on", "light_off"),
            versions=versions,
            duration=np.full(n, 2.0),
            asr={
                "expected_errors": np.where([is_other(k) for k in numbers], 9.0, 2.0) + rng.random(n),
                "nonblank_entropy": rng.uniform(0.2, 0.9, n),
                "num_tokens": np.full(n, 12),
            },
        )
        with self.corpus.operation(operation_ids.score(f"{versions}"), "score") as op:
            scores.put(self.corpus, op, found, {})
            op.result = {}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    settings = small_settings(tmp_path_factory.mktemp("requests") / "home", TRAIN)
    corpus = open_corpus(settings.corpus, clock=lambda: DAY + timedelta(days=3))
    ids = arrive(corpus, ANSWERED, arrived_at=DAY, speakers=30)
    ids += arrive(
        corpus, ARRIVED, start=ANSWERED, arrived_at=DAY + timedelta(days=1), speakers=30, operation_id="ingest/1"
    )
    made = World(settings, corpus, ids)
    made.champion("asr", "1", [])
    made.champion("intent", "1", [])
    made.score(list(range(len(ids))), ("1", "1"))
    count, asked = ANSWERED, ids[:ANSWERED]
    reasons = np.where(np.arange(count) % 2 == 0, "audit", "uncertain")
    chosen = Selection(
        ROUND, np.array(asked), reasons, np.full(count, "transcribe"), np.zeros(count),
        np.where(reasons == "audit", 0.5, 1.0), np.full(count, 9.0),
    )  # fmt: skip
    tasks = [AnnotationTask(task_id(ROUND, i, "transcribe"), ROUND, i, "transcribe", "a", 1.0, (), ()) for i in asked]
    with corpus.operation(operation_ids.sample(ROUND), "sample") as op:
        rounds.put_selection(op.conn, chosen, ROUND, {"clips": 20}, count)
        rounds.put_tasks(op.conn, tasks)
        op.result = {"since": 0, "up_to": 0}
    corpus.close()
    return settings.home, ids


@pytest.fixture
def world(built: tuple[Path, list[str]], tmp_path: Path) -> Iterator[World]:
    settings = small_settings(copy_of(built[0], tmp_path / "home"), TRAIN)
    corpus = open_corpus(settings.corpus, clock=lambda: DAY + timedelta(days=3))
    yield World(settings, corpus, built[1])
    corpus.close()


def test_verdicts_say_what_is_a_request_and_help_says_nothing(world: World) -> None:
    world.merge({1: "labelled", 2: "accidental", 3: "unintelligible", 4: "help"})
    world.merge({1: "accidental", 2: "accidental"}, "merge/2", "ben")
    assert world.shares() == {world.ids[1]: 0.5, world.ids[2]: 0.0, world.ids[3]: 0.0}


def test_safety_verdicts_and_clips_that_are_set_aside_are_no_evidence(world: World) -> None:
    world.merge({1: "critical_data", 2: "distress", 3: "accidental"})
    assert world.shares() == {world.ids[3]: 0.0}
    with writing(world.corpus.records) as conn:
        utterances.set_aside(conn, [world.ids[3]], "by-hand")
    assert world.shares() == {}


def test_held_out_clips_and_withdrawn_consents_are_no_evidence(world: World) -> None:
    one, other = world.ids[1], world.ids[5]
    with world.corpus.operation("ingest/held", "ingest") as op:
        labels.put_labels(
            world.corpus, op, [Label(i, "no", "light_off", (), 1.0, 0, 1) for i in (one, other)], "held_out"
        )
        op.result = {}
    world.answer_all()
    assert not {one, other} & set(world.shares())
    assert len(world.shares()) == ANSWERED - 2
    consent.set_consent(world.corpus.vault, "account-3", {"score"}, DAY + timedelta(days=2), "test")
    assert not {world.ids[3], world.ids[33]} & set(world.shares())
    assert len(world.shares()) == ANSWERED - 4


def test_a_label_without_words_is_no_request(world: World) -> None:
    world.answer_all()
    silent = [world.ids[1], world.ids[2]]
    with world.corpus.operation("merge/2", "merge") as op:
        labels.put_labels(world.corpus, op, [Label(i, "", "light_on", (), 1.0, 1, 2) for i in silent])
        op.result = {}
    found = world.gather()
    assert (found.verdicts, found.none) == (ANSWERED, ANSWERED // 5 + len(silent))


def test_labels_of_a_manifest_are_requests_and_answered_clips_go_before_them(world: World) -> None:
    with world.corpus.operation("ingest/2", "ingest") as op:
        labels.put_labels(world.corpus, op, [Label(world.ids[70], "on", "light_on", (), 1.0, 0, 1)], "manifest")
        op.result = {}
    world.merge(dict.fromkeys((5, 10), "accidental"))
    assert world.shares() == {world.ids[5]: 0.0, world.ids[10]: 0.0, world.ids[70]: 1.0}
    few = small_settings(world.settings.home, "learned.rows=2").learned
    assert verdict_shares(world.corpus, few) == {world.ids[5]: 0.0, world.ids[10]: 0.0}


def test_answers_change_the_next_choice_and_before_them_the_rule_holds(world: World) -> None:
    before = world.choose("sampling.strategy=herding")
    assert (before.report.requests.verdicts, before.report.requests.auc) == (0, None)
    others = {world.ids[k] for k in range(ANSWERED, len(world.ids)) if is_other(k)}
    picked = [row.utterance in others for row in before.rows if row.reason != "audit"]
    world.answer_all()
    after = world.choose("sampling.strategy=herding")
    found = after.report.requests
    assert (found.clips, found.verdicts, found.verdicts_none) == (ARRIVED, ANSWERED, ANSWERED // 5)
    assert found.auc > 0.95
    assert found.none == pytest.approx(0.2, abs=0.07)
    assert found.left_out + found.doubtful >= ARRIVED // 5 - 2
    now = [row.utterance in others and row.ask != "triage" for row in after.rows if row.reason != "audit"]
    assert sum(picked) >= 3
    assert sum(now) == 0
    audit = [
        sorted((row.utterance, row.inclusion) for row in each.rows if row.reason == "audit")
        for each in (after, world.choose("sampling.strategy=herding", "sampling.requests.weigh=false"))
    ]
    assert audit[0] == audit[1] != []
    assert world.choose("sampling.requests.weigh=false").report.requests is None


def test_what_a_round_believed_is_shown_and_kept_with_it(world: World) -> None:
    world.answer_all()
    settings = small_settings(world.settings.home, TRAIN, "sampling.clips=20", "sampling.floor=20")
    made = sample_round(world.corpus, settings, night_named(NIGHT, "UTC", 0))
    lines, figures = sample_lines(made.to_json()), made.requests
    assert figures is not None
    assert str(lines["no requests"]).startswith(
        f"about {60 * figures.none:.0f} of 60 clips ({percent(figures.none)}), learned from 60 answers, of which 12 "
        f"say so of their clip; told apart with AUC {figures.auc:.2f} "
    )
    assert lines["kept back"] == (
        f"{figures.left_out} clips are not chosen to learn from; of {figures.doubtful} doubtful ones only whether the "
        "assistant was meant is asked"
    )
    without = sample_lines({"requests": replace(figures, verdicts=0, verdicts_none=0, auc=None).to_json()})
    assert str(without["no requests"]).endswith(", by a fixed rule, as no answer has taught it yet")
    assert SampleReport.of(made.to_json()).requests == made.requests
    report = night_report(world.corpus, settings.night, settings.promotion, settings.sampling, NIGHT)
    assert report.requests == made.requests
    assert night_report(world.corpus, settings.night, settings.promotion, settings.sampling, ROUND).requests is None


def test_clips_from_which_a_champion_learned_are_left_out_and_the_others_stand_for_them(world: World) -> None:
    world.answer_all()
    whole = world.gather()
    world.champion("asr", "2", [k for k in range(1, ANSWERED, 2) if not is_other(k)])
    world.score(list(range(len(world.ids))), ("2", "1"))
    found = world.gather()
    assert whole.verdicts == ANSWERED
    assert found.verdicts == ANSWERED - 24
    assert found.none == whole.none
    document = world.choose().report.requests
    assert document.none == pytest.approx(0.2, abs=0.07)


def test_scores_of_a_former_champion_teach_nothing_until_the_clips_are_scored_again(world: World) -> None:
    world.answer_all()
    world.champion("asr", "2", [])
    later = list(range(ANSWERED, len(world.ids)))
    world.score(later, ("2", "1"), width=9)
    assert world.gather() == RequestEvidence()
    assert world.choose().report.requests.verdicts == 0
    world.champion("asr", "3", [])
    world.score(list(range(len(world.ids))), ("3", "1"), width=9)
    found = world.gather()
    assert (found.verdicts, found.model.versions, len(found.model.embedding_centre)) == (ANSWERED, ("3", "1"), 9)
