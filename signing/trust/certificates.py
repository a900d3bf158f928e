"""Is this signature by somebody our authority vouches for, and since when did it exist?

Three questions, each answered with a value or with `Doubt(code)`; validation turns doubts into
checks. Only our own, small world is known here: few roots, their issuing authorities, four
algorithms. Foreign documents go another way (`foreign_pdf`).

- A path runs from the certificate through embedded authorities to an anchor; every signature on it
  is verified, every authority is one (basic constraints, keyCertSign), and every certificate was
  valid at the moment in question (RFC 5280 §6.1).
- A time-stamp counts when its signer's certificate is for time-stamping only (RFC 3161 §2.3).
- "These exact certificates form a path" is remembered: it is a fact that cannot change.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from foundation.canonical import b64url
from foundation.errors import Malformed
from keys.encoding.algorithms import PublicKey
from keys.encoding.der import integer, object_identifier, read, read_all
from keys.encoding.jose import jwk_of, thumbprint
from signing import cms

# What a token may have hashed: authorities and signers choose it freely among the SHA-2 family.
_IMPRINTS = {
    object_identifier("2.16.840.1.101.3.4.2.1"): "sha256",
    object_identifier("2.16.840.1.101.3.4.2.2"): "sha384",
    object_identifier("2.16.840.1.101.3.4.2.3"): "sha512",
}
_LONGEST_PATH = 5
_REMEMBERED = 4096


class Doubt(Exception):
    """A question that could not be answered with yes; `code` is stable."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Stamp:
    """A verified time-stamp: the moment, and the certificates that stand behind it."""

    at: datetime
    certificate: bytes
    embedded: tuple[bytes, ...]


def verify_signer(signed: cms.SignedData, content_type: bytes, content_digest: bytes) -> bytes:
    """Verify a signature over content of this digest; answers the signer's certificate (DER).

    `Doubt`: digest_mismatch, signature_malformed, signature_wrong. The certificate is not yet
    trusted.
    """
    try:
        certificate = signed.signer_certificate()
        kind = signed.attributes.get(cms.CONTENT_TYPE)
        digest, bound = signed.message_digest(), signed.binds(certificate)
    except (Malformed, IndexError, ValueError) as problem:
        raise Doubt("signature_malformed", str(problem)) from None
    if kind != content_type or not bound:
        raise Doubt("signature_malformed", "the signed attributes are not those of a seal")
    if digest != content_digest:
        raise Doubt("digest_mismatch", "the content is not the content that was signed")
    try:
        verified = _verifies(certificate, signed)
    except ValueError as problem:
        detail = f"the certificate cannot be read, or its key not used: {problem}"
        raise Doubt("signature_malformed", detail[:300]) from None
    if not verified:
        raise Doubt("signature_wrong", "the signature does not match the certificate's key")
    return certificate


def verify_stamp(token: bytes, stamped: bytes) -> Stamp:
    """Verify an RFC 3161 token over the bytes `stamped`. `Doubt`: time_stamp_wrong."""
    try:
        signed = cms.read_signed_data(token)
        if signed.content_type != cms.TST_INFO or signed.content is None:
            raise Doubt("time_stamp_wrong", "the token holds no time-stamp")
        content_digest = hashlib.new(signed.algorithm.digest, signed.content).digest()
        certificate = verify_signer(signed, cms.TST_INFO, content_digest)
        at = _stamped_at(signed.content, stamped)
    except (Malformed, ValueError, IndexError) as problem:
        raise Doubt("time_stamp_wrong", str(problem)) from None
    except Doubt as doubt:
        raise Doubt("time_stamp_wrong", doubt.detail) from None
    if not _only_for_time_stamping(_certificate(certificate)):
        raise Doubt("time_stamp_wrong", "the token's certificate is not for time-stamping")
    return Stamp(at, certificate, signed.certificates)


def stamp_of(signed: cms.SignedData) -> tuple[Stamp | None, Doubt | None]:
    """The time-stamp of a signature, or why there is none."""
    token = signed.unsigned.get(cms.SIGNATURE_TIME_STAMP)
    if token is None:
        return None, Doubt("time_only_claimed", "the seal carries no time-stamp")
    try:
        return verify_stamp(token, signed.signature), None
    except Doubt as doubt:
        return None, doubt


def _stamped_at(info: bytes, stamped: bytes) -> datetime:
    """genTime of a TSTInfo (RFC 3161 §2.4.2) whose imprint is of these bytes."""
    tag, content, end = read(info)
    fields = read_all(content)
    if tag != 0x30 or end != len(info) or fields[0][2] != integer(1):
        raise Malformed("not a TSTInfo")
    algorithm, hashed = (part[2] for part in read_all(fields[2][1]))
    name = _IMPRINTS.get(read_all(read(algorithm)[1])[0][2], "")
    if not name:
        raise Doubt("time_stamp_wrong", "the token's digest is not one of SHA-256, 384 and 512")
    if read(hashed)[1] != hashlib.new(name, stamped).digest():
        raise Doubt("time_stamp_wrong", "the token stamps something else")
    moment = fields[4]
    if moment[0] != 0x18:
        raise Malformed("no genTime")
    text = moment[1].decode("ascii")
    pattern = "%Y%m%d%H%M%S.%fZ" if "." in text else "%Y%m%d%H%M%SZ"
    return datetime.strptime(text, pattern).replace(tzinfo=UTC)


# When the first of some certificates (serial number → DER) was revoked; None when all are good.
FirstRevoked = Callable[[Mapping[int, bytes]], datetime | None]
Path = tuple[x509.Certificate, ...]


class Trust:
    """Paths to a few anchors (DER certificates of our roots).

    `stamp_anchors` are the roots of an outside time-stamp authority; they vouch for certificates
    that are made for time-stamping only, and for no seal.
    """

    def __init__(
        self,
        anchors: Sequence[bytes],
        first_revoked: FirstRevoked = lambda _path: None,
        stamp_anchors: Sequence[bytes] = (),
    ) -> None:
        self.anchors = tuple(anchors)
        self._stamp_anchors = tuple(stamp_anchors)
        self._first_revoked = first_revoked
        self._paths: dict[tuple[bytes, ...], Path] = {}

    def confirm(self, certificate: bytes, embedded: Sequence[bytes], at: datetime) -> Path:
        """The path by which this certificate was vouched for at that moment.

        `Doubt`: authority_unknown, certificate_expired, certificate_not_yet_valid,
        certificate_revoked.
        """
        key = (certificate, *embedded)
        path = self._paths.get(key)
        if path is None:
            path = _path(certificate, embedded, self._anchors_for(certificate))
            while len(self._paths) >= _REMEMBERED:
                self._paths.pop(next(iter(self._paths)), None)
            self._paths[key] = path
        for member in path:
            if not member.not_valid_before_utc <= at <= member.not_valid_after_utc:
                began = member.not_valid_before_utc <= at
                code = "certificate_expired" if began else "certificate_not_yet_valid"
                raise Doubt(code, "a certificate was not valid at the time")
        since = self._first_revoked({each.serial_number: _der(each) for each in path[:-1]})
        if since is not None and since <= at:
            raise Doubt("certificate_revoked", f"a certificate was revoked on {since:%Y-%m-%d}")
        return path

    def _anchors_for(self, certificate: bytes) -> tuple[bytes, ...]:
        if self._stamp_anchors and _only_for_time_stamping(_certificate(certificate)):
            return self.anchors + self._stamp_anchors
        return self.anchors


def certificate_digest(certificate: bytes) -> str:
    """Base64url SHA-256 of a DER certificate: how the seal registry finds a version."""
    return b64url(hashlib.sha256(certificate).digest())


@lru_cache(maxsize=_REMEMBERED)
def public_key(certificate: bytes) -> PublicKey:
    """The key in a certificate. Raises `ValueError` when it is not one that we can use."""
    try:
        return _certificate(certificate).public_key()
    except UnsupportedAlgorithm as problem:
        raise ValueError(str(problem)) from None


def key_id(certificate: bytes) -> str:
    """The kid of the key in a certificate: its thumbprint (RFC 7638)."""
    return thumbprint(jwk_of(public_key(certificate)))


def common_name(certificate: bytes) -> str:
    """The subject's common name, or its whole name."""
    subject = _certificate(certificate).subject
    names = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else subject.rfc4514_string()


# --- paths ------------------------------------------------------------------------------------


def _path(certificate: bytes, embedded: Sequence[bytes], anchors: Sequence[bytes]) -> Path:
    try:
        trusted = [_certificate(anchor) for anchor in anchors]
        others = [_certificate(other) for other in embedded[:10]]
        path = [_certificate(certificate)]
        while len(path) <= _LONGEST_PATH:
            anchor = _issuer_among(trusted, path[-1])
            if anchor is not None:
                return (*path, anchor)
            issuer = _issuer_among(others, path[-1])
            if issuer is None or issuer in path:
                break
            path.append(issuer)
    except (ValueError, UnsupportedAlgorithm) as problem:
        raise Doubt("authority_unknown", f"a certificate cannot be read: {problem}") from None
    raise Doubt("authority_unknown", "no path leads from the certificate to our authority")


def _issuer_among(
    candidates: Sequence[x509.Certificate], issued: x509.Certificate
) -> x509.Certificate | None:
    for candidate in candidates:
        if candidate.subject == issued.issuer and _is_authority(candidate):
            try:
                issued.verify_directly_issued_by(candidate)
            except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
                continue
            return candidate
    return None


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
    return basic.value.ca and usage.value.key_cert_sign


def _only_for_time_stamping(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
    return usage.critical and list(usage.value) == [ExtendedKeyUsageOID.TIME_STAMPING]


@lru_cache(maxsize=_REMEMBERED)
def _certificate(der: bytes) -> x509.Certificate:
    """Raises `ValueError` for what is no certificate, or names nobody that can be read."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.subject.rfc4514_string()  # the library reads it as late as here
    except (x509.InvalidVersion, UnsupportedAlgorithm) as problem:
        raise ValueError(str(problem)) from None
    return certificate


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _verifies(certificate: bytes, signed: cms.SignedData) -> bool:
    """The signature over the signed attributes, by a key that goes with the algorithm."""
    key = public_key(certificate)
    row = signed.algorithm
    return row.accepts(key) and row.verify(key, signed.signature, signed.signed_attributes)
