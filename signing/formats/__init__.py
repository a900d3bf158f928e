"""Two tables: the ways to sign a file, and the ways to write a certificate as a credential.

signature      what a signature format is: one interface, what it gets and what it answers
credential     the same for credential formats
pdf/           seals the PDFs we render (PAdES B-LT) and those of others, and reads seals back
cades          CMS beside any file
detached_jws   JWS beside any file
sd_jwt_vc/     SD-JWT VC credentials (`dc+sd-jwt`)
cwt_qr/        the compact signed text behind an offline QR code

A new format is a file here and its row below. Whatever lists formats, offers them or guesses one
asks the table at that moment.
"""

from collections.abc import Iterable
from typing import Final

from signing.formats import cwt_qr, sd_jwt_vc
from signing.formats.cades import CmsSignature
from signing.formats.credential import (
    CredentialContent,
    CredentialFormat,
    CredentialReading,
    CredentialRecord,
    CredentialSigner,
    says_all_of,
)
from signing.formats.cwt_qr import CwtQr
from signing.formats.detached_jws import JwsSignature
from signing.formats.pdf import PdfSignature
from signing.formats.sd_jwt_vc import SdJwtVc
from signing.formats.signature import (
    USUAL_BOX,
    SealingTask,
    SealPlace,
    SignatureFormat,
    judged,
)

# In the order in which they are offered, and in which they are asked whether bytes are theirs.
_SIGNATURES: Final[tuple[SignatureFormat, ...]] = (PdfSignature(), CmsSignature(), JwsSignature())
SIGNATURES: Final[dict[str, SignatureFormat]] = {each.name: each for each in _SIGNATURES}

_CREDENTIALS: Final[tuple[CredentialFormat, ...]] = (SdJwtVc(), CwtQr())
CREDENTIALS: Final[dict[str, CredentialFormat]] = {each.name: each for each in _CREDENTIALS}

# What vouches for a record whose type names no format that can.
USUAL_CREDENTIAL: Final = CREDENTIALS["dc+sd-jwt"]

# What a signature beside a file is taken for when no format recognises it.
UNMARKED: Final = SIGNATURES["cms"]


def recognised(data: bytes, *, beside: bool = False) -> SignatureFormat | None:
    """The format of a document that carries its signature, or of a signature `beside` a file."""
    found = (each for each in SIGNATURES.values() if each.recognises(data, beside=beside))
    return next(found, None)


def credential_format(data: bytes, *, is_code: bool) -> CredentialFormat | None:
    """The credential format of a stranger's file, or of the text of a QR code."""
    found = (each for each in CREDENTIALS.values() if each.is_code == is_code)
    return next((each for each in found if each.recognises(data)), None)


def chosen_credentials(formats: Iterable[str]) -> list[str]:
    """Which credentials a certificate of a type with these formats gets, in the order of making.

    The first one vouches for its record: the first of the type's that can, or the usual one.
    """
    wanted = [name for name in formats if name in CREDENTIALS]
    first = next((name for name in wanted if CREDENTIALS[name].vouches), USUAL_CREDENTIAL.name)
    return [first, *(name for name in wanted if name != first)]


__all__ = [
    "CREDENTIALS",
    "SIGNATURES",
    "UNMARKED",
    "USUAL_BOX",
    "USUAL_CREDENTIAL",
    "CredentialContent",
    "CredentialFormat",
    "CredentialReading",
    "CredentialRecord",
    "CredentialSigner",
    "SealPlace",
    "SealingTask",
    "SignatureFormat",
    "chosen_credentials",
    "credential_format",
    "cwt_qr",
    "judged",
    "recognised",
    "says_all_of",
    "sd_jwt_vc",
]
