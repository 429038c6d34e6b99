"""What somebody planted in a shared folder is not written through, and not taken for a file of earmark."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from corpus.errors import UsageError
from corpus.storage.own_folder import own_folder

SAFE = b"somebody's own file"


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    (tmp_path / "shared").mkdir(mode=0o777)
    (tmp_path / "victim").write_bytes(SAFE)
    return tmp_path / "shared"


def plant(path: Path, how: str) -> None:
    victim = next(each / "victim" for each in path.parents if (each / "victim").exists())
    if how == "link":
        path.symlink_to(victim)
    elif how == "hard link":
        os.link(victim, path)
    elif how == "dangling link":
        path.symlink_to(victim.parent / "nowhere")
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "file":
        path.write_bytes(SAFE)


@pytest.mark.parametrize("how", ["link", "hard link", "dangling link", "pipe", "file", "nothing"])
def test_a_file_takes_the_place_of_what_was_planted_and_overwrites_nothing(shared: Path, how: str) -> None:
    (shared / "round" / "ann").mkdir(parents=True, mode=0o777)
    plant(shared / "round" / "ann" / "t1.wav", how)
    with own_folder(shared / "round" / "ann", below=shared) as folder:
        assert not folder.holds("t1.wav", b"RIFF", 10)
        path = folder.write("t1.wav", [b"RIFF", b"sample"])
        assert folder.holds("t1.wav", b"RIFF", 10)
        assert not folder.holds("t1.wav", b"RIFF", 11)
        assert not folder.holds("t1.wav", b"ID3", 10)
    assert path == shared / "round" / "ann" / "t1.wav"
    assert path.read_bytes() == b"RIFFsample"
    assert (path.is_symlink(), stat.S_IMODE(path.stat().st_mode)) == (False, 0o600)
    assert [each.name for each in path.parent.iterdir()] == ["t1.wav"]
    assert (shared.parent / "victim").read_bytes() == SAFE
    assert not (shared.parent / "nowhere").exists()


@pytest.mark.parametrize("place", ["round", "round/ann"])
@pytest.mark.parametrize("how", ["link to a folder", "link", "dangling link", "file", "pipe"])
def test_a_folder_that_is_none_of_ours_is_refused(shared: Path, place: str, how: str) -> None:
    (shared / place).parent.mkdir(exist_ok=True)
    (shared.parent / "elsewhere" / "ann").mkdir(parents=True)
    if how == "link to a folder":
        (shared / place).symlink_to(shared.parent / "elsewhere")
    else:
        plant(shared / place, how)
    with (
        pytest.raises(UsageError, match=f"{place} is a link or a file"),
        own_folder(shared / "round" / "ann", below=shared),
    ):
        raise AssertionError
    assert [each.name for each in (shared.parent / "elsewhere").rglob("*")] == ["ann"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(shared: Path) -> None:
    (shared / "round").mkdir()
    os.chown(shared / "round", 12345, 12345)
    with pytest.raises(UsageError, match="belongs to somebody else"), own_folder(shared / "round", below=shared):
        raise AssertionError
    assert list((shared / "round").iterdir()) == []


def test_the_folder_that_a_person_chose_may_be_a_link_and_what_is_made_in_it_is_private(shared: Path) -> None:
    (shared.parent / "named").symlink_to(shared)
    with own_folder(shared.parent / "named" / "round", below=shared.parent / "named") as folder:
        folder.write("tasks.jsonl", [b"x"])
    assert stat.S_IMODE((shared / "round").stat().st_mode) == 0o700


def test_a_failed_write_leaves_the_old_file_and_no_draft(shared: Path) -> None:
    def broken():
        yield b"half"
        raise ValueError("no more")

    with own_folder(shared) as folder:
        folder.write("a", [b"old"])
        with pytest.raises(ValueError, match="no more"):
            folder.write("a", broken())
        (shared / "b").mkdir()
        with pytest.raises(UsageError, match="b can't be written"):
            folder.write("b", [b"x"])
    assert {each.name for each in shared.iterdir()} == {"a", "b"}
    assert (shared / "a").read_bytes() == b"old"
