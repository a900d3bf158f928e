"""The page: right characters or none, one page or none, the same bytes for the same content."""

import io
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image
from qrcode.constants import ERROR_CORRECT_M
from qrcode.main import QRCode

from certificates.errors import LayoutOverflow, MissingGlyph
from certificates.issuing.rendering import IssuedParts, Renderer, page_data, symbol, written_period
from certificates.models import Content

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
UNASSIGNED = "\U000323ae"  # a rare character that no font here has


@pytest.fixture
def page(types, renderer):
    def make(name="food-business-licence", **over):
        kind = types[name]
        fields = {each.name: each.example for each in kind.fields.values()} | over
        content = Content(
            identifier="1.2.156.3005.2.11100000MB0143028R901.11430000006122244L.A1.001.X",
            number=fields[kind.number.field],
            type=name,
            type_version=1,
            type_digest=kind.digest,
            template_hash=renderer.template_hash,
            authority="11430000006122244L",
            authority_name="示例市市场监督管理局",
            seal_id="seal",
            qr_token="Zk3v8Qm1Xo9sT2cW5yBn7A",
            fields=fields,
            issued_on=date(2026, 3, 2),
            valid_from=date(2026, 3, 2),
            valid_until=date(2031, 3, 1),
        )
        return kind, content

    return make


ISSUED = IssuedParts("eyJ.eyJ.sig~a~b~", "YZ1:" + "ABC123" * 70)


@pytest.mark.parametrize(
    "name", ["food-business-licence", "residence-permit", "chicago-business-licence"]
)
def test_every_type_prints_one_archivable_page_with_its_credential(renderer, page, name):
    pdf = renderer.pdf(*page(name), NOW, ISSUED)

    assert pdf.startswith(b"%PDF-1.7")
    assert b"<pdfaid:part>3</pdfaid:part>" in pdf
    assert b"credential.sd-jwt" in pdf


def test_the_same_content_gives_the_same_bytes(page):
    kind, content = page()

    first = Renderer("https://yinzheng.test").pdf(kind, content, NOW, ISSUED)
    again = Renderer("https://yinzheng.test").pdf(kind, content, NOW, ISSUED)

    assert first == again


def test_pages_drawn_at_once_are_the_pages_drawn_one_after_another(renderer, page):
    pages = [page(operator_name=f"示例市第{number}号面馆有限公司") for number in range(8)]
    one_by_one = [renderer.pdf(*each, NOW, ISSUED) for each in pages]

    with ThreadPoolExecutor(2 * renderer.at_once) as drawers:
        at_once = list(drawers.map(lambda each: renderer.pdf(*each, NOW, ISSUED), pages))

    assert at_once == one_by_one
    assert len(set(at_once)) == len(pages)


def test_a_page_that_cannot_be_drawn_leaves_its_turn_to_the_next(renderer, page):
    for _ in range(2 * renderer.at_once):
        with pytest.raises(MissingGlyph):
            renderer.pdf(*page(operator_name=UNASSIGNED), NOW, None)

    assert renderer.pdf(*page(), NOW, None)


def test_a_missing_glyph_fails_the_render_and_names_the_character(renderer, page):
    kind, content = page(operator_name=f"王{UNASSIGNED}饭店")

    with pytest.raises(MissingGlyph) as caught:
        renderer.pdf(kind, content, NOW, None)

    assert caught.value.characters == UNASSIGNED
    assert "U+323AE" in caught.value.detail
    assert "fonts-" in caught.value.next_step


def test_the_picture_of_a_page_fails_on_a_missing_glyph_too(renderer, page):
    with pytest.raises(MissingGlyph):
        renderer.png(*page(operator_name=UNASSIGNED), NOW)


@pytest.mark.parametrize("name", ["龙龘", "𠮷野家", "Ñandú Żółw & Söhne", "Ω-Market"])
def test_rare_names_are_drawn(renderer, page, name):
    assert renderer.undrawable(name) == ""
    assert renderer.pdf(*page(operator_name=name), NOW, None)


def test_undrawable_characters_are_found_before_anything_is_rendered(renderer):
    assert renderer.undrawable(f"王{UNASSIGNED}五") == UNASSIGNED


def test_a_name_is_never_markup(renderer, page):
    tricky = '#panic("x") *a* $x$ \\u{41} <b> "quoted"'

    assert renderer.pdf(*page(operator_name=tricky), NOW, None)


def test_long_content_gets_a_tighter_page_and_too_long_content_is_refused(renderer, page):
    renderer.pdf(*page(business_items="热食类食品制售；" * 30), NOW, None)

    with pytest.raises(LayoutOverflow):
        renderer.pdf(*page(business_items="热食类食品制售；" * 200), NOW, None)


def test_both_codes_on_a_page_can_be_read_from_a_picture(renderer, page):
    kind, content = page()
    renderer.pdf(kind, content, NOW, ISSUED)
    data = page_data(kind, content, "https://yinzheng.test", NOW, ISSUED) | {"row_inset": 9}
    picture = renderer._compile("standard.typ", data, format="png", ppi=100)
    codes = {code.text for code in zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)))}

    assert codes == {"https://yinzheng.test/v/Zk3v8Qm1Xo9sT2cW5yBn7A", ISSUED.offline_code}


def test_a_preview_holds_no_signed_code_and_no_credential(renderer, page):
    kind, content = page()
    picture = renderer.png(kind, content, NOW, ppi=100)
    codes = [code.text for code in zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)))]

    assert codes == ["https://yinzheng.test/v/Zk3v8Qm1Xo9sT2cW5yBn7A"]
    assert b"credential.sd-jwt" not in renderer.pdf(kind, content, NOW, None)


# --- specimens ----------------------------------------------------------------------------------

TYPES = ["food-business-licence", "residence-permit", "chicago-business-licence"]
CLAIMS = ("同等法律效力", "the same legal force")


def words_of(pdf: bytes, folder: Path) -> tuple[str, str]:
    """The text on the page, in one line, and what a reader's window is called."""
    (folder / "page.pdf").write_bytes(pdf)
    tools = (["pdftotext", "-raw", "page.pdf", "-"], ["pdfinfo", "page.pdf"])
    text, about = (
        subprocess.run(tool, cwd=folder, capture_output=True, text=True, check=True).stdout
        for tool in tools
    )
    return " ".join(text.split()), about.partition("\n")[0]


@pytest.mark.poppler
@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("issued", [ISSUED, None], ids=["sealed", "preview"])
def test_what_a_sandbox_draws_is_a_specimen_and_claims_no_legal_effect(
    page, tmp_path, name, issued
):
    kind, content = page(name)
    pdf = Renderer("https://yinzheng.test", specimen=True).pdf(kind, content, NOW, issued)

    text, title = words_of(pdf, tmp_path)
    for words in ("样本", "SPECIMEN", "No legal effect", "不具法律效力", "It has no legal effect."):
        assert words in text
    assert "SPECIMEN" in title
    assert "样本" in title
    assert not any(claim in text for claim in CLAIMS)
    assert pdf.count(b"<pdfaid:part>3</pdfaid:part>") == 1


@pytest.mark.poppler
@pytest.mark.parametrize("name", TYPES)
def test_what_is_no_specimen_says_nothing_of_one(renderer, page, tmp_path, name):
    kind, content = page(name)

    text, title = words_of(renderer.pdf(kind, content, NOW, ISSUED), tmp_path)

    assert "样本" not in text + title
    assert "SPECIMEN" not in text + title
    assert all(claim in text for claim in CLAIMS if kind.layout.statement)


def test_the_mark_lies_across_the_page_and_hides_no_code(page):
    kind, content = page()
    drawn = Renderer("https://yinzheng.test", specimen=True)
    drawn.pdf(kind, content, NOW, ISSUED)

    data = page_data(kind, content, "https://yinzheng.test", NOW, ISSUED, specimen=True)
    png = drawn._compile("standard.typ", data | {"row_inset": 9}, format="png", ppi=100)
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    counted = {colour: count for count, colour in picture.getcolors(1 << 24) or ()}

    assert counted[0xF6, 0xD7, 0xD2] > picture.width * picture.height // 50
    codes = {code.text for code in zxingcpp.read_barcodes(picture)}
    assert codes == {"https://yinzheng.test/v/Zk3v8Qm1Xo9sT2cW5yBn7A", ISSUED.offline_code}


def test_a_page_approved_as_a_specimen_is_sealed_as_nothing_else(renderer):
    assert Renderer("https://yinzheng.test", specimen=True).template_hash != renderer.template_hash


@pytest.mark.parametrize("name", TYPES)
def test_a_wallet_calls_the_credential_of_a_sandbox_a_specimen(page, name):
    kind, _content = page(name)

    real, sample = (kind.metadata("https://yinzheng.test", specimen=it) for it in (False, True))

    shown = [each["name"] for each in sample["display"]]
    assert ["样本" in shown[0], "樣本" in shown[1], "specimen" in shown[2]] == [True] * 3
    assert [each["name"] for each in real["display"]] == list(kind.labels.values())
    assert "specimen" in sample["name"]


def test_a_changed_template_has_another_hash(renderer, tmp_path):
    from certificates.issuing.rendering import TEMPLATES

    for path in TEMPLATES.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    same = Renderer("https://yinzheng.test", tmp_path)
    with (tmp_path / "standard.typ").open("a") as template:
        template.write("// a comment\n")
    changed = Renderer("https://yinzheng.test", tmp_path)

    assert same.template_hash == renderer.template_hash
    assert changed.template_hash != renderer.template_hash


def test_periods_are_written_in_the_reader_s_language():
    start, end = date(2005, 2, 16), date(2006, 2, 15)

    assert written_period(start, end, "en") == "16 February 2005 to 15 February 2006"
    assert written_period(start, end, "zh-Hans") == "2005年2月16日 至 2006年2月15日"
    assert written_period(start, None, "zh-Hant") == "2005年2月16日 起，长期"


def test_two_encoders_draw_an_offline_code_alike():
    mask = 3
    other = QRCode(error_correction=ERROR_CORRECT_M, border=0, mask_pattern=mask)
    other.add_data(ISSUED.offline_code)

    drawn = symbol(ISSUED.offline_code)

    rows = other.get_matrix()
    assert drawn["size"] == len(rows)
    assert drawn["modules"] == [0 if dark else 255 for row in rows for dark in row]
