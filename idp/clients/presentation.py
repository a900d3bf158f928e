"""How a client presents itself to people: its logo, its policy, its terms (RFC 7591 §2).

- A logo is read once, when the client is registered or changed, through the same way out as every
  address of a client. It is drawn anew, so that what browsers get is a picture and nothing else: no
  comments, no second file behind it, no drawing that is a program (SVG). It is served by us, so
  nobody hears who is about to sign in where.
- Links are links: they are never fetched here.
"""

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from PIL import Image, UnidentifiedImageError

from foundation.errors import FieldError
from foundation.outbound import OutboundError, OutboundRefused, parse_url
from idp.models import LOCALES, Client

LINKS: Final = ("policy_uri", "tos_uri")
ACCEPTED: Final = "image/png, image/jpeg, image/webp"
MOST_PIXELS: Final = 4_000_000
SIDE: Final = 256  # pixels of a logo as it is kept: a square, white where the picture is not
LONGEST_LINK: Final = 2000
_FORMATS: Final = ("PNG", "JPEG", "WEBP")
# What decoders raise on bytes that are no picture; those of LookupError, TypeError and struct come
# from parts behind the pixels, which are read when the first pixel is.
_UNREADABLE: Final = (
    *(UnidentifiedImageError, OSError, EOFError, ValueError, SyntaxError),
    *(LookupError, TypeError, struct.error, zlib.error),
)


@dataclass(frozen=True, slots=True)
class Logo:
    """A client's logo as it is served: a square in PNG, and the name that its content gives it."""

    content: bytes
    digest: str


def drawn(content: bytes) -> Logo:
    """A picture drawn anew. What it is, its content says, whatever it was declared to be.

    The pixel limit is checked before a pixel is decoded. Of moving pictures the first one counts.
    Raises `OutboundError`, which says what is wrong.
    """
    try:
        picture = Image.open(io.BytesIO(content), formats=_FORMATS)
        if picture.width * picture.height > MOST_PIXELS:
            raise OutboundError(f"the picture has more than {MOST_PIXELS} pixels")
        picture.thumbnail((SIDE, SIDE))
        shown = picture.convert("RGBA")
    except (Image.DecompressionBombError, *_UNREADABLE):
        raise OutboundError("it is no PNG, JPEG or WebP picture; SVG is not shown") from None
    clean = Image.new("RGB", (SIDE, SIDE), "white")  # with none of what the file said of itself
    clean.paste(shown, ((SIDE - shown.width) // 2, (SIDE - shown.height) // 2), shown)
    out = io.BytesIO()
    clean.save(out, "PNG", optimize=True)
    return Logo(out.getvalue(), hashlib.sha256(out.getvalue()).hexdigest())


def link_problems(client: Client) -> list[FieldError]:
    """What is wrong with the links, each at its member and language."""
    return [
        FieldError(f"/{field}#{language}", "uri", problem)
        for field in LINKS
        for language, uri in getattr(client, field).items()
        if (problem := _link_problem(language, uri)) is not None
    ]


def _link_problem(language: str, uri: str) -> str | None:
    if language not in LOCALES:
        return f"the language is one of {', '.join(LOCALES)}"
    if len(uri) > LONGEST_LINK:
        return f"is longer than {LONGEST_LINK} characters"
    try:
        scheme, host, _, _ = parse_url(uri.partition("#")[0])
    except OutboundRefused as problem:
        return problem.detail
    if not uri.isascii() or not uri.isprintable() or any(c in ' "<>\\' for c in uri):
        return "has characters that a URI cannot have"
    local = host in ("localhost", "127.0.0.1", "::1")
    return "http to another machine; use https" if scheme == "http" and not local else None
