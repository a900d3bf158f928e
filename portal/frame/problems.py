"""Refusals in the reader's language: the stable code picks the sentence, on every page alike.

A code without a sentence of its own is said in the words of its kind ("there is no such thing"), so
that a page never changes its language in the middle.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup

from foundation.errors import FieldError, YinzhengError
from portal.frame.language import Language


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
    again_at: datetime | None


def refusal(lang: Language, error: YinzhengError, now: datetime) -> Refusal:
    """What the page about `error` says."""
    headings = (f"error.heading.{error.code}", f"error.heading.{error.status}")
    heading = next(filter(lang.knows, headings), "error.heading.500")
    retry_after = getattr(error, "retry_after", 0)
    return Refusal(
        status=error.status,
        heading=lang.say(heading),
        words=sentence(lang, error),
        again_at=later(now, retry_after) if retry_after else None,
    )


def sentence(lang: Language, error: YinzhengError) -> Markup:
    """The sentence for an error's code, else for the nearest kind of error above it."""
    for kind in type(error).__mro__:
        if issubclass(kind, YinzhengError):
            with suppress(KeyError):  # no such sentence, or it has a place that nobody fills
                return lang.say(f"error.{kind.code}", **error.params)
    return lang.say("error.internal_error")


def mistakes(
    lang: Language, error: YinzhengError, labels: Mapping[str, str] | None = None
) -> list[Mistake]:
    """The summary of a refused form; `labels` name the fields. Never empty."""
    found = [_mistake(lang, each, labels or {}) for each in error.errors]
    return found or [Mistake("", sentence(lang, error))]


def one(lang: Language, field: str, message: str, **values: object) -> list[Mistake]:
    """A summary with a single line."""
    return [Mistake(field, lang.say(message, **values))]


def later(now: datetime, seconds: int) -> datetime:
    """The moment `seconds` after `now`, at which a reader may try again."""
    return now + timedelta(seconds=seconds)


def _mistake(lang: Language, error: FieldError, labels: Mapping[str, str]) -> Mistake:
    name = error.pointer.rsplit("/", 1)[-1]
    label = labels.get(name, name)
    try:
        return Mistake(name, lang.say(f"field.{error.code}", label=label))
    except KeyError:
        return Mistake(name, Markup("{}: {}").format(label, error.detail))
