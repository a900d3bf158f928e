"""Sealed PDFs: exact to the byte for our reader, valid for everybody else's."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pikepdf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.errors import Unavailable
from keys.encoding.algorithms import ALGORITHMS
from signing import Seal
from signing.errors import PdfNotOurs, SelfCheckFailed
from signing.formats.pdf import layout
from signing.formats.pdf.layout import read_sealed
from signing.formats.pdf.original import read_original
from tests.signing import readers
from tests.signing.conftest import BOX, House
from tests.signing.pages import page

BYTE_RANGE = re.compile(rb"/ByteRange\[0 (\d+) (\d+) (\d+)\] */Contents<")


def byte_range(data: bytes) -> tuple[int, int, int]:
    found = BYTE_RANGE.search(data)
    assert found is not None
    return int(found[1]), int(found[2]), int(found[3])


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :]


# --- for our own eyes -------------------------------------------------------------------------


def test_the_gap_is_exactly_the_signature_and_everything_else_is_covered(sealed: bytes) -> None:
    start, end, rest = byte_range(sealed)

    assert sealed[start : start + 1] == b"<"
    assert sealed[end - 1 : end] == b">"
    assert set(sealed[start + 1 : end - 1]) <= set(b"0123456789abcdef")
    assert end + rest == len(sealed)
    assert sealed[:start].endswith(b"/Contents")


def test_what_our_renderer_wrote_stays_untouched_in_front(house: House, seal: Seal) -> None:
    original = page()

    assert house.sealed(seal, original).data.startswith(original.rstrip(b"\r\n"))


def test_the_seal_is_a_certification_that_allows_no_change(sealed: bytes) -> None:
    with pikepdf.open(io.BytesIO(sealed)) as document:
        signature = document.Root.Perms.DocMDP
        parameters = signature.Reference[0].TransformParams

        assert signature.SubFilter == "/ETSI.CAdES.detached"
        assert parameters.P == 1
        assert document.Root.AcroForm.SigFlags == 3


def test_the_seal_prints_and_lies_where_it_was_asked(house: House, seal: Seal) -> None:
    data = house.sealed(seal, page(pages=2), page=1).data

    with pikepdf.open(io.BytesIO(data)) as document:
        first, second = document.pages
        (widget,) = second.Annots

        assert "/Annots" not in first
        assert int(widget.F) & 4  # printed (PDF/A-3 asks for it)
        assert [float(number) for number in widget.Rect] == [400.0, 150.0, 519.0, 269.0]
        assert widget.P.objgen == second.objgen


def test_the_declaration_of_pdf_a_survives(sealed: bytes) -> None:
    with pikepdf.open(io.BytesIO(sealed)) as document, document.open_metadata() as metadata:
        assert metadata.pdfa_status == "3B"


def test_a_sealed_file_comes_back_as_what_was_sealed(house: House, seal: Seal) -> None:
    sealed = house.sealed(seal, reason="食品经营许可证").data

    found = read_sealed(sealed)

    assert found.field.name == seal.name
    assert found.field.reason == "食品经营许可证"
    assert found.field.picture == seal.picture
    assert found.field.box == BOX
    assert found.field.signed_at == house.clock()
    assert found.section.filled(found.signature) == sealed


@pytest.mark.parametrize("standard", ["1.7", "a-3b"])
@pytest.mark.parametrize("tags", [False, True])
def test_every_rendition_our_renderer_makes_can_be_sealed(
    house: House, seal: Seal, standard: str, tags: bool
) -> None:
    data = house.sealed(seal, page(standard=standard, tags=tags)).data

    assert house.signing.validate_pdf(data).indication == "valid"


def test_a_page_that_is_not_there_is_refused(house: House, seal: Seal) -> None:
    with pytest.raises(PdfNotOurs, match="no page 2"):
        house.sealed(seal, page=1)


@pytest.mark.parametrize("box", [(-1.0, 10.0, 50.0), (590.0, 10.0, 50.0), (10.0, 10.0, 0.0)])
def test_a_seal_outside_the_page_is_refused(
    house: House, seal: Seal, box: tuple[float, float, float]
) -> None:
    with pytest.raises(PdfNotOurs, match="outside the page"):
        house.sealed(seal, box=box)


def test_a_sealed_file_is_not_sealed_again(house: House, seal: Seal, sealed: bytes) -> None:
    with pytest.raises(PdfNotOurs):
        house.sealed(seal, sealed)


@pytest.mark.parametrize(
    "data", [b"", b"%PDF-1.7\n", b"\x00" * 100, b"%PDF-1.7\ntrailer\n<<>>\nstartxref\n0\n%%EOF\n"]
)
def test_what_our_renderer_did_not_make_is_refused(data: bytes) -> None:
    with pytest.raises(PdfNotOurs):
        read_original(data)


def test_a_dead_time_stamp_authority_lowers_the_level_and_says_so(
    house: House, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(*_arguments: object) -> bytes:
        raise Unavailable("the time-stamp authority does not answer", retry_after=5)

    monkeypatch.setattr(house.keys.time, "stamp", dead)

    document = house.sealed(seal)

    assert document.level == "B-B"
    validation = house.signing.validate_pdf(document.data)
    assert validation.indication == "unknown"
    assert validation.check("time").code == "time_only_claimed"


def test_a_seal_that_cannot_be_read_back_never_leaves(
    house: House, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault in composing (here: a byte that nobody asked for) is noticed before it is shown."""
    filled = layout.Section.filled
    monkeypatch.setattr(
        layout.Section, "filled", lambda self, signature: filled(self, signature) + b"%\n"
    )

    with pytest.raises(SelfCheckFailed):
        house.sealed(seal)


def test_a_signature_that_does_not_fit_its_gap_is_refused(house: House, seal: Seal) -> None:
    section = read_sealed(house.sealed(seal).data).section

    with pytest.raises(PdfNotOurs, match="larger than the room"):
        section.filled(b"\x30" * (section.reserved + 1))


# --- for other people's -----------------------------------------------------------------------


@pytest.mark.poppler
@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])  # NSS knows no Ed25519 and no PSS in CMS
def test_pdfsig_says_valid_and_otherwise_after_one_flipped_byte(
    house: House, saved: Callable[[bytes], Path], algorithm: str
) -> None:
    data = house.sealed(house.register(algorithm=algorithm)).data

    assert readers.pdfsig(saved(data)) == "Signature is Valid. whole"
    for place in (1000, data.index(b"/Type/Sig") + 40, len(data) - 100):
        assert "Valid" not in readers.pdfsig(saved(flipped(data, place)))


@pytest.mark.qpdf
@pytest.mark.parametrize("pages", [1, 3])
def test_qpdf_finds_nothing_wrong(
    house: House, seal: Seal, saved: Callable[[bytes], Path], pages: int
) -> None:
    data = house.sealed(seal, page(pages=pages), page=pages - 1).data

    assert readers.qpdf(saved(data)) == ""


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pyhanko_trusts_the_seal_and_its_time_stamp(house: House, algorithm: str) -> None:
    data = house.sealed(house.register(algorithm=algorithm)).data

    status = readers.pyhanko(data, house.keys.authority.certificate("root"), house.clock())

    assert status.intact
    assert status.valid
    assert status.trusted
    assert status.coverage.name == "ENTIRE_FILE"
    assert status.docmdp_ok
    assert status.timestamp_validity.trusted
    assert status.timestamp_validity.timestamp == house.clock()
    assert status.bottom_line


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_changed_bit_anywhere_is_never_valid(
    house: House, sealed: bytes, where: float, bit: int
) -> None:
    place = int(where * len(sealed))
    changed = sealed[:place] + bytes((sealed[place] ^ 1 << bit,)) + sealed[place + 1 :]

    try:
        read_sealed(changed)
    except PdfNotOurs:
        return  # then it is a foreign file: see tests/attacks/test_pdf_signatures.py
    assert house.signing.validate_pdf(changed).indication != "valid"
