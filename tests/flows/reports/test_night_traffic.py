"""The traffic on a night's page: from stored reports alone, and honest where there are none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.storage.database import writing
from corpus.storage.records_schema import report_rows, reports
from flows.models.traffic_estimate import FIGURES
from flows.reports.night_traffic import audit_table, night_traffic, traffic_finding, traffic_table
from flows.steps.estimate import estimate_traffic
from tests.flows.audit_home import NIGHTS, AuditHome, audit_home
from tests.flows.judged_home import NIGHTS as NIGHTS_OF_MARCH
from tests.flows.judged_home import home_of, settings_at


@pytest.fixture
def home(tmp_path: Path) -> Iterator[AuditHome]:
    made = audit_home(tmp_path / "home")
    yield made
    made.corpus.close()


def label_and_judge(home: AuditHome) -> None:
    first, second = home.night(0), home.night(1)
    home.label([*first[:9], *second[:8]])
    home.answer(first[9], ann="accidental")
    home.answer(first[10], ann="unintelligible")
    home.judge({first[0]: 1, first[5]: 3, second[2]: 2}, wrong=[first[1], first[5], second[6]])


def test_the_rates_are_those_of_the_estimate_for_the_night_and_for_all_so_far(home: AuditHome):
    label_and_judge(home)
    traffic = night_traffic(home.corpus, home.settings.night, NIGHTS[1])
    both, second = (estimate_traffic(home.corpus, home.settings, first, NIGHTS[1]) for first in (None, NIGHTS[1]))
    assert traffic.so_far is not None
    assert traffic.this is not None
    assert traffic.so_far.rates == both.rates
    assert traffic.this.rates == second.rates
    assert traffic.unjudged == ()
    shown = traffic_table(traffic)
    assert [row.cells[0] for row in shown.rows][-1] == "non-response"
    assert len(shown.rows) == len(FIGURES)
    assert shown.headers[1:] == ("all 2 nights [95 %]", "rows of speakers", "this night [95 %]", "rows of speakers")
    assert shown.rows[0].cells[1].endswith("]")
    assert shown.rows[0].cells[2] == "17\u00a0of\u00a06"
    assert [row.cells[1] for row in audit_table(traffic).rows] == ["24", "17", "1", "1", "5", "0"]
    assert "With asr/1 and intent/1, as they are now" in traffic_finding(traffic)
    assert night_traffic(home.corpus, home.settings.night, NIGHTS[0]).so_far.last == NIGHTS[0]


def test_without_a_stored_report_nothing_is_computed_and_the_page_says_what_computes_it(home: AuditHome):
    label_and_judge(home)
    with writing(home.corpus.records) as conn:
        for table in (report_rows, reports):
            conn.execute(table.delete().where(table.c.kind == "asr"))
    traffic = night_traffic(home.corpus, home.settings.night, NIGHTS[1])
    assert traffic.so_far is not None
    assert traffic.so_far.rates["wer"] is None
    assert traffic.so_far.rates["accidental"] is not None
    assert traffic.unjudged == ("asr",)
    assert "No stored report judges asr/1 on audit rows; earmark estimate computes one." in traffic_finding(traffic)


def test_without_answers_or_without_a_round_there_is_one_sentence_and_no_rate(home: AuditHome):
    traffic = night_traffic(home.corpus, home.settings.night, NIGHTS[0])
    assert "too few audit rows to say anything: 0 labelled" in traffic_finding(traffic)
    assert traffic_table(traffic).rows == ()
    assert audit_table(traffic).rows[4].cells == ("wait for an answer", "12", "12")
    before = night_traffic(home.corpus, home.settings.night, "2020-01-01")
    assert (before.this, before.so_far) == (None, None)
    assert "no night up to this one has a round" in traffic_finding(before)
    assert audit_table(before).rows == ()


def test_a_home_without_champions_names_no_versions(tmp_path: Path):
    corpus = home_of(tmp_path, judged=False)
    found = traffic_finding(night_traffic(corpus, settings_at(tmp_path).night, NIGHTS_OF_MARCH[-1]))
    assert found.startswith("3 nights from 2026-03-02 to 2026-03-04: 114 arrivals were scored")
    assert "No stored report" not in found
    corpus.close()
