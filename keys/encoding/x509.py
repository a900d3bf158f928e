"""X.509 certificates and revocation lists as bytes (RFC 5280). Pure: values in, DER out.

The signature comes as a function, so that a key may live anywhere and be of any algorithm of the
table; `cryptography`'s builders know neither hardware keys nor SM2.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from foundation.errors import Malformed
from keys.encoding import der


class RevocationReason(StrEnum):
    """CRLReason names of RFC 5280 §5.3.1 that we use."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "key_compromise"
    CA_COMPROMISE = "ca_compromise"
    AFFILIATION_CHANGED = "affiliation_changed"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessation_of_operation"
    PRIVILEGE_WITHDRAWN = "privilege_withdrawn"


DIGITAL_SIGNATURE, NON_REPUDIATION, KEY_CERT_SIGN, CRL_SIGN = 0, 1, 5, 6

# Subject attributes in the order they are written: name -> (OID, must be PrintableString).
_ATTRIBUTES: Final[Mapping[str, tuple[str, bool]]] = {
    "country_name": ("2.5.4.6", True),
    "state_or_province_name": ("2.5.4.8", False),
    "locality_name": ("2.5.4.7", False),
    "organization_name": ("2.5.4.10", False),
    "organization_identifier": ("2.5.4.97", False),
    "organizational_unit_name": ("2.5.4.11", False),
    "serial_number": ("2.5.4.5", True),
    "common_name": ("2.5.4.3", False),
}
_MAX_ATTRIBUTE = 200
_REASON_CODES: Final[Mapping[RevocationReason, int]] = {
    RevocationReason.KEY_COMPROMISE: 1,
    RevocationReason.CA_COMPROMISE: 2,
    RevocationReason.AFFILIATION_CHANGED: 3,
    RevocationReason.SUPERSEDED: 4,
    RevocationReason.CESSATION_OF_OPERATION: 5,
    RevocationReason.PRIVILEGE_WITHDRAWN: 9,
}


@dataclass(frozen=True, slots=True)
class Tbs:
    """What a certificate says, each part already DER except the plain values."""

    serial: int
    issuer: bytes
    subject: bytes
    spki: bytes
    not_before: datetime
    not_after: datetime
    extensions: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Revocation:
    """One line of a revocation list: serial number, since when, and why (RFC 5280 §5.1.2.6)."""

    serial: int
    at: datetime
    reason: RevocationReason


def certificate(tbs: Tbs, algorithm: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """A version 3 certificate (§4.1); `algorithm` is the signer's AlgorithmIdentifier."""
    return _signed(
        der.sequence(
            der.explicit(0, der.integer(2)),
            der.integer(tbs.serial),
            algorithm,
            tbs.issuer,
            der.sequence(der.time(tbs.not_before), der.time(tbs.not_after)),
            tbs.subject,
            tbs.spki,
            der.explicit(3, der.sequence(*tbs.extensions)),
        ),
        algorithm,
        sign,
    )


def crl(
    *,
    issuer: bytes,
    issuer_key_id: bytes,
    number: int,
    this_update: datetime,
    next_update: datetime,
    revocations: Iterable[Revocation],
    algorithm: bytes,
    sign: Callable[[bytes], bytes],
) -> bytes:
    """A full version 2 revocation list (§5.1)."""
    entries = b"".join(_revoked(each) for each in revocations)
    return _signed(
        der.sequence(
            der.integer(1),
            algorithm,
            issuer,
            der.time(this_update),
            der.time(next_update),
            # An empty list must be absent (§5.1.2.6).
            der.tlv(0x30, entries) if entries else b"",
            der.explicit(
                0,
                der.sequence(
                    authority_key_identifier(issuer_key_id),
                    extension("2.5.29.20", der.integer(number)),
                ),
            ),
        ),
        algorithm,
        sign,
    )


def name(attributes: Mapping[str, str]) -> bytes:
    """A distinguished name. Raises `Malformed` for unknown or empty attributes."""
    unknown = attributes.keys() - _ATTRIBUTES.keys()
    if unknown or not attributes:
        raise Malformed(f"a subject name has no attribute {min(unknown, default='at all')}")
    return der.sequence(
        *(
            _attribute(oid, printable, attributes[key], key)
            for key, (oid, printable) in _ATTRIBUTES.items()
            if key in attributes
        )
    )


def key_identifier(spki: bytes) -> bytes:
    """The leftmost 160 bits of the SHA-256 of the public key bits (RFC 7093 §2 method 1)."""
    return hashlib.sha256(_key_bits(spki)).digest()[:20]


def extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    """One Extension (RFC 5280 §4.1.2.9); `value` is the DER of what the OID defines."""
    flag = der.BOOLEAN_TRUE if critical else b""
    return der.sequence(der.object_identifier(oid), flag, der.octet_string(value))


def authority_constraints(path_length: int | None) -> bytes:
    """BasicConstraints of a certificate authority (§4.2.1.9)."""
    limit = b"" if path_length is None else der.integer(path_length)
    return extension("2.5.29.19", der.sequence(der.BOOLEAN_TRUE, limit), critical=True)


def end_entity_constraints() -> bytes:
    """BasicConstraints of a certificate that signs no others (§4.2.1.9)."""
    return extension("2.5.29.19", der.sequence(), critical=True)


def key_usage(*bits: int) -> bytes:
    """KeyUsage with these bits, numbered as in §4.2.1.3; critical."""
    return extension("2.5.29.15", der.named_bits(*bits), critical=True)


def extended_key_usage(*oids: str, critical: bool = False) -> bytes:
    """ExtendedKeyUsage: the OIDs of the purposes that the key is good for (§4.2.1.12)."""
    purposes = der.sequence(*(der.object_identifier(oid) for oid in oids))
    return extension("2.5.29.37", purposes, critical=critical)


def subject_key_identifier(identifier: bytes) -> bytes:
    """SubjectKeyIdentifier, from `key_identifier` (§4.2.1.2)."""
    return extension("2.5.29.14", der.octet_string(identifier))


def authority_key_identifier(identifier: bytes) -> bytes:
    """AuthorityKeyIdentifier by the issuer's key identifier alone (§4.2.1.1)."""
    return extension("2.5.29.35", der.sequence(der.tlv(0x80, identifier)))


def crl_distribution_point(url: str) -> bytes:
    """CRLDistributionPoints with one address (§4.2.1.13)."""
    full_name = der.explicit(0, der.explicit(0, _uri(url)))
    return extension("2.5.29.31", der.sequence(der.sequence(full_name)))


def authority_information(*, issuer_url: str, ocsp_url: str = "") -> bytes:
    """Where the issuer's certificate and its answers are (§4.2.2.1)."""
    places = [("1.3.6.1.5.5.7.48.2", issuer_url), ("1.3.6.1.5.5.7.48.1", ocsp_url)]
    return extension(
        "1.3.6.1.5.5.7.1.1",
        der.sequence(
            *(der.sequence(der.object_identifier(oid), _uri(url)) for oid, url in places if url)
        ),
    )


def ocsp_no_check() -> bytes:
    """An OCSP signer's own status is not asked for (RFC 6960 §4.2.2.2.1)."""
    return extension("1.3.6.1.5.5.7.48.1.5", der.NULL)


def new_serial() -> int:
    """A serial number nobody can guess: 16 bytes, positive, the same length each time."""
    return 1 << 126 | secrets.randbits(126)


def subject_of(certificate_der: bytes) -> bytes:
    """The subject name of a certificate, as its DER."""
    return _tbs_fields(certificate_der)[5]


def issuer_of(certificate_der: bytes) -> bytes:
    """The issuer name of a certificate, as its DER."""
    return _tbs_fields(certificate_der)[3]


def public_key_bits(certificate_der: bytes) -> bytes:
    """The value of subjectPublicKey without tag, length and unused bits (RFC 6960 §4.1.1)."""
    return _key_bits(_tbs_fields(certificate_der)[6])


def reason_code(reason: RevocationReason | None) -> int | None:
    """CRLReason (§5.3.1); None for unspecified, which is said by saying nothing."""
    return None if reason is None else _REASON_CODES.get(reason)


def issuer_and_serial(certificate_der: bytes) -> bytes:
    """IssuerAndSerialNumber, how CMS names a signer's certificate (RFC 5652 §10.2.4)."""
    fields = _tbs_fields(certificate_der)
    return der.sequence(fields[3], fields[1])


def _key_bits(spki: bytes) -> bytes:
    _, content, _ = der.read(spki)
    bits: bytes = der.read_all(content)[1][1]
    return bits[1:]


def _tbs_fields(certificate_der: bytes) -> list[bytes]:
    """The encoded fields of a version 3 TBSCertificate: version, serial, algorithm, issuer, …"""
    _, content, _ = der.read(certificate_der)
    _, tbs, _ = der.read(content)
    return [encoded for _, _, encoded in der.read_all(tbs)]


def _signed(tbs: bytes, algorithm: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    return der.sequence(tbs, algorithm, der.bit_string(sign(tbs)))


def _attribute(oid: str, printable: bool, value: str, key: str) -> bytes:
    if not 0 < len(value) <= _MAX_ATTRIBUTE or not value.isprintable():
        raise Malformed(f"the subject attribute {key} is empty, too long or not printable")
    if printable and not value.isascii():
        raise Malformed(f"the subject attribute {key} must be ASCII")
    text = der.tlv(0x13, value.encode()) if printable else der.utf8_string(value)
    return der.set_of([der.sequence(der.object_identifier(oid), text)])


def _revoked(revocation: Revocation) -> bytes:
    code = reason_code(revocation.reason)
    reason = b"" if code is None else extension("2.5.29.21", der.tlv(0x0A, bytes((code,))))
    return der.sequence(
        der.integer(revocation.serial),
        der.time(revocation.at),
        der.sequence(reason) if reason else b"",
    )


def _uri(url: str) -> bytes:
    return der.tlv(0x86, url.encode("ascii"))
