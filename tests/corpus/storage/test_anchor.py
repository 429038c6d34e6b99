"""An anchor is only ever added to, as a file or on S3."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from corpus.errors import HostFault, Refused, SettingsError, Unreachable, UsageError
from corpus.storage import files
from corpus.storage.anchor import add_notes, read_notes
from corpus.storage.signed_note import Signer
from tests import s3

SIGNER = Signer("earmark/one", bytes(range(32)))


def notes_up_to(last: int, beside: str = "") -> dict[int, str]:
    return {n: SIGNER.sign(f"earmark/one\n{n}\n{beside}checkpoint {n}\n") for n in range(1, last + 1)}


def stored(notes: Mapping[int, str]) -> Callable[[int], dict[int, str]]:
    """Give notes as a home does that has them."""
    return lambda after: {counter: note for counter, note in notes.items() if counter > after}


NOTES = notes_up_to(5)
FIRST = notes_up_to(3)


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "away" / "notes") if request.param == "file" else request.getfixturevalue("bucket")


def test_each_note_is_added_once_and_in_order(place: str) -> None:
    assert add_notes(place, stored(FIRST), 30.0) == 3
    assert add_notes(place, stored(FIRST), 30.0) == 0
    assert add_notes(place, stored(NOTES), 30.0) == 2
    assert read_notes(place, 30.0) == list(NOTES.values())


def test_notes_of_another_history_are_not_added(place: str) -> None:
    add_notes(place, stored(NOTES), 30.0)
    with pytest.raises(Refused, match="does not know"):
        add_notes(place, stored(FIRST), 30.0)
    with pytest.raises(Refused, match="does not know"):
        add_notes(place, stored(notes_up_to(6, "another history\n")), 30.0)
    assert read_notes(place, 30.0) == list(NOTES.values())


def test_a_file_is_its_owners_and_goes_on_after_a_note_that_was_cut(tmp_path: Path) -> None:
    file = tmp_path / "away" / "notes"
    add_notes(str(file), stored(FIRST), 30.0)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for cut in ("earmark/one\n4", "earmark/one\n4\n", "earmark/one\n4\n\n"):
        with file.open("a") as end:
            end.write(cut)
    assert add_notes(str(file), stored(NOTES), 30.0) == 2
    assert read_notes(str(file), 30.0) == list(NOTES.values())


def test_a_long_file_is_added_to_by_its_end_alone(tmp_path: Path) -> None:
    many, more = notes_up_to(300), notes_up_to(301)
    file = tmp_path / "notes"
    add_notes(str(file), stored(many), 30.0)
    assert file.stat().st_size > 1 << 14
    assert add_notes(str(file), stored(more), 30.0) == 1
    assert read_notes(str(file), 30.0) == list(more.values())


def test_an_anchor_that_is_missing_or_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no anchor"):
        read_notes(str(tmp_path / "gone"), 30.0)
    with pytest.raises(UsageError, match="no file of signed notes"):
        read_notes(str(tmp_path), 30.0)
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(HostFault, match="the anchor"):
        add_notes(str(tmp_path / "folder" / "notes"), stored(NOTES), 30.0)


def test_a_bucket_that_is_missing_or_silent_is_named_as_the_anchor(s3_server: str) -> None:
    with pytest.raises(SettingsError, match=r"audit\.anchor: there is no bucket"):
        read_notes("s3://nobody-made-this/notes", 30.0)
    with s3.reached(f"http://127.0.0.1:{s3.free_port()}"), pytest.raises(Unreachable, match="the anchor s3://"):
        add_notes("s3://any/notes", stored(NOTES), 3.0)


def test_a_note_on_s3_is_an_object_of_its_own(bucket: str) -> None:
    add_notes(bucket, stored(FIRST), 30.0)
    fs, root = files.connect(bucket)
    assert sorted(each.rsplit("/", 1)[-1] for each in fs.find(root)) == [f"{n:012d}.note" for n in (1, 2, 3)]


def test_a_note_that_is_no_checkpoint_is_not_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    file.write_text(SIGNER.sign("something else\n") + "\n")
    with pytest.raises(Refused, match="does not know"):
        add_notes(str(file), stored(NOTES), 30.0)
