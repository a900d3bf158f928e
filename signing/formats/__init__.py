"""How each kind of document is sealed or signed, and read back; `SIGNATURES` is the table of kinds.

signature      what a signature format is: one interface, what it gets and what it answers
pdf/           seals the PDFs we render (PAdES B-LT) and those of others, and reads seals back
cades          CMS beside any file
detached_jws   JWS beside any file
sd_jwt_vc/     SD-JWT VC credentials (`dc+sd-jwt`)
cwt_qr/        the compact signed text behind an offline QR code

A new format is a file here and its row below. Whatever lists formats, offers them or guesses one
asks the table at that moment.
"""

from typing import Final

from signing.formats import cwt_qr, sd_jwt_vc
from signing.formats.cades import CmsSignature
from signing.formats.detached_jws import JwsSignature
from signing.formats.pdf import PdfSignature
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

# What a signature beside a file is taken for when no format recognises it.
UNMARKED: Final = SIGNATURES["cms"]


def recognised(data: bytes, *, beside: bool = False) -> SignatureFormat | None:
    """The format of a document that carries its signature, or of a signature `beside` a file."""
    found = (each for each in SIGNATURES.values() if each.recognises(data, beside=beside))
    return next(found, None)


__all__ = [
    "SIGNATURES",
    "UNMARKED",
    "USUAL_BOX",
    "SealPlace",
    "SealingTask",
    "SignatureFormat",
    "cwt_qr",
    "judged",
    "recognised",
    "sd_jwt_vc",
]
