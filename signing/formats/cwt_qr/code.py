"""The compact signed text behind a QR code on paper, verifiable offline.

    text = issue(keys, "certificates.qr", {"id": …, "name": …}, iss=…, iat=now, exp=…)   # "YZ1:…"
    verify(text, key_for=trusted(keys, "certificates.qr"), now=now).claims["id"]

Claims → CBOR (deterministic, RFC 8949 §4.2) → CWT (RFC 8392) → COSE_Sign1 (RFC 9052 §4.2) → zlib →
Base45 (RFC 9285) → prefix. The chain is that of the European health certificates, so scanners know
how to read it; prefix and claim number are our own, because the meaning is.

- The protected header is exactly {alg, kid}; kid is the first 8 bytes of the key's thumbprint.
- The signature is verified before a single byte of the payload is interpreted.
- A text has at most 4,296 characters (the largest QR code), inflates to at most 16 KiB, nests at
  most 8 deep, and is the only encoding of its content: nothing can be appended or written twice.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import cbor2

from foundation.canonical import b64url_decode
from foundation.errors import Malformed
from keys import Keys, KeyState
from keys.encoding.algorithms import ALGORITHMS, Algorithm
from keys.encoding.jose import VerificationKey
from signing.errors import CredentialRefused
from signing.formats.cwt_qr import base45

PREFIX: Final = "YZ1:"
CLAIMS: Final = -65_537  # the first number of the private-use range (RFC 8392 §9.1)
LONGEST: Final = 4_296
LARGEST: Final = 16_384
DEEPEST: Final = 8
_ISS, _EXP, _IAT = 1, 4, 6
_ALG, _KID = 1, 4
_SHORT: Final = 8
_SIGN1_HEAD: Final = b"\xd2\x84"  # tag 18, an array of four
_CONTEXT: Final = b"\x84\x6aSignature1"
_EMPTY: Final = b"\x40"
_NO_HEADER: Final = b"\xa0"

ShortKeyFor = Callable[[bytes], VerificationKey | None]


@dataclass(frozen=True, slots=True)
class VerifiedQr:
    """What a QR text says, after its signature and times were checked."""

    claims: Mapping[str, Any]
    iss: str
    issued_at: datetime
    expires_at: datetime | None
    key: VerificationKey


def issue(
    keys: Keys,
    use: str,
    claims: Mapping[str, Any],
    *,
    iss: str,
    iat: datetime,
    exp: datetime | None = None,
) -> str:
    """A signed text for a QR code. Raises `CredentialRefused` when it would not fit into one."""
    key = keys.active(use)
    content: dict[int, Any] = {_ISS: iss, _IAT: int(iat.timestamp()), CLAIMS: dict(claims)}
    if exp is not None:
        content[_EXP] = int(exp.timestamp())
    _must_be_plain(content, 0)
    protected = _protected(ALGORITHMS[key.algorithm], short_id(key.kid))
    payload = cbor2.dumps(content, canonical=True)
    signature = keys.sign(use, _to_be_signed(protected, payload))
    if signature.kid != key.kid:  # rotated in between: the header names the wrong key
        return issue(keys, use, claims, iss=iss, iat=iat, exp=exp)
    parts = (_bytes(protected), _NO_HEADER, _bytes(payload), _bytes(signature.value))
    packed = zlib.compress(_SIGN1_HEAD + b"".join(parts), 9)
    text = PREFIX + base45.encode(packed)
    if len(text) > LONGEST:
        raise CredentialRefused("too_long", f"{len(text)} characters do not fit into a QR code")
    return text


def verify(
    text: str,
    *,
    key_for: ShortKeyFor,
    now: datetime,
    leeway: timedelta = timedelta(seconds=60),
) -> VerifiedQr:
    """Verify a text. Raises `CredentialRefused`; `key_for` maps an 8-byte kid to a trusted key.

    1. prefix, Base45, zlib    2. COSE_Sign1    3. key and signature    4. CWT    5. times
    """
    # 1.
    if not text.startswith(PREFIX) or len(text) > LONGEST:
        raise CredentialRefused("not_a_qr_text")
    signed = _inflate(text.removeprefix(PREFIX))
    # 2.
    protected, payload, signature = _taken_apart(signed)
    # 3.
    key = _verified(protected, payload, signature, key_for)
    # 4.
    content = _content(payload)
    # 5.
    _check_times(content, now, leeway)
    exp = content.get(_EXP)
    return VerifiedQr(
        claims=content[CLAIMS],
        iss=content[_ISS],
        issued_at=datetime.fromtimestamp(content[_IAT], UTC),
        expires_at=None if exp is None else datetime.fromtimestamp(exp, UTC),
        key=key,
    )


def trusted(keys: Keys, *uses: str) -> ShortKeyFor:
    """A `key_for` over our own keys of these uses that are not retired."""

    def key_for(kid: bytes) -> VerificationKey | None:
        for key in keys.inventory(*uses):
            if short_id(key.kid) == kid and key.state != KeyState.RETIRED:
                return key.verification
        return None

    return key_for


def short_id(kid: str) -> bytes:
    """The first 8 bytes of a key's thumbprint."""
    return b64url_decode(kid)[:_SHORT]


# --- COSE_Sign1 by hand -----------------------------------------------------------------------


def _protected(row: Algorithm, kid: bytes) -> bytes:
    encoded: bytes = cbor2.dumps({_ALG: row.cose, _KID: kid}, canonical=True)
    return encoded


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Sig_structure (RFC 9052 §4.4)."""
    return b"".join((_CONTEXT, _bytes(protected), _EMPTY, _bytes(payload)))


def _bytes(value: bytes) -> bytes:
    """A CBOR byte string with the shortest head."""
    size = len(value)
    if size < 24:
        return bytes((0x40 | size,)) + value
    if size < 0x100:
        return bytes((0x58, size)) + value
    return b"\x59" + size.to_bytes(2, "big") + value


def _inflate(text: str) -> bytes:
    inflater = zlib.decompressobj()
    try:
        signed = inflater.decompress(base45.decode(text), LARGEST)
    except (Malformed, zlib.error):
        raise CredentialRefused("not_a_qr_text") from None
    if inflater.unconsumed_tail or len(signed) >= LARGEST:
        raise CredentialRefused("too_large", f"it inflates to more than {LARGEST} bytes")
    if not inflater.eof or inflater.unused_data:
        raise CredentialRefused("not_a_qr_text", "cut off, or something is appended")
    return signed


def _taken_apart(signed: bytes) -> tuple[bytes, bytes, bytes]:
    """Protected header, payload, signature; the structure must be the one we write."""
    if not signed.startswith(_SIGN1_HEAD):
        raise CredentialRefused("not_a_cose_sign1")
    protected, at = _byte_string(signed, len(_SIGN1_HEAD))
    if signed[at : at + 1] != _NO_HEADER:
        raise CredentialRefused("not_a_cose_sign1", "an unprotected header")
    payload, at = _byte_string(signed, at + 1)
    signature, at = _byte_string(signed, at)
    if at != len(signed):
        raise CredentialRefused("not_a_cose_sign1", "something is appended")
    return protected, payload, signature


def _byte_string(data: bytes, at: int) -> tuple[bytes, int]:
    head = data[at] if at < len(data) else 0
    more = {0x58: 1, 0x59: 2}.get(head, 0)
    size = int.from_bytes(data[at + 1 : at + 1 + more], "big") if more else head - 0x40
    value = data[at + 1 + more : at + 1 + more + size] if size >= 0 else b""
    if _bytes(value) != data[at : at + 1 + more + size]:
        raise CredentialRefused("not_a_cose_sign1", "not a byte string in its shortest form")
    return value, at + 1 + more + size


def _verified(
    protected: bytes, payload: bytes, signature: bytes, key_for: ShortKeyFor
) -> VerificationKey:
    kid = protected[-_SHORT:]
    row = next((row for row in ALGORITHMS.values() if _protected(row, kid) == protected), None)
    if row is None:
        raise CredentialRefused("header_unexpected", "the header is not {alg, kid}")
    key = key_for(kid)
    if key is None:
        raise CredentialRefused("untrusted_key", "no trusted key has this id")
    if row.name not in key.algorithms or not row.accepts(key.public_key):
        raise CredentialRefused("algorithm_not_allowed")
    try:
        native = row.from_jose(signature)
    except Malformed:
        raise CredentialRefused("signature_mismatch", "the wrong length") from None
    if not row.verify(key.public_key, native, _to_be_signed(protected, payload)):
        raise CredentialRefused("signature_mismatch")
    return key


# --- the CWT ----------------------------------------------------------------------------------


def _content(payload: bytes) -> dict[int, Any]:
    """The claims, when the payload is the one deterministic encoding of plain values."""
    try:
        content = cbor2.loads(
            payload, max_depth=DEEPEST + 2, allow_indefinite=False, allow_duplicate_keys=False
        )
        _must_be_plain(content, 0)
        deterministic = cbor2.dumps(content, canonical=True) == payload
    except (cbor2.CBORError, ValueError, RecursionError):
        raise CredentialRefused("cwt_malformed", "not CBOR") from None
    if not deterministic:
        raise CredentialRefused("cwt_malformed", "not the deterministic encoding")
    if not isinstance(content, dict) or content.keys() - {_ISS, _EXP, _IAT, CLAIMS}:
        raise CredentialRefused("cwt_malformed", "unexpected claims")
    for name, kind in ((_ISS, str), (_IAT, int), (CLAIMS, dict)):
        if type(content.get(name)) is not kind:
            raise CredentialRefused("cwt_malformed", f"claim {name} is missing or odd")
    if type(content.get(_EXP, 0)) is not int or not 0 <= content.get(_EXP, 0) < 1 << 35:
        raise CredentialRefused("cwt_malformed", "exp is odd")
    if not 0 <= content[_IAT] < 1 << 35:
        raise CredentialRefused("cwt_malformed", "iat is odd")
    return content


def _must_be_plain(value: Any, depth: int) -> None:
    """Text, bytes, whole numbers, booleans, null, lists and maps; no tags, no floats."""
    if depth > DEEPEST:
        raise CredentialRefused("too_deep", f"nested deeper than {DEEPEST}")
    if isinstance(value, dict):
        for name, member in value.items():
            if not isinstance(name, str | int) or isinstance(name, bool):
                raise CredentialRefused("cwt_malformed", "a name that is neither text nor number")
            _must_be_plain(member, depth + 1)
    elif isinstance(value, list):
        for element in value:
            _must_be_plain(element, depth + 1)
    elif not (value is None or isinstance(value, str | bytes | int)) or _is_huge(value):
        raise CredentialRefused("cwt_malformed", f"a value of type {type(value).__name__}")


def _is_huge(value: Any) -> bool:
    """Beyond 64 bits CBOR needs a tag."""
    return isinstance(value, int) and not -(1 << 64) <= value < 1 << 64


def _check_times(content: Mapping[int, Any], now: datetime, leeway: timedelta) -> None:
    at, slack = now.timestamp(), leeway.total_seconds()
    if content[_IAT] > at + slack:
        raise CredentialRefused("issued_in_future")
    if content.get(_EXP, at + 1) <= at - slack:
        raise CredentialRefused("expired")
