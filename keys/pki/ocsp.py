"""OCSP: is this certificate of ours still good? (RFC 6960; the light profile of RFC 5019)

- What was signed before it was asked for is looked up first: one row, no key. A revocation removes
  that row in its own transaction.
- Otherwise the status is read from the database for each answer; only the signature is remembered,
  under exactly what it says, so a revocation is told at once and a busy responder signs once an
  hour.
- A responder is a key of its own with a certificate by the authority and id-pkix-ocsp-nocheck.
- A nonce (RFC 9654) is honoured with a fresh signature; without one the answer may be remembered.
- What is asked in a form we do not serve gets the error status of §4.2.1, never an exception.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final, Protocol

from foundation.bounded import Bounded
from foundation.clock import Clock
from foundation.errors import Malformed, YinzhengError
from keys.encoding import der, x509
from keys.encoding.algorithms import algorithm
from keys.encoding.x509 import RevocationReason
from keys.models import KeyCertificate

MAX_REQUEST: Final = 4_096
MAX_QUESTIONS: Final = 10
GOOD_FOR: Final = timedelta(hours=12)
_CAPACITY: Final = 10_000

_ID_BASIC = der.object_identifier("1.3.6.1.5.5.7.48.1.1")
_ID_NONCE = der.object_identifier("1.3.6.1.5.5.7.48.1.2")
_SHA1 = der.object_identifier("1.3.14.3.2.26")
_SHA256 = der.object_identifier("2.16.840.1.101.3.4.2.1")
# CertID hashes name an issuer; they protect nothing, and every client still sends SHA-1.
_HASHES: Final[Mapping[bytes, Callable[[bytes], bytes]]] = {
    _SHA1: lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    _SHA256: lambda data: hashlib.sha256(data).digest(),
}


class OcspStatus(IntEnum):
    """OCSPResponseStatus (§4.2.1)."""

    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    UNAUTHORIZED = 6


@dataclass(frozen=True, slots=True)
class Responder:
    """Who answers for one authority: its certificate, and a key with a certificate by it."""

    issuer_kid: str
    issuer: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    algorithm: str
    sign: Callable[[bytes], bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Status:
    """What the database says about a serial number of an authority, and since when."""

    known: bool
    revoked: bool = False
    since: datetime | None = None
    reason: RevocationReason | None = None


@dataclass(frozen=True, slots=True)
class PreparedResponse:
    """An OCSPResponse made in advance, and the digest of the CertID that it answers."""

    question: str
    der: bytes = field(repr=False)
    good_until: datetime


class Sources(Protocol):
    """What a responder needs to know; every method reads the present state."""

    def by_hash(self, key_hash: bytes) -> Responder | None:
        """Who answers for the authority whose key has this hash; None for strangers."""

    def by_kid(self, kid: str) -> Responder | None:
        """Who answers for the authority with this key; None for strangers."""

    def status(self, issuer_kid: str, serial: int) -> Status:
        """Whether the authority issued this serial number, and whether it was revoked."""

    def presigned(self, question: str, now: datetime) -> bytes | None:
        """The response (DER) signed before for this question, if it holds beyond `now`."""


@dataclass(frozen=True, slots=True)
class _Question:
    """One CertID; `encoded` is repeated in the answer."""

    encoded: bytes
    hash_oid: bytes
    name_hash: bytes
    key_hash: bytes
    serial: int


class OcspResponder:
    """Answers requests, and signs answers in advance."""

    def __init__(self, sources: Sources, clock: Clock) -> None:
        self._sources = sources
        self._clock = clock
        self._signed: Bounded[tuple[bytes, bytes], bytes] = Bounded(_CAPACITY)

    def respond(self, request: bytes) -> bytes:
        """Answer an OCSPRequest with an OCSPResponse. Never raises."""
        try:
            questions, nonce = _read_request(request)
            if not nonce and len(questions) == 1:
                made = self._sources.presigned(_digest(questions[0]), self._clock())
                if made is not None:
                    return made
            responder = self._responder_for(questions)
            if responder is None:
                return _refused(OcspStatus.UNAUTHORIZED)
            return self._answer(responder, questions, nonce)
        except Malformed:
            return _refused(OcspStatus.MALFORMED_REQUEST)
        except YinzhengError:
            return _refused(OcspStatus.TRY_LATER)

    def about(self, certificate: KeyCertificate, now: datetime) -> bytes:
        """A fresh OCSPResponse about one of our certificates, to be embedded in a document.

        Raises `Malformed` when its issuer has no responder (the root answers by its list only).
        """
        responder = self._sources.by_kid(certificate.issuer_kid)
        if responder is None:
            raise Malformed("the issuer of this certificate has no OCSP responder")
        question = _question_about(_SHA256, responder.issuer, certificate)
        return self._sign(responder, *self._facts(responder, [question], now), b"")

    def presign(
        self, responder: Responder, certificate: KeyCertificate, status: Status, now: datetime
    ) -> list[PreparedResponse]:
        """The answers to both ways in which clients ask about a certificate."""
        answers = []
        for oid in _HASHES:
            question = _question_about(oid, responder.issuer, certificate)
            signed = self._sign(responder, _single(question, status, now), now, b"")
            answers.append(PreparedResponse(_digest(question), signed, now + GOOD_FOR))
        return answers

    def _responder_for(self, questions: Sequence[_Question]) -> Responder | None:
        """The one whose authority issued everything that is asked about."""
        responder = self._sources.by_hash(questions[0].key_hash)
        if responder is None or not all(_names(each, responder.issuer) for each in questions):
            return None
        return responder

    def _answer(self, responder: Responder, questions: Sequence[_Question], nonce: bytes) -> bytes:
        now = self._clock()
        if nonce:
            return self._sign(responder, *self._facts(responder, questions, now), nonce)
        # Within one hour the same facts have the same bytes, and so the same signature is theirs.
        hour = now.replace(minute=0, second=0, microsecond=0)
        singles, at = self._facts(responder, questions, hour)
        known = (hashlib.sha256(singles).digest(), responder.certificate)
        return self._signed.get(known) or self._signed.put(
            known, self._sign(responder, singles, at, b"")
        )

    def _facts(
        self, responder: Responder, questions: Sequence[_Question], now: datetime
    ) -> tuple[bytes, datetime]:
        """The SingleResponses, and the time they hold: `now`, or when the latest became true."""
        statuses = [self._sources.status(responder.issuer_kid, each.serial) for each in questions]
        at = max([now, *(status.since for status in statuses if status.since is not None)])
        pairs = zip(questions, statuses, strict=True)
        return b"".join(_single(question, status, at) for question, status in pairs), at

    def _sign(self, responder: Responder, singles: bytes, now: datetime, nonce: bytes) -> bytes:
        """BasicOCSPResponse (§4.2.1) with the responder's certificate."""
        row = algorithm(responder.algorithm)
        data = der.sequence(
            der.explicit(2, der.octet_string(_key_hash(responder.certificate))),
            der.generalized_time(now),
            der.tlv(0x30, singles),
            der.explicit(1, der.sequence(nonce)) if nonce else b"",
        )
        basic = der.sequence(
            data,
            row.x509_identifier,
            der.bit_string(responder.sign(data)),
            der.explicit(0, der.sequence(responder.certificate)),
        )
        response = der.sequence(_ID_BASIC, der.octet_string(basic))
        return der.sequence(der.tlv(0x0A, b"\x00"), der.explicit(0, response))


def _single(question: _Question, status: Status, now: datetime) -> bytes:
    """SingleResponse; a serial number we never issued is "unknown", not "good" (§2.2)."""
    if not status.known:
        told = b"\x82\x00"
    elif not status.revoked or status.since is None:
        told = b"\x80\x00"
    else:
        code = x509.reason_code(status.reason)
        reason = b"" if code is None else der.explicit(0, der.tlv(0x0A, bytes((code,))))
        told = der.tlv(0xA1, der.generalized_time(status.since) + reason)
    return der.sequence(
        question.encoded,
        told,
        der.generalized_time(now),
        der.explicit(0, der.generalized_time(now + GOOD_FOR)),
    )


def key_hashes(certificate: bytes) -> list[bytes]:
    """The hashes by which OCSP may name the authority with this certificate."""
    return [digest(x509.public_key_bits(certificate)) for digest in _HASHES.values()]


def _digest(question: _Question) -> str:
    """Names a CertID by what it means: NULL or absent hash parameters are the same question."""
    parts = (question.hash_oid, question.name_hash, question.key_hash)
    meant = b"|".join(part.hex().encode() for part in parts) + f"|{question.serial:x}".encode()
    return hashlib.sha256(meant).hexdigest()


def _question_about(oid: bytes, issuer: bytes, certificate: KeyCertificate) -> _Question:
    """The CertID as clients write it: with NULL parameters, although RFC 5754 §2 prefers none."""
    name_hash = _HASHES[oid](x509.subject_of(issuer))
    key_hash = _HASHES[oid](x509.public_key_bits(issuer))
    serial = int(certificate.serial, 16)
    encoded = der.sequence(
        der.sequence(oid, der.NULL),
        der.octet_string(name_hash),
        der.octet_string(key_hash),
        der.integer(serial),
    )
    return _Question(encoded, oid, name_hash, key_hash, serial)


def _names(question: _Question, issuer: bytes) -> bool:
    digest = _HASHES[question.hash_oid]
    return question.name_hash == digest(x509.subject_of(issuer)) and question.key_hash == digest(
        x509.public_key_bits(issuer)
    )


def _key_hash(certificate: bytes) -> bytes:
    """ResponderID byKey is SHA-1 by definition (§4.2.1)."""
    return hashlib.sha1(x509.public_key_bits(certificate), usedforsecurity=False).digest()


def _read_request(data: bytes) -> tuple[list[_Question], bytes]:
    """OCSPRequest (§4.1.1): the questions, and the nonce extension as it was sent."""
    if len(data) > MAX_REQUEST:
        raise Malformed("the request is too long")
    tag, content, end = der.read(data)
    if tag != 0x30 or end != len(data):
        raise Malformed("the request is not one SEQUENCE")
    tbs = der.read_all(content)
    # A signature of the requester (optional) is not looked at: everybody may ask.
    if not tbs or tbs[0][0] != 0x30 or len(tbs) > 2:
        raise Malformed("the request has no body")
    lists, nonce = [], b""
    for tag, inner, _ in der.read_all(tbs[0][1]):
        if tag == 0x30:
            lists.append(inner)
        elif tag == 0xA2:
            nonce = _nonce_in(inner)
        elif tag not in {0xA0, 0xA1}:
            raise Malformed("the request has an unknown field")
    if len(lists) != 1:
        raise Malformed("the request has no list of questions")
    questions = [_question(each) for tag, each, _ in der.read_all(lists[0])]
    if not 1 <= len(questions) <= MAX_QUESTIONS:
        raise Malformed("the request asks nothing or too much")
    return questions, nonce


def _question(request: bytes) -> _Question:
    fields = der.read_all(request)
    if not fields or fields[0][0] != 0x30:
        raise Malformed("a question has no CertID")
    parts = der.read_all(fields[0][1])
    if [tag for tag, _, _ in parts] != [0x30, 0x04, 0x04, 0x02]:
        raise Malformed("a CertID has four parts")
    hash_oid = der.read_digest_algorithm(parts[0][1])
    if hash_oid not in _HASHES:
        raise Malformed("the hash of a CertID is SHA-1 or SHA-256")
    return _Question(
        encoded=fields[0][2],
        hash_oid=hash_oid,
        name_hash=parts[1][1],
        key_hash=parts[2][1],
        serial=der.read_integer(parts[3][1]),
    )


def _nonce_in(extensions: bytes) -> bytes:
    """The nonce extension, to be repeated; 1 to 128 bytes in an OCTET STRING (RFC 9654 §2.1)."""
    _, content, _ = der.read(extensions)
    for tag, inner, _ in der.read_all(content):
        parts = der.read_all(inner)
        if tag != 0x30 or not parts or parts[0][2] != _ID_NONCE:
            continue
        if [each[0] for each in parts] != [0x06, 0x04] or not 1 <= len(parts[1][1]) <= 130:
            raise Malformed("the nonce has 1 to 128 bytes")
        return der.sequence(_ID_NONCE, parts[1][2])
    return b""


def _refused(refusal: OcspStatus) -> bytes:
    return der.sequence(der.tlv(0x0A, bytes((refusal,))))
