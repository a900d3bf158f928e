"""What a file or a QR code says of itself, read before the register is asked.

    a sealed PDF          four checks by `signing`, and the credential attached inside
    a credential (text)   the SD-JWT VC itself, whole or with claims left out by the holder
    an offline code       "YZ1:…", a COSE signature over a few facts
    a link                "https://…/v/{token}", printed on the certificate or shown for a minute

Nothing here decides: it names a certificate and reports checks. Whatever a file claims is compared
with the register afterwards, word for word; times of validity are the register's alone, so a code
that has run out is "expired" and not "forged".
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from certificates.models import CertificateRecord
from certificates.rules import starts
from exchange import rules
from exchange.decisions import HandedIn
from foundation.canonical import b64url_decode
from foundation.errors import YinzhengError
from keys import Keys
from keys.errors import UnknownKey
from keys.jose import VerificationKey, parse_object
from signing.errors import CredentialRefused
from signing.formats import cwt_qr, sd_jwt_vc
from signing.models import Check, Validation
from signing.service import Signing

QR_USE: Final = "certificates.qr"
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
    ("integrity", "not_a_pdf"): "no_document",
    ("integrity", "unreadable"): "no_document",
    ("integrity", "encrypted"): "no_document",
    ("integrity", "not_sealed"): "no_document",
    ("integrity", "fail"): "document_altered",
    ("integrity", "unknown"): rules.NOT_CHECKED,
    ("seal", "not_sealed"): "no_seal",
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


def read_document(signing: Signing, data: bytes) -> HandedIn:
    """What a file says. A PDF may take seconds (foreign ones are examined in their own process)."""
    if data.startswith(b"eyJ"):
        return _credential(data)
    return _pdf(signing.validate_pdf(data))


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


def _credential(data: bytes) -> HandedIn:
    """The signature is the register's own copy's: equal to it, word for word, is as good."""
    text = data.decode("ascii", "replace").strip()
    identifier = _claimed_identifier(text)
    integrity = rules.PASS["document_intact"] if identifier else rules.NO_DOCUMENT
    return HandedIn({"integrity": integrity}, identifier, text)


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
        checks["time"] = rules.FAIL["time", "time_in_future"]
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
        try:
            key = keys.find(str(header.get("kid", "")))
        except UnknownKey:
            return None
        ours = f"{key.use}/".startswith(f"seal/{record.seal_id}/")
        return key.verification if ours else None

    at = max(record.issued_at, starts(record.valid_from))
    try:
        claims = sd_jwt_vc.verify(
            record.credential, key_for=key_for, now=at, leeway=_WHENEVER
        ).claims
    except CredentialRefused:
        return False
    return record.is_intact and _same_words(claims, record)


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
    """The identifier inside a credential nobody has verified: only to find the record by."""
    try:
        payload = parse_object(b64url_decode(credential.split("~")[0].split(".")[1]))
    except (YinzhengError, IndexError):
        return ""
    identifier = payload.get("identifier")
    return identifier if isinstance(identifier, str) else ""
