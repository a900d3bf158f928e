"""The PDFs of our renderer before they are sealed: where everything is in them.

The layout is known: a classic cross-reference table, one revision, no encryption, a flat page tree.
Any other layout is `PdfNotOurs`; nothing is guessed.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from signing.errors import PdfNotOurs

_TRAILER = re.compile(
    rb"trailer\n<</Size (\d{1,7})/Root (\d{1,7}) 0 R(?P<info>/Info \d{1,7} 0 R)?"
    rb"/ID\[(?P<id>\([A-Za-z0-9+/=]{1,64}\))\([A-Za-z0-9+/=]{1,64}\)\]>>\n"
    rb"startxref\n(\d{1,10})\n%%EOF\Z"
)
_PAGES = re.compile(rb"/Pages (\d{1,7}) 0 R")
_KIDS = re.compile(rb"<</Type/Pages/Count \d+/Kids\[((?:\d{1,7} 0 R ?)*)\]>>\Z")
_FIRST_ENTRY = b"0000000000 65535 f\r\n"
_ENTRY = re.compile(rb"\d{10} 00000 n\r\n")
_ENTRY_SIZE = 20


@dataclass(frozen=True)  # without slots: what was found once is kept
class Original:
    """A rendered PDF and where its catalog is; `data` ends with `%%EOF`."""

    data: bytes
    size: int
    root: int
    info: bytes
    first_id: bytes
    xref_at: int

    def object(self, number: int) -> bytes:
        """The dictionary of object `number`, found through the cross-reference table."""
        entry_at = self.xref_at + len(b"xref\n0 %d\n" % self.size) + _ENTRY_SIZE * number
        entry = self.data[entry_at : entry_at + _ENTRY_SIZE]
        if not 0 < number < self.size or not _ENTRY.match(entry):
            raise PdfNotOurs(f"object {number} is not where the table says")
        head = b"%d 0 obj\n" % number
        start = int(entry[:10]) + len(head)
        end = self.data.find(b"\nendobj\n", start, self.xref_at)
        if self.data[start - len(head) : start] != head or end < 0:
            raise PdfNotOurs(f"object {number} is not where the table says")
        return self.data[start:end]

    @cached_property
    def catalog(self) -> bytes:
        """The dictionary that everything hangs from."""
        return self.object(self.root)

    @cached_property
    def pages(self) -> Sequence[int]:
        """The object numbers of all pages, in order."""
        found = _PAGES.search(self.catalog)
        kids = _KIDS.match(self.object(int(found[1]))) if found else None
        if kids is None:
            raise PdfNotOurs("the page tree is not a plain list of pages")
        return tuple(int(number) for number in kids[1].split()[::3])

    def page(self, index: int) -> tuple[int, bytes]:
        """Object number and dictionary of page `index`, counted from 0."""
        numbers = self.pages
        if not 0 <= index < len(numbers):
            raise PdfNotOurs(f"there is no page {index + 1}; the document has {len(numbers)}")
        return numbers[index], self.object(numbers[index])


def read_original(data: bytes) -> Original:
    """Find the way around a PDF of our renderer; `PdfNotOurs` for any other."""
    data = data.rstrip(b"\r\n") if data[-1:] in b"\r\n" else data
    found = _TRAILER.search(data, max(0, len(data) - 512))
    if not data.startswith(b"%PDF-1.") or found is None:
        raise PdfNotOurs("not a PDF with the layout of our renderer")
    size, root, xref_at = int(found[1]), int(found[2]), int(found[5])
    head = b"xref\n0 %d\n" % size
    if (
        not data.startswith(head + _FIRST_ENTRY, xref_at)
        or xref_at + len(head) + size * _ENTRY_SIZE != found.start()
    ):
        raise PdfNotOurs("the cross-reference table is not a plain one")
    return Original(data, size, root, found["info"] or b"", found["id"], xref_at)


_ATTACHED = re.compile(rb"/EmbeddedFiles<</Names\[((?:\([\w.-]{1,100}\)\d{1,7} 0 R ?)*)\]>>")
_ATTACHMENT = re.compile(rb"\(([\w.-]{1,100})\)(\d{1,7}) 0 R")
_FILE = re.compile(rb"/EF<</F (\d{1,7}) 0 R")
_LARGEST_ATTACHMENT = 4 * 1024 * 1024


def attachments(original: Original) -> dict[str, bytes]:
    """Files that our renderer attached, by name; what cannot be read is left out."""
    listed = _ATTACHED.search(original.catalog)
    found: dict[str, bytes] = {}
    for entry in _ATTACHMENT.finditer(listed[1]) if listed else ():
        content = _attached(original, int(entry[2]))
        if content is not None:
            found[entry[1].decode()] = content
    return found


def _attached(original: Original, number: int) -> bytes | None:
    try:
        described = _FILE.search(original.object(number))
        return _inflated(original.object(int(described[1]))) if described else None
    except PdfNotOurs:
        return None


def _inflated(body: bytes) -> bytes | None:
    head, _, stream = body.partition(b"\nstream\n")
    stream = stream.removesuffix(b"\nendstream")
    if b"/Filter" not in head:
        return stream
    if b"/Filter/FlateDecode" not in head:
        return None
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(stream, _LARGEST_ATTACHMENT)
    except zlib.error:
        return None
    return content if inflater.eof else None
