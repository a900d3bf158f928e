"""Numbers that registers give to people and organisations, with a check of their own.

* an organisation code (统一社会信用代码, GB 32100) ends in its modulus-31 check character;
* a resident number (公民身份号码, GB 11643) holds a date that exists and ends in MOD 11-2. The
  residence permits of people from Hong Kong (810000), Macao (820000) and Taiwan (830000) and the
  identity cards of foreign permanent residents (9…) bear numbers of the same make;
* a passport is named by the state that issued it and its number (ICAO 9303-3 §5, 9303-4): the same
  number is given by many states.

Everything here is pure: text in, text or decision out. Codes are compared as `as_written` says, so
that a full-width or lower-case spelling finds what it means; a wrong character is never guessed.
"""

import re
from datetime import date

_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100 §4: without I, O, S, V, Z
_USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_USCC = re.compile(r"[0-9A-HJ-NPQRTUWXY]{2}[0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}")
_PASSPORT = re.compile(r"[A-Z]{1,3}-(?=[A-Z]*[0-9])[A-Z0-9]{5,12}")
SPACES = re.compile(r"[ \t\u00a0\u2000-\u200a\u202f\u205f\u3000]+")
_FULL_WIDTH = {0xFF01 + offset: 0x21 + offset for offset in range(94)} | {0x3000: 0x20}
_ALREADY_WRITTEN = re.compile(r"[!-`{-~]*")  # printable ASCII without spaces and small letters


def narrow(text: str) -> str:
    """The same text with ASCII in place of its full-width forms, as Chinese keyboards type them."""
    return text.translate(_FULL_WIDTH)


def as_written(text: str) -> str:
    """A code as registers write it, from how people type it: no full-width forms, spaces or small
    letters."""
    if _ALREADY_WRITTEN.fullmatch(text):
        return text
    return SPACES.sub("", narrow(text.strip())).upper()


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


def is_passport(text: str) -> bool:
    """Is this a passport: the code of the issuing state and the number, as "UTO-L898902C3"?"""
    return _PASSPORT.fullmatch(text) is not None
