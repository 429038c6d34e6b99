"""Progress as events: each listener receives every event once, and only the command line prints."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from flows.runtime import progress
from flows.runtime.progress import Advanced, Finished, Noted, Started

WORK = """
from flows.runtime import progress
from flows.cli.progress_bars import ProgressBars

name = "scoring clips with asr/1 and intent/1"
with progress.listening(ProgressBars()), progress.track(name, 40, "clips") as advance:
    advance(10)
    with progress.track("rows read", None) as read:
        read(3)
    progress.note("a line to read")
    advance(40)
"""


def events_of(*names: str) -> list[progress.Event]:
    """Return the events that a listener receives from a step of three."""
    events: list[progress.Event] = []
    with progress.listening(events.append):
        for name in names:
            with progress.track(name, None) as advance:
                advance(1)
                advance(2, 3)
                advance(3)
    return events


def test_a_listener_receives_start_every_advance_and_end():
    started, *advanced, finished = events_of("score")
    assert isinstance(started, Started)
    number = started.track
    assert started == Started(number, "score", None)
    assert advanced == [Advanced(number, 1, None), Advanced(number, 2, 3), Advanced(number, 3, 3)]
    assert finished == Finished(number)


def test_nested_pieces_of_work_have_numbers_of_their_own():
    events: list[progress.Event] = []
    with progress.listening(events.append), progress.track("runs", 2) as runs, progress.track("rows", 5) as rows:
        rows(5)
        runs(1)
    outer, inner = (event.track for event in events if isinstance(event, Started))
    assert outer != inner
    assert events[2:] == [Advanced(inner, 5, 5), Advanced(outer, 1, 2), Finished(inner), Finished(outer)]


def test_every_listener_receives_events_and_none_after_its_block():
    first: list[progress.Event] = []
    second: list[progress.Event] = []
    with progress.listening(first.append):
        with progress.listening(second.append):
            progress.note("both")
        progress.note("first alone")
    progress.note("nobody")
    assert first == [Noted("both"), Noted("first alone")]
    assert second == [Noted("both")]


def test_work_in_a_thread_reports_to_the_listeners_that_there_were_when_it_began():
    events: list[progress.Event] = []
    with progress.listening(events.append), progress.track("score", 1) as advance:
        thread = threading.Thread(target=advance, args=(1,))
        thread.start()
        thread.join()
    assert [event.done for event in events if isinstance(event, Advanced)] == [1]


def test_a_loop_reports_each_item_once_it_is_done_and_its_end_where_it_is_left():
    events: list[progress.Event] = []
    with progress.listening(events.append):
        assert list(progress.over("ab", "reading", 2, "letters")) == ["a", "b"]
        for _ in progress.over(range(9), "reading", 9):
            break
    started, first, second, finished, again, left = events
    assert (started.name, started.total, started.unit) == ("reading", 2, "letters")
    assert [first.done, second.done] == [1, 2]
    assert [type(finished), type(again), type(left)] == [Finished, Started, Finished]


def test_work_that_fails_is_reported_as_finished():
    events: list[progress.Event] = []
    with pytest.raises(ValueError, match="wrong"), progress.listening(events.append), progress.track("score", 1):
        raise ValueError("wrong")
    assert [type(event) for event in events] == [Started, Finished]


def test_counts_since_the_last_call_add_up():
    events: list[progress.Event] = []
    with progress.listening(events.append), progress.track("score", 5) as advance:
        more = progress.counting(advance)
        more(2)
        more(3)
    assert [event.done for event in events if isinstance(event, Advanced)] == [2, 5]


def test_on_a_terminal_there_are_bars_and_elsewhere_notes_alone():
    held, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    subprocess.run([sys.executable, "-c", WORK], stderr=terminal, check=True, env=environment, timeout=60)
    os.close(terminal)
    shown = b""
    while True:
        try:
            more = os.read(held, 65_536)
        except OSError:  # the other end is closed
            break
        if not more:
            break
        shown += more
    os.close(held)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())  # without colours and movements of the cursor
    assert "scoring clips with asr/1 and intent/1" in text
    assert "40/40 clips" in text
    assert "rows read" in text
    assert "a line to read" in text
    piped = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, check=True, timeout=60)
    assert (piped.stdout, piped.stderr) == ("", "a line to read\n")


def test_reporting_progress_loads_nothing_that_prints():
    code = (
        "import sys; from flows.runtime import progress; sys.exit(any(m.split('.')[0] == 'rich' for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path.cwd(), timeout=60).returncode == 0
