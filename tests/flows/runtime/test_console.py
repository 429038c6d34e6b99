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


def test_what_is_left_out_is_counted_truly(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line(number, f"fault {number}") for number in range(MOST_REFUSED + 4)]
    shown = printed(capsys, lines, {"bad_row": MOST_REFUSED + 4})
    assert shown[MOST_REFUSED:] == ["  and 4 more; --json lists them"]
    shown = printed(capsys, lines, {"bad_row": 500, "empty": 1})
    assert shown[-1] == f"  of 501 refused rows the first {MOST_REFUSED + 4} are listed here and with --json"
    assert printed(capsys, [], {"bad_row": 3}) == []
