"""The page of a nightly run in Prefect."""

from __future__ import annotations

from flows.reports.night_page import night_markdown


def test_it_names_the_file_with_charts_and_tables() -> None:
    report = {"night": "2026-11-03", "ingest": {"received": 2}, "page": "/home/report/night-2026-11-03.html"}
    text = night_markdown(report)
    assert "| ingest | rows received 2 |" in text
    assert "`/home/report/night-2026-11-03.html`" in text
    assert "Page with" not in night_markdown({"night": "2026-11-03"})
