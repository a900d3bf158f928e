"""JSON Web Signatures, strictly: compact form only, assembled and verified by hand (RFC 7515).

Everything here is pure. What a token says about its own key (`jku`, `x5u`, `jwk`, `x5c`) is never
looked at: the caller's `key_for` maps a header to a key it already trusts, or to nothing.

What is refused, and why:

- any algorithm that is not in the allow-list of the key (`none`, HMAC with a public key: RFC 8725
  §2.1, §3.1);
- `crit` (we understand no extension), `b64` (RFC 7797), `zip`, `cty` (nested tokens);
- a header or claim that appears twice, base64url with spare bits, padding or white space: otherwise
  one signature would have several readings;
- a `typ` other than the one expected (cross-token confusion, RFC 8725 §3.11).

    verified = verify_compact(token, typ="at+jwt", key_for=trusted)
    verified.claims["sub"]
"""

import hashlib
import json
import math
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NoReturn, TypeGuard

import orjson

from foundation.bounded import Bounded
from foundation.canonical import b64url, b64url_decode, canonical
from foundation.errors import Malformed
from keys.encoding.algorithms import ALGORITHMS, KEY_TYPES, PublicKey, key_type_of
from keys.errors import (
    AlgorithmNotAllowed,
    InvalidJws,
    MalformedJwk,
    MalformedJws,
    SignatureMismatch,
    UnsupportedHeader,
    UntrustedKey,
)

MAX_TOKEN_LENGTH: Final = 65_536
_MAX_CACHED_TOKEN: Final = 4_096
_REFUSED_PARAMETERS: Final = frozenset({"crit", "b64", "zip", "cty", "enc"})
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_JWK_TEXTS: Final = ("kty", "crv", "x", "y", "n", "e", "use", "alg", "kid")
_JWK_LISTS: Final = ("key_ops", "x5c")
_URLSAFE: Final = bytes.maketrans(b"+/", b"-_")


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key somebody already trusts, and the only algorithms it may be used with."""

    public_key: PublicKey
    algorithms: tuple[str, ...]
    thumbprint: str


@dataclass(frozen=True, slots=True)
class VerifiedJws:
    """A token whose signature was checked under `key`; nothing is said about its dates.

    `claims` and `header` are read-only: one value may be shared by many requests.
    """

    header: Mapping[str, Any]
    payload: bytes
    key: VerificationKey
    claims: Mapping[str, Any]


KeyFor = Callable[[Mapping[str, Any]], VerificationKey | None]


class VerifiedSignatures:
    """Remembers what an exact token says and under which key it was verified: facts that never
    change, as this token has no other reading.

    Not remembered: whether the key is still trusted (`key_for` is asked each time) and whether the
    token is still valid. At most `capacity` tokens, by their SHA-256; the oldest goes first. The
    payload is kept as it came: to lay out the claims of thousands of tokens in memory, and to clear
    them away, costs more than to read again those of one that comes back.
    """

    def __init__(self, capacity: int = 8_192) -> None:
        self._facts: Bounded[bytes, tuple[Mapping[str, Any], bytes, VerificationKey]]
        self._facts = Bounded(capacity)

    def __len__(self) -> int:
        return len(self._facts)

    def get(self, digest: bytes) -> VerifiedJws | None:
        """What the token with this SHA-256 says; None when it is not remembered."""
        fact = self._facts.get(digest)
        return None if fact is None else VerifiedJws(*fact, _claims(fact[1]))

    def remember(self, digest: bytes, verified: VerifiedJws) -> None:
        """Keep a token that was verified, under its SHA-256."""
        self._facts.put(digest, (verified.header, verified.payload, verified.key))


def verify_compact(
    token: str,
    *,
    typ: str | None,
    key_for: KeyFor,
    cache: VerifiedSignatures | None = None,
    json_claims: bool = True,
) -> VerifiedJws:
    """Verify a compact JWS (RFC 7515 §5.2). Raises a subclass of `InvalidJws`.

    `typ` is compared without case and without "application/"; None demands that there is none to
    compare. `json_claims=False` is for payloads that are not a JSON object.

    1. three parts, each canonical base64url
    2. a JSON header without duplicates and without parameters we refuse
    3. the expected `typ`
    4. a key that the caller trusts, and an algorithm on that key's list
    5. the signature
    6. claims: one JSON object without duplicates

    Of a token in `cache` only steps 3 and 4 can turn out differently, so only they are repeated.
    """
    _check_length(token)
    if cache is None or not json_claims or len(token) > _MAX_CACHED_TOKEN:
        return _verify(token, typ, key_for, json_claims=json_claims)
    digest = hashlib.sha256(token.encode()).digest()
    known = cache.get(digest)
    if known is not None:
        _check_typ(known.header, typ)
        if is_trusted(known, key_for):
            return known
    verified = _verify(token, typ, key_for)
    cache.remember(digest, verified)
    return verified


def is_trusted(verified: VerifiedJws, key_for: KeyFor) -> bool:
    """Whether step 4 of `verify_compact` still finds the key that was found before. Raises a
    subclass of `InvalidJws` when it finds none."""
    return _trusted_key(verified.header, key_for).thumbprint == verified.key.thumbprint


def _verify(
    token: str, typ: str | None, key_for: KeyFor, *, json_claims: bool = True
) -> VerifiedJws:
    """The steps of `verify_compact`."""
    # 1.
    parts = token.split(".")
    if len(parts) != 3:
        raise MalformedJws("a compact JWS has three parts")
    # 2. and 3.
    header = _header(parts[0])
    _check_typ(header, typ)
    # 4.
    key = _trusted_key(header, key_for)
    # 5.
    payload, signature = _decode(parts[1]), _decode(parts[2])
    _check_signature(header["alg"], key, token[: -len(parts[2]) - 1], signature)
    # 6.
    claims = _claims(payload) if json_claims else MappingProxyType({})
    return VerifiedJws(header, payload, key, claims)


def assemble(prefix: bytes, payload: bytes, sign: Callable[[bytes], bytes]) -> str:
    """A compact JWS from an `encoded_header`, a payload and a function that signs JOSE style."""
    signing_input = prefix + _encode(payload)
    return (signing_input + b"." + _encode(sign(signing_input))).decode("ascii")


def encoded_header(header: Mapping[str, object]) -> bytes:
    """The first part of a compact JWS with its dot; made once per key and type."""
    return _encode(orjson.dumps(header)) + b"."


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """RFC 7638: base64url SHA-256 over the required members in canonical form."""
    for key_type in KEY_TYPES:
        if jwk.get("kty") == key_type.kty:
            required = {member: jwk.get(member) for member in key_type.members}
            if all(isinstance(value, str) for value in required.values()):
                return b64url(hashlib.sha256(canonical(required)).digest())
    raise MalformedJwk("a thumbprint needs the required members of a known key type")


def jwk_of(public_key: PublicKey) -> dict[str, str]:
    """The bare JWK of a public key (no kid, use or alg)."""
    return key_type_of(public_key).to_jwk(public_key)


def public_key_of(jwk: Mapping[str, Any]) -> PublicKey:
    """The public key in a JWK; refuses private members, foreign kinds and weak sizes."""
    if _PRIVATE_MEMBERS & jwk.keys():
        raise MalformedJwk("a public JWK must not carry private members")
    for key_type in KEY_TYPES:
        if jwk.get("kty") == key_type.kty and jwk.get("crv", "") == key_type.crv:
            return key_type.from_jwk(jwk)
    raise MalformedJwk("the JWK is of a kind that is not accepted")


def is_jwk(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether the members of a key have the types they must have (RFC 7517 §4, RFC 7518 §6).

    Asked of every key that somebody else wrote, before anything looks into it.
    """
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(name, ""), str) for name in _JWK_TEXTS)
        and all(_are_texts(value.get(name, [])) for name in _JWK_LISTS)
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def verification_key(jwk: object, algorithms: tuple[str, ...] | None = None) -> VerificationKey:
    """A key to verify signatures with, from somebody's JWK (RFC 7517 §4).

    Honours `use`, `key_ops` and `alg`; without `alg` every algorithm of the key's kind is allowed,
    narrowed by `algorithms`. Raises `MalformedJwk` when nothing is left.
    """
    if not is_jwk(jwk):
        raise MalformedJwk("the members of the JWK are not what they must be")
    if jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
        raise MalformedJwk("the JWK is not meant for verifying signatures")
    public_key = public_key_of(jwk)
    allowed = tuple(
        row.name
        for row in ALGORITHMS.values()
        if row.accepts(public_key)
        and jwk.get("alg", row.name) == row.name
        and (algorithms is None or row.name in algorithms)
    )
    if not allowed:
        raise MalformedJwk("no accepted algorithm fits the JWK")
    return VerificationKey(public_key, allowed, thumbprint(jwk))


def parse_object(data: bytes) -> dict[str, Any]:
    """One JSON object, strictly: UTF-8, no duplicate member, no NaN, no number that is not the same
    to everybody. Raises `MalformedJws`."""
    return _strict_object(data, "object")


def unverified_header(token: str) -> Mapping[str, Any]:
    """The header of a token nobody has verified yet, for choosing who should verify it."""
    _check_length(token)
    return _header(token.partition(".")[0])


def _encode(data: bytes) -> bytes:
    return b2a_base64(data, newline=False).translate(_URLSAFE, b"=")


def _decode(part: str) -> bytes:
    try:
        return b64url_decode(part)
    except Malformed as problem:
        raise MalformedJws(problem.detail) from None


def _check_length(token: str) -> None:
    if len(token) > MAX_TOKEN_LENGTH or not token.isascii():
        raise MalformedJws("the token is too long or not ASCII")


def _header(part: str) -> Mapping[str, Any]:
    """Few headers differ, so the strict parse is paid once for each; long ones are not kept."""
    return _parse_header(part) if len(part) > _MAX_CACHED_TOKEN else _cached_header(part)


@lru_cache(maxsize=1_024)
def _cached_header(part: str) -> Mapping[str, Any]:
    return _parse_header(part)


def _parse_header(part: str) -> Mapping[str, Any]:
    header = _strict_object(_decode(part), "header")
    refused = sorted(_REFUSED_PARAMETERS & header.keys())
    if refused:
        raise UnsupportedHeader(f"the header parameter {refused[0]} is not supported")
    if not isinstance(header.get("alg"), str) or not isinstance(header.get("kid", ""), str):
        raise MalformedJws("alg and kid are strings")
    return MappingProxyType(header)


def _check_typ(header: Mapping[str, Any], typ: str | None) -> None:
    given = header.get("typ")
    if typ is None or given == typ:
        return
    if not isinstance(given, str) or given.lower().removeprefix("application/") != typ.lower():
        raise UnsupportedHeader(f"the token is not of type {typ}")


def _trusted_key(header: Mapping[str, Any], key_for: KeyFor) -> VerificationKey:
    key = key_for(header)
    if key is None:
        raise UntrustedKey("no trusted key answers to this header")
    if header["alg"] not in key.algorithms:
        raise AlgorithmNotAllowed("the algorithm is not one this key may be used with")
    return key


def _check_signature(alg: str, key: VerificationKey, signed: str, signature: bytes) -> None:
    row = ALGORITHMS.get(alg)
    if row is None or not row.accepts(key.public_key):
        raise AlgorithmNotAllowed("the algorithm does not fit the key")
    try:
        native = row.from_jose(signature)
    except Malformed:
        raise SignatureMismatch("the signature has the wrong length") from None
    if not row.verify(key.public_key, native, signed.encode("ascii")):
        raise SignatureMismatch("the signature does not verify")


def _claims(payload: bytes) -> Mapping[str, Any]:
    return MappingProxyType(_strict_object(payload, "payload"))


def _strict_object(data: bytes, what: str) -> dict[str, Any]:
    if (ours := _as_we_write(data)) is not None:
        return ours
    try:
        text = data.decode("utf-8")
        value = _STRICT_JSON.decode(text)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()  # lone surrogates have no UTF-8
    except InvalidJws:
        raise
    except (ValueError, RecursionError):
        raise MalformedJws(f"the {what} is not JSON") from None
    if not isinstance(value, dict):
        raise MalformedJws(f"the {what} is not a JSON object")
    return value


def _as_we_write(data: bytes) -> dict[str, Any] | None:
    """The object that orjson writes as these very bytes, if there is one: then nothing in them is
    said twice, or in a way that another parser could read otherwise. A third of the strict price.
    """
    try:
        value = orjson.loads(data)
        return value if isinstance(value, dict) and orjson.dumps(value) == data else None
    except (ValueError, TypeError):
        return None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedJws("a JSON member appears twice")
    return members


def _no_constant(_name: str) -> NoReturn:
    raise MalformedJws("NaN and Infinity are not JSON")


def _integer(digits: str) -> int:
    """Readers do not agree on larger ones (RFC 8259 §6), and we could not write them again."""
    value = int(digits)
    if value.bit_length() > 63:
        raise MalformedJws("a JSON number is too large")
    return value


def _fraction(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise MalformedJws("a JSON number is too large")
    return value


_STRICT_JSON: Final = json.JSONDecoder(
    object_pairs_hook=_without_duplicates,
    parse_constant=_no_constant,
    parse_int=_integer,
    parse_float=_fraction,
)
