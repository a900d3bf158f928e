"""Disclosures of an SD-JWT: from salted texts to claims in their places (RFC 9901 §4.2, §7.1).

    processing = Processing(digested(disclosures))
    claims = processing.payload(issuer_signed_claims)
    processing.must_be_complete()

Refusals are `CredentialRefused`; nothing here knows about signatures, types or times.
"""

import hashlib
import json
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import orjson

from foundation.canonical import b64url_decode
from foundation.errors import Malformed
from signing.errors import CredentialRefused

DEEPEST: Final = 16
# Never selectively disclosable (draft-ietf-oauth-sd-jwt-vc §3.2.2.2).
ALWAYS_OPEN: Final = frozenset(
    {"iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "aka_vcts", "status"}
)
RESERVED: Final = frozenset({"_sd", "...", "_sd_alg"})
_URLSAFE: Final = bytes.maketrans(b"+/", b"-_")


def encode(data: bytes) -> bytes:
    """Base64url as bytes: what is hashed and joined here stays bytes."""
    return b2a_base64(data, newline=False).translate(_URLSAFE).rstrip(b"=")


def digest_of(disclosure: bytes) -> str:
    """The digest over the text of a disclosure, not over its meaning (§4.2.3)."""
    return encode(hashlib.sha256(disclosure).digest()).decode()


def digested(disclosures: Sequence[str]) -> dict[str, list[Any]]:
    """Digest to disclosure, each taken apart."""
    found: dict[str, list[Any]] = {}
    for text in disclosures:
        digest = digest_of(text.encode())
        if digest in found:
            raise CredentialRefused("disclosure_repeated")
        found[digest] = _disclosure(text)
    return found


def _disclosure(text: str) -> list[Any]:
    try:
        value = _strict_json(b64url_decode(text))
    except Malformed:
        raise CredentialRefused("disclosure_malformed", "not base64url") from None
    if not isinstance(value, list) or len(value) not in (2, 3) or not isinstance(value[0], str):
        raise CredentialRefused("disclosure_malformed", "not [salt, name, value] or [salt, value]")
    if len(value) == 3 and not isinstance(value[1], str):
        raise CredentialRefused("disclosure_malformed", "a claim name that is not a string")
    return value


def _strict_json(data: bytes) -> Any:
    """JSON without duplicate names, NaN or bottomless nesting."""
    try:
        if b"{" not in data:  # no object, so no name that could come twice: the quick way
            return orjson.loads(data)
        value = json.loads(data, object_pairs_hook=_once, parse_constant=_no_constant)
        orjson.dumps(value)  # lone surrogates have no UTF-8
        return value
    except (ValueError, TypeError, RecursionError):
        raise CredentialRefused("disclosure_malformed", "not JSON") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name that comes twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


class Processing:
    """Step 3 of §7.1: replaces digests by what was disclosed, and keeps the books for step 4."""

    def __init__(self, disclosures: dict[str, list[Any]]) -> None:
        self._disclosures = disclosures
        self._seen: set[str] = set()
        self._used = 0
        self.disclosed: list[str] = []

    def payload(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        """The processed payload of the issuer-signed JWT."""
        if claims.get("_sd_alg", "sha-256") != "sha-256":
            raise CredentialRefused("sd_alg_unsupported")
        top = {name: value for name, value in claims.items() if name != "_sd_alg"}
        return self._object(top, 0)

    def must_be_complete(self) -> None:
        """Step 4: a disclosure that nothing refers to is somebody else's."""
        if self._used != len(self._disclosures):
            raise CredentialRefused("disclosure_unreferenced")

    def _value(self, value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            return self._object(value, depth + 1)
        if isinstance(value, list):
            return self._array(value, depth + 1)
        return value

    def _object(self, members: Mapping[str, Any], depth: int) -> dict[str, Any]:
        _must_be_shallow(depth)
        processed: dict[str, Any] = {}
        for name, value in members.items():
            if name == "_sd":
                continue
            if name in RESERVED:
                raise CredentialRefused("claim_name_reserved", f"{name} is not allowed there")
            processed[name] = self._value(value, depth)
        for digest in _digests(members.get("_sd", [])):
            self._insert(digest, processed, depth)
        return processed

    def _insert(self, digest: str, into: dict[str, Any], depth: int) -> None:
        found = self._found(digest)
        if found is None:
            return
        if len(found) != 3:
            raise CredentialRefused("disclosure_malformed", "an array element among claims")
        _salt, name, value = found
        if name in RESERVED:
            raise CredentialRefused("claim_name_reserved", f"{name} cannot be disclosed")
        if name in into:
            raise CredentialRefused("claim_name_taken", f"{name} is already there")
        if depth == 0 and name in ALWAYS_OPEN:
            raise CredentialRefused("registered_claim_disclosed", f"{name} must be open")
        into[name] = self._value(value, depth)
        if depth == 0:
            self.disclosed.append(name)

    def _array(self, elements: Sequence[Any], depth: int) -> list[Any]:
        _must_be_shallow(depth)
        processed = []
        for element in elements:
            if not (isinstance(element, dict) and "..." in element):
                processed.append(self._value(element, depth))
                continue
            if len(element) != 1 or not isinstance(element["..."], str):
                raise CredentialRefused("sd_malformed", "an odd placeholder in an array")
            found = self._found(element["..."])
            if found is None:
                continue
            if len(found) != 2:
                raise CredentialRefused("disclosure_malformed", "a claim in an array's place")
            processed.append(self._value(found[1], depth))
        return processed

    def _found(self, digest: str) -> list[Any] | None:
        if digest in self._seen:
            raise CredentialRefused("digest_repeated")
        self._seen.add(digest)
        found = self._disclosures.get(digest)
        self._used += found is not None
        return found


def _digests(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(digest, str) for digest in value):
        raise CredentialRefused("sd_malformed", "_sd is not a list of digests")
    return value


def _must_be_shallow(depth: int) -> None:
    if depth > DEEPEST:
        raise CredentialRefused("too_deep", f"nested deeper than {DEEPEST}")
