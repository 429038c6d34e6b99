"""A dry run of a night."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from corpus.tables import costs, scores, utterances
from corpus.tables.costs import EvaluationCost
from corpus.text import NORMALISER
from flows.models.base_models import ensure_champions
from flows.nights.night import night_of
from flows.nights.sampling_frame import closed_night, sampling_frame
from flows.reports.demo_tables import DemoReport
from flows.reports.dry_run_table import show_night_preview
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps.ingest import ingest_manifests, waiting_manifests
from flows.steps.night_preview import preview_night
from tests.corpus.ingest.test_ingest import row, write
from tests.corpus.stored import arrive, predictions_of
from tests.flows.homes import small_settings
from tests.flows.steps.test_retrain_preview import written


def test_a_night_that_was_run_has_nothing_to_score_and_one_that_was_not_says_how_many(
    lived: tuple[Settings, DemoReport],
):
    settings = small_settings(lived[0].home)
    before = written(settings)
    with opened(settings) as corpus:
        done = preview_night(corpus, settings, closed_night(settings.night, lived[1].nights[-1].night))
        empty = preview_night(corpus, settings, closed_night(settings.night, None))
    assert written(settings) == before
    assert (done.sampled, done.unscored) == (True, 0)
    assert not empty.sampled
    assert (empty.inbox.manifests, empty.inbox.to_read, empty.inbox.rows) == (0, 0, 0)
    assert (done.scoring_seconds, done.scoring_by) == (0.0, "scores")
    document = done.to_json()
    assert document["retrain asr"]["kind"] == "asr"
    assert document["retrain intent"]["due"] is False


def test_it_says_what_a_night_would_read_and_score_and_which_files_can_t_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    settings = small_settings(tmp_path / "home")
    settings.inbox.mkdir(parents=True)
    night = closed_night(settings.night, None)
    tonight, earlier = ((night.start + timedelta(days=days)).isoformat() for days in (0, -40))
    old = write(settings.inbox / "old.jsonl", [row(settings.inbox, 1, arrived_at=tonight)])
    rows = [row(settings.inbox, seed, arrived_at=tonight, event_id=f"e{seed}") for seed in (2, 3, 4)]
    rows.append(row(settings.inbox, 5, arrived_at=earlier))
    rows.append(row(settings.inbox, 6, consent=[]))
    write(settings.inbox / "new.jsonl", rows)
    (settings.inbox / "sub").mkdir()
    (settings.inbox / "sub" / "noise.jsonl").write_bytes(bytes(range(256)) * 20)
    (settings.inbox / "damaged.parquet").write_bytes(b"PAR1 and nothing of the kind")
    with opened(settings) as corpus:
        ingest_manifests(corpus, settings, [old], from_inbox=True)
        planned = preview_night(corpus, settings, night)
        with corpus.read() as conn:
            assert len(utterances.in_window(conn)) == 1
        real = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
        with corpus.read() as conn:
            to_score = len(sampling_frame(conn, settings.night, night)[0])
    other = night_of(datetime.fromisoformat(earlier), settings.night.time_zone, settings.night.ends_at).name
    assert (planned.inbox.manifests, planned.inbox.ingested_before, planned.inbox.to_read) == (4, 1, 1)
    assert (planned.inbox.rows, planned.inbox.refused) == (5, {"no_consent": 1})
    assert planned.inbox.nights == {night.name: 3, other: 1}
    assert planned.inbox.failed == real.failed
    assert list(planned.inbox.failed) == ["damaged.parquet", "sub/noise.jsonl"]
    assert (planned.unscored, planned.waiting) == (1, 3)
    assert to_score == planned.unscored + planned.waiting
    show_night_preview(planned.to_json())
    shown = capsys.readouterr().out
    assert "to be read          1 with 5 rows, of which 1 will be refused: no_consent 1" in shown
    assert "sub/noise.jsonl is neither JSON Lines nor Parquet, so it is no manifest; write or copy it again" in shown
    assert "4: 1 in the home, 3 in the inbox unless their clips are refused" in shown
    assert f"{other} 1; earmark nightly --night NIGHT" in shown


@pytest.mark.parametrize("scored_before", [False, True])
def test_the_time_of_scoring_is_that_of_clips_that_the_champions_scored(
    tmp_path: Path, scored_before: bool, capsys: pytest.CaptureFixture[str]
):
    settings = small_settings(tmp_path / "home")
    night = closed_night(settings.night, None)
    with opened(settings) as corpus:
        ensure_champions(corpus, settings.home, settings.models, settings.tracking)
        ids = arrive(corpus, 30, arrived_at=night.start)
        with corpus.operation("evaluate", "evaluate") as op:
            costs.put_evaluation(op.conn, "asr", "1", "set", NORMALISER, EvaluationCost(10, 100.0, 30.0))
        if scored_before:
            with corpus.operation("score", "score") as op:
                scores.put(corpus, op, predictions_of(ids[:10]), {}, 31.0)
        planned = preview_night(corpus, settings, night)
    assert planned.unscored == (20 if scored_before else 30)
    assert planned.scoring_by == ("scores" if scored_before else "evaluations")
    assert planned.scoring_seconds == (62.0 if scored_before else 300.0)
    show_night_preview(planned.to_json())
    shown = capsys.readouterr().out
    assert ("time            about 60 s\n" in shown) is scored_before
    assert ("about 5 min or longer, as the last evaluation took" in shown) is not scored_before


def test_a_row_whose_event_is_in_the_corpus_is_not_counted_among_those_to_score(tmp_path: Path):
    settings = small_settings(tmp_path / "home")
    settings.inbox.mkdir(parents=True)
    night = closed_night(settings.night, None)
    first = row(settings.inbox, 1, arrived_at=night.start.isoformat(), event_id="once")
    old = write(settings.inbox / "old.jsonl", [first])
    write(settings.inbox / "again.jsonl", [first, row(settings.inbox, 2, arrived_at=night.start.isoformat())])
    with opened(settings) as corpus:
        ingest_manifests(corpus, settings, [old], from_inbox=True)
        planned = preview_night(corpus, settings, night)
    assert (planned.inbox.rows, planned.inbox.refused) == (2, {"duplicate": 1})
    assert (planned.unscored, planned.waiting) == (1, 1)


@pytest.mark.parametrize("round_before", [False, True])
def test_a_late_row_counts_in_the_night_once_a_round_was_chosen_before(
    tmp_path: Path, lived: tuple[Settings, DemoReport], round_before: bool
):
    settings = small_settings(lived[0].home if round_before else tmp_path / "home", "night.late_days=7")
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    settings = settings.model_copy(update={"night": settings.night.model_copy(update={"inbox": inbox})})
    night = closed_night(settings.night, None)
    write(inbox / "late.jsonl", [row(inbox, 1, arrived_at=(night.start - timedelta(days=2)).isoformat())])
    with opened(settings, create=True) as corpus:
        assert preview_night(corpus, settings, night).waiting == int(round_before)
