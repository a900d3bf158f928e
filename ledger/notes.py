"""Signed notes and checkpoints: how the log says "my tree has this size and this root".

- A note is text, an empty line, and signature lines `— name base64(key id ‖ signature)`.
- A checkpoint is a note whose text is three lines: origin, size, root.
- A reader ignores signatures of keys it does not know, refuses the note when a known key's
  signature is wrong, and believes nothing without one good signature of a known key. So a log may
  add a post-quantum line, or a witness its cosignature, without breaking anybody.
- Two signature types are understood: Ed25519 over the text (0x01) and the ML-DSA-44 cosignature
  over the tree head (0x06).

Standards: https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint,
https://c2sp.org/tlog-cosignature
"""

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from ledger.errors import NoteInvalid
from ledger.merkle import HASH_BYTES

ED25519: Final = 0x01
ML_DSA_44: Final = 0x06
MAX_SIGNATURES = 64
MAX_NOTE_BYTES = 1 << 18

_SIGNATURE_MARK = "— "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_PUBLIC_KEY_BYTES = {ED25519: 32, ML_DSA_44: 1312}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: the log's origin, how many entries it has, and their Merkle root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The three lines that are signed: origin, size in decimal, root in base64 (C2SP tlog-
        checkpoint)."""
        return f"{self.origin}\n{self.size}\n{b64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """The first three lines of a note's text; extension lines are allowed and ignored."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise NoteInvalid("a checkpoint has an origin, a size and a root, one per line")
        if not _SIZE.fullmatch(lines[1]):
            raise NoteInvalid("the size of a checkpoint is a plain decimal number")
        root = b64_decode(lines[2])
        if len(root) != HASH_BYTES:
            raise NoteInvalid("the root of a checkpoint has 32 bytes")
        return cls(lines[0], int(lines[1]), root)


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key that signs notes, as `name+key id+base64(type ‖ key)` writes it ("vkey")."""

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or any(map(str.isspace, self.name)):
            raise NoteInvalid("a key name is not empty and has neither spaces nor plus signs")
        if len(self.public) != _PUBLIC_KEY_BYTES.get(self.kind):
            raise NoteInvalid("the key is of a type we do not know, or has the wrong length")

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64(bytes([self.kind]) + self.public)}"

    @classmethod
    def parse(cls, vkey: str) -> "VerifierKey":
        """Read "name+key id+key" as C2SP signed-note writes it. Raises `NoteInvalid`."""
        name, key_id, encoded = [*vkey.strip().split("+", 2), "", ""][:3]
        material = b64_decode(encoded)
        if not material:
            raise NoteInvalid("a verifier key reads name+key id+key")
        key = cls(name, material[0], material[1:])
        if key.key_id.hex() != key_id:
            raise NoteInvalid(f"the key id of {name} does not belong to its key")
        return key

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of SHA-256 over name, type and public key (C2SP signed-note)."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def verifies(self, text: str, signature: bytes) -> bool:
        """Whether `signature` (what follows the key id) is this key's over the note's text."""
        try:
            if self.kind == ED25519:
                Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
            else:
                message = cosigned_message(
                    self.name, int.from_bytes(signature[:8], "big"), Checkpoint.parse(text)
                )
                MLDSA44PublicKey.from_public_bytes(self.public).verify(signature[8:], message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class OpenedNote:
    """A note whose signatures were checked; `signers` are known keys, one or more."""

    text: str
    signers: tuple[VerifierKey, ...]


def signature_line(key: VerifierKey, signature: bytes) -> str:
    """A signature as the line of a note: a dash, the key's name, key id and signature in base64."""
    return f"{_SIGNATURE_MARK}{key.name} {b64(key.key_id + signature)}\n"


def seal_note(text: str, *signature_lines: str) -> str:
    """A note: the signed text, an empty line, and the signature lines."""
    return f"{text}\n{''.join(signature_lines)}"


def cosigned_message(cosigner: str, timestamp: int, head: Checkpoint) -> bytes:
    """What an ML-DSA-44 line signs; `timestamp` in POSIX seconds, 0 for no statement of time."""
    return b"".join(
        [
            b"subtree/v1\n\x00",
            _short(cosigner),
            timestamp.to_bytes(8, "big"),
            _short(head.origin),
            (0).to_bytes(8, "big"),
            head.size.to_bytes(8, "big"),
            head.root,
        ]
    )


def open_note(note: str, keys: Iterable[VerifierKey]) -> OpenedNote:
    """Check a note against the keys we trust. Raises `NoteInvalid`.

    1. The form: text, empty line, signature lines; no control characters.
    2. A signature of an unknown key (name and id) is ignored.
    3. A wrong signature of a known key refuses the whole note.
    4. At least one known key signed.
    """
    text, lines = _split(note)  # 1
    known = {(key.name, key.key_id): key for key in keys}
    signers: list[VerifierKey] = []
    for line in lines:
        name, signature = _read_signature(line)
        key = known.get((name, signature[:4]))
        if key is None or key in signers:  # 2
            continue
        if not key.verifies(text, signature[4:]):  # 3
            raise NoteInvalid(f"the signature by {name} is wrong")
        signers.append(key)
    if not signers:  # 4
        raise NoteInvalid("no key that we trust signed this")
    return OpenedNote(text, tuple(signers))


def open_checkpoint(note: str, keys: Iterable[VerifierKey], origin: str = "") -> Checkpoint:
    """The tree head inside a note that the log itself signed (its key is named like the origin)."""
    opened = open_note(note, keys)
    head = Checkpoint.parse(opened.text)
    if origin and head.origin != origin:
        raise NoteInvalid(f"the checkpoint is of the log {head.origin}, not of {origin}")
    if not any(signer.name == head.origin for signer in opened.signers):
        raise NoteInvalid("the log itself did not sign this checkpoint")
    return head


def b64(data: bytes) -> str:
    """Base64 with the standard alphabet and padding, as notes write it."""
    return base64.b64encode(data).decode("ascii")


def b64_decode(text: str) -> bytes:
    """Strict standard base64 (RFC 4648 §4): one text for one value."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteInvalid("not base64") from None
    if b64(data) != text:
        raise NoteInvalid("not canonical base64")
    return data


def _split(note: str) -> tuple[str, list[str]]:
    if len(note) > MAX_NOTE_BYTES or _CONTROL.search(note):
        raise NoteInvalid("a note is short and has no control characters")
    text, separator, signatures = note.rpartition("\n\n")
    lines = signatures.split("\n")
    if not separator or not text or lines.pop() or not lines:
        raise NoteInvalid("a note is text, an empty line and signature lines")
    if len(lines) > MAX_SIGNATURES:
        raise NoteInvalid(f"a note has at most {MAX_SIGNATURES} signatures")
    return text + "\n", lines


def _read_signature(line: str) -> tuple[str, bytes]:
    name, _, encoded = line.removeprefix(_SIGNATURE_MARK).partition(" ")
    signature = b64_decode(encoded)
    if not line.startswith(_SIGNATURE_MARK) or not name or len(signature) < 5:
        raise NoteInvalid("a signature line reads: — name base64")
    return name, signature


def _short(text: str) -> bytes:
    encoded = text.encode()
    if not 1 <= len(encoded) <= 255:
        raise NoteInvalid("a name in a cosignature has 1 to 255 bytes")
    return bytes([len(encoded)]) + encoded
