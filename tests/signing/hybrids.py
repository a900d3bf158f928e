"""Hybrid-reference PDFs (ISO 32000-2 §7.5.8.4) as office programs write them: a classic table for
old readers, and a cross-reference stream for objects that old readers do not see."""

import zlib

_HEAD = b"%PDF-1.7\n%\x80\x80\x80\x80\n"
_CONTENT = b"BT /F1 24 Tf 72 720 Td (A letter) Tj ET"
_SEEN = {  # by every reader, in the classic table
    1: b"<</Type/Catalog/Pages 2 0 R/MarkInfo<</Marked true>>/StructTreeRoot 6 0 R>>",
    2: b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
    3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R"
    b"/Resources<</Font<</F1 5 0 R>>>>>>",
    4: b"<</Length %d>>\nstream\n%b\nendstream" % (len(_CONTENT), _CONTENT),
    5: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
}
_HIDDEN = {  # in the object stream
    6: b"<</Type/StructTreeRoot/K 7 0 R>>",
    7: b"<</Type/StructElem/S/Document/P 6 0 R>>",
}
_OBJECTS, _STREAM, _SIZE = 8, 9, 10
_TABLE = b"xref\n0 %d\n0000000000 65535 f\r\n%b"


def one_section() -> bytes:
    """One table whose trailer leads to the stream."""
    out, offsets, at = _body()
    trailer = b"<</Size %d/Root 1 0 R/XRefStm %d/ID[<00><00>]>>" % (_SIZE, offsets[_STREAM])
    return out + _table(offsets) + b"trailer\n%b\nstartxref\n%d\n%%%%EOF\n" % (trailer, at)


def two_sections() -> bytes:
    """The table first, and the stream in an update that adds no object."""
    out, offsets, at = _body()
    first = b"trailer\n<</Size %d/Root 1 0 R/ID[<00><00>]>>\nstartxref\n%d\n%%%%EOF\n"
    out += _table(offsets) + first % (_SIZE, at)
    rest = b"/Prev %d/XRefStm %d/ID[<00><00>]" % (at, offsets[_STREAM])
    update = b"xref\n0 0\ntrailer\n<</Size %d/Root 1 0 R%b>>\nstartxref\n%d\n%%%%EOF\n"
    return out + update % (_SIZE, rest, len(out))


def _body() -> tuple[bytes, dict[int, int], int]:
    """Every object and where it is, and where a table follows."""
    out, offsets = _HEAD, {}
    for number, body in (_SEEN | {_OBJECTS: _object_stream()}).items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    offsets[_STREAM] = len(out)
    out += b"%d 0 obj\n%b\nendobj\n" % (_STREAM, _reference_stream(offsets))
    return out, offsets, len(out)


def _object_stream() -> bytes:
    head, objects = b"", b""
    for number, body in _HIDDEN.items():
        head += b"%d %d " % (number, len(objects))
        objects += body + b" "
    entries = b"/Type/ObjStm/N %d/First %d" % (len(_HIDDEN), len(head))
    return _deflated(head + objects, entries)


def _reference_stream(offsets: dict[int, int]) -> bytes:
    """Rows of one, four and two bytes for the hidden objects and the two streams."""
    rows = [(2, _OBJECTS, index) for index in range(len(_HIDDEN))]
    rows += [(1, offsets[number], 0) for number in (_OBJECTS, _STREAM)]
    packed = b"".join(
        bytes([kind]) + place.to_bytes(4, "big") + index.to_bytes(2, "big")
        for kind, place, index in rows
    )
    first = min(_HIDDEN)
    entries = b"/Type/XRef/W[1 4 2]/Index[%d %d]/Size %d/Root 1 0 R" % (first, len(rows), _SIZE)
    return _deflated(packed, entries)


def _deflated(content: bytes, entries: bytes) -> bytes:
    packed = zlib.compress(content)
    head = b"<<%b/Filter/FlateDecode/Length %d>>" % (entries, len(packed))
    return b"%b\nstream\n%b\nendstream" % (head, packed)


def _table(offsets: dict[int, int]) -> bytes:
    """What old readers see: the hidden objects are free."""
    rows = b""
    for number in range(1, _SIZE):
        seen = number in _SEEN
        rows += b"%010d 00000 n\r\n" % offsets[number] if seen else b"0000000000 65535 f\r\n"
    return _TABLE % (_SIZE, rows)
