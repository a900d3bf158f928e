"""DER by hand: the few primitives that certificates, time-stamps and CMS are made of (X.690 §10).

Building with a general ASN.1 library costs more than the signature it wraps; concatenating encoded
parts does not. Property tests compare every function here with asn1crypto.

    sequence(integer(1), octet_string(b"…"))
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from foundation.errors import Malformed

BOOLEAN_TRUE = b"\x01\x01\xff"
NULL = b"\x05\x00"


def tlv(tag: int, content: bytes) -> bytes:
    """One element with a single-byte tag and a definite length."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size, "big") + content


def sequence(*parts: bytes) -> bytes:
    """SEQUENCE of encoded parts (X.690 §8.9)."""
    return tlv(0x30, b"".join(parts))


def set_of(parts: Iterable[bytes]) -> bytes:
    """SET OF: the elements in ascending order of their encodings (X.690 §11.6)."""
    return tlv(0x31, b"".join(sorted(parts)))


def explicit(number: int, content: bytes) -> bytes:
    """[number] EXPLICIT, constructed."""
    return tlv(0xA0 | number, content)


def integer(value: int) -> bytes:
    """INTEGER in the fewest bytes, two's complement (X.690 §8.3)."""
    bits = (value if value >= 0 else ~value).bit_length()  # -128 fits into one byte, 128 does not
    return tlv(0x02, value.to_bytes(bits // 8 + 1, "big", signed=True))


def octet_string(content: bytes) -> bytes:
    """OCTET STRING (X.690 §8.7)."""
    return tlv(0x04, content)


def bit_string(content: bytes) -> bytes:
    """Whole bytes; no unused bits."""
    return tlv(0x03, b"\x00" + content)


def utf8_string(text: str) -> bytes:
    """UTF8String (X.690 §8.23)."""
    return tlv(0x0C, text.encode())


def object_identifier(dotted: str) -> bytes:
    """ "1.2.840…" in base 128, the first two arcs joined (X.690 §8.19)."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return tlv(0x06, b"".join(_base128(arc) for arc in (first * 40 + second, *rest)))


def generalized_time(moment: datetime) -> bytes:
    """Whole seconds, UTC, as RFC 5280 §4.1.2.5.2 wants it."""
    return tlv(0x18, moment.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode())


def time(moment: datetime) -> bytes:
    """UTCTime through 2049, GeneralizedTime from 2050 on (RFC 5280 §4.1.2.5)."""
    if moment.year >= 2050:
        return generalized_time(moment)
    return tlv(0x17, moment.astimezone(UTC).strftime("%y%m%d%H%M%SZ").encode())


def named_bits(*bits: int) -> bytes:
    """A BIT STRING of named bits: trailing zeros are left out (X.690 §11.2.2)."""
    value = bytearray(max(bits) // 8 + 1)
    for bit in bits:
        value[bit // 8] |= 0x80 >> bit % 8
    return tlv(0x03, bytes((7 - max(bits) % 8,)) + bytes(value))


def read(data: bytes, offset: int = 0) -> tuple[int, bytes, int]:
    """The element at `offset`: (tag, content, offset behind it). Raises `Malformed` if not DER."""
    if offset + 2 > len(data):
        raise Malformed("the DER element ends too early")
    tag, length, start = data[offset], data[offset + 1], offset + 2
    if tag & 0x1F == 0x1F:
        raise Malformed("DER tags of several bytes are not used here")
    if length >= 0x80:
        size = length & 0x7F
        octets = data[start : start + size]
        length = int.from_bytes(octets, "big")
        if not 1 <= size <= 4 or len(octets) != size or length < 0x80 or octets[0] == 0:
            raise Malformed("the DER length is not in its shortest form")
        start += size
    end = start + length
    if end > len(data):
        raise Malformed("the DER element ends too early")
    return tag, data[start:end], end


def read_all(data: bytes, most: int | None = None) -> list[tuple[int, bytes, bytes]]:
    """Every element of a constructed content: (tag, content, whole encoding).

    Raises `Malformed` above `most` elements: millions of empty ones cost seconds and gigabytes.
    """
    elements: list[tuple[int, bytes, bytes]] = []
    offset = 0
    while offset < len(data):
        if len(elements) == most:
            raise Malformed(f"more than {most} DER elements")
        tag, content, end = read(data, offset)
        elements.append((tag, content, data[offset:end]))
        offset = end
    return elements


def read_time(tag: int, content: bytes) -> datetime:
    """UTCTime or GeneralizedTime in the only form DER has (X.690 §11.7, §11.8): UTC, with Z."""
    form = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}.get(tag)
    try:
        if form is None or len(content) != {0x17: 13, 0x18: 15}[tag]:
            raise ValueError
        return datetime.strptime(content.decode("ascii"), form).replace(tzinfo=UTC)
    except ValueError:
        raise Malformed("the time is not UTC in whole seconds") from None


def read_integer(content: bytes) -> int:
    """The value of an INTEGER's content, which must be in its shortest form."""
    padded = len(content) > 1 and (content[0], content[1] >> 7) in {(0x00, 0), (0xFF, 1)}
    if not content or padded:
        raise Malformed("the INTEGER is not in its shortest form")
    return int.from_bytes(content, "big", signed=True)


def read_digest_algorithm(content: bytes) -> bytes:
    """The encoded OID in a digest's AlgorithmIdentifier; parameters are absent or NULL."""
    parts = read_all(content)
    if not parts or parts[0][0] != 0x06 or [each[2] for each in parts[1:]] not in ([], [NULL]):
        raise Malformed("the digest algorithm is not an identifier with no parameters")
    return parts[0][2]


def _base128(value: int) -> bytes:
    septets = [value & 0x7F]
    while value := value >> 7:
        septets.append(0x80 | value & 0x7F)
    return bytes(reversed(septets))
