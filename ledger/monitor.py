"""Following a log from outside: whoever keeps one old checkpoint notices a changed history.

A log that signs two histories must show one of them to somebody who has seen the other. So anybody
who remembers the last checkpoint and asks the log to continue it finds out: the log is shorter
(`LogRewound`), or the new tree does not contain the old one (`LogForked`). Checkpoints that others
saw are compared in the same way; that is how a split view shows.

`follow` reads a few hashes and is cheap enough for a witness before it cosigns. `audit` also reads
every new entry and recomputes the signed root from them, so what the log serves and what it signed
cannot differ (`LogAltered`).

`read(path)` answers the bytes of a resource of the log ("checkpoint", "tile/0/000.p/5"), over HTTP
or from a copy on disk.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import orjson

from ledger.errors import EvidenceInvalid, LogAltered, LogForked, LogRewound, ProofInvalid
from ledger.merkle import HASH_BYTES, check_consistency, leaf_hash
from ledger.notes import Checkpoint, VerifierKey, open_checkpoint
from ledger.tiles import WIDTH, Edge, TilePath, Tree, decode_bundle, tile_width

Read = Callable[[str], bytes]
_EMPTY = Checkpoint("", 0, b"")


@dataclass(frozen=True, slots=True)
class Audited:
    """What an audit found in order: the checkpoint to keep, and how many entries were read."""

    note: str
    size: int
    entries: int


def follow(
    read: Read,
    keys: Sequence[VerifierKey],
    previous: str = "",
    origin: str = "",
    others: Sequence[str] = (),
) -> str:
    """The log's latest checkpoint note, after checking that it continues `previous`.

    1. The new checkpoint is signed by the log.
    2. It is not smaller than the one we knew, or than those that `others` saw.
    3. A consistency proof, built from the log's tiles, leads from each old root to the new one.

    Raises `NoteInvalid`, `LogRewound` or `LogForked`. Keep the answer: it is the next `previous`.
    """
    note = read("checkpoint").decode("utf-8", "strict")
    new = open_checkpoint(note, keys, origin)  # 1
    for known in (previous, *others):
        if known:
            _check_growth(open_checkpoint(known, keys, new.origin), new, read)
    return note


def audit(
    read: Read,
    keys: Sequence[VerifierKey],
    previous: str = "",
    origin: str = "",
    others: Sequence[str] = (),
) -> Audited:
    """`follow`, and every entry since `previous` besides.

    4. Every new entry hashes to the log's own tile, and no entry's id stands there twice.
    5. Every tile above that they change is what they hash to.
    6. The old right edge and the new entries make the signed root.

    Raises `LogAltered`, which names the first wrong entry, and what `follow` raises.
    """
    note = follow(read, keys, previous, origin, others)
    new = open_checkpoint(note, keys, origin)
    old = open_checkpoint(previous, keys, new.origin) if previous else _EMPTY
    tiles: dict[tuple[int, int], bytes] = {}
    edge = Edge.load(old.size, _tiles_of(new.size, read))
    if old.size and edge.root() != old.root:
        raise LogAltered(f"the tiles do not lead to the root signed at {old.size}")
    for hashes in _checked_bundles(old.size, new.size, read):  # 4
        edge, changed = edge.grow(hashes)
        tiles.update((tile, made) for tile, made in changed.items() if tile[0] > 0)
    for (level, number), made in tiles.items():  # 5
        if _read_tile(read, level, number, len(made) // HASH_BYTES) != made:
            raise LogAltered(f"tile {level}/{number} is not what the entries hash to")
    if edge.root() != new.root:  # 6
        raise LogAltered(f"the entries do not lead to the root signed at {new.size}")
    return Audited(note, new.size, new.size - old.size)


def _check_growth(old: Checkpoint, new: Checkpoint, read: Read) -> None:
    if new.size < old.size:  # 2
        raise LogRewound(f"the log had {old.size} entries and now shows {new.size}")
    path = Tree(new.size, lambda *tile: _read_tile(read, *tile)).consistency(old.size)
    try:  # 3
        check_consistency(old.size, old.root, new.size, new.root, path)
    except ProofInvalid:
        raise LogForked(
            f"the tree of {new.size} entries does not contain the one of {old.size} we knew",
            next_step="keep both checkpoints: together they prove it",
        ) from None


def _checked_bundles(first: int, end: int, read: Read) -> Iterator[list[bytes]]:
    """The leaf hashes of the entries from `first` on, bundle by bundle."""
    seen: set[str] = set()
    for number in range(first // WIDTH, -(-end // WIDTH)):
        width = tile_width(end, 0, number)
        leaves = decode_bundle(read(f"tile/{TilePath(None, number, width)}"))
        tile = _read_tile(read, 0, number, width)
        if len(leaves) != width:
            raise LogAltered(f"bundle {number} holds {len(leaves)} entries and not {width}")
        skipped = max(0, first - number * WIDTH)
        hashes = [leaf_hash(leaf) for leaf in leaves[skipped:]]
        for at, digest in enumerate(hashes, skipped):
            index = number * WIDTH + at
            if digest != tile[at * HASH_BYTES : (at + 1) * HASH_BYTES]:
                raise LogAltered(f"entry {index} is not the one that the log's tile says")
            _refuse_double(seen, leaves[at], index)
        yield hashes


def _refuse_double(seen: set[str], leaf: bytes, index: int) -> None:
    try:
        entry_id = str(orjson.loads(leaf)["id"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise LogAltered(f"entry {index} is none that a log of ours could hold") from None
    if entry_id in seen:
        raise LogAltered(f"entry {index} stands in the log twice")
    seen.add(entry_id)


def _tiles_of(size: int, read: Read) -> Callable[[int, int, int], bytes]:
    """Narrow tiles of an older tree: the beginnings of those of the tree of `size`."""

    def read_prefix(level: int, number: int, width: int) -> bytes:
        now = tile_width(size, level, number)
        return _read_tile(read, level, number, now)[: width * HASH_BYTES]

    return read_prefix


def _read_tile(read: Read, level: int, number: int, width: int) -> bytes:
    hashes = read(f"tile/{TilePath(level, number, width)}")
    if len(hashes) != width * HASH_BYTES:
        raise EvidenceInvalid(f"tile {level}/{number} does not have {width} hashes")
    return hashes
