"""The catalogue of certificate types: one TOML file each, read once, checked hard.

Adding a type means adding one TOML here and, when the standard page does not suit it, one template
in `certificates/templates/`. No code, no migration.

Invariants, checked when the catalogue is loaded (a wrong file names its own mistake):

* every word a person reads exists in zh-Hans, zh-Hant and en;
* every field that a purpose, the holder, the number or the validity names is a field of the type;
* a purpose shows fields by name, never "everything there may be one day";
* a key the loader does not know is a mistake and is refused.

`CertificateType.schema` is the JSON Schema (2020-12) of the fields; the same schema validates
drafts and batch rows and is served beside the type metadata (SD-JWT VC §6).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec

from certificates.errors import InvalidCatalogue, UnknownType
from certificates.identifier import is_organisation_code, is_resident_number
from foundation.canonical import digest
from signing.formats import CREDENTIALS

LANGUAGES = ("zh-Hans", "zh-Hant", "en")
_SPECIMEN = {"zh-Hans": "（样本）", "zh-Hant": "（樣本）", "en": " (specimen)"}
PAGE = "pdf"
# What a type has that names none: fixed, because a new format must not change a published type.
USUAL_FORMATS = (PAGE, "dc+sd-jwt", "cwt-qr")
FORMAT_CHECKS = {"organisation-code": is_organisation_code, "resident-number": is_resident_number}

EXACT_CODES = {"code", "organisation-code", "resident-number"}  # upper-case, without spaces

HolderKind = Literal["person", "organisation", "register"]
FieldKind = Literal[
    "text", "multiline", "code", "date", "choice", "organisation-code", "resident-number"
]
Labels = Mapping[str, str]


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One value of a choice field and what it is called."""

    code: str
    labels: Labels


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One field of a type. `personal` values appear in no list, log or error."""

    name: str
    labels: Labels
    kind: FieldKind = "text"
    required: bool = True
    personal: bool = False
    pattern: str = ""
    max_length: int = 120
    example: str = ""
    choices: tuple[Choice, ...] = ()
    on_page: bool = True

    def display(self, value: str, language: str) -> str:
        """The value as a reader of `language` sees it: choices by their label."""
        for choice in self.choices:
            if choice.code == value:
                return choice.labels[language]
        return value


class Holder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose certificate it is: the kind of code, and the fields that hold code and name.

    "person" has a resident number, "organisation" an organisation code, and "register" an account
    number that only the source register can explain. `birth_date` and `sex` name the fields that
    repeat what a resident number says; they must agree with it.
    """

    kind: HolderKind
    code: str
    name: str
    birth_date: str = ""
    sex: str = ""


class Number(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The field with the licence number, and how to make one when it is left empty.

    `generate` is a form: `{division}` the authority's six-digit division, `{choice}` the position
    of the `choice` field's value counted from 1, `{year}` the issue year, `{digits:6}` random
    digits, and a closing `{check}` the MOD 11,10 digit over all digits before it.
    """

    field: str
    generate: str = ""
    choice: str = ""


class Validity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which fields date the certificate. `years` fills an empty end: begin + years - 1 day."""

    issued: str
    start: str
    end: str
    years: int = 0


class TypePurpose(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody may look at a certificate for, and the fields that this shows them."""

    names: Labels
    fields: tuple[str, ...]
    legal_basis: str
    case_required: bool = True


class Layout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the page looks. Lengths are PDF points from the lower left corner of the page.

    `seal_box` is (x, y, size) of the square that the round seal fills; the template leaves that
    place, the sealer stamps there. `languages`: the first is printed large, the second small.
    """

    seal_box: tuple[float, float, float]
    template: str = "standard.typ"
    paper: Literal["portrait", "landscape"] = "portrait"
    palette: Literal["jade", "azure", "copper"] = "jade"
    languages: tuple[str, ...] = ("zh-Hans", "en")
    statement: Labels = {}


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A type's TOML file, as written."""

    name: str
    code: str
    version: int
    labels: Labels
    description: Labels
    holder: Holder
    number: Number
    validity: Validity
    layout: Layout
    fields: tuple[Field, ...]
    purposes: Mapping[str, TypePurpose]
    formats: tuple[str, ...] = USUAL_FORMATS
    seal_use: str = "certificate"


class CertificateType:
    """One certificate type, checked and ready to use."""

    def __init__(self, definition: Definition) -> None:
        _check(definition)
        self.definition = definition
        self.name = definition.name
        self.code = definition.code
        self.version = definition.version
        self.labels = definition.labels
        self.description = definition.description
        self.holder = definition.holder
        self.number = definition.number
        self.validity = definition.validity
        self.layout = definition.layout
        self.purposes = definition.purposes
        self.formats = definition.formats
        self.fields: Mapping[str, Field] = {field.name: field for field in definition.fields}

    def __repr__(self) -> str:
        return f"CertificateType({self.name!r}, version={self.version})"

    @cached_property
    def digest(self) -> str:
        """Digest of the whole definition: any change to a type changes what may be sealed."""
        return digest(msgspec.to_builtins(self.definition))

    @property
    def public_fields(self) -> frozenset[str]:
        """The fields that say nothing about a person."""
        return frozenset(name for name, field in self.fields.items() if not field.personal)

    def visible(self, purpose: str) -> tuple[str, ...]:
        """The field names a purpose may see, () for a purpose the type does not know."""
        known = self.purposes.get(purpose)
        return known.fields if known else ()

    def vct(self, public_url: str) -> str:
        """The SD-JWT VC type: the URL of this version's metadata."""
        return f"{public_url}/types/{self.name}/{self.version}"

    @cached_property
    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of the fields of one certificate."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.labels["en"],
            "type": "object",
            "properties": {name: _property(field) for name, field in self.fields.items()},
            "required": [name for name, field in self.fields.items() if field.required],
            "additionalProperties": False,
        }

    def metadata(self, public_url: str, *, specimen: bool = False) -> dict[str, Any]:
        """SD-JWT VC type metadata (draft-ietf-oauth-sd-jwt-vc §6), served at the `vct` URL.

        `specimen`: what a wallet shows as the name of a credential says that it is one.
        """
        mark = _SPECIMEN if specimen else dict.fromkeys(LANGUAGES, "")
        return {
            "vct": self.vct(public_url),
            "name": self.labels["en"] + mark["en"],
            "description": self.description["en"],
            "display": [
                {
                    "locale": language,
                    "name": self.labels[language] + mark[language],
                    "description": self.description[language],
                }
                for language in LANGUAGES
            ],
            "claims": [_claim(field) for field in self.fields.values()],
        }


class Catalogue(Mapping[str, CertificateType]):
    """All types by name; `find` also takes the 21-character national code."""

    def __init__(self, types: Sequence[CertificateType]) -> None:
        self._types = {each.name: each for each in types}
        self._by_code = {each.code: each for each in types}
        if len(self._by_code) != len(types) or len(self._types) != len(types):
            raise InvalidCatalogue("two certificate types share a name or a code")

    @classmethod
    def load(cls, *more: Path) -> "Catalogue":
        """The types shipped here and those of further folders (an office's own)."""
        folders = (Path(__file__).parent, *more)
        return cls([read(path) for folder in folders for path in sorted(folder.glob("*.toml"))])

    def __getitem__(self, name: str) -> CertificateType:
        return self._types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def find(self, name_or_code: str) -> CertificateType:
        """The type of that name or national code. Raises `UnknownType`."""
        found = self._types.get(name_or_code) or self._by_code.get(name_or_code)
        if found is None:
            known = ", ".join(self._types)
            raise UnknownType(f"no certificate type {name_or_code[:60]!r}; there are: {known}")
        return found


def read(path: Path) -> CertificateType:
    """One type from its TOML file. Raises `InvalidCatalogue`, which names file and mistake."""
    try:
        return CertificateType(msgspec.toml.decode(path.read_bytes(), type=Definition))
    except (msgspec.DecodeError, InvalidCatalogue) as problem:
        raise InvalidCatalogue(f"{path.name}: {problem}") from None


def hash_templates(folder: Path, mark: bytes = b"") -> str:
    """One SHA-256 (hex) over all templates and their parts: what a page is made with.

    `mark`: what else is drawn on every page.
    """
    total = hashlib.sha256(mark)
    for path in sorted(folder.glob("*")):
        if path.suffix in {".typ", ".svg"}:
            total.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _check(it: Definition) -> None:
    names = [field.name for field in it.fields]
    known = set(names)
    if len(known) != len(names):
        raise InvalidCatalogue("two fields share a name")
    if len(it.code) != 21 or not is_organisation_code(it.code[:18]):
        raise InvalidCatalogue("code must be an organisation code and three characters")
    known_formats = (PAGE, *CREDENTIALS)
    if set(it.formats) - set(known_formats):
        raise InvalidCatalogue(f"formats must be among {', '.join(known_formats)}")
    used = {it.holder.code, it.holder.name, it.number.field}
    used |= {it.validity.issued, it.validity.start, it.validity.end}
    used |= {it.holder.birth_date, it.holder.sex} - {""}
    used |= {name for purpose in it.purposes.values() for name in purpose.fields}
    if used - known:
        raise InvalidCatalogue(f"not a field of the type: {', '.join(sorted(used - known))}")
    exact = {field.name for field in it.fields if field.kind in EXACT_CODES}
    if not {it.holder.code, it.number.field} <= exact:
        raise InvalidCatalogue("number and holder's code must be fields of an exact kind")
    for needed in ("public-check", "holder-show"):
        if needed not in it.purposes:
            raise InvalidCatalogue(f"the purpose {needed} is missing")
    for words in _all_words(it):
        if set(words) != set(LANGUAGES) or not all(words.values()):
            raise InvalidCatalogue(f"{dict(words)} must have exactly {', '.join(LANGUAGES)}")


def _all_words(it: Definition) -> Iterator[Labels]:
    yield it.labels
    yield it.description
    if it.layout.statement:
        yield it.layout.statement
    for purpose in it.purposes.values():
        yield purpose.names
    for field in it.fields:
        yield field.labels
        for choice in field.choices:
            yield choice.labels


def _property(field: Field) -> dict[str, Any]:
    rule: dict[str, Any] = {"type": "string", "title": field.labels["en"]}
    if field.kind == "choice":
        return rule | {"enum": [choice.code for choice in field.choices]}
    if field.kind == "date":
        return rule | {"format": "date", "maxLength": 10}
    rule |= {"minLength": 1, "maxLength": field.max_length}
    if field.kind in FORMAT_CHECKS:
        rule["format"] = field.kind
    if field.pattern:
        rule["pattern"] = f"^(?:{field.pattern})$"
    if field.example:
        rule["examples"] = [field.example]
    return rule


def _claim(field: Field) -> dict[str, Any]:
    return {
        "path": [field.name],
        "display": [{"locale": language, "name": field.labels[language]} for language in LANGUAGES],
        "mandatory": field.required,
        "sd": "always",
    }
