"""The tree as C2SP tlog-tiles stores and serves it: strips of 256 hashes that never change.

- Tile (level, number) holds up to 256 hashes; hash i of it is the root over the 256^level leaves
  that start at (number · 256 + i) · 256^level. Level 0 holds leaf hashes.
- A full tile is 8,192 bytes and final. A partial tile is a prefix of the full one, so one stored
  row answers for every width the log ever published.
- Only full tiles are hashed into the level above.
- `Edge` grows the tree and knows its right edge only; `Tree` answers roots and proofs by reading
  the few tiles it needs, wherever they are kept.

Standard: https://c2sp.org/tlog-tiles
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from foundation.errors import NotFound
from ledger.errors import EvidenceInvalid, ProofInvalid
from ledger.merkle import HASH_BYTES, join_roots, node_hash, perfect_root, split

WIDTH = 256
_TILE_BYTES = WIDTH * HASH_BYTES
MAX_ENTRY_BYTES = 65_535

ReadTile = Callable[[int, int, int], bytes]
"""(level, number, width) → width · 32 bytes."""

_PATH = re.compile(
    r"(?P<level>entries|0|[1-9][0-9]?)/(?P<number>(?:x[0-9]{3}/){0,5}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class TilePath:
    """What a tile URL names; `level` None means the entry bundle, `width` 256 a full tile."""

    level: int | None
    number: int
    width: int = WIDTH

    def __str__(self) -> str:
        level = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"{level}/{encode_number(self.number)}{partial}"

    @classmethod
    def parse(cls, path: str) -> "TilePath":
        """Raises `NotFound` for anything but the one right spelling (attack 35)."""
        match = _PATH.fullmatch(path)
        if match is None:
            raise NotFound("there is no such tile")
        tile = cls(
            level=None if match["level"] == "entries" else int(match["level"]),
            number=int(match["number"].replace("x", "").replace("/", "")),
            width=int(match["width"] or WIDTH),
        )
        if str(tile) != path or tile.width > WIDTH or (tile.level or 0) > 63:
            raise NotFound("there is no such tile")
        return tile


def encode_number(number: int) -> str:
    """1234067 → "x001/x234/067"."""
    parts = [f"{number % 1000:03d}"]
    while number := number // 1000:
        parts.insert(0, f"x{number % 1000:03d}")
    return "/".join(parts)


def tile_width(size: int, level: int, number: int) -> int:
    """How many hashes tile (`level`, `number`) has in a tree of `size` leaves; 0 if none."""
    return max(0, min(WIDTH, (size >> 8 * level) - number * WIDTH))


def levels(size: int) -> range:
    """The tile levels that a tree of `size` leaves has."""
    return range((size.bit_length() + 7) // 8)


@dataclass(frozen=True, slots=True)
class Edge:
    """The right edge of a growing tree: per level, the hashes of the tile that is not full yet.

    Immutable, so that growing it in a transaction that fails leaves nothing behind.
    """

    size: int = 0
    partial: tuple[bytes, ...] = ()

    @classmethod
    def load(cls, size: int, read: ReadTile) -> "Edge":
        """The edge of a stored tree."""
        partial = []
        for level in levels(size):
            number, width = divmod(size >> 8 * level, WIDTH)
            partial.append(read(level, number, width) if width else b"")
        return cls(size, tuple(partial))

    def grow(self, leaves: Iterable[bytes]) -> "tuple[Edge, dict[tuple[int, int], bytes]]":
        """Add leaf hashes: the new edge, and each changed tile {(level, number): its hashes}."""
        partial = list(self.partial)
        changed: dict[tuple[int, int], bytes] = {}
        added, level = b"".join(leaves), 0
        size = self.size + len(added) // HASH_BYTES
        while added:
            if level == len(partial):
                partial.append(b"")
            number = (self.size >> 8 * level) // WIDTH
            hashes, roots = partial[level] + added, []
            while len(hashes) >= _TILE_BYTES:
                changed[level, number] = hashes[:_TILE_BYTES]
                roots.append(perfect_root(hashes[:_TILE_BYTES]))
                hashes, number = hashes[_TILE_BYTES:], number + 1
            if hashes:
                changed[level, number] = hashes
            partial[level] = hashes
            added, level = b"".join(roots), level + 1
        return Edge(size, tuple(partial)), changed

    def root(self) -> bytes:
        """The root of the tree up to this edge; reads no tile."""
        return join_roots([root for tile in reversed(self.partial) for root in _peaks(tile)])


class Tree:
    """Roots and proofs of the tree over the first `size` leaves, read from its tiles."""

    def __init__(self, size: int, read: ReadTile) -> None:
        self.size = size
        self._read = read
        self._tiles: dict[tuple[int, int], bytes] = {}

    def root(self) -> bytes:
        """The root over the first `size` leaves, from its rightmost tiles."""
        return Edge.load(self.size, self._read).root()

    def inclusion(self, index: int) -> list[bytes]:
        """PATH(index, D[size]) of RFC 6962 §2.1.1, from the leaf's sibling upwards."""
        if not 0 <= index < self.size:
            raise ProofInvalid(f"entry {index} is not in a log of {self.size} entries")
        path: list[bytes] = []
        first, end = 0, self.size
        while end - first > 1:
            middle = first + split(end - first)
            if index < middle:
                path.append(self._subtree(middle, end))
                end = middle
            else:
                path.append(self._subtree(first, middle))
                first = middle
        return path[::-1]

    def consistency(self, old_size: int) -> list[bytes]:
        """PROOF(old_size, D[size]) of RFC 6962 §2.1.2; empty when nothing needs proving."""
        if not 0 <= old_size <= self.size:
            raise ProofInvalid(f"a log of {self.size} entries never continued one of {old_size}")
        path: list[bytes] = []
        first, end, whole = 0, self.size, True
        while 0 < old_size < end:
            middle = first + split(end - first)
            if old_size <= middle:
                path.append(self._subtree(middle, end))
                end = middle
            else:
                path.append(self._subtree(first, middle))
                first, whole = middle, False
        if old_size and not whole:
            path.append(self._subtree(first, end))
        return path[::-1]

    def _subtree(self, first: int, end: int) -> bytes:
        """MTH(D[first:end]) for the ranges that RFC 6962's recursion visits."""
        size = end - first
        if size & (size - 1) == 0:
            return self._perfect(first, size)
        middle = first + split(size)
        return node_hash(self._perfect(first, middle - first), self._subtree(middle, end))

    def _perfect(self, first: int, size: int) -> bytes:
        """The root over 2^k leaves: 2^(k mod 8) neighbouring hashes of a tile of level k div 8."""
        level, height = divmod(size.bit_length() - 1, 8)
        number, offset = divmod(first >> 8 * level, WIDTH)
        hashes = self._tile(level, number)
        return perfect_root(hashes[offset * HASH_BYTES : (offset + (1 << height)) * HASH_BYTES])

    def _tile(self, level: int, number: int) -> bytes:
        if (level, number) not in self._tiles:
            width = tile_width(self.size, level, number)
            self._tiles[level, number] = self._read(level, number, width)
        return self._tiles[level, number]


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Entries of a bundle: each with its length as a big-endian uint16 in front."""
    return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])


def decode_bundle(bundle: bytes) -> list[bytes]:
    """The inverse. Raises `EvidenceInvalid` when the lengths do not add up."""
    entries, at = [], 0
    while at < len(bundle):
        end = at + 2 + int.from_bytes(bundle[at : at + 2], "big")
        if at + 2 > len(bundle) or end > len(bundle):
            raise EvidenceInvalid("the entry bundle is cut off")
        entries.append(bundle[at + 2 : end])
        at = end
    return entries


def _peaks(tile: bytes) -> Iterator[bytes]:
    """Roots of the perfect subtrees of a partial tile, largest first: the bits of its width."""
    at = 0
    for bit in range(7, -1, -1):
        if (len(tile) // HASH_BYTES) >> bit & 1:
            end = at + (HASH_BYTES << bit)
            yield perfect_root(tile[at:end])
            at = end
