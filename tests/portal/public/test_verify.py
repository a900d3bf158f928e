"""Verifying, for everybody: by number, file or photo of the code; one verdict, one sentence."""

import io

import pytest
from PIL import Image, ImageDraw

from exchange import rules
from portal.citizen.pictures import MAX_PHOTO_PIXELS, read_qr
from portal.frame.language import Languages
from portal.public.verify import TONES
from tests.portal.citizen.test_pages import picture_of_code
from tests.portal.conftest import Browse, Licence
from tests.portal.surfer import Page, Surfer
from tests.signing.foreign.test_sealing import letter


def by_number(surfer: Surfer, number: str) -> Page:
    return surfer.send(surfer.get("/verify"), "/verify/number", number=number)


def by_file(surfer: Surfer, data: bytes) -> Page:
    file = ("licence.pdf", data, "application/pdf")
    return surfer.send(surfer.get("/verify"), "/verify/file", files={"document": file})


def by_photo(surfer: Surfer, data: bytes) -> Page:
    file = ("photo.png", data, "image/png")
    return surfer.send(surfer.get("/verify"), "/verify/photo", files={"photo": file})


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def sealed(house, permit: Licence) -> bytes:
    chen = house.idp.people.find("chen").actor
    return house.certificates.pdf(chen, permit.identifier)


def test_a_good_number_is_valid_and_shows_only_what_the_public_may_see(browse: Browse, permit):
    page = by_number(browse(), permit.number)
    assert page.status == 200
    assert page.title.startswith("Valid")
    assert "陈静怡" not in page.text
    assert page.answer.headers["x-robots-tag"] == "noindex"


def test_a_number_is_understood_as_people_write_it(browse: Browse, permit):
    wide = "".join(chr(ord(c) + 0xFEE0) for c in permit.number)
    for written in (f" {permit.number[:6]} {permit.number[6:]} ", wide, permit.identifier):
        assert by_number(browse(), written).title.startswith("Valid"), written


def test_a_number_nobody_issued_is_not_found_and_that_is_no_error(browse: Browse):
    page = by_number(browse(), "JZ990000000000000001")
    assert page.status == 200
    assert page.title.startswith("Not found")


def test_without_a_number_the_form_says_what_is_missing(browse: Browse):
    page = by_number(browse(), "  ")
    assert page.status == 422
    assert "#number" in page.links


def test_the_sealed_file_is_valid(browse: Browse, sealed):
    assert by_file(browse(), sealed).title.startswith("Valid")


def test_a_file_with_one_changed_byte_is_not(browse: Browse, sealed):
    at = len(sealed) // 3
    changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
    page = by_file(browse(), changed)
    assert not page.title.startswith("Valid")
    assert page.html.count('class="verdict bad"') == 1


@pytest.mark.parametrize("language", ["en", "zh-Hans", "zh-Hant"])
@pytest.mark.parametrize("data", [b"PK\x03\x04 a docx", png(Image.new("RGB", (9, 9))), letter()])
def test_who_chose_a_wrong_file_is_told_so_kindly(browse: Browse, data, language):
    page = by_file(browse(language=language), data)
    words = {"en": "Not a certificate of ours", "zh-Hans": "不是本服务的证照"}
    assert page.title.startswith(words.get(language, "不是本服務的證照"))
    assert page.html.count('class="verdict plain"') == 1
    assert "/verify/document" in page.links
    checks = page.html.partition('class="checks"')[2].partition("</ul>")[0]
    assert checks.count('<li class="plain"') == 6


@pytest.mark.parametrize("data", [b"", b"not a PDF", b"%PDF-1.7\n%%EOF", b"\x00" * 4096])
def test_what_is_no_certificate_gets_an_answer_and_no_fault(browse: Browse, data):
    page = by_file(browse(), data)
    assert page.status in {200, 422}
    assert not page.title.startswith("Valid")


def test_a_photo_of_a_shown_code_opens_it(browse: Browse, permit):
    holder = browse("chen")
    path = f"/me/certificates/{permit.identifier}/show"
    code = picture_of_code(holder.send(holder.get(path), path))
    photo = Image.new("RGB", (1600, 1200), (120, 130, 110))
    photo.paste(code.convert("RGB").rotate(7, expand=True, fillcolor=(255, 255, 255)), (300, 200))
    public = browse()
    asked = by_photo(public, png(photo))
    page = public.send(asked, asked.path)
    assert page.title.startswith("Valid")
    assert "陈静怡" in page.text


@pytest.mark.parametrize(
    ("photo", "status"),
    [
        (png(Image.new("L", (600, 400), 200)), 422),
        (b"no picture at all", 422),
        (b"", 422),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 100, 422),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422),
        (png(Image.new("1", (6000, 4000))), 413),
    ],
)
def test_a_photo_without_a_code_says_what_to_do(browse: Browse, photo, status):
    page = by_photo(browse(), photo)
    assert page.status == status
    assert "#photo" in page.links


def test_a_picture_that_unpacks_to_far_more_is_not_unpacked(browse: Browse):
    """Attack 45: a few kilobytes that would become 400 million pixels."""
    bomb = png(Image.new("1", (20_000, 20_000)))
    assert len(bomb) < 200_000
    assert MAX_PHOTO_PIXELS < 20_000 * 20_000
    assert by_photo(browse(), bomb).status == 413


def test_a_code_of_somebody_else_leads_nowhere(browse: Browse):
    import zxingcpp

    for text in ("https://evil.test/v/abc", "http://localhost:8000/staff", "javascript:alert(1)"):
        drawn = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode).to_image(scale=8)
        picture = Image.fromarray(drawn)
        assert read_qr(png(picture)) == text
        page = by_photo(browse(), png(picture))
        assert page.status == 422
        assert page.path == "/verify/photo"


def test_a_photo_of_the_paper_is_checked_offline_code_and_all(browse: Browse, house, sealed):
    """The page that was printed: its QR code is found and followed."""
    import shutil
    import subprocess
    import tempfile

    if not shutil.which("pdftoppm"):
        pytest.skip("poppler not found")
    with tempfile.TemporaryDirectory() as folder:
        command = ["pdftoppm", "-r", "150", "-png", "-singlefile", "-", f"{folder}/page"]
        subprocess.run(command, input=sealed, check=True)
        photo = Image.open(f"{folder}/page.png").convert("RGB")
    ImageDraw.Draw(photo).line((0, 0, 200, 40), fill=(80, 80, 80), width=3)  # a crease
    page = by_photo(browse(), png(photo))
    assert page.title.startswith("Valid")


@pytest.mark.parametrize("act", ["suspend", "revoke"])
def test_the_verdict_says_what_happened_in_a_word_a_symbol_and_a_colour(
    browse: Browse, house, permit, act
):
    officer = browse("sun")
    path = f"/staff/certificates/{permit.identifier}/{act}"
    page = officer.get(path)
    reason = page.html.partition("<select")[2].split('value="')[2].split('"')[0]
    officer.send(page, path, reason_code=reason)
    page = by_number(browse(), permit.number)
    verdict = {"suspend": "suspended", "revoke": "revoked"}[act]
    assert page.title.lower().startswith(verdict)
    assert f'class="verdict {TONES.get(verdict, "bad")}"' in page.html


def test_every_verdict_and_every_reason_has_a_sentence_in_every_language():
    for language in Languages.read():
        said = {f"verdict.{each}{end}" for each in rules.Outcome for end in ("", "_text")}
        said |= {f"check.{name}" for name in rules.REASONS}
        said |= {f"reason.{name}.{code}" for name, codes in rules.REASONS.items() for code in codes}
        assert {each for each in said if not language.knows(each)} == set()


def test_all_six_checks_are_told_whatever_the_verdict(browse: Browse, permit):
    for number in (permit.number, "JZ990000000000000001"):
        page = by_number(browse(), number)
        assert page.html.count('class="checks"') == 1
        checks = page.html.partition('class="checks"')[2].partition("</ul>")[0]
        assert checks.count("<li") == 6
