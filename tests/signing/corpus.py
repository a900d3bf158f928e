"""Mutants of a sealed PDF: each with a name and the reasons it may be refused for.

Made by code from one good file, so that it always fits the layout of today. A reason is the code of
the failed (or uncertain) check; where reader and attacker may disagree on what is broken first, a
mutant names both. None of them may ever be valid.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.attacks import pdf_edits as edits
from tests.attacks.test_pdf_signatures import ISA, SHADOWS, SWA, USF

CHANGED = frozenset({"changed_after_sealing"})
UNSEALED = frozenset({"not_sealed"})
# A changed signed byte: the digest tells, or the file can no longer be read at all.
DIGEST = frozenset({"digest_mismatch", "unreadable"})
GAP = frozenset({"signature_malformed", "signature_wrong", "digest_mismatch", "unreadable"})
ANY_FAULT = DIGEST | GAP | CHANGED | {"not_sealed", "not_a_pdf"}


@dataclass(frozen=True, slots=True)
class Mutant:
    name: str
    data: bytes
    reasons: frozenset[str]


def mutants(sealed: bytes) -> list[Mutant]:
    """More than two hundred, the same for the same file."""
    makers = (_attacks, _bytes_in_the_page, _bytes_in_the_section, _gap, _cuts, _appended, _numbers)
    return [mutant for maker in makers for mutant in maker(sealed)]


def _attacks(sealed: bytes) -> Iterator[Mutant]:
    for name, change in USF.items():
        yield Mutant(f"USF: {name}", change(sealed), ANY_FAULT)
    for change in ISA:
        yield Mutant(f"ISA: {change.__name__}", change(sealed), CHANGED | {"unreadable"})
    for change in SWA:
        yield Mutant(f"SWA: {change.__name__}", change(sealed), GAP | CHANGED)
    for change in SHADOWS:
        yield Mutant(f"shadow: {change.__name__}", change(sealed), CHANGED | UNSEALED)


def _bytes_in_the_page(sealed: bytes) -> Iterator[Mutant]:
    """Every stream of the page, and bytes all over the rest of the original."""
    original = sealed.index(b"%%EOF")
    chance = random.Random(20260301)
    places = [found.end() + 5 for found in re.finditer(rb"stream\n", sealed[:original])]
    places += [chance.randrange(10, original) for _ in range(60)]
    for place in places:
        yield Mutant(f"page byte {place}", _flipped(sealed, place), ANY_FAULT)


def _bytes_in_the_section(sealed: bytes) -> Iterator[Mutant]:
    """The seal's own objects: picture, signature dictionary, field, page, catalog, evidence."""
    start = sealed.index(b"%%EOF") + 6
    gap_start, gap_end = edits.contents_span(sealed)
    chance = random.Random(20260302)
    places = [chance.randrange(start, gap_start - 1) for _ in range(25)]
    places += [chance.randrange(gap_end + 1, len(sealed) - 1) for _ in range(25)]
    for place in places:
        yield Mutant(f"section byte {place}", _flipped(sealed, place), ANY_FAULT)
    words: tuple[bytes, ...]
    words = (b"/Perms", b"/DocMDP", b"/P 1", b"/SigFlags", b"/DSS", b"/Certs", b"/CRLs", b"/M(D:2")
    words += (b"/Reason", b"/Name", b"/Rect", b"/F 132", b"/AP", b"/SubFilter", b"/Prev", b"/Root")
    for word in words:
        place = sealed.find(word, start)
        if place >= 0:
            changed = sealed[:place] + word[:1] + b"X" + word[2:] + sealed[place + len(word) :]
            yield Mutant(f"section word {word.decode()}", changed, ANY_FAULT)


def _gap(sealed: bytes) -> Iterator[Mutant]:
    """The signature's own bytes: certificates are for the path, the token for the time."""
    start, end = edits.contents_span(sealed)
    length = len(sealed[start:end].rstrip(b"0"))
    outside = {
        "authority_unknown",
        "time_stamp_wrong",
        "time_stamp_untrusted",
        "time_only_claimed",
    }
    for step in range(60):
        place = start + step * length // 60
        digit = b"%x" % (int(sealed[place : place + 1], 16) ^ 1)
        changed = sealed[:place] + digit + sealed[place + 1 :]
        yield Mutant(f"signature digit {place - start}", changed, GAP | outside)
    yield Mutant("capital digits", _upper(sealed, start, end), GAP | CHANGED)
    yield Mutant("hidden in the padding", sealed[: end - 4] + b"beef" + sealed[end:], GAP)


def _cuts(sealed: bytes) -> Iterator[Mutant]:
    for left in (1, 2, 7, 100, 1000, 5000, len(sealed) // 2):
        yield Mutant(f"cut by {left}", sealed[:-left], ANY_FAULT)
    yield Mutant("cut in front", sealed[1:], ANY_FAULT)
    yield Mutant("only the original", sealed[: sealed.index(b"%%EOF") + 6], UNSEALED)


def _appended(sealed: bytes) -> Iterator[Mutant]:
    for tail in (b"\n", b" ", b"\0", b"%", b"%%EOF\n", b"hello", b"\x00" * 100, sealed):
        yield Mutant(f"appended {tail[:8]!r}", sealed + tail, CHANGED | GAP)
    for head in (b"\n", b"% ", b"\xef\xbb\xbf", b"GIF89a"):
        yield Mutant(f"in front {head!r}", head + sealed, ANY_FAULT)


def _numbers(sealed: bytes) -> Iterator[Mutant]:
    """Each number of /ByteRange, a little larger and a little smaller."""
    found = edits.BYTE_RANGE.search(sealed)
    assert found is not None
    numbers = [int(found[place]) for place in (1, 2, 3, 4)]
    for place in range(4):
        for difference in (-1, 1, 10):
            changed = list(numbers)
            changed[place] += difference
            text = b" ".join(b"%d" % number for number in changed)
            yield Mutant(
                f"ByteRange {place} {difference:+d}",
                edits.replaced_byte_range(sealed, text),
                GAP | CHANGED,
            )


def _flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes((data[place] ^ 0x15,)) + data[place + 1 :]


def _upper(data: bytes, start: int, end: int) -> bytes:
    return data[:start] + data[start:end].upper() + data[end:]
