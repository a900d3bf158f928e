"""CMS signatures as PAdES and CAdES want them, put together from parts encoded once per key.

Of a whole SignedData only the document's digest, the signature value and the time-stamp token
change from seal to seal; a `SignerTemplate` holds the rest as DER, so a signature costs a few joins
instead of a tree of objects.

- The signed attributes are contentType, messageDigest, ESS signing-certificate-v2 and
  CMSAlgorithmProtection, in DER order. PAdES has no signingTime there: it claims the time in /M of
  the signature dictionary (EN 319 142-1 §6.3), and proves it by time-stamp.
- The time-stamp token sits in the unsigned attribute signature-time-stamp and covers the signature
  value (EN 319 122-1 §5.3): with it a PAdES signature is of level B-T.
- `read_signed_data` accepts exactly one signer, each attribute once, and nothing left over.

Standards: RFC 5652, RFC 5035 (ESS), RFC 5754 and RFC 8419 (algorithms), RFC 6211, RFC 3161.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from foundation.errors import Malformed
from keys.encoding.algorithms import ALGORITHMS, Algorithm
from keys.encoding.der import (
    explicit,
    integer,
    object_identifier,
    octet_string,
    read,
    read_all,
    read_time,
    sequence,
    time,
    tlv,
)
from keys.encoding.x509 import issuer_and_serial

DATA = object_identifier("1.2.840.113549.1.7.1")
SIGNED_DATA = object_identifier("1.2.840.113549.1.7.2")
TST_INFO = object_identifier("1.2.840.113549.1.9.16.1.4")
CONTENT_TYPE = object_identifier("1.2.840.113549.1.9.3")
SIGNING_TIME = object_identifier("1.2.840.113549.1.9.5")
MESSAGE_DIGEST = object_identifier("1.2.840.113549.1.9.4")
ALGORITHM_PROTECTION = object_identifier("1.2.840.113549.1.9.52")
SIGNING_CERTIFICATE_V2 = object_identifier("1.2.840.113549.1.9.16.2.47")
SIGNATURE_TIME_STAMP = object_identifier("1.2.840.113549.1.9.16.2.14")

_HASHES = {
    object_identifier("2.16.840.1.101.3.4.2.1"): "sha256",
    object_identifier("2.16.840.1.101.3.4.2.3"): "sha512",
}
_LARGEST_SIGNATURE = 512  # RSA-4096
_MOST_PARTS = 1000  # certificates of a signature, say
_HEADERS = 160  # tags and lengths around everything


@dataclass(frozen=True, slots=True)
class SignerTemplate:
    """Everything of a detached SignedData that does not change while key and chain stay."""

    algorithm: Algorithm
    attributes_before: bytes
    attributes_after: bytes
    data_head: bytes
    signer_head: bytes

    @classmethod
    def of(
        cls, chain: Sequence[bytes], algorithm: str, signing_time: datetime | None = None
    ) -> "SignerTemplate":
        """`chain`: DER certificates, the signer's first, the root (left out) last.

        CAdES claims the time in the signature itself (EN 319 122-1 §5.2.1): `signing_time`.
        """
        row = ALGORITHMS[algorithm]
        claimed = [_attribute(SIGNING_TIME, time(signing_time))] if signing_time else []
        before, after = _attribute_parts(chain[0], row, claimed)
        embedded = chain[:-1] or chain
        return cls(
            algorithm=row,
            attributes_before=before,
            attributes_after=after,
            data_head=integer(1)
            + tlv(0x31, row.digest_identifier)
            + sequence(DATA)
            + explicit(0, b"".join(sorted(embedded))),
            signer_head=integer(1) + issuer_and_serial(chain[0]) + row.digest_identifier,
        )

    def signed_attributes(self, digest: bytes) -> bytes:
        """The SET OF that is signed (RFC 5652 §5.4); `digest` is the document's."""
        return tlv(0x31, self.attributes_before + digest + self.attributes_after)

    def assemble(self, signed_attributes: bytes, signature: bytes, token: bytes = b"") -> bytes:
        """ContentInfo DER; `token` is a TimeStampToken over `signature`, or nothing."""
        stamped = b""
        if token:
            stamped = tlv(0xA1, sequence(SIGNATURE_TIME_STAMP, tlv(0x31, token)))
        signer = sequence(
            self.signer_head,
            b"\xa0" + signed_attributes[1:],  # [0] IMPLICIT in the message, SET OF when signed
            self.algorithm.cms_identifier,
            octet_string(signature),
            stamped,
        )
        return sequence(SIGNED_DATA, explicit(0, sequence(self.data_head, tlv(0x31, signer))))

    def longest_signature(self, token_size: int) -> int:
        """Bytes enough for any signature of this template with a token of `token_size` bytes."""
        attributes = len(self.attributes_before) + 64 + len(self.attributes_after)
        fixed = len(self.data_head) + len(self.signer_head) + len(self.algorithm.cms_identifier)
        return fixed + attributes + _LARGEST_SIGNATURE + _HEADERS + token_size


def with_token(encoded: bytes, token: bytes) -> bytes:
    """The same signature with a time-stamp token; what is signed does not change.

    Raises `Malformed` when it is not a signature, or has unsigned attributes already.
    """
    (body,) = _parts(_parts(encoded, 2)[1], 1, 0xA0)
    *before, signers = _parts(body)
    (signer,) = _parts(signers, 1, 0x31)
    stamped = tlv(0xA1, sequence(SIGNATURE_TIME_STAMP, tlv(0x31, token)))
    signer = sequence(*_parts(signer, 6), stamped)
    return sequence(SIGNED_DATA, explicit(0, sequence(*before, tlv(0x31, signer))))


def _attribute_parts(
    certificate: bytes, row: Algorithm, more: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """The sorted attributes around the one value that changes; all have fixed lengths."""
    size = hashlib.new(row.digest).digest_size
    ess = sequence(sequence(sequence(octet_string(hashlib.sha256(certificate).digest()))))
    protection = sequence(row.digest_identifier, tlv(0xA1, _content(row.cms_identifier)))
    digest = _attribute(MESSAGE_DIGEST, octet_string(bytes(size)))
    encoded = sorted(
        (
            _attribute(CONTENT_TYPE, DATA),
            digest,
            _attribute(SIGNING_CERTIFICATE_V2, ess),
            _attribute(ALGORITHM_PROTECTION, protection),
            *more,
        )
    )
    place = encoded.index(digest)
    before = b"".join(encoded[:place]) + digest[:-size]
    return before, b"".join(encoded[place + 1 :])


def _attribute(kind: bytes, value: bytes) -> bytes:
    return sequence(kind, tlv(0x31, value))


# --- reading ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SignedData:
    """A SignedData with its one signer, taken apart; nothing about it is verified yet."""

    content_type: bytes
    content: bytes | None
    certificates: tuple[bytes, ...]
    signer_id: bytes
    algorithm: Algorithm
    attributes: dict[bytes, bytes]
    signed_attributes: bytes
    signature: bytes
    unsigned: dict[bytes, bytes]

    def signer_certificate(self) -> bytes:
        """The embedded certificate that the signer names; `Malformed` when it is not there."""
        for certificate in self.certificates:
            if issuer_and_serial(certificate) == self.signer_id:
                return certificate
        raise Malformed("the signer's certificate is not in the signature")

    def binds(self, certificate: bytes) -> bool:
        """Whether the signed attributes name exactly this certificate (RFC 5035 §3)."""
        value = self.attributes.get(SIGNING_CERTIFICATE_V2)
        if value is None:
            return False
        first, *rest = _parts(_parts(_parts(value)[0])[0])
        hash_name = "sha256"  # the DEFAULT of ESSCertIDv2
        if first[0] == 0x30:
            hash_name = _HASHES.get(_parts(first)[0], "")
            first = rest[0]
        if not hash_name:
            return False
        return _content(first, 0x04) == hashlib.new(hash_name, certificate).digest()

    def claimed_time(self) -> datetime | None:
        """The signingTime attribute's value."""
        value = self.attributes.get(SIGNING_TIME)
        return None if value is None else read_time(*read(value)[:2])

    def message_digest(self) -> bytes:
        """The messageDigest attribute's value."""
        if MESSAGE_DIGEST not in self.attributes:
            raise Malformed("no messageDigest attribute")
        return _content(self.attributes[MESSAGE_DIGEST], 0x04)


def read_signed_data(encoded: bytes) -> SignedData:
    """Take a ContentInfo with one signer apart; `Malformed` for anything out of the ordinary."""
    try:
        return _read(encoded)
    except (IndexError, ValueError):
        raise Malformed("a part of the signature is missing") from None


def _read(encoded: bytes) -> SignedData:
    kind, wrapped = _parts(encoded, 2)
    if kind != SIGNED_DATA:
        raise Malformed("not a CMS SignedData")
    (body,) = _parts(wrapped, 1, 0xA0)
    parts = _parts(body)
    if len(parts) < 4:
        raise Malformed("an unexpected SignedData")
    content_type, content = _encapsulated(parts[2])
    if parts[0] != integer(1 if content_type == DATA else 3):  # RFC 5652 §5.1
        raise Malformed("an unexpected version of SignedData")
    (signer,) = _parts(parts[-1], 1, 0x31)
    if _parts(signer)[2] not in _parts(parts[1], tag=0x31):
        raise Malformed("the signer's digest is not among the digest algorithms")
    sets = [part for part in parts[3:-1] if part[0] == 0xA0]
    certificates = _parts(sets[0], tag=0xA0) if sets else []
    return _signer(signer, content_type, content, tuple(certificates))


def _encapsulated(info: bytes) -> tuple[bytes, bytes | None]:
    kind, *wrapped = _parts(info)
    if not wrapped:
        return kind, None
    (octets,) = _parts(wrapped[0], 1, 0xA0)
    return kind, _content(octets, 0x04)


def _signer(
    signer: bytes, content_type: bytes, content: bytes | None, certificates: tuple[bytes, ...]
) -> SignedData:
    parts = _parts(signer)
    if len(parts) not in (6, 7) or parts[0] != integer(1) or parts[3][0] != 0xA0:
        raise Malformed("an unexpected SignerInfo")
    _version, signer_id, digest, attributes, algorithm, signature, *unsigned = parts
    return SignedData(
        content_type=content_type,
        content=content,
        certificates=certificates,
        signer_id=signer_id,
        algorithm=_algorithm(digest, algorithm),
        attributes=_attributes(attributes, 0xA0),
        signed_attributes=b"\x31" + attributes[1:],
        signature=_content(signature, 0x04),
        unsigned=_attributes(unsigned[0], 0xA1) if unsigned else {},
    )


def _algorithm(digest: bytes, signature: bytes) -> Algorithm:
    """The row that both identifiers name; a NULL parameter behind the hash is tolerated."""
    hash_name = _HASHES.get(_parts(digest)[0])
    for row in ALGORITHMS.values():
        if row.digest == hash_name and signature in (row.cms_identifier, row.x509_identifier):
            return row
    raise Malformed("a signature algorithm that is not on the list")


def _attributes(encoded: bytes, tag: int) -> dict[bytes, bytes]:
    """OID to single value; an attribute that comes twice, or with two values, is refused."""
    found: dict[bytes, bytes] = {}
    for attribute in _parts(encoded, tag=tag):
        kind, values = _parts(attribute, 2)
        (value,) = _parts(values, 1, 0x31)
        if kind in found:
            raise Malformed("an attribute that comes twice")
        found[kind] = value
    return found


def _content(encoded: bytes, tag: int = 0x30) -> bytes:
    """The content of the one element that `encoded` is."""
    found, content, end = read(encoded)
    if found != tag or end != len(encoded):
        raise Malformed("not the DER element that belongs here")
    return content


def _parts(encoded: bytes, count: int | None = None, tag: int = 0x30) -> list[bytes]:
    """The encodings inside a constructed element, exactly `count` of them when given."""
    found = [whole for _tag, _inner, whole in read_all(_content(encoded, tag), _MOST_PARTS)]
    if count is not None and len(found) != count:
        raise Malformed(f"{count} DER parts expected, {len(found)} found")
    return found
