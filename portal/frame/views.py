"""Certificates, look-ups and verdicts as pages show them: words and labels of one language.

Nothing is decided here. What a value means is asked of the package it comes from; what it is called
is asked of the catalogue or of our own sentences. Official text stays in its own language and is
marked with it, so that a screen reader pronounces it right.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from certificates import (
    Certificate,
    CertificateType,
    Listing,
    State,
    civil_date,
    state_at,
)
from portal.frame.language import Language

_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")
_CODES = frozenset({"code", "organisation-code", "resident-number"})


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a certificate: label and value. `lang` is set when it differs from the page."""

    label: str
    value: str
    code: bool = False
    lang: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A certificate in a list or as a heading. `state` is the one that counts now."""

    identifier: str
    number: str
    type_name: str
    authority_name: str
    holder_name: str
    state: str
    until: date | None
    issued: date


def effective_state(it: Certificate | Listing, now: datetime) -> str:
    """The state a reader cares about: the stored one, or that time has run out or not begun."""
    state = state_at(it.state, it.valid_from, it.valid_until, now)
    if state is State.ACTIVE and it.valid_from is not None and civil_date(now) < it.valid_from:
        return "not_yet_valid"
    return str(state)


def card(lang: Language, kind: CertificateType, it: Certificate | Listing, now: datetime) -> Card:
    """A certificate as lists and headings show it at `now`, without its fields."""
    return Card(
        identifier=it.identifier,
        number=it.number,
        type_name=lang.pick(kind.labels),
        authority_name=getattr(it, "authority_name", ""),
        holder_name=it.holder_name,
        state=effective_state(it, now),
        until=it.valid_until,
        issued=it.issued_on,
    )


def facts(
    lang: Language,
    kind: CertificateType,
    fields: Mapping[str, str],
    names: Iterable[str] | None = None,
) -> list[Fact]:
    """The fields in the type's order with their labels; empty ones are left out."""
    wanted = None if names is None else set(names)
    return [
        fact(lang, kind, name, str(fields[name]))
        for name in kind.fields
        if fields.get(name) and (wanted is None or name in wanted)
    ]


def fact(lang: Language, kind: CertificateType, name: str, value: str) -> Fact:
    """One field with its label, its value written as a reader of `lang` expects it."""
    field = kind.fields[name]
    shown = field.display(value, lang.code)
    if field.kind == "date":
        shown = _day(lang, value)
    return Fact(
        lang.pick(field.labels),
        shown,
        field.kind in _CODES,
        "" if field.choices else own(lang, shown),
    )


def general_facts(lang: Language, kind: CertificateType, it: Certificate) -> list[Fact]:
    """What every certificate has, without what the type's own fields have said already."""
    name, until = it.authority_name, it.valid_until
    shown = [Fact(lang.say("certificate.authority"), name, lang=own(lang, name))]
    if not it.fields.get(kind.validity.start):
        shown.append(Fact(lang.say("certificate.valid_from"), lang.date(it.valid_from)))
    if not it.fields.get(kind.validity.end):
        end = lang.date(until) if until else lang.say("certificate.no_end")
        shown.append(Fact(lang.say("certificate.valid_until"), end))
    return [
        *shown,
        Fact(lang.say("certificate.issued_at"), lang.moment(it.issued_at)),
        Fact(lang.say("certificate.identifier"), it.identifier, code=True),
    ]


def own(lang: Language, text: str) -> str:
    """The language tag of a text that is not in the page's language, else ""."""
    return "zh-CN" if lang.code == "en" and _HAN.search(text) else ""


def _day(lang: Language, value: str) -> str:
    try:
        return lang.date(date.fromisoformat(value))
    except ValueError:
        return value
