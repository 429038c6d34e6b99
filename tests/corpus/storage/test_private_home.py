"""A home is its owner's alone, whatever rights others had on it before; what is not earmark's stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.storage.private_home import close_to_others, open_to_others
from tests.corpus.stored import arrive, corpus_at


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def opened(home: Path) -> None:
    """Give everybody every right on a home and all that is in it."""
    for path in (home, *home.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)


def test_a_home_that_others_can_read_is_closed_when_it_is_opened(tmp_path: Path) -> None:
    home = tmp_path / "home"
    corpus = corpus_at(home)
    arrive(corpus, 3)
    corpus.close()
    (home / "mine.txt").write_text("beside it")
    opened(home)
    corpus_at(home).close()
    assert mode(home) == 0o700
    of_earmark = [path for path in home.rglob("*") if path.name not in ("mine.txt", ".gitignore")]
    assert {mode(path) for path in of_earmark} == {0o600, 0o700}
    assert {path.suffix for path in of_earmark} >= {".db"}
    assert mode(home / "mine.txt") == 0o666


def test_links_are_not_followed_and_the_key_is_left_to_its_owner(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder in (home / "tasks", home / "keys", elsewhere):
        folder.mkdir(parents=True)
    for file in (elsewhere / "file", home / "keys" / "kek", home / "tasks" / "clip.wav"):
        file.write_text("x")
    (home / "tasks" / "link").symlink_to(elsewhere / "file")
    (home / "content").symlink_to(elsewhere)
    for folder in (home, elsewhere):
        opened(folder)
    assert close_to_others(home) == 3
    assert (mode(home / "tasks"), mode(home / "tasks" / "clip.wav")) == (0o700, 0o600)
    assert (mode(elsewhere), mode(elsewhere / "file"), mode(home / "keys" / "kek")) == (0o777, 0o666, 0o666)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rights=st.lists(st.integers(0, 0o777), min_size=3, max_size=3))
def test_the_owner_keeps_every_right_and_others_have_none(
    tmp_path_factory: pytest.TempPathFactory, rights: list[int]
) -> None:
    home = tmp_path_factory.mktemp("home")
    (home / "work").mkdir()
    file = home / "work" / "file"
    file.write_text("x")
    paths = (home, home / "work", file)
    wanted = [right | (0o700 if path.is_dir() else 0o400) for path, right in zip(paths, rights, strict=True)]
    for path, right in zip(paths, wanted, strict=True):
        path.chmod(right)
    close_to_others(home)
    assert [mode(path) for path in paths] == [right & 0o700 for right in wanted]
    assert list(open_to_others(home)) == []
