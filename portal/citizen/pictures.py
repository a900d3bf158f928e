"""QR codes, out and in: drawn as SVG for the screen, read from a photo on the server.

A photo is untrusted input (attack 45): the byte limit is checked before anything is opened, the
pixel limit from the header before a single pixel is decoded, and only three formats are opened.
The reader sees at most 2,000 pixels a side, which keeps one photo under 0.2 s of one core.
"""

import io
from typing import Any

import zxingcpp
from markupsafe import Markup
from PIL import Image, UnidentifiedImageError
from qrcode.constants import ERROR_CORRECT_M
from qrcode.main import QRCode

from portal.frame.errors import PhotoTooLarge, PhotoUnreadable, PhotoWithoutCode

MAX_PHOTO_BYTES = 8 * 1024 * 1024
MAX_PHOTO_PIXELS = 20_000_000
_READ_SIDE = 2000
_FORMATS = ("JPEG", "PNG", "WEBP")
_QUIET = 4  # modules of white around a symbol (ISO/IEC 18004 §5.3.8)


def qr_svg(text: str, label: str) -> Markup:
    """The QR code of `text` as an inline SVG that scales, with `label` as its name."""
    code: Any = QRCode(error_correction=ERROR_CORRECT_M, border=_QUIET)
    code.add_data(text)
    rows = code.get_matrix()
    path = "".join(
        f"M{x} {y}h1v1h-1Z" for y, row in enumerate(rows) for x, dark in enumerate(row) if dark
    )
    return Markup(
        '<svg class="qr" viewBox="0 0 {side} {side}" role="img" aria-label="{label}" '
        'shape-rendering="crispEdges" xmlns="http://www.w3.org/2000/svg">'
        '<rect width="100%" height="100%" fill="#fff"/><path d="{path}" fill="#000"/></svg>'
    ).format(side=len(rows), label=label, path=path)


def read_qr(photo: bytes) -> str:
    """The text of the QR code in a photo.

    Raises `PhotoTooLarge`, `PhotoUnreadable` (not a picture) or `PhotoWithoutCode`.
    """
    if len(photo) > MAX_PHOTO_BYTES:
        raise PhotoTooLarge("the photo is larger than 8 MB", next_step="send a smaller photo")
    picture = _open(photo)
    found = zxingcpp.read_barcodes(
        picture, formats=zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
    )
    for barcode in found:
        if barcode.valid and barcode.text:
            return str(barcode.text)
    raise PhotoWithoutCode(
        "no QR code was found in the picture",
        next_step="take the photo again: straight on, in good light, the whole code visible",
    )


def _open(photo: bytes) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(photo), formats=_FORMATS)
        if picture.width * picture.height > MAX_PHOTO_PIXELS:
            raise PhotoTooLarge(
                "the photo has more than 20 million pixels", next_step="send a smaller photo"
            )
        picture.draft("L", (_READ_SIDE, _READ_SIDE))
        picture.thumbnail((_READ_SIDE, _READ_SIDE))
        return picture.convert("L")
    except Image.DecompressionBombError:
        raise PhotoTooLarge(
            "the photo has more than 20 million pixels", next_step="send a smaller photo"
        ) from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        raise PhotoUnreadable(
            "the file is not a JPEG, PNG or WebP picture", next_step="choose a photo"
        ) from None
