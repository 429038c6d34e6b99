"""The page of a nightly run in Prefect."""

from __future__ import annotations

from pathlib import Path

from flows.reports.night_page import night_markdown
from flows.reports.night_report import night_report
from tests.flows.judged_home import NIGHTS, home_of, settings_at

REPORT = {
    "night": NIGHTS[2],
    "ingest": {"received": 2},
    "merge": {"files": 1, "annotations": 18, "labels": 17, "outcomes": {"labelled": 17, "accidental": 1}},
    "retrain asr": {
        "version": "3", "labels": 74, "new_labels": 17, "decision": "promote", "why": "the interval | is below 0",
        "champion": "3", "decision_text": "PROMOTE\n",
    },
    "retrain intent": {"skipped": "only 2 labels are new, 3 are needed"},
    "sample": {"chosen": 20},
    "export": {"tasks": 20},
    "page": "/home/report/night-2026-03-04.html",
}  # fmt: skip


def section(text: str, title: str) -> str:
    return text.split(f"## {title}\n")[1].split("\n## ")[0]


def test_a_night_is_told_in_tables_from_what_came_in_to_what_is_next(tmp_path: Path) -> None:
    corpus, settings = home_of(tmp_path), settings_at(tmp_path)
    night = night_report(corpus, settings.night, settings.promotion, settings.sampling, NIGHTS[2])
    corpus.close()
    text = night_markdown(REPORT, night)
    titles = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert titles == [
        "What came in", "What was chosen", "What was answered", "What was learned", "What was decided",
        "What is next", "The whole traffic, estimated", "In full",
    ]  # fmt: skip
    assert "| received | 43 |" in section(text, "What came in")
    chosen = section(text, "What was chosen")
    assert "20 of 38 scored utterances were chosen" in chosen
    assert "| audit | transcribe | 10 | 5 |" in chosen
    assert "| clips by outcome | labelled 17, accidental 1 |" in section(text, "What was answered")
    assert "- of the 20 clips chosen in this night 18 are answered and 17 labelled so far" in section(
        text, "What was answered"
    )
    assert "| speech | 3 | 74 | 17 |" in section(text, "What was learned")
    assert "- understanding: only 2 labels are new, 3 are needed" in section(text, "What was learned")
    decided = section(text, "What was decided")
    assert "| speech | 3 | **promote** | 3 |" in decided
    assert "- speech: the interval | is below 0" in decided
    assert "- Champion asr/3 has WER 30.0\u00a0%" in decided
    assert "| answer | 20 tasks of this night |" in section(text, "What is next")
    assert "```\nPROMOTE\n```" in section(text, "In full")
    assert text.index("## What came in") < text.index("| received") < text.index("## What was chosen")


def test_it_links_the_file_with_charts_and_tables() -> None:
    text = night_markdown(REPORT)
    assert "(file:///home/report/night-2026-03-04.html): /home/report/night-2026-03-04.html" in text
    assert "| received | 2 |" in text
    assert "The page with charts was not written: no room" in night_markdown(
        {"night": "2026-11-03", "page": "not written: no room"}
    )
    assert "Charts" not in night_markdown({"night": "2026-11-03"})


def test_no_cell_is_longer_than_prefect_shows(tmp_path: Path) -> None:
    waits = "56 of 100 audit rows, 18 of 24 speakers; at the present rate promotion waits for 3 more nights"
    page = night_markdown({**REPORT, "retrain asr": {"version": "3", "decision": "indicative", "waits": waits}})
    assert f"- promotion of speech waits: {waits}" in page
    cells = [cell for line in page.splitlines() if line.startswith("|") for cell in line.split(" | ")]
    assert max(map(len, cells)) <= 70


def test_no_text_of_a_night_is_read_as_html_or_as_a_link() -> None:
    evil = "<img src=x onerror=alert(1)> [a](b) | `c`"
    text = night_markdown(
        {
            "night": "2026-11-03",
            "sample": {"skipped": evil},
            "merge": {"outcomes": {evil: 1}},
            "retrain asr": {"version": "3", "decision": "refuse", "why": evil, "waits": evil},
        }
    )
    assert "<img" not in text
    assert "[a](b)" not in text
    assert text.count("&lt;img") >= 5
    (outcomes,) = [line for line in text.splitlines() if line.startswith("| clips by outcome")]
    assert outcomes.count("|") - outcomes.count("\\|") == 3
