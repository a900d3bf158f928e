"""The gap of a signature in any PDF: where it is, what it covers, and how it is filled.

Only one kind of gap is known: that of the last signature, which covers the file from its first byte
to its last (ISO 32000-2 §12.8.1). Places are found and checked by ourselves, whoever wrote them.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from foundation.errors import Malformed
from keys.encoding.der import read

_BYTE_RANGE = re.compile(rb"/ByteRange\s*\[\s*0{1,10}\s+(\d{1,10})\s+(\d{1,10})\s+(\d{1,10})\s*\]")

_MOST = 20


@dataclass(frozen=True, slots=True)
class Gap:
    """`start` is the place of "<", `end` that behind ">"; everything else is signed."""

    start: int
    end: int

    @property
    def capacity(self) -> int:
        """Bytes of signature that fit."""
        return (self.end - self.start - 2) // 2

    def digest(self, data: bytes, hash_name: str) -> bytes:
        """The digest of everything outside the gap."""
        hasher = hashlib.new(hash_name, memoryview(data)[: self.start])
        hasher.update(memoryview(data)[self.end :])
        return hasher.digest()

    def contents(self, data: bytes) -> bytes:
        """The signature in the gap, without its padding; nothing when the gap is empty."""
        try:
            filled = bytes.fromhex(data[self.start + 1 : self.end - 1].decode("ascii"))
        except ValueError:
            raise Malformed("the gap holds no hexadecimal text") from None
        if not any(filled):
            return b""
        _tag, _content, end = read(filled)
        if any(filled[end:]):
            raise Malformed("something is hidden behind the signature")
        return filled[:end]

    def filled(self, data: bytes, signature: bytes) -> bytes:
        """The file with this signature in its gap. Raises `Malformed` when it does not fit."""
        if len(signature) > self.capacity:
            raise Malformed("the signature is larger than the room kept for it")
        text = signature.hex().encode().ljust(self.capacity * 2, b"0")
        return b"".join((data[: self.start], b"<", text, b">", data[self.end :]))


def ends(data: bytes) -> Iterator[int]:
    """Where signatures say that what they cover ends, within the file; at most `_MOST` of them."""
    for match in islice(_BYTE_RANGE.finditer(data), _MOST):
        end = int(match[2]) + int(match[3])
        if end <= len(data):
            yield end


def find(data: bytes, after: int = 0) -> Gap:
    """The gap of the one signature from `after` on that covers the whole file.

    Raises `Malformed` when there is none, or more than one claims to.
    """
    found = []
    for match in _BYTE_RANGE.finditer(data, after):
        start, end, rest = (int(number) for number in match.groups())
        whole = 0 < start < end <= len(data) and end + rest == len(data)
        if whole and data[start : start + 1] == b"<" and data[end - 1 : end] == b">":
            found.append(Gap(start, end))
    if len(found) != 1 or (found[0].end - found[0].start) % 2:
        raise Malformed("no signature covers the whole file")
    return found[0]
