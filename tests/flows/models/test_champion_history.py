"""The champion night by night, and what labels brought."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corpus.tables import labels, snapshots
from flows.models import registry
from flows.models.champion_history import champion_by_night, gains_per_100_labels
from flows.models.eval_set import audit_set
from flows.models.evaluation_store import evaluate_versions
from flows.reports.demo_tables import DemoReport
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from tests.flows.conftest import copy_of
from tests.flows.homes import newest_version, small_settings


@pytest.fixture
def settings(lived: tuple[Settings, DemoReport], tmp_path: Path) -> Settings:
    return small_settings(copy_of(lived[0].home, tmp_path / "home"))


def test_each_night_is_judged_by_its_own_champion(settings: Settings):
    with opened(settings) as corpus:
        audit = audit_set(corpus, settings.promotion, "asr")
        versions = [registry.by_name(corpus, "asr", name) for name in ("base", "champion")]
        found = evaluate_versions(corpus, settings.home, settings.score.transcribe, audit, versions)
        nights = champion_by_night(corpus, audit, found)
        with corpus.read() as conn:
            drawn = {row.utterance_id: row.round for row in labels.current(conn, sorted(audit.labels))}
    assert [night.name for night in nights] == sorted(set(drawn.values()))
    assert sum(night.rate.n for night in nights) == len(audit.labels)
    first = found["1"]  # the base was at work when the first night was scored
    rows = np.array([drawn[i] == nights[0].name for i in first.utterance_ids.tolist()])
    weights = np.array(audit.weights)[rows]
    expected = (first.errors[rows] * weights).sum() / (first.words[rows] * weights).sum()
    assert nights[0].rate.value == pytest.approx(expected)


def test_what_labels_brought_is_the_difference_to_the_base(settings: Settings):
    with opened(settings) as corpus:
        version, base = newest_version(corpus, "intent"), registry.by_name(corpus, "intent", "base")
        audit = audit_set(corpus, settings.promotion, "intent")
        found = evaluate_versions(corpus, settings.home, settings.score.transcribe, audit, [version, base])
        (count, gain), *_ = gains_per_100_labels(corpus, audit, found, found[base.version])
        with corpus.read() as conn:
            assert count == len(snapshots.snapshot(conn, version.snapshot_id).of("train"))
    wrong = [(~found[each.version].correct * audit.weights).sum() / audit.weights.sum() for each in (base, version)]
    assert gain.value == pytest.approx(100 * (wrong[0] - wrong[1]) / count)
    assert gain.low <= gain.value <= gain.high
