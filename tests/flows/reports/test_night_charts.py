"""The charts of a night's page as files of their own."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from corpus.errors import UsageError
from flows.reports.night_charts import chart_svg, charts_of, write_charts
from flows.reports.night_report import NightReport, night_report
from flows.reports.svg_chart import bars
from flows.runtime.settings import Settings
from tests.flows.judged_home import home_of, settings_at


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[NightReport, Settings]:
    folder = tmp_path_factory.mktemp("judged")
    corpus, settings = home_of(folder), settings_at(folder)
    report = night_report(corpus, settings.night, settings.promotion, settings.sampling, None)
    corpus.close()
    return report, settings


def test_each_chart_of_the_page_is_a_readable_file(judged: tuple[NightReport, Settings], tmp_path: Path) -> None:
    report, settings = judged
    files = write_charts(report, settings.promotion, tmp_path / "new" / "charts", settings.home)
    assert {file.stem for file in files} == set(charts_of(report, settings.promotion)) >= {"funnel", "asr-nights"}
    for file in files:
        root = ElementTree.parse(file).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.find("{http://www.w3.org/2000/svg}title") is not None
    shown = (tmp_path / "new" / "charts" / "asr-nights.svg").read_text()
    assert "champion" in shown
    assert all(row.night[5:] in shown for row in report.kinds[0].growing)


def test_texts_are_escaped() -> None:
    chart = bars("rows & <more>", [("a<b", 3.0, "3")])
    assert chart is not None
    shown = chart_svg("x < y", chart)
    assert "x &lt; y" in shown
    assert "a&lt;b" in shown
    ElementTree.fromstring(shown)


def test_a_folder_that_can_not_be_made_is_named(judged: tuple[NightReport, Settings], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"^--charts .*file/charts"):
        write_charts(judged[0], judged[1].promotion, tmp_path / "file" / "charts", judged[1].home)
