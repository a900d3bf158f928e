"""A signature beside any file: a detached JWS (RFC 7515 appendix F) over the bytes as they are.

    signature = make(data, chain=…, algorithm="ES256", sign=…, now=now)      # "eyJ…..MEUC…"
    verify(data, signature)

- The payload is not encoded (`b64: false`, RFC 7797), so a file is hashed once and never copied
  into text; the compact form stays empty between its dots.
- The header is exactly {alg, b64, crit, iat, kid, typ, x5c, x5t#S256}: the certificate is named by
  its digest inside what is signed (EN 119 182-1 §5.1.7), and the time is claimed (§5.1.11).
- The certificates in x5c prove nothing: they are judged like those of a CMS signature.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from foundation.canonical import b64url, b64url_decode
from foundation.errors import Malformed
from keys.encoding.algorithms import ALGORITHMS
from keys.encoding.jose import parse_object
from signing.foreign.examination import Examination
from signing.formats.signature import SealingTask, judged
from signing.models import SealedDocument, Validation
from signing.trust.certificates import Doubt, key_id, public_key
from signing.trust.checks import Judge, Signed

TYPE: Final = "jose"
LONGEST_CHAIN: Final = 5
_MEMBERS: Final = {"alg", "b64", "crit", "iat", "kid", "typ", "x5c", "x5t#S256"}


def make(
    data: bytes,
    *,
    chain: Sequence[bytes],
    algorithm: str,
    sign: Callable[[bytes], bytes],
    now: datetime,
) -> bytes:
    """A detached signature over `data`; `sign` answers in X.509/CMS form."""
    header = {
        "alg": algorithm,
        "b64": False,
        "crit": ["b64"],
        "iat": int(now.timestamp()),
        "kid": key_id(chain[0]),
        "typ": TYPE,
        "x5c": [base64.b64encode(der).decode() for der in chain[:-1] or chain],
        "x5t#S256": _fingerprint(chain[0]),
    }
    protected = b64url(orjson.dumps(header)).encode()
    signature = ALGORITHMS[algorithm].to_jose(sign(protected + b"." + data))
    return protected + b".." + b64url(signature).encode()


def verify(data: bytes, signature: bytes) -> Signed:
    """Verify a detached JWS over `data`.

    `Doubt`: signature_malformed, digest_mismatch (the only sign of another file that there is: the
    signature covers the bytes themselves).
    """
    try:
        protected, value = _taken_apart(signature.strip())
        header = parse_object(b64url_decode(protected.decode("ascii")))
        certificates, claimed = _read(header)
        row = ALGORITHMS[header["alg"]]
        native = row.from_jose(b64url_decode(value.decode("ascii")))
        key = public_key(certificates[0])
    except Malformed as problem:
        raise Doubt("signature_malformed", problem.detail) from None
    except (ValueError, KeyError, TypeError) as problem:
        raise Doubt("signature_malformed", f"the header is odd: {problem}") from None
    if not row.accepts(key) or not row.verify(key, native, protected + b"." + data):
        raise Doubt("digest_mismatch", "the file is not the file that was signed")
    return Signed(certificates[0], certificates[1:], claimed)


class JwsSignature:
    """A detached JWS beside the file; its time is claimed, so the level is B-B."""

    name: Final = "jws"
    media_type: Final = "application/octet-stream"  # to be kept, not to be opened
    suffix: Final = ".jws"
    beside: Final = True

    def recognises(self, data: bytes, *, beside: bool) -> bool:
        """By the first letters of a JSON object in base64url; it never carries its file."""
        return beside and data.lstrip()[:3] == b"eyJ"

    def seal(self, data: bytes, task: SealingTask) -> SealedDocument:
        """Level B-B; no time-stamp is waited for."""
        made = make(data, chain=task.chain, algorithm=task.algorithm, sign=task.sign, now=task.now)
        return task.done(made, "B-B")

    def verify(
        self,
        data: bytes,
        signature: bytes | None,
        judge: Judge,
        examine: Callable[[bytes], Examination],
    ) -> Validation:
        """Over the file beside it."""
        return judged(self.name, judge, lambda: verify(data, signature or b""))


def _taken_apart(signature: bytes) -> tuple[bytes, bytes]:
    parts = signature.split(b".")
    if len(parts) != 3 or parts[1]:
        raise Malformed("not a compact JWS without its payload")
    return parts[0], parts[2]


def _read(header: Mapping[str, Any]) -> tuple[tuple[bytes, ...], datetime]:
    """Certificates and claimed time of a header that is exactly what we write."""
    if header.keys() != _MEMBERS or header["typ"] != TYPE:
        raise Malformed("the header has other members than a signature over a file has")
    if header["b64"] is not False or header["crit"] != ["b64"]:
        raise Malformed("the header does not say that the payload is not encoded")
    chain, claimed = header["x5c"], header["iat"]
    if not isinstance(chain, list) or not 1 <= len(chain) <= LONGEST_CHAIN:
        raise Malformed("x5c holds no chain")
    if type(claimed) is not int or not 0 <= claimed < 1 << 35:
        raise Malformed("iat is no time")
    try:
        certificates = tuple(base64.b64decode(each, validate=True) for each in chain)
    except (binascii.Error, TypeError, ValueError):
        raise Malformed("x5c is not base64") from None
    if header["x5t#S256"] != _fingerprint(certificates[0]):
        raise Malformed("the certificate is not the one that the header names")
    if header["kid"] != key_id(certificates[0]):
        raise Malformed("kid is not the key of the certificate")
    return certificates, datetime.fromtimestamp(claimed, UTC)


def _fingerprint(certificate: bytes) -> str:
    return b64url(hashlib.sha256(certificate).digest())
