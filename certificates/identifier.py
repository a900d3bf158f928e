"""Certificate identifiers and the check characters of numbers.

A certificate identifier (GB/T 36904) is one dotted line that is unique in the whole country::

    1.2.156.3005.2 . 11100000000013338W011 . 11430000006122244L . 20230000403 . 001 . U
    root             type (18 + 3)          issuing authority    serial        ver.  check

The check character is ISO 7064 MOD 37,36 over type + authority + serial + version, no dots.
Everything here is pure: text in, text or decision out. The numbers of people and organisations are
`foundation.codes`, and are named here as well.
"""

import re
import secrets
from dataclasses import dataclass

from foundation.codes import (
    SPACES,
    as_written,
    birth_date,
    is_organisation_code,
    is_resident_number,
    narrow,
    organisation_check,
    resident_check,
    sex,
)

__all__ = [
    "ROOT",
    "SPACES",
    "Identifier",
    "as_written",
    "birth_date",
    "compose",
    "is_organisation_code",
    "is_resident_number",
    "mod_11_10",
    "mod_37_36",
    "narrow",
    "new_serial",
    "organisation_check",
    "parse",
    "resident_check",
    "sex",
]

ROOT = "1.2.156.3005.2"

_ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_IDENTIFIER = re.compile(
    r"1\.2\.156\.3005\.2"
    r"\.(?P<type>[0-9A-Z]{21})"
    r"\.(?P<authority>[0-9A-Z]{18}|[0-9]{6})"
    r"\.(?P<serial>[0-9A-Z]{1,64})"
    r"\.(?P<version>[0-9]{3})"
    r"\.(?P<check>[0-9A-Z])"
)
_SERIAL_LENGTH = 16  # 36^16 is about 2^82: an identifier cannot be guessed from another one


@dataclass(frozen=True, slots=True)
class Identifier:
    """One certificate identifier in its five parts; `str()` gives the dotted form."""

    type: str
    authority: str
    serial: str
    version: str
    check: str

    def __str__(self) -> str:
        parts = (ROOT, self.type, self.authority, self.serial, self.version, self.check)
        return ".".join(parts)

    @property
    def is_valid(self) -> bool:
        """Does the check character agree with the rest? (GB/T 36904, ISO 7064 MOD 37,36)"""
        return self.check == mod_37_36(self.type + self.authority + self.serial + self.version)


def compose(type_code: str, authority: str, serial: str, version: int = 1) -> Identifier:
    """The identifier of one certificate, check character included. `version` counts from 1."""
    number = f"{version:03d}"
    check = mod_37_36(type_code + authority + serial + number)
    return Identifier(type_code, authority, serial, number, check)


def parse(text: str) -> Identifier | None:
    """Read a dotted identifier; None when it is not one or its check character disagrees."""
    match = _IDENTIFIER.fullmatch(text)
    if match is None:
        return None
    identifier = Identifier(**match.groupdict())
    return identifier if identifier.is_valid else None


def new_serial() -> str:
    """A fresh serial of 16 random digits and capitals (82 bits)."""
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(_SERIAL_LENGTH))


def mod_37_36(text: str) -> str:
    """ISO 7064 MOD 37,36 (hybrid system) check character over digits and capitals."""
    product = 36
    for character in text:
        product = (product + _ALPHANUMERIC.index(character)) % 36 or 36
        product = product * 2 % 37
    return _ALPHANUMERIC[(37 - product) % 36]


def mod_11_10(digits: str) -> str:
    """ISO 7064 MOD 11,10 (hybrid system) check digit, as food licence numbers end in."""
    product = 10
    for character in digits:
        product = (product + int(character)) % 10 or 10
        product = product * 2 % 11
    return str((11 - product) % 10)
