"""A dry run of a night."""

from __future__ import annotations

from pathlib import Path

from flows.nights.sampling_frame import closed_night
from flows.reports.demo_tables import DemoReport
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps.ingest import ingest_manifests
from flows.steps.night_preview import preview_night
from tests.corpus.ingest.test_ingest import row, write
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
    assert (empty.manifests, empty.new_manifests, empty.new_rows) == (0, 0, 0)
    assert done.scoring_seconds is not None
    document = done.to_json()
    assert document["retrain asr"]["kind"] == "asr"
    assert document["retrain intent"]["due"] is False


def test_the_rows_of_manifests_that_were_not_ingested_yet_are_counted(tmp_path: Path):
    settings = small_settings(tmp_path / "home")
    settings.inbox.mkdir(parents=True)
    old = write(settings.inbox / "old.jsonl", [row(settings.inbox, 1)])
    write(settings.inbox / "new.jsonl", [row(settings.inbox, seed) for seed in (2, 3, 4)])
    with opened(settings) as corpus:
        ingest_manifests(corpus, settings, [old], from_inbox=True)
        planned = preview_night(corpus, settings, closed_night(settings.night, None))
        assert (planned.manifests, planned.new_manifests, planned.new_rows) == (2, 1, 3)
        (settings.inbox / "damaged.parquet").write_bytes(b"PAR1 and nothing of the kind")
        planned = preview_night(corpus, settings, closed_night(settings.night, None))
        assert (planned.manifests, planned.new_manifests, planned.new_rows) == (3, 2, None)
