from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.storage import merkle
from corpus.storage.merkle import EMPTY, Peaks, Tree, extends, includes, leaf_hash, node_hash

LARGEST = 200

LEAVES = [leaf_hash(str(number).encode()) for number in range(LARGEST)]
TREE = Tree(LEAVES)

DATA = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
"""Leaves of the tests of Certificate Transparency's own implementations."""

ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Roots of the trees of the first 1, 2, ... of these leaves."""


def by_definition(leaves: list[bytes]) -> bytes:
    """Return the root as RFC 6962 defines it, by recursion."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    middle = 1
    while 2 * middle < len(leaves):
        middle *= 2
    return node_hash(by_definition(leaves[:middle]), by_definition(leaves[middle:]))


def test_the_known_trees_of_certificate_transparency_have_their_roots() -> None:
    leaves = [leaf_hash(bytes.fromhex(each)) for each in DATA]
    tree = Tree(leaves)
    assert [tree.root(size).hex() for size in range(1, 9)] == ROOTS
    assert [Peaks().grown(leaves[:size]).root().hex() for size in range(1, 9)] == ROOTS
    assert tree.root(0) == EMPTY == bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


def test_the_known_proofs_of_certificate_transparency() -> None:
    tree = Tree([leaf_hash(bytes.fromhex(each)) for each in DATA])
    assert [each.hex() for each in tree.inclusion(5, 8)] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert [each.hex() for each in tree.consistency(6, 8)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_every_size_has_the_root_of_the_definition_however_it_grew() -> None:
    grown = Peaks()
    for size in range(1, LARGEST + 1):
        grown = grown.grown(LEAVES[size - 1 : size])
        assert TREE.root(size) == grown.root() == by_definition(LEAVES[:size])
        assert (grown.size, len(grown.hashes)) == (size, size.bit_count())


def test_every_leaf_of_every_size_is_proved() -> None:
    for size in range(1, LARGEST + 1):
        root = TREE.root(size)
        assert all(includes(LEAVES[i], i, size, TREE.inclusion(i, size), root) for i in range(size))


def test_every_pair_of_sizes_is_proved_to_have_grown() -> None:
    roots = [TREE.root(size) for size in range(LARGEST + 1)]
    for new in range(LARGEST + 1):
        assert all(extends(old, roots[old], new, roots[new], TREE.consistency(old, new)) for old in range(new + 1))


sizes = st.integers(1, LARGEST)


@given(st.data())
def test_no_other_leaf_place_size_or_root_is_proved(data: st.DataObject) -> None:
    size = data.draw(sizes)
    index = data.draw(st.integers(0, size - 1))
    proof, root = TREE.inclusion(index, size), TREE.root(size)
    other = data.draw(st.integers(0, LARGEST - 1).filter(lambda each: each != index))
    assert not includes(LEAVES[other], index, size, proof, root)
    assert not includes(LEAVES[index], other, size, proof, root)
    assert not includes(LEAVES[index], index, size, proof, leaf_hash(b"another root"))
    assert not includes(LEAVES[index], index, size, [*proof, root], root)
    for i in range(len(proof)):
        assert not includes(LEAVES[index], index, size, [*proof[:i], *proof[i + 1 :]], root)
        assert not includes(LEAVES[index], index, size, [*proof[:i], EMPTY, *proof[i + 1 :]], root)


@given(st.data())
def test_a_tree_of_another_history_is_not_proved_to_have_grown(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, LARGEST))
    old = data.draw(st.integers(1, new - 1))
    proof = TREE.consistency(old, new)
    changed = data.draw(st.integers(0, old - 1))
    leaves = [*LEAVES[:changed], leaf_hash(b"rewritten"), *LEAVES[changed + 1 : new]]
    rewritten = Tree(leaves)
    assert not extends(old, TREE.root(old), new, rewritten.root(new), proof)
    assert not extends(old, TREE.root(old), new, rewritten.root(new), rewritten.consistency(old, new))
    assert not extends(old, rewritten.root(old), new, TREE.root(new), proof)
    assert not extends(old, TREE.root(old), new, TREE.root(new), [*proof, EMPTY])
    assert not extends(old, TREE.root(old), new, TREE.root(new), proof[:-1])


def test_a_tree_never_shrinks_and_begins_empty() -> None:
    assert not extends(3, TREE.root(3), 2, TREE.root(2), [])
    assert not extends(0, TREE.root(1), 2, TREE.root(2), [])
    assert not extends(2, TREE.root(2), 2, TREE.root(3), [])
    assert not extends(3, TREE.root(3), 4, TREE.root(4), [])
    assert not includes(LEAVES[0], 0, 0, [], EMPTY)
    assert not includes(LEAVES[0], -1, 1, [], LEAVES[0])


@pytest.mark.parametrize("what", ["root", "inclusion", "consistency"])
def test_there_is_no_proof_beyond_the_tree(what: str) -> None:
    with pytest.raises(ValueError, match="201"):
        {
            "root": lambda: TREE.root(201),
            "inclusion": lambda: TREE.inclusion(0, 201),
            "consistency": lambda: TREE.consistency(1, 201),
        }[what]()
    with pytest.raises(ValueError, match="5"):
        TREE.inclusion(5, 5)
    assert merkle.Tree([]).root(0) == EMPTY
