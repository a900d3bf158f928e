"""Three languages, each complete: no page may meet a word it does not have."""

import re
from datetime import UTC, date, datetime

import pytest
from markupsafe import Markup

from portal.frame.language import CODES, Languages, placeholders
from portal.public.pages import STATEMENTS
from tests.portal.sources import dotted_names, families

LANGUAGES = Languages.read()
SENTENCES = {language.code: language.sentences for language in LANGUAGES}
IDS = frozenset(SENTENCES["en"])
# Ids that code composes from parts it takes from a constant of its own.
COMPOSED = {
    f"{page}.{part}{ending}"
    for page, parts in STATEMENTS.items()
    for part in parts
    for ending in ("", "_text")
} | {f"{page}.{part}" for page in STATEMENTS for part in ("title", "lead")}


@pytest.mark.parametrize("code", CODES)
def test_every_language_has_every_sentence(code):
    assert set(SENTENCES[code]) == IDS


@pytest.mark.parametrize("code", CODES)
def test_no_sentence_is_empty(code):
    empty = [
        i for i, forms in SENTENCES[code].items() if not forms or not all(map(str.strip, forms))
    ]
    assert empty == []


def test_a_sentence_has_the_same_places_in_every_language():
    # A singular may leave the number out ("one certificate"), so the last form is compared.
    places = {i: [placeholders(SENTENCES[code][i][-1]) for code in CODES] for i in IDS}
    assert {i: each for i, each in places.items() if each.count(each[0]) != len(CODES)} == {}


def test_chinese_sentences_have_one_form_and_english_ones_two():
    counted = {i for i in IDS if len(SENTENCES["en"][i]) == 2}
    for code in ("zh-Hans", "zh-Hant"):
        assert all(len(SENTENCES[code][i]) == 1 for i in IDS)
    assert all(len(SENTENCES["en"][i]) in {1, 2} for i in IDS)
    assert counted


def test_every_sentence_that_code_or_a_page_names_exists():
    first_words = {i.partition(".")[0] for i in IDS}
    named = {i for i in dotted_names() if i.partition(".")[0] in first_words}
    assert named - IDS == set()


def test_every_sentence_is_said_somewhere():
    said = dotted_names() | COMPOSED
    prefixes = families()
    assert {i for i in IDS - said if not any(i.startswith(p) for p in prefixes)} == set()


def test_the_two_chinese_catalogues_are_really_two():
    # 简 and 繁: a catalogue copied over would hold characters that only the other one uses.
    only_simplified = set("签证书为发对开关国际务线经种个们来时无门户样报办")
    only_traditional = set("簽證書為發對開關國際務線經種個們來時無門戶樣報辦")
    shared = only_simplified & only_traditional
    for message, forms in SENTENCES["zh-Hans"].items():
        assert not set("".join(forms)) & (only_traditional - shared), message
    for message, forms in SENTENCES["zh-Hant"].items():
        # The brand is a name and keeps its characters.
        assert not set("".join(forms)) & (only_simplified - shared) - set("证"), message


@pytest.mark.parametrize(
    ("asked", "cookie", "wished", "accept", "chosen"),
    [
        ("en", "zh-Hant", "", "zh-CN", "en"),
        ("", "zh-Hant", "", "en", "zh-Hant"),
        ("xx", "yy", "", "en-GB,zh;q=0.5", "en"),
        ("", "", "", "zh-HK", "zh-Hant"),
        ("", "", "", "zh-Hans-TW", "zh-Hant"),
        ("", "", "", "zh-SG", "zh-Hans"),
        ("", "", "", "zh;q=0.2, en;q=0.9", "en"),
        ("", "", "", "fr, de;q=0.5", "zh-Hans"),
        ("", "", "", "en;q=0, *;q=0.1", "zh-Hans"),
        ("", "", "", "en;q=abc, zh-TW", "zh-Hant"),
        ("", "", "", "," * 400, "zh-Hans"),
        ("", "", "zh-HK en", "en", "zh-Hant"),
        ("", "", "fr en", "zh-CN", "en"),
        ("", "", "fr", "en", "en"),
        ("", "zh-Hans", "en", "en", "zh-Hans"),
    ],
)
def test_the_language_is_the_one_asked_for_then_the_cookies_the_services_the_browsers(
    asked, cookie, wished, accept, chosen
):
    assert LANGUAGES.choose(asked, cookie, wished.split(), accept).code == chosen


def test_a_value_put_into_a_sentence_is_escaped():
    english = LANGUAGES.get("en")
    assert english
    said = english.say("certificate.until", date="<script>alert(1)</script>")
    assert isinstance(said, Markup)
    assert "<script>" not in said
    assert "&lt;script&gt;" in said


def test_dates_are_written_as_each_language_writes_them_in_office_time():
    late = datetime(2026, 11, 24, 17, 30, tzinfo=UTC)  # already the next day in Beijing
    written = {each.code: (each.date(late), each.moment(late)) for each in LANGUAGES}
    assert written == {
        "zh-Hans": ("2026年11月25日", "2026年11月25日 01:30"),
        "zh-Hant": ("2026年11月25日", "2026年11月25日 01:30"),
        "en": ("25 November 2026", "25 November 2026, 01:30"),
    }
    assert {each.date(date(2026, 3, 1)) for each in LANGUAGES} == {"2026年3月1日", "1 March 2026"}


def test_english_counts_one_thing_and_several_things():
    english = LANGUAGES.get("en")
    assert english
    one, many = (english.count("batch.done", n) for n in (1, 1200))
    assert one != many
    assert re.search(r"1,200", many)
