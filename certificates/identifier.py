"""Numbers with a check of their own: certificate identifiers, organisation and resident numbers.

A certificate identifier (GB/T 36904) is one dotted line that is unique in the whole country::

    1.2.156.3005.2 . 11100000000013338W011 . 11430000006122244L . 20230000403 . 001 . U
    root             type (18 + 3)          issuing authority    serial        ver.  check

Invariants:

* the check character is ISO 7064 MOD 37,36 over type + authority + serial + version, no dots;
* an organisation code (统一社会信用代码, GB 32100) ends in its modulus-31 check character;
* a resident number (公民身份号码, GB 11643) holds a date that exists and ends in MOD 11-2.

Everything here is pure: text in, text or decision out. Codes are compared as `as_written` says, so
that a full-width or lower-case spelling finds what it means; a wrong character is never guessed.
"""

import re
import secrets
from dataclasses import dataclass
from datetime import date

ROOT = "1.2.156.3005.2"

_ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100 §4: without I, O, S, V, Z
_USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_USCC = re.compile(r"[0-9A-HJ-NPQRTUWXY]{2}[0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}")
_IDENTIFIER = re.compile(
    r"1\.2\.156\.3005\.2"
    r"\.(?P<type>[0-9A-Z]{21})"
    r"\.(?P<authority>[0-9A-Z]{18}|[0-9]{6})"
    r"\.(?P<serial>[0-9A-Z]{1,64})"
    r"\.(?P<version>[0-9]{3})"
    r"\.(?P<check>[0-9A-Z])"
)
SPACES = re.compile(r"[ \t\u00a0\u2000-\u200a\u202f\u205f\u3000]+")
_FULL_WIDTH = {0xFF01 + offset: 0x21 + offset for offset in range(94)} | {0x3000: 0x20}
_ALREADY_WRITTEN = re.compile(r"[!-`{-~]*")  # printable ASCII without spaces and small letters
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


def narrow(text: str) -> str:
    """The same text with ASCII in place of its full-width forms, as Chinese keyboards type them."""
    return text.translate(_FULL_WIDTH)


def as_written(text: str) -> str:
    """A code as registers write it, from how people type it: no full-width forms, spaces or small
    letters."""
    if _ALREADY_WRITTEN.fullmatch(text):
        return text
    return SPACES.sub("", narrow(text.strip())).upper()


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


def organisation_check(first_17: str) -> str:
    """The 18th character of an organisation code (GB 32100 §5, modulus 31)."""
    total = sum(
        _USCC_ALPHABET.index(character) * weight
        for character, weight in zip(first_17, _USCC_WEIGHTS, strict=True)
    )
    return _USCC_ALPHABET[-total % 31]


def is_organisation_code(text: str) -> bool:
    """Is this a well-formed organisation code (统一社会信用代码) with a right check character?"""
    return _USCC.fullmatch(text) is not None and organisation_check(text[:17]) == text[17]


def resident_check(first_17: str) -> str:
    """The 18th character of a resident number (GB 11643, ISO 7064 MOD 11-2; ten is X)."""
    total = sum(
        int(digit) * weight for digit, weight in zip(first_17, _RESIDENT_WEIGHTS, strict=True)
    )
    return "10X98765432"[total % 11]


def is_resident_number(text: str) -> bool:
    """Is this a resident number (公民身份号码) with a real birth date and right check character?"""
    if re.fullmatch(r"[1-9][0-9]{16}[0-9X]", text) is None:
        return False
    return birth_date(text) is not None and resident_check(text[:17]) == text[17]


def birth_date(resident_number: str) -> date | None:
    """The birth date inside a resident number, None when no such day exists."""
    try:
        born = date.fromisoformat(
            f"{resident_number[6:10]}-{resident_number[10:12]}-{resident_number[12:14]}"
        )
    except ValueError:
        return None
    return born if born.year >= 1850 else None


def sex(resident_number: str) -> str:
    """The sex inside a resident number: an odd sequence is "male", an even one "female"."""
    return "male" if int(resident_number[16]) % 2 else "female"
