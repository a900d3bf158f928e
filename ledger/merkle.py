"""Merkle tree hashing and proof checking of RFC 6962 §2.1 and RFC 9162 §2.1; pure and complete.

Everything an auditor needs to check an entry against a root is in this file: no storage, no
network, no key. Building proofs is the log's work (`tiles.py`); checking them is anybody's.

- A leaf is SHA-256(0x00 ‖ entry), a node SHA-256(0x01 ‖ left ‖ right); the two can never collide.
- The tree over n leaves splits at the largest power of two smaller than n.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from ledger.errors import ProofInvalid

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256 of an entry with the prefix 0x00 (RFC 6962 §2.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of two subtrees' roots with the prefix 0x01 (RFC 6962 §2.1)."""
    return sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: bytes) -> bytes:
    """The root over 2^k concatenated hashes."""
    while len(hashes) > HASH_BYTES:
        pairs = (hashes[at : at + 64] for at in range(0, len(hashes), 64))
        hashes = b"".join([sha256(b"\x01" + pair).digest() for pair in pairs])
    return hashes


def join_roots(perfect_roots: Sequence[bytes]) -> bytes:
    """The tree's root from the roots of its perfect subtrees, largest (leftmost) first."""
    if not perfect_roots:
        return EMPTY_ROOT
    root = perfect_roots[-1]
    for left in reversed(perfect_roots[:-1]):
        root = node_hash(left, root)
    return root


def split(size: int) -> int:
    """The largest power of two smaller than `size` (k of RFC 6962 §2.1); `size` is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


class CompactRange:
    """The root of a growing tree from O(log n) memory: a stack of perfect subtrees' roots."""

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash: like adding one to a binary number, carries merge equal subtrees."""
        carry, size = leaf, self.size
        while size & 1:
            carry = node_hash(self._roots.pop(), carry)
            size >>= 1
        self._roots.append(carry)
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree over all leaves added so far."""
        return join_roots(self._roots)


def merkle_root(leaves: Iterable[bytes]) -> bytes:
    """MTH over leaf hashes."""
    tree = CompactRange()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that `path` claims for `leaf` at `index` (RFC 9162 §2.1.3.2, steps 1 to 4).

    Raises `ProofInvalid` when a path of this length cannot belong to this index and size.
    """
    if not 0 <= index < size:
        raise ProofInvalid(f"entry {index} cannot be in a log of {size} entries")
    node, last, root = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ProofInvalid("the inclusion proof is too long")
        if node & 1 or node == last:
            root = node_hash(sibling, root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise ProofInvalid("the inclusion proof is too short")
    return root


def check_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Raise `ProofInvalid` unless `leaf` is entry `index` of the tree (`size`, `root`)."""
    if root_from_inclusion(leaf, index, size, path) != root:
        raise ProofInvalid(f"entry {index} does not lead to the signed root")


def check_consistency(
    old_size: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]
) -> None:
    """Raise `ProofInvalid` unless the tree (`size`, `root`) only adds to (`old_size`, `old_root`).

    RFC 9162 §2.1.4.2; its steps are numbered below. The empty tree is a prefix of every tree and
    needs no proof (RFC 6962 leaves that case to the caller).
    """
    if old_size > size:
        raise ProofInvalid(f"a log of {size} entries cannot continue one of {old_size}")
    if old_size == size or old_size == 0:
        expected = root if old_size else EMPTY_ROOT
        if path or old_root != expected:
            raise ProofInvalid("the two roots differ or the proof is not empty")
        return
    hashes = list(path)
    if old_size & (old_size - 1) == 0:  # 2: an exact power of two is its own first hash
        hashes.insert(0, old_root)
    if not hashes:  # 1
        raise ProofInvalid("the consistency proof is empty")
    node, last = old_size - 1, size - 1  # 3
    while node & 1:  # 4
        node, last = node >> 1, last >> 1
    old, new = hashes[0], hashes[0]  # 5
    for sibling in hashes[1:]:  # 6
        if last == 0:  # 6.1
            raise ProofInvalid("the consistency proof is too long")
        if node & 1 or node == last:  # 6.2
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:  # 6.3
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1  # 6.4
    if old != old_root or new != root or last != 0:  # 7
        raise ProofInvalid("the two trees do not share one history")
