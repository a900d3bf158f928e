"""Any signed document, judged in plain words; green only without a doubt."""

import re
from contextlib import ExitStack

import pytest

from signing.foreign import examination
from signing.foreign.examination import Examination
from signing.validation.reasons import REASONS
from tests.attacks import pdf_edits
from tests.portal.conftest import Browse, Licence
from tests.portal.public.test_verify import by_file
from tests.portal.surfer import Page, Surfer
from tests.signing.conftest import stranger  # noqa: F401
from tests.signing.validation.test_service import plain, signed_by

PATH = "/verify/document"


def ask(surfer: Surfer, data: bytes, beside: bytes = b"", name: str = "paper.pdf") -> Page:
    files = {"document": (name, data, "application/pdf")}
    if beside:
        files["signature"] = ("paper.p7s", beside, "application/pkcs7-signature")
    return surfer.send(surfer.get(PATH), PATH, files=files)


@pytest.fixture
def sealed(house, permit: Licence) -> bytes:
    chen = house.idp.people.find("chen").actor
    return house.certificates.pdf(chen, permit.identifier)


def test_a_document_as_it_was_sealed_is_green_and_says_by_whom_and_when(browse: Browse, sealed):
    page = ask(browse(), sealed)
    assert page.title.startswith("Signature valid")
    assert 'class="verdict good"' in page.html
    assert "示例市公安局" in page.text
    assert "proved by a time-stamp" in page.text
    assert "It covers the whole file." in page.text
    assert "TOTAL-PASSED" in page.text


def test_something_added_after_sealing_is_never_green(browse: Browse, sealed):
    """Attack: an incremental update that changes the page while the signature stays right."""
    number, page_object = pdf_edits.first_page(sealed)
    added = pdf_edits.updated(sealed, {number: pdf_edits.added(page_object, b"/Rotate 180")})
    page = ask(browse(), added)
    assert page.title.startswith("Signature not valid")
    assert 'class="verdict bad"' in page.html
    assert REASONS["changed_after_sealing"].en in page.text


def test_a_changed_byte_is_told_apart_from_an_unsigned_file(browse: Browse, sealed):
    at = len(sealed) // 4
    changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
    broken, plain = ask(browse(), changed), ask(browse(), b"just words")
    for page in (broken, plain):
        assert 'class="verdict bad"' in page.html
    assert broken.html.partition('class="checks"')[2] != plain.html.partition('class="checks"')[2]
    assert REASONS["not_a_pdf"].en in plain.text


@pytest.mark.parametrize("language", ["en", "zh-Hans", "zh-Hant"])
def test_reasons_are_said_in_the_readers_language(browse: Browse, sealed, language):
    surfer = browse(language=language)
    assert REASONS["intact"].text[language] in ask(surfer, sealed).text


def test_a_file_name_that_hides_something_shows_it(browse: Browse, sealed):
    page = ask(browse(), sealed, name="letter\u202efdp.exe")
    assert "⟨U+202E⟩" in page.text


def test_without_a_file_the_form_says_what_is_missing(browse: Browse):
    surfer = browse()
    page = surfer.send(surfer.get(PATH), PATH)
    assert page.status == 422
    assert "#document" in page.links


def test_a_signature_that_belongs_to_another_file_is_refused(browse: Browse, sealed):
    page = ask(browse(), b"some other content", beside=b"\x30\x03\x02\x01\x00")
    assert not re.search('class="verdict good"', page.html)
    assert page.status in {200, 422}


@pytest.mark.parametrize(
    ("language", "claim", "words"),
    [
        ("en", "No change was found", "It could not be established that nothing was changed"),
        ("zh-Hans", "没有发现改动", "无法确认文件没有改动"),
        ("zh-Hant", "沒有發現改動", "無法確認檔案沒有改動"),
    ],
)
def test_56_no_change_was_found_is_only_said_where_something_was_compared(
    house, browse: Browse, monkeypatch, language, claim, words
):
    """Attack: a file that nobody finishes reading, shown as one in which nothing was changed."""
    too_large = Examination(error="too_complex", detail="reading the file takes too long")
    with monkeypatch.context() as limits:
        limits.setattr(examination, "examined", lambda *_arguments: too_large)
        page = ask(browse(language=language), plain())
    assert 'class="verdict care"' in page.html
    assert words in page.text
    assert claim not in page.text


def test_no_change_is_said_of_a_file_that_was_compared(browse: Browse, stranger):  # noqa: F811
    page = ask(browse(), signed_by(stranger, plain()))
    assert 'class="verdict care"' in page.html
    assert "No change was found" in page.text


def test_55_a_full_public_budget_is_told_and_when_to_come_again(browse: Browse, monkeypatch):
    surfer, officer = browse(), browse("wang")
    monkeypatch.setattr(examination.PUBLIC, "patience", 0.05)
    with ExitStack() as reading:
        for _ in range(examination.PUBLIC.at_once):
            reading.enter_context(examination.PUBLIC.slot())
        refused = [ask(surfer, plain()), by_file(surfer, plain())]
        served = [ask(officer, plain()), by_file(officer, plain())]
    for page in refused:
        assert page.status == 503
        assert page.answer.headers["retry-after"] == str(examination.RETRY_AFTER)
    assert [page.status for page in served] == [200, 200]
