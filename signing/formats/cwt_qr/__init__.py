"""The compact signed text behind an offline QR code (RFC 8392, RFC 9285).

code     issues and verifies
base45   bytes as the characters that a QR code packs best
"""

from signing.formats.cwt_qr import code

__all__ = ["code"]
