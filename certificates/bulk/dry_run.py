"""The dry run of a bulk upload: every row through the same rules as a single draft, nothing issued.

Columns become fields as `columns` says. Each mistake is told with row, column, rule and fix; what
was put right on the way (full-width digits, stray spaces) is told as a notice. No value of the file
is repeated in either.

    checked = dry_run(kind, mapping, data, …)
    checked.errors      []  →  the batch may be submitted to a second officer,
    checked.unknown     ()      if its drafter waives each of these columns by name
    checked.strange     []      and has looked at these rows, when the encoding is a guess
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from certificates.bulk.columns import PLACE, ColumnMapping, UnknownColumn, find
from certificates.bulk.sheets import (
    Record,
    Sheet,
    as_text,
    is_guess,
    read_sheet,
    spoiled,
    strangeness,
)
from certificates.catalogue import CertificateType
from certificates.catalogue.fields import as_date, check, complete, free_number, normalise
from certificates.rules import State

STRANGE = 5  # rows by which people judge whether an encoding was guessed well
KEPT = 1000  # errors and notices kept per batch; the count is always exact

FIXES = {
    "missing": "fill the cell",
    "empty": "fill the cell",
    "too_long": "shorten the text",
    "wrong_form": "write it in the form that is named",
    "not_a_choice": "use one of the values that are named",
    "bad_check_character": "compare it with the original document: a character is wrong",
    "bad_date": "write a date that exists, in the form of this column",
    "date_in_future": "write the day on which it was really issued, or its holder was born",
    "contradicts_number": "compare both with the holder's identity card",
    "dates_out_of_order": "the end of validity must not lie before its start",
    "invisible_character": "type the text again without copied control characters",
    "unknown_outcome": "use one of the states that are named",
    "missing_column": "add the column, or choose the mapping that fits this file",
    "no_header": "name the columns in row 1 like the fields, or choose the mapping that fits",
    "unknown_column": "name it like its field, have the mapping ignore it, or waive it by name",
    "unnamed_column": "name the column, or empty its cells",
    "duplicate_column": "remove one of the two columns",
    "wrong_cell_count": "put texts that hold the separator between quotes",
    "cell_too_large": "shorten the cell: a form field holds a few hundred characters at most",
    "unreadable_from_here": "close the quotes of the row above",
    "lost_character": "type the text again from the original document",
    "not_a_value": "write the value, or empty the cell when there is none",
    "digits_lost": "write the number again from the original, in a column formatted as text",
    "composed_of_nothing": "fill at least one of these cells",
    "duplicate_in_file": "remove one of the two rows",
    "number_taken": "remove the row, or correct its number",
    "missing_glyph": "correct the character, or have a font installed that has it",
    "layout_overflow": "shorten the longest texts",
    "no_rows": "add at least one row below the header",
}


@dataclass(frozen=True, slots=True)
class RowError:
    """One mistake: where it is, which rule it breaks, and what to do."""

    row: int
    column: str
    rule: str
    detail: str

    @property
    def fix(self) -> str:
        """What to do about it: the advice for the rule in `FIXES`."""
        return FIXES.get(self.rule, "correct the cell")


@dataclass(frozen=True, slots=True)
class RowNotice:
    """Something that was put right in a row."""

    row: int
    column: str
    code: str


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """A row that can be issued as it is."""

    row: int
    number: str
    fields: Mapping[str, str] = field(repr=False)
    outcome: State = State.ACTIVE
    outcome_on: date | None = None


@dataclass(slots=True)
class DryRun:
    """What is known about a file after reading it, before anything is decided."""

    encoding: str
    rows: list[CheckedRow] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    notices: list[RowNotice] = field(default_factory=list)
    unknown: Sequence[UnknownColumn] = ()
    strange: Sequence[int] = ()


def dry_run(
    kind: CertificateType,
    mapping: ColumnMapping,
    data: bytes,
    *,
    authority: str,
    today: date,
    taken: Callable[[Sequence[str]], set[str]],
    unprintable: Callable[[Mapping[str, str]], tuple[str, str]],
) -> DryRun:
    """Check a file. `taken` answers which numbers the registry has already; `unprintable` answers
    rule and detail when a page with these fields cannot be drawn, ("", "") otherwise.

    Raises `UnreadableFile` or `UploadTooLarge` when there are no rows to speak of.
    """
    sheet = read_sheet(data)
    run = DryRun(sheet.encoding)
    reader = _RowReader(kind, mapping, sheet, run)
    if not run.errors:
        if not sheet.records:
            run.errors.append(RowError(1, "", "no_rows", "the file has a header and no rows"))
        for record in sheet.records:
            row = reader.read(record, authority, today)
            if row is not None:
                _check_page(row, run, unprintable)
        _draw_again(run, kind, reader.drawn, authority, taken)
        _check_duplicates(run, reader.number_column, taken)
    run.errors.sort(key=lambda error: error.row)
    if is_guess(run.encoding):
        run.strange = _strangest(run.rows)
    return run


def doubtful(fields: Mapping[str, str]) -> dict[str, str]:
    """The fields that look least like what somebody meant, else all that are beyond ASCII."""
    beyond = {name: text for name, text in fields.items() if not text.isascii()}
    return {name: text for name, text in beyond.items() if strangeness(text)[1]} or beyond


def _strangest(rows: Sequence[CheckedRow]) -> list[int]:
    """The rows to judge an encoding by, in the order of the file; none when all are ASCII."""
    marks = [
        (strangeness("".join(texts.values())), row.row)
        for row in rows
        if (texts := doubtful(row.fields))
    ]
    ranked = sorted(marks, key=lambda mark: mark[0], reverse=True)
    return sorted(row for _, row in ranked[:STRANGE])


class _RowReader:
    """Turns the records of one sheet into checked rows, errors and notices."""

    def __init__(
        self,
        kind: CertificateType,
        mapping: ColumnMapping,
        sheet: Sheet,
        run: DryRun,
    ) -> None:
        self._kind = kind
        self._mapping = mapping
        self._width = len(sheet.header)
        self._run = run
        self._numbers: set[str] = set()
        self.drawn: set[int] = set()  # the rows whose number is of our making
        columns = find(kind, mapping, sheet)
        self._positions, self._columns = columns.positions, columns.of_field
        for fault in columns.faults:
            self._error(1, fault.column, fault.rule, fault.detail)
        run.unknown = columns.unknown
        self.number_column = self._columns.get(kind.number.field, kind.number.field)

    def read(self, record: Record, authority: str, today: date) -> CheckedRow | None:
        """The row, or None when it has errors."""
        known = len(self._run.errors)
        if record.problem:
            self._error(record.row, "", record.problem, "the row cannot be read")
        elif len(record.cells) != self._width:
            found = f"{len(record.cells)} cells under {self._width} column names"
            self._error(record.row, "", "wrong_cell_count", found)
        if len(self._run.errors) > known:
            return None
        cells = self._cells(record)
        raw = {name: self._value(record.row, cells, name) for name in self._mapping.fields}
        wrong = {name for name, value in raw.items() if value is None}
        normal, notices = normalise(self._kind, {k: v for k, v in raw.items() if v})
        for notice in notices:
            self._notice(record.row, self._columns.get(notice.field, notice.field), notice.code)
        fields = complete(self._kind, normal, authority, today, self._numbers.__contains__)
        for error in check(self._kind, fields, today):
            name = error.pointer.removeprefix("/fields/")
            if name not in wrong:
                column = self._columns.get(name, name)
                self._error(record.row, column, error.code, error.detail)
        outcome, since = self._outcome(record.row, cells)
        if len(self._run.errors) > known:
            return None
        number = fields[self._kind.number.field]
        self._numbers.add(number)
        if self._kind.number.field not in normal:
            self.drawn.add(record.row)
        return CheckedRow(record.row, number, fields, outcome, since)

    def _cells(self, record: Record) -> dict[str, str | None]:
        """The text of each column in use, None when it is no value (and told)."""
        cells: dict[str, str | None] = {}
        for column, position in self._positions.items():
            cell = record.cells[position].strip()
            cells[column] = text = as_text(cell)
            if text != cell:
                self._notice(record.row, column, "kept_as_text")
            if problem := spoiled(text):
                cells[column] = None
                self._error(record.row, column, *problem)
        return cells

    def _value(self, row: int, cells: Mapping[str, str | None], name: str) -> str | None:
        """The text of a field, "" when the register has none, None when it is wrong (and told)."""
        mapped = self._mapping.fields[name]
        if mapped.compose:
            return self._composed(row, cells, name)
        column = self._columns[name]
        text = cells.get(column, "")
        if text == "" and mapped.otherwise:
            column = mapped.otherwise
            text = cells[column]
            self._notice(row, column, f"stands_in_for_{name}")
        if not text or not mapped.date:
            return text
        day = read_date(text, mapped.date)
        if day is None:
            self._error(row, column, "bad_date", f"is not a date written {mapped.date}")
            return None
        return day.isoformat()

    def _composed(self, row: int, cells: Mapping[str, str | None], name: str) -> str | None:
        """The cells put together. Of empty cells nothing would be left but their separators."""
        form = self._mapping.fields[name].compose
        parts = [cells[part] for part in PLACE.findall(form)]
        if None in parts:
            return None
        if not any(parts):
            detail = "is put together from cells that are all empty"
            self._error(row, self._columns[name], "composed_of_nothing", detail)
            return None
        return PLACE.sub(lambda part: cells[part[1]] or "", form)

    def _outcome(self, row: int, cells: Mapping[str, str | None]) -> tuple[State, date | None]:
        outcome = self._mapping.outcome
        written = cells[outcome.column] if outcome else None
        if outcome is None or written is None:
            return State.ACTIVE, None
        name = outcome.values.get(written.upper())
        if name is None:
            known = "is none of " + ", ".join(outcome.values)
            self._error(row, outcome.column, "unknown_outcome", known)
            return State.ACTIVE, None
        since = cells[outcome.on] if outcome.on and name != State.ACTIVE else ""
        day = read_date(since, outcome.date) if since else None
        if since and day is None:
            detail = f"is not a date written {outcome.date}"
            self._error(row, outcome.on, "bad_date", detail)
        return State(name), day

    def _error(self, row: int, column: str, rule: str, detail: str) -> None:
        self._run.errors.append(RowError(row, column, rule, detail))

    def _notice(self, row: int, column: str, code: str) -> None:
        self._run.notices.append(RowNotice(row, column, code))


def read_date(text: str, form: str) -> date | None:
    """A date in a form made of YYYY, MM and DD; full-width digits are digits."""
    pattern = re.escape(form)
    for token, digits in (("YYYY", 4), ("MM", 2), ("DD", 2)):
        least = "1," if digits == 2 else ""
        pattern = pattern.replace(token, rf"(?P<{token}>\d{{{least}{digits}}})")
    match = re.fullmatch(pattern, text.strip())
    if match is None:
        return None
    year, month, day = (int(match[token]) for token in ("YYYY", "MM", "DD"))
    return as_date(f"{year:04d}-{month:02d}-{day:02d}")


def _check_page(
    row: CheckedRow, run: DryRun, unprintable: Callable[[Mapping[str, str]], tuple[str, str]]
) -> None:
    rule, detail = unprintable(row.fields)
    if rule:
        run.errors.append(RowError(row.row, "", rule, detail))
    else:
        run.rows.append(row)


def _draw_again(
    run: DryRun,
    kind: CertificateType,
    drawn: Collection[int],
    authority: str,
    taken: Callable[[Sequence[str]], set[str]],
) -> None:
    """Numbers of our making that the registry has: it is asked about all of them at once."""
    used = taken([row.number for row in run.rows if row.row in drawn]) if drawn else set()
    numbers = {row.number for row in run.rows}
    for at, row in enumerate(run.rows):
        if row.row in drawn and row.number in used:
            number = free_number(
                kind, row.fields, authority, lambda it: it in numbers or bool(taken([it]))
            )
            numbers.add(number)
            fields = {**row.fields, kind.number.field: number}
            run.rows[at] = replace(row, number=number, fields=fields)


def _check_duplicates(run: DryRun, column: str, taken: Callable[[Sequence[str]], set[str]]) -> None:
    first: dict[str, int] = {}
    for row in run.rows:
        if row.number in first:
            detail = f"the same number as row {first[row.number]}"
            run.errors.append(RowError(row.row, column, "duplicate_in_file", detail))
        first.setdefault(row.number, row.row)
    used = taken(list(first))
    for row in run.rows:
        if row.number in used:
            detail = "your authority has used this number already"
            run.errors.append(RowError(row.row, column, "number_taken", detail))
