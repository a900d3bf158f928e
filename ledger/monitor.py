"""Following a log from outside: whoever keeps one old checkpoint notices a changed history.

A log that signs two histories must show one of them to somebody who has seen the other. So anybody
who remembers the last checkpoint and asks the log to continue it finds out: the log is shorter
(`LogRewound`), or the new tree does not contain the old one (`LogForked`). A witness does the same
before it cosigns.

`read(path)` answers the bytes of a resource of the log ("checkpoint", "tile/0/000.p/5"), over HTTP
or from a copy on disk.
"""

from collections.abc import Callable, Sequence

from ledger.errors import EvidenceInvalid, LogForked, LogRewound, ProofInvalid
from ledger.merkle import HASH_BYTES, check_consistency
from ledger.notes import Checkpoint, VerifierKey, open_checkpoint
from ledger.tiles import TilePath, Tree

Read = Callable[[str], bytes]


def follow(read: Read, keys: Sequence[VerifierKey], previous: str = "", origin: str = "") -> str:
    """The log's latest checkpoint note, after checking that it continues `previous`.

    1. The new checkpoint is signed by the log.
    2. It is not smaller than the one we knew.
    3. A consistency proof, built from the log's tiles, leads from the old root to the new one.

    Raises `NoteInvalid`, `LogRewound` or `LogForked`. Keep the answer: it is the next `previous`.
    """
    note = read("checkpoint").decode("utf-8", "strict")
    new = open_checkpoint(note, keys, origin)  # 1
    if previous:
        old = open_checkpoint(previous, keys, new.origin)
        _check_growth(old, new, read)
    return note


def _check_growth(old: Checkpoint, new: Checkpoint, read: Read) -> None:
    if new.size < old.size:  # 2
        raise LogRewound(f"the log had {old.size} entries and now shows {new.size}")
    tree = Tree(new.size, lambda *tile: _read_tile(read, *tile))
    path = tree.consistency(old.size)
    try:  # 3
        check_consistency(old.size, old.root, new.size, new.root, path)
    except ProofInvalid:
        raise LogForked(
            f"the tree of {new.size} entries does not contain the one of {old.size} we knew",
            next_step="keep both checkpoints: together they prove it",
        ) from None


def _read_tile(read: Read, level: int, number: int, width: int) -> bytes:
    hashes = read(f"tile/{TilePath(level, number, width)}")
    if len(hashes) != width * HASH_BYTES:
        raise EvidenceInvalid(f"tile {level}/{number} does not have {width} hashes")
    return hashes
