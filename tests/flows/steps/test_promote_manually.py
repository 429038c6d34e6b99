"""A person promotes a version: what the gate said, whose word counts, and that two at once can't both win."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from corpus.errors import PromotionRefused, UsageError
from corpus.handle import Corpus
from corpus.records.annotations import Label
from corpus.records.base import Kind
from corpus.records.models import ModelVersion
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import labels
from corpus.tables import models as store
from corpus.tables import reports as reports_table
from flows.models import registry
from flows.models.aliases import move_champion, roll_back
from flows.models.eval_set import AuditSet, audit_set, current_snapshot
from flows.models.evaluation_store import evaluate_versions, stored_report
from flows.reports.compare import compare_versions
from flows.reports.demo_tables import DemoReport
from flows.reports.status import status_of
from flows.runtime import progress
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps.promote import judge_and_promote
from flows.steps.promote_manually import MOST_WHY, promote_manually
from flows.steps.retrain_plan import plan
from tests.corpus.stored import arrive, corpus_at
from tests.flows.audit_home import draw_audit_rows
from tests.flows.conftest import copy_of
from tests.flows.homes import arguments, earmark, small_settings
from training.tracking.store import open_tracking

NEVER = "promotion.max_negative_flips_asr=0.0"
HARD = (
    "promotion.alpha=0.0001",
    NEVER,
    "promotion.max_negative_flips_intent=0.0",
    "promotion.negative_flips_per_positive=0.0",
)


@pytest.fixture
def settings(lived: tuple[Settings, DemoReport], tmp_path: Path) -> Settings:
    return small_settings(copy_of(lived[0].home, tmp_path / "home"), *HARD)


def aliases(corpus: Corpus, kind: Kind) -> dict[str, str | None]:
    with corpus.read() as conn:
        return {name: store.alias(conn, kind, name) for name in ("champion", "previous")}


def other_than_champion(corpus: Corpus, kind: Kind = "asr") -> tuple[str, ModelVersion]:
    """Return the champion's number and another version."""
    with corpus.read() as conn:
        champion = str(store.alias(conn, kind, "champion"))
        return champion, next(v for v in reversed(store.versions(conn, kind)) if v.version != champion)


def acts(corpus: Corpus, act: str) -> list[tuple[str, dict[str, Any]]]:
    with corpus.read() as conn:
        rows = conn.execute(sa.select(schema.audit.c.actor, schema.audit.c.detail).where(schema.audit.c.act == act))
        return [(row.actor, json.loads(row.detail)) for row in rows]


def test_who_overrules_the_gate_says_why_and_it_stays_on_the_chain(settings: Settings):
    with opened(settings) as corpus:
        champion, other = other_than_champion(corpus)
        reference = f"asr/{other.version}"
        with pytest.raises(UsageError, match="give the reason"):
            promote_manually(corpus, settings, reference, "lena", force=True, why="  ")
        with pytest.raises(UsageError, match="shorten"):
            promote_manually(corpus, settings, reference, "lena", force=True, why="x" * (MOST_WHY + 1))
        with pytest.raises(UsageError, match="no version 99"):
            promote_manually(corpus, settings, "asr/99", "lena", force=True, why="x")
        assert aliases(corpus, "asr")["champion"] == champion
        assert acts(corpus, "promote") == []

        report = promote_manually(corpus, settings, reference, "lena", force=True, why="a gain\n on  doorbells")
        assert report.moved is not None
        assert (report.promoted, report.moved.was) == (True, champion)
        assert aliases(corpus, "asr") == {"champion": other.version, "previous": champion}
        [(actor, detail)] = acts(corpus, "promote")
        assert actor == "person:lena"
        assert detail["result"]["why"] == "a gain on doorbells"
        assert promote_manually(corpus, settings, reference, "lena", force=True, why="again").already
        assert len(acts(corpus, "promote")) == 1

        tracking = open_tracking(settings.tracking, settings.home)
        held = tracking.client.get_registered_model(f"{tracking.model_prefix}-asr").aliases
        assert str(held["champion"]) == other.version
        assert tracking.client.get_run(other.run_id).data.tags["earmark.promoted"] == "forced"
        assert roll_back(corpus, settings.home, settings.tracking, "asr").champion == champion


def test_what_was_promoted_is_no_challenger_any_more(settings: Settings):
    with opened(settings) as corpus:
        champion, other = other_than_champion(corpus)
        with writing(corpus.records) as conn:
            store.move_alias(conn, "asr", "challenger", store.alias(conn, "asr", "challenger"), other.version)
        assert status_of(settings).models["asr"].challenger == other.version
        assert registry.by_name(corpus, "asr", "challenger") == other
        promote_manually(corpus, settings, "asr/challenger", "lena", force=True, why="a test")
        models = status_of(settings).models["asr"]
        assert (models.champion, models.challenger, models.previous) == (other.version, None, champion)
        with pytest.raises(UsageError, match=f"asr has no challenger: asr/{other.version}, the last .*, is champion"):
            compare_versions(corpus, settings, "asr/champion", "asr/challenger")
        roll_back(corpus, settings.home, settings.tracking, "asr")
        models = status_of(settings).models["asr"]
        assert (models.champion, models.challenger, models.previous) == (champion, None, other.version)
        with pytest.raises(UsageError, match=f"asr/{other.version}, the last .*, is previous"):
            registry.by_name(corpus, "asr", "challenger")


def test_the_gate_refuses_with_its_reasons_and_is_not_asked_twice(settings: Settings):
    with opened(settings) as corpus:
        before = aliases(corpus, "asr")
        _, other = other_than_champion(corpus)
        with corpus.read() as conn:
            looks = store.looks(conn, "asr")
        report = promote_manually(corpus, settings, f"asr/{other.version}", "lena")
        assert not report.promoted
        assert report.judgement is not None
        assert report.judgement.decision == "refuse"
        assert report.judgement.why
        assert f"against champion {before['champion']}: REFUSE" in report.judgement.decision_text
        assert aliases(corpus, "asr") == before
        with corpus.read() as conn:
            after = store.looks(conn, "asr")
        assert after in (looks, looks + 1)
        again = promote_manually(corpus, settings, f"asr/{other.version}", "lena")
        assert again.judgement == replace(report.judgement, already=True)
        with corpus.read() as conn:
            assert store.looks(conn, "asr") == after


def plant(corpus: Corpus, settings: Settings, version: ModelVersion, wrong: Callable[[AuditSet], Any]) -> None:
    """Leave a version judged on today's audit rows as one that gets whole rows wrong, or none of their words."""
    audit = audit_set(corpus, settings.promotion, version.kind)
    report = evaluate_versions(corpus, settings.home, settings.score.transcribe, audit, [version])[version.version]
    errors = np.where(wrong(audit), report.words, 0)
    with writing(corpus.records) as conn:
        reports_table.put_report(conn, replace(report, errors=errors))


def test_a_clear_gain_is_promoted_and_again_after_a_rollback_without_another_look(settings: Settings):
    with opened(settings) as corpus:
        champion, other = other_than_champion(corpus)
        plant(corpus, settings, registry.champion(corpus, "asr"), lambda audit: np.ones(len(audit.labels), bool))
        plant(corpus, settings, other, lambda audit: np.zeros(len(audit.labels), bool))
        forget_judgements(corpus, other.version)  # what the demo's gate said of these rows
        report = promote_manually(corpus, settings, f"asr/{other.version}", "lena")
        assert report.promoted, report.judgement and report.judgement.why
        assert aliases(corpus, "asr") == {"champion": other.version, "previous": champion}
        with corpus.read() as conn:
            looks = store.looks(conn, "asr")
        roll_back(corpus, settings.home, settings.tracking, "asr")
        assert promote_manually(corpus, settings, f"asr/{other.version}", "lena").promoted
        assert aliases(corpus, "asr")["champion"] == other.version
        with corpus.read() as conn:
            assert store.looks(conn, "asr") == looks


def label_audit_rows(corpus: Corpus, count: int, *, speakers: int) -> None:
    """Leave so many more utterances drawn by chance and labelled."""
    ids = arrive(corpus, count, speakers=speakers, arrived_at=corpus.clock(), operation_id="ingest/more")
    draw_audit_rows(corpus, "2026-11-20", dict.fromkeys(ids, 0.5))
    with corpus.operation("merge/more", "merge") as op:
        labels.put_labels(corpus, op, [Label(i, "play some jazz", "play_music", (), 1.0, 1, 1) for i in ids])


def test_below_the_minimum_of_rows_the_wait_and_a_clear_lead_are_named_with_the_command(
    settings: Settings,
):
    waiting = small_settings(settings.home, "promotion.min_audit_rows=1000")
    events: list[progress.Event] = []
    with opened(waiting) as corpus:
        champion, other = other_than_champion(corpus)
        plant(corpus, waiting, registry.champion(corpus, "asr"), lambda audit: np.ones(len(audit.labels), bool))
        plant(corpus, waiting, other, lambda audit: np.zeros(len(audit.labels), bool))
        forget_judgements(corpus, other.version)
        with progress.listening(events.append):
            first = promote_manually(corpus, waiting, f"asr/{other.version}", "lena").judgement
        label_audit_rows(corpus, 24, speakers=12)
        plant(corpus, waiting, registry.champion(corpus, "asr"), lambda audit: np.ones(len(audit.labels), bool))
        plant(corpus, waiting, other, lambda audit: np.zeros(len(audit.labels), bool))
        second = promote_manually(corpus, waiting, f"asr/{other.version}", "lena").judgement
        assert aliases(corpus, "asr")["champion"] == champion
    assert first is not None
    assert second is not None
    assert first.waits is not None
    assert (first.decision, first.lead) == ("indicative", None)  # fewer than 30 rows
    assert " of 1000 audit rows, " in first.waits
    noted = [event.line for event in events if isinstance(event, progress.Noted)]
    assert noted == [
        f"asr/{other.version} can't be promoted yet, what follows is only indicative: {first.waits}; merge more "
        f"answers first, or overrule the gate: earmark promote asr/{other.version} --force --why TEXT"
    ]
    deciding = next(n for n, event in enumerate(events) if "deciding on asr" in getattr(event, "name", ""))
    assert events.index(progress.Noted(noted[0])) < deciding
    assert second.lead is not None
    assert f"asr/{other.version} is clearly better than the champion on few rows: WER 100.0 % -> 0.0 %" in second.lead
    assert second.lead.endswith(f"earmark promote asr/{other.version} --force --why TEXT")
    status = status_of(waiting)
    assert status.leads == {"asr": second.lead}
    assert (status.champions["asr"].waiting, status.champions["asr"].waiting_leads) == (other.version, True)
    assert status.champions["asr"].waiting_errors == (1.0, 0.0)
    assert status.champions["asr"].waiting_errors_numbers is not None


def test_a_planted_harm_to_one_slice_is_refused_and_named(settings: Settings):
    with opened(settings) as corpus:
        _, other = other_than_champion(corpus)
        audit = audit_set(corpus, settings.promotion, "asr")
        speakers = np.array([audit.speaker_ids[i] for i in sorted(audit.labels)])
        locale = next(
            value
            for value in np.unique(audit.slices["locale"])
            if len(np.unique(speakers[audit.slices["locale"] == value])) > 1
        )
        plant(corpus, settings, registry.champion(corpus, "asr"), lambda a: a.slices["locale"] != locale)
        plant(corpus, settings, other, lambda a: a.slices["locale"] == locale)
        forget_judgements(corpus, other.version)
        report = promote_manually(corpus, settings, f"asr/{other.version}", "lena")
    assert not report.promoted
    assert report.judgement is not None
    assert f"slice locale={locale} is worse by 100.0 points, margin" in report.judgement.why


def test_what_learned_from_the_erased_is_never_promoted(settings: Settings):
    with opened(settings) as corpus:
        _, other = other_than_champion(corpus)
        one = (schema.model_versions.c.kind == "asr", schema.model_versions.c.version == other.version)
        with writing(corpus.records) as conn:
            conn.execute(sa.update(schema.model_versions).where(*one).values(tainted=True))
        with pytest.raises(PromotionRefused, match="erased or withdrawn since; earmark retrain asr"):
            promote_manually(corpus, settings, f"asr/{other.version}", "lena", force=True, why="x")


def newest(corpus: Corpus) -> ModelVersion:
    with corpus.read() as conn:
        return store.versions(conn, "asr")[-1]


def forget_judgements(corpus: Corpus, version: str) -> None:
    made, held = schema.operations.c.operation_id.like(f"judge/asr/{version}/%"), schema.judgements.c
    with writing(corpus.records) as conn:
        conn.execute(sa.delete(schema.operations).where(made))
        conn.execute(sa.delete(schema.judgements).where(held.kind == "asr", held.version == version))


def taint(corpus: Corpus, number: str) -> None:
    one = (schema.model_versions.c.kind == "asr", schema.model_versions.c.version == number)
    with writing(corpus.records) as conn:
        conn.execute(sa.update(schema.model_versions).where(*one).values(tainted=True))


def test_the_gate_and_a_rollback_never_bring_back_what_learned_from_the_erased(settings: Settings):
    easy = small_settings(settings.home, "promotion.max_negative_flips_asr=1.0")
    with opened(easy) as corpus:
        version = newest(corpus)
        champion = registry.champion(corpus, "asr").version
        if version.version == champion:
            champion = other_than_champion(corpus)[1].version
            move_champion(corpus, "asr", version.version, champion, how="forced", why="x", actor="lena")
        forget_judgements(corpus, version.version)
        assert plan(corpus, easy, "asr", "x", only_if_due=True).version == version.version
        taint(corpus, version.version)
        assert plan(corpus, easy, "asr", "x", only_if_due=True).version is None
        plant(corpus, easy, version, lambda audit: 0)
        snapshot = current_snapshot(corpus, easy.promotion, "asr")
        report = judge_and_promote(corpus, easy, "asr", version.version, snapshot)
        assert (report.decision, report.champion) == ("refuse", champion)
        assert "erased or withdrawn since" in report.why
        with corpus.read() as conn:
            kept = store.promotions(conn, "asr")[-1]
        assert (kept.challenger, kept.decision) == (version.version, "refuse")  # as the page of the night shows it
        assert kept.numbers["reasons"] == [report.why]
        with writing(corpus.records) as conn:
            store.move_alias(conn, "asr", "previous", store.alias(conn, "asr", "previous"), version.version)
        with pytest.raises(PromotionRefused, match="erased or withdrawn since"):
            roll_back(corpus, easy.home, easy.tracking, "asr")


def test_a_champion_is_not_judged_against_itself(settings: Settings):
    with opened(settings) as corpus:
        version = newest(corpus)
        if registry.champion(corpus, "asr").version != version.version:
            promote_manually(corpus, settings, f"asr/{version.version}", "lena", force=True, why="x")
        forget_judgements(corpus, version.version)
        with corpus.read() as conn:
            looks = store.looks(conn, "asr")
        assert plan(corpus, settings, "asr", "x", only_if_due=True).version is None
        snapshot = current_snapshot(corpus, settings.promotion, "asr")
        assert judge_and_promote(corpus, settings, "asr", version.version, snapshot).decision == "champion"
        with corpus.read() as conn:
            assert store.looks(conn, "asr") == looks


def test_reports_under_another_normal_form_are_judged_again_and_stay_judged(settings: Settings):
    with opened(settings) as corpus:
        _, other = other_than_champion(corpus)
        audit = audit_set(corpus, settings.promotion, "asr")
        for version in (registry.by_name(corpus, "asr", "base"), other, registry.champion(corpus, "asr")):
            evaluate_versions(corpus, settings.home, settings.score.transcribe, audit, [version])
        old = sa.update(schema.reports).values(
            numbers=sa.func.replace(schema.reports.c.numbers, '"normaliser":"', '"normaliser":"older')
        )
        with writing(corpus.records) as conn:
            conn.execute(old)
            assert stored_report(conn, "asr", other.version, audit.eval_set_id) is None
        forget_judgements(corpus, other.version)
        promote_manually(corpus, settings, f"asr/{other.version}", "lena")  # looks back on every version
        evaluated = len(acts(corpus, "evaluate"))
        evaluate_versions(corpus, settings.home, settings.score.transcribe, audit, [other])
        assert len(acts(corpus, "evaluate")) == evaluated


def test_the_command_ends_with_its_status(settings: Settings):
    home = settings.home
    with opened(settings) as corpus:
        _, other = other_than_champion(corpus)
    reference = f"asr/{other.version}"
    refused = earmark("promote", reference, *arguments(home, *HARD))
    assert refused.returncode == 1
    assert f"{reference} was not promoted (refuse): " in refused.stderr
    assert "slice" in refused.stdout
    assert earmark("promote", reference, "--force", *arguments(home)).returncode == 2
    done = earmark("promote", reference, "--force", "--why", "a test", "--by", "lena", "--json", *arguments(home))
    assert json.loads(done.stdout)["champion"] == other.version


# --- two at once ------------------------------------------------------------------------------------------------------


def _promote(home: str, servers: dict[str, str], number: str, start: Any, told: Any) -> None:
    """In a process of its own: reads the champion, waits until the other has too, and moves the alias."""
    corpus = corpus_at(Path(home), **servers)
    with corpus.read() as conn:
        expected = str(store.alias(conn, "asr", "champion"))
    start.wait(120)
    try:
        move_champion(corpus, "asr", expected, number, how="forced", why="first", actor=f"p{number}")
        told.put((number, "won"))
    except PromotionRefused as refused:
        told.put((number, str(refused)))
    corpus.close()


def test_of_two_processes_that_promote_at_once_one_wins(tmp_path: Path, databases: dict[str, str]):
    corpus = corpus_at(tmp_path, **databases)
    base = ModelVersion("asr", "1", "run-1", "", "digest", "", "models/asr/1")
    with writing(corpus.records) as conn:
        for number in ("1", "2", "3"):
            store.put_version(conn, replace(base, version=number, run_id=f"run-{number}"))
        store.move_alias(conn, "asr", "champion", None, "1")
    processes = multiprocessing.get_context("spawn")
    start, told = processes.Barrier(2), processes.Queue()
    both = [processes.Process(target=_promote, args=(str(tmp_path), databases, number, start, told)) for number in "23"]
    for process in both:
        process.start()
    said = dict(told.get(timeout=180) for _ in both)
    for process in both:
        process.join(60)
    winner = next(number for number, line in said.items() if line == "won")
    loser = said["3" if winner == "2" else "2"]
    assert loser == f"the asr champion is version {winner}, not 1: it moved meanwhile; compare again"
    assert aliases(corpus, "asr") == {"champion": winner, "previous": "1"}
    assert [actor for actor, _ in acts(corpus, "promote")] == [f"person:p{winner}"]
    corpus.close()
