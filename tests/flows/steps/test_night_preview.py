"""A dry run of a night."""

from __future__ import annotations

from flows.nights.sampling_frame import closed_night
from flows.reports.demo_tables import DemoReport
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps.night_preview import preview_night
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
    assert done.scoring_seconds is not None
    document = done.to_json()
    assert document["retrain asr"]["kind"] == "asr"
    assert document["retrain intent"]["due"] is False
