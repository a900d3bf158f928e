"""What a file or a QR code says of itself, read before the register is asked.

    a sealed PDF          four checks by `signing`, and the credential attached inside
    a credential          in any format of `CREDENTIALS`, such as an SD-JWT VC
    an offline code       the text of a QR code in such a format, "YZ1:…"
    a link                "https://…/v/{token}", printed on the certificate or shown for a minute

Nothing here decides: it names a certificate and reports checks. A signature of ours comes first:
what has none (an ordinary letter, a picture, a stranger's credential) is not ours, nothing it says
is believed or looked up, and no check passes. What has one and is not what was signed was altered.
Whatever a file claims is then compared with the register, word for word; times of validity are the
register's alone, so a code that has run out is "expired" and not "forged".
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509

from certificates import CertificateRecord, starts
from exchange import rules
from exchange.verification.decisions import HandedIn
from keys import Keys
from signing import (
    PUBLIC,
    Budget,
    Check,
    CredentialRefused,
    Signing,
    Validation,
)
from signing.formats import (
    CREDENTIALS,
    CredentialFormat,
    CredentialReading,
    credential_format,
    says_all_of,
)

NOT_OURS: Final = HandedIn({"integrity": rules.NO_DOCUMENT}, ours=False)
_ALTERED: Final = HandedIn({"integrity": rules.FAIL["integrity", "document_altered"]})
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


def read_document(
    signing: Signing, keys: Keys, data: bytes, now: datetime, budget: Budget = PUBLIC
) -> HandedIn:
    """What a file says. A PDF may take seconds (foreign ones are examined in their own process).

    Raises `Unavailable` when the `budget` of those who ask is spent.
    """
    if form := credential_format(data, is_code=False):
        return _credential(form, data, keys, now)
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
    said = _attached(validation)
    return HandedIn(
        checks={check.name: _in_our_words(check) for check in validation.checks[:4]},
        identifier=said.identifier if said else "",
        said=said,
        seal_id=validation.seal_id or "",
    )


def _attached(validation: Validation) -> CredentialReading | None:
    """What the credential in a PDF claims: believed only under the seal of the PDF it is in."""
    for data in validation.attachments.values():
        if form := credential_format(data, is_code=False):
            return form.claimed(data)
    return None


def _in_our_words(check: Check) -> Check:
    """The same result under one of our reason codes: `signing` tells a PDF's faults far apart, an
    officer needs to know which of the six questions failed."""
    if check.result == "pass":
        return _DOCUMENT_PASSED[check.name]
    code = (
        _DOCUMENT_CODES.get((check.name, check.code)) or _DOCUMENT_CODES[check.name, check.result]
    )
    return (rules.FAIL if check.result == "fail" else rules.UNKNOWN)[check.name, code]


def _credential(form: CredentialFormat, data: bytes, keys: Keys, now: datetime) -> HandedIn:
    """Signed by a key of ours? Whether it may still say so, the register's own copy tells."""
    try:
        said = form.read(data, keys, now)
    except CredentialRefused:
        return _ALTERED
    if said is None:
        return NOT_OURS
    return HandedIn({"integrity": rules.PASS["document_intact"]}, said.identifier, said)


def read_code(keys: Keys, text: str, now: datetime) -> HandedIn:
    """What an offline code says."""
    data = text.encode("utf-8", "replace")
    form = credential_format(data, is_code=True)
    try:
        said = form.read(data, keys, now) if form else None
    except CredentialRefused:
        said = None
    if said is None:
        return HandedIn({"integrity": rules.FAIL["integrity", "code_altered"]})
    checks = {"integrity": rules.PASS["code_intact"]}
    if said.issued_at and said.issued_at > now + rules.CLOCK_SKEW:
        checks["time"] = rules.UNKNOWN["time", "time_in_future"]
    return HandedIn(checks, said.identifier, said)


def is_offline_code(text: str) -> bool:
    """Whether the text has the form of a QR code that verifies offline."""
    return credential_format(text.encode("utf-8", "replace"), is_code=True) is not None


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
    form, data = CREDENTIALS.get(record.credential_format), record.credential.encode()
    if form is None or not form.vouches:
        return False
    try:
        said = form.read(data, keys, max(record.issued_at, starts(record.valid_from)))
    except CredentialRefused:
        return False
    if said is None or said.data != data or not said.is_by_seal(record.seal_id):
        return False
    return record.is_intact and says_all_of(said, record)
