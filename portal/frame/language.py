"""Three languages, each written by hand: simplified Chinese, traditional Chinese, English.

Sentences live in `locale/*.po` and are read once at start; there is no compile step. A message id
is a stable name ("verify.title"), never a sentence. Invariants
(tests/portal/frame/test_language.py holds them): every id exists in all three files, with the same
placeholders.

A sentence is text, not markup: it is escaped when it is said, and so is every value put into it.
The language of a page is, in this order, `?lang=`, the cookie, the `ui_locales` of the service that
sent somebody to sign in, Accept-Language, simplified Chinese.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

from babel import Locale
from babel.dates import format_date, format_datetime, format_time
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from markupsafe import Markup, escape

COOKIE = "yz_lang"
# Clock times on pages are Beijing time, and say so where the zone could matter.
OFFICE_ZONE = timezone(timedelta(hours=8), "UTC+8")

_HERE = Path(__file__).parents[1] / "locale"
_KNOWN = (
    # code, html lang, own name, Babel locale, catalogue file
    ("zh-Hans", "zh-CN", "简体中文", "zh_Hans_CN", "zh_Hans.po"),
    ("zh-Hant", "zh-TW", "繁體中文", "zh_Hant_TW", "zh_Hant.po"),
    ("en", "en", "English", "en_GB", "en.po"),
)
CODES = tuple(code for code, *_ in _KNOWN)
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Language:
    """One language: its sentences and its way to write dates and numbers."""

    code: str
    tag: str
    name: str
    locale: Locale
    sentences: Mapping[str, tuple[str, ...]]

    def say(self, message: str, **values: object) -> Markup:
        """The sentence `message`, safe for HTML. Raises KeyError for an unknown id or value."""
        return _fill(self.sentences[message][0], values)

    def count(self, message: str, n: int, **values: object) -> Markup:
        """A sentence about `n` things, in the right number."""
        forms = self.sentences[message]
        form = forms[min(self.locale.plural_form(n) != "one", len(forms) - 1)]
        return _fill(form, {"n": self.number(n), **values})

    def knows(self, message: str) -> bool:
        """Whether there is a sentence with this id."""
        return message in self.sentences

    def pick(self, labels: Mapping[str, str]) -> str:
        """The text of this language out of a catalogue's labels; the other Chinese, then any."""
        for code in (self.code, *CODES):
            if labels.get(code):
                return labels[code]
        return next(iter(labels.values()), "")

    def date(self, value: date | datetime) -> str:
        """A day: 2026年11月24日, 24 November 2026. Moments are shown in the office's zone."""
        day = value.astimezone(OFFICE_ZONE).date() if isinstance(value, datetime) else value
        return format_date(day, "long", locale=self.locale)

    def moment(self, value: datetime) -> str:
        """A day with the time to the minute, in the office's zone."""
        style = "d MMMM y, HH:mm" if self.code == "en" else "y年M月d日 HH:mm"
        return format_datetime(value, style, tzinfo=OFFICE_ZONE, locale=self.locale)

    def time(self, value: datetime) -> str:
        """The clock alone, to the second."""
        return format_time(value.astimezone(OFFICE_ZONE), "HH:mm:ss", locale=self.locale)

    def number(self, value: int) -> str:
        """An integer with this language's thousands separators."""
        return format_decimal(value, locale=self.locale)


class Languages:
    """All languages, and which of them a request wants."""

    def __init__(self, languages: Mapping[str, Language]) -> None:
        self._languages = languages
        self.default = languages[CODES[0]]

    @classmethod
    def read(cls, folder: Path = _HERE) -> "Languages":
        """Parse the catalogues (about 0.1 s)."""
        read = {}
        for code, tag, name, locale, file in _KNOWN:
            read[code] = Language(code, tag, name, Locale.parse(locale), sentences(folder / file))
        return cls(read)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._languages.values())

    def get(self, code: str) -> Language | None:
        """The language with this code, such as "zh-Hans"; None for any other text."""
        return self._languages.get(code)

    def choose(self, asked: str, cookie: str, ui_locales: Collection[str], accept: str) -> Language:
        """The language for `?lang=`, cookie value, BCP 47 tags and Accept-Language header, best
        first."""
        chosen = self.get(asked) or self.get(cookie)
        return chosen or self._first(ui_locales) or self._accepted(accept) or self.default

    def _first(self, tags: Collection[str]) -> Language | None:
        known = (self.get(_code_of(tag.lower())) for tag in tags)
        return next((each for each in known if each), None)

    def _accepted(self, header: str) -> Language | None:
        ranges = []
        for order, part in enumerate(header[:500].split(",")):
            tag, _, rest = part.strip().partition(";")
            quality = _quality(rest)
            if quality > 0:
                ranges.append((-quality, order, tag.lower()))
        for _, _, tag in sorted(ranges):
            if found := self._languages.get(_code_of(tag)):
                return found
        return None


def sentences(file: Path) -> dict[str, tuple[str, ...]]:
    """Message id -> its sentence, or its forms (singular, plural) where number matters."""
    with file.open("rb") as source:
        catalogue = read_po(source)
    found: dict[str, tuple[str, ...]] = {}
    for message in catalogue:
        if not message.id:
            continue
        if isinstance(message.id, str):
            found[message.id] = (str(message.string),)
        else:
            found[message.id[0]] = tuple(message.string or ())
    return found


def placeholders(sentence: str) -> set[str]:
    """The names in braces that a sentence wants values for."""
    return set(_PLACEHOLDER.findall(sentence))


def _fill(sentence: str, values: Mapping[str, object]) -> Markup:
    text = Markup(escape(sentence))  # noqa: S704 — escaped first
    return text.format(**values) if "{" in sentence else text


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _code_of(tag: str) -> str:
    """Our language for a BCP 47 range: zh-HK and zh-MO read traditional, other zh simplified."""
    main, *rest = tag.split("-")
    if main == "en":
        return "en"
    if main == "zh":
        return "zh-Hant" if {"hant", "tw", "hk", "mo"} & set(rest) else "zh-Hans"
    return ""
