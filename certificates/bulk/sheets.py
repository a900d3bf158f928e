"""Reads the spreadsheets that offices really have: CSV text of unknown origin, without surprises.

* UTF-8 (with or without BOM) and UTF-16 with BOM are recognised. What can be read as GB18030 is
  taken for it, but that is a guess: most pairs of bytes can, whatever they were written for (PEÑA
  in Windows-1252 reads PE袮). Anything else is refused where it stops being text.
* Comma, semicolon and tabulator separate; quotes follow RFC 4180.
* `="…"`, by which programs keep a number as it is, means the text between its quotes.
* What a spreadsheet or an export has spoiled (`#N/A`, 4.40E+17, U+FFFD) is told from a value.
* A cell that is too large is an error of its row, and the rows after it are still read.
* Rows are numbered as a spreadsheet shows them: the header is row 1.

Nothing here knows what a certificate is. `safe_cell` is the way out: a cell that a spreadsheet
would take for a formula is written so that it stays text (CSV injection).
"""

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from certificates.errors import EncodingNotConfirmed, UnreadableFile, UploadTooLarge

MAX_BYTES = 32 * 1024 * 1024
MAX_ROWS = 100_000
MAX_COLUMNS = 200
MAX_CELL = 10_000

_FORMULAS = frozenset("=+-@\t\r\n＝＋－＠")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CERTAIN = frozenset({"utf-8", "utf-8-sig", "utf-16"})
_KEPT_AS_TEXT = re.compile(r'="((?:[^"]|"")*)"')
_SCIENTIFIC = re.compile(r"[+-]?\d(?:[.,]\d+)?E\+\d{1,3}", re.IGNORECASE)
# What spreadsheets, databases and programs write where they have no value.
_NO_VALUES = {
    each.casefold(): each
    for each in (
        *("#N/A", "#NA", "#NV", "#N/D", "#N/DISP", "#N/V", "#GETTING_DATA", "N/A"),
        *("NULL", "(NULL)", "<NULL>", "[NULL]", "{NULL}", "\\N", "None", "NaN", "NaT", "<NA>"),
        *("undefined", "[object Object]"),
    )
}
_ERROR_VALUE = re.compile(r"#[\w/¡¿]+[!?]")  # #REF! #VALUE! #DIV/0! #NAME? #WERT! #¿NOMBRE?


@dataclass(frozen=True, slots=True)
class Record:
    """One row: its number in the spreadsheet, its cells, and why it cannot be read, if so."""

    row: int
    cells: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A header and its records."""

    encoding: str
    header: tuple[str, ...]
    records: Sequence[Record]

    def column(self, name: str) -> int | None:
        """The position of a column, found without regard to case, width and spacing."""
        wanted = plain(name)
        return next((at for at, cell in enumerate(self.header) if plain(cell) == wanted), None)


def read_sheet(data: bytes) -> Sheet:
    """Read an upload. Raises `UploadTooLarge` or `UnreadableFile`."""
    if len(data) > MAX_BYTES:
        raise UploadTooLarge(
            f"the file is larger than {MAX_BYTES // 1024 // 1024} MB",
            next_step="split it into several files",
        )
    encoding, text = decode(data)
    records = list(_records(text))
    if not records or not any(cell.strip() for cell in records[0].cells):
        raise UnreadableFile("the file has no header row", next_step="name the columns in row 1")
    header = tuple(as_text(cell) for cell in records[0].cells)
    if len(header) > MAX_COLUMNS:
        raise UnreadableFile(f"the header has more than {MAX_COLUMNS} columns")
    rows = [
        each for each in records[1:] if each.problem or any(cell.strip() for cell in each.cells)
    ]
    if len(rows) > MAX_ROWS:
        raise UploadTooLarge(
            f"the file has more than {MAX_ROWS} rows", next_step="split it into several files"
        )
    return Sheet(encoding, header, rows)


def decode(data: bytes) -> tuple[str, str]:
    """The encoding's name and the text. Raises `UnreadableFile`."""
    marked = next((name for bom, name in _BOMS if data.startswith(bom)), None)
    for encoding in (marked,) if marked else ("utf-8", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as problem:
            failure = problem
            continue
        if "\0" in text:
            break
        return encoding, text
    else:
        raise UnreadableFile(
            f"the file is not text in UTF-8 or GB18030 (byte {failure.start})",
            next_step="save it as CSV in UTF-8",
        )
    raise UnreadableFile(
        "the file holds zero bytes: it is no CSV text", next_step="save it as CSV in UTF-8"
    )


def is_guess(encoding: str) -> bool:
    """May the file have been written in another encoding, although it could be read in this one?"""
    return encoding not in _CERTAIN


def confirm_encoding(encoding: str, confirmed: str) -> None:
    """A guess must be confirmed by its name. Raises `EncodingNotConfirmed`."""
    if is_guess(encoding) and confirmed.strip().casefold() != encoding:
        raise EncodingNotConfirmed(
            f"that the file is written in {encoding} is a guess",
            next_step=f"look at its strangest rows and confirm {encoding}, or save it in UTF-8",
            encoding=encoding.upper(),
        )


def strangeness(text: str) -> tuple[float, int]:
    """How little a text looks like one that was meant: by character beyond ASCII, and in all."""
    beyond = [_strange(character) for character in text if not character.isascii()]
    total = sum(beyond)
    return (total / len(beyond) if beyond else 0.0), total


@lru_cache(maxsize=70_000)
def _strange(character: str) -> int:
    """0 for what Chinese texts are made of, by the levels of GB 2312-1980: 3,755 common characters,
    3,008 rarer ones; what it does not know at all is rare in a register of this country.
    """
    try:
        lead = character.encode("gb2312")[0]
    except UnicodeEncodeError:
        return 3
    if lead >= 0xD8:  # rows 56 to 87, the second level
        return 1
    return 0 if lead >= 0xB0 or lead <= 0xA3 else 2  # rows 4 to 9: kana, Greek, Cyrillic, boxes


def plain(name: str) -> str:
    """A column name without case, width and spacing."""
    return "".join(unicodedata.normalize("NFKC", name).split()).casefold()


def letters(position: int) -> str:
    """What a spreadsheet calls the column at a position: 0 is A, 25 is Z, 26 is AA."""
    before, last = divmod(position, 26)
    return (letters(before - 1) if before else "") + chr(ord("A") + last)


def as_text(cell: str) -> str:
    """The trimmed text of a cell; `="…"` is the text between the quotes."""
    text = cell.strip()
    match = _KEPT_AS_TEXT.fullmatch(text)
    return match[1].replace('""', '"').strip() if match else text


def spoiled(text: str) -> tuple[str, str] | None:
    """Rule and detail when a text is no value but what a program left in its place, else None."""
    written = unicodedata.normalize("NFKC", text).strip()
    if "\ufffd" in text:
        return "lost_character", "holds U+FFFD, which stands where a character was lost"
    if known := _NO_VALUES.get(written.casefold()):
        return "not_a_value", f"is {known}, which programs write where they have no value"
    if _ERROR_VALUE.fullmatch(written):
        return "not_a_value", "is an error value of a spreadsheet"
    if _SCIENTIFIC.fullmatch(written):
        return "digits_lost", "digits were lost in a spreadsheet: it is a number like 1.23E+17"
    if len(written) > 1 and not written.strip("#"):
        return "digits_lost", "digits were lost in a spreadsheet: its column was too narrow"
    return None


def safe_cell(value: str) -> str:
    """A cell that no spreadsheet takes for a formula: a leading apostrophe keeps it text."""
    return "'" + value if value.lstrip(" \u00a0\u3000")[:1] in _FORMULAS else value


def write_sheet(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """CSV that every spreadsheet opens: UTF-8 with BOM, CRLF, every cell safe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([safe_cell(cell) for cell in header])
    writer.writerows([safe_cell(cell) for cell in row] for row in rows)
    return codecs.BOM_UTF8 + out.getvalue().encode()


class _Lines:
    """Hands lines to the CSV reader and remembers whether it stands inside quotes."""

    def __init__(self, text: str) -> None:
        self._lines = iter(io.StringIO(text, newline=""))
        self.quotes = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.quotes += line.count('"')
        return line


def _records(text: str) -> Iterator[Record]:
    lines = _Lines(text)
    reader = csv.reader(lines, delimiter=_separator(text))
    for row in range(1, MAX_ROWS + 3):  # one more than allowed, to notice it
        lines.quotes = 0
        try:
            cells = tuple(next(reader))
        except StopIteration:
            return
        except csv.Error:  # a cell beyond the module's own limit; the next line starts afresh
            yield Record(row, (), "cell_too_large")
            if lines.quotes % 2:  # the cell goes on over the next lines: no row boundary is certain
                yield Record(row + 1, (), "unreadable_from_here")
                return
            continue
        large = any(len(cell) > MAX_CELL for cell in cells)
        yield Record(row, cells, "cell_too_large" if large else "")


def _separator(text: str) -> str:
    first = text.partition("\n")[0][:MAX_CELL]
    return max(",;\t", key=first.count)
