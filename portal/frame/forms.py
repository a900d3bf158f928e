"""What people type, as they meant it: full-width digits, stray spaces and hyphens are no mistakes.

Invisible characters are: a zero-width or bidirectional control makes two names look alike, so it is
removed from search words and reported in fields (attack 46).
"""

import unicodedata
from collections.abc import Mapping

_INVISIBLE = {"Cf", "Cc", "Co", "Cs", "Cn"}


def text(form: Mapping[str, object], name: str, limit: int = 2000) -> str:
    """One line of text: trimmed, with inner runs of white space made one space."""
    value = form.get(name, "")
    return " ".join(value.split())[:limit] if isinstance(value, str) else ""


def paragraph(form: Mapping[str, object], name: str, limit: int = 4000) -> str:
    """Several lines, trimmed, with one kind of line end."""
    value = form.get(name, "")
    if not isinstance(value, str):
        return ""
    return value.replace("\r\n", "\n").replace("\r", "\n").strip()[:limit]


def typed(form: Mapping[str, object], name: str, limit: int = 8000) -> str:
    """A value exactly as it was typed, with one kind of line end."""
    value = form.get(name, "")
    return value.replace("\r\n", "\n")[:limit] if isinstance(value, str) else ""


def code(form: Mapping[str, object], name: str, limit: int = 200) -> str:
    """A number or code: full-width characters made ASCII, all white space removed."""
    value = form.get(name, "")
    return as_code(value)[:limit] if isinstance(value, str) else ""


def as_code(value: str) -> str:
    """ＪＹ１２３ 456 -> JY123456. Dashes of every kind become the ASCII hyphen."""
    narrow = unicodedata.normalize("NFKC", value)
    dashed = "".join("-" if unicodedata.category(c) == "Pd" or c == "−" else c for c in narrow)
    return "".join(c for c in dashed if not c.isspace() and not invisible(c))


def invisible(character: str) -> bool:
    """Would nobody see this character? (control, format, private use, unassigned)"""
    return unicodedata.category(character) in _INVISIBLE


def without_invisible(value: str) -> str:
    """`value` with its control, format, private-use and unassigned characters left out."""
    return "".join(c for c in value if not invisible(c))


def show_invisible(value: str) -> str:
    """`value` with every invisible character written out, for names that may be a trap."""
    return "".join(f"⟨U+{ord(c):04X}⟩" if invisible(c) else c for c in value)


def sheet_cell(value: str) -> str:
    """`value` as a CSV cell that no spreadsheet program runs as a formula.

    Cells that begin with = + - @, their full-width twins, tab or line end get an apostrophe
    (attack 46; OWASP "CSV injection").
    """
    return f"'{value}" if value[:1] and value.lstrip(" ")[:1] in "=+-@＝＋－＠\t\r\n|%" else value
