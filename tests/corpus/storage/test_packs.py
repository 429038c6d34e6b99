from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import Damaged, SettingsError
from corpus.storage import files, packs


@settings(max_examples=12, deadline=None)
@given(clips=st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=10), pack_bytes=st.integers(1, 200))
def test_every_clip_comes_back_whatever_the_pack_size(
    tmp_path_factory: pytest.TempPathFactory, clips: list[bytes], pack_bytes: int
) -> None:
    root = str(tmp_path_factory.mktemp("content"))
    fs, root = files.connect(root)
    writer = packs.PackWriter(fs, root, pack_bytes)
    for number, clip in enumerate(clips):
        writer.append(str(number), clip)
    locations, sizes = writer.close()
    found = dict(packs.read(fs, root, list(locations.items())[::-1]))
    assert found == {str(number): clip for number, clip in enumerate(clips)}
    assert all(place.offset + place.length <= sizes[place.pack] for place in locations.values())
    assert sorted(path for path, _ in files.listing(fs, root)) == sorted(sizes)


def test_far_clips_are_read_apart_and_near_ones_together(content: str) -> None:
    fs, root = files.connect(content)
    writer = packs.PackWriter(fs, root, 1 << 30)
    writer.append("a", b"a" * 10)
    writer.append("far", b"x" * (packs.GAP_BYTES + 1))
    writer.append("b", b"b" * 10)
    writer.append("c", b"c" * 10)
    locations, _ = writer.close()
    wanted = [(name, locations[name]) for name in ("c", "a", "b")]
    assert list(packs.read(fs, root, wanted)) == [("a", b"a" * 10), ("b", b"b" * 10), ("c", b"c" * 10)]


def test_a_short_pack_and_a_missing_pack_raise_different_errors(content: str) -> None:
    fs, root = files.connect(content)
    files.store(fs, root, "audio/x.pack", b"12345")
    with pytest.raises(Damaged, match="shorter"):
        list(packs.read(fs, root, [("u", packs.Location("audio/x.pack", 2, 4))]))
    with pytest.raises(FileNotFoundError):
        list(packs.read(fs, root, [("u", packs.Location("audio/y.pack", 0, 1))]))


def test_a_file_is_private_and_leaves_no_temporary_name(tmp_path: Path) -> None:
    fs, root = files.connect(str(tmp_path / "content"))
    files.store(fs, root, "parts/a", b"one")
    files.store(fs, root, "parts/a", b"two")
    assert files.load(fs, root, "parts/a") == b"two"
    assert [path.name for path in (tmp_path / "content/parts").iterdir()] == ["a"]
    assert (tmp_path / "content/parts/a").stat().st_mode & 0o777 == 0o600
    files.remove(fs, root, "parts/a")
    files.remove(fs, root, "parts/a")
    assert list(files.listing(fs, root)) == []


def test_an_object_store_serves_too() -> None:
    fs, root = files.connect("memory://bucket/content")
    writer = packs.PackWriter(fs, root, 4)
    for name in ("a", "b", "c"):
        writer.append(name, name.encode() * 3)
    locations, sizes = writer.close()
    assert dict(packs.read(fs, root, list(locations.items()))) == {"a": b"aaa", "b": b"bbb", "c": b"ccc"}
    assert sorted(path for path, _ in files.listing(fs, root)) == sorted(sizes)


def test_an_unknown_store_is_refused() -> None:
    with pytest.raises(SettingsError, match="content_url"):
        files.connect("nowhere://bucket")


def test_what_fails_in_the_block_leaves_no_pack(content: str) -> None:
    fs, root = files.connect(content)

    def fail() -> None:
        with packs.PackWriter(fs, root, 1 << 30) as writer:
            writer.append("a", b"a" * 40)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(files.listing(fs, root)) == []
