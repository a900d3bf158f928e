"""PAdES on the PDFs we render: one incremental section, written and read by the same few lines.

The page comes from our renderer, so its layout is known (`pdf_original`). Sealing therefore appends
exactly five objects (the picture, the signature, the field with its widget, the page that shows it,
the catalog that lists it), the evidence for later years, and a second cross-reference table, hashes
everything but the gap for the signature, and fills the gap.

    original = read_original(pdf)
    section = compose(original, field)          # the whole file, with a gap of zeros
    sealed = section.filled(cms_over(section.digest("sha256")))
    read_sealed(sealed) == SealedPdf(…)          # composes it again and compares every byte

- /ByteRange starts at 0, ends at the end of the file, and its gap is exactly /Contents.
- The evidence (DSS) is known before sealing, because authority and time-stamps are our own: it lies
  inside what is signed, in the same revision, and no later revision is ever needed.
- The signature is a certification with DocMDP P=1: no change is allowed after it (ISO 32000-2
  §12.8.2.2), and PDF/A-3 stays intact (ISO 19005-3 §6.1.12, §6.4.3: printed widget, appearance).
- `read_sealed` knows no other file than those `compose` makes: everything in it, down to the object
  numbers, is derived again from what was found and must be equal, so nothing can hide between.

Standards: ISO 32000-2 §7.5.6, §12.8; EN 319 142-1 §5, §6.3.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from signing.errors import PdfNotOurs
from signing.formats.pdf.original import Original, read_original
from signing.models import Box
from signing.trust.evidence import NO_EVIDENCE, Evidence

_NUMBER = rb"(-?\d{1,7}(?:\.\d{1,9})?)"
_MEDIA_BOX = re.compile(rb"/MediaBox\[%b\]" % b" ".join([_NUMBER] * 4))
_ANNOTATIONS = re.compile(rb"/Annots\[((?:\d{1,7} 0 R ?)*)\]")

_TAKEN = re.compile(rb"/(AcroForm|Perms|DSS)\b")

_BYTE_RANGE_WIDTH = 46
_REFERENCE = (
    b"/Reference[<</Type/SigRef/TransformMethod/DocMDP"
    b"/TransformParams<</Type/TransformParams/P 1/V/1.2>>>>]"
)


# --- the section that seals it ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SealField:
    """What a seal adds to a page. `box` is left, bottom and side in points; `reserved` counts the
    bytes for the signature."""

    name: str
    picture: bytes
    signed_at: datetime
    box: Box
    page: int
    reason: str
    reserved: int
    evidence: Evidence = NO_EVIDENCE


@dataclass(frozen=True, slots=True)
class Section:
    """A composed file whose signature gap is still empty."""

    original: bytes
    before: bytes
    after: bytes
    reserved: int
    # By name of the hash: everything before the gap, hashed once for all digests.
    _begun: dict[str, "hashlib._Hash"] = field(default_factory=dict, repr=False, compare=False)

    def digest(self, hash_name: str) -> bytes:
        """The digest of everything outside the gap."""
        hasher = self._hashed_before(hash_name)
        hasher.update(self.after)
        return hasher.digest()

    def filled(self, signature: bytes) -> bytes:
        """The finished file. `PdfNotOurs` when the signature does not fit its gap."""
        return b"".join((self.original, self.before, self._gap(signature), self.after))

    def filled_digest(self, signature: bytes) -> bytes:
        """The SHA-256 of `filled(signature)`, without hashing the part before the gap again."""
        hasher = self._hashed_before("sha256")
        hasher.update(self._gap(signature))
        hasher.update(self.after)
        return hasher.digest()

    def fills(self, signature: bytes, data: bytes) -> bool:
        """Whether `data` is `filled(signature)`, byte for byte."""
        end = b"".join((self.before, self._gap(signature), self.after))
        whole = len(data) == len(self.original) + len(end)
        return whole and data.startswith(self.original) and data.endswith(end)

    def _gap(self, signature: bytes) -> bytes:
        if len(signature) > self.reserved:
            raise PdfNotOurs("the signature is larger than the room kept for it")
        return b"<%b>" % signature.hex().encode().ljust(self.reserved * 2, b"0")

    def _hashed_before(self, hash_name: str) -> "hashlib._Hash":
        hasher = self._begun.get(hash_name)
        if hasher is None:
            hasher = self._begun[hash_name] = hashlib.new(hash_name, self.original)
            hasher.update(self.before)
        return hasher.copy()


def compose(original: Original, field: SealField) -> Section:
    """Append the sealing section; a pure function of its arguments."""
    picture, signature, widget = range(original.size, original.size + 3)
    number, page = original.page(field.page)
    _must_lie_on(page, field.box)
    label = _text(field.name)
    reason = b"/Reason" + _text(field.reason) if field.reason else b""
    signature_head = (
        b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/Name%b%b/M(%b)%b"
        b"/ByteRange" % (label, reason, _date(field.signed_at), _REFERENCE)
    )
    annotation = (
        b"<</Type/Annot/Subtype/Widget/FT/Sig/T(Seal)/TU%b/F 132/Rect[%b]/P %d 0 R/V %d 0 R"
        b"/AP<</N %d 0 R>>>>" % (label, _rectangle(field.box), number, signature, picture)
    )
    catalog = _with_seal(original.catalog, widget, signature, field.evidence)
    after = [
        (widget, annotation),
        (number, _with_annotation(page, widget)),
        (original.root, catalog),
        *_evidence_objects(field.evidence, widget + 1),
    ]
    return _laid_out(original, (picture, field.picture), (signature, signature_head), after, field)


def _evidence_objects(evidence: Evidence, first: int) -> list[tuple[int, bytes]]:
    """The document security store (EN 319 142-1 §5.4.2) and its streams, numbered from `first`."""
    if not evidence:
        return []
    lists_from = first + 1 + len(evidence.certificates)
    certificates = b" ".join(b"%d 0 R" % number for number in range(first + 1, lists_from))
    lists = b" ".join(
        b"%d 0 R" % number for number in range(lists_from, lists_from + len(evidence.lists))
    )
    store = b"<</Type/DSS/Certs[%b]/CRLs[%b]>>" % (certificates, lists)
    streams = [
        b"<</Length %d>>\nstream\n%b\nendstream" % (len(der), der)
        for der in (*evidence.certificates, *evidence.lists)
    ]
    return [(first, store), *enumerate(streams, first + 1)]


def _laid_out(
    original: Original,
    picture: tuple[int, bytes],
    signature: tuple[int, bytes],
    others: Sequence[tuple[int, bytes]],
    field: SealField,
) -> Section:
    """Place the objects one after another, and say in /ByteRange where the gap came to lie."""
    base = len(original.data)
    before = b"\n%d 0 obj\n%b\nendobj\n" % picture
    offsets = {picture[0]: base + 1, signature[0]: base + len(before)}
    before += b"%d 0 obj\n%b" % signature
    gap_start = base + len(before) + _BYTE_RANGE_WIDTH + len(b"/Contents")
    gap_end = gap_start + 2 * field.reserved + 2
    after = b">>\nendobj\n"
    for number, body in others:
        offsets[number] = gap_end + len(after)
        after += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    after += _table(original, offsets, gap_end + len(after))
    byte_range = b"[0 %d %d %d]" % (gap_start, gap_end, len(after))
    before += byte_range.ljust(_BYTE_RANGE_WIDTH) + b"/Contents"
    return Section(original.data, before, after, field.reserved)


def _table(original: Original, offsets: dict[int, int], at: int) -> bytes:
    """Cross-reference section and trailer of the update, which begins at `at`."""
    lines = [b"xref\n"]
    numbers = sorted(offsets)
    for place, number in enumerate(numbers):
        if place == 0 or numbers[place - 1] != number - 1:
            run = 1
            while number + run in offsets:
                run += 1
            lines.append(b"%d %d\n" % (number, run))
        lines.append(b"%010d 00000 n\r\n" % offsets[number])
    identity = hashlib.sha256(b"%d" % at + original.first_id).digest()[:16].hex().encode()
    lines.append(
        b"trailer\n<</Size %d/Root %d 0 R%b/ID[%b<%b>]/Prev %d>>\nstartxref\n%d\n%%%%EOF\n"
        % (
            max(original.size, numbers[-1] + 1),
            original.root,
            original.info,
            original.first_id,
            identity,
            original.xref_at,
            at,
        )
    )
    return b"".join(lines)


def _with_seal(catalog: bytes, widget: int, signature: int, evidence: Evidence) -> bytes:
    if not catalog.startswith(b"<</Type/Catalog/") or _TAKEN.search(catalog):
        raise PdfNotOurs("the document already has a form or a signature")
    store = b"/DSS %d 0 R" % (widget + 1) if evidence else b""
    return catalog[:-2] + (
        b"/AcroForm<</Fields[%d 0 R]/SigFlags 3>>/Perms<</DocMDP %d 0 R>>%b>>"
        % (widget, signature, store)
    )


def _with_annotation(page: bytes, widget: int) -> bytes:
    if not page.startswith(b"<</Type/Page/"):
        raise PdfNotOurs("the page is not a plain page")
    present = _ANNOTATIONS.search(page)
    if present:
        return page[: present.end() - 1] + b" %d 0 R]" % widget + page[present.end() :]
    if b"/Annots" in page:
        raise PdfNotOurs("the page's annotations are not a plain list")
    return page[:-2] + b"/Annots[%d 0 R]>>" % widget


def _must_lie_on(page: bytes, box: Box) -> None:
    found = _MEDIA_BOX.search(page)
    if found is None:
        raise PdfNotOurs("the page does not say how large it is")
    left, bottom, right, top = (float(value) for value in found.groups())
    x, y, side = box
    if not (left <= x < x + side <= right and bottom <= y < y + side <= top):
        raise PdfNotOurs(
            "the seal would lie outside the page",
            next_step=f"Choose left, bottom and side within {right:g} × {top:g} points.",
        )


@lru_cache(maxsize=1024)  # a type of certificate has one place for its seal
def _rectangle(box: Box) -> bytes:
    x, y, side = box
    return " ".join(_point(value) for value in (x, y, x + side, y + side)).encode()


def _point(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _text(value: str) -> bytes:
    """A PDF text string as hexadecimal UTF-16 (ISO 32000-2 §7.9.2.2)."""
    return b"<FEFF%b>" % value.encode("utf-16-be").hex().upper().encode()


def _date(moment: datetime) -> bytes:
    at = moment.astimezone(UTC)
    return b"D:%04d%02d%02d%02d%02d%02dZ" % (
        at.year,
        at.month,
        at.day,
        at.hour,
        at.minute,
        at.second,
    )


# --- reading it back --------------------------------------------------------------------------

_SEALED_TAIL = re.compile(rb"/Prev (\d{1,10})>>\nstartxref\n\d{1,10}\n%%EOF\n\Z")
_SIGNATURE = re.compile(
    rb"\nendobj\n\d+ 0 obj\n<</Type/Sig/Filter/Adobe\.PPKLite/SubFilter/ETSI\.CAdES\.detached"
    rb"/Name<FEFF((?:[0-9A-F]{4})*)>(?:/Reason<FEFF((?:[0-9A-F]{4})*)>)?/M\(D:(\d{14})Z\)/Reference"
)
_CONTENTS, _CONTENTS_END = b"/Contents<", b">>>\nendobj\n"
_STORE = re.compile(
    rb"\nendobj\n(\d{1,7}) 0 obj\n<</Type/DSS/Certs\[([0-9R ]*)\]/CRLs\[[0-9R ]*\]>>\nendobj\n"
)
_STREAM = re.compile(rb"\d{1,7} 0 obj\n<</Length (\d{1,7})>>\nstream\n")
_RECTANGLE = re.compile(rb"/F 132/Rect\[%b [\d.]+\]/P (\d{1,7}) 0 R" % b" ".join([_NUMBER] * 3))


@dataclass(frozen=True, slots=True)
class SealedPdf:
    """One of our sealed files, taken apart; the signature in it is not verified yet."""

    original: Original
    field: SealField
    section: Section
    signature: bytes


def looks_sealed(data: bytes) -> bool:
    """A cheap first look: does the file end the way our sealed files end?"""
    return _SEALED_TAIL.search(data, max(0, len(data) - 256)) is not None


def read_sealed(data: bytes, known: Original | None = None) -> SealedPdf:
    """Take one of our sealed files apart. `PdfNotOurs` unless `compose` would write these bytes.

    `signature` is the gap's content without the zero padding; it may still be nonsense. `known` is
    an original that was read before: when the file begins with it, it is not read again.
    """
    tail = _SEALED_TAIL.search(data, max(0, len(data) - 256))
    end = data.find(b"%%EOF", int(tail[1])) + 5 if tail else 0
    found = _SIGNATURE.search(data, end)
    gap_start = data.find(_CONTENTS, found.end()) + len(_CONTENTS) if found else 0
    gap_end = data.find(_CONTENTS_END, gap_start)
    rectangle = _RECTANGLE.search(data, gap_end)
    if found is None or gap_start <= found.end() or gap_end < 0 or rectangle is None:
        raise PdfNotOurs("not sealed by us, or changed after sealing")
    original = _original(data, end, known)
    picture_at = data.find(b" 0 obj\n", end) + len(b" 0 obj\n")
    signature = _unhexed(data[gap_start:gap_end])
    field = SealField(
        name=_plain(found[1]),
        picture=data[picture_at : found.start()],
        signed_at=_moment(found[3].decode()),
        box=_box(rectangle),
        page=_page_index(original, int(rectangle[4])),
        reason=_plain(found[2] or b""),
        reserved=len(signature),
        evidence=_evidence(data, original.size + 3, rectangle.end()),
    )
    section = compose(original, field)
    if not section.fills(signature, data):
        raise PdfNotOurs("not sealed by us, or changed after sealing")
    return SealedPdf(original, field, section, signature)


def _original(data: bytes, end: int, known: Original | None) -> Original:
    if known is not None and end == len(known.data) and data.startswith(known.data):
        return known
    return read_original(data[:end])


def _unhexed(digits: bytes) -> bytes:
    """What is in the gap; `fills` compares how it is written."""
    try:
        return bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        raise PdfNotOurs("not sealed by us, or changed after sealing") from None


def _moment(digits: str) -> datetime:
    """YYYYMMDDHHmmSS in UTC; `fromisoformat` costs a twentieth of what `strptime` does."""
    try:
        return datetime.fromisoformat(f"{digits[:8]}T{digits[8:]}+00:00")
    except ValueError:
        raise PdfNotOurs("a date that does not exist") from None


def _plain(text: bytes) -> str:
    try:
        return bytes.fromhex(text.decode()).decode("utf-16-be")
    except UnicodeDecodeError:
        raise PdfNotOurs("a text that is not UTF-16") from None


def _box(rectangle: re.Match[bytes]) -> Box:
    x, y, right = (float(rectangle[place]) for place in (1, 2, 3))
    return x, y, right - x


def _page_index(original: Original, number: int) -> int:
    numbers = original.pages
    if number not in numbers:
        raise PdfNotOurs("the seal is on a page that is not in the document")
    return numbers.index(number)


def _evidence(data: bytes, first: int, start: int) -> Evidence:
    """The document security store behind the catalog, if there is one."""
    found = _STORE.search(data, start)
    if found is None or int(found[1]) != first:
        return NO_EVIDENCE
    blobs, at = [], found.end()
    while (stream := _STREAM.match(data, at)) is not None:
        end = stream.end() + int(stream[1])
        blobs.append(data[stream.end() : end])
        at = end + len(b"\nendstream\nendobj\n")
    certificates = found[2].count(b"R")
    return Evidence(tuple(blobs[:certificates]), tuple(blobs[certificates:]))
