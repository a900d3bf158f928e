"""Base45 (RFC 9285): bytes as the 45 characters of a QR code's alphanumeric mode, strictly."""

import struct
from itertools import product

from foundation.errors import Malformed

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
# Two bytes are three characters, the least significant first (§4): a pair, then one more.
_PAIRS = [low + high for high, low in product(_ALPHABET, repeat=2)]


def encode(data: bytes) -> str:
    """Three characters for two bytes, two for a last single one."""
    numbers = struct.unpack(f">{len(data) // 2}H", data[: len(data) // 2 * 2])
    text = "".join([_PAIRS[number % 2025] + _ALPHABET[number // 2025] for number in numbers])
    return text + _PAIRS[data[-1]] if len(data) % 2 else text


def decode(text: str) -> bytes:
    """The inverse. Raises `Malformed` for foreign characters, odd lengths and values too large."""
    if len(text) % 3 == 1:
        raise Malformed("a Base45 text has not this length")
    try:
        values = [_VALUES[character] for character in text]
    except KeyError:
        raise Malformed("not a Base45 character") from None
    whole = len(values) // 3 * 3
    decoded = bytearray()
    for at in range(0, whole, 3):
        number = values[at] + 45 * values[at + 1] + 2025 * values[at + 2]
        if number > 0xFFFF:
            raise Malformed("a Base45 group is too large")
        decoded += number.to_bytes(2, "big")
    if whole < len(values):
        number = values[-2] + 45 * values[-1]
        if number > 0xFF:
            raise Malformed("a Base45 group is too large")
        decoded.append(number)
    return bytes(decoded)
