"""Attack 43: PDFs that eat the reader. Each ends within limits, with an answer, never green."""

import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest

from foundation.errors import Unavailable
from signing.foreign import examiner, preparer
from signing.foreign.examination import Budget, examine
from tests.attacks import pdf_edits as edits
from tests.signing.conftest import House, house, seal, sealed  # noqa: F401
from tests.signing.pages import page

HEAD = b"%PDF-1.7\n%\x80\x80\x80\x80\n"
SECONDS = 40.0  # wall-clock limit of the examiner and a little


def classic(objects: list[bytes], trailer: bytes = b"") -> bytes:
    """A file with a classic cross-reference table; the first object is the catalog."""
    out, offsets = HEAD, []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n\r\n" % offset for offset in offsets)
    return out + (
        b"xref\n0 %d\n0000000000 65535 f\r\n%btrailer\n<</Size %d/Root 1 0 R%b>>\n"
        b"startxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table, len(objects) + 1, trailer, len(out))
    )


def flate(content: bytes, entries: bytes = b"") -> bytes:
    return edits.stream(zlib.compress(content, 9), b"/Filter/FlateDecode" + entries)


def signature_field(number: int) -> bytes:
    """A catalog whose form has one signature field, so that a reader has to look for it."""
    return (
        b"<</Type/Catalog/Pages 2 0 R/AcroForm<</SigFlags 3/Fields[<</FT/Sig/T(a)/V %d 0 R>>]>>>>"
        % number
    )


PAGES = b"<</Type/Pages/Count 0/Kids[]>>"


def an_object_stream_of_half_a_gigabyte() -> bytes:
    bomb = flate(b"1 0 " + b" " * (1 << 29), b"/Type/ObjStm/N 1/First 4")
    return classic([signature_field(3), PAGES, b"<<>>", bomb])


def a_filter_chain_of_a_thousand() -> bytes:
    content = b" " * 1000
    for _ in range(20):
        content = zlib.compress(content * 20, 9)
    names = b"/FlateDecode" * 1000
    return classic([signature_field(3), PAGES, edits.stream(content, b"/Filter[%b]" % names)])


def arrays_nested_a_million_deep() -> bytes:
    return classic([signature_field(3), PAGES, b"[" * 1_000_000 + b"]" * 1_000_000])


def dictionaries_nested_deeply() -> bytes:
    return classic([signature_field(3), PAGES, b"<</A" * 100_000 + b"1" + b">>" * 100_000])


def a_table_that_is_its_own_predecessor() -> bytes:
    data = classic([signature_field(3), PAGES, b"<<>>"])
    at = edits.last_startxref(data)
    return data.replace(b"/Root 1 0 R", b"/Root 1 0 R/Prev %d" % at)


def two_tables_that_point_at_each_other() -> bytes:
    first = classic([signature_field(3), PAGES, b"<<>>"])
    second = edits.updated(first, {3: b"<<>>"})
    at = b"%010d" % edits.last_startxref(second)
    return second.replace(b"/Root 1 0 R>>", b"/Root 1 0 R/Prev %b>>" % at, 1)


def a_million_pages() -> bytes:
    kids = b"3 0 R " * 1_000_000
    tree = b"<</Type/Pages/Count 1000000/Kids[%b]>>" % kids
    return classic([signature_field(3), tree, b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"])


def a_page_tree_that_is_its_own_parent() -> bytes:
    return classic([signature_field(3), b"<</Type/Pages/Count 1/Kids[2 0 R]/Parent 2 0 R>>"])


def fields_that_contain_themselves() -> bytes:
    catalog = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[3 0 R]>>>>"
    return classic([catalog, PAGES, b"<</FT/Sig/T(a)/Kids[3 0 R]/Parent 3 0 R>>"])


def a_reference_to_itself() -> bytes:
    return classic([signature_field(3), PAGES, b"3 0 R"])


def a_table_of_ten_million_entries() -> bytes:
    data = classic([signature_field(3), PAGES, b"<<>>"])
    return data.replace(b"xref\n0 4\n", b"xref\n0 9999999999\n")


def an_image_that_claims_to_be_immense() -> bytes:
    """JBIG2 and pixel counts are nobody's business when a seal is checked: nothing is decoded."""
    image = edits.stream(
        b"\x00" * 100,
        b"/Type/XObject/Subtype/Image/Width 2147483647/Height 2147483647/ColorSpace/DeviceGray"
        b"/BitsPerComponent 1/Filter/JBIG2Decode",
    )
    return classic([signature_field(3), PAGES, image])


def a_signature_with_a_thousand_ranges() -> bytes:
    body = b"<</Type/Sig/SubFilter/ETSI.CAdES.detached/ByteRange[%b]/Contents<30>>>" % (
        b"0 99999999 " * 1000
    )
    return classic([signature_field(3), PAGES, body])


def a_thousand_signatures() -> bytes:
    fields = b"".join(b"<</FT/Sig/T(%d)/V 3 0 R>>" % number for number in range(1000))
    catalog = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</SigFlags 3/Fields[%b]>>>>" % fields
    value = b"<</Type/Sig/SubFilter/ETSI.CAdES.detached/ByteRange[0 1 2 3]/Contents<3000>>>"
    return classic([catalog, PAGES, value])


BOMBS = [
    an_object_stream_of_half_a_gigabyte,
    a_filter_chain_of_a_thousand,
    arrays_nested_a_million_deep,
    dictionaries_nested_deeply,
    a_table_that_is_its_own_predecessor,
    two_tables_that_point_at_each_other,
    a_million_pages,
    a_page_tree_that_is_its_own_parent,
    fields_that_contain_themselves,
    a_reference_to_itself,
    a_table_of_ten_million_entries,
    an_image_that_claims_to_be_immense,
    a_signature_with_a_thousand_ranges,
    a_thousand_signatures,
]


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_a_bomb_ends_with_an_answer_and_is_never_valid(
    house: House, bomb: Callable[[], bytes]
) -> None:
    data, began = bomb(), time.monotonic()

    found = house.signing.validate_pdf(data)

    assert time.monotonic() - began < SECONDS
    assert found.indication != "valid"
    assert found.check("integrity").result != "pass"


def test_a_bomb_behind_our_seal_does_not_help(house: House, sealed: bytes) -> None:
    size, _root = edits.trailer(sealed)
    data = edits.updated(sealed, {size: b"[" * 200_000 + b"]" * 200_000})

    assert house.signing.validate_pdf(data).indication != "valid"


def test_reading_that_takes_too_long_is_ended_and_told() -> None:
    found = examine(a_million_pages(), seconds=0.05)

    assert found.error == "too_complex"


@pytest.mark.skipif(sys.platform != "linux", reason="the limits of a process are read in /proc")
@pytest.mark.parametrize("program", [examiner, preparer], ids=["examiner", "preparer"])
def test_a_program_that_reads_strangers_files_limits_itself_first(program: ModuleType) -> None:
    command = [sys.executable, "-I", str(program.__file__)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as child:
        limits, until = "", time.monotonic() + SECONDS
        wanted = f"Max address space {program.MEMORY} {program.MEMORY} bytes"
        while wanted not in limits and time.monotonic() < until:
            limits = " ".join(Path(f"/proc/{child.pid}/limits").read_text().split())
        child.kill()

    assert wanted in limits
    assert f"Max cpu time {program.CPU_SECONDS} {program.CPU_SECONDS} seconds" in limits


def test_only_so_many_files_are_read_at_once_and_who_comes_then_is_told() -> None:
    budget = Budget(at_once=2, waiting=4, patience=0.01, niceness=0)
    with ExitStack() as reading:
        for _ in range(budget.at_once):
            reading.enter_context(budget.slot())
        with pytest.raises(Unavailable) as refused:
            examine(classic([signature_field(3), PAGES, b"<<>>"]), budget=budget)

    assert refused.value.retry_after
    assert examine(page(), budget=budget).error == ""


def test_a_name_tree_of_attachments_that_inflates_is_left_out() -> None:
    """Our own reader inflates attachments of files it verified, and stops at four megabytes."""
    from signing.formats.pdf.original import _inflated

    body = flate(b" " * (64 << 20)).replace(b">>\nstream", b">>\nstream", 1)

    assert _inflated(body) is None
