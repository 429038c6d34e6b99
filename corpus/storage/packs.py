"""Packs: many ciphertexts in one file, so that a store has few objects and scoring reads in sequence."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import fsspec

from corpus.errors import Damaged
from corpus.storage import cipher, files

GAP_BYTES: Final = 256 << 10
"""Largest gap between two clips that are read with one request [bytes]; reading the gap is faster than a request."""

SPAN_BYTES: Final = 32 << 20
"""Longest single read [bytes]."""


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """Where a ciphertext is: `length` bytes of `pack` from `offset`."""

    pack: str
    offset: int
    length: int


class PackWriter:
    """Writer that collects ciphertexts in packs; they are durable after `close`, or after the `with` block.

    Packs are written by a thread, so that the caller does not wait for the disk.
    """

    def __init__(self, fs: fsspec.AbstractFileSystem, root: str, pack_bytes: int) -> None:
        self._fs, self._root, self._pack_bytes = fs, root, pack_bytes
        self._pieces: list[bytes] = []
        self._waiting: list[tuple[str, int, int]] = []
        self._size = 0
        self._locations: dict[str, Location] = {}
        self._sizes: dict[str, int] = {}
        self._thread = ThreadPoolExecutor(1)
        self._writes: list[Future[None]] = []

    def __enter__(self) -> PackWriter:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:  # no row will name the ciphertexts that are not written yet
            self._waiting.clear()
        self.close()

    def append(self, utterance_id: str, ciphertext: bytes) -> None:
        """Add one ciphertext to the current pack."""
        self._waiting.append((utterance_id, self._size, len(ciphertext)))
        self._pieces.append(ciphertext)
        self._size += len(ciphertext)
        if self._size >= self._pack_bytes:
            self._flush()

    def placed(self) -> tuple[dict[str, Location], dict[str, int]]:
        """Return where every ciphertext will be after `close`, and the size of each new pack [bytes]."""
        self._flush()
        return self._locations, self._sizes

    def close(self) -> tuple[dict[str, Location], dict[str, int]]:
        """Finish all writes; return where every ciphertext is, and the size of each new pack [bytes]."""
        found = self.placed()
        self._thread.shutdown()
        for write in self._writes:
            write.result()
        return found

    def _flush(self) -> None:
        if not self._waiting:
            return
        # The tag at the end of a ciphertext depends on all its bytes and is unique, so the tags are enough for a name.
        name = files.digest_name(b"".join(piece[-cipher.TAG_BYTES :] for piece in self._pieces))
        pack = f"audio/{name[:2]}/{name}.pack"
        self._writes.append(self._thread.submit(files.store, self._fs, self._root, pack, *self._pieces))
        self._sizes[pack] = self._size
        for utterance_id, offset, length in self._waiting:
            self._locations[utterance_id] = Location(pack, offset, length)
        self._pieces.clear()
        self._waiting.clear()
        self._size = 0


def read_all(
    fs: fsspec.AbstractFileSystem, root: str, wanted: Sequence[tuple[str, Location]]
) -> tuple[dict[str, bytes], dict[str, Damaged]]:
    """Return the ciphertexts by id, and what is wrong with those of packs that are missing or too short."""
    sealed: dict[str, bytes] = {}
    lost: dict[str, Damaged] = {}
    for pack, items in itertools.groupby(sorted(wanted, key=lambda item: item[1]), key=lambda item: item[1].pack):
        of_pack = list(items)
        try:
            sealed |= dict(read(fs, root, of_pack))
        except FileNotFoundError:
            lost |= {i: Damaged(f"{i}: its pack {pack} is missing; restore it from a backup") for i, _ in of_pack}
        except Damaged:
            size = len(files.load(fs, root, pack))
            whole = [item for item in of_pack if item[1].offset + item[1].length <= size]
            sealed |= dict(read(fs, root, whole))
            why = f"its pack {pack} is shorter than its rows require; restore it from a backup"
            lost |= {i: Damaged(f"{i}: {why}") for i, _ in of_pack if i not in sealed}
    return sealed, lost


def read(
    fs: fsspec.AbstractFileSystem, root: str, wanted: Sequence[tuple[str, Location]]
) -> Iterator[tuple[str, bytes]]:
    """Yield (id, ciphertext) in the order of packs and offsets, with one request for neighbouring ciphertexts.

    Raises:
        FileNotFoundError: a pack does not exist; an erasure may just have replaced it.
        Damaged: a pack is shorter than its rows require.
    """
    ordered = sorted(wanted, key=lambda item: item[1])
    for span in _spans(ordered):
        first, last = span[0][1], max(location.offset + location.length for _, location in span)
        data = files.load_span(fs, root, first.pack, first.offset, last)
        if len(data) < last - first.offset:
            raise Damaged(f"{first.pack} is shorter than its rows require; restore it from a backup")
        for utterance_id, location in span:
            start = location.offset - first.offset
            yield utterance_id, bytes(data[start : start + location.length])


def _spans(ordered: Sequence[tuple[str, Location]]) -> Iterator[list[tuple[str, Location]]]:
    span: list[tuple[str, Location]] = []
    for item in ordered:
        if span:
            first, previous, current = span[0][1], span[-1][1], item[1]
            near = current.pack == previous.pack and current.offset - (previous.offset + previous.length) <= GAP_BYTES
            if not near or current.offset + current.length - first.offset > SPAN_BYTES:
                yield span
                span = []
        span.append(item)
    if span:
        yield span
