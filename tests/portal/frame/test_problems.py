"""Refusals as sentences: one stable code, one sentence in each language, one next step."""

import importlib
import pkgutil
from datetime import UTC, datetime

import pytest

from foundation.errors import FieldError, Invalid, TooManyRequests, YinzhengError
from portal.frame import problems
from portal.frame.language import Languages

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
LANGUAGES = {language.code: language for language in Languages.read()}
ROOMS = ("foundation", "keys", "ledger", "signing", "idp", "certificates", "exchange", "portal")
# The rooms whose refusals officers and the public meet on pages.
ON_PAGES = ("certificates", "signing", "portal")


def _all_errors() -> set[type[YinzhengError]]:
    for room in ROOMS:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            importlib.import_module(module.name)
    found, waiting = set(), [YinzhengError]
    while waiting:
        each = waiting.pop()
        found.add(each)
        waiting += each.__subclasses__()
    return {each for each in found if each.__module__.partition(".")[0] in ROOMS}


ERRORS = sorted(_all_errors(), key=lambda each: each.__qualname__)


def _raised(kind: type[YinzhengError]) -> YinzhengError:
    """An instance without running a constructor that wants more than a detail."""
    error = kind.__new__(kind)
    YinzhengError.__init__(error, "the English detail")
    return error


def test_every_refusal_of_the_rooms_behind_pages_has_a_sentence_of_its_own():
    met = {e.code for e in ERRORS if e.__module__.partition(".")[0] in ON_PAGES}
    assert len(met) > 30
    for language in LANGUAGES.values():
        assert {code for code in met if not language.knows(f"error.{code}")} == set()


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_every_refusal_is_said_in_the_pages_language(language):
    for kind in ERRORS:
        said = problems.sentence(language, _raised(kind))
        assert said, kind
        assert "English detail" not in said, kind
        assert "{" not in said, kind
        if language.code != "en":
            assert any("\u4e00" <= character <= "\u9fff" for character in said), kind


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_every_status_has_a_heading(language):
    for kind in ERRORS:
        refusal = problems.refusal(language, _raised(kind), NOW)
        assert refusal.status == kind.status
        assert refusal.heading


def test_a_refusal_that_ends_says_when():
    refusal = problems.refusal(LANGUAGES["en"], TooManyRequests("slow down", retry_after=90), NOW)
    assert refusal.again_at == datetime(2026, 11, 24, 8, 1, 30, tzinfo=UTC)


def test_each_wrong_field_is_named_by_its_label_and_leads_to_its_control():
    error = Invalid(
        "two",
        errors=[
            FieldError("/fields/birth_date", "bad_date", "is no date"),
            FieldError("/fields/other", "unheard_of", "is <odd>"),
        ],
    )
    labels = {"birth_date": "Date of birth", "other": "Other"}
    first, second = problems.mistakes(LANGUAGES["en"], error, labels)
    assert first.field == "birth_date"
    assert first.words.startswith("Date of birth:")
    assert second.words == "Other: is &lt;odd&gt;"


def test_a_form_that_is_refused_as_a_whole_still_says_why():
    assert [m.field for m in problems.mistakes(LANGUAGES["en"], Invalid("all of it"))] == [""]
