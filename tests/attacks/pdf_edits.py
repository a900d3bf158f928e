"""A forger's tools for sealed PDFs: incremental updates by hand, with no library in the way."""

import re
from collections.abc import Mapping

BYTE_RANGE = re.compile(rb"/ByteRange\[(\d+) (\d+) (\d+) (\d+)\]( *)/Contents<([0-9a-f]*)>")


def last_startxref(data: bytes) -> int:
    return int(data[data.rindex(b"startxref") + 9 :].split()[0])


def trailer(data: bytes) -> tuple[int, int]:
    """/Size and /Root of the newest trailer."""
    newest = data[data.rindex(b"trailer") :]
    size = re.search(rb"/Size (\d+)", newest)
    root = re.search(rb"/Root (\d+)", newest)
    assert size is not None
    assert root is not None
    return int(size[1]), int(root[1])


def newest(data: bytes, number: int) -> bytes:
    """The body of an object as the last revision has it."""
    head = b"\n%d 0 obj\n" % number
    start = data.rindex(head) + len(head)
    return data[start : data.index(b"\nendobj", start)]


def updated(data: bytes, objects: Mapping[int, bytes], *, root: int = 0) -> bytes:
    """`data` with an incremental update that adds or replaces `objects`."""
    size, old_root = trailer(data)
    out, offsets = data if data.endswith(b"\n") else data + b"\n", {}
    for number, body in objects.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    at = len(out)
    out += b"xref\n"
    for number, offset in sorted(offsets.items()):
        out += b"%d 1\n%010d 00000 n\r\n" % (number, offset)
    return out + b"trailer\n<</Size %d/Root %d 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF\n" % (
        max([size, *(number + 1 for number in objects)]),
        root or old_root,
        last_startxref(data),
        at,
    )


def first_page(data: bytes) -> tuple[int, bytes]:
    """Number and body of the page that carries the seal, in its newest form."""
    found = re.search(rb"/F 132/Rect\[[^]]*\]/P (\d+) 0 R", data)
    assert found is not None
    return int(found[1]), newest(data, int(found[1]))


def catalog(data: bytes) -> tuple[int, bytes]:
    _size, root = trailer(data)
    return root, newest(data, root)


def signature_dictionary(data: bytes) -> tuple[int, bytes]:
    """Number and body of the signature."""
    found = re.search(rb"\n(\d+) 0 obj\n(<</Type/Sig/.*?>>)\nendobj", data, re.DOTALL)
    assert found is not None
    return int(found[1]), found[2]


def added(body: bytes, entries: bytes) -> bytes:
    """A dictionary with further entries at its end."""
    assert body.endswith(b">>")
    return body[:-2] + entries + b">>"


def replaced_byte_range(data: bytes, numbers: bytes) -> bytes:
    """The same length, other numbers."""
    found = BYTE_RANGE.search(data)
    assert found is not None
    width = found.start(5) - found.start() + len(found[5])
    field = (b"/ByteRange[" + numbers + b"]").ljust(width)
    assert len(field) == width
    return data[: found.start()] + field + data[found.start() + width :]


def contents_span(data: bytes) -> tuple[int, int]:
    """Where the hexadecimal digits of the signature begin and end."""
    found = BYTE_RANGE.search(data)
    assert found is not None
    return found.start(6), found.end(6)


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<<%b/Length %d>>\nstream\n%b\nendstream" % (entries, len(content), content)
