"""The page of the annotators' weeks: what somebody is called is only text in it."""

from __future__ import annotations

from pathlib import Path

from flows.reports.annotation_weekly_page import write_report
from tests.flows.small_round import answer, round_of

EVIL = '"><img src=x onerror=alert(1)>[a](b)|`x`'


def test_the_name_of_an_annotator_is_neither_html_nor_a_cell_nor_a_link(tmp_path: Path) -> None:
    with round_of(tmp_path / "home", 4) as world:
        world.export()
        world.merge(*(answer(task, EVIL, intent="play_music") for task in world.tasks()))
        report = write_report(world.corpus, world.settings.inventory, tmp_path / "out", 4)
    assert [row.annotator for row in report.people] == [EVIL]
    text = (tmp_path / "out" / "report.md").read_text()
    lines = text.partition("## By annotator")[2].strip().splitlines()
    bars = {line.count("|") - line.count("\\|") for line in lines[:3]}
    assert len(bars) == 1
    assert lines[2].startswith('| "&gt;&lt;img src=x onerror=alert(1)&gt;[a\\](b)\\|\\`x\\` |')
    assert "<" not in text


def test_a_picture_is_drawn_once_there_is_something_in_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with round_of(tmp_path / "home", 4) as world:
        world.export()
        tasks = world.tasks()
        world.merge(*(answer(task, "ann", intent="play_music") for task in tasks))
        write_report(world.corpus, world.settings.inventory, out, 4)
        assert "No two people have answered the same question yet" in (out / "report.md").read_text()
        assert not (out / "agreement.png").exists()
        world.merge(*(answer(task, "bob", intent="play_music") for task in tasks))
        write_report(world.corpus, world.settings.inventory, out, 4)
    text = (out / "report.md").read_text()
    assert "![agreement](agreement.png)" in text
    assert "No two people" not in text
    assert (out / "agreement.png").read_bytes()[:4] == b"\x89PNG"
