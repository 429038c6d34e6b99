"""Two versions on one set: table, page, and that older reports are judged again."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from corpus.errors import UsageError
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import reports as reports_table
from corpus.text import NORMALISER
from flows.models import registry
from flows.models.eval_set import audit_set
from flows.models.evaluation_store import evaluate_versions
from flows.models.slices import shown_slices
from flows.nights.night import last_night
from flows.reports.compare import compare_versions
from flows.reports.compare_html import page_html, write_page
from flows.reports.compare_table import show_comparison
from flows.reports.demo_tables import DemoReport
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from tests.flows.conftest import copy_of
from tests.flows.homes import small_settings


@pytest.fixture(scope="module")
def settings(lived: tuple[Settings, DemoReport], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return small_settings(copy_of(lived[0].home, tmp_path_factory.mktemp("compare") / "home"))


@pytest.mark.parametrize("kind", ["asr", "intent"])
def test_both_are_judged_on_the_same_rows_with_every_figure(settings: Settings, kind: str, capsys: Any):
    with opened(settings) as corpus:
        compared = compare_versions(corpus, settings, f"{kind}/1", f"{kind}/2")
        said = [label.transcript for label in compared.audit.labels.values() if label.transcript]
    report = compared.document.to_json()
    json.dumps(report, allow_nan=False)
    assert report.get("numbers") == ("earmark-2+numbers-en" if kind == "asr" else None)
    names = {row["figure"] for row in report["figures"]}
    asked = {
        "asr": {"wer", "wer_numbers", "substitutions", "cer", "ece", "end_to_end_success"},
        "intent": {"macro_f1", "end_to_end_success", "ece"},
    }
    assert asked[kind] <= names
    for row in report["figures"]:
        for side in ("first", "second", "difference"):
            assert row[side]["low"] <= row[side]["value"] <= row[side]["high"]
        moved = row["second"]["value"] - row["first"]["value"]
        assert row["difference"]["value"] == pytest.approx(moved, abs=1e-9)
    assert {row["dimension"] for row in report["slices"]} >= {
        "locale",
        "device",
        "duration",
        "snr",
        "intent",
        "speaker",
    }
    assert sum(row["rows"] for row in report["slices"] if row["dimension"] == "speaker") == len(compared.reports[0])
    assert [each["labels"] > 0 for each in report["cost"]] == [False, True]
    assert report["cost"][1]["minutes_on_labels"] > 0
    assert report["cost"][1]["training_seconds"] > 0
    assert all(each["speed"]["latency_p50"]["value"] > 0 for each in report["cost"])

    page = write_page(settings.home, compared)
    assert page == settings.home / "compare" / f"{kind}-1-2" / "index.html"
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == (2 if kind == "asr" else 4)
    assert "thin" in text
    assert not [words for words in said if len(words.split()) > 1 and words in text]
    show_comparison(compared.document)
    shown = capsys.readouterr().out
    what = "confidence in a clip and its share of right words" if kind == "asr" else "probability of an intent"
    assert f"\ncalibration error: mean gap between the {what}" in shown
    assert f"calibration error: mean gap between the {what}" in page_html(compared)
    assert f"{report['better']} utterances are better in {kind}/2, {report['worse']} are worse" in shown
    assert f"normal form {NORMALISER}" in shown


def test_a_page_needs_no_other_file_and_shows_names_as_they_are(settings: Settings):
    with opened(settings) as corpus:
        compared = compare_versions(corpus, settings, "asr/1", "asr/2")
    slices = tuple(replace(row, slice="locale=<img src=//elsewhere>") for row in compared.document.slices[:1])
    document = replace(compared.document, normaliser="<script>&'\"", slices=slices)
    text = page_html(replace(compared, document=document))
    assert "normal form <script>&" not in text
    page = Read()
    page.feed(text)
    assert "normal form <script>&'\", numbers alike earmark-2+numbers-en." in page.said
    assert "locale=<img src=//elsewhere>" in page.said
    assert page.tags.isdisjoint({"script", "link", "iframe", "base", "object"})
    assert [source.partition(",")[0] for source in page.sources] == ["data:image/png;base64"] * 2
    assert "url(" not in text
    assert "{{" not in text


class Read(HTMLParser):
    """What a browser finds in a page: its tags, what they fetch, and its words."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.sources: list[str] = []
        self.said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.said += data


def test_a_figure_without_a_meaning_is_named_so_on_page_and_terminal(settings: Settings, capsys: Any):
    with opened(settings) as corpus:
        compared = compare_versions(corpus, settings, "asr/1", "asr/2")
    (ece,) = (row for row in compared.document.figures if row.figure == "ece")
    mute = replace(ece, first=None, difference=None)
    compared = replace(compared, document=replace(compared.document, figures=(mute,)))
    assert compared.document.to_json()["figures"][0]["first"] is None
    show_comparison(compared.document)
    assert "can't be judged" in capsys.readouterr().out
    assert "can&#39;t be judged" in page_html(compared)


def test_versions_of_two_kinds_are_not_compared(settings: Settings):
    with opened(settings) as corpus, pytest.raises(UsageError, match="two kinds"):
        compare_versions(corpus, settings, "asr/1", "intent/1")


def test_a_speaker_of_an_earlier_night_is_a_returning_one(settings: Settings):
    with opened(settings) as corpus:
        audit = audit_set(corpus, settings.promotion, "asr")
        report = evaluate_versions(
            corpus, settings.home, settings.score.transcribe, audit, [registry.champion(corpus, "asr")]
        )
        found = shown_slices(corpus, settings.night, audit, next(iter(report.values())))["speaker"]
        with corpus.read() as conn:
            rows = conn.execute(sa.select(schema.utterances.c["utterance_id", "speaker_id", "arrived_at"])).all()
    night = {row.utterance_id: last_night(row.arrived_at, "UTC", settings.night.ends_at).name for row in rows}
    nights: dict[str, list[str]] = {}
    for row in rows:
        nights.setdefault(row.speaker_id, []).append(night[row.utterance_id])
    expected = ["returning" if min(nights[audit.speaker_ids[i]]) < night[i] else "new" for i in sorted(audit.labels)]
    assert found.tolist() == expected
    assert set(expected) == {"new", "returning"}


def test_a_report_of_an_older_version_is_judged_again(settings: Settings):
    columns = schema.reports.c
    with opened(settings) as corpus:
        base = registry.by_name(corpus, "asr", "base")
        audit = audit_set(corpus, settings.promotion, "asr")
        before = evaluate_versions(corpus, settings.home, settings.score.transcribe, audit, [base])[base.version]
        one = (columns.kind == "asr", columns.version == base.version, columns.eval_set_id == audit.eval_set_id)
        with writing(corpus.records) as conn:
            numbers = json.loads(conn.execute(sa.select(columns.numbers).where(*one)).scalar_one())
            old = {name: numbers[name] for name in list(reports_table._REPORT_TYPES)[:8]}
            conn.execute(sa.update(schema.reports).where(*one).values(numbers=json.dumps(old)))
            made = schema.operations.c.operation_id.like(f"evaluate/asr/{base.version}/%")
            conn.execute(sa.delete(schema.operations).where(made))
            conn.execute(sa.delete(schema.evaluation_costs).where(schema.evaluation_costs.c.version == base.version))
        after = evaluate_versions(corpus, settings.home, settings.score.transcribe, audit, [base])[base.version]
        with corpus.read() as conn:
            stored = reports_table.report(conn, "asr", base.version, audit.eval_set_id)
    assert stored is not None
    assert stored.detailed
    for name in ("errors", "word_edits", "snr", "truth"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
        np.testing.assert_array_equal(getattr(stored, name), getattr(before, name))
