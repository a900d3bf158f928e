"""Refusals in the reader's language: the stable code picks the sentence, on every page alike.

A code without a translation still reaches the reader: in English, marked as English, so that a
screen reader pronounces it right. tests/portal/test_problems.py keeps that list empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

from foundation.errors import FieldError, YinzhengError
from portal.language import Language


@dataclass(frozen=True, slots=True)
class Mistake:
    """One line of the summary above a form: the id of the field it leads to, and the words."""

    field: str
    words: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as a page shows it."""

    status: int
    heading: str
    words: str
    foreign: bool
    again_at: datetime | None


def refusal(lang: Language, error: YinzhengError, now: datetime) -> Refusal:
    """What the page about `error` says."""
    words, foreign = sentence(lang, error.code, error.detail, error.params)
    heading = f"error.heading.{error.status}"
    retry_after = getattr(error, "retry_after", 0)
    return Refusal(
        status=error.status,
        heading=lang.say(heading if lang.knows(heading) else "error.heading.500"),
        words=words,
        foreign=foreign,
        again_at=later(now, retry_after) if retry_after else None,
    )


def sentence(lang: Language, code: str, detail: str, params: Mapping[str, Any]) -> tuple[str, bool]:
    """The sentence for an error code, and whether it had to stay English."""
    try:
        return lang.say(f"error.{code}", **params), False
    except KeyError:
        return detail, lang.code != "en"


def mistakes(
    lang: Language, error: YinzhengError, labels: Mapping[str, str] | None = None
) -> list[Mistake]:
    """The summary of a refused form; `labels` name the fields. Never empty."""
    found = [_mistake(lang, each, labels or {}) for each in error.errors]
    return found or [Mistake("", sentence(lang, error.code, error.detail, error.params)[0])]


def one(lang: Language, field: str, message: str, **values: object) -> list[Mistake]:
    """A summary with a single line."""
    return [Mistake(field, lang.say(message, **values))]


def later(now: datetime, seconds: int) -> datetime:
    return now + timedelta(seconds=seconds)


def _mistake(lang: Language, error: FieldError, labels: Mapping[str, str]) -> Mistake:
    name = error.pointer.rsplit("/", 1)[-1]
    label = labels.get(name, name)
    try:
        return Mistake(name, lang.say(f"field.{error.code}", label=label))
    except KeyError:
        return Mistake(name, Markup("{}: {}").format(label, error.detail))
