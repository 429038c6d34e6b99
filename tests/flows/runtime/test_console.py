from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.runtime.console import (
    MOST_REFUSED,
    MOST_WORD,
    column_widths,
    note,
    show_lines,
    show_pairs,
    show_refused,
    show_table,
)

WORDS = st.text("abcdef", min_size=1, max_size=12)
CELLS = st.lists(WORDS, max_size=6).map(" ".join)


def line(number: int, detail: str, file: str = "a.jsonl") -> dict[str, object]:
    return {"file": file, "line": number, "reason": "bad_row", "detail": detail}


def printed(capsys: pytest.CaptureFixture[str], lines: list[dict[str, object]], refused: object = None) -> list[str]:
    show_refused(lines, refused)
    return capsys.readouterr().out.splitlines()


def test_a_reason_that_repeats_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line(3, "other"), *(line(number, "same") for number in range(10, 18))]
    assert printed(capsys, lines, {"bad_row": 9}) == [
        "  line 3: bad_row: other",
        "  8 lines (10, 11, 12, 13, 14, ...): bad_row: same",
    ]
    assert printed(capsys, lines[:3]) == ["  line 3: bad_row: other", "  2 lines (10, 11): bad_row: same"]


def test_lines_of_several_files_name_their_file(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line(1, "same"), line(1, "same", "b.jsonl")]
    assert printed(capsys, lines) == ["  a.jsonl line 1: bad_row: same", "  b.jsonl line 1: bad_row: same"]


def test_of_a_reason_that_has_more_rows_than_are_listed_all_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    gone = [line(number, "the file is not there") | {"reason": "missing_file"} for number in range(1, 101)]
    shown = printed(capsys, gone, {"missing_file": 200})
    assert shown == [
        "  200 lines (1, 2, 3, 4, 5, ...): missing_file: the file is not there",
        "  --json lists the first 100 of them one by one",
    ]
    # of another reason, a row that is not listed may have another detail
    odd = [line(number, "field locale: is no language tag") for number in (7, 9)]
    shown = printed(capsys, odd, {"bad_row": 5})
    assert shown[0] == "  at least 2 lines (7, 9, ...): bad_row: field locale: is no language tag"
    # of several files, the count by reason is of all of them
    shown = printed(capsys, [gone[0], {**gone[1], "file": "b.jsonl"}], {"missing_file": 9})
    assert shown[1] == "  b.jsonl at least 1 line (2, ...): missing_file: the file is not there"


def test_what_is_left_out_is_counted_truly(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line(number, f"fault {number}") for number in range(MOST_REFUSED + 4)]
    shown = printed(capsys, lines, {"bad_row": MOST_REFUSED + 4})
    assert shown[MOST_REFUSED:] == ["  and 4 more; --json lists them"]
    shown = printed(capsys, lines, {"bad_row": 500, "empty": 1})
    assert shown[-1] == f"  of 501 refused rows the first {MOST_REFUSED + 4} are listed here and with --json"
    assert printed(capsys, [], {"bad_row": 3}) == []


@given(st.lists(st.lists(CELLS, min_size=2, max_size=3), min_size=1, max_size=6), st.integers(20, 160), st.booleans())
def test_no_word_of_a_table_is_broken_and_no_line_is_too_long(columns: list[list[str]], room: int, last_wide: bool):
    widths = column_widths(columns, room, last_wide=last_wide)
    longest = [max((len(word) for text in column for word in text.split()), default=0) for column in columns]
    if widths is None:
        assert sum(longest) > room
        return
    assert sum(widths) <= room
    whole = [max(map(len, column)) for column in columns]
    assert all(word <= width <= most for word, width, most in zip(longest, widths, whole, strict=True))
    if sum(whole) <= room:
        assert widths == whole


def test_a_word_longer_than_an_id_may_be_broken_and_a_whole_first_column_is_not():
    path = "x" * 90
    assert column_widths([["file", path], ["why", "gone"]], 60) == [56, 4]
    assert column_widths([["file", path], ["why", "gone"]], 60, first_whole=True) is None
    assert column_widths([["file", path]], MOST_WORD - 1) is None


def test_a_table_that_does_not_fit_is_blocks_of_lines_with_whole_words(capsys: pytest.CaptureFixture[str]) -> None:
    headers = ("night", "received", "learned", "state")
    row = ("2026-11-29", 9, "intent/2", "nothing arrived: missing_file")
    for width in (80, 60, 44):
        show_table("nights", headers, [row], last_wide=True, width=width)
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= width
        assert all(any(word in line for line in lines) for word in ("missing_file", "intent/2", "received"))
        assert "┃" in lines[2]
    show_table("nights", headers, [row], last_wide=True, width=30)
    assert capsys.readouterr().out.splitlines() == [
        "nights",
        "night 2026-11-29",
        "  received  9",
        "  learned   intent/2",
        "  state     nothing arrived: missing_file",
    ]


HOSTILE = "[red]a[/b] \x1b[31m\x07\x00\u202eb :smile: \u200dc"
PLAIN = "[red]a[/b] \ufffd[31m\ufffd\ufffd\ufffdb :smile: \u200dc"


def test_no_name_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_pairs(HOSTILE, {HOSTILE: HOSTILE, "two": "one\ntwo  three"})
    show_lines(HOSTILE, [HOSTILE])
    show_table(HOSTILE, (HOSTILE, "b"), [(HOSTILE, 1)], width=90)
    show_table(HOSTILE, (HOSTILE, "b"), [(HOSTILE * 3, 1)], width=20)
    show_refused([{"file": "a", "line": 1, "reason": "bad_row", "detail": HOSTILE}])
    note(HOSTILE)
    shown = capsys.readouterr()
    assert shown.err == f"{PLAIN}\n"
    assert "\n      " in shown.out.split("two", 1)[1]  # the second line of a value begins no other pair
    assert shown.out.count(PLAIN) >= 8
    assert not {"\x1b", "\x07", "\x00", "\u202e"} & set(shown.out)
