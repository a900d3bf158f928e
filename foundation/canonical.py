"""One byte string for one value: RFC 8785 canonical JSON, SHA-256 digests, strict base64url.

Two parties that hash the same value must hash the same bytes; everything that is signed, committed
to the ledger or compared by digest goes through here.
"""

import hashlib
import re
from binascii import a2b_base64, b2a_base64

import rfc8785

from foundation.errors import Malformed

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*\Z")
_URLSAFE = bytes.maketrans(b"+/", b"-_")
_STANDARD = bytes.maketrans(b"-_", b"+/")


def canonical(value: object) -> bytes:
    """RFC 8785 bytes of a JSON value. Raises `Malformed` for what JSON cannot say exactly."""
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as problem:
        raise Malformed(f"not a canonical JSON value: {problem}") from None


def digest(value: object) -> str:
    """Base64url SHA-256 of the canonical JSON of `value` (43 characters)."""
    return b64url(hashlib.sha256(canonical(value)).digest())


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return b2a_base64(data, newline=False).translate(_URLSAFE, b"=").decode("ascii")


def b64url_decode(text: str) -> bytes:
    """The inverse, strict: no padding, no foreign character, no spare bits that are not zero.

    Spare bits matter: otherwise several texts decode to one value, and a signed token has twins.
    """
    try:
        data = a2b_base64(text.encode("ascii").translate(_STANDARD) + b"=" * (-len(text) % 4))
        if b64url(data) == text:  # holds for no other text
            return data
    except ValueError:
        pass
    if not _BASE64URL.match(text) or len(text) % 4 == 1:
        raise Malformed("not base64url without padding")
    raise Malformed("base64url with spare bits set")
