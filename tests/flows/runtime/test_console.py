from __future__ import annotations

import pytest

from flows.runtime.console import MOST_REFUSED, show_refused


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
