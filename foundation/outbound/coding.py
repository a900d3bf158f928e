"""Undo the content coding of a body, within a limit (RFC 9110 §8.4).

We ask for "identity", and some servers compress all the same, because a proxy in front of them does
it for everybody. A body that would grow beyond the limit is given up when it gets there: what a
compressed bomb holds is never in memory.
"""

import zlib
from typing import Final

_WITH_GZIP: Final = 16 + zlib.MAX_WBITS
_BARE: Final = -zlib.MAX_WBITS
_GZIP: Final = b"\x1f\x8b"


class NotDecoded(Exception):
    """The reason is fit for whoever sent the body."""


def decoded(body: bytes, coding: str, longest: int) -> bytes:
    """What the header Content-Encoding is undone to, at most `longest` bytes. Raises `NotDecoded`.

    Known are identity, gzip and deflate, one of them: more would only be of use to hide something.
    """
    named = [each.strip().lower() for each in coding.split(",")]
    applied = [each for each in named if each not in ("", "identity")]
    if not applied or not body:
        return body
    if applied in (["gzip"], ["x-gzip"]):
        return _gunzipped(body, longest)
    if applied == ["deflate"]:
        return _inflated(body, longest)
    raise NotDecoded("it is in a content coding that is not known here; send it without one")


def _gunzipped(body: bytes, longest: int) -> bytes:
    """RFC 1952 §2.2: one member after another."""
    whole = bytearray()
    rest = body
    while rest:
        if not rest.startswith(_GZIP):
            raise NotDecoded("it is not in the coding gzip that its header names")
        part, rest = _one(rest, _WITH_GZIP, longest - len(whole))
        whole += part
    return bytes(whole)


def _inflated(body: bytes, longest: int) -> bytes:
    """RFC 9110 §8.4.1.2: the zlib format; some send what is inside it, and are understood."""
    has_head = body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
    part, rest = _one(body, zlib.MAX_WBITS if has_head else _BARE, longest)
    if rest:
        raise NotDecoded("something follows what is compressed")
    return part


def _one(data: bytes, window: int, longest: int) -> tuple[bytes, bytes]:
    """One compressed stream, and what follows it."""
    stream = zlib.decompressobj(window)
    try:
        part = stream.decompress(data, longest + 1)
    except zlib.error:
        raise NotDecoded("its compression is damaged") from None
    if len(part) > longest:
        raise NotDecoded("it is too long when it is decompressed")
    if not stream.eof:
        raise NotDecoded("its compression ends too early")
    return part, stream.unused_data
