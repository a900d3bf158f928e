"""The algorithms we sign with: one row each, and nobody else knows how any of them works.

A row says everything there is to ask: its JOSE and COSE names, how a key is made and written as a
JWK, how it signs and verifies, and its X.509 and CMS identifiers. SM2 or ML-DSA is one more row.

- `sign` and `verify` work on whole messages and on signatures in X.509/CMS form (DER for ECDSA);
  `to_jose` and `from_jose` translate to JOSE/COSE form (r‖s for ECDSA, RFC 7518 §3.4).
- A key belongs to one algorithm or to a list of them, never to whatever a token's header says
  (RFC 8725 §3.1). `none` and the HMAC family are not rows, so they cannot be asked for.
- ES256 is the default: the cheapest signature by far (22 µs against 725 µs for RSA-3072).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from foundation.canonical import b64url, b64url_decode
from foundation.errors import Malformed
from keys.encoding.der import NULL, explicit, integer, object_identifier, sequence
from keys.errors import MalformedJwk

# Key objects of any row, as `cryptography` gives them; only a row looks inside.
PrivateKey = Any
PublicKey = Any

# PS256 is for what lives long. RS256 is for strangers' libraries and what lives ten minutes under a
# key that lives 90 days: 2048 bits sign in a third of the time (SP 800-57 part 1 §5.6.3: to 2030).
RSA_BITS: Final[Mapping[str, int]] = {"PS256": 3072, "RS256": 2048}
SHA256_IDENTIFIER: Final = sequence(object_identifier("2.16.840.1.101.3.4.2.1"))
SHA512_IDENTIFIER: Final = sequence(object_identifier("2.16.840.1.101.3.4.2.3"))


@dataclass(frozen=True, slots=True)
class KeyType:
    """A kind of key: what several algorithms may share (RSA serves PS256 and RS256).

    `members` are the JWK members of RFC 7638 §3.2, `holds` says whether a public key is of this
    kind and strong enough.
    """

    kty: str
    crv: str
    members: tuple[str, ...]
    generate: Callable[[], PrivateKey]
    holds: Callable[[PublicKey], bool]
    to_jwk: Callable[[PublicKey], dict[str, str]]
    from_jwk: Callable[[Mapping[str, Any]], PublicKey]


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One row of the table; `name` is the JOSE name, `digest` the one CMS computes over content."""

    name: str
    cose: int
    key_type: KeyType
    digest: Literal["sha256", "sha512"]
    sign: Callable[[PrivateKey, bytes], bytes]
    verify: Callable[[PublicKey, bytes, bytes], bool]
    to_jose: Callable[[bytes], bytes]
    from_jose: Callable[[bytes], bytes]
    x509_identifier: bytes
    cms_identifier: bytes
    digest_identifier: bytes

    def generate(self) -> PrivateKey:
        """A new key of this algorithm's kind, and of its size."""
        bits = RSA_BITS.get(self.name)
        return rsa.generate_private_key(65537, bits) if bits else self.key_type.generate()

    def accepts(self, public_key: PublicKey) -> bool:
        """Whether this key may be used with this algorithm at all."""
        return self.key_type.holds(public_key)


def algorithm(name: str) -> Algorithm:
    """The row of a JOSE name. Raises `KeyError`: asking for another is a programming error."""
    return ALGORITHMS[name]


def key_type_of(public_key: PublicKey) -> KeyType:
    """Which kind a public key is. Raises `MalformedJwk` for kinds we do not use."""
    for key_type in KEY_TYPES:
        if key_type.holds(public_key):
            return key_type
    raise MalformedJwk("the public key is of a kind or size that is not accepted")


def spki(public_key: PublicKey) -> bytes:
    """SubjectPublicKeyInfo DER (RFC 5280 §4.1.2.7)."""
    encoded: bytes = public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def raw_from_der(signature: bytes) -> bytes:
    """ECDSA DER (two INTEGERs) to r‖s of 32 bytes each, by slicing.

    Trusted input only: what our own signer just made. P-256 signatures are shorter than 128 bytes,
    so every length is one byte; an INTEGER has a leading zero when its top bit is set and fewer
    than 32 bytes when the number is small.
    """
    r_end = 4 + signature[3]
    r = signature[4:r_end]
    s = signature[r_end + 2 :]
    return r[-32:].rjust(32, b"\0") + s[-32:].rjust(32, b"\0")


def der_from_raw(signature: bytes) -> bytes:
    """R‖s back to DER. Raises `Malformed` unless it is 64 bytes."""
    if len(signature) != 64:
        raise Malformed("an ES256 signature has 64 bytes")
    r, s = signature[:32], signature[32:]
    return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))


def _same(signature: bytes) -> bytes:
    return signature


# Building the parameter objects once saves a microsecond per signature.
_ECDSA_SHA256 = ec.ECDSA(hashes.SHA256())
_SHA256 = hashes.SHA256()
_PKCS1 = padding.PKCS1v15()
_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


def _verified(attempt: Callable[[], None]) -> bool:
    try:
        attempt()
    except InvalidSignature:
        return False
    return True


def _number(jwk: Mapping[str, Any], member: str) -> bytes:
    """A base64url member of a JWK, strictly."""
    value = jwk.get(member)
    if not isinstance(value, str):
        raise MalformedJwk(f"the JWK has no {member}")
    try:
        return b64url_decode(value)
    except Malformed as problem:
        raise MalformedJwk(f"JWK member {member}: {problem.detail}") from None


def _ec_to_jwk(key: PublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    x, y = (b64url(part.to_bytes(32, "big")) for part in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _ec_from_jwk(jwk: Mapping[str, Any]) -> PublicKey:
    x, y = _number(jwk, "x"), _number(jwk, "y")
    if len(x) != 32 or len(y) != 32:
        raise MalformedJwk("P-256 coordinates have 32 bytes (RFC 7518 §6.2.1.2)")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + x + y)
    except ValueError:
        raise MalformedJwk("the point is not on P-256") from None


def _okp_from_jwk(jwk: Mapping[str, Any]) -> PublicKey:
    x = _number(jwk, "x")
    if len(x) != 32:
        raise MalformedJwk("an Ed25519 public key has 32 bytes (RFC 8037 §2)")
    return ed25519.Ed25519PublicKey.from_public_bytes(x)


def _rsa_to_jwk(key: PublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    n, e = (
        b64url(part.to_bytes((part.bit_length() + 7) // 8, "big"))
        for part in (numbers.n, numbers.e)
    )
    return {"kty": "RSA", "n": n, "e": e}


def _rsa_from_jwk(jwk: Mapping[str, Any]) -> PublicKey:
    modulus, exponent = _number(jwk, "n"), _number(jwk, "e")
    n, e = int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big")
    if not 2048 <= n.bit_length() <= 8192 or not 65537 <= e < 2**32:
        raise MalformedJwk("RSA keys have 2048 to 8192 bits and an exponent of at least 65537")
    if modulus[0] == 0 or exponent[0] == 0:
        raise MalformedJwk("RSA numbers have no leading zeros (RFC 7518 §6.3.1)")
    try:
        return rsa.RSAPublicNumbers(e, n).public_key()
    except ValueError:
        raise MalformedJwk("the numbers are not an RSA key") from None


P256: Final = KeyType(
    kty="EC",
    crv="P-256",
    members=("crv", "kty", "x", "y"),
    generate=lambda: ec.generate_private_key(ec.SECP256R1()),
    holds=lambda key: (
        isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    ),
    to_jwk=_ec_to_jwk,
    from_jwk=_ec_from_jwk,
)
ED25519: Final = KeyType(
    kty="OKP",
    crv="Ed25519",
    members=("crv", "kty", "x"),
    generate=ed25519.Ed25519PrivateKey.generate,
    holds=lambda key: isinstance(key, ed25519.Ed25519PublicKey),
    to_jwk=lambda key: {"kty": "OKP", "crv": "Ed25519", "x": b64url(key.public_bytes_raw())},
    from_jwk=_okp_from_jwk,
)
RSA: Final = KeyType(
    kty="RSA",
    crv="",
    members=("e", "kty", "n"),
    generate=lambda: rsa.generate_private_key(65537, RSA_BITS["PS256"]),
    holds=lambda key: isinstance(key, rsa.RSAPublicKey) and 2048 <= key.key_size <= 8192,
    to_jwk=_rsa_to_jwk,
    from_jwk=_rsa_from_jwk,
)
KEY_TYPES: Final = (P256, ED25519, RSA)

_ECDSA_WITH_SHA256 = sequence(object_identifier("1.2.840.10045.4.3.2"))
_ED25519 = sequence(object_identifier("1.3.101.112"))
_SHA256_NULL = sequence(object_identifier("2.16.840.1.101.3.4.2.1"), NULL)
_MGF1 = sequence(object_identifier("1.2.840.113549.1.1.8"), _SHA256_NULL)
_RSASSA_PSS = sequence(  # RFC 4055 §3.1: SHA-256, MGF1 with SHA-256, 32 bytes of salt
    object_identifier("1.2.840.113549.1.1.10"),
    sequence(explicit(0, _SHA256_NULL), explicit(1, _MGF1), explicit(2, integer(32))),
)

ES256: Final = Algorithm(
    name="ES256",
    cose=-7,
    key_type=P256,
    digest="sha256",
    sign=lambda key, message: key.sign(message, _ECDSA_SHA256),
    verify=lambda key, signature, message: _verified(
        lambda: key.verify(signature, message, _ECDSA_SHA256)
    ),
    to_jose=raw_from_der,
    from_jose=der_from_raw,
    x509_identifier=_ECDSA_WITH_SHA256,
    cms_identifier=_ECDSA_WITH_SHA256,
    digest_identifier=SHA256_IDENTIFIER,
)
EDDSA: Final = Algorithm(  # RFC 8037; in CMS the content is digested with SHA-512 (RFC 8419 §3.1)
    name="EdDSA",
    cose=-8,
    key_type=ED25519,
    digest="sha512",
    sign=lambda key, message: key.sign(message),
    verify=lambda key, signature, message: _verified(lambda: key.verify(signature, message)),
    to_jose=_same,
    from_jose=_same,
    x509_identifier=_ED25519,
    cms_identifier=_ED25519,
    digest_identifier=SHA512_IDENTIFIER,
)
PS256: Final = Algorithm(
    name="PS256",
    cose=-37,
    key_type=RSA,
    digest="sha256",
    sign=lambda key, message: key.sign(message, _PSS, _SHA256),
    verify=lambda key, signature, message: _verified(
        lambda: key.verify(signature, message, _PSS, _SHA256)
    ),
    to_jose=_same,
    from_jose=_same,
    x509_identifier=_RSASSA_PSS,
    cms_identifier=_RSASSA_PSS,
    digest_identifier=SHA256_IDENTIFIER,
)
RS256: Final = Algorithm(
    name="RS256",
    cose=-257,
    key_type=RSA,
    digest="sha256",
    sign=lambda key, message: key.sign(message, _PKCS1, _SHA256),
    verify=lambda key, signature, message: _verified(
        lambda: key.verify(signature, message, _PKCS1, _SHA256)
    ),
    to_jose=_same,
    from_jose=_same,
    x509_identifier=sequence(object_identifier("1.2.840.113549.1.1.11"), NULL),
    cms_identifier=sequence(object_identifier("1.2.840.113549.1.1.1"), NULL),
    digest_identifier=SHA256_IDENTIFIER,
)
ALGORITHMS: Final[Mapping[str, Algorithm]] = {row.name: row for row in (ES256, EDDSA, PS256, RS256)}
