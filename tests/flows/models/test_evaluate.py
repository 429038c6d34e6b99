"""Evaluation of versions on one set: what is shared between them, and that sharing changes no figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corpus.tables import costs
from corpus.tables import models as store
from corpus.text import NORMALISER
from flows.demo import DemoReport
from flows.models import registry
from flows.models.eval_set import audit_set
from flows.models.evaluate import evaluate
from flows.models.evaluation_store import evaluate_versions
from flows.runtime import progress
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from tests.flows.conftest import copy_of
from tests.flows.homes import newest_version, small_settings

COLUMNS = ("utterance_ids", "correct", "predicted", "slot_counts", "success", "confidence", "raw_confidence")


@pytest.fixture
def settings(lived: tuple[Settings, DemoReport], tmp_path: Path) -> Settings:
    return small_settings(copy_of(lived[0].home, tmp_path / "home"))


def test_clips_are_transcribed_once_for_all_intent_versions_that_read_the_same_speech_model(settings: Settings):
    how = settings.score.transcribe
    events: list[progress.Event] = []
    with opened(settings) as corpus:
        audit = audit_set(corpus, settings.promotion, "intent")  # without a window: no report is stored of this set
        with corpus.read() as conn:
            versions = store.versions(conn, "intent")
        assert len(versions) > 1
        with progress.listening(events.append):
            together = evaluate_versions(corpus, settings.home, how, audit, versions)
        alone = {each.version: evaluate(corpus, settings.home, how, audit, each) for each in versions}
        with corpus.read() as conn:
            key = (audit.eval_set_id, NORMALISER)
            cost = {each.version: costs.evaluation(conn, "intent", each.version, *key) for each in versions}
    assert audit.speech_model is not None
    work = [event.name for event in events if isinstance(event, progress.Started)]
    shared = [f"transcribing {len(audit.labels)} clips with asr/{audit.speech_model.version}"]
    assert [name for name in work if name.startswith("transcribing")] == shared
    assert [name for name in work if name.startswith("measuring the speed of asr")] == [
        f"measuring the speed of asr/{audit.speech_model.version}"
    ]
    for version, evaluation in alone.items():
        for column in COLUMNS:
            found, expected = getattr(together[version], column), getattr(evaluation.report, column)
            np.testing.assert_array_equal(found, expected, err_msg=f"{version} {column}")
        measured = cost[version]
        assert measured is not None
        assert measured.speed.keys() == evaluation.cost.speed.keys()
        assert measured.seconds > 0.2 * evaluation.cost.seconds  # as if it had been evaluated alone


def test_each_speech_version_has_transcripts_of_its_own(settings: Settings):
    how = settings.score.transcribe
    with opened(settings) as corpus:
        audit = audit_set(corpus, settings.promotion, "asr")
        base, newest = registry.by_name(corpus, "asr", "base"), newest_version(corpus, "asr")
        first = evaluate(corpus, settings.home, how, audit, base)
        second = evaluate(corpus, settings.home, how, audit, newest, first.transcribed)
        expected = evaluate(corpus, settings.home, how, audit, newest)
    np.testing.assert_array_equal(second.report.errors, expected.report.errors)
    assert (first.transcribed.version, second.transcribed.version) == (base.version, newest.version)
