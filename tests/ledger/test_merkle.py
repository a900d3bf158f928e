"""RFC 6962 hashing and proof checking: known answers, then everything at random."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import ProofInvalid
from ledger.merkle import (
    EMPTY_ROOT,
    CompactRange,
    check_consistency,
    check_inclusion,
    leaf_hash,
    merkle_root,
    root_from_inclusion,
)
from ledger.tiles import Edge, Tree

# The reference leaves of Certificate Transparency and what its implementations agree on.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): INCLUSION[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
EDGES = [1, 2, 3, 255, 256, 257, 511, 512, 513, 1500]
SIZES = st.one_of(st.sampled_from(EDGES), st.integers(1, 1500))


def mth(hashes):
    """The definition, word for word (RFC 6962 §2.1), on leaf hashes."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(hashes[:k]) + mth(hashes[k:])).digest()


class Stored:
    """1,500 leaves and their tiles, as a log keeps them."""

    def __init__(self):
        self.leaves = [leaf_hash(str(index).encode()) for index in range(1500)]
        self.edge, self.tiles = Edge().grow(self.leaves)
        self.roots = {size: mth(self.leaves[:size]) for size in (0, *EDGES)}

    def tree(self, size):
        return Tree(size, lambda level, number, width: self.tiles[level, number][: 32 * width])

    def root(self, size):
        if size not in self.roots:
            self.roots[size] = mth(self.leaves[:size])
        return self.roots[size]


STORED = Stored()


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_known_ones(size):
    assert merkle_root(map(leaf_hash, LEAVES[:size])).hex() == ROOTS[size]


def test_the_empty_root_is_the_hash_of_nothing():
    assert EMPTY_ROOT.hex() == ROOTS[0]


def reference_tree(size):
    _, tiles = Edge().grow(map(leaf_hash, LEAVES[:size]))
    return Tree(size, lambda level, number, width: tiles[level, number][: 32 * width])


@pytest.mark.parametrize("case", INCLUSION)
def test_inclusion_proofs_are_the_known_ones(case):
    index, size = case
    path = reference_tree(size).inclusion(index)

    assert [each.hex() for each in path] == INCLUSION[case]
    check_inclusion(leaf_hash(LEAVES[index]), index, size, path, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize("case", CONSISTENCY)
def test_consistency_proofs_are_the_known_ones(case):
    old, size = case
    path = reference_tree(size).consistency(old)

    assert [each.hex() for each in path] == CONSISTENCY[case]
    roots = [bytes.fromhex(root) for root in ROOTS]
    check_consistency(old, roots[old], size, roots[size], path)


@pytest.mark.parametrize("size", EDGES)
def test_every_entry_of_a_tree_is_proved(size):
    tree = STORED.tree(size)

    for index in range(size):
        check_inclusion(STORED.leaves[index], index, size, tree.inclusion(index), STORED.root(size))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 9])
def test_a_path_of_another_length_leads_to_no_root_at_all(size):
    """Refused by itself, before anybody compares what comes out with a signed root."""
    for index in range(size):
        path, leaf = STORED.tree(size).inclusion(index), STORED.leaves[index]

        assert root_from_inclusion(leaf, index, size, path) == STORED.root(size)
        with pytest.raises(ProofInvalid, match="too long"):
            root_from_inclusion(leaf, index, size, [*path, leaf])
        for shorter in range(len(path)):
            with pytest.raises(ProofInvalid, match="too short"):
                root_from_inclusion(leaf, index, size, path[:shorter])


@pytest.mark.parametrize("size", EDGES)
def test_every_smaller_tree_is_a_prefix(size):
    tree, growing = STORED.tree(size), CompactRange()

    for old in range(size + 1):
        check_consistency(old, growing.root(), size, STORED.root(size), tree.consistency(old))
        growing.append(STORED.leaves[old % 1500])


@given(size=SIZES, data=st.data())
def test_any_altered_entry_index_hash_or_root_is_refused(size, data):
    index = data.draw(st.integers(0, size - 1))
    tree, root, leaf = STORED.tree(size), STORED.root(size), STORED.leaves[index]
    path = tree.inclusion(index)
    check_inclusion(leaf, index, size, path, root)

    bit = data.draw(st.integers(0, 255))
    altered = [
        (flip(leaf, bit), index, size, path, root),
        (leaf, index, size, path, flip(root, bit)),
    ]
    altered.append((leaf, index, size, [*path, leaf], root))
    if path:
        at = data.draw(st.integers(0, len(path) - 1))
        altered.append(
            (leaf, index, size, [*path[:at], flip(path[at], bit), *path[at + 1 :]], root)
        )
        altered.append((leaf, index, size, path[:-1], root))
    other = data.draw(st.integers(-1, size + 1).filter(lambda other: other != index))
    altered.append((leaf, other, size, path, root))
    for case in altered:
        with pytest.raises(ProofInvalid):
            check_inclusion(*case)


@given(sizes=st.tuples(SIZES, SIZES), data=st.data())
@settings(max_examples=150)
def test_two_trees_of_one_history_are_consistent_and_no_others(sizes, data):
    old, size = sorted(sizes)
    path = STORED.tree(size).consistency(old)
    old_root, root = STORED.root(old), STORED.root(size)
    check_consistency(old, old_root, size, root, path)

    bit = data.draw(st.integers(0, 255))
    altered = [
        (old, flip(old_root, bit), size, root, path),
        (old, old_root, size, flip(root, bit), path),
    ]
    altered.append((old, old_root, size, root, [*path, root]))
    altered.append((size + 1, old_root, size, root, path))
    if path:
        at = data.draw(st.integers(0, len(path) - 1))
        changed = [*path[:at], flip(path[at], bit), *path[at + 1 :]]
        altered.append((old, old_root, size, root, changed))
        altered.append((old, old_root, size, root, path[:-1]))
    for case in altered:
        with pytest.raises(ProofInvalid):
            check_consistency(*case)


def test_the_empty_tree_is_a_prefix_of_every_tree_without_proof():
    check_consistency(0, EMPTY_ROOT, 9, STORED.root(513), [])
    with pytest.raises(ProofInvalid):
        check_consistency(0, STORED.root(1), 9, STORED.root(513), [])


def flip(value, bit):
    changed = bytearray(value)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
