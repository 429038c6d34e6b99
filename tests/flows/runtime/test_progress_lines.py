"""Progress where no bar can be drawn: lines while work goes on, whether it advances or not."""

from __future__ import annotations

import threading
import time

from flows.runtime import progress
from flows.runtime.progress_lines import ProgressLines


def wait_for(lines: list[str], count: int) -> None:
    until = time.monotonic() + 20
    while len(lines) < count:
        assert time.monotonic() < until, lines
        time.sleep(0.01)


def test_work_that_goes_on_has_lines_with_what_is_done_the_rate_and_the_time_left():
    lines: list[str] = []
    with ProgressLines(lines.append, every=0.05) as listener, progress.listening(listener):
        with progress.track("scoring clips", 4000, "clips") as advance:
            advance(1000)
            wait_for(lines, 3)
        assert lines[-1].startswith("scoring clips: 1,000 clips in ")
    assert lines[0].startswith("scoring clips: 1,000 of 4,000 clips, ")
    assert " clips/s, " in lines[0]
    assert lines[0].endswith(" left")


def test_work_that_does_not_advance_has_lines_too():
    lines: list[str] = []
    lines_of = ProgressLines(lines.append, every=0.05)
    with lines_of as listener, progress.listening(listener), progress.track("checking models", None):
        wait_for(lines, 2)
    assert lines[0].startswith("checking models: ")
    assert lines[0].endswith(" so far")


def test_of_few_items_no_time_left_is_guessed():
    lines: list[str] = []
    lines_of = ProgressLines(lines.append, every=0.05)
    with (
        lines_of as listener,
        progress.listening(listener),
        progress.track("evaluating versions", 3, "versions") as advance,
    ):
        advance(1)
        wait_for(lines, 1)
    assert lines[0].startswith("evaluating versions: 1 of 3 versions, ")
    assert lines[0].endswith(" so far")


def test_work_whose_items_are_all_done_is_finishing():
    lines: list[str] = []
    lines_of = ProgressLines(lines.append, every=0.05)
    with lines_of as listener, progress.listening(listener), progress.track("scoring", 3) as advance:
        advance(3)
        wait_for(lines, 1)
    assert lines[0].endswith(", finishing")


def test_quick_work_has_no_line_unless_its_end_is_asked_for_and_notes_come_at_once():
    for ends_after, expected in ((30.0, ["a note"]), (0.0, ["a note", "reading: 2 rows in 0.0 s"])):
        lines: list[str] = []
        lines_of = ProgressLines(lines.append, ends_after=ends_after)
        with lines_of as listener, progress.listening(listener), progress.track("reading", None) as advance:
            advance(2)
            progress.note("a note")
        assert lines == expected


def test_nothing_is_written_after_the_block_and_its_thread_ends():
    lines: list[str] = []
    others = set(threading.enumerate())  # tests of listeners that end with the process leave theirs
    with ProgressLines(lines.append, every=0.02) as listener, progress.listening(listener):
        with progress.track("reading", None):
            wait_for(lines, 1)
        (thread,) = (each for each in set(threading.enumerate()) - others if each.name == "earmark-progress")
    thread.join(10)
    assert not thread.is_alive()
