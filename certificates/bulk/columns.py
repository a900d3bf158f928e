"""Which column of a file becomes which field: mapping files, and columns that nobody knows.

No column is passed over in silence. A misspelt column of numbers would have the numbers invented,
and a column of states would be sealed as if all were valid. So a column is used by a field, or the
mapping names it in `ignore`, or it is unknown: an error until the drafter waives it by its name.

    columns = find(kind, mapping, sheet)
    columns.unknown     ()  →  every column is accounted for
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import msgspec

from certificates.bulk.sheets import Sheet, letters, plain
from certificates.catalogue import LANGUAGES, CertificateType
from certificates.errors import InvalidCatalogue, UnknownColumns

MAPPINGS = Path(__file__).parents[1] / "mappings"
PLACE = re.compile(r"\{([^{}]+)\}")
_NEAR = 0.6  # of difflib's ratio; below it two names have nothing to do with each other
_LONGEST = 100  # characters of a column's name that are kept


class MappedField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a field comes from: a column (or `also` one of other names), or several in `compose`.

    `date` is the form of a date ("MM/DD/YYYY"); `otherwise` is the column to take instead when the
    cell is empty, which is told as a notice.
    """

    column: str = ""
    also: tuple[str, ...] = ()
    compose: str = ""
    date: str = ""
    otherwise: str = ""


class OutcomeColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The column that says in which state a certificate of the register is now, and since when."""

    column: str
    values: Mapping[str, str]
    on: str = ""
    date: str = ""


class ColumnMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping file. `ignore` names the columns of the register that no field needs."""

    name: str
    type: str
    fields: Mapping[str, MappedField]
    source: str = ""
    outcome: OutcomeColumn | None = None
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnknownColumn:
    """A column that no field uses: the field it is probably meant for ("" when none is near), and
    whether it seems to say in which state each certificate is.
    """

    name: str
    field: str = ""
    tells_state: bool = False

    @property
    def detail(self) -> str:
        """What is said about the column in a report of errors."""
        if self.tells_state:
            return "is used by no field, and seems to say which certificates are not valid"
        meant = f"; it may be meant for {self.field}" if self.field else ""
        return f"is used by no field{meant}"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a column, by rule."""

    column: str
    rule: str
    detail: str


@dataclass(slots=True)
class Columns:
    """Where everything stands: the position of each column in use, and the column of each field."""

    positions: dict[str, int] = field(default_factory=dict)
    of_field: dict[str, str] = field(default_factory=dict)
    unknown: tuple[UnknownColumn, ...] = ()
    faults: list[Fault] = field(default_factory=list)


def mappings(folder: Path = MAPPINGS) -> list[ColumnMapping]:
    """Every mapping file, by name."""
    return [read_mapping(each.stem, folder) for each in sorted(folder.glob("*.toml"))]


def read_mapping(name: str, folder: Path = MAPPINGS) -> ColumnMapping:
    """A mapping file by name. Raises `InvalidCatalogue` for an unknown or broken one."""
    path = folder / f"{name}.toml"
    if not re.fullmatch(r"[a-z0-9-]{1,60}", name) or not path.is_file():
        known = ", ".join(sorted(each.stem for each in folder.glob("*.toml")))
        raise InvalidCatalogue(f"there is no mapping {name[:60]!r}; there are: {known}")
    try:
        return msgspec.toml.decode(path.read_bytes(), type=ColumnMapping)
    except msgspec.DecodeError as problem:
        raise InvalidCatalogue(f"{path.name}: {problem}") from None


def mapping_for(kind: CertificateType) -> ColumnMapping:
    """The mapping of a file that was made for the type: columns named like its fields."""
    return ColumnMapping(
        name="",
        type=kind.name,
        fields={
            name: MappedField(
                column=name, also=tuple(each.labels[language] for language in LANGUAGES)
            )
            for name, each in kind.fields.items()
        },
    )


def mapping_named(kind: CertificateType, name: str) -> ColumnMapping:
    """The mapping file of that name for the type, for "" the type's own columns. Raises
    `InvalidCatalogue`.
    """
    if not name:
        return mapping_for(kind)
    mapping = read_mapping(name)
    if mapping.type != kind.name:
        raise InvalidCatalogue(f"the mapping {name} is for {mapping.type}, not for {kind.name}")
    return mapping


def find(kind: CertificateType, mapping: ColumnMapping, sheet: Sheet) -> Columns:
    """Account for every column of a sheet. Columns are compared by `plain` name."""
    columns = Columns()
    names = [plain(cell) for cell in sheet.header if cell]
    for name in sorted({name for name in names if names.count(name) > 1}):
        columns.faults.append(Fault(name, "duplicate_column", "two columns have this name"))
    for name, mapped in mapping.fields.items():
        _find_field(kind, mapping, sheet, columns, name, mapped)
    for needed in (mapping.outcome.column, mapping.outcome.on) if mapping.outcome else ():
        if needed:
            _must_find(sheet, columns, needed)
    if not columns.positions:  # the first row is no header, and its cells are nobody's column names
        columns.faults.append(Fault("", "no_header", "row 1 names no column of this type"))
        return columns
    columns.faults.extend(_unnamed(sheet))
    columns.unknown = tuple(_unknown(kind, mapping, sheet, columns))
    return columns


def likeliest(kind: CertificateType, mapping: ColumnMapping, name: str) -> UnknownColumn:
    """What a column that nobody uses was probably meant for."""
    written = plain(name)
    if any(word in written for word in _STATE_WORDS):
        return UnknownColumn(name, tells_state=True)
    words = dict(_synonyms(kind))
    for each, mapped in mapping.fields.items():
        labels = kind.fields[each].labels.values() if each in kind.fields else ()
        for word in (each, *labels, mapped.column, *mapped.also):
            words.setdefault(plain(word), each)
    near = get_close_matches(written, [word for word in words if word], 1, _NEAR)
    return UnknownColumn(name, words[near[0]] if near else "")


def waivers(unknown: Sequence[UnknownColumn], named: Sequence[str]) -> list[str]:
    """The names of all unknown columns, if they and no others are `named`. Raises
    `UnknownColumns`.
    """
    known = {plain(each.name): each.name for each in unknown}
    given = {plain(name): name for name in named}
    if left := ", ".join(known[name] for name in known if name not in given):
        raise UnknownColumns(
            f"no field uses these columns: {left}",
            next_step="correct the file, or waive each of them by its name",
        )
    if others := ", ".join(given[name] for name in given if name not in known):
        raise UnknownColumns(
            f"the file has no unknown columns of these names: {others}",
            next_step="waive the columns that the dry run names",
        )
    return list(known.values())


# What offices call the columns that every type has, in the words of `plain`.
_SYNONYMS = {
    "number": "编号 編號 证号 證號 证件号 證件號 证照编号 许可证号 許可證號 执照号 "
    "登记号 number no. licenceno licenseno licensenumber certificateno certificatenumber permitno",
    "name": "名称 名稱 姓名 单位名称 單位名稱 企业名称 企業名稱 持证人 持證人 name fullname "
    "companyname holder",
    "code": "信用代码 信用代碼 统一社会信用代码 統一社會信用代碼 组织机构代码 身份证号 身份證號 "
    "身份证号码 公民身份号码 uscc creditcode idnumber idno identitynumber",
    "issued": "发证日期 發證日期 签发日期 簽發日期 颁发日期 核发日期 dateissued issued issuedon "
    "issuedate",
    "start": "有效期自 有效期起 有效期开始 起始日期 生效日期 startdate validfrom effectivedate",
    "end": "有效期至 有效期止 截止日期 到期日期 失效日期 enddate expires expiry expirydate "
    "expirationdate validto until",
}
_STATE_WORDS = ("状态", "狀態", "status", "吊销", "吊銷", "注销", "註銷", "revoked", "cancelled")


def _synonyms(kind: CertificateType) -> Iterator[tuple[str, str]]:
    validity = kind.validity
    fields = {
        "number": kind.number.field,
        "name": kind.holder.name,
        "code": kind.holder.code,
        "issued": validity.issued,
        "start": validity.start,
        "end": validity.end,
    }
    for part, words in _SYNONYMS.items():
        for word in words.split():
            yield word, fields[part]


def _find_field(
    kind: CertificateType,
    mapping: ColumnMapping,
    sheet: Sheet,
    columns: Columns,
    name: str,
    mapped: MappedField,
) -> None:
    if mapped.compose:
        parts = PLACE.findall(mapped.compose)
        columns.of_field[name] = " + ".join(parts)
        for part in parts:
            _must_find(sheet, columns, part)
        return
    found = next(
        (each for each in (mapped.column, *mapped.also) if sheet.column(each) is not None),
        mapped.column,
    )
    columns.of_field[name] = found
    _must_find(sheet, columns, found, optional=not mapping.name and not _needed(kind, name))
    if mapped.otherwise:
        _must_find(sheet, columns, mapped.otherwise)


def _needed(kind: CertificateType, name: str) -> bool:
    """Must a plain file have this column? Not when the value is optional or can be made."""
    made = {kind.validity.issued, kind.validity.start}
    if kind.validity.years:
        made.add(kind.validity.end)
    if kind.number.generate:
        made.add(kind.number.field)
    return kind.fields[name].required and name not in made


def _must_find(sheet: Sheet, columns: Columns, column: str, *, optional: bool = False) -> None:
    position = sheet.column(column)
    if position is not None:
        columns.positions[column] = position
    elif not optional:
        columns.faults.append(Fault(column, "missing_column", "the file has no such column"))


def _unknown(
    kind: CertificateType, mapping: ColumnMapping, sheet: Sheet, columns: Columns
) -> Iterator[UnknownColumn]:
    used, ignored = set(columns.positions.values()), {plain(each) for each in mapping.ignore}
    for position, name in enumerate(sheet.header):
        if name and position not in used and plain(name) not in ignored:
            yield likeliest(kind, mapping, name[:_LONGEST])


def _unnamed(sheet: Sheet) -> Iterator[Fault]:
    """Columns without a name are what spreadsheets leave behind, unless something stands there."""
    for position, name in enumerate(sheet.header):
        cells = (each.cells[position] for each in sheet.records if position < len(each.cells))
        if not name and any(cell.strip() for cell in cells):
            column = letters(position)
            yield Fault(column, "unnamed_column", f"column {column} holds values and has no name")
