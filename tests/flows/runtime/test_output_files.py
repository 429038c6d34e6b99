"""A place that a person names is checked before, and a file there is replaced only where earmark made it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from corpus.errors import UsageError
from flows.runtime.output_files import MARK, is_own, output_errors, output_place, write_output

CONTENT = f"# {MARK}\n".encode()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    (made / "records.db").write_text("rows")
    return made


def _loop(folder: Path) -> Path:
    (folder / "a").symlink_to(folder / "b")
    (folder / "b").symlink_to(folder / "a")
    return folder / "a"


def _file(folder: Path) -> Path:
    (folder / "mine.html").write_text("mine")
    return folder / "mine.html"


def _link(folder: Path) -> Path:
    (folder / "link").symlink_to(folder / "home" / "records.db")
    return folder / "link"


WRONG: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a folder": (lambda folder: folder / "home", "in the home"),
    "around the home": (lambda folder: folder, "in the home"),
    "of another": (_file, "was not made by earmark"),
    "below a file": (lambda folder: _file(folder) / "x", "can't be written"),
    "of the kernel": (lambda folder: Path("/proc/none/x"), "can't be written"),
    "a device": (lambda folder: Path("/dev/null"), "was not made by earmark"),
    "in a loop": (_loop, "form a loop"),
    "below a loop": (lambda folder: _loop(folder) / "x", "form a loop"),
    "of two lines": (lambda folder: folder / "a\nb", "line break"),
    "of other bytes": (lambda folder: folder / os.fsdecode(b"\xff"), "UTF-8"),
    "too long": (lambda folder: folder / ("x" * 300), "too long"),
    "records": (lambda folder: folder / "home" / "records.db", "in the home"),
    "a link to records": (_link, "in the home"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_place_is_refused_in_one_line_and_nothing_is_written(tmp_path: Path, home: Path, name: str) -> None:
    make, says = WRONG[name]
    place = make(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match=says) as refused:
        write_output(place, CONTENT, "--out", home)
    assert str(refused.value).startswith("--out")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_file_of_earmark_is_replaced_and_an_empty_one_filled(tmp_path: Path, home: Path) -> None:
    out = tmp_path / "new" / "page.html"
    assert write_output(out, CONTENT, "--out", home) == out
    assert is_own(out)
    write_output(out, CONTENT + b"two", "--out", home)
    assert out.read_bytes() == CONTENT + b"two"
    (tmp_path / "empty").touch()
    write_output(tmp_path / "empty", CONTENT, "--out", home)
    assert is_own(tmp_path / "empty")


def test_reports_lie_in_the_home_and_replace_older_ones_without_a_mark(tmp_path: Path, home: Path) -> None:
    (home / "report").mkdir()
    (home / "report" / "report.md").write_text("of an older earmark")
    write_output(home / "report" / "report.md", CONTENT, "--out", home)
    assert (home / "report" / "report.md").read_bytes() == CONTENT
    assert output_place(home / "report" / "x.html", "--out", home) == home / "report" / "x.html"


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match=r"^--out .*: No space left on device; make room or give another place$"),
        output_errors(tmp_path / "x", "--out"),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")


def test_a_link_is_not_written_through_even_to_a_file_that_earmark_made(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "page.html").write_text(f"{MARK} yesterday")
    (tmp_path / "link.html").symlink_to(tmp_path / "page.html")
    with pytest.raises(UsageError, match=r"--out .* is a link"):
        write_output(tmp_path / "link.html", MARK.encode(), "--out", tmp_path / "home")
    assert (tmp_path / "page.html").read_text() == f"{MARK} yesterday"
