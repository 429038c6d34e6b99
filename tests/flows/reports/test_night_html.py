"""The page of a night: one valid HTML file, with every section, no id of an utterance and nothing from elsewhere."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
import sqlalchemy as sa
from jinja2 import Environment, FileSystemLoader

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.records.evaluation import Interval
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import labels, utterances
from flows.models.aliases import move_champion
from flows.models.judged_nights import judged_nights
from flows.reports.night_html import night_file, night_html, show_night, write_night_page
from flows.reports.night_report import KindReport, NightRates, night_report
from flows.reports.night_sections import BETTER, _no_anchor, finding, kind_section
from flows.reports.page_templates import TEMPLATES
from flows.reports.svg_chart import Series, over_nights
from flows.rounds.sample_evidence import RequestFigures
from flows.runtime.settings import Settings
from tests.flows.judged_home import NIGHTS, home_of, settings_at
from training.evaluation.gate import PromotionSettings

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

OVERFLOWING = """[document.documentElement, ...document.querySelectorAll(".scroll")]
  .filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.innerText.slice(0, 60))"""
"""A script: the parts of the page that scroll sideways."""

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Tree(HTMLParser):
    """Checks that every element is closed in order, and collects ids and headings."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Corpus, Settings]]:
    folder = tmp_path_factory.mktemp("judged")
    corpus = home_of(folder)
    yield corpus, settings_at(folder)
    corpus.close()


def page_of(corpus: Corpus, home: Path, night: str | None = None) -> str:
    return write_night_page(corpus, settings_at(home), night)[1].read_text(encoding="utf-8")


def test_the_page_has_every_section_and_is_well_formed(home: tuple[Corpus, Settings]) -> None:
    page = page_of(home[0], home[1].home)
    tree = Tree()
    tree.feed(page)
    assert tree.open == []
    assert tree.ids == ["funnel", "asr", "intent", "traffic", "choice", "minutes", "slices", "decisions", "caps"]
    assert len(tree.headings) == 9
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    for chart in charts:
        ElementTree.fromstring(chart)
    assert sum('role="img"' in chart for chart in charts) == 6  # funnel, WER twice, choice, minutes, slices
    assert page.count("<table") >= 6
    assert "Champion asr/3 has WER 30.0\u00a0% " in page
    assert "reason 2" in page
    assert "+20.0 [+19.0,\u00a0+22.0] at 99.17\u00a0%" in page  # by which the gate decided, at its own level
    assert "asr/3 against asr/1" in page
    assert "v2 40.0\u00a0% [40.0,\u00a040.0]; gate: refuse" in page
    assert page.count("champion is the base") == 2 + 2 + 2  # both sets of rows, and the minutes


def test_words_of_the_slices_are_said_and_few_people_have_no_rate(tmp_path: Path) -> None:
    corpus, settings = home_of(tmp_path), settings_at(tmp_path)
    report = night_report(corpus, settings.night, settings.promotion, settings.sampling, None)
    page = night_html(report, settings.promotion)
    assert "Thin: below 30 rows or 5 speakers, too few to conclude from." in page
    assert "Too few: below 10 rows or 3 speakers" in page
    kind = report.kinds[0]
    one = Interval(1.0, 0.0, 1.0, 1, 1)
    alone = replace(kind.slices[0], slice="room=attic", rows=1, speakers=1, thin=True, base=one, champion=one)
    kinds = (replace(kind, slices=(replace(alone, better_by=one),)), report.kinds[1])
    page = night_html(replace(report, kinds=kinds), settings.promotion)
    row = re.search(r"room=attic.*?</tr>", page, re.DOTALL)
    assert row is not None
    assert row[0].count("too few") == 3
    assert "100.0" not in row[0]
    corpus.close()


def test_the_page_says_how_many_clips_were_believed_to_be_no_requests(home: tuple[Corpus, Settings]) -> None:
    corpus, settings = home
    report = night_report(corpus, settings.night, settings.promotion, settings.sampling, None)
    assert "no requests" not in night_html(report, settings.promotion)
    figures = RequestFigures(clips=400, none=0.134, left_out=31, doubtful=12, verdicts=32, verdicts_none=7, auc=0.96)
    page = night_html(replace(report, requests=figures), settings.promotion)
    assert (
        "Probably no requests: about 54 of 400 clips (13.4 %), learned from 32 answers, of which 7 say so of their "
        "clip; told apart with AUC 0.96 (1 is best, 0.5 is chance). 31 clips are not chosen to learn from; of 12 "
        "doubtful ones only whether the assistant was meant is asked."
    ) in page


def test_the_page_needs_no_other_file_and_names_no_utterance(home: tuple[Corpus, Settings]) -> None:
    corpus = home[0]
    page = page_of(corpus, home[1].home)
    assert re.findall(r"https?:|//|\bsrc=|\bhref=|@import|url\(", page) == []
    with corpus.read() as conn:
        ids = sorted(utterances.all_ids(conn))
        speakers = set(utterances.pool_columns(conn, ids).speaker_ids.tolist())
    assert ids
    assert [i for i in [*ids, *speakers] if i in page or i[:12] in page] == []
    assert "play jazz" not in page
    assert "ann" not in re.findall(r"\w+", page)


@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium; apt-get install chromium")
def test_nothing_scrolls_sideways_on_a_phone_and_a_column_keeps_its_name(home: tuple[Corpus, Settings]) -> None:
    from tests.browser import browser

    file = write_night_page(*home, None)[1]
    with browser(str(CHROMIUM)) as page:
        for width in (390, 360, 700, 1280):
            page.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
            page.go(file.as_uri())
            assert page.run(OVERFLOWING) == [], width
        for media, width, shown in (
            ("screen", 390, "flex"),
            ("print", 390, "table-row"),
            ("screen", 1280, "table-row"),
        ):
            page.call("Emulation.setEmulatedMedia", media=media)
            page.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
            rows = "document.querySelectorAll('.stacked tbody tr')"
            assert page.run(f"[...new Set([...{rows}].map(row => getComputedStyle(row).display))]") == [shown]
        names = page.run("[...document.querySelectorAll('#asr .stacked tbody td')].map(cell => cell.dataset.label)")
    assert names[:6] == ["night", "rows of speakers", "champion afterwards", "base", "challenger", BETTER]


def test_charts_without_data_say_so(tmp_path: Path) -> None:
    page = page_of(home_of(tmp_path, judged=False), tmp_path)
    assert "No asr model has been judged on audit rows yet." in page
    assert "No version has been judged yet" in page
    assert "There are no anchor rows yet" in page
    assert "No saving can be shown yet" in page
    assert "The gate has decided on no version" in page


def test_anchor_rows_that_have_left_are_said_beside_the_curves(tmp_path: Path) -> None:
    corpus = home_of(tmp_path)
    assert "Anchor set:" not in page_of(corpus, tmp_path)
    with corpus.read() as conn:
        (first, *others) = sorted(judged_nights(corpus, conn, "asr", NIGHTS[-1]).anchor_rows)
    with writing(corpus.records) as conn:
        labels.withdraw(conn, [first])
    page = page_of(corpus, tmp_path)
    assert f"Anchor set: {len(others)} of {len(others) + 1} rows, 1 was withdrawn." in page
    with writing(corpus.records) as conn:
        labels.withdraw(conn, others)
    page = page_of(corpus, tmp_path)
    assert "No anchor row is left" in page
    assert "There are no anchor rows yet" in page  # of the intent models


def test_texts_of_a_chart_are_escaped() -> None:
    rate = Interval(0.5, 0.4, 0.6, 10, 5)
    chart = over_nights("<b>label</b>", ["<i>"], [Series("<script>", "champion", "circle", [rate], ["&"])])
    macros = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True).get_template("charts.html").module
    drawn = str(macros.chart(chart, ""))  # type: ignore[attr-defined]
    assert not re.search(r"<(b|i|script)>", drawn)
    assert "&lt;script&gt;" in drawn


def test_the_page_is_in_the_home_unless_a_file_is_given(
    home: tuple[Corpus, Settings], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, settings = home
    report, file = write_night_page(corpus, settings, NIGHTS[1])
    assert file == night_file(settings.home, NIGHTS[1])
    assert write_night_page(corpus, settings, None, tmp_path / "mine.html")[1] == tmp_path / "mine.html"
    assert not list(file.parent.glob(".*"))
    with pytest.raises(UsageError, match="is a folder; name the file"):
        write_night_page(corpus, settings, None, tmp_path)
    with pytest.raises(UsageError, match="can't be written"):
        write_night_page(corpus, settings, None, file / "below.html")
    show_night(report, file)
    printed = capsys.readouterr().out
    assert f"page  {file}" in printed
    assert "C champion" in printed


def test_a_promotion_by_hand_is_listed_and_its_mark_is_filled(tmp_path: Path) -> None:
    corpus = home_of(tmp_path)
    with writing(corpus.records) as conn:
        conn.execute(sa.delete(schema.promotions))
        conn.execute(sa.update(schema.aliases).values(version="1"))
    settings = settings_at(tmp_path)

    def filled() -> list[bool]:
        report = night_report(corpus, settings.night, settings.promotion, settings.sampling, None)
        chart = kind_section(report, report.kinds[0], settings.promotion).growing_chart
        assert chart is not None
        return [point.filled for point in chart.points if point.mark == "diamond"]

    assert filled() == []
    move_champion(corpus, "asr", "1", "2", how="forced", why="it knows the <alarm> words", actor="lena")
    assert filled() == [True]  # in the first night, which version 2 learned from
    page = page_of(corpus, tmp_path)
    assert "promoted by hand" in page
    assert "the gate was overruled: it knows the &lt;alarm&gt; words" in page
    assert "lena" not in page
    corpus.close()


def test_a_champion_beside_a_base_that_was_not_judged_is_told_without_it() -> None:
    rate = Interval(0.2, 0.1, 0.3, 40, 12)
    row = NightRates(
        night=NIGHTS[0], rows=40, speakers=12, champion="2", challenger=None, decision=None,
        champion_rate=rate, base_rate=None, challenger_rate=None, better_by=None,
    )  # fmt: skip
    kind = KindReport(
        kind="asr", measure="WER", base="1", anchor=(), growing=(row,), anchor_night="", anchor_note="", slices=(),
        slices_night="", looks=0,
    )  # fmt: skip
    assert finding(kind) == "Champion asr/2 has WER 20.0\u00a0% [10.0,\u00a030.0] on the growing set."
    assert "the base 20.0" in finding(replace(kind, growing=(replace(row, base_rate=rate),)))
    alike = finding(replace(kind, growing=(replace(row, champion_numbers=Interval(0.15, 0.1, 0.2, 40, 12)),)))
    assert alike.startswith(
        "Champion asr/2 has WER 20.0\u00a0% [10.0,\u00a030.0] (15.0 % with numbers alike) on the growing"
    )


def test_a_night_before_its_retraining_names_the_rows_that_are_judged_so_far() -> None:
    judged = NightRates(
        night=NIGHTS[0], rows=34, speakers=25, champion="1", challenger=None, decision=None,
        champion_rate=Interval(0.5, 0.4, 0.6, 34, 25), base_rate=None, challenger_rate=None, better_by=None,
    )  # fmt: skip
    waiting = replace(judged, night=NIGHTS[1], rows=0, speakers=0, champion_rate=None)
    kind = KindReport(
        kind="asr", measure="WER", base="1", anchor=(), growing=(judged, waiting), anchor_night="", anchor_note="",
        slices=(), slices_night="", looks=0,
    )  # fmt: skip
    assert "so far 34 rows of 25 speakers are judged" in _no_anchor(kind, PromotionSettings())
    assert "none is judged so far" in _no_anchor(replace(kind, growing=(waiting,)), PromotionSettings())
