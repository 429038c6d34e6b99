"""Estimates of the traffic: on a home whose rows are all known, and on one that lived through nights of the demo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from corpus.errors import UsageError
from corpus.records.evaluation import Interval
from corpus.storage.database import writing
from corpus.tables import erased, expiry, retention, utterances
from flows.models import registry
from flows.models.eval_set import audit_set
from flows.models.evaluation_store import evaluate_versions
from flows.models.traffic_estimate import FIGURES, TrafficEstimate
from flows.reports.demo_tables import DemoReport
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps.estimate import estimate_traffic, track
from sampling.estimation import weighted_ratio, weighted_share
from tests.flows.audit_home import NIGHTS, POOL, AuditHome, audit_home
from training.tracking.store import open_tracking


@pytest.fixture
def home(tmp_path: Path) -> Iterator[AuditHome]:
    """Nine rows of the first and eight of the second night are labelled, some got wrong; the rest has other answers."""
    made = audit_home(tmp_path / "home")
    first, second = made.night(0), made.night(1)
    made.label([*first[:9], *second[:8]])
    made.answer(first[9], ann="accidental")
    made.answer(first[10], ann="unintelligible")
    made.answer(second[9], ann="accidental")
    made.judge({first[0]: 1, first[5]: 3, second[2]: 2}, wrong=[first[1], first[5], second[6]])
    yield made
    made.corpus.close()


def of_rows(home: AuditHome, ids: list[str]) -> tuple[np.ndarray, np.ndarray]:
    with home.corpus.read() as conn:
        speakers = utterances.pool_columns(conn, ids).speaker_ids
    return np.array([home.prob(i) for i in ids]), speakers


def estimate(home: AuditHome, first: str | None = None, last: str | None = None, *by: str) -> TrafficEstimate:
    return estimate_traffic(home.corpus, home.settings, first, last, by)


def same(found: Interval | None, expected: Interval) -> bool:
    """Return whether two intervals are the same, whatever the order of rows in which they were summed."""
    assert found is not None
    numbers = [(each.value, each.low, each.high) for each in (found, expected)]
    return numbers[0] == pytest.approx(numbers[1]) and (found.n, found.speakers) == (expected.n, expected.speakers)


def test_a_home_with_known_rows_has_the_rates_of_the_estimators(home: AuditHome):
    found = estimate(home)
    labelled = [*home.night(0)[:9], *home.night(1)[:8]]
    at = {i: k for k, i in enumerate(labelled)}
    lost, wrong, failed = np.zeros(17), np.zeros(17), np.ones(17)
    for number, row, words in ((0, 0, 1), (0, 5, 3), (1, 2, 2)):
        lost[at[home.night(number)[row]]] = words
    for number, row in ((0, 1), (0, 5), (1, 6)):
        wrong[at[home.night(number)[row]]] = 1
    rows = of_rows(home, labelled)
    assert same(found.rates["wer"], weighted_ratio(lost, np.full(17, 3), *rows))
    assert same(found.rates["intent_error"], weighted_share(wrong, *rows))
    assert same(found.rates["end_to_end_success"], weighted_share(failed - wrong, *rows))
    resolved = of_rows(home, [*labelled, home.night(0)[9], home.night(1)[9]])
    assert same(found.rates["accidental"], weighted_share([0] * 17 + [1] * 2, *resolved))
    answered = of_rows(home, [*labelled, home.night(0)[9], home.night(1)[9], home.night(0)[10]])
    assert same(found.rates["nonresponse"], weighted_share([0] * 19 + [1], *answered))
    assert tuple(found.rates) == FIGURES


def test_the_estimate_says_what_it_speaks_for(home: AuditHome):
    found = estimate(home)
    assert (found.first, found.last, found.nights, found.arrivals) == (*NIGHTS, 2, 2 * POOL)
    assert found.versions == {"asr": "1", "intent": "1"}
    assert found.audit.to_json() == {
        "answered": 20, "drawn": 24, "labelled": 17, "accidental": 2, "unlabelled": 1, "waiting": 4, "closed": 0,
    }  # fmt: skip
    resolved = [*home.night(0)[:10], *home.night(1)[:8], home.night(1)[9]]
    assert found.represented == pytest.approx(sum(1 / home.prob(i) for i in resolved) / (2 * POOL))
    assert sum(found.rest.values()) == pytest.approx(1 - found.represented)
    assert found.rest["unlabelled"] == pytest.approx(1 / home.prob(home.night(0)[10]) / (2 * POOL))
    assert set(found.rest) == {"waiting", "unlabelled", "draw"}
    assert found.too_few is None


def test_one_night_is_estimated_from_its_rows_and_from_the_report_on_all(home: AuditHome):
    found = estimate(home, NIGHTS[1], NIGHTS[1])
    ids = home.night(1)[:8]
    lost = np.array([2.0 if k == 2 else 0.0 for k in range(8)])
    assert same(found.rates["wer"], weighted_ratio(lost, np.full(8, 3), *of_rows(home, ids)))
    assert (found.nights, found.arrivals, found.audit.drawn) == (1, POOL, 12)
    assert estimate(home, "20261103").rates["wer"] == found.rates["wer"]


def test_rows_that_were_closed_since_count_nowhere(home: AuditHome):
    with writing(home.corpus.records) as conn:
        utterances.set_aside(conn, [home.night(0)[5], home.night(0)[9]], "distress")
    home.judge({home.night(0)[0]: 1, home.night(1)[2]: 2}, wrong=[home.night(0)[1], home.night(1)[6]])
    found = estimate(home)
    assert (found.audit.closed, found.audit.labelled, found.audit.accidental) == (2, 16, 1)
    assert found.rates["wer"].n == 16
    assert found.rates["accidental"].n == 17


def test_nights_whose_unlabelled_rows_are_too_old_do_not_count_as_nights_without_such_rows(tmp_path: Path):
    """After `corpus.retention_days` only labelled rows are left, which would make accidental activations rare."""
    made = audit_home(tmp_path / "home", age=100)
    made.label([*made.night(0)[:9], *made.night(1)[:9]])
    made.answer(made.night(0)[9], ann="accidental")
    made.answer(made.night(1)[9], ann="accidental")
    made.judge({}, wrong=[])
    found = estimate(made)
    assert (found.audit.labelled, found.audit.accidental, found.audit.closed) == (18, 1, 3)
    assert found.rates["wer"].n == 18
    rows = of_rows(made, made.night(1)[:10])
    assert same(found.rates["accidental"], weighted_share([0] * 9 + [1], *rows))
    assert found.rates["nonresponse"].n == 10
    assert estimate(made, None, NIGHTS[0]).rates["accidental"] is None
    made.corpus.close()


def test_slices_have_their_own_rows_and_thin_ones_are_said_to_be(home: AuditHome):
    found = estimate(home, None, None, "locale", "room", "locale")
    assert [each.slice for each in found.slices] == [
        "locale=en-GB", "locale=en-US", "room=unknown", "room=room-0", "room=room-1", "room=room-2", "room=room-3",
    ]  # fmt: skip
    british = [i for i in [*home.night(0)[:9], *home.night(1)[:8]] if home.ids.index(i) % 2]
    assert (found.slices[0].rows, found.slices[0].speakers) == (len(british), 3)
    assert all(each.thin for each in found.slices)
    missing = np.array([3.0 if i == home.night(0)[5] else 0.0 for i in british])
    assert same(found.slices[0].rates["wer"], weighted_ratio(missing, np.full(8, 3), *of_rows(home, british)))
    with pytest.raises(UsageError, match="--by dialect: no audit row has it; there are locale, device, room"):
        estimate(home, None, None, "dialect")


def test_too_few_rows_are_one_line_and_no_rate(tmp_path: Path):
    made = audit_home(tmp_path / "home")
    made.label(made.night(0)[:1])
    found = estimate(made, None, None, "locale")
    assert found.too_few is not None
    assert "too few audit rows to say anything: 1 labelled, of 1 speakers; at least 2" in found.too_few
    assert set(found.rates.values()) == {None}
    assert found.slices == ()
    assert json.dumps(found.to_json(), allow_nan=False)
    made.corpus.close()


def test_nights_that_can_not_be_are_refused(home: AuditHome):
    with pytest.raises(UsageError, match="night 'yesterday' is not a date"):
        estimate(home, "yesterday")
    with pytest.raises(UsageError, match="--from 2026-11-03 is after --to 2026-11-02"):
        estimate(home, NIGHTS[1], NIGHTS[0])


def test_an_estimate_is_one_run_with_bounds(home: AuditHome):
    settings, found = home.settings, estimate(home)
    for _ in range(2):
        track(settings.tracking, settings.home, found)
    tracking = open_tracking(settings.tracking, settings.home)
    [run] = tracking.client.search_runs([tracking.experiment_id], "tags.`earmark.kind` = 'estimate'")
    assert run.info.run_name == "estimate · nights 2026-11-02 to 2026-11-03 · asr 1, intent 1"
    assert run.info.status == "FINISHED"
    assert run.data.metrics["wer_low"] < run.data.metrics["wer"] < run.data.metrics["wer_high"]
    assert run.data.metrics["wer"] == pytest.approx(found.rates["wer"].value, abs=1e-4)
    assert run.data.params["config.champion.asr"] == "1"


def test_a_home_that_lived_is_estimated_with_reports_that_are_stored(lived: tuple[Settings, DemoReport]):
    settings, _ = lived
    with opened(settings) as corpus:
        found = estimate_traffic(corpus, settings, None, None, ["locale"])
        audit = audit_set(corpus, settings.promotion, "asr")
        champion = registry.champion(corpus, "asr")
        how = settings.score.transcribe
        report = evaluate_versions(corpus, settings.home, how, audit, [champion])[champion.version]
    expected = weighted_ratio(report.errors, report.words, 1 / audit.weights, report.speaker_ids)
    assert same(found.rates["wer"], expected)
    assert found.audit.labelled >= len(report)
    assert sum(each.rows for each in found.slices) == found.audit.labelled
    assert 0 < found.represented <= 1


def test_accidental_activations_that_have_expired_since_count_as_before(home: AuditHome):
    before = estimate(home)
    with home.corpus.read() as conn:
        limits = {**retention.NOTHING_ENDS, "accidental": 0}
        due = retention.expired(conn, limits, home.corpus.clock() + timedelta(days=1))
    assert len(due["accidental"]) == before.audit.accidental > 0
    erased.begin(home.corpus, (), due)
    expiry.expire_marked(home.corpus)
    after = estimate(home)
    assert (after.audit.accidental, after.audit.closed) == (before.audit.accidental, before.audit.closed)
    assert after.rates["accidental"].value == before.rates["accidental"].value
