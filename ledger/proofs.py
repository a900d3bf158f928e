"""Transparency log proofs: a small text file that shows an entry is in the log, offline, for ever.

    c2sp.org/tlog-proof@v1
    index 73894
    gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=      the inclusion path, leaf's sibling first
    …
                                                      an empty line, then the signed checkpoint
    registry.example/ledger
    109482
    …

The optional `extra` line carries the entry itself when the file must stand alone. Nothing in it is
believed: it either hashes to the signed root or it does not.

Standard: https://c2sp.org/tlog-proof
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ledger.errors import NoteInvalid, ProofInvalid
from ledger.merkle import HASH_BYTES, check_inclusion, leaf_hash
from ledger.notes import Checkpoint, VerifierKey, b64, b64_decode, open_checkpoint

_HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof as read: nothing in it is verified yet."""

    index: int
    path: tuple[bytes, ...]
    note: str
    extra: bytes = b""

    def __str__(self) -> str:
        lines = [_HEADER]
        if self.extra:
            lines.append(f"extra {b64(self.extra)}")
        lines += [f"index {self.index}", *map(b64, self.path), "", self.note]
        return "\n".join(lines)

    @classmethod
    def parse(cls, text: str) -> "Proof":
        """Raises `ProofInvalid` for anything but the one right form."""
        body, separator, note = text.partition("\n\n")
        lines = body.split("\n")
        if not separator or lines.pop(0) != _HEADER:
            raise ProofInvalid(f"a proof begins with {_HEADER}")
        try:
            extra = b64_decode(lines.pop(0)[6:]) if lines and lines[0][:6] == "extra " else b""
            index = _INDEX.fullmatch(lines.pop(0)) if lines else None
            path = tuple(map(b64_decode, lines))
        except NoteInvalid:
            raise ProofInvalid("a line of the proof is not base64") from None
        if index is None or any(len(each) != HASH_BYTES for each in path):
            raise ProofInvalid("a proof has an index and SHA-256 hashes, one per line")
        return cls(int(index[1]), path, note, extra)


@dataclass(frozen=True, slots=True)
class VerifiedProof:
    """What was proved: the entry with this leaf hash is number `index` of the log `checkpoint`."""

    index: int
    leaf_hash: bytes
    checkpoint: Checkpoint


def write_proof(index: int, path: Sequence[bytes], note: str, extra: bytes = b"") -> str:
    """The text of a proof file for entry `index`: its path, the signed note, and `extra` bytes."""
    return str(Proof(index, tuple(path), note, extra))


def verify_proof(
    leaf: bytes, proof_text: str, verifier_keys: Iterable[VerifierKey | str], origin: str = ""
) -> VerifiedProof:
    """Whether `leaf` (the canonical entry) is in a log that one of `verifier_keys` signed.

    1. The proof has the right form.
    2. Its checkpoint is signed by the log itself with a key we trust, and is of `origin` if said.
    3. The leaf's hash leads along the path to the checkpoint's root.

    Pure: no network, no database, no clock. Raises `ProofInvalid` or `NoteInvalid`.
    """
    proof = Proof.parse(proof_text)  # 1
    keys = [VerifierKey.parse(key) if isinstance(key, str) else key for key in verifier_keys]
    head = open_checkpoint(proof.note, keys, origin)  # 2
    leaf_digest = leaf_hash(leaf)
    check_inclusion(leaf_digest, proof.index, head.size, proof.path, head.root)  # 3
    return VerifiedProof(proof.index, leaf_digest, head)
