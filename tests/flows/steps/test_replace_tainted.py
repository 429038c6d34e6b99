"""A champion that learned from what was erased gives way the same night, and a version without it is due."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import erasure, judgements, snapshots
from corpus.tables import models as store
from flows.models import registry
from flows.models.aliases import mirror_registry, move_champion
from flows.models.tainted import RULE, gave_way, tainted_champions
from flows.reports.doctor import examine
from flows.reports.status import status_of
from flows.runtime.results import Skipped
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps import promote, retrain_plan
from flows.steps import retrain as retrain_step
from flows.steps.replace_tainted import TaintedReport, replace_tainted
from tests.corpus.stored import choose
from tests.flows.labelled_home import labelled_home
from training.tracking.aliases import TAINTED_TAG
from training.tracking.store import open_tracking

FAST = ("intent.fit.epochs=1", "intent.fit.batch_size=8", "intent.replay=0", "night.min_new_labels=1000")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home of tiny models; every test erases other rows, and begins with the base as champion."""
    return labelled_home(tmp_path_factory.mktemp("tainted"), *FAST)


def give_way(corpus: Corpus, settings: Settings) -> TaintedReport | Skipped:
    return replace_tainted(corpus, settings.home, settings.erasure, settings.tracking)


def learn(corpus: Corpus, settings: Settings, *, only_if_due: bool = False) -> str:
    plan = retrain_plan.plan(corpus, settings, "intent", "test", only_if_due=only_if_due)
    assert not plan.skipped
    return retrain_step.retrain(corpus, settings, plan, "").version


def rows_of(corpus: Corpus, version: str) -> Sequence[str]:
    with corpus.read() as conn:
        snapshot_id = store.version(conn, "intent", version).snapshot_id
        return sorted(row.utterance_id for row in snapshots.snapshot(conn, snapshot_id).of("train"))


def champion(corpus: Corpus, kind: Kind = "intent") -> str:
    return registry.champion(corpus, kind).version


def crown(corpus: Corpus, version: str) -> None:
    if champion(corpus) != version:
        move_champion(corpus, "intent", champion(corpus), version, how="forced", why="test", actor="test")


def judged(corpus: Corpus, version: str, decision: str) -> None:
    with writing(corpus.records) as conn:
        judgements.put(conn, "intent", version, judgements.Judgement("rows", "1", decision))


def test_it_gives_way_to_the_newest_clean_version_and_one_without_it_is_due(settings: Settings):
    with opened(settings) as corpus:
        assert isinstance(give_way(corpus, settings), Skipped)
        version = learn(corpus, settings)
        crown(corpus, version)
        judged(corpus, version, "promote")
        assert "due at 1000" in retrain_plan.plan(corpus, settings, "intent", "n", only_if_due=True).skipped
        gone = rows_of(corpus, version)[0]
        assert erasure.erase_utterances(corpus, [gone])["tainted"] == [f"intent/{version}"]
        with corpus.read() as conn:
            (problem,) = tainted_champions(conn, settings.erasure, corpus.clock())
        assert problem.startswith(f"intent/{version} is champion and learned from")
        assert problem.endswith(f"or wait for the next earmark nightly: {RULE}")
        report = give_way(corpus, settings)
        assert isinstance(report, TaintedReport)
        sentence = f"intent/{version} learned from an utterance that was erased or withdrawn since and gave way to"
        sentence += " intent/1, a base,"
        assert report.replaced == {"intent": f"{sentence} by the rule: {RULE}"}
        assert (report.waits, champion(corpus)) == ({}, "1")
        assert status_of(settings).gave_way == report.replaced
        assert status_of(settings).models["intent"].tainted == (version,)
        assert not any("tainted" in each or "erased since" in each for each in examine(settings, repair=False).problems)
        assert isinstance(give_way(corpus, settings), Skipped)
        clean = learn(corpus, settings, only_if_due=True)  # 1 label is fewer, of 1000
        assert gone not in rows_of(corpus, clean)
        snapshot = retrain_plan.plan(corpus, settings, "intent", "n", only_if_due=True).snapshot
        judgement = promote.judge_and_promote(corpus, settings, "intent", clean, snapshot)
        assert judgement.champion in (clean, "1")
        assert judgement.against in (None, f"1-{champion(corpus, 'asr')}")
        assert retrain_plan.plan(corpus, settings, "intent", "n", only_if_due=True).skipped
        crown(corpus, clean)
        with corpus.read() as conn:
            assert gave_way(conn) == {}


def learn_again(corpus: Corpus, settings: Settings) -> str:
    """Train a version on the labels of now; a row that is drawn to judge makes them others than before."""
    with corpus.read() as conn:
        newest = store.versions(conn, "intent")[-1]
    if newest.snapshot_id and not newest.tainted:
        choose(corpus, rows_of(corpus, newest.version)[-1:], f"round-{newest.version}", reason="audit")
    return learn(corpus, settings)


def test_within_its_grace_it_stays_and_says_until_when(settings: Settings):
    patient = settings.model_copy(update={"erasure": settings.erasure.model_copy(update={"grace": 2})})
    with opened(settings) as corpus:
        version = learn_again(corpus, settings)
        crown(corpus, version)
        erasure.erase_utterances(corpus, rows_of(corpus, version)[:1])
        report = give_way(corpus, patient)
        assert isinstance(report, TaintedReport)
        assert "stays champion until" in report.waits["intent"]
        assert (report.replaced, champion(corpus)) == ({}, version)
        with corpus.read() as conn:
            (problem,) = tainted_champions(conn, patient.erasure, corpus.clock())
        assert " UTC on: the newest judged version" in problem
        assert not retrain_plan.plan(corpus, settings, "intent", "n", only_if_due=True).skipped
        later = replace(corpus, clock=lambda: corpus.clock() + timedelta(days=3))
        report = give_way(later, patient)
        assert isinstance(report, TaintedReport)
        assert list(report.replaced) == ["intent"]
        assert champion(corpus) != version


def test_mlflow_marks_tainted_versions_and_the_doctor_finds_those_that_are_not(settings: Settings):
    with opened(settings) as corpus:
        version = learn_again(corpus, settings)
        erasure.erase_utterances(corpus, rows_of(corpus, version)[:1])
        tracking = open_tracking(settings.tracking, settings.home)
        name = f"{tracking.model_prefix}-intent"
        unmarked = f"models: {name} {version} is not marked as tainted in MLflow; earmark doctor --repair"
        assert unmarked in examine(settings, repair=False).problems
        mirror_registry(corpus, tracking)
        tags = {
            str(each.version): each.tags.get(TAINTED_TAG)
            for each in tracking.client.search_model_versions(f"name = '{name}'")
        }
        assert (tags[version], tags["1"]) == ("true", None)
        assert unmarked not in examine(settings, repair=False).problems


def test_versions_that_the_gate_refused_are_passed_over_and_so_are_those_that_do_not_load(settings: Settings):
    with opened(settings) as corpus:
        learned = []
        for _ in range(4):
            learned.append(learn_again(corpus, settings))
            judged(corpus, learned[-1], "indicative")
        kept, lost, refused, newest = learned
        judged(corpus, refused, "refuse")
        with corpus.read() as conn:
            folder = registry.located(settings.home, store.version(conn, "intent", lost).model_uri)
        shutil.rmtree(folder)
        crown(corpus, newest)
        with writing(corpus.records) as conn:
            table = schema.model_versions
            one = (table.c.kind == "intent", table.c.version == newest)
            conn.execute(sa.update(table).where(*one).values(tainted=True))
        report = give_way(corpus, settings)  # without the time of its taint, as in homes of older versions
        assert isinstance(report, TaintedReport)
        assert f"gave way to intent/{kept} by the rule" in report.replaced["intent"]
        assert champion(corpus) == kept
