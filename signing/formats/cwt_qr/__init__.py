"""The compact signed text behind an offline QR code (RFC 8392, RFC 9285).

code     issues and verifies
base45   bytes as the characters that a QR code packs best
format   the row of the table

    cwt_qr.issue(keys, use, {"id": …}, iss=…, iat=now)
"""

from signing.formats.cwt_qr.code import (
    LONGEST,
    PREFIX,
    VerifiedQr,
    issue,
    short_id,
    trusted,
    verify,
)
from signing.formats.cwt_qr.format import QR_USE, CwtQr

__all__ = [
    "LONGEST",
    "PREFIX",
    "QR_USE",
    "CwtQr",
    "VerifiedQr",
    "issue",
    "short_id",
    "trusted",
    "verify",
]
