"""Attacks 39–42: sealed PDFs that were changed, wrapped, overlaid or forged. None is ever green.

Names follow pdf-insecurity.org: Universal Signature Forgery, Incremental Saving Attack, Signature
Wrapping, Shadow Attacks (hide, replace, hide and replace), Evil Annotation and Sneaky Signature.
"""

import re
from collections.abc import Callable

import pytest

from signing import Seal, Validation
from tests.attacks import pdf_edits as edits
from tests.signing.conftest import House, house, seal, sealed  # noqa: F401
from tests.signing.pages import page

BLACK = b"0 0 0 rg 50 400 500 200 re f"


@pytest.fixture
def judged(house: House) -> Callable[[bytes], Validation]:
    return house.signing.validate_pdf


def test_the_file_below_is_green_so_that_the_refusals_mean_something(
    judged: Callable[[bytes], Validation], sealed: bytes
) -> None:
    assert judged(sealed).indication == "valid"


# --- 39: Universal Signature Forgery ----------------------------------------------------------


def without(pattern: bytes) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        """Blanks, so that every offset stays right."""
        found = re.search(pattern, data, re.DOTALL)
        assert found is not None
        return data[: found.start()] + b" " * len(found[0]) + data[found.end() :]

    return change


def contents(replacement: bytes) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        start, end = edits.contents_span(data)
        filled = replacement * (end - start) if len(replacement) == 1 else replacement
        return data[:start] + filled.ljust(end - start) + data[end:]

    return change


def byte_range(numbers: bytes) -> Callable[[bytes], bytes]:
    return lambda data: edits.replaced_byte_range(data, numbers)


USF = {
    "no ByteRange": without(rb"/ByteRange\[[^]]*\]"),
    "no Contents": without(rb"/Contents<[^>]*>"),
    "Contents is null": contents(b"0"),
    "Contents is empty": contents(b" "),
    "Contents is no signature": contents(b"30820000"),
    "ByteRange is null": without(rb"\[0 \d+ \d+ \d+\]"),
    "ByteRange is empty": byte_range(b""),
    "ByteRange has one number": byte_range(b"0"),
    "ByteRange covers nothing": byte_range(b"0 0 0 0"),
    "ByteRange is negative": byte_range(b"-1 -1 -1 -1"),
    "ByteRange begins later": byte_range(b"9 999 9999 99"),
    "ByteRange is of letters": byte_range(b"(a) (b) (c) (d)"),
    "ByteRange is beyond the file": byte_range(b"0 99999999 99999999 9999"),
}


@pytest.mark.parametrize("attack", USF)
def test_universal_signature_forgery_is_never_valid(
    judged: Callable[[bytes], Validation], sealed: bytes, attack: str
) -> None:
    found = judged(USF[attack](sealed))

    assert found.indication == "invalid", attack
    assert found.check("integrity").result == "fail"


# --- 40: Incremental Saving Attack ------------------------------------------------------------


def other_page_content(data: bytes) -> bytes:
    number, body = edits.first_page(data)
    size, _root = edits.trailer(data)
    body = re.sub(rb"/Contents \d+ 0 R", b"/Contents %d 0 R" % size, body)
    return edits.updated(data, {number: body, size: edits.stream(BLACK)})


def annotation(data: bytes) -> bytes:
    number, body = edits.first_page(data)
    size, _root = edits.trailer(data)
    note = (
        b"<</Type/Annot/Subtype/FreeText/Rect[50 400 550 600]/Contents(void)/F 4"
        b"/DA(/Helv 12 Tf)/AP<</N %d 0 R>>>>" % (size + 1)
    )
    form = edits.stream(BLACK, b"/Type/XObject/Subtype/Form/BBox[50 400 550 600]")
    body = re.sub(rb"/Annots\[", b"/Annots[%d 0 R " % size, body)
    return edits.updated(data, {number: body, size: note, size + 1: form})


def other_size(data: bytes) -> bytes:
    number, body = edits.first_page(data)
    return edits.updated(data, {number: re.sub(rb"/MediaBox\[", b"/CropBox[0 0 9 9]/X[", body)})


def other_seal_picture(data: bytes) -> bytes:
    widget = re.search(rb"/AP<</N (\d+) 0 R>>", data)
    assert widget is not None
    form = edits.stream(b"", b"/Type/XObject/Subtype/Form/BBox[0 0 1000 1000]")
    return edits.updated(data, {int(widget[1]): form})


def script(data: bytes) -> bytes:
    number, body = edits.catalog(data)
    action = b"/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>"
    return edits.updated(data, {number: edits.added(body, action)})


def other_title(data: bytes) -> bytes:
    size, _root = edits.trailer(data)
    changed = edits.updated(data, {size: b"<</Title(another)>>"})
    place = changed.rindex(b"/Prev")
    return changed[:place] + b"/Info %d 0 R" % size + changed[place:]


def new_catalog(data: bytes) -> bytes:
    size, _root = edits.trailer(data)
    _number, body = edits.catalog(data)
    return edits.updated(data, {size: body}, root=size)


def no_xref(data: bytes) -> bytes:
    """Objects behind the end without a table: some readers rebuild it and use them."""
    number, _body = edits.first_page(data)
    return data + b"%d 0 obj\n<</Type/Page/MediaBox[0 0 9 9]>>\nendobj\n" % number


def comment(data: bytes) -> bytes:
    return data + b"% harmless\n"


def empty_update(data: bytes) -> bytes:
    return edits.updated(data, {})


ISA = [
    other_page_content,
    annotation,
    other_size,
    other_seal_picture,
    script,
    other_title,
    new_catalog,
    no_xref,
    comment,
    empty_update,
]


@pytest.mark.parametrize("attack", ISA, ids=lambda attack: attack.__name__)
def test_incremental_saving_after_the_seal_is_never_valid(
    judged: Callable[[bytes], Validation], sealed: bytes, attack: Callable[[bytes], bytes]
) -> None:
    found = judged(attack(sealed))

    assert found.indication == "invalid"
    assert found.check("integrity").result == "fail"
    assert not found.covers_whole_file


def test_a_page_changed_after_the_seal_is_told_as_such(
    judged: Callable[[bytes], Validation], sealed: bytes
) -> None:
    assert judged(annotation(sealed)).check("integrity").code == "changed_after_sealing"


# --- 41: Signature Wrapping -------------------------------------------------------------------


def moved_second_part(data: bytes) -> bytes:
    """The signed tail moves to the end; in its old place stands something else."""
    found = edits.BYTE_RANGE.search(data)
    assert found is not None
    _zero, start, end, rest = (int(found[place]) for place in (1, 2, 3, 4))
    tail = data[end : end + rest]
    evil = edits.updated(data, {edits.trailer(data)[0]: b"(evil)"})[len(data) :]
    moved = data[:end] + evil.ljust(4096) + tail
    return edits.replaced_byte_range(moved, b"0 %d %d %d" % (start, end + 4096, rest))


def wider_gap(data: bytes) -> bytes:
    found = edits.BYTE_RANGE.search(data)
    assert found is not None
    start, end, rest = (int(found[place]) for place in (2, 3, 4))
    return edits.replaced_byte_range(data, b"0 %d %d %d" % (start - 10, end, rest))


def gap_after_contents(data: bytes) -> bytes:
    found = edits.BYTE_RANGE.search(data)
    assert found is not None
    start, end, rest = (int(found[place]) for place in (2, 3, 4))
    return edits.replaced_byte_range(data, b"0 %d %d %d" % (start, end + 10, rest - 10))


def shorter_tail(data: bytes) -> bytes:
    found = edits.BYTE_RANGE.search(data)
    assert found is not None
    start, end, rest = (int(found[place]) for place in (2, 3, 4))
    return edits.replaced_byte_range(data, b"0 %d %d %d" % (start, end, rest - 7))


def text_behind_the_signature(data: bytes) -> bytes:
    """The padding of the gap is not signed: nothing may hide in it."""
    _start, end = edits.contents_span(data)
    return data[: end - 40] + b"25504446" + data[end - 32 :]


SWA = [moved_second_part, wider_gap, gap_after_contents, shorter_tail, text_behind_the_signature]


@pytest.mark.parametrize("attack", SWA, ids=lambda attack: attack.__name__)
def test_signature_wrapping_is_never_valid(
    judged: Callable[[bytes], Validation], sealed: bytes, attack: Callable[[bytes], bytes]
) -> None:
    found = judged(attack(sealed))

    assert found.indication == "invalid"
    assert found.check("integrity").result == "fail"


# --- numbers that are none ----------------------------------------------------------------------


def letters_in_the_table(data: bytes) -> bytes:
    start, end = data.index(b"xref\n0 "), data.index(b"trailer")
    return data[:start] + data[start:end].replace(b" 00000 n", b"x00000 n") + data[end:]


def letters_as_offsets(data: bytes) -> bytes:
    start, end = data.index(b"xref\n0 "), data.index(b"trailer")
    table = re.sub(rb"\d( 00000 n)", rb"x\1", data[start:end])
    return data[:start] + table + data[end:]


def two_points_in_a_number(data: bytes) -> bytes:
    return data.replace(b"/Rect[400 ", b"/Rect[4.. ")


def two_points_in_the_page(data: bytes) -> bytes:
    return re.sub(rb"(/MediaBox\[0 0 [\d.]+)\d\d ", rb"\1.. ", data, count=1)


def a_number_of_five_thousand_digits(data: bytes) -> bytes:
    return re.sub(rb"(/F 132/Rect\[[^]]*\]/P )\d+", rb"\g<1>" + b"9" * 5000, data)


def no_number_in_the_page_tree(data: bytes) -> bytes:
    return re.sub(rb"(/Kids\[)\d+ 0", rb"\1R R", data, count=1)


NO_NUMBERS = [
    letters_in_the_table,
    letters_as_offsets,
    two_points_in_a_number,
    two_points_in_the_page,
    a_number_of_five_thousand_digits,
    no_number_in_the_page_tree,
]


@pytest.mark.parametrize("attack", NO_NUMBERS, ids=lambda attack: attack.__name__)
def test_a_number_that_is_none_ends_in_a_verdict(
    judged: Callable[[bytes], Validation], sealed: bytes, attack: Callable[[bytes], bytes]
) -> None:
    changed = attack(sealed)
    found = judged(changed)

    assert changed != sealed
    assert found.indication == "invalid"
    assert found.check("integrity").code in {"unreadable", "digest_mismatch"}


# --- 42: Shadow Attacks, Evil Annotation, Sneaky Signature ------------------------------------


def hide(data: bytes) -> bytes:
    """An overlay prepared before sealing is taken away after it."""
    number, body = edits.first_page(data)
    return edits.updated(data, {number: re.sub(rb"/Annots\[[^]]*\]", b"", body)})


def replace(data: bytes) -> bytes:
    """A font that shows other letters, and a form field that shows another value."""
    number, body = edits.first_page(data)
    return edits.updated(data, {number: re.sub(rb"/Resources", b"/Resources<<>>/Old", body)})


def hide_and_replace(data: bytes) -> bytes:
    """The catalog points to another, prepared, page tree."""
    number, body = edits.catalog(data)
    size, _root = edits.trailer(data)
    tree = b"<</Type/Pages/Count 1/Kids[%d 0 R]>>" % (size + 1)
    shadow = b"<</Type/Page/Parent %d 0 R/MediaBox[0 0 595 842]/Contents %d 0 R>>" % (
        size,
        size + 2,
    )
    body = re.sub(rb"/Pages \d+ 0 R", b"/Pages %d 0 R" % size, body)
    objects = {number: body, size: tree, size + 1: shadow, size + 2: edits.stream(BLACK)}
    return edits.updated(data, objects)


def sneaky_signature(data: bytes) -> bytes:
    """A further, unsigned signature field whose picture covers the page."""
    number, body = edits.first_page(data)
    root, catalog = edits.catalog(data)
    size, _root = edits.trailer(data)
    widget = (
        b"<</Type/Annot/Subtype/Widget/FT/Sig/T(More)/F 132/Rect[0 0 595 842]/AP<</N %d 0 R>>>>"
    )
    form = edits.stream(BLACK, b"/Type/XObject/Subtype/Form/BBox[0 0 595 842]")
    body = re.sub(rb"/Annots\[", b"/Annots[%d 0 R " % size, body)
    catalog = re.sub(rb"/Fields\[", b"/Fields[%d 0 R " % size, catalog)
    objects = {number: body, root: catalog, size: widget % (size + 1), size + 1: form}
    return edits.updated(data, objects)


def signature_swapped(data: bytes) -> bytes:
    """The field's value is replaced by a copy of the signature in an object of its own."""
    _number, body = edits.signature_dictionary(data)
    root, catalog = edits.catalog(data)
    size, _root = edits.trailer(data)
    catalog = re.sub(rb"/DocMDP \d+ 0 R", b"/DocMDP %d 0 R" % size, catalog)
    return edits.updated(data, {root: catalog, size: body})


def permissions_removed(data: bytes) -> bytes:
    root, catalog = edits.catalog(data)
    return edits.updated(data, {root: re.sub(rb"/Perms<<.*?>>", b"", catalog)})


SHADOWS = [
    hide,
    replace,
    hide_and_replace,
    sneaky_signature,
    annotation,  # Evil Annotation: what P=3 would allow
    signature_swapped,
    permissions_removed,
]


@pytest.mark.parametrize("attack", SHADOWS, ids=lambda attack: attack.__name__)
def test_shadow_and_certification_attacks_are_never_valid(
    judged: Callable[[bytes], Validation], sealed: bytes, attack: Callable[[bytes], bytes]
) -> None:
    found = judged(attack(sealed))

    assert found.indication == "invalid"
    assert found.check("integrity").result == "fail"


def test_a_file_prepared_with_a_hidden_page_is_not_sealed_by_us(house: House, seal: Seal) -> None:
    """The issuer's half of the defence: only a file as our renderer lays it out gets a seal."""
    from signing.errors import PdfNotOurs

    size, _root = edits.trailer(page())
    prepared = edits.updated(page(), {size: b"<</Type/Page/MediaBox[0 0 9 9]>>"})

    with pytest.raises(PdfNotOurs):
        house.sealed(seal, prepared)
