"""From what somebody typed or a register holds to the exact fields that will be sealed.

Three steps, each pure:

1. `normalise`: unwanted spaces and full-width digits and letters are put right, and said so;
2. `complete`: a missing licence number is made, a missing end of validity computed;
3. `check`: the type's JSON Schema, check digits, sensible dates, characters nobody can see, and
   birth date and sex against the resident number that holds them.

Values never appear in an error, only names and rules: errors are logged and mailed, values are not.
"""

import re
import secrets
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import jsonschema_rs

from certificates.catalogue import FORMAT_CHECKS, CertificateType, Field
from certificates.identifier import (
    SPACES,
    as_written,
    birth_date,
    is_resident_number,
    mod_11_10,
    narrow,
    sex,
)
from foundation.errors import FieldError, Invalid

_FULL_WIDTH_ALPHANUMERIC = re.compile(r"[０-９Ａ-Ｚａ-ｚ]")
_EXACT_KINDS = frozenset({"code", "organisation-code", "resident-number", "date", "choice"})
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})  # Unicode general categories
_IGNORABLE = re.compile(  # drawn as nothing although they are letters or marks
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
_RADICALS = re.compile("[\u2e80-\u2fdf]")  # look like the characters that PDF texts mean by them
MAX_NOTE = 500
_DRAWS = 50  # of a number; only an authority whose numbers are nearly used up needs so many
_EARLIEST = 1850  # no certificate and no birth is older
_LOOSE_DATE = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?")


@dataclass(frozen=True, slots=True)
class Correction:
    """Something that was put right on the way in: which field, and what was done."""

    field: str
    code: str


def not_text(name: str, value: object) -> FieldError | None:
    """Fields are text: "None" is nobody's name."""
    if isinstance(value, str):
        return None
    return FieldError(_pointer(name), "not_text", "is not text")


def normalise(
    kind: CertificateType, raw: Mapping[str, str]
) -> tuple[dict[str, str], list[Correction]]:
    """Trim, straighten and drop empty values; what was changed is returned as notices."""
    fields: dict[str, str] = {}
    notices: list[Correction] = []
    for name, value in raw.items():
        field = kind.fields.get(name)
        clean = _clean(field, value) if field else value
        if field and clean != value:
            notices.append(Correction(name, _change(value, clean)))
        if clean or field is None:
            fields[name] = clean
    return fields, notices


def complete(
    kind: CertificateType,
    fields: Mapping[str, str],
    authority: str,
    today: date,
    taken: Callable[[str], bool],
) -> dict[str, str]:
    """Fill what the type's rules can: issue date, start, end by `years`, and a number that is not
    `taken`.
    """
    done = dict(fields)
    validity = kind.validity
    done.setdefault(validity.issued, today.isoformat())
    done.setdefault(validity.start, done[validity.issued])
    start = as_date(done[validity.start])
    if validity.years and validity.end not in done and start:
        end = _years_later(start, validity.years)
        done[validity.end] = (end - timedelta(days=1)).isoformat() if end else ""
    if kind.number.generate and kind.number.field not in done:
        number = free_number(kind, done, authority, taken)
        if number:
            done[kind.number.field] = number
    return done


def check(kind: CertificateType, fields: Mapping[str, str], today: date) -> list[FieldError]:
    """Every broken rule, one error each; an empty list means the fields can be sealed."""
    errors = [_schema_error(problem) for problem in _validator(kind).iter_errors(dict(fields))]
    wrong = {error.pointer for error in errors}
    for name, value in fields.items():
        kind_of = kind.fields[name].kind if name in kind.fields else "text"
        hidden = invisible(value, allowed="\n" if kind_of == "multiline" else "")
        if hidden and (pointer := _pointer(name)) not in wrong:
            detail = f"holds characters nobody can see: {hidden}"
            errors.append(FieldError(pointer, "invisible_character", detail))
    for error in (*_date_errors(kind, fields, today), *_contradictions(kind, fields)):
        if error.pointer not in wrong:
            wrong.add(error.pointer)
            errors.append(error)
    return _causes(kind, errors)


def invisible(text: str, allowed: str = "") -> str:
    """The code points in `text` that a reader cannot see: controls, bidi, zero width, private use.

    They make two different names look the same (attack 46), so they are refused, not removed.
    """
    unseen = {c for c in text if unicodedata.category(c) in _UNSEEN and c not in allowed}
    found = sorted(unseen.union(_IGNORABLE.findall(text)))
    return ", ".join(f"U+{ord(character):04X}" for character in found)


def checked_note(text: str, needed: str = "") -> str:
    """An officer's own words, trimmed. Raises `Invalid`, also for none at all when `needed` says
    what to write."""
    note = text.strip()
    if needed and not note:
        raise Invalid("a reason is needed", next_step=needed)
    if len(note) > MAX_NOTE:
        raise Invalid(f"a note has at most {MAX_NOTE} characters", next_step="shorten it")
    if hidden := invisible(note, allowed="\r\n\t"):
        raise Invalid(f"the note holds characters nobody can see: {hidden}")
    return note


def as_date(text: str | None) -> date | None:
    """An ISO date, None for anything else."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _clean(field: Field, value: str) -> str:
    text = unicodedata.normalize("NFC", value.removeprefix("\ufeff"))
    if field.kind in _EXACT_KINDS:
        if field.kind == "date":
            return _iso(SPACES.sub("", narrow(text)))
        if field.kind == "choice":
            return _choice_code(field, SPACES.sub("", narrow(text)))
        return as_written(text)
    text = _RADICALS.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    text = _FULL_WIDTH_ALPHANUMERIC.sub(lambda match: chr(ord(match[0]) - 0xFEE0), text)
    if field.kind == "multiline":
        lines = (SPACES.sub(" ", line).strip() for line in text.splitlines())
        return "\n".join(line for line in lines if line)
    return SPACES.sub(" ", text).strip(" ")


def _change(before: str, after: str) -> str:
    if any(0xFF01 <= ord(character) <= 0xFF5E for character in before):
        return "full_width_characters"
    if SPACES.sub("", before) == SPACES.sub("", after):
        return "stray_spaces"
    return "rewritten"


def _iso(text: str) -> str:
    """2026/3/2 and 2026年3月2日 are ISO dates in disguise; other orders are not guessed."""
    match = _LOOSE_DATE.fullmatch(text)
    return f"{match[1]}-{int(match[2]):02d}-{int(match[3]):02d}" if match else text


def _choice_code(field: Field, text: str) -> str:
    """A choice may be written by its code or by any of its labels."""
    for choice in field.choices:
        if text == choice.code or text.casefold() in {
            SPACES.sub("", label).casefold() for label in choice.labels.values()
        }:
            return choice.code
    return text


@lru_cache(maxsize=256)
def _validator(kind: CertificateType) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        kind.schema, validate_formats=True, formats=dict(FORMAT_CHECKS)
    )


_RULES = {
    "Required": "missing",
    "AdditionalProperties": "unknown_field",
    "MaxLength": "too_long",
    "MinLength": "empty",
    "Pattern": "wrong_form",
    "Enum": "not_a_choice",
    "Format": "wrong_form",
}


def _schema_error(problem: jsonschema_rs.ValidationError) -> FieldError:
    kind: Any = problem.kind
    rule = _RULES.get(type(kind).__name__, "invalid")
    name = "/".join(str(part) for part in problem.instance_path)
    if rule == "missing":
        name, detail = str(kind.property), "is required"
    elif rule == "unknown_field":
        name, detail = str(kind.unexpected[0])[:60], "is not a field of this type"
    else:
        rule, detail = _explain(kind, rule)
    return FieldError(_pointer(name), rule, detail)


def _pointer(name: str) -> str:
    """RFC 6901: a name is text, and "/" means a level."""
    return "/fields/" + name.replace("~", "~0").replace("/", "~1")


def _explain(kind: Any, rule: str) -> tuple[str, str]:
    if rule == "too_long":
        return rule, f"is longer than {kind.limit} characters"
    if rule == "not_a_choice":
        return rule, "is none of " + ", ".join(kind.options)
    if rule == "wrong_form" and getattr(kind, "format", None):
        return {
            "date": ("bad_date", "is not a date that exists, written YYYY-MM-DD"),
            "organisation-code": ("bad_check_character", "is not a valid organisation code"),
            "resident-number": ("bad_check_character", "is not a valid resident number"),
        }[kind.format]
    if rule == "wrong_form":
        return rule, f"does not have the form {kind.pattern[4:-2]}"
    return rule, "is empty" if rule == "empty" else "breaks a rule of the type"


def _date_errors(
    kind: CertificateType, fields: Mapping[str, str], today: date
) -> Iterator[FieldError]:
    days = {
        name: day
        for name, field in kind.fields.items()
        if field.kind == "date" and (day := as_date(fields.get(name)))
    }
    for name, day in days.items():
        if day.year < _EARLIEST:
            yield FieldError(_pointer(name), "bad_date", f"lies before {_EARLIEST}")
        if day > today and name in (kind.validity.issued, kind.holder.birth_date):
            yield FieldError(_pointer(name), "date_in_future", "lies in the future")
    start, end = days.get(kind.validity.start), days.get(kind.validity.end)
    if start and end and end < start:
        pointer = _pointer(kind.validity.end)
        yield FieldError(pointer, "dates_out_of_order", "is earlier than the start")


def _contradictions(kind: CertificateType, fields: Mapping[str, str]) -> Iterator[FieldError]:
    """A resident number says when its holder was born and of which sex (GB 11643 §4)."""
    number = fields.get(kind.holder.code, "")
    if kind.holder.kind != "person" or not is_resident_number(number):
        return
    said = {kind.holder.birth_date: str(birth_date(number)), kind.holder.sex: sex(number)}
    for name, value in said.items():
        if fields.get(name, value) != value:
            detail = f"contradicts the {kind.fields[kind.holder.code].labels['en'].lower()}"
            yield FieldError(_pointer(name), "contradicts_number", detail)


def _causes(kind: CertificateType, errors: list[FieldError]) -> list[FieldError]:
    """Leave out that a computed field is missing when another field's mistake is the reason."""
    computed = {f"/fields/{kind.validity.end}", f"/fields/{kind.number.field}"}
    causes = [each for each in errors if each.code != "missing" or each.pointer not in computed]
    return causes or errors


def _years_later(day: date, years: int) -> date | None:
    """The same day some years later, None beyond the year 9999."""
    if day.year + years > date.max.year:
        return None
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # 29 February
        return date(day.year + years, 3, 1)


def free_number(
    kind: CertificateType, fields: Mapping[str, str], authority: str, taken: Callable[[str], bool]
) -> str:
    """A made number that is not taken; the last of many draws when all were."""
    number = ""
    for _ in range(_DRAWS):
        number = _generate_number(kind, fields, authority)
        if not taken(number):
            break
    return number


def _generate_number(kind: CertificateType, fields: Mapping[str, str], authority: str) -> str:
    """Fill the `generate` form (see `Number`), "" while the choice it counts is wrong."""
    chosen = fields.get(kind.number.choice, "")
    codes = [choice.code for choice in kind.fields[kind.number.choice].choices] if chosen else []
    if kind.number.choice and chosen not in codes:
        return ""
    values = {
        "division": authority[2:8],
        "year": fields.get(kind.validity.issued, "")[:4],
        "choice": str(codes.index(chosen) + 1) if chosen else "",
    }

    def fill(match: re.Match[str]) -> str:
        word, _, length = match[1].partition(":")
        if word == "digits":
            return "".join(secrets.choice("0123456789") for _ in range(int(length)))
        return values.get(word, match[0])

    number = re.sub(r"\{([a-z]+(?::\d+)?)\}", fill, kind.number.generate)
    if number.endswith("{check}"):
        body = number.removesuffix("{check}")
        return body + mod_11_10(re.sub(r"\D", "", body))
    return number
