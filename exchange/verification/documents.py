"""What a file or a QR code says of itself, read before the register is asked.

    a sealed PDF          four checks by `signing`, and the credential attached inside
    a credential (text)   the SD-JWT VC itself, whole or with claims left out by the holder
    an offline code       "YZ1:…", a COSE signature over a few facts
    a link                "https://…/v/{token}", printed on the certificate or shown for a minute

Nothing here decides: it names a certificate and reports checks. A signature of ours comes first:
what has none (an ordinary letter, a picture, a stranger's credential) is not ours, nothing it says
is believed or looked up, and no check passes. What has one and is not what was signed was altered.
Whatever a file claims is then compared with the register, word for word; times of validity are the
register's alone, so a code that has run out is "expired" and not "forged".
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509

from certificates import CertificateRecord, starts
from exchange import rules
from exchange.verification.decisions import HandedIn
from foundation.canonical import b64url_decode
from foundation.errors import YinzhengError
from keys import Keys, UnknownKey
from keys.encoding.jose import VerificationKey, parse_object
from signing import (
    PUBLIC,
    Budget,
    Check,
    CredentialRefused,
    Signing,
    Validation,
)
from signing.formats.cwt_qr import code as cwt_qr
from signing.formats.sd_jwt_vc import credential as sd_jwt_vc

QR_USE: Final = "certificates.qr"
NOT_OURS: Final = HandedIn({"integrity": rules.NO_DOCUMENT}, ours=False)
_ALTERED: Final = HandedIn({"integrity": rules.FAIL["integrity", "document_altered"]})
_ANY_SEAL: Final = "seal/"
_WHENEVER: Final = timedelta(days=400 * 365)  # the register, not the document, says what ran out
_TOKEN_LENGTH: Final = 64
_DOCUMENT_PASSED: Final[Mapping[str, Check]] = {
    "integrity": rules.PASS["document_intact"],
    "seal": rules.PASS["seal_valid"],
    "authority": rules.PASS["authority_confirmed"],
    "time": rules.PASS["time_confirmed"],
}
# (check, signing's code or result) → our reason code
_DOCUMENT_CODES: Final = {
    ("integrity", "fail"): "document_altered",
    ("integrity", "unknown"): rules.NOT_CHECKED,
    ("seal", "seal_not_valid_then"): "seal_outside_period",
    ("seal", "fail"): "seal_not_in_force",
    ("seal", "unknown"): "seal_unknown",
    ("authority", "fail"): "authority_unknown",
    ("authority", "unknown"): "authority_unknown",
    ("time", "time_in_future"): "time_in_future",
    ("time", "fail"): "time_not_confirmed",
    ("time", "unknown"): "time_not_confirmed",
}
# What an offline code says → what the record calls it.
_CODE_CLAIMS: Final = {
    "id": "identifier",
    "number": "number",
    "holder": "holder_name",
    "by": "authority_name",
    "from": "valid_from",
    "until": "valid_until",
}


def read_document(
    signing: Signing, keys: Keys, data: bytes, now: datetime, budget: Budget = PUBLIC
) -> HandedIn:
    """What a file says. A PDF may take seconds (foreign ones are examined in their own process).

    Raises `Unavailable` when the `budget` of those who ask is spent.
    """
    if data.startswith(b"eyJ"):
        return _credential(keys, data.decode("ascii", "replace").strip(), now)
    validation = signing.validate_pdf(data, budget)
    if not _may_be_certificate(validation) or not (validation.kids or _bears_our_seal(keys, data)):
        return NOT_OURS
    return _pdf(validation)


def _may_be_certificate(validation: Validation) -> bool:
    """Whether the file is sealed as we seal certificates, or was; or could not be read so far.

    A department seals letters too: unaltered, such a document is what it is, and no certificate.
    """
    if not validation.kids:
        return validation.format != "cms"
    if validation.seal_id is None:
        return False
    return validation.ours or validation.check("integrity").result == "fail"


def _bears_our_seal(keys: Keys, data: bytes) -> bool:
    """Whether what cannot be read (any more) is a PDF with certificates of our authority in it.

    They name our root by the identifier of its key (RFC 5280 §4.2.1.1), as bytes in the evidence
    and in hexadecimal in the signature. It proves nothing: it tells a damaged certificate, about
    which the authority wants to hear, from the letter of somebody who took the wrong file.
    """
    root = x509.load_der_x509_certificate(keys.authority.certificate("root"))
    extension = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    name = extension.value.digest
    return b"endobj" in data and any(each in data for each in (name, name.hex().encode()))


def _pdf(validation: Validation) -> HandedIn:
    attached = next(filter(_looks_like_credential, validation.attachments.values()), b"")
    credential = attached.decode("ascii", "replace")
    return HandedIn(
        checks={check.name: _in_our_words(check) for check in validation.checks[:4]},
        identifier=_claimed_identifier(credential),
        credential=credential,
        seal_id=validation.seal_id or "",
    )


def _in_our_words(check: Check) -> Check:
    """The same result under one of our reason codes: `signing` tells a PDF's faults far apart, an
    officer needs to know which of the six questions failed."""
    if check.result == "pass":
        return _DOCUMENT_PASSED[check.name]
    code = (
        _DOCUMENT_CODES.get((check.name, check.code)) or _DOCUMENT_CODES[check.name, check.result]
    )
    return (rules.FAIL if check.result == "fail" else rules.UNKNOWN)[check.name, code]


def _credential(keys: Keys, text: str, now: datetime) -> HandedIn:
    """Signed by a seal of ours? Whether it may still say so, the register's own copy tells.

    A text that names no key of ours is not ours; one that names it and does not verify was altered,
    and so was one whose header is torn while the rest still names a certificate.
    """
    header = _claimed(text, 0)
    key = _seal_key(keys, header, _ANY_SEAL)
    if key is None:
        torn = not header and _claimed_identifier(text)
        return _ALTERED if torn else NOT_OURS
    try:
        verified = sd_jwt_vc.verify(text, key_for=lambda _header: key, now=now, leeway=_WHENEVER)
    except CredentialRefused:
        return _ALTERED
    identifier = str(verified.claims.get("identifier", ""))
    return HandedIn({"integrity": rules.PASS["document_intact"]}, identifier, text)


def read_code(keys: Keys, text: str, now: datetime) -> HandedIn:
    """What an offline code says."""
    try:
        verified = cwt_qr.verify(
            text, key_for=cwt_qr.trusted(keys, QR_USE), now=now, leeway=_WHENEVER
        )
    except CredentialRefused:
        return HandedIn({"integrity": rules.FAIL["integrity", "code_altered"]})
    checks = {"integrity": rules.PASS["code_intact"]}
    if verified.issued_at > now + rules.CLOCK_SKEW:
        checks["time"] = rules.UNKNOWN["time", "time_in_future"]
    claims = {name: str(value) for name, value in verified.claims.items()}
    facts = {theirs: claims[ours] for ours, theirs in _CODE_CLAIMS.items() if ours in claims}
    return HandedIn(checks=checks, identifier=claims.get("id", ""), facts=facts)


def is_offline_code(text: str) -> bool:
    return text.startswith(cwt_qr.PREFIX)


def token_of(text: str, public_url: str) -> str:
    """The token in a link of ours ("https://…/v/{token}" or "/v/{token}"), "" in any other text.

    A link to another host is not ours, however similar its path: who follows it is not asked here.
    """
    try:
        link, ours = urlsplit(text), urlsplit(public_url)
    except ValueError:
        return ""
    same_host = (link.scheme, link.netloc.lower()) in {
        ("", ""),
        (ours.scheme, ours.netloc.lower()),
    }
    prefix = ours.path.rstrip("/") + "/v/"
    token = link.path.removeprefix(prefix)
    if not same_host or not link.path.startswith(prefix) or len(token) > _TOKEN_LENGTH:
        return ""
    return "" if "/" in token or link.query or link.fragment else token


def vouched_by_credential(keys: Keys, record: CertificateRecord) -> bool:
    """Does a key of the record's own seal say, signed, exactly what the record says?

    Retired keys count: they signed while they were active. Dates are the register's business.
    """

    def key_for(header: Mapping[str, Any]) -> VerificationKey | None:
        return _seal_key(keys, header, f"{_ANY_SEAL}{record.seal_id}/")

    at = max(record.issued_at, starts(record.valid_from))
    try:
        claims = sd_jwt_vc.verify(
            record.credential, key_for=key_for, now=at, leeway=_WHENEVER
        ).claims
    except CredentialRefused:
        return False
    return record.is_intact and _same_words(claims, record)


def _seal_key(keys: Keys, header: Mapping[str, Any], uses: str) -> VerificationKey | None:
    """The key that a credential names, if its use begins with `uses`."""
    try:
        key = keys.find(str(header.get("kid", "")))
    except UnknownKey:
        return None
    return key.verification if f"{key.use}/".startswith(uses) else None


def _same_words(claims: Mapping[str, Any], record: CertificateRecord) -> bool:
    authority = claims.get("issuing_authority")
    code = authority.get("code") if isinstance(authority, Mapping) else authority
    return (
        claims.get("identifier") == record.identifier
        and code == record.issuing_authority
        and all(claims.get(name) == value for name, value in record.fields.items())
    )


def _looks_like_credential(data: bytes) -> bool:
    return data.startswith(b"eyJ") and b"~" in data


def _claimed_identifier(credential: str) -> str:
    """The identifier inside a credential: believed only under the seal of the PDF it is in."""
    identifier = _claimed(credential, 1).get("identifier")
    return identifier if isinstance(identifier, str) else ""


def _claimed(credential: str, part: int) -> Mapping[str, Any]:
    """Header (0) or payload (1) of a credential that nobody has verified: to find things by."""
    try:
        return parse_object(b64url_decode(credential.split("~")[0].split(".")[part]))
    except (YinzhengError, IndexError):
        return {}
