"""The report of a night: counts that add up, rates, decisions and caps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import nights, utterances
from corpus.tables.nights import NightFrame
from flows.reports.night_funnel import ChoiceRow
from flows.reports.night_report import NightReport, night_report
from flows.reports.night_sections import choice_finding, choice_table
from flows.runtime.settings import Settings
from tests.corpus.stored import NOON, arrive, corpus_at
from tests.flows.judged_home import NIGHTS, home_of, settings_at


def report_of(corpus: Corpus, settings: Settings, night: str | None) -> NightReport:
    return night_report(corpus, settings.night, settings.promotion, settings.sampling, night)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Corpus, Settings]]:
    folder = tmp_path_factory.mktemp("judged")
    corpus = home_of(folder)
    yield corpus, settings_at(folder)
    corpus.close()


@pytest.fixture(scope="module")
def report(home: tuple[Corpus, Settings]) -> NightReport:
    return report_of(*home, None)


def test_the_newest_night_is_reported_by_default(report: NightReport) -> None:
    assert report.night == NIGHTS[-1]
    json.dumps(report.to_json(), allow_nan=False)


def test_the_funnel_adds_up_from_received_to_learned(report: NightReport) -> None:
    steps = report.funnel.steps
    assert [(step.step, step.count) for step in steps] == [
        ("received", 43), ("accepted", 40), ("scored", 38), ("chosen", 20), ("answered", 18), ("labelled", 17),
        ("learned", 0),
    ]  # fmt: skip
    for before, step in pairwise(steps):
        assert before.count == step.count + sum(step.lost.values()), step
    assert steps[1].lost == {"no_consent": 2, "bad_row": 1}
    assert steps[4].lost == {"waiting for an answer": 2}
    assert steps[5].lost == {"accidental": 1}
    assert steps[6].lost == {"audit rows, which judge and never teach": 10, "not in a version yet": 7}


def test_a_label_that_a_version_learned_from_is_learned(home: tuple[Corpus, Settings]) -> None:
    corpus, settings = home
    learned = [report_of(corpus, settings, night).funnel.count("learned") for night in NIGHTS]
    assert learned == [1, 0, 0]


def test_late_arrivals_are_counted_apart(home: tuple[Corpus, Settings]) -> None:
    corpus, settings = home[0], settings_at(home[1].home, "night.time_zone=Pacific/Auckland")
    report = report_of(corpus, settings, NIGHTS[-1])
    assert report.funnel.late == 20  # chosen by the round of that name, but arrived in another window
    assert report.funnel.steps[3].lost == {"not chosen": 38}  # none of those that arrived in the window


def test_what_came_in_after_the_round_is_not_among_those_that_it_did_not_choose(tmp_path: Path) -> None:
    corpus, settings = home_of(tmp_path), settings_at(tmp_path)
    with writing(corpus.records) as conn:
        nights.put_frame(conn, NightFrame(NIGHTS[-1], 0, utterances.last_order(conn) - 10))
    report = report_of(corpus, settings, NIGHTS[-1])
    corpus.close()
    assert report.funnel.steps[3].lost == {"not chosen": 10, "came in after the round": 8}
    assert report.funnel.after == 8  # 2 of the 10 last ones were not scored
    assert "8 of this night came in after its round" in choice_finding(report)


def test_minutes_of_a_choice_are_rounded_once(home: tuple[Corpus, Settings]) -> None:
    rows = (ChoiceRow("audit", "transcribe", 4, 0.54), ChoiceRow("uncertain", "transcribe", 2, 0.34))
    report = replace(report_of(*home, None), choice=rows)
    assert "for 0.9 expected annotator minutes" in choice_finding(report)
    assert [row.cells[-1] for row in choice_table(report).rows] == ["0.5", "0.3"]


def test_models_have_their_rates_over_the_nights(report: NightReport) -> None:
    asr, intent = report.kinds
    assert [(row.night, row.champion) for row in asr.anchor] == [(NIGHTS[0], "1"), (NIGHTS[1], "1"), (NIGHTS[2], "3")]
    assert asr.anchor[-1].better_by is not None
    assert asr.anchor[-1].better_by.value == pytest.approx(0.2)
    assert asr.growing[0].better_by is not None
    assert asr.growing[0].better_by.value == 0
    assert {row.slice for row in asr.slices} >= {"locale=en-GB", "locale=en-US", "device=speaker"}
    assert asr.slices_night == NIGHTS[-1]
    assert intent.anchor == intent.slices == ()
    assert all(row.champion_rate is None for row in intent.shown)


def test_minutes_and_the_choice_are_those_of_the_rounds(report: NightReport) -> None:
    assert [(row.night, row.answers, row.minutes_spent, row.minutes_so_far) for row in report.minutes] == [
        (NIGHTS[0], 18, 18.0, 18.0), (NIGHTS[1], 18, 18.0, 36.0), (NIGHTS[2], 18, 18.0, 54.0),
    ]  # fmt: skip
    assert [(row.reason, row.chosen, row.minutes_expected) for row in report.choice] == [
        ("audit", 10, 5.0),
        ("uncertain", 10, 5.0),
    ]
    assert report.pool == 38


def test_decisions_are_newest_first_and_caps_are_named(report: NightReport) -> None:
    assert [(row.night, row.version, row.decision) for row in report.decisions] == [
        (NIGHTS[2], "3", "promote"),
        (NIGHTS[1], "2", "refuse"),
    ]
    caps = {cap.setting: cap.value for cap in report.caps}
    assert caps["sampling.clips"] == "20"
    assert caps["promotion.min_audit_rows"] == "5"
    assert report.caps_from == "round"


def test_a_round_of_an_older_version_shows_the_caps_of_now_and_says_so(home: tuple[Corpus, Settings]) -> None:
    corpus, settings = home
    of_old = schema.rounds.c.night == NIGHTS[1]
    with writing(corpus.records) as conn:
        conn.execute(sa.update(schema.rounds).where(of_old).values(settings=None))
    report = report_of(corpus, settings, NIGHTS[1])
    assert {cap.setting: cap.value for cap in report.caps}["sampling.clips"] == "24"
    assert report.caps_from == "unknown"


def test_a_night_without_anything_is_refused_with_the_nights_that_have_a_round(home: tuple[Corpus, Settings]) -> None:
    corpus, settings = home
    with pytest.raises(UsageError, match=f"2026-05-01: nothing arrived .* {NIGHTS[2]}"):
        report_of(corpus, settings, "2026-05-01")
    with pytest.raises(UsageError, match="is not a date"):
        report_of(corpus, settings, "yesterday")


def test_a_home_without_a_round_reports_its_newest_arrivals_or_that_there_are_none(tmp_path: Path) -> None:
    corpus, settings = corpus_at(tmp_path, NOON + timedelta(days=9)), settings_at(tmp_path)
    with pytest.raises(UsageError, match="no night yet; earmark ingest"):
        report_of(corpus, settings, None)
    arrive(corpus, 3)
    report = report_of(corpus, settings, None)
    assert (report.night, report.pool, report.caps_from) == ("2026-03-02", None, "now")
    assert report.funnel.steps[2].lost == {"not scored yet": 3}
    east = settings_at(tmp_path, "night.time_zone=Europe/Berlin")  # where midnight is on the day before in UTC
    assert report_of(corpus, east, None).night == "2026-03-02"
