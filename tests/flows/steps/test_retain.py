"""What is older than its class may become is found nowhere after a night, whatever is killed or set later."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus.errors import Refused
from corpus.handle import Corpus
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import erased, models, retention, utterances
from corpus.vault import vault
from flows.reports.doctor import examine
from flows.runtime.results import Skipped
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps import erase, retain
from tests.corpus.stored import arrive, corpus_at
from tests.flows.conftest import copy_of
from tests.flows.homes import arguments, earmark, small_settings
from tests.flows.steps.test_erase import OVERRIDES, Planted, everything_is_gone, killed_at, left_of, planted

SHORT = (*OVERRIDES, "corpus.labelled_retention_days=1")
"""Settings by which the one labelled utterance of the home has expired."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """A home with planted strings, whose labelled utterance arrived two days ago."""
    from training.tracking.store import open_tracking

    with planted(tmp_path_factory.mktemp("prepared") / "home") as made:
        open_tracking(made.world.settings.tracking, made.world.settings.home)
        rows = schema.utterances
        with writing(made.world.corpus.records) as conn:
            earlier = sa.update(rows).where(rows.c.utterance_id == made.gone)
            conn.execute(earlier.values(arrived_at=made.world.now[0] - timedelta(days=2)))
    return made


def of_doctor(settings: Settings) -> list[str]:
    return [each for each in examine(settings, repair=False).problems if each.startswith(("retention", "erasures"))]


def test_the_command_lists_what_has_expired_and_leaves_it_in_no_file(prepared: Planted, tmp_path: Path):
    home = copy_of(prepared.world.settings.home, tmp_path / "home")
    options, settings = arguments(home, *SHORT), small_settings(home, *SHORT)
    assert len(left_of(home, prepared)) > 4
    (problem,) = of_doctor(settings)
    assert problem.startswith(
        "retention: 1 utterances have expired and still have their keys (1 labelled); run earmark"
    )
    dry = earmark("retain", "--dry-run", "--json", *options)
    assert dry.returncode == 0, dry.stderr
    listed = json.loads(dry.stdout)
    assert (listed["expired"], listed["held"], listed["labels"], listed["packs"]) == ({"labelled": 1}, 4, 1, 1)
    assert "finished" not in listed
    assert of_doctor(settings) == [problem]
    done = earmark("retain", *options)
    assert done.returncode == 0, done.stderr
    assert "NOT DONE" not in done.stdout
    everything_is_gone(settings, prepared)
    assert of_doctor(settings) == []
    longer = earmark("retain", "--json", *arguments(home, *OVERRIDES))
    assert json.loads(longer.stdout)["expired"] == {}
    everything_is_gone(settings, prepared)
    with opened(settings) as corpus, corpus.read() as conn:
        counts = utterances.counts(conn)
        assert (counts["expired"], counts["erased"], counts["available"]) == (1, 0, 3)


def killed(prepared: Planted, home: Path, number: int) -> tuple[Settings, int]:
    settings = small_settings(copy_of(prepared.world.settings.home, home), *SHORT)
    with opened(settings) as corpus, killed_at(number) as passed:
        retain.retain(corpus, settings)
    return settings, passed()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_between_any_two_writes_the_next_night_or_a_repair_finishes_it_by_any_limits(
    prepared: Planted, tmp_path: Path, step: int
):
    settings, moments = killed(prepared, tmp_path / "whole", 10_000)
    everything_is_gone(settings, prepared)
    for number in range(min(step, 3), moments + 1, step):
        settings, passed = killed(prepared, tmp_path / f"{number}", number)
        assert passed == number
        longer = small_settings(settings.home, *OVERRIDES)
        with opened(longer) as corpus:
            with corpus.read() as conn:
                begun = bool(erased.not_reached(conn)) or bool(retention.unfinished(conn))
            is_over = vault.data_keys(corpus.vault, [prepared.gone]) == {}
            assert begun or not is_over or of_doctor(longer) == []
            if begun and number % 2:
                assert of_doctor(longer) != []
                erase.finish(corpus, longer)
            elif begun:
                retain.retain(corpus, longer)
            else:
                retain.retain(corpus, settings)
        if begun or not is_over:
            with opened(settings) as corpus:
                retain.retain(corpus, settings)
        everything_is_gone(settings, prepared)
        with opened(settings) as corpus, corpus.read() as conn:
            assert utterances.counts(conn)["expired"] == 1
            assert not any(version.tainted for version in models.versions(conn, "intent"))
        shutil.rmtree(settings.home)


# --- the bound --------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Iterator[tuple[Corpus, Settings]]:
    """A home with 12 utterances of 40 days ago, 4 of 10 days ago and 4 of today."""
    settings = small_settings(tmp_path / "home", "corpus.retention_days=30")
    with opened(settings) as corpus:
        for start, count, age in ((0, 12, 40), (20, 4, 10), (30, 4, 0)):
            arrived = corpus.clock() - timedelta(days=age, hours=1)
            arrive(corpus, count, start=start, arrived_at=arrived, operation_id=f"ingest/{start}")
        yield corpus, settings


def held(corpus: Corpus) -> int:
    with corpus.read() as conn:
        return len(utterances.live_ids(conn))


def test_limits_that_were_never_applied_end_only_a_few_unattended(home: tuple[Corpus, Settings]):
    corpus, settings = home
    report = retain.nightly(corpus, settings)
    assert isinstance(report, retain.RetainReport)
    assert (report.expired, held(corpus)) == ({}, 20)
    assert report.refused is not None
    assert report.refused.startswith("limits of retention that were not applied before would end 12 of the 20")
    assert "\n" not in report.refused
    with pytest.raises(Refused, match="earmark retain --yes"):
        retain.refuse_bound(report)
    assert retain.preview(corpus).expired == {"unchosen": 12}
    allowed = retain.retain(corpus, settings, unbounded=True)
    assert (allowed.expired, allowed.refused, held(corpus)) == ({"unchosen": 12}, None, 8)
    assert isinstance(retain.nightly(corpus, settings), Skipped)


def test_what_the_limits_of_before_end_has_no_bound_and_ends_also_where_others_are_refused(tmp_path: Path):
    settings = small_settings(tmp_path / "home")
    corpus = corpus_at(tmp_path / "home", retention_days=30)
    now = corpus.clock()
    for start, count, age in ((0, 30, 30), (40, 14, 10), (60, 2, 0)):
        arrived = now - timedelta(days=age, hours=1)
        arrive(corpus, count, start=start, arrived_at=arrived, operation_id=f"ingest/{start}")
    retention.apply_limits(corpus, retention.limits_of(corpus.settings))
    retention.note_run(corpus, now - timedelta(days=2))
    corpus.close()
    shorter = corpus_at(tmp_path / "home", retention_days=5)
    report = retain.retain(shorter, settings)
    assert (report.expired, held(shorter)) == ({"unchosen": 30}, 16)
    assert report.refused is not None
    assert "would end 14 of the 16 utterances" in report.refused
    shorter.close()


def test_a_few_are_ended_by_new_limits_without_a_question(tmp_path: Path):
    settings = small_settings(tmp_path / "home", "corpus.retention_days=30")
    with opened(settings) as corpus:
        arrive(corpus, 10, arrived_at=corpus.clock() - timedelta(days=40))
        assert retain.retain(corpus, settings).expired == {"unchosen": 10}
        with corpus.read() as conn:
            assert retention.applied_limits(conn) == retention.limits_of(corpus.settings)


@pytest.mark.parametrize(("days", "explained"), [(1, True), (7, True), (40, False), (3650, False)])
def test_a_clock_that_is_further_on_than_nights_explain_ends_nothing_much_unattended(
    tmp_path: Path, days: int, explained: bool
):
    settings = small_settings(tmp_path / "home")
    corpus = corpus_at(tmp_path / "home", retention_days=30)
    now = corpus.clock()
    arrive(corpus, 20, arrived_at=now - timedelta(days=29, hours=23))
    assert retain.retain(corpus, settings).expired == {}
    corpus.close()
    later = corpus_at(tmp_path / "home", now=now + timedelta(days=days), retention_days=30)
    arrive(later, 20, start=30, arrived_at=now - timedelta(days=15), operation_id="ingest/1")
    report = retain.retain(later, settings)
    ended = {"unchosen": 20}  # within a week of the last run, by any clock
    assert (report.expired, held(later)) == (ended, 20)
    assert (report.refused is None) == explained
    if not explained:
        assert report.refused is not None
        assert f"retention last ran on {now:%Y-%m-%d}, which does not explain that 20 of the 20" in report.refused
        assert retain.retain(later, settings).refused == report.refused
    later.close()
    right = corpus_at(tmp_path / "home", now=now + timedelta(days=1), retention_days=30)
    assert retain.retain(right, settings).refused is None
    right.close()


def test_rows_that_are_past_their_time_when_they_come_end_only_with_a_question(tmp_path: Path):
    settings = small_settings(tmp_path / "home")
    corpus = corpus_at(tmp_path / "home", retention_days=30)
    arrive(corpus, 20)
    assert retain.retain(corpus, settings).refused is None
    arrive(corpus, 12, start=30, arrived_at=corpus.clock() - timedelta(days=200), operation_id="ingest/1")
    for _ in range(2):
        report = retain.retain(corpus, settings)
        assert (report.expired, held(corpus)) == ({}, 32)
        assert report.refused is not None
        assert "which does not explain that 12 of the 32" in report.refused
    assert retain.retain(corpus, settings, unbounded=True).expired == {"unchosen": 12}
    assert retain.retain(corpus, settings).refused is None
    corpus.close()
