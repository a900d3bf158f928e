"""Attacks 39-42 on PDFs that another program laid out: our seal on an uploaded letter, and others.

Whatever is appended to a letter that our seal is on is told as a change, even what would be allowed
behind other people's signatures. Each defence on the way is also tried alone, because two of them
would hide the loss of the third.
"""

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from asn1crypto import x509
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import SimpleSigner
from pyhanko.sign.fields import SigFieldSpec, append_signature_field
from pyhanko.sign.validation.dss import DocumentSecurityStore

from signing import Seal
from signing.foreign import examiner
from signing.foreign.examination import ForeignSignature
from signing.foreign.integrity import foreign_integrity
from tests.signing.conftest import House, house, seal, stranger  # noqa: F401
from tests.signing.foreign.test_sealing import letter, seal_it
from tests.signing.pages import page
from tests.signing.test_corpus import Court
from tests.signing.validation.test_service import signed_by

Writer = IncrementalPdfFileWriter
NAME = generic.pdf_name


@pytest.fixture
def court(house: House) -> Court:
    return Court(house)


@pytest.fixture
def sealed_letter(house: House, seal: Seal) -> bytes:
    return seal_it(house, seal, letter()).data


def updated(data: bytes, change: Callable[[Writer], None]) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(data), strict=False)
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def first_page(writer: Writer) -> Any:
    reference, _ = writer.find_page_for_modification(0)
    writer.mark_update(reference)
    return reference.get_object()


def black(writer: Writer) -> Any:
    """A drawing over half the page."""
    drawing = generic.StreamObject(stream_data=b"0 0 0 rg 50 400 500 200 re f")
    return writer.add_object(drawing)


def other_content(writer: Writer) -> None:
    first_page(writer)[NAME("/Contents")] = black(writer)


def note(writer: Writer) -> None:
    annotation = {
        NAME("/Type"): NAME("/Annot"),
        NAME("/Subtype"): NAME("/FreeText"),
        NAME("/Rect"): generic.ArrayObject(map(generic.NumberObject, (50, 400, 550, 600))),
        NAME("/Contents"): generic.TextStringObject("void"),
    }
    found = first_page(writer)["/Annots"]
    found.append(writer.add_object(generic.DictionaryObject(annotation)))
    writer.update_container(found)


def seal_taken_away(writer: Writer) -> None:
    del first_page(writer)["/Annots"]


def other_size(writer: Writer) -> None:
    numbers = generic.ArrayObject(map(generic.NumberObject, (0, 0, 9, 9)))
    first_page(writer)[NAME("/CropBox")] = numbers


def script(writer: Writer) -> None:
    action = {NAME("/S"): NAME("/JavaScript"), NAME("/JS"): generic.TextStringObject("app.beep()")}
    writer.root[NAME("/OpenAction")] = generic.DictionaryObject(action)
    writer.update_root()


def another_field(writer: Writer) -> None:
    append_signature_field(writer, SigFieldSpec("More", on_page=0, box=(0, 0, 595, 842)))


def permissions_removed(writer: Writer) -> None:
    del writer.root["/Perms"]
    writer.update_root()


def nothing(writer: Writer) -> None:
    writer.update_root()


CHANGES = [
    other_content,
    note,
    seal_taken_away,
    other_size,
    script,
    another_field,
    permissions_removed,
    nothing,
]


def test_the_letter_is_green_so_that_the_refusals_mean_something(
    court: Court, sealed_letter: bytes
) -> None:
    assert court(sealed_letter).indication == "valid"


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_40_42_an_update_behind_our_seal_on_a_letter_is_a_change(
    court: Court, sealed_letter: bytes, change: Callable[[Writer], None]
) -> None:
    found = court(updated(sealed_letter, change))

    assert found.indication == "invalid"
    assert found.check("integrity").code == "changed_after_sealing"


def with_evidence(house: House, seal: Seal, data: bytes) -> bytes:
    chain = [x509.Certificate.load(der) for der in house.keys.chain(seal.use)]

    def change(writer: Writer) -> None:
        DocumentSecurityStore.supply_dss_in_writer(writer, None, certs=chain)

    return updated(data, change)


def with_decoy(data: bytes) -> bytes:
    """A comment that reads like the gap of a signature over the whole file."""
    place = data.rindex(b"startxref")
    head = b"%%/ByteRange[0 %010d %010d %010d] "
    start = place + len(head % (0, 0, 0))
    rest = len(data) - place
    return data[:place] + head % (start, start + 6, 1 + rest) + b"<0000>\n" + data[place:]


@pytest.mark.parametrize("decoy", [lambda data: data, with_decoy], ids=["plain", "with a decoy"])
def test_40_not_even_evidence_may_follow_our_seal(
    court: Court, house: House, seal: Seal, decoy: Callable[[bytes], bytes]
) -> None:
    """Behind a stranger's signature it would be no change; our own seals bring all of theirs."""
    data = seal_it(house, seal, letter(), level="B-T").data

    found = court(decoy(with_evidence(house, seal, data)))

    assert found.check("integrity").code == "changed_after_sealing"


@pytest.mark.parametrize(
    "change", [other_content, other_size, script, another_field], ids=lambda change: change.__name__
)
def test_40_42_what_follows_a_stranger_s_signature_is_never_intact(
    court: Court, stranger: SimpleSigner, change: Callable[[Writer], None]
) -> None:
    found = court(updated(signed_by(stranger, page("1.7")), change))

    assert found.check("integrity").result != "pass"


# --- each defence alone -----------------------------------------------------------------------

GOOD = ForeignSignature(
    intact=True,
    valid=True,
    coverage="file",
    changes="none",
    allowed=True,
    certificate=b"",
    embedded=(),
    signature=b"",
    token=b"",
    claimed=datetime(2026, 11, 24, tzinfo=UTC),
    document_stamp=False,
)
LATER = replace(GOOD, coverage="revision", changes="form")


@pytest.mark.parametrize(
    ("signatures", "result", "code"),
    [
        ([GOOD], "pass", "intact"),
        ([replace(GOOD, intact=False)], "fail", "digest_mismatch"),
        ([replace(GOOD, valid=False)], "fail", "signature_wrong"),
        ([replace(GOOD, coverage="other")], "fail", "signature_malformed"),
        ([replace(GOOD, allowed=False)], "fail", "changed_after_sealing"),
        ([LATER], "fail", "changed_after_sealing"),
        ([replace(LATER, changes="other")], "fail", "changed_after_sealing"),
        ([replace(LATER, changes="none")], "fail", "changed_after_sealing"),
        ([replace(LATER, changes="maintenance")], "pass", "evidence_added"),
        ([replace(LATER, changes="metadata")], "unknown", "description_changed"),
        ([LATER, GOOD], "unknown", "added_between_signatures"),
        ([replace(LATER, changes="other"), GOOD], "unknown", "added_between_signatures"),
        ([replace(LATER, intact=False), GOOD], "fail", "digest_mismatch"),
        ([replace(LATER, valid=False), GOOD], "fail", "signature_wrong"),
        ([replace(LATER, coverage="other"), GOOD], "fail", "signature_malformed"),
        ([replace(LATER, allowed=False), GOOD], "fail", "changed_after_sealing"),
    ],
)
def test_39_42_each_fact_about_a_signature_counts_by_itself(
    signatures: list[ForeignSignature], result: str, code: str
) -> None:
    found = foreign_integrity(signatures)

    assert (found.result, found.code) == (result, code)


@pytest.mark.parametrize(
    ("numbers", "coverage"),
    [
        (lambda start, end, rest: (0, start, end, rest), "file"),
        (lambda start, end, rest: (0, start, end), "other"),
        (lambda start, end, rest: (0, start, end, rest, 0, 0), "other"),
        (lambda start, end, rest: (1, start - 1, end, rest), "other"),
        (lambda start, end, rest: (-1, start + 1, end, rest), "other"),
        (lambda start, end, rest: (0, start - 1, end, rest), "other"),
        (lambda start, end, rest: (0, start + 1, end, rest), "other"),
        (lambda start, end, rest: (0, start, end - 1, rest + 1), "other"),
        (lambda start, end, rest: (0, start, end + 1, rest - 1), "other"),
        (lambda start, end, rest: (0, start, end, rest + 1), "other"),
        (lambda start, end, rest: (0, start, end, rest - 1), "other"),
        (lambda start, end, rest: (0, end, start, rest), "other"),
        (lambda start, end, rest: (0, 0, 0, 0), "other"),
        (lambda start, end, rest: (0, start, start, rest + end - start), "other"),
    ],
)
def test_39_41_a_signature_covers_the_file_by_places_not_by_sums(
    stranger: SimpleSigner, numbers: Callable[[int, int, int], tuple[int, ...]], coverage: str
) -> None:
    data = signed_by(stranger, page("1.7"))
    (one,) = PdfFileReader(io.BytesIO(data)).embedded_signatures
    one.compute_integrity_info()
    _zero, start, end, rest = (int(number) for number in one.byte_range)
    one.byte_range = numbers(start, end, rest)

    assert examiner._coverage(data, one) == coverage


def test_40_a_file_with_an_update_is_only_covered_up_to_it(stranger: SimpleSigner) -> None:
    data = updated(signed_by(stranger, page("1.7")), nothing)
    (one,) = PdfFileReader(io.BytesIO(data)).embedded_signatures
    one.compute_integrity_info()

    assert examiner._coverage(data, one) == "revision"


def test_41_a_gap_that_holds_another_signature_covers_nothing(stranger: SimpleSigner) -> None:
    data = signed_by(stranger, page("1.7"))
    (one,) = PdfFileReader(io.BytesIO(data)).embedded_signatures
    one.compute_integrity_info()
    end = int(one.byte_range[2])
    exchanged = data[: end - 3] + b"ff" + data[end - 1 :]

    assert examiner._coverage(exchanged, one) == "other"
