"""Merkle trees of RFC 6962 with SHA-256: roots, and proofs that a leaf is in a tree and that a tree only grew.

Functions on hashes, without any store. Leaves are hashed with another prefix than nodes, so that none passes for one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

EMPTY: Final = hashlib.sha256(b"").digest()
"""Root of the tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two others."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Peaks:
    """What is kept of a tree so that it can grow: its size, and the roots of the complete trees that it is made of.

    Attributes:
        size: number of leaves.
        hashes: one for each bit of the size that is set, the largest tree first.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def root(self) -> bytes:
        """Return the root of the tree."""
        if not self.hashes:
            return EMPTY
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root

    def grown(self, leaves: Iterable[bytes]) -> Peaks:
        """Return the peaks of the tree with more leaves, given by their hashes."""
        size, hashes = self.size, list(self.hashes)
        for leaf in leaves:
            hashes.append(leaf)
            size += 1
            complete = size
            while complete % 2 == 0:  # two trees of the same size become one
                right = hashes.pop()
                hashes[-1] = node_hash(hashes[-1], right)
                complete //= 2
        return Peaks(size, tuple(hashes))


class Tree:
    """A tree that can prove: the hashes of all its complete parts, about twice as many as it has leaves.

    Attributes:
        levels: of complete subtrees, by the logarithm of their size.
    """

    __slots__ = ("levels",)

    def __init__(self, leaves: Iterable[bytes]) -> None:
        """Build the tree of these leaves, given by their hashes."""
        self.levels: list[list[bytes]] = [list(leaves)]
        while len(self.levels[-1]) > 1:
            below = self.levels[-1]
            self.levels.append([node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])

    def root(self, size: int) -> bytes:
        """Return the root of the tree of the first `size` leaves."""
        self._check(size, "size", len(self.levels[0]))
        return self._root(0, size) if size else EMPTY

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the proof that leaf `index` is in the tree of the first `size` leaves, the lowest hash first."""
        self._check(size, "size", len(self.levels[0]))
        self._check(index, "index", size - 1)
        proof: list[bytes] = []
        start, end = 0, size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                proof.append(self._root(middle, end))
                end = middle
            else:
                proof.append(self._root(start, middle))
                start = middle
        return proof[::-1]

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the tree of the first `new` leaves begins with that of the first `old` ones."""
        self._check(new, "size", len(self.levels[0]))
        self._check(old, "size", new)
        if old in (0, new):
            return []
        proof: list[bytes] = []
        start, end, left, whole = 0, new, old, True
        while left < end - start:
            middle = _split(end - start)
            if left <= middle:
                proof.append(self._root(start + middle, end))
                end = start + middle
            else:
                proof.append(self._root(start, start + middle))
                start, left, whole = start + middle, left - middle, False
        return ([] if whole else [self._root(start, end)]) + proof[::-1]

    def _root(self, start: int, end: int) -> bytes:
        """Return the root of the leaves [start, end), where `start` is a multiple of a power of two not below it."""
        size = end - start
        if size & (size - 1) == 0:
            level = size.bit_length() - 1
            return self.levels[level][start >> level]
        middle = start + _split(size)
        return node_hash(self._root(start, middle), self._root(middle, end))

    @staticmethod
    def _check(value: int, name: str, most: int) -> None:
        if not 0 <= value <= most:
            raise ValueError(f"the {name} {value} is not among 0 to {most}")


def _split(size: int) -> int:
    """Return the largest power of two below the size."""
    return 1 << (size - 1).bit_length() - 1


def includes(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Return whether a proof shows that the leaf with this hash is in the tree at that index (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for each in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(each, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, each)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def extends(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Return whether a proof shows that the new tree begins with the old one (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    found_old = found_new = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            found_old, found_new = node_hash(each, found_old), node_hash(each, found_new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found_new = node_hash(found_new, each)
        at, last = at >> 1, last >> 1
    return last == 0 and found_old == old_root and found_new == new_root
