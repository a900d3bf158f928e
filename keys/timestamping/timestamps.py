"""RFC 3161 time-stamp tokens: "this digest existed at this time", signed by the use "tsa".

- Only time, serial number, digest, nonce and signature differ between two tokens, so everything
  else is DER made once per key and certificate; a token costs about two signatures' worth of time.
- Serial numbers are 16 random bytes: unique without a counter, in whatever number of processes.
- The token names its certificate with ESSCertIDv2 (RFC 5816) and states an accuracy of a second.
- A request that cannot be served gets a TimeStampResp with the right PKIFailureInfo, never an
  exception: `respond` is a function from bytes to bytes.

    token = timestamps.stamp(sha256(data).digest(), now)     # ContentInfo DER
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Final

from foundation.clock import Clock
from foundation.errors import Malformed, YinzhengError
from keys.encoding import der, x509
from keys.encoding.algorithms import SHA256_IDENTIFIER, algorithm
from keys.pki.profiles import OWN_ARC

POLICY: Final = f"{OWN_ARC}.2"
MAX_REQUEST: Final = 4_096
_MAX_NONCE: Final = 64
_TOKEN_ALONE: Final = 1_024

_ID_SIGNED_DATA = der.object_identifier("1.2.840.113549.1.7.2")
_ID_TST_INFO = der.object_identifier("1.2.840.113549.1.9.16.1.4")
_ID_CONTENT_TYPE = der.object_identifier("1.2.840.113549.1.9.3")
_ID_MESSAGE_DIGEST = der.object_identifier("1.2.840.113549.1.9.4")
_ID_SIGNING_CERTIFICATE_V2 = der.object_identifier("1.2.840.113549.1.9.16.2.47")
_POLICY = der.object_identifier(POLICY)
_TST_HEAD = der.integer(1) + _POLICY
_ACCURACY = der.sequence(der.integer(1))
_SHA256_IMPRINT = SHA256_IDENTIFIER

# Digests a requester may bring: OID content -> length. MD5 and SHA-1 are not worth a time-stamp.
_DIGESTS: Final = {
    der.object_identifier("2.16.840.1.101.3.4.2.1"): 32,
    der.object_identifier("2.16.840.1.101.3.4.2.2"): 48,
    der.object_identifier("2.16.840.1.101.3.4.2.3"): 64,
    der.object_identifier("2.16.840.1.101.3.4.2.8"): 32,  # SHA3-256
    der.object_identifier("2.16.840.1.101.3.4.2.10"): 64,  # SHA3-512
    der.object_identifier("1.2.156.10197.1.401"): 32,  # SM3
}


class Failure(IntEnum):
    """PKIFailureInfo bits of RFC 3161 §2.4.2."""

    BAD_ALG = 0
    BAD_REQUEST = 2
    BAD_DATA_FORMAT = 5
    TIME_NOT_AVAILABLE = 14
    UNACCEPTED_POLICY = 15
    UNACCEPTED_EXTENSION = 16
    SYSTEM_FAILURE = 25


class _Rejected(Exception):
    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(reason)
        self.failure = failure
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Credential:
    """The key and chain that sign tokens now; `sign` answers in CMS form."""

    kid: str
    algorithm: str
    sign: Callable[[bytes], bytes] = field(repr=False)
    chain: Sequence[bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Request:
    imprint: bytes
    nonce: bytes
    certificates: bool


class TimestampAuthority:
    """Stamps digests. `credential` is asked for each token and is expected to be quick.

    It is our own `TimeSource` (`external_time` is the other).
    """

    ours = True

    def __init__(self, credential: Callable[[], Credential], clock: Clock) -> None:
        self._credential = credential
        self._clock = clock
        self._template: _Template | None = None

    @property
    def anchors(self) -> Sequence[bytes]:
        """The root that every token leads to."""
        return self._credential().chain[-1:]

    def longest_token(self) -> int:
        """The longest token in bytes: certificates, and a signature of any row of the table."""
        return _TOKEN_ALONE + sum(len(each) for each in self._credential().chain[:-1])

    def stamp(self, digest: bytes, now: datetime, nonce: int | None = None) -> bytes:
        """A TimeStampToken (CMS ContentInfo, DER) over a SHA-256 digest, with certificates."""
        if len(digest) != 32:
            raise Malformed("a SHA-256 digest has 32 bytes")
        imprint = der.sequence(_SHA256_IMPRINT, der.octet_string(digest))
        encoded_nonce = b"" if nonce is None else der.integer(nonce)
        return self._current_template().token(imprint, now, encoded_nonce, certificates=True)

    def respond(self, request: bytes) -> bytes:
        """Answer a TimeStampReq with a TimeStampResp (§2.4). Never raises."""
        try:
            asked = _read_request(request)
            token = self._current_template().token(
                asked.imprint, self._clock(), asked.nonce, certificates=asked.certificates
            )
        except _Rejected as rejection:
            return _failed(rejection.failure, rejection.reason)
        except YinzhengError:
            return _failed(Failure.SYSTEM_FAILURE, "the time-stamp authority cannot sign now")
        return der.sequence(der.sequence(der.integer(0)), token)

    def _current_template(self) -> "_Template":
        credential = self._credential()
        template = self._template
        if template is None or template.credential.chain[0] != credential.chain[0]:
            template = self._template = _Template(credential)
        return template


class _Template:
    """A token with holes: everything that stays the same for one key and certificate."""

    def __init__(self, credential: Credential) -> None:
        row = algorithm(credential.algorithm)
        leaf = credential.chain[0]
        self.credential = credential
        self._digest = getattr(hashlib, row.digest)
        self._version = der.integer(3)
        self._digest_algorithms = der.set_of([row.digest_identifier])
        # Leaf and issuing authority; the root is for the verifier to have (RFC 5652 §5.1).
        self._certificates = der.tlv(0xA0, b"".join(sorted(credential.chain[:-1] or [leaf])))
        self._signer_head = der.integer(1) + x509.issuer_and_serial(leaf) + row.digest_identifier
        self._signer_tail = row.cms_identifier
        certificate_id = der.sequence(der.octet_string(hashlib.sha256(leaf).digest()))
        fixed = [
            _attribute(_ID_CONTENT_TYPE, _ID_TST_INFO),
            _attribute(_ID_SIGNING_CERTIFICATE_V2, der.sequence(der.sequence(certificate_id))),
        ]
        # The message digest has the same length each time, so its place in the SET OF is fixed.
        hole = _attribute(_ID_MESSAGE_DIGEST, der.octet_string(self._digest(b"").digest()))
        ordered = sorted([*fixed, hole])
        attributes = der.tlv(0x31, b"".join(ordered))
        size = self._digest().digest_size
        place = attributes.index(hole) + len(hole) - size
        self._before, self._after = attributes[:place], attributes[place + size :]

    def token(self, imprint: bytes, now: datetime, nonce: bytes, *, certificates: bool) -> bytes:
        info = _tst_info(imprint, now, nonce)
        attributes = self._before + self._digest(info).digest() + self._after
        signer = der.sequence(
            self._signer_head,
            b"\xa0" + attributes[1:],  # [0] IMPLICIT in the message, SET OF when signed
            self._signer_tail,
            der.octet_string(self.credential.sign(attributes)),
        )
        signed_data = der.sequence(
            self._version,
            self._digest_algorithms,
            der.sequence(_ID_TST_INFO, der.explicit(0, der.octet_string(info))),
            self._certificates if certificates else b"",
            der.tlv(0x31, signer),
        )
        return der.sequence(_ID_SIGNED_DATA, der.explicit(0, signed_data))


def _tst_info(imprint: bytes, now: datetime, nonce: bytes) -> bytes:
    """TSTInfo (§2.4.2): version, policy, imprint, serial, time, accuracy, nonce."""
    moment = now if now.tzinfo is UTC else now.astimezone(UTC)
    generated = (
        f"{moment.year:04}{moment.month:02}{moment.day:02}"
        f"{moment.hour:02}{moment.minute:02}{moment.second:02}Z"
    )
    return der.sequence(
        _TST_HEAD,
        imprint,
        der.integer(x509.new_serial()),
        der.tlv(0x18, generated.encode()),
        _ACCURACY,
        nonce,
    )


def _attribute(oid: bytes, value: bytes) -> bytes:
    return der.sequence(oid, der.tlv(0x31, value))


def _read_request(data: bytes) -> _Request:
    """TimeStampReq (§2.4.1), strictly DER; what cannot be honoured is rejected, not ignored."""
    try:
        return _parsed(data)
    except Malformed as problem:
        raise _Rejected(Failure.BAD_DATA_FORMAT, problem.detail) from None


def _parsed(data: bytes) -> _Request:
    if len(data) > MAX_REQUEST:
        raise _Rejected(Failure.BAD_REQUEST, "the request is too long")
    tag, content, end = der.read(data)
    if tag != 0x30 or end != len(data):
        raise Malformed("the request is not one SEQUENCE")
    elements = der.read_all(content)
    if len(elements) < 2 or elements[0][0] != 0x02 or elements[1][0] != 0x30:
        raise Malformed("the request has no version or no message imprint")
    if elements[0][1] != b"\x01":
        raise _Rejected(Failure.BAD_REQUEST, "only version 1 of the request is known")
    _check_imprint(elements[1][1])
    return _options(elements[1][2], elements[2:])


def _options(imprint: bytes, rest: Sequence[tuple[int, bytes, bytes]]) -> _Request:
    """reqPolicy, nonce, certReq, extensions: all optional, in this order."""
    nonce, certificates, last = b"", False, -1
    order = (0x06, 0x02, 0x01, 0xA0)
    for tag, content, encoded in rest:
        position = order.index(tag) if tag in order else -1
        if position <= last:
            raise Malformed("the request has a field that is unknown or out of order")
        last = position
        if tag == 0x06 and encoded != _POLICY:
            raise _Rejected(Failure.UNACCEPTED_POLICY, f"the only policy here is {POLICY}")
        if tag == 0xA0:
            raise _Rejected(Failure.UNACCEPTED_EXTENSION, "no extension is supported")
        if tag == 0x02:
            nonce = _checked_nonce(content, encoded)
        if tag == 0x01:
            certificates = _boolean(content)
    return _Request(imprint, nonce, certificates)


def _check_imprint(content: bytes) -> None:
    parts = der.read_all(content)
    if [tag for tag, _, _ in parts] != [0x30, 0x04]:
        raise Malformed("the message imprint is not an algorithm and a digest")
    length = _DIGESTS.get(der.read_digest_algorithm(parts[0][1]))
    if length is None:
        raise _Rejected(Failure.BAD_ALG, "the digest algorithm is not accepted")
    if len(parts[1][1]) != length:
        raise Malformed("the digest does not have the length of its algorithm")


def _checked_nonce(content: bytes, encoded: bytes) -> bytes:
    if len(content) > _MAX_NONCE:
        raise Malformed("the nonce has more than 64 bytes")
    der.read_integer(content)
    return encoded


def _boolean(content: bytes) -> bool:
    if content not in {b"\xff", b"\x00"}:
        raise Malformed("certReq is not a DER BOOLEAN")
    return content == b"\xff"


def _failed(failure: Failure, reason: str) -> bytes:
    status = der.sequence(
        der.integer(2),
        der.sequence(der.utf8_string(reason)),
        der.named_bits(failure),
    )
    return der.sequence(status)
