"""Every entry and every pair of sizes of small trees, by the definitions of RFC 6962 §2.1.

The proofs here are built by the recursion of the standard, which shares no line with `merkle` or
`tiles`; all are small enough to be tried without chance.
"""

from hashlib import sha256

import pytest

from ledger import merkle
from ledger.errors import ProofInvalid

LARGEST = 17
LEAVES = [sha256(b"\x00" + bytes([number])).digest() for number in range(LARGEST)]
OTHER = b"\x00" * 32


def halves(leaves):
    """At the largest power of two smaller than their number."""
    at = 1
    while at * 2 < len(leaves):
        at *= 2
    return leaves[:at], leaves[at:]


def root_of(leaves):
    """MTH (§2.1)."""
    if len(leaves) == 1:
        return leaves[0]
    left, right = halves(leaves)
    return sha256(b"\x01" + root_of(left) + root_of(right)).digest()


def path(index, leaves):
    """PATH (§2.1.1)."""
    if len(leaves) == 1:
        return []
    left, right = halves(leaves)
    if index < len(left):
        return [*path(index, left), root_of(right)]
    return [*path(index - len(left), right), root_of(left)]


def proof(old, leaves, *, whole=True):
    """PROOF and SUBPROOF (§2.1.2)."""
    if old == len(leaves):
        return [] if whole else [root_of(leaves)]
    left, right = halves(leaves)
    if old <= len(left):
        return [*proof(old, left, whole=whole), root_of(right)]
    return [*proof(old - len(left), right, whole=False), root_of(left)]


SIZES = range(1, LARGEST + 1)


@pytest.mark.parametrize("size", SIZES)
def test_roots_are_those_of_the_definition(size):
    leaves = LEAVES[:size]

    assert merkle.leaf_hash(bytes([size - 1])) == leaves[-1]
    assert merkle.merkle_root(leaves) == root_of(leaves)
    assert merkle.split(size + 1) == len(halves([*leaves, OTHER])[0])
    if size & (size - 1) == 0:
        assert merkle.perfect_root(b"".join(leaves)) == root_of(leaves)


def test_the_empty_tree_has_the_hash_of_nothing():
    assert merkle.merkle_root([]) == merkle.join_roots([]) == sha256(b"").digest()
    assert merkle.CompactRange().size == 0


@pytest.mark.parametrize("size", SIZES)
def test_each_entry_is_proved_and_no_other_proof_will_do(size):
    leaves, root = LEAVES[:size], root_of(LEAVES[:size])
    for index in range(size):
        good = path(index, leaves)
        merkle.check_inclusion(leaves[index], index, size, good, root)
        assert merkle.root_from_inclusion(leaves[index], index, size, good) == root
        for other in ([*good, OTHER], [OTHER, *good], good[:-1], good[1:]):
            if other != good:
                refused(merkle.check_inclusion, leaves[index], index, size, other, root)
        refused(merkle.check_inclusion, OTHER, index, size, good, root)
        refused(merkle.check_inclusion, leaves[index], index, size, good, OTHER)
        for wrong in {-1, *range(size + 2)} - {index}:
            refused(merkle.check_inclusion, leaves[index], wrong, size, good, root)


@pytest.mark.parametrize("size", SIZES)
def test_each_older_tree_is_proved_and_no_other_proof_will_do(size):
    leaves, root = LEAVES[:size], root_of(LEAVES[:size])
    for old in range(1, size + 1):
        old_root, good = root_of(leaves[:old]), proof(old, leaves)
        merkle.check_consistency(old, old_root, size, root, good)
        for other in ([*good, OTHER], [OTHER, *good], good[:-1], good[1:]):
            if other != good:
                refused(merkle.check_consistency, old, old_root, size, root, other)
        refused(merkle.check_consistency, old, OTHER, size, root, good)
        refused(merkle.check_consistency, old, old_root, size, OTHER, good)
        if old < size:
            refused(merkle.check_consistency, size, root, old, old_root, good)
            refused(merkle.check_consistency, size, root, old, old_root, [])


def test_a_proof_says_what_is_wrong_with_it():
    leaves, root = LEAVES[:5], root_of(LEAVES[:5])
    short, long = path(0, leaves)[:-1], [*path(0, leaves), OTHER]
    says("too short", merkle.check_inclusion, leaves[0], 0, 5, short, root)
    says("too long", merkle.check_inclusion, leaves[0], 0, 5, long, root)
    says("cannot be in a log of 5", merkle.check_inclusion, leaves[0], 5, 5, [], root)
    says("cannot be in a log of 5", merkle.check_inclusion, leaves[0], -1, 5, [], root)
    says("signed root", merkle.check_inclusion, leaves[0], 0, 5, path(0, leaves), OTHER)

    good = proof(3, leaves)
    old_root = root_of(leaves[:3])
    says("is empty", merkle.check_consistency, 3, old_root, 5, root, [])
    says("too long", merkle.check_consistency, 3, old_root, 5, root, [*good, OTHER])
    says("one history", merkle.check_consistency, 3, OTHER, 5, root, good)
    says("cannot continue", merkle.check_consistency, 5, root, 3, old_root, good)
    says("the two roots differ", merkle.check_consistency, 5, root, 5, OTHER, [])


def test_the_empty_tree_begins_every_tree_and_has_one_root():
    empty, root = sha256(b"").digest(), root_of(LEAVES[:2])
    merkle.check_consistency(0, empty, 0, empty, [])
    merkle.check_consistency(0, empty, 2, root, [])
    refused(merkle.check_consistency, 0, root, 2, root, [])
    refused(merkle.check_consistency, 0, empty, 2, root, [OTHER])


def refused(check, *about):
    with pytest.raises(ProofInvalid):
        check(*about)


def says(what, check, *about):
    with pytest.raises(ProofInvalid, match=what):
        check(*about)
